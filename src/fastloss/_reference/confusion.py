"""Counts of predicted and true classes, as in kernels/confusion.h. _backend.count calls it with checked arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .._arrays import Array, real_dtype
from .._batch import Batch
from .._predictions import is_one_of
from .._terms import BY_CLASS, Rule

BLOCK_ELEMENTS = 1 << 19


class Pixels(NamedTuple):
    """A block of pixels of one image."""

    x: Array  # (C, P), or (P,) for a label map
    y: Array  # labels (P,), with the class of label `base`, or dense (C, P)
    keep: Array  # (P,), or (C, P) with weights by class
    bad: bool  # whether a weight is neither 0 nor 1


def confusion(batch: Batch, rule: int, level: float, matrix: bool) -> tuple[Array, bool]:
    """Count the pixels of each image, and return (counts, whether an element is bad).

    The counts are int64 of shape (N, C * C), the pixels by target and prediction, with `matrix`. Otherwise they are of
    shape (N, 4 * C): for each class, the pixels of the class in both, in the prediction, in the target, and all.
    """
    C = batch.classes
    counts = np.zeros((batch.samples, C * C if matrix else BY_CLASS * C), np.int64)
    with np.errstate(all="ignore"):
        for n in range(batch.samples):
            for pixels in _blocks(batch, n):
                found = _counted(batch, pixels, rule, level, matrix)
                if found is None:
                    return counts, True
                counts[n] += found
    return counts, False


def _blocks(batch: Batch, n: int) -> Iterator[Pixels]:
    """Yield the pixels of an image, in blocks of bounded size."""
    C, real = batch.classes, real_dtype(batch.input.dtype)
    assert batch.target is not None
    x = batch.input[n, 0].reshape(-1) if batch.label_map else batch.input[n].reshape(C, -1)
    y = batch.target[n].reshape(-1) if batch.labels else batch.target[n].reshape(C, -1)
    w = (
        None
        if batch.weight is None
        else batch.weight[n].reshape(*batch.weight.shape[1 : 1 + batch.weight_by_class], -1)
    )
    step = max(1, BLOCK_ELEMENTS // C)
    for start in range(0, batch.pixels, step):
        cut = (..., slice(start, start + step))
        weight = np.ones(y[cut].shape[-1:], real) if w is None else w[cut].astype(real)
        keep = weight > 0
        if batch.labels:
            keep = keep & ~is_one_of(y[cut], batch.ignored)
        yield Pixels(
            x[cut] if batch.label_map else x[cut].astype(real),
            y[cut],
            keep,
            bool(((weight != 0) & (weight != 1)).any()),
        )


def _counted(batch: Batch, pixels: Pixels, rule: int, level: float, matrix: bool) -> Array | None:
    """The counts of a block, or None if an element is bad."""
    C, (x, y, keep, bad) = batch.classes, pixels
    classes = np.arange(C)[:, None]
    if batch.labels:
        inside = (y >= 0) & (y < C + batch.label_base)
        label = np.where(inside, y.astype(np.int64) - batch.label_base, -1)
        bad |= bool((~inside & keep).any())
        of_target = label == classes
    else:
        y = y.astype(real_dtype(batch.input.dtype))
        bad |= bool(((y != 0) & (y != 1) & keep).any())
        of_target = y == 1
    if rule == Rule.LABELS:
        predicted = np.where((x >= 0) & (x < C), x.astype(np.int64), -1)
        bad |= bool(((predicted < 0) & keep).any())
    else:
        bad |= bool((np.isnan(x) & keep).any())
        predicted = x.argmax(axis=0)
    if bad:
        return None
    if matrix:
        assert batch.labels
        assert rule != Rule.ABOVE
        return np.bincount((label * C + predicted)[keep], minlength=C * C)
    of_input = x > x.dtype.type(level) if rule == Rule.ABOVE else predicted == classes
    masks = of_input & of_target & keep, of_input & keep, of_target & keep, np.broadcast_to(keep, of_target.shape)
    return np.concatenate([mask.sum(axis=1, dtype=np.int64) for mask in masks])
