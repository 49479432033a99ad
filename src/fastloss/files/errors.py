"""Defines `FileError`, and writes paths for messages.

Every module of `files` and `archive` raises `FileError`. A message names an option as Python spells it, in backticks:
`axis=3`. The command line translates this to `--axis 3`.
"""

import os

from .._safe_text import printable as printable


class FileError(ValueError):
    """A file, a folder or an option that does not fit. The message names it, and what was expected and what came.

    The library raises this error instead of the many exceptions of the libraries that read files. It is a `ValueError`.
    """


def well_formed(path: str | os.PathLike[str]) -> str:
    """Return the path as text that can be encoded as UTF-8. A byte that is not UTF-8 is written as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def shown(path: str | os.PathLike[str]) -> str:
    """Return the path as a terminal may print it, even if it is not UTF-8 or contains control characters."""
    return printable(well_formed(path))
