"""Pairs each prediction with its mask: two files, or two folders whose files are matched by name.

This module opens no file that is regular.
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import FileError, shown
from .folders import Found, composed, files_in, is_store
from .layouts import Layout
from .opening import opened, reading
from .patterns import Pattern, compiled
from .registry import readers, suffix

WAYS_OUT = 'give `layout="nnunet"` if nnU-Net wrote these files, or name those to evaluate with `match=`'


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A prediction and its mask.

    Attributes
    ----------
    name : str
        The image's name: its id in the pattern, or the path below the folder without the suffix, with "/".
    prediction, target : Path
        The two files.
    """

    name: str
    prediction: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class Paired:
    """All pairs, sorted by name, and notes about files that were left out."""

    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Side:
    """The predictions, or the masks."""

    what: str
    folder: Path
    patterns: tuple[Pattern, ...] = ()

    def expected(self, name: str) -> str:
        """Return the name that the file of an image must have, for messages."""
        return " or ".join(shown(pattern.named(name)) for pattern in self.patterns) or f"{shown(name)}.*"


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """The file of each image on one side, and the files that are left out."""

    files: dict[str, Path]
    unnamed: tuple[Found, ...] = ()  # no pattern matches
    second: tuple[Found, ...] = ()  # an earlier pattern matches another file of the image


def pair_files(
    predictions: Path,
    targets: Path,
    *,
    match: tuple[str, str] | None = None,
    layout: Layout | None = None,
) -> Paired:
    """Pair two files, or the files of two folders. A file without a partner is an error.

    Parameters
    ----------
    predictions, targets : Path
        Two files or two folders. Sub-folders are searched. Names that begin with a dot are skipped.
    match : pair of str, default None
        The pattern of the predictions' names and that of the masks' names, as in `patterns.py`. Files that match no
        pattern are left out, with a note. None: the patterns of the layout. Without a layout, two files belong together
        if their paths below the folders are equal without the suffixes.
    layout : Layout, default None
        The layout, whose patterns apply if `match` is None.

    Returns
    -------
    Paired
        The pairs, and notes about files that were left out.

    Raises
    ------
    FileError
        If a file has no partner, or several that fit, or no known format.
    """
    kinds = ["a folder" if _is_folder(path) else "a file" for path in (predictions, targets)]
    if kinds[0] != kinds[1]:
        raise FileError(
            "predictions and targets: expected two files or two folders, "
            f"got {kinds[0]} ({shown(predictions)}) and {kinds[1]} ({shown(targets)})"
        )
    if kinds[0] == "a file":
        if match is not None:
            raise FileError(f"`match=`: expected two folders, got two files, such as {shown(predictions)}")
        _check_format(predictions, "prediction")
        _check_format(targets, "mask")
        return Paired(pairs=(Pair(name=stem(predictions), prediction=predictions, target=targets),), notes=())
    if match is None and layout is None:
        sides = (_Side(what="prediction", folder=predictions), _Side(what="mask", folder=targets))
        return _paired(sides, [_by_stem(side) for side in sides])
    sides = _sides(predictions, targets, match, layout)
    return _paired(sides, [_by_pattern(side, sides) for side in sides])


def stem(path: Path) -> str:
    """Return the file's name without its suffix: `a` for `a.nii.gz`, `a.b` for `a.b.npy`."""
    return composed(path.name[: len(path.name) - len(suffix(path))])


def _is_folder(path: Path) -> bool:
    with reading(path):
        try:
            return stat.S_ISDIR(path.stat().st_mode) and not is_store(path)
        except (FileNotFoundError, NotADirectoryError):
            raise FileError(f"{shown(path)}: no such file or folder") from None


def _check_format(path: Path, what: str, hint: str = "") -> None:
    if suffix(path) not in readers():
        got = shown(suffix(path)) or "no extension"
        raise FileError(f"{shown(path)}: expected a {what} file ({', '.join(readers())}), got {got}{hint}")


def _check_regular(file: Found) -> None:
    """Refuse a pipe, a socket or a link to nothing now, not when its turn comes in the evaluation."""
    if not file.regular:
        with opened(file.path):
            pass


def _by_stem(side: _Side) -> _Chosen:
    found: dict[str, Path] = {}
    for file in files_in(side.folder):
        _check_format(file.path, side.what, "; leave files out with `match=`")
        _check_regular(file)
        first = found.setdefault(file.stem, file.path)
        if first is not file.path:
            raise FileError(f"{shown(file.path)}: expected one file per stem, got {shown(first)} as well; {WAYS_OUT}")
    return _Chosen(files=found)


def _sides(
    predictions: Path, targets: Path, match: tuple[str, str] | None, layout: Layout | None
) -> tuple[_Side, _Side]:
    if match is None:
        assert layout is not None
        left, right = layout.patterns
    else:
        if isinstance(match, str) or len(match) != 2 or not all(isinstance(text, str) for text in match):
            raise FileError(f"`match=`: expected two patterns, that of predictions and that of masks, got {match!r}")
        left, right = (match[0],), (match[1],)
    return (
        _Side(what="prediction", folder=predictions, patterns=tuple(compiled(text, "`match=`") for text in left)),
        _Side(what="mask", folder=targets, patterns=tuple(compiled(text, "`match=`") for text in right)),
    )


