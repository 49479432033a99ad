"""Euclidean distances of masks: the transform, the signed distance, the Hausdorff distance.

Public functions check what they are given. `distance_to` and `signed_distance_to` are for the losses: they read a
class from an array of labels, so that no mask is made, and write to an array of the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _backend
from ._arrays import Array, as_array, as_reals

MOST_DIMS = 3


def distance_transform(mask: Any, spacing: float | Sequence[float] | None = None) -> Array:
    """Exact Euclidean distance of every foreground element to the nearest background element; 0 in the background.

    Parameters
    ----------
    mask : array of any real dtype, of 1 to 3 dimensions and any layout
        Elements other than 0 are foreground, as in scipy.
    spacing : float or one per axis, optional
        Distance of neighbours along each axis; 1 by default.

    Returns float32 of the mask's shape: `sqrt` of exact squares for equal spacings as long as they stay below 2^24, and
    else within one unit in the last place. Without any background all distances are inf (scipy's
    `distance_transform_edt`, equal otherwise, measures to an element outside of the array then).

    Raises TypeError for a mask that is no array of real numbers, ValueError for other dimensions or a wrong spacing.

    Source: Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions, Theory of Computing 8, 2012.

    >>> import fastloss as fl
    >>> fl.distance_transform([[0, 1, 1, 1], [0, 1, 1, 1]], spacing=(1.0, 0.5))
    array([[0. , 0.5, 1. , 1.5],
           [0. , 0.5, 1. , 1.5]], dtype=float32)
    """
    values = _as_mask(mask, "mask")
    return distance_to(values, 0, True, as_spacing(spacing, values.ndim))


def signed_distance(mask: Any, spacing: float | Sequence[float] | None = None) -> Array:
    """Distance to the mask outside of it, minus that to the background inside of it: the level set of boundary losses.

    The boundary runs between the elements, so that none has 0. (MONAI, and the code of the boundary loss's authors,
    shift the inside by one element.) An empty or full mask has no boundary, and all is 0, as it is in those.

    Parameters, dtype and errors are those of `distance_transform`.

    Source: Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019.

    >>> import fastloss as fl
    >>> fl.signed_distance([0, 0, 1, 1, 1, 0])
    array([ 2.,  1., -1., -2., -1.,  1.], dtype=float32)
    """
    values = _as_mask(mask, "mask")
    return signed_distance_to(values, 0, True, as_spacing(spacing, values.ndim))


def hausdorff_distance(
    mask_a: Any,
    mask_b: Any,
    percentile: float = 100,
    spacing: float | Sequence[float] | None = None,
    directed: bool = False,
) -> float:
    """`max(h(a, b), h(b, a))` with `h(a, b)` the greatest distance from boundary pixels of `a` to the nearest of `b`.

    Boundary pixels are foreground pixels with a face neighbour that is background or outside of the array. Two empty
    masks have distance 0, an empty one and another one inf, in both directions.

    Parameters
    ----------
    mask_a, mask_b : arrays of any real dtype, of one shape of 1 to 3 dimensions
        Elements other than 0 are foreground.
    percentile : float in [0, 100]
        Takes that percentile of the distances (with linear interpolation) for the greatest one: 95 is HD95.
    spacing : float or one per axis, optional
        Distance of neighbours along each axis; 1 by default.
    directed : bool, default False
        Whether to return h(a, b) alone.

    Raises TypeError for masks that are no arrays of real numbers, ValueError for other dimensions, shapes that differ,
    a wrong spacing or percentile.

    >>> import fastloss as fl
    >>> fl.hausdorff_distance([0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0])
    2.0
    >>> fl.hausdorff_distance([0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0], directed=True)
    1.0
    """
    if not isinstance(directed, (bool, np.bool_)):
        raise TypeError(f"directed: expected True or False, got {directed!r}")
    a, b = _as_mask(mask_a, "mask_a"), _as_mask(mask_b, "mask_b")
    if b.shape != a.shape:
        raise ValueError(f"mask_b: expected shape {a.shape} (mask_a's), got {b.shape}")
    steps = as_spacing(spacing, a.ndim)
    if isinstance(percentile, bool) or not isinstance(percentile, (int, float, np.integer, np.floating)):
        raise TypeError(f"percentile: expected a number, got {percentile!r}")
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile: expected a number in [0, 100], got {percentile!r}")
    edge_a, edge_b = _boundary(a != 0), _boundary(b != 0)
    if not (edge_a.any() and edge_b.any()):
        return 0.0 if edge_a.any() == edge_b.any() else math.inf
    ways = ((edge_a, edge_b),) if directed else ((edge_a, edge_b), (edge_b, edge_a))
    return max(
        float(np.percentile(distance_to(to, 0, False, steps)[of].astype(np.float64), percentile)) for of, to in ways
    )


def _boundary(mask: Array) -> Array:
    """The foreground elements with a face neighbour that is background or outside."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        here, there = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        here[1:] &= there[:-1]
        here[:-1] &= there[1:]
        here[:1] = here[-1:] = False
    boundary: Array = mask & ~inner
    return boundary


