"""Looks up each integer of an array in a small table, block by block, for `label_maps.py` and `regions.py`.

No temporary array is larger than a block, whatever the size and the layout of the array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .._faults import SLAB, first, position
from .stored import Array

UNKNOWN = -1
"""The code of values that are not in the table. No entry of a table has this code."""

LONGEST_TABLE = 2**20
"""The most entries of a table that is indexed by the value. Labels that lie further apart are found by bisection, which
takes four times as long (4096 x 4096 int32: 110 ms instead of 28 ms)."""

MOST_SHOWN = 8

Unknown = tuple[int, tuple[int, ...]]  # the value and its position
Look = Callable[[Array, Array], None]  # writes the codes of a block


def codes(
    values: Array, table: Mapping[int, int], others: int = UNKNOWN, start: tuple[int, ...] | None = None
) -> tuple[Array, Unknown | None]:
    """Return the code of each integer or bool: `table[value]`, or `others` if the table has no such value.

    The codes are int16, or int32 if one does not fit. They lie in memory in the order of the values. The second result
    is the first value with the code UNKNOWN, and its position if the array begins at `start` of a larger one.
    """
    kind = np.dtype(np.uint8) if values.dtype.kind == "b" else values.dtype.newbyteorder("=")
    out = np.empty_like(values, dtype=_code_dtype([*table.values(), others]), subok=False)
    look = _look(table, others, kind, out.dtype)
    complete = True

    def write(block: Array, found: Array) -> None:
        nonlocal complete
        look(block, found)
        complete = complete and not (found == UNKNOWN).any()

    each_block([values], out, write, kind)
    at = None if complete else first(lambda _, code: code == UNKNOWN, values, out)
    return out, None if at is None else (int(at[1]), placed(position(at[0], values.shape), start))


def placed(position: tuple[int, ...], start: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return a position in a part of an array as one in the whole array. The part begins at `start`."""
    return position if start is None else tuple(p + s for p, s in zip(position, start, strict=False))


def each_block(values: Sequence[Array], out: Array, write: Callable[..., None], kind: np.dtype[Any]) -> None:
    """Call `write(*blocks, block of out)` for all elements. Blocks are flat; those of the values have type `kind`."""
    flags: Any = ["external_loop", "buffered", "zerosize_ok"]
    modes: Any = [["readonly"]] * len(values) + [["writeonly"]]
    types = [kind] * len(values) + [out.dtype]
    with np.nditer([*values, out], flags, modes, types, buffersize=SLAB, casting="same_kind") as blocks:
        for block in blocks:
            write(*block)


def _code_dtype(all_codes: list[int]) -> type[np.int16 | np.int32]:
    return np.int16 if max(all_codes) <= np.iinfo(np.int16).max else np.int32


def _look(table: Mapping[int, int], others: int, kind: np.dtype[Any], out: np.dtype[Any]) -> Look:
    """Return the function that looks up a block of values of type `kind`."""
    limits = np.iinfo(kind)
    known = sorted(value for value in table if limits.min <= value <= limits.max)
    if kind.itemsize <= 2:  # the table has an entry for each value
        low, high = limits.min, limits.max
    elif known:  # and here an entry at each end for all values outside
        low, high = max(known[0] - 1, limits.min), min(known[-1] + 1, limits.max)
    else:
        low, high = 0, 0
    if high - low >= LONGEST_TABLE:
        return _bisection(np.array(known, kind), np.array([table[value] for value in known], out), others)
    entries = np.full(high - low + 1, others, out)
    for value in known:
        entries[value - low] = table[value]

    def look(block: Array, found: Array) -> None:
        # mode="clip" writes into `found` without a copy, and is safe if another process changes a mapped file
        if kind.itemsize <= 2:
            block = block.astype(np.intp) - low if low else block
        else:
            block = (np.clip(block, kind.type(low), kind.type(high)) - kind.type(low)).astype(np.intp)
        np.take(entries, block, out=found, mode="clip")

    return look


def _bisection(known: Array, entries: Array, others: int) -> Look:
    def look(block: Array, found: Array) -> None:
        at = np.searchsorted(known, block)
        np.take(entries, at, out=found, mode="clip")
        found[known.take(at, mode="clip") != block] = others

    return look


def listed(labels: Iterable[int]) -> str:
    """Return the labels as text, runs in short: `0..33, 255`. At most MOST_SHOWN runs are written out."""
    ordered = sorted(set(labels))
    starts = [0, *[k + 1 for k, (a, b) in enumerate(pairwise(ordered)) if b != a + 1], len(ordered)]
    runs = [ordered[start:end] for start, end in pairwise(starts) if end > start]
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs]
    return ", ".join(texts if len(texts) <= MOST_SHOWN else [*texts[:MOST_SHOWN], "..."])
