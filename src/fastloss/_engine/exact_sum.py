"""Exact sums of float64 numbers, so that order and grouping of merges never matter.

A sum is held as an expansion: rows of float64 whose exact sum is the value, each row the rounded remainder of those
before it. That form is unique, so equal sums have equal bits, however they were reached. Called by formula.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from .._arrays import Array

MANY = 200  # numbers from which passes over a column are faster than fsum
ZERO = np.zeros(())  # adding it takes 0.3 microseconds, adding 0.0 half of one


def _expansion(numbers: list[float]) -> list[float]:
    """The exact sum of `numbers` (math.fsum), then that of the rounding error, until none is left."""
    try:
        parts = [math.fsum(numbers)]
        while math.isfinite(parts[-1]) and parts[-1] != 0:
            numbers.append(-parts[-1])
            parts.append(math.fsum(numbers))
        return parts[:-1] if len(parts) > 1 and parts[-1] == 0 else parts
    except (OverflowError, ValueError):  # inf - inf, or beyond the largest float64
        return [float(np.sum(numbers))]


def _split(column: Array) -> list[float]:
    """A few numbers whose exact sum is that of the column, by passes over it as a whole.

    Adding a number far above all others cuts each at the same bit. The upper parts are multiples of that bit, so their
    sum is exact in any order; the lower parts are left for the next pass (Rump, Ogita and Oishi 2008, AccSum). A pass
    takes 53 bits less those of the length.
    """
    parts: list[float] = []
    margin = math.frexp(len(column) + 2)[1]
    rest, upper = np.empty_like(column), np.empty_like(column)
    while len(parts) < 8:
        high, low = float(column.max()), float(column.min())
        if high == low and high.is_integer() and abs(high) * len(column) < 2**53:  # weights of 1, or nothing left
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


def exact_sum(rows: Iterable[Array]) -> Array:
    """The expansion, of shape (m, k), of the exact column sums of arrays of shape (n, k); of no rows it is 0."""
    many = list(rows)
    stack = many[0] if len(many) == 1 else np.concatenate(many)
    if len(stack) == 1:
        return stack + ZERO  # -0.0 becomes 0.0
    if len(stack) == 0:
        return np.zeros((1, stack.shape[1]))
    few = len(stack) < MANY
    columns = [_expansion(column.tolist() if few else _split(column)) for column in stack.T]
    out = np.zeros((max(map(len, columns), default=1), len(columns)))
    for k, parts in enumerate(columns):
        out[: len(parts), k] = parts
    return out
