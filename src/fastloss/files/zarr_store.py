"""The files of a Zarr store: a folder or a zip archive. It gives bytes by key, and never those of a file outside.

A link in a store is refused wherever it leads, because it could lead to any file of the machine.
"""

from __future__ import annotations

import os
import stat
import zipfile
from io import BufferedReader
from pathlib import Path
from typing import IO, Protocol

from .opening import opened

MOST_NAMES = 2**20


class Store(Protocol):
    """What `zarr_files.py` and `zarr_chunks.py` need of a store. A key is a path with slashes, without a first one."""

    def size(self, key: str) -> int | None:
        """Return the size of a value in bytes, or None if there is none."""

    def read(self, key: str, most: int, start: int = 0, stop: int | None = None) -> bytes:
        """Return the value, or a part of it. A value of more than `most` bytes is refused."""

    def folders(self, key: str) -> list[str]:
        """Return the names of the folders in a folder."""


def check_key(key: str) -> str:
    """Return the key of an array as a path inside the store, or refuse it."""
    parts = key.strip("/").split("/")
    if any(part in ("", ".", "..") or "\\" in part or ":" in part or "\0" in part for part in parts):
        raise ValueError(f"`key=`: expected the name of an array, such as a/b, got {key}")
    return "/".join(parts)


def _check_size(key: str, size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"{key}: expected at most {most} bytes, got {size}")


class Folder:
    """A store whose keys are paths of files in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.plain = {self.root}  # folders that were checked; one with many chunks is asked for each

    def _path(self, key: str) -> str:
        path = os.path.join(self.root, *key.split("/"))
        if os.path.realpath(path) != path:
            raise ValueError(f"expected files and folders in the store, got a link: {key}")
        return path

    def size(self, key: str) -> int | None:
        """Return the size of a file, or None."""
        folder, _, name = key.rpartition("/")
        parent = os.path.join(self.root, *folder.split("/")) if folder else self.root
        if parent not in self.plain:
            self.plain.add(self._path(folder))
        try:
            status = os.lstat(os.path.join(parent, name))
            if stat.S_ISLNK(status.st_mode):
                raise ValueError(f"expected files and folders in the store, got a link: {key}")
            return status.st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, key: str, most: int, start: int = 0, stop: int | None = None) -> bytes:
        """Return the content of a file, or a part of it."""
        with opened(Path(self._path(key))) as handle:
            size = os.fstat(handle.fileno()).st_size
            stop = size if stop is None else stop
            _check_size(key, stop - start, most)
            return _exactly(handle, key, start, stop)

    def folders(self, key: str) -> list[str]:
        """Return the names of the folders in a folder."""
        with os.scandir(self._path(key) if key else self.root) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


class Zip:
    """A store in a zip archive, at its root or in its only folder."""

    def __init__(self, handle: BufferedReader) -> None:
        self.archive = zipfile.ZipFile(handle)
        self.members = {member.filename: member for member in self.archive.infolist() if not member.is_dir()}
        if len(self.members) > MOST_NAMES:
            raise ValueError(f"expected at most {MOST_NAMES} files in the archive, got {len(self.members)}")
        first = {name.partition("/")[0] for name in self.members}
        at_root = first & {"zarr.json", ".zarray", ".zgroup"}
        self.prefix = f"{first.pop()}/" if len(first) == 1 and not at_root else ""

    def size(self, key: str) -> int | None:
        """Return the size of a member, or None."""
        member = self.members.get(self.prefix + key)
        return None if member is None else member.file_size

    def read(self, key: str, most: int, start: int = 0, stop: int | None = None) -> bytes:
        """Return the content of a member, or a part of it."""
        member = self.members[self.prefix + key]
        stop = member.file_size if stop is None else stop
        _check_size(key, stop - start, most)
        with self.archive.open(member) as handle:
            return _exactly(handle, key, start, stop)

    def folders(self, key: str) -> list[str]:
        """Return the names of the folders in a folder."""
        start = self.prefix + (f"{key}/" if key else "")
        rest = (name[len(start) :] for name in self.members if name.startswith(start))
        return sorted({name.partition("/")[0] for name in rest if "/" in name})


def _exactly(handle: IO[bytes], key: str, start: int, stop: int) -> bytes:
    handle.seek(start)
    data = handle.read(stop - start)
    if len(data) != stop - start:
        raise ValueError(f"truncated: expected {stop - start} bytes of {key} at {start}, got {len(data)}")
    return data
