"""Lists the files of a folder and of its sub-folders, without opening any of them.

`pairing.py` and `layouts.py` call this module, which knows nothing about pairs.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import FileError, shown
from .opening import reading
from .registry import readers, suffix


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file in a folder.

    Attributes
    ----------
    name : str
        The path below the folder, with "/" on every system, in the Unicode form NFC.
    path : Path
        The path to open.
    suffix : str
        The suffix if a reader knows it, in lower case. Otherwise empty.
    regular : bool
        Whether the file is a regular file, or a folder that a reader takes as one file.
    """

    name: str
    path: Path
    suffix: str
    regular: bool

    @property
    def stem(self) -> str:
        """The name without its known suffix: `ulm/a` for `ulm/a.nii.gz`, `a.b` for `a.b.npy`."""
        return self.name[: len(self.name) - len(self.suffix)]


def composed(name: str) -> str:
    """Return the name in the Unicode form NFC. Some systems write an é as one character, others as two."""
    return unicodedata.normalize("NFC", name)


def is_store(path: Path) -> bool:
    """Whether a folder of this name is one file, as in Zarr."""
    reader = readers().get(suffix(path))
    return reader is not None and reader.folders


def files_in(folder: Path) -> list[Found]:
    """Return the files of the folder and of its sub-folders, sorted by name.

    Names that begin with a dot are skipped. So are the companions of a file, such as the `.raw` of an `.mhd`. Links to
    folders are followed, but no folder is listed twice. Without that rule, a loop of links would never end, and a few
    links that branch could list one file millions of times.
    """
    found: list[Found] = []
    seen: dict[str, Path] = {}
    waiting = [(folder, "")]
    while waiting:
        here, prefix = waiting.pop()
        _check_first_visit(here, seen)
        folders, files = _entries(here)
        waiting += [(here / name, f"{prefix}{name}/") for name in folders]
        found += [_found(here / name, prefix + name, regular) for name, regular in files.items()]
    return sorted(found, key=lambda file: file.name)


def _check_first_visit(folder: Path, seen: dict[str, Path]) -> None:
    with reading(folder):
        first = seen.setdefault(os.path.realpath(folder), folder)
    if first is not folder:
        raise FileError(
            f"{shown(folder)}: expected every folder once, got a link to {shown(first)}, which is already in the tree; "
            "remove the link"
        )


def _entries(folder: Path) -> tuple[list[str], dict[str, bool]]:
    """Return the names of the sub-folders, and of each file whether it is regular."""
    folders: list[str] = []
    files: dict[str, bool] = {}
    with reading(folder), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _holds(entry.is_dir):
                files[entry.name] = _holds(entry.is_file)
            elif is_store(Path(entry.name)):
                files[entry.name] = True
            else:
                folders.append(entry.name)
    for name in _companions(files):
        del files[name]
    return folders, files


def _holds(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link to itself, for example. The message comes from opening it, if it is needed at all.
        return False


def _companions(names: Iterable[str]) -> list[str]:
    """Return the names of files that belong to another file of the same stem in this folder."""
    ends = [(end, reader.suffixes) for reader in set(readers().values()) for end in reader.companions]
    lowered = {_lower_suffix(name) for name in names} if ends else set()
    return [
        name
        for name in names
        if any(
            name.lower().endswith(end) and any(name[: -len(end)] + main in lowered for main in mains if main != end)
            for end, mains in ends
        )
    ]


def _lower_suffix(name: str) -> str:
    end = suffix(Path(name))
    return name[: len(name) - len(end)] + end


def _found(path: Path, name: str, regular: bool) -> Found:
    end = suffix(path)
    return Found(name=composed(name), path=path, suffix=end if end in readers() else "", regular=regular)
