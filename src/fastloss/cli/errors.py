"""Defines `UserError`, the one exception that a user sees, and writes paths for messages.

Every module of the command line may raise `UserError`. Only `app.py` catches it, prints it and exits with 2.
"""

import os


class UserError(Exception):
    """A mistake that the user can correct. The message explains the mistake, and no traceback follows."""


def printable(text: str) -> str:
    """Return the text as a terminal may print it. A control character, which would act, is written as `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def well_formed(path: str | os.PathLike[str]) -> str:
    """Return the path as text that can be encoded as UTF-8. A byte that is not UTF-8 is written as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def shown(path: str | os.PathLike[str]) -> str:
    """Return the path as a terminal may print it, even if it is not UTF-8 or contains control characters."""
    return printable(well_formed(path))
