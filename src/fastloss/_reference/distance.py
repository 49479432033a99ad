"""The distance transform: csrc/distance.c. _backend.distance calls it with arrays that are checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._arrays import Array


def distance(values: Array, key: Array, inverted: bool, spacing: Sequence[float], out: Array) -> None:
    """Fill `out` with the distance to the nearest background; foreground is `values == key`, or `!=` if inverted.

    Axis by axis, in float64 and in units of the largest spacing, in which equal spacings make whole numbers.
    """
    foreground = values != key if inverted else values == key
    scale = max(spacing)
    with np.errstate(over="ignore", under="ignore"):  # float32 cannot hold every spacing
        squared = (spacing[-1] / scale * _steps(foreground)) ** 2
        for axis in range(out.ndim - 1):
            _envelope(np.moveaxis(squared, axis, 0), spacing[axis] / scale)
        out[...] = scale * np.sqrt(squared)


def _steps(foreground: Array) -> Array:
    """Steps to the nearest background element of the last axis: the last one before, or the first one behind."""
    at = np.arange(foreground.shape[-1], dtype=np.float64)
    before = np.maximum.accumulate(np.where(foreground, -np.inf, at), axis=-1)
    behind = np.minimum.accumulate(np.where(foreground, np.inf, at)[..., ::-1], axis=-1)[..., ::-1]
    return np.minimum(at - before, behind - at)


def _envelope(f: Array, step: float) -> None:
    """f[i] = min over j of f[j] + (step (i - j))^2 along the first axis, in place: j nearby first, until no j farther
    away can matter."""
    given = f.copy()
    for d in range(1, len(f)):
        far = (step * d) ** 2
        if far >= f.max():
            return
        np.minimum(f[d:], given[:-d] + far, out=f[d:])
        np.minimum(f[:-d], given[d:] + far, out=f[:-d])
