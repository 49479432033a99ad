"""Reads the file of `--class-names`: UTF-8 text with one class per line. `app.py` calls this module."""

from pathlib import Path

from fastloss.files.opening import opened, reading

from .errors import UserError, printable, shown

LARGEST = 2**20
"""The most bytes of the file, enough for more classes than any loss is computed with."""


def class_names(path: Path) -> list[str]:
    """Read the names, and check that all are different and none is empty."""
    option = "--class-names "
    with opened(path, option) as handle, reading(path, option):
        data = handle.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"expected a text file with one class name per line, got more than {LARGEST} bytes")
        names = [name.strip() for name in data.decode("utf-8-sig").rstrip().splitlines()]
    file = option + shown(path)
    if not all(names):
        raise UserError(f"{file}: expected one class name per line, got none in line {names.index('') + 1}")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{file}: expected different names, got {printable(name)} twice")
        seen.add(name)
    if not names:
        raise UserError(f"{file}: expected one class name per line, got an empty file")
    return names
