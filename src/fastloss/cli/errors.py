"""The one exception a user is meant to see, and how a path is written in a message.

Every module of the command line raises `UserError`; `app.py` alone catches it, prints it and exits 2.
"""

import os


class UserError(Exception):
    """Something the user can put right: the message is the whole story, no traceback follows."""


def shown(path: str | os.PathLike[str]) -> str:
    """The path as printable text, also for a name that is not UTF-8 or holds control characters."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
