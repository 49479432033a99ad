"""Pairs each prediction with its mask: two files, or two folders whose files are matched by stem.

`app.py` calls this module, which opens no file.
"""

import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import UserError, shown
from .formats import MASKS, PREDICTIONS, Opener, suffix
from .opening import reading


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A prediction and its mask."""

    name: str
    prediction: Path
    target: Path


def pairs(predictions: Path, targets: Path) -> list[Pair]:
    """Pair two files, or the files of two folders by stem. A file without a partner is an error."""
    kinds = ["a folder" if _is_folder(path) else "a file" for path in (predictions, targets)]
    if kinds[0] != kinds[1]:
        raise UserError(
            "PREDICTIONS and TARGETS: expected two files or two folders, "
            f"got {kinds[0]} ({shown(predictions)}) and {kinds[1]} ({shown(targets)})"
        )
    if kinds[0] == "a file":
        _check_suffix(predictions, PREDICTIONS, "prediction")
        _check_suffix(targets, MASKS, "mask")
        return [Pair(name=stem(predictions), prediction=predictions, target=targets)]
    return _matched(predictions, targets)


def _is_folder(path: Path) -> bool:
    with reading(path):
        try:
            return stat.S_ISDIR(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{shown(path)}: no such file or folder") from None


def _matched(predictions: Path, targets: Path) -> list[Pair]:
    left = _by_stem(predictions, PREDICTIONS, "prediction")
    right = _by_stem(targets, MASKS, "mask")
    single = [(left[name], targets) for name in left if name not in right]
    single += [(right[name], predictions) for name in right if name not in left]
    if single:
        lines = [
            f"{shown(path)}: expected a partner named {shown(stem(path))}.* in {shown(folder)}, found none"
            for path, folder in single
        ]
        more = [f"and {len(lines) - 10} more files without a partner"] if len(lines) > 10 else []
        raise UserError("\n".join(lines[:10] + more))
    if not left:
        raise UserError(f"{shown(predictions)}: expected at least one file to evaluate, got an empty folder")
    return [Pair(name=name, prediction=left[name], target=right[name]) for name in sorted(left)]


def _by_stem(folder: Path, readers: Mapping[str, Opener], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    with reading(folder):
        paths = sorted(folder.iterdir())
    for path in paths:
        if path.name.startswith("."):
            continue
        if _is_folder(path):
            raise UserError(f"{shown(path)}: expected only files in the {what} folder, got a folder; move it elsewhere")
        _check_suffix(path, readers, what)
        first = found.setdefault(stem(path), path)
        if first is not path:
            raise UserError(f"{shown(path)}: expected one file per stem, got {shown(first)} as well; remove one")
    return found


def _check_suffix(path: Path, readers: Mapping[str, Opener], what: str) -> None:
    if suffix(path) not in readers:
        got = suffix(path) or "no extension"
        raise UserError(f"{shown(path)}: expected a {what} file ({', '.join(readers)}), got {got}")


def stem(path: Path) -> str:
    """Return the name without its extension: `a` for `a.nii.gz`, `a.b` for `a.b.npy`.

    Some systems write an é as one character, others as two characters. Both spellings give the same stem.
    """
    return unicodedata.normalize("NFC", path.name[: len(path.name) - len(suffix(path))])