def _by_pattern(side: _Side, sides: Sequence[_Side]) -> _Chosen:
    by_pattern: list[dict[str, Found]] = [{} for _ in side.patterns]
    unnamed = []
    for file in files_in(side.folder):
        ids = ((at, pattern.id_of(file)) for at, pattern in enumerate(side.patterns))
        at, name = next(((at, name) for at, name in ids if name is not None), (0, None))
        if name is None:
            unnamed.append(file)
            continue
        first = by_pattern[at].setdefault(name, file)
        if first is not file:
            raise FileError(
                f"{shown(file.path)}: expected one {side.what} file per image, got {shown(first.path)} as well, and "
                f"{shown(side.patterns[at].text)} gives both the id {shown(name)}; give a narrower `match=`"
            )
    chosen: dict[str, Found] = {}
    used = {}
    second = []
    for pattern, files in zip(side.patterns, by_pattern, strict=True):
        new = {name: file for name, file in files.items() if name not in chosen}
        second += [file for name, file in files.items() if name in chosen]
        if new:
            used[pattern.text] = list(new)
        chosen |= new
    if len(used) > 1:
        raise _mixed(side, used, sides)
    if not chosen:
        expected = " or ".join(shown(pattern.text) for pattern in side.patterns)
        raise FileError(
            f"{shown(side.folder)}: expected at least one {side.what} named {expected}, got none among "
            f"{len(unnamed)} files{_listed(unnamed)}"
        )
    for file in chosen.values():
        _check_regular(file)
    return _Chosen(
        files={name: file.path for name, file in chosen.items()}, unnamed=tuple(unnamed), second=tuple(second)
    )


def _mixed(side: _Side, used: dict[str, list[str]], sides: Sequence[_Side]) -> FileError:
    """Images whose files have different names may hold numbers of different kinds, which must not share a table."""
    groups = [f"{len(names)} named {shown(text)} ({_some(sorted(names))})" for text, names in used.items()]
    last = list(used)[-1]
    match = [last if other is side else other.patterns[0].text for other in sides]
    return FileError(
        f"{shown(side.folder)}: expected the {side.what} files of all images to be named alike, got "
        f"{' and only '.join(groups)}; choose with `match=`, such as `match=({shown(match[0])!r}, {shown(match[1])!r})`"
    )


def _paired(sides: Sequence[_Side], chosen: Sequence[_Chosen]) -> Paired:
    left, right = (side.files for side in chosen)
    lines = _without_partner(left, right, sides[1]) + _without_partner(right, left, sides[0])
    if lines:
        more = [f"and {len(lines) - 10} more files without a partner"] if len(lines) > 10 else []
        raise FileError("\n".join(lines[:10] + more))
    if not left:
        raise FileError(f"{shown(sides[0].folder)}: expected at least one file to evaluate, got an empty folder")
    pairs = tuple(Pair(name=name, prediction=left[name], target=right[name]) for name in sorted(left))
    taken = {*left.values(), *right.values()}  # predictions and masks may be in one folder
    return Paired(pairs=pairs, notes=tuple(_notes(sides, chosen, taken)))


def _without_partner(files: dict[str, Path], others: dict[str, Path], other: _Side) -> list[str]:
    folded = {name.casefold(): path for name, path in others.items() if name not in files}
    lines = []
    for name in sorted(files.keys() - others.keys()):
        line = f"{shown(files[name])}: expected a partner named {other.expected(name)} in {shown(other.folder)}, found "
        near = folded.get(name.casefold())
        lines.append(line + (f"{shown(near)}, which differs in upper and lower case" if near else "none"))
    return lines


def _notes(sides: Sequence[_Side], chosen: Sequence[_Chosen], taken: set[Path]) -> list[str]:
    notes = []
    for side, files in zip(sides, chosen, strict=True):
        unnamed = [file for file in files.unnamed if file.path not in taken]
        second = [file for file in files.second if file.path not in taken]
        if unnamed:
            match = "match" if len(unnamed) > 1 else "matches"
            notes.append(f"{_count(unnamed, side)} {match} no pattern and {_left_out(unnamed)}")
        if second:
            have = "belong to images" if len(second) > 1 else "belongs to an image"
            notes.append(f"{_count(second, side)} {have} with another {side.what} file and {_left_out(second)}")
    return notes


def _count(files: Sequence[Found], side: _Side) -> str:
    return f"{len(files)} file{'s' if len(files) > 1 else ''} in {shown(side.folder)}"


def _left_out(files: Sequence[Found]) -> str:
    return f"{'are' if len(files) > 1 else 'is'} left out{_listed(files)}"


def _listed(files: Sequence[Found]) -> str:
    return f": {_some([file.name for file in files])}" if files else ""


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(shown(name) for name in names[:5]) + more
