"""The files of a ledger: `ledger.json` with the options of the run, and `records.txt` with one line per finished image.

A line is the SHA-256 of a record in hexadecimal, a blank, and the record as JSON. Lines are only ever appended. So a
run that is killed leaves at most the beginning of one line, at the end of the file. docs/formats.md describes both
files.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from .._records import decoding, json_text, member, parsed, read_record, write_record
from ..files.errors import FileError, shown
from ..files.opening import opened, reading

LEDGER = "fastloss-ledger"
HEADER, RECORDS = "ledger.json", "records.txt"

LONGEST_LINE = 2**28

SYNC_SECONDS = 0.2
"""The shortest time between two waits for the disk. A wait took 0.1 ms on a fast disk, and can take 10 ms: more than a
small image. The records that a power cut can take are those of the last 0.2 s of work before the wait that was due. A
killed process loses none, because the system already has them."""


def read_options(folder: Path) -> dict[str, Any]:
    """Return the options of a ledger."""
    record = read_record(folder / HEADER, LEDGER)
    with decoding(shown(folder / HEADER)):
        return member(record, "options", dict)


def write_options(folder: Path, options: dict[str, Any]) -> None:
    """Begin a ledger."""
    write_record(folder / HEADER, LEDGER, {"options": options})


class Lines:
    """The records of a ledger, by their place in the file.

    Attributes
    ----------
    path : Path
        The file.
    end : int
        The end of the last whole record that `scan` has come to.
    torn : bool
        Whether `scan` found a torn record at the end.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.end, self.torn = path, 0, False
        self._handle: BufferedReader | None = None

    @contextmanager
    def open(self) -> Iterator[Lines]:
        """Open the file for reading."""
        with opened(self.path) as handle:
            self._handle = handle
            try:
                yield self
            finally:
                self._handle = None

    def scan(self) -> Iterator[tuple[int, Any]]:
        """Yield the position of each record, and the record. A torn record at the end is left out."""
        assert self._handle is not None
        number = position = 0
        waiting = b""  # a broken line is torn if no other line follows
        with reading(self.path):
            self._handle.seek(0)
        while True:
            with reading(self.path):
                line = self._handle.readline(LONGEST_LINE)
            if waiting and line:
                raise FileError(
                    f"{shown(self.path)}: line {number}: expected a record with its checksum, got a damaged one; "
                    "delete the line, and the image is evaluated again"
                )
            if not line:
                self.torn = bool(waiting)
                return
            number += 1
            if _whole(line):
                with decoding(f"{shown(self.path)}: line {number}"):
                    record = parsed(line[65:])
                self.end = position + len(line)
                yield position, record
            else:
                waiting = line
            position += len(line)

    def read(self, position: int) -> Any:
        """Return the record at a position that `scan` found."""
        assert self._handle is not None
        with reading(self.path):
            self._handle.seek(position)
            line = self._handle.readline(LONGEST_LINE)
        if not _whole(line):
            raise FileError(f"{shown(self.path)}: expected a record at byte {position}, got a damaged one")
        with decoding(f"{shown(self.path)}: byte {position}"):
            return parsed(line[65:])


def _whole(line: bytes) -> bool:
    return line[-1:] == b"\n" and line[64:65] == b" " and hashlib.sha256(line[65:]).hexdigest().encode() == line[:64]


class Appender:
    """Appends records to a file, durably."""

    def __init__(self, path: Path, end: int) -> None:
        self.path = path
        self._synced = -SYNC_SECONDS
        with self._writing():
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with self._writing():
                os.ftruncate(self._descriptor, end)  # drops a torn record
                _sync_folder(path.parent)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, record: Any) -> None:
        """Append a record. If the disk is full, the record is torn, and this is an error."""
        body = (json_text(record) + "\n").encode()
        rest = memoryview(hashlib.sha256(body).hexdigest().encode() + b" " + body)
        with self._writing():
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()

    def close(self) -> None:
        """Wait for the disk, and close the file."""
        try:
            with self._writing():
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FileError(f"{shown(self.path)}: cannot be written: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """Make the names of new files durable. Windows cannot do so, and does not need it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
