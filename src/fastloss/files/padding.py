"""Padding: completes an image whose format leaves out empty slices, such as DICOM SEG, to the grid of its partner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .geometry import ROUNDING, Axes, frame_of
from .stored import Array, Stored, Window


def completed(sparse: Stored, own: Axes, full: Stored, axes: Axes) -> Stored:
    """Return the file with zeros where the partner's grid goes beyond it.

    `own` and `axes` are the pixel axes of the two files. If the grids do not fit into each other, the file is returned
    as it is, and the comparison of the affines refuses the pair.
    """
    frames = frame_of(sparse, own), frame_of(full, axes)
    if not sparse.sparse or len(own) != len(axes) or frames[0] is None or frames[1] is None:
        return sparse
    inverse = np.linalg.pinv(frames[1][:, :-1])
    turned, origin = inverse @ frames[0][:, :-1], inverse @ (frames[0][:, -1] - frames[1][:, -1])
    nearest = np.argmax(np.abs(turned), axis=1)  # for each axis of the partner, that of the file
    if sorted(nearest.tolist()) != list(range(len(own))):
        return sparse
    around = [(0, 0)] * len(sparse.shape)
    affine = None if sparse.affine is None else np.array(sparse.affine, float)
    for k, near in enumerate(nearest.tolist()):
        size, length = full.shape[axes[k]], sparse.shape[own[near]]
        start = size - 1 - origin[k] if turned[k, near] < 0 else origin[k]
        before = round(float(start))
        after = size - length - before
        if abs(start - before) > ROUNDING or min(before, after) < 0:
            return sparse
        around[own[near]] = before, after
        if affine is not None:
            column = [axis for axis, name in enumerate(sparse.axes or ()) if name in ("x", "y", "z")].index(own[near])
            affine[:, 3] -= before * affine[:, column]
    if not any(map(any, around)):
        return sparse
    return _padded(sparse, around, affine)


def _padded(sparse: Stored, around: list[tuple[int, int]], affine: Array | None) -> Stored:
    shape = tuple(before + n + after for n, (before, after) in zip(sparse.shape, around, strict=True))

    def read(window: Window) -> Array:
        out = np.zeros([part.stop - part.start for part in window], sparse.dtype)
        inner, place = [], []
        for part, n, (before, _) in zip(window, sparse.shape, around, strict=True):
            low, high = max(part.start - before, 0), min(part.stop - before, n)
            if low >= high:
                return out
            inner.append(slice(low, high))
            place.append(slice(low + before - part.start, high + before - part.start))
        out[tuple(place)] = sparse.read(tuple(inner))
        return out

    return replace(sparse, shape=shape, affine=affine, read=read, chunks=None, mapped=False)
