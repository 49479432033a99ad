"""`UserError`, the one exception that a user sees, and how a path is written in a message.

Every module of the command line raises it; only `app.py` catches it, prints it and exits with 2.
"""

import os


class UserError(Exception):
    """A mistake that the user can correct. The message explains it; no traceback follows."""


def printable(text: str) -> str:
    """The text for a terminal. A control character, which the terminal would obey, is written as `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def well_formed(path: str | os.PathLike[str]) -> str:
    """The path as text that UTF-8 can hold. A byte that is not UTF-8 is written as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def shown(path: str | os.PathLike[str]) -> str:
    """The path for a terminal, even if it is not UTF-8 or holds control characters."""
    return printable(well_formed(path))
