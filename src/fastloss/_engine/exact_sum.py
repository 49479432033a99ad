"""Exact sums of float64 numbers, which make the order and the grouping of merges irrelevant.

formula.py, windowed.py and passes.py call it. A sum is stored as an expansion: rows of float64 whose exact sum is the
value. Each row is what the rows before it leave over, rounded. This form is unique, so equal sums have equal bits,
whatever the order of the additions was.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from .._arrays import Array

MANY = 200  # from this many numbers on, passes over a column are faster than fsum
MANY_COUNTS = 4096  # from so many numbers on, a check that all are counts costs less than it may save
AT_ONCE = 64  # arrays to keep until they are merged
ZERO = np.zeros(())  # adding it takes 0.3 microseconds; adding 0.0 takes 0.5


def _expansion(numbers: list[float]) -> list[float]:
    """The rounded sum of `numbers` (math.fsum), then the sum of what is left over, until nothing is left."""
    try:
        parts = [math.fsum(numbers)]
        while math.isfinite(parts[-1]) and parts[-1] != 0:
            numbers.append(-parts[-1])
            parts.append(math.fsum(numbers))
        return parts[:-1] if len(parts) > 1 and parts[-1] == 0 else parts
    except (OverflowError, ValueError):  # inf - inf, or beyond the largest float64
        return [float(np.sum(numbers))]


def _split(column: Array) -> list[float]:
    """A few numbers whose exact sum is that of the column. They come from passes over the whole column.

    A pass adds a number far above all others, which cuts every number at the same bit. The upper parts are multiples of
    that bit, so their sum is exact in any order. The lower parts are left for the next pass (Rump, Ogita and Oishi
    2008, AccSum). A pass takes 53 bits, less the bits of the column's length.
    """
    parts: list[float] = []
    margin = math.frexp(len(column) + 2)[1]
    rest, upper = np.empty_like(column), np.empty_like(column)
    while len(parts) < 8:
        high, low = float(column.max()), float(column.min())
        if high == low and high.is_integer() and abs(high) * len(column) < 2**53:  # weights are all 1, or all is done
            return [*parts, high * len(column)]
        exponent = math.frexp(max(high, -low))[1] + margin
        if not (math.isfinite(high) and math.isfinite(low)) or exponent > 1023:
            break
        cut = math.ldexp(1.0, exponent)
        np.add(column, cut, out=upper)
        np.subtract(upper, cut, out=upper)
        parts.append(float(upper.sum()))
        column = np.subtract(column, upper, out=rest)
    return [*parts, *column.tolist()]


def _are_counts(stack: Array) -> bool:
    """Whether all numbers are whole and so small that their sums need no expansion, as in confusion matrices."""
    if not np.isfinite(stack).all() or (stack != np.rint(stack)).any():
        return False
    return bool(np.abs(stack).max(initial=0) * len(stack) < 2**53)


def exact_sum(rows: Iterable[Array]) -> Array:
    """The exact column sums of arrays of shape (n, k), as an expansion of shape (m, k). Without rows, they are 0."""
    many = list(rows)
    stack = many[0] if len(many) == 1 else np.concatenate(many)
    if len(stack) == 1:
        return stack + ZERO  # -0.0 becomes 0.0
    if len(stack) == 0:
        return np.zeros((1, stack.shape[1]))
    if stack.size >= MANY_COUNTS and _are_counts(stack):
        total: Array = stack.sum(axis=0, keepdims=True) + ZERO
        return total
    few = len(stack) < MANY
    columns = [_expansion(column.tolist() if few else _split(column)) for column in stack.T]
    out = np.zeros((max(map(len, columns), default=1), len(columns)))
    for k, parts in enumerate(columns):
        out[: len(parts), k] = parts
    return out


def exact_sum_of_many(rows: Iterable[Array]) -> Array:
    """`exact_sum` of an iterator, of which only a few arrays are kept at one time."""
    some: list[Array] = []
    for array in rows:
        some.append(array)
        if len(some) > AT_ONCE:
            some = [exact_sum(some)]
    return exact_sum(some)


class ExactTotal:
    """The exact sum of lists of arrays, element by element. Its bits do not depend on the order in which they come."""

    def __init__(self) -> None:
        self._rows: list[Array] = []
        self._shapes: list[tuple[int, ...]] = []

    def add(self, arrays: Sequence[Array]) -> None:
        """Add arrays, which have the same shapes each time."""
        self._shapes = [a.shape for a in arrays]
        self._rows.append(np.concatenate([a.ravel() for a in arrays])[None])
        if len(self._rows) > AT_ONCE:
            self._rows = [exact_sum(self._rows)]

    def take(self) -> list[Array]:
        """Return the sums, rounded to float64, and begin anew."""
        sizes = [math.prod(shape) for shape in self._shapes]
        flat = np.split(exact_sum(self._rows)[0], list(itertools.accumulate(sizes))[:-1])
        self._rows = []
        return [a.reshape(shape) for a, shape in zip(flat, self._shapes, strict=True)]
