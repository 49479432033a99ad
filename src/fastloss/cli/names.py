"""The file of `--class-names`: UTF-8 text, one class per line. Called by `app.py`."""

from pathlib import Path

from .errors import UserError, printable, shown
from .opening import opened, reading

LARGEST = 2**20
"""Bytes: room for more classes than any loss is computed for."""


def class_names(path: Path) -> list[str]:
    """The names in the file, all different and none empty."""
    option = "--class-names "
    with opened(path, option) as handle, reading(path, option):
        data = handle.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes; expected a text file with one class name per line")
        names = [name.strip() for name in data.decode("utf-8-sig").rstrip().splitlines()]
    file = option + shown(path)
    if not all(names):
        raise UserError(f"{file}: line {names.index('') + 1} is empty")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{file}: {printable(name)} is there twice")
        seen.add(name)
    if not names:
        raise UserError(f"{file}: no name in it")
    return names
