"""Euclidean distances of masks: the distance transform, the signed distance, the Hausdorff distance.

The public functions check their arguments. `distance_to` and `signed_distance_to` are for the losses. They read one
class from an array of labels, without making a mask. They can write to the caller's array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _backend
from ._arrays import Array, as_array
from ._options import MOST_DIMS, as_spacing
from ._surface import hausdorff, surfaces


def distance_transform(mask: Any, spacing: float | Sequence[float] | None = None) -> Array:
    r"""Compute the exact Euclidean distance of every foreground element to the nearest background element.

    The distance is $d(x) = \min_{b \in B} \lVert x - b \rVert$ over the background $B$, so it is 0 in the background.
    Without any background, all distances are inf. (There, scipy's `distance_transform_edt` measures to an element
    outside of the array. Otherwise the two are equal.)

    Parameters
    ----------
    mask : array of 1 to 3 dimensions
        The mask, of any real dtype and any layout. Elements other than 0 are foreground, as in scipy.
    spacing : float or sequence of float, default None
        The distance between neighbours: one number, or one number per axis. None: 1.

    Returns
    -------
    float32 array of the mask's shape
        The distances. For equal spacings, they are the `sqrt` of exact squares if these are below 2^24. Otherwise they
        are within one unit in the last place.

    Raises
    ------
    TypeError
        If the mask or the spacing does not hold real numbers.
    ValueError
        If the mask has another number of dimensions, if a spacing is not finite and > 0, or if the number of spacings
        is wrong.

    See Also
    --------
    signed_distance : Also measures in the background.

    References
    ----------
    Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions, Theory of Computing 8, 2012.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.distance_transform([[0, 1, 1, 1], [0, 1, 1, 1]], spacing=(1.0, 0.5))
    array([[0. , 0.5, 1. , 1.5],
           [0. , 0.5, 1. , 1.5]], dtype=float32)
    """
    values = _as_mask(mask, "mask")
    return distance_to(values, 0, True, as_spacing(spacing, values.ndim))


def signed_distance(mask: Any, spacing: float | Sequence[float] | None = None) -> Array:
    r"""Compute the signed distance: outside the mask, the distance to it; inside, minus the distance to the background.

    It is $\phi(x) = d(x, F)$ in the background $B$ and $\phi(x) = -d(x, B)$ in the foreground $F$, where $d$ is the
    distance to the nearest element. This is the level set of the boundary loss. The boundary runs between the elements,
    so no element has 0. (MONAI and the code of the boundary loss's authors shift the inside by one element.) An empty
    or full mask has no boundary, and every element has 0, as in their code.

    Parameters
    ----------
    mask : array of 1 to 3 dimensions
        The mask, of any real dtype and any layout. Elements other than 0 are foreground.
    spacing : float or sequence of float, default None
        The distance between neighbours: one number, or one number per axis. None: 1.

    Returns
    -------
    float32 array of the mask's shape
        The signed distances, > 0 outside the mask.

    Raises
    ------
    TypeError
        If the mask or the spacing does not hold real numbers.
    ValueError
        If the mask has another number of dimensions, if a spacing is not finite and > 0, or if the number of spacings
        is wrong.

    See Also
    --------
    distance_transform : The distances inside the mask.
    boundary_loss : A loss that uses signed distances.

    References
    ----------
    Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019.

    Examples
    --------
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
    r"""Compute the Hausdorff distance between the boundaries of two masks.

    It is $\max(h(a, b), h(b, a))$, where $h(a, b)$ is the greatest distance from a boundary pixel of $a$ to the nearest
    boundary pixel of $b$. A boundary pixel is a foreground pixel with a face neighbour that is background or outside of
    the array. Two empty masks have distance 0. If only one mask is empty, the distance is inf, in both directions.

    Parameters
    ----------
    mask_a, mask_b : arrays of 1 to 3 dimensions
        Two masks of the same shape, of any real dtype. Elements other than 0 are foreground.
    percentile : float, default 100
        The percentile of the distances, in [0, 100], that replaces the greatest distance. 95 is HD95. It is
        interpolated linearly.
    spacing : float or sequence of float, default None
        The distance between neighbours: one number, or one number per axis. None: 1.
    directed : bool, default False
        Whether to return only $h(a, b)$.

    Returns
    -------
    float
        The distance, in the units of `spacing`.

    Raises
    ------
    TypeError
        If a mask, the spacing or the percentile does not hold real numbers, or `directed` is not a bool.
    ValueError
        If the masks have another number of dimensions or different shapes, or the spacing or the percentile is out of
        its range.

    See Also
    --------
    hausdorff_dt_loss : A loss that approximates this distance.

    References
    ----------
    Huttenlocher et al., Comparing images using the Hausdorff distance, IEEE TPAMI 15, 1993.

    Examples
    --------
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
    found = surfaces(a != 0, b != 0, steps)
    return hausdorff(found, float(percentile), directed=bool(directed)) if any(found.found) else 0.0


# ---- for the losses


def distance_to(values: Array, k: int, inverted: bool, spacing: Sequence[float], out: Array | None = None) -> Array:
    """Compute `distance_transform` of `values == k`, or of `values != k` if inverted, without making the mask.

    Parameters
    ----------
    values : bool or integer array of 1 to 3 dimensions
        The labels.
    k : int
        The label of the mask. If the dtype of `values` cannot hold `k`, no element equals it.
    inverted : bool
        Whether the mask is `values != k`.
    spacing : sequence of float
        The distance between neighbours, one number per axis.
    out : float32 array of the shape of values, default None
        The array to write to. It is C-contiguous and has its own memory. None: a new array.

    Returns
    -------
    float32 array of the shape of values
        The distances; `out` if it is given.
    """
    if out is None:
        out = np.empty(values.shape, np.float32)
    assert (out.dtype, out.shape, out.flags.c_contiguous) == (np.float32, values.shape, True)
    lowest, highest = (0, 1) if values.dtype == np.bool_ else (np.iinfo(values.dtype).min, np.iinfo(values.dtype).max)
    if values.dtype == np.bool_ and k == 1:  # in a bool array, every byte except 0 is true
        k, inverted = 0, not inverted
    if not lowest <= k <= highest:
        out.fill(np.inf if inverted else 0)
    elif values.size:
        _backend.distance(values, np.array(k, values.dtype), inverted, spacing, out)
    return out


def signed_distance_to(
    values: Array, k: int, inverted: bool, spacing: Sequence[float], out: Array | None = None
) -> Array:
    """Compute `signed_distance` of `values == k`, or of `values != k` if inverted, without making the mask.

    Parameters
    ----------
    values : bool or integer array of 1 to 3 dimensions
        The labels.
    k : int
        The label of the mask. If the dtype of `values` cannot hold `k`, no element equals it.
    inverted : bool
        Whether the mask is `values != k`.
    spacing : sequence of float
        The distance between neighbours, one number per axis.
    out : float32 array of the shape of values, default None
        The array to write to. It is C-contiguous and has its own memory. None: a new array.

    Returns
    -------
    float32 array of the shape of values
        The signed distances; `out` if it is given.
    """
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
    return mask if mask.dtype.kind in "iub" else mask != 0  # compared as a number, because -0.0 has other bits than 0
