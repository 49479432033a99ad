"""Opens a regular file for reading, without waiting. Anything but a regular file is refused.

Every module that opens a file calls this module, which knows nothing about formats.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path

from .errors import FileError, printable, shown

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def reading(path: Path, option: str = "") -> Iterator[None]:
    """Turn any exception of a library that reads this file into a `FileError` that names the file."""
    try:
        yield
    except (FileError, KeyboardInterrupt):
        raise
    except Exception as error:  # the libraries raise struct.error, zlib.error, SyntaxError (Pillow) and others
        what = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise FileError(f"{option}{shown(path)}: cannot be read: {printable(what)}") from error


@contextmanager
def opened(path: Path, option: str = "") -> Iterator[BufferedReader]:
    """Open a regular file. An error while opening the file becomes a `FileError`; a later error does not."""
    with ExitStack() as stack:
        with reading(path, option):
            handle = stack.enter_context(open(path, "rb", opener=_regular))
        yield handle


def _regular(path: str, flags: int) -> int:
    """Open a regular file without waiting. Opening a pipe that nobody writes to would wait forever.

    The check is made on the open file, not on the path. After a check of the path, another file could take its place.
    """
    try:
        # Windows has neither flag.
        descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    except OSError:
        _check_kind(os.stat(path))  # a socket cannot be opened
        raise
    try:
        _check_kind(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_kind(status: os.stat_result) -> None:
    for is_kind, kind in KINDS:
        if is_kind(status.st_mode):
            raise ValueError(f"expected a regular file, got {kind}; save the data as a file and give its path")
