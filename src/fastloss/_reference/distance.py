"""The distance transform, as in csrc/driver/distance.c. _backend.distance calls it with checked arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._arrays import Array


def distance(values: Array, key: Array, inverted: bool, spacing: Sequence[float], out: Array) -> None:
    """Fill `out` with the distance to the nearest background. Foreground is `values == key`, or `!=` if inverted.

    The distance is computed axis by axis, in float64. Its unit is the largest spacing, which makes the squares whole
    numbers if all spacings are equal.
    """
    foreground = values != key if inverted else values == key
    scale = max(spacing)
    with np.errstate(over="ignore", under="ignore"):  # float32 cannot hold every spacing
        squared = (spacing[-1] / scale * _steps(foreground)) ** 2
        for axis in range(out.ndim - 1):
            _envelope(np.moveaxis(squared, axis, 0), spacing[axis] / scale)
        out[...] = scale * np.sqrt(squared)


def _steps(foreground: Array) -> Array:
    """The steps along the last axis to the nearest background element: the last one before or the first one after."""
    at = np.arange(foreground.shape[-1], dtype=np.float64)
    before = np.maximum.accumulate(np.where(foreground, -np.inf, at), axis=-1)
    behind = np.minimum.accumulate(np.where(foreground, np.inf, at)[..., ::-1], axis=-1)[..., ::-1]
    return np.minimum(at - before, behind - at)


def _envelope(f: Array, step: float) -> None:
    """Set f[i] = min over j of f[j] + (step (i - j))^2 along the first axis, in place.

    Near j come first. The loop ends when no farther j can matter.
    """
    given = f.copy()
    for d in range(1, len(f)):
        far = (step * d) ** 2
        if far >= f.max():
            return
        np.minimum(f[d:], given[:-d] + far, out=f[d:])
        np.minimum(f[:-d], given[d:] + far, out=f[:-d])
