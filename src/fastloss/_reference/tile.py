"""A block of pixels as the formulas see it, and its softmax, as in kernels/tile.h and kernels/softmax.h.

driver.py makes the tiles, and all formulas take them. A tile knows no loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array


@dataclass(slots=True)
class Tile:
    """A block of pixels, ready for the formulas. It holds pixels of one group, or several whole groups."""

    groups: slice
    each: int  # the number of pixels per group in the block
    x: Array  # (C, P)
    label: Array | None  # (P,), the class of each pixel, or -1
    y: Array | None  # (C, P), the dense target, or the labels as one-hot
    w: Array  # (P,), 0 where the pixel does not count
    wc: Array | None  # (C, P), weights by class
    maps: Array | None  # (C, P), weights by class that some losses take
    output: Array | None  # (C, P) or (P,), which receives the block's gradient or map

    @property
    def members(self) -> int:
        """The number of groups in the block."""
        return int(self.groups.stop - self.groups.start)

    def sums(self, rows: Array) -> Array:
        """Sum rows (n, P) over the pixels of each group, and return (members, n).

        The result is contiguous, so sums over n have the same order of additions for every group.
        """
        return np.ascontiguousarray(rows.reshape(len(rows), self.members, self.each).sum(axis=2, dtype=np.float64).T)

    @property
    def weights(self) -> Array:
        """The pixel weights as (1, P), or as (C, P) if they are by class."""
        return self.w[None] if self.wc is None else self.wc


@dataclass(slots=True)
class Params:
    """A term's parameters `k[0]`, `k[1]`, ..., in the order of its loss. Each is a number or an array (C, 1)."""

    values: list[Any]
    weight: Array  # class weights, (C, 1)

    def __getitem__(self, k: int) -> Any:
        return self.values[k]

    @property
    def share(self) -> float:
        """1 / C, the share of one class in a mean over classes."""
        return 1 / len(self.weight)


def softmax_parts(x: Array) -> tuple[Array, Array, Array, Array]:
    """The maximum m over classes, e = exp(x - m), s = sum of e, and z, the sum of e without the (first) maximum's e.

    log1p(z) is log s, and keeps its digits where s is near 1.
    """
    m = x.max(axis=0)
    e = np.exp(x - np.where(np.isneginf(m), 0, m))
    first = np.arange(len(x))[:, None] == x.argmax(axis=0)
    return m, e, e.sum(axis=0), np.where(first & ~np.isnan(e), 0, e).sum(axis=0)
