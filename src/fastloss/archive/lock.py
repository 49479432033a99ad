"""A lock on a folder, so that only one run at a time writes to it. The system frees it if the process is killed."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files.errors import FileError, shown

HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

_own: set[str] = set()  # the folders that this process holds, because the system lets a process lock a file twice
_guard = threading.Lock()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder. If another run holds it, refuse at once."""
    name = os.path.realpath(folder)
    with _guard:
        if name in _own:
            raise _in_use(folder)
        _own.add(name)
    try:
        try:
            descriptor = os.open(os.path.join(name, "lock"), os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise FileError(f"{shown(folder)}: cannot be written: {error.strerror or error}") from error
        try:
            _lock(descriptor, folder)
            yield
        finally:
            os.close(descriptor)
    finally:
        with _guard:
            _own.discard(name)


def _in_use(folder: Path) -> FileError:
    return FileError(
        f"{shown(folder)}: expected no other run with this `state=`, got one that is still running; wait for it, or "
        "give another folder"
    )


def _lock(descriptor: int, folder: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            # Not flock: its lock also belongs to forked children, which may live on after this process is killed.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            raise _in_use(folder) from None
        raise FileError(f"{shown(folder)}: cannot be locked: {error.strerror or error}") from error