# ---- for the losses


def distance_to(values: Array, k: int, inverted: bool, spacing: Sequence[float], out: Array | None = None) -> Array:
    """`distance_transform` of `values == k`, or of `values != k` if inverted, without making that mask.

    values: bool or integers of 1 to 3 dimensions; a `k` that they cannot hold equals none. out: float32, C-contiguous,
    of their shape, in memory of its own.
    """
    if out is None:
        out = np.empty(values.shape, np.float32)
    assert (out.dtype, out.shape, out.flags.c_contiguous) == (np.float32, values.shape, True)
    lowest, highest = (0, 1) if values.dtype == np.bool_ else (np.iinfo(values.dtype).min, np.iinfo(values.dtype).max)
    if values.dtype == np.bool_ and k == 1:  # true is any byte but 0
        k, inverted = 0, not inverted
    if not lowest <= k <= highest:
        out.fill(np.inf if inverted else 0)
    elif values.size:
        _backend.distance(values, np.array(k, values.dtype), inverted, spacing, out)
    return out


def signed_distance_to(
    values: Array, k: int, inverted: bool, spacing: Sequence[float], out: Array | None = None
) -> Array:
    """`signed_distance` of `values == k`, or of `values != k` if inverted; arguments are those of `distance_to`."""
    out = distance_to(values, k, not inverted, spacing, out)
    inside = distance_to(values, k, inverted, spacing)
    if out.size and (np.isinf(out.flat[0]) or np.isinf(inside.flat[0])):
        out.fill(0)
    else:
        out -= inside
    return out


# ---- checks


def _as_mask(value: Any, name: str) -> Array:
    mask = as_array(value, name)
    if not 1 <= mask.ndim <= MOST_DIMS:
        raise ValueError(f"{name}: expected 1 to {MOST_DIMS} dimensions, got shape {mask.shape}")
    return mask if mask.dtype.kind in "iub" else mask != 0  # not by its bits: -0.0 is 0


def spacing_array(value: Any) -> Array:
    """Positive finite numbers, one or one per axis."""
    steps = as_reals(value, "spacing", "a number or one per axis")
    if steps.ndim > 1 or steps.size == 0:
        raise ValueError(f"spacing: expected a number or one per axis, got {value!r}")
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(f"spacing: expected finite numbers > 0, got {value!r}")
    return steps


def as_spacing(value: Any, ndim: int) -> tuple[float, ...]:
    """One positive finite number per axis."""
    steps = spacing_array(1.0 if value is None else value)
    if steps.shape not in ((), (ndim,)):
        raise ValueError(f"spacing: expected a number or {ndim}, one per axis, got {value!r}")
    return tuple(np.broadcast_to(steps, ndim).tolist())
