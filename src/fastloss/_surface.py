"""The surfaces of two masks, and the distances between them: pure functions on boolean arrays.

distance.py and metrics/surface.py call this module. It knows neither losses nor batches. Two transforms of one pair of
masks give all distances, from which the Hausdorff distance, the average distance and the surface Dice are made.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import _backend
from ._arrays import Array

SURFACES = ("border", "area", "region")
Box = tuple[slice, ...]


class Surfaces(NamedTuple):
    """The distances from each surface element of one mask to the other mask's surface, and the elements' sizes.

    [0] is for the first mask, and [1] for the second. If the other mask is empty, the distances are inf.
    """

    distances: tuple[Array, Array]  # float32
    areas: tuple[Array, Array] | None  # float64, or None: every element counts 1

    @property
    def found(self) -> tuple[bool, bool]:
        """Whether each mask has a surface, which it has if it is not empty."""
        return self.distances[0].size > 0, self.distances[1].size > 0


def surfaces(a: Array, b: Array, spacing: Sequence[float], surface: str = "border", connectivity: int = 1) -> Surfaces:
    """Measure the distances between the surfaces of two masks.

    Parameters
    ----------
    a, b : bool arrays of the same shape, of 1 to 3 dimensions
        The masks, with any strides.
    spacing : sequence of float
        The distance between neighbours, one number per axis.
    surface : {"border", "area", "region"}, default "border"
        The elements of a surface: the border pixels, the faces of a marching-cubes surface weighted by their areas, or
        all pixels of the mask.
    connectivity : int, default 1
        The neighbours of a border pixel, one of which is not in the mask: 1 are those that share a face, 2 also an
        edge, and 3 also a corner.

    Returns
    -------
    Surfaces
        The distances, and the areas if `surface` is "area".
    """
    box = joint_box(a, b)
    masks = [a[box], b[box]] if box is not None else [a[..., :0], b[..., :0]]
    if surface == "area":
        codes = [_codes(mask) for mask in masks]
        elements = [(c != 0) & (c != 2**2**c.ndim - 1) for c in codes]
        sizes = element_areas(tuple(spacing))
        areas = sizes[codes[0][elements[0]]], sizes[codes[1][elements[1]]]
    else:
        elements = masks if surface == "region" else [border(mask, connectivity) for mask in masks]
        areas = None
    first, second = elements
    return Surfaces((_distances(first, second, spacing), _distances(second, first, spacing)), areas)


def joint_box(a: Array, b: Array) -> Box | None:
    """The smallest box that holds both masks, or None if both are empty."""
    box = []
    for axis in range(a.ndim):
        others = tuple(k for k in range(a.ndim) if k != axis)
        at = np.flatnonzero(a.any(axis=others) | b.any(axis=others))
        if not at.size:
            return None
        box.append(slice(int(at[0]), int(at[-1]) + 1))
    return tuple(box)


def border(mask: Array, connectivity: int = 1) -> Array:
    """The pixels of a mask with a neighbour that is not in the mask. Nothing outside of the array is in the mask.

    The neighbours differ by at most one step along at most `connectivity` axes. They form a box per choice of axes.
    """
    inner = np.ones(mask.shape, np.bool_)
    for axes in itertools.combinations(range(mask.ndim), min(connectivity, mask.ndim)):
        box = mask
        for axis in axes:
            box = _eroded(box, axis)
        inner &= box
    return mask & ~inner


def _eroded(mask: Array, axis: int) -> Array:
    """The pixels of a mask whose two neighbours along an axis are in the mask."""
    inner = mask.copy()
    here, there = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
    here[1:] &= there[:-1]
    here[:-1] &= there[1:]
    here[:1] = here[-1:] = False
    return inner


def _distances(of: Array, to: Array, spacing: Sequence[float]) -> Array:
    """The distance from each element of one surface to the nearest element of another."""
    if not (of.any() and to.any()):
        return np.full(np.count_nonzero(of), np.inf, np.float32)
    return _backend.nearest(of, to, spacing)


# ---- statistics of the distances


def hausdorff(found: Surfaces, percentile: float, pooled: bool = False, directed: bool = False) -> float:
    """The Hausdorff distance: the greatest of all distances, or a percentile of them.

    Parameters
    ----------
    found : Surfaces
        The distances. At least one mask has a surface.
    percentile : float
        The percentile in [0, 100]. It is interpolated linearly. For areas, it is the least distance within which so
        much of the area lies.
    pooled : bool, default False
        Whether the distances of both directions form one sample. Otherwise the greater of two percentiles is returned.
    directed : bool, default False
        Whether only the distances of the first mask count.

    Returns
    -------
    float
        The distance. It is inf if one mask is empty.
    """
    if not all(found.found):
        return math.inf
    return max(_percentile(d, area, percentile) for d, area in _samples(found, pooled, directed))


def average(found: Surfaces, pooled: bool = True, directed: bool = False) -> float:
    """The average of the distances.

    Parameters
    ----------
    found : Surfaces
        The distances. At least one mask has a surface.
    pooled : bool, default True
        Whether the distances of both directions form one sample. Otherwise the mean of the two averages is returned.
    directed : bool, default False
        Whether only the distances of the first mask count.

    Returns
    -------
    float
        The distance. It is inf if one mask is empty.
    """
    if not all(found.found):
        return math.inf
    means = [float(np.average(d, weights=area)) for d, area in _samples(found, pooled, directed)]
    return sum(means) / len(means)


def surface_dice(found: Surfaces, tolerance: float) -> float:
    """The share of both surfaces within a tolerance of the other one.

    Parameters
    ----------
    found : Surfaces
        The distances. At least one mask has a surface.
    tolerance : float
        The greatest distance within the tolerance. It is rounded to float32, as the distances are.

    Returns
    -------
    float
        The share, in [0, 1].
    """
    ((d, area),) = _samples(found, pooled=True, directed=False)
    within = d <= np.float32(tolerance)
    return float(np.average(within, weights=area))


def _samples(found: Surfaces, pooled: bool, directed: bool) -> list[tuple[Array, Array | None]]:
    """The samples of distances that count, in float64, with their areas or None."""
    samples = [d.astype(np.float64) for d in found.distances]
    areas: list[Array | None] = [None, None] if found.areas is None else [*found.areas]
    if directed:
        return [(samples[0], areas[0])]
    if pooled:
        return [(np.concatenate(samples), None if found.areas is None else np.concatenate(found.areas))]
    return list(zip(samples, areas, strict=True))


def _percentile(distances: Array, areas: Array | None, percentile: float) -> float:
    if areas is None:
        return float(np.percentile(distances, percentile))
    order = np.argsort(distances)
    shares = np.cumsum(areas[order])
    at = np.searchsorted(shares / shares[-1], percentile / 100)
    return float(distances[order[min(int(at), len(order) - 1)]])


# ---- surfaces by area: marching cubes, with the triangles of surface-distance (Nikolov et al. 2021, J Med Internet Res
# 23, e26151). MONAI's `use_subvoxels` has the same.

# A cell has 2^n neighbouring pixels as its corners: one bit per pixel, the first pixel in the highest bit. The
# triangles of the cell have these normals, as multiples of 1/8 of the cell's sides (1/2 in 2-D), without signs. A cell
# that is mirrored, turned or inverted has the normals that follow from it, so these cells are enough.
NORMALS: dict[int, tuple[float, dict[int, list[tuple[int, ...]]]]] = {
    1: (1, {0b01: [(1,)]}),
    2: (1 / 2, {0b0001: [(1, 1)], 0b0011: [(2, 0)], 0b0110: [(1, 1), (1, 1)]}),
    3: (
        1 / 8,
        {
            0b00000001: [(1, 1, 1)],
            0b00000011: [(2, 2, 0), (2, 2, 0)],
            0b00000110: [(1, 1, 1), (1, 1, 1)],
            0b00000111: [(1, 1, 1), (2, 2, 2), (4, 0, 0)],
            0b00001111: [(4, 0, 0), (4, 0, 0)],
            0b00010110: [(1, 1, 1), (1, 1, 1), (1, 1, 1)],
            0b00010111: [(1, 1, 1), (1, 1, 1), (2, 2, 2), (2, 2, 2)],
            0b00011000: [(1, 1, 1), (1, 1, 1)],
            0b00011001: [(1, 1, 1), (0, 2, 2), (0, 2, 2)],
            0b00011011: [(1, 1, 1), (3, 3, 3), (0, 2, 2), (2, 0, 2)],
            0b00011110: [(1, 1, 1), (1, 1, 1), (2, 2, 2), (4, 0, 0)],
            0b00111100: [(2, 2, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0)],
            0b01101001: [(1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)],
        },
    ),
}


@functools.lru_cache(maxsize=64)
def element_areas(spacing: tuple[float, ...]) -> Array:
    """The area of the surface within a cell, for each code of a cell: a length in 2-D, and a number of points in 1-D.

    Parameters
    ----------
    spacing : tuple of float
        The sides of a cell, which are distances between neighbouring pixels.

    Returns
    -------
    float64 array of shape (2^2^n,)
        The areas. A cell without any surface has 0.
    """
    ndim = len(spacing)
    unit, normals = NORMALS[ndim]
    side = unit * math.prod(spacing) / np.array(spacing)  # per axis, the area of the cell's side across it
    areas = np.zeros(2**2**ndim)
    bits = 2 ** np.arange(2**ndim)[::-1].reshape((2,) * ndim)
    for code, triangles in normals.items():
        cell, vectors = code & bits != 0, np.array(triangles)
        for axes in itertools.permutations(range(ndim)):
            area = np.linalg.norm(vectors[:, axes] * side, axis=1).sum()
            for steps in itertools.product((1, -1), repeat=ndim):
                turned = cell.transpose(axes)[tuple(slice(None, None, step) for step in steps)]
                areas[[bits[turned].sum(), bits[~turned].sum()]] = area
    areas.flags.writeable = False
    return areas


def _codes(mask: Array) -> Array:
    """The code of each cell, for cells that reach one pixel beyond the array. The cells are one more per axis."""
    padded = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros([n + 1 for n in mask.shape], np.uint8)
    for corner in itertools.product((0, 1), repeat=mask.ndim):
        codes <<= 1
        codes |= padded[tuple(slice(k, k + n) for k, n in zip(corner, codes.shape, strict=True))]
    return codes
