"""Numbers as shapes: how values are distributed, and intervals, as the coordinates of small SVG drawings.

A drawing is WIDTH x HEIGHT and is stretched to its cell of a table, so its text is HTML. `page.py` and `comparison.py`
call this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._arrays import Array

WIDTH, HEIGHT = 400, 24
MOST_DOTS = 60
"""With more values, a row shows the outline of their distribution instead of a dot for each."""

MOST_DOTS_OF_A_PAGE = 8000
"""A dot takes 100 bytes, since it has the name of its image."""

BINS = 50


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The range of values that all rows of a table share.

    Attributes
    ----------
    low, high : float
        The ends.
    ticks : tuple of float
        Round numbers between them.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """Return the coordinate of a value."""
        return round((value - self.low) / (self.high - self.low) * WIDTH, 1)

    @property
    def grid(self) -> str:
        """The path of the lines at the ticks."""
        return "".join(f"M{self.x(tick):g} 0v{HEIGHT}" for tick in self.ticks)

    def percent(self, value: float) -> float:
        """Return the place of a value in percent of the width."""
        return round(self.x(value) / WIDTH * 100, 2)


@dataclass(frozen=True, kw_only=True)
class Row:
    """The distribution of some values.

    Attributes
    ----------
    name : str
        The name of the row.
    count : int
        The number of finite values.
    quartiles : tuple of five floats
        The smallest value, the quartiles, and the largest value; nan if there are none.
    box : tuple of three floats
        The coordinates of the quartiles.
    dots : tuple of (float, float, int)
        The coordinates of each value, and its position among all values. Empty: `outline` shows them.
    outline : str
        The path of the outline, whose height is the number of values in each of BINS intervals.
    """

    name: str
    count: int
    quartiles: tuple[float, ...]
    box: tuple[float, ...] = ()
    dots: tuple[tuple[float, float, int], ...] = ()
    outline: str = ""


def axis_of(values: Array) -> Axis:
    """Return the range of the finite values, with round numbers in it."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        low, high = low - 0.5 * max(abs(low), 1e-3), high + 0.5 * max(abs(high), 1e-3)
    pad = 0.02 * (high - low)
    low, high = low - pad, high + pad
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 5)
    first, last = math.ceil(low / step), math.floor(high / step)
    return Axis(low=low, high=high, ticks=tuple(k * step for k in range(first, last + 1)))


def shows_dots(images: int, rows: int) -> bool:
    """Return whether the rows of a page show a dot per image."""
    return images <= MOST_DOTS and images * rows <= MOST_DOTS_OF_A_PAGE


def rows_of(names: Sequence[str], columns: Sequence[Array], dots: bool) -> tuple[Axis, list[Row]]:
    """Return one row for each name, and the range that they share.

    Parameters
    ----------
    names : sequence of str
        The names of the rows.
    columns : sequence of array
        The values of each row. Those that are not finite are left out.
    dots : bool
        Whether a row shows a dot for each value, and not an outline.

    Returns
    -------
    axis : Axis
        The range.
    rows : list of Row
        The rows.
    """
    axis = axis_of(np.concatenate([np.zeros(0), *columns]))
    pairs = zip(names, columns, strict=True)
    return axis, [_row(name, np.asarray(values, float), axis, dots) for name, values in pairs]


def _row(name: str, values: Array, axis: Axis, dots: bool) -> Row:
    kept = np.flatnonzero(np.isfinite(values))
    finite = values[kept]
    if not finite.size:
        return Row(name=name, count=0, quartiles=(math.nan,) * 5)
    quartiles = tuple(np.percentile(finite, (0, 25, 50, 75, 100)).tolist())
    return Row(
        name=name,
        count=int(finite.size),
        quartiles=quartiles,
        box=tuple(axis.x(value) for value in quartiles[1:4]),
        dots=tuple((axis.x(values[k]), 6 + 5 * (k * 7 % 13) / 6, int(k)) for k in kept) if dots else (),
        outline="" if dots else _outline(finite, axis),
    )


def _outline(values: Array, axis: Axis) -> str:
    """Return a path of steps: above the middle to the right, and below it back."""
    counts, _ = np.histogram(values, BINS, (axis.low, axis.high))
    heights = [round(h, 1) for h in (counts / counts.max() * (HEIGHT / 2 - 1)).tolist()]
    step = WIDTH // BINS
    upper = "".join(f"V{HEIGHT / 2 - h:g}h{step}" for h in heights)
    lower = "".join(f"V{HEIGHT / 2 + h:g}h-{step}" for h in heights[::-1])
    return f"M0 {HEIGHT // 2}{upper}{lower}Z"
