"""Puts a file in place in one step, so that a stopped run leaves either the whole file or none."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import FileError, shown


def check_writable(path: Path) -> None:
    """Refuse a file that could not be written, before any work is done."""
    with writing(path):
        final = Path(os.path.realpath(path))  # a link stays a link, and the file that it points to is replaced
        if final.is_dir():
            raise FileError(f"{shown(path)}: expected a file, got a folder")
        if final.exists() and not (final.is_file() and os.access(final, os.W_OK)):
            raise FileError(f"{shown(path)}: expected a file that may be written, got one that may not")
        folder = final.parent
        if not folder.is_dir():
            raise FileError(f"{shown(path)}: expected an existing folder; create {shown(folder)} first")
        if not os.access(folder, os.W_OK):
            raise FileError(f"{shown(path)}: expected a writable folder, got {shown(folder)}")


def check_ending(path: Path, endings: Iterable[str]) -> None:
    """Refuse a file whose name has none of the endings."""
    if path.suffix.lower() not in endings:
        raise FileError(f"{shown(path)}: expected a name ending in {' or '.join(endings)}")


def write_file(path: Path, data: str | bytes) -> None:
    """Write everything to `path`, or nothing. A temporary file in the same folder is renamed at the end."""
    with writing(path):
        _replace(os.path.realpath(path), data.encode() if isinstance(data, str) else data)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file in an error of the system."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{shown(path)}: cannot be written: {error.strerror or error}") from error


def _replace(final: str, data: bytes) -> None:
    # The name is known before the file exists, so Ctrl-C leaves nothing behind. (tempfile would create the file first.)
    # "x" creates the file or fails: nothing is overwritten and no link is followed.
    name = os.path.join(os.path.dirname(final), f".fastloss-{secrets.token_hex(8)}")
    try:
        with open(name, "xb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())  # a power cut must not leave the name with nothing in it
        if os.path.exists(final):
            shutil.copymode(final, name)
        os.replace(name, final)
    except BaseException:
        with suppress(FileNotFoundError):  # the file was never made, or already has its final name
            os.unlink(name)
        raise
