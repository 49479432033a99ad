"""Defines `UserError`, the exception for mistakes on the command line, and spells options as the command line does.

Every module of the command line may raise `UserError`. Only `app.py` catches it, prints it and exits with 2. It treats
the library's `FileError` in the same way.
"""

import re

from fastloss.files.errors import FileError, printable, shown, well_formed

__all__ = ["FileError", "UserError", "printable", "shown", "spelled", "well_formed"]

OPTION = re.compile(r"`([a-z_]+)=([^`]*)`")


class UserError(Exception):
    """A mistake that the user can correct. The message explains the mistake, and no traceback follows."""


def spelled(message: str) -> str:
    """Spell the options of a library message as the command line does: `axis=3` in backticks becomes --axis 3."""
    return OPTION.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    name, value = found.groups()
    flag = "--" + name.replace("_", "-")
    value = {"None": "none", "True": ""}.get(value, value.strip("\"'"))
    return f"{flag} {value}".rstrip()
