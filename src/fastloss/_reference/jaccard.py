"""How much the Jaccard index of a class falls at each wrong pixel, as in csrc/driver/jaccard.c."""

from __future__ import annotations

import numpy as np

from .._arrays import Array


def jaccard_falls(keys: Array, target: Array, weight: Array | None, total: float, out: Array) -> None:
    """Write to `out` how much the index falls at each pixel, divided by the pixel's weight.

    keys: the wrong pixels, from the largest error on; the lower 32 bits are the index of a pixel. target: whether each
    pixel belongs to the class. total: the weight of all pixels of the class.
    """
    at = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    own = target[at]
    w = np.ones(len(at)) if weight is None else weight[at]
    inside = total - np.cumsum(np.where(own, w, 0))
    union = total + np.cumsum(np.where(own, 0, w))
    if total == 0:  # the first wrong pixel takes the index from 1 to 0, and the others leave it there
        out[at] = 0
        out[at[:1]] = 1 / union[:1]
        return
    before = np.where(own, union, union - w)
    out[at] = np.where(own, 1, np.maximum(inside, 0) / np.maximum(before, total)) / union
