"""Which prediction belongs to which mask: two files, or two folders whose files are matched by stem.

Called by `app.py`; opens no file.
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
    """The pairs of two files, or of two folders: matched by stem. A file without a partner is an error."""
    kinds = ["a folder" if _is_folder(path) else "a file" for path in (predictions, targets)]
    if kinds[0] != kinds[1]:
        raise UserError(
            f"predictions {shown(predictions)} is {kinds[0]}, targets {shown(targets)} is {kinds[1]}: "
            "give two files or two folders"
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
    alone = [(left[name], targets) for name in left if name not in right]
    alone += [(right[name], predictions) for name in right if name not in left]
    if alone:
        lines = [f"{shown(path)}: no partner named {shown(stem(path))}.* in {shown(folder)}" for path, folder in alone]
        more = [f"and {len(lines) - 10} more files without a partner"] if len(lines) > 10 else []
        raise UserError("\n".join(lines[:10] + more))
    if not left:
        raise UserError(f"{shown(predictions)}: no file to evaluate in this folder")
    return [Pair(name=name, prediction=left[name], target=right[name]) for name in sorted(left)]


def _by_stem(folder: Path, readers: Mapping[str, Opener], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    with reading(folder):
        paths = sorted(folder.iterdir())
    for path in paths:
        if path.name.startswith("."):
            continue
        if _is_folder(path):
            raise UserError(f"{shown(path)}: a folder inside the {what} folder; only files are matched")
        _check_suffix(path, readers, what)
        twin = found.setdefault(stem(path), path)
        if twin is not path:
            raise UserError(f"{shown(path)}: {shown(twin)} has the same stem; which of the two is meant?")
    return found


def _check_suffix(path: Path, readers: Mapping[str, Opener], what: str) -> None:
    if suffix(path) not in readers:
        got = suffix(path) or "no extension"
        raise UserError(f"{shown(path)}: not a {what} file: expected {', '.join(readers)}, got {got}")


def stem(path: Path) -> str:
    """The name without its extension: `a` for `a.nii.gz`, `a.b` for `a.b.npy`; alike for an é of one or two characters,
    as other systems write it."""
    return unicodedata.normalize("NFC", path.name[: len(path.name) - len(suffix(path))])
