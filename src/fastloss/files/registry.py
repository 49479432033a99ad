"""The readers of all formats by suffix: those of fastloss, and those that other packages add.

A package adds readers by an entry point of the group `fastloss.readers`, which names a `Reader` or a tuple of them.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from . import dicom, hdf5, itk, nifti, numpy_files, png, tiff, zarr_files
from .errors import FileError, printable, shown
from .opening import opened, reading
from .stored import Array, Reader, Source, Stored, Window

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

FAMILIES = (numpy_files, png, tiff, nifti, itk, dicom, zarr_files, hdf5)
BUILT_IN = tuple(reader for family in FAMILIES for reader in family.READERS)
GROUP = "fastloss.readers"


@cache
def readers() -> dict[str, Reader]:
    """Return the reader of each suffix.

    Returns
    -------
    dict of str to Reader
        The readers of fastloss, then those that packages add.

    Raises
    ------
    TypeError
        If an entry point does not name readers.
    ValueError
        If the suffix of an added reader is taken.
    """
    from importlib.metadata import entry_points  # takes as long to import as all modules of this package

    found = {suffix: reader for reader in BUILT_IN for suffix in reader.suffixes}
    for entry in entry_points(group=GROUP):
        who = f"{GROUP}: {printable(entry.value)} of {printable(entry.dist.name if entry.dist else 'a package')}"
        for reader in _added(entry, who):
            taken = [suffix for suffix in reader.suffixes if suffix in found]
            if taken:
                raise FileError(f"{who}: expected new suffixes, got {printable(taken[0])}, which is taken; {WAY_OUT}")
            found |= dict.fromkeys(reader.suffixes, reader)
    return found


WAY_OUT = "uninstall the package, or update it"


def _added(entry: EntryPoint, who: str) -> tuple[Reader, ...]:
    """Return the readers that a package adds. Its code may raise anything."""
    try:
        added = entry.load()
    except Exception as error:
        why = printable(str(error) or type(error).__name__)
        raise FileError(f"{who}: expected a Reader, but loading it failed: {why}; {WAY_OUT}") from error
    several = added if isinstance(added, tuple) else (added,)
    for reader in several:
        if not isinstance(reader, Reader):
            raise FileError(f"{who}: expected a Reader or a tuple of Readers, got {type(reader).__name__}; {WAY_OUT}")
        ends = reader.suffixes
        if not isinstance(ends, tuple) or not all(isinstance(end, str) and SUFFIX.fullmatch(end) for end in ends):
            got = printable(repr(ends))
            raise FileError(
                f'{who}: expected suffixes as a tuple of lower case, such as (".toy",), got {got}; {WAY_OUT}'
            )
    return several


SUFFIX = re.compile(r"\.[^A-Z/\s]+")


def suffix(path: Path) -> str:
    """Return the known suffix that the name ends with, the longest of them, or the name's last extension."""
    return _suffix(path.name.lower())


@lru_cache(maxsize=256)
def _suffix(name: str) -> str:
    dots = [name[at:] for at, letter in enumerate(name) if letter == "." and at > 0]
    return next((end for end in dots if end in readers()), dots[-1] if dots else "")


def open_stored(path: Path, key: str | None, stack: ExitStack) -> Stored:
    """Open a file and read its header. The values can be read until the stack is closed."""
    reader = readers().get(suffix(path))
    if reader is None:
        raise FileError(f"{shown(path)}: expected a file of a known format ({', '.join(readers())})")
    with reading(path):
        missing = [module for module in reader.modules if find_spec(module) is None]
    if missing:
        way = f'run: pip install "fastloss[{reader.extra}]"' if reader.extra else "install it"
        raise FileError(f"{shown(path)}: needs {printable(', '.join(missing))}, which is not installed; {way}")
    handle = None if reader.folders and path.is_dir() else stack.enter_context(opened(path))
    with reading(path):
        stored = reader.open(Source(path=path, handle=handle, key=key, stack=stack))

    def read(window: Window) -> Array:
        with reading(path):
            return stored.read(window)

    return replace(stored, read=read)
