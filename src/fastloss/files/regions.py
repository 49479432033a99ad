"""Regions: classes that overlap, each the union of some labels of a mask, as in BraTS: `wt=1+2+3,tc=2+3,et=3`.

`archive/` calls this module, which opens no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np

from .errors import FileError, printable, shown
from .lookup import codes, each_block, listed
from .stored import Array

LONGEST = 1000
"""The most characters of the text. No real text is nearly as long."""

LABEL = re.compile(r"-?[0-9]{1,19}")
LOWEST, HIGHEST = -(2**63), 2**64 - 1  # of all integer types


@dataclass(frozen=True)
class Regions:
    """Named sets of labels, which may overlap.

    Attributes
    ----------
    names : tuple of str
        The names.
    members : tuple of frozenset of int
        The labels of each region.
    """

    names: tuple[str, ...]
    members: tuple[frozenset[int], ...]

    def apply(self, labels: Array, ignored: Collection[int], path: Path, start: tuple[int, ...] | None = None) -> Array:
        """Return whether each pixel is in each region.

        Parameters
        ----------
        labels : array of any integer or bool dtype, shape S, any layout
            The mask.
        ignored : collection of int
            Labels that the caller ignores. They are in a region only if the region names them.
        path : Path
            The file, for messages.
        start : tuple of int, default None
            The position of the first label in the file, for messages. None: the labels are the whole file.

        Returns
        -------
        bool array, shape (R, *S)
            One mask per region.

        Raises
        ------
        FileError
            At the first label that is in no region, not 0 and not ignored.
        """
        if labels.dtype.kind not in "iub":
            raise FileError(f"{shown(path)}: expected integer labels, got {labels.dtype}")
        known = {0, *map(int, ignored)}.union(*self.members)
        # Each set of regions that a label can be in has a code.
        sets = {label: tuple(label in members for members in self.members) for label in known}
        kinds = {inside: code for code, inside in enumerate(dict.fromkeys(sets.values()))}
        found, unknown = codes(labels, {label: kinds[inside] for label, inside in sets.items()}, start=start)
        if unknown is not None:
            label, at = unknown
            raise FileError(
                f"{shown(path)}: expected labels of the regions ({listed(known)}), got {label} at {at}; name it in "
                f"`regions=`, or ignore it with `ignore_index={label}`"
            )
        out = np.empty((len(self.members), *labels.shape), np.bool_)
        for region, inside in enumerate(np.array(list(kinds), np.bool_).T):
            each_block([found], out[region, ...], _taking(inside), found.dtype)
        return out


def _taking(inside: Array) -> Callable[[Array, Array], None]:
    def take(block: Array, out: Array) -> None:
        np.take(inside, block, out=out, mode="clip")

    return take


def parse_regions(text: str | Mapping[str, Sequence[int]]) -> Regions:
    """Return the regions that the text `wt=1+2+3,tc=2+3,et=3` or the mapping `{"wt": [1, 2, 3], ...}` describes."""
    found = _from_text(text) if isinstance(text, str) else _from_mapping(text)
    return Regions(names=tuple(found), members=tuple(found.values()))


def _from_text(text: str) -> dict[str, frozenset[int]]:
    if len(text) > LONGEST:
        raise FileError(f"`regions=`: expected at most {LONGEST} characters, got {len(text)}")
    found: dict[str, frozenset[int]] = {}
    for start, part in _parts(text, 0, ","):
        named, equals, members = part.partition("=")
        name = named.strip()
        if not equals:
            raise _pointed("expected a region such as wt=1+2+3", text, start, part)
        if not name or not name.isprintable():
            raise _pointed("expected the name of a region before =", text, start, named)
        if name in found:
            raise _pointed(f"expected each region once, got {name} twice", text, start, named)
        labels: set[int] = set()
        for at, member in _parts(members, start + len(named) + 1, "+"):
            label = int(member) if LABEL.fullmatch(member.strip()) else None
            if label is None or label < LOWEST:
                raise _pointed(f"expected an integer label in region {name}", text, at, member)
            if label in labels:
                raise _pointed(f"expected each label once in region {name}", text, at, member)
            labels.add(label)
        found[name] = frozenset(labels)
    return found


def _parts(text: str, start: int, separator: str) -> Iterator[tuple[int, str]]:
    """Yield the parts between separators, each with its place, where `text` begins at `start`."""
    for part in text.split(separator):
        yield start, part
        start += len(part) + 1


def _pointed(message: str, text: str, start: int, part: str) -> FileError:
    """Return the error, with the part of the text underlined."""
    inner = part.strip()
    start += len(part) - len(part.lstrip()) if inner else 0
    before, marked = len(printable(text[:start])), len(printable(inner or part))
    return FileError(f"`regions=`: {message}\n    {printable(text)}\n    {' ' * before}{'^' * max(marked, 1)}")


def _from_mapping(given: Mapping[str, Sequence[int]]) -> dict[str, frozenset[int]]:
    found: dict[str, frozenset[int]] = {}
    for name, labels in given.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise FileError(f"`regions=`: expected the name of a region, got {printable(repr(name))}")
        if name.strip() in found:
            raise FileError(f"`regions=`: expected each region once, got {name.strip()} twice")
        if isinstance(labels, str | bytes) or not isinstance(labels, Sequence) or not labels:
            raise FileError(f"`regions=`: expected labels such as [1, 2, 3] for {name}, got {printable(repr(labels))}")
        for label in labels:
            if isinstance(label, bool | np.bool_) or not isinstance(label, Integral) or not LOWEST <= label <= HIGHEST:
                raise FileError(f"`regions=`: expected integer labels for {name}, got {printable(repr(label))}")
        if len(set(labels)) < len(labels):
            raise FileError(f"`regions=`: expected each label once for {name}, got {printable(repr(labels))}")
        found[name.strip()] = frozenset(map(int, labels))
    if not found:
        raise FileError("`regions=`: expected at least one region, got none")
    return found
