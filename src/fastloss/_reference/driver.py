"""The driver: csrc/driver/ and kernels/kernels.c in one file. _backend.run calls it. It knows no particular loss.

The driver cuts a batch into tiles: blocks of pixels, of bounded size, whose rows `(C, P)` have the arithmetic's dtype.
It applies the weights, adds up each group's sums in float64, and writes gradients and maps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._arrays import LEAST, MOST, Array, real_dtype
from .._batch import Batch
from .._terms import Mode, Term
from . import pixels
from .regions import region_backward, region_forward
from .table import KERNELS
from .tile import Params, Tile

# term, class weights, params, coefficients
Argument = tuple[Term, Array | None, Sequence[float | Array], Array | None]

BLOCK_ELEMENTS = 1 << 19


def run(
    batch: Batch, arguments: Sequence[Argument], mode: int, by_sample: bool, output: Array | None
) -> tuple[Array, bool]:
    """Do what _core.run does, and return (sums of shape (groups, n), whether a label or weight is bad)."""
    sizes = [term.size(batch.classes, mode) for term, *_ in arguments]
    sums = np.zeros((batch.samples if by_sample else 1, sum(sizes)))
    with np.errstate(all="ignore"):
        for t in tiles(batch, by_sample, output):
            if t is None:
                return sums, True
            at = 0
            gradient: Any = 0
            for (term, weight, params, coef), size in zip(arguments, sizes, strict=True):
                k = _params(t, weight, params)
                tempered = t if term.temperature == 1 else replace(t, x=t.x / t.x.dtype.type(term.temperature))
                sums[t.groups, at : at + size] += _visit(tempered, term, k, mode)
                if mode & Mode.GRADIENT:
                    gradient = gradient + _gradient(t, term, k, coef, mode)
                at += size
            if mode & Mode.GRADIENT:
                assert t.output is not None
                t.output[...] = np.where(t.w > 0, gradient, 0)
    return sums, False


def _params(t: Tile, weight: Array | None, params: Sequence[float | Array]) -> Params:
    values = [p if isinstance(p, float) else p.astype(t.x.dtype)[:, None] for p in params]
    return Params(values, (np.ones(len(t.x)) if weight is None else weight).astype(t.x.dtype)[:, None])


def _visit(t: Tile, term: Term, k: Params, mode: int) -> Array:
    """Return the term's sums for each group of the block, (members, size). Write the map if the mode asks for it."""
    size = term.size(len(t.x), mode)
    if term.kind == "region" and mode & Mode.FORWARD:
        return region_forward(t, term, _maps(t, term)).reshape(t.members, size)
    if term.kind == "bins" and mode & Mode.FORWARD:
        sums: Array = KERNELS[term.name].forward(t, term)
        return sums
    if term.kind in ("region", "transform", "bins"):
        return np.zeros((t.members, size))
    w, mean_w = _weights(t, term, k)
    value = np.zeros_like(w)
    if mode & (Mode.FORWARD | Mode.MAP):
        value = np.where(w > 0, w * _value(t, term, k), 0)
    if mode & Mode.MAP:
        assert t.output is not None
        t.output[...] = (value if t.output.ndim == 2 else value[0]) + 0  # no -0.0
    columns = [t.sums(values).sum(axis=1, keepdims=True) for values in (value, mean_w)]
    if mode & Mode.BY_CLASS:
        columns += [_by_class(t, term, value), _by_class(t, term, mean_w)]
    return np.hstack(columns)


def _maps(t: Tile, term: Term) -> Array | None:
    """The maps that a region term takes as weights, (C, P), or None."""
    return t.maps if KERNELS[term.name].maps else None


def _weights(t: Tile, term: Term, k: Params) -> tuple[Array, Array]:
    """The weights of the values, and the weights that the mean divides by. Each is (C, P); for a pixel loss (1, P)."""
    if term.kind == "element":
        w = t.weights + np.zeros_like(t.x)
        return w, w
    w = t.w[None]
    return w, w * (k.weight[t.label, 0] if t.label is not None else 1 if t.wc is None else t.wc.mean(axis=0))


def _value(t: Tile, term: Term, k: Params) -> Array:
    """The values of a term: (C, P) for an element loss, (1, P) for a pixel loss."""
    kernel = KERNELS[term.name]
    if term.kind == "element":
        return kernel.value(kernel.inputs[term.activation](t.x), t.y, k)
    return kernel.forward(t, term, kernel, k)[None]


def _by_class(t: Tile, term: Term, values: Array) -> Array:
    """The sums of the values per group and class, (members, C)."""
    C = len(t.x)
    if term.kind == "element":
        return t.sums(values)
    if t.label is None:
        return np.zeros((t.members, C))
    keep = (t.label >= 0) & (t.w > 0)
    member = np.arange(len(t.label)) // t.each
    counts = np.bincount((member * C + t.label)[keep], values[0][keep].astype(float), t.members * C)
    return counts.reshape(t.members, C)


def _gradient(t: Tile, term: Term, k: Params, coef: Array | None, mode: int) -> Array:
    """d(value)/d(input) for one term, (C, P), or the diagonal of its Hessian."""
    kernel = KERNELS[term.name]
    if term.kind == "transform":
        return kernel.backward(t, term, kernel, k)
    assert coef is not None
    of_pixel = coef[t.groups].T.astype(t.x.dtype).repeat(t.each if t.members > 1 else 1, axis=1)
    if term.kind == "region":
        return t.w * region_backward(t, term, _maps(t, term), of_pixel)
    (scale,) = of_pixel
    if term.kind == "element":
        function = kernel.curve if mode & Mode.HESSIAN else kernel.slope
        slope = function(kernel.inputs[term.activation](t.x), t.y, k)
        slope = np.where(slope < 0, 0, slope) if mode & Mode.BOUND else slope
        return np.where(t.weights > 0, scale * t.weights * slope, 0)
    if mode & Mode.HESSIAN:
        return scale * t.w * pixels.curve_backward(t, term, kernel, k, bool(mode & Mode.BOUND))
    return scale * t.w * kernel.backward(t, term, kernel, k)


def tiles(batch: Batch, by_sample: bool, output: Array | None) -> Iterator[Tile | None]:
    """Yield the blocks of a batch, group by group, or None for a block with a bad label or weight.

    When the caller asks for the next block, the output of the previous block is written to `output`.
    """
    C = batch.classes
    real = real_dtype(batch.input.dtype)
    step = max(1, BLOCK_ELEMENTS // C)
    for groups, cut in _groups(batch, by_sample, step):
        members = groups.stop - groups.start
        x, w = cut(batch.input, True), cut(batch.weight, batch.weight_by_class)
        target = cut(batch.target, not batch.labels)
        maps = cut(batch.maps, True)
        out = cut(output, output is not None and output.ndim == batch.input.ndim)
        pixel_shape = x.shape[1:]
        for first in range(0, int(np.prod(pixel_shape, dtype=np.int64)), step):
            last = min(first + step, int(np.prod(pixel_shape, dtype=np.int64)))

            def block(a: Array | None, by_class: bool, first: int = first, last: int = last) -> Array:
                assert a is not None
                flat = a.reshape(*a.shape[:1], -1) if by_class else a.reshape(-1)
                return flat[..., first:last]

            t = _tile(batch, groups, (last - first) // members, real, block, x, w, target)
            if t is not None and maps is not None:
                t.maps = block(maps, True).astype(real)
            if t is not None and out is not None:
                t.output = np.empty((C, last - first) if out.ndim == x.ndim else last - first, real)
            yield t
            if t is not None and out is not None and t.output is not None:
                _scatter(out, t.output, first, last, out.ndim == x.ndim)


def _scatter(out: Array, values: Array, first: int, last: int, by_class: bool) -> None:
    """Write a block's values to pixels [first, last) of an array of any layout."""
    view = out if out.ndim > by_class else out[..., None]  # without a pixel axis, there is one pixel
    index: Any = np.unravel_index(np.arange(first, last), view.shape[by_class:])
    view[(Ellipsis, *index)] = values.astype(out.dtype)


def _groups(batch: Batch, by_sample: bool, step: int) -> Iterator[tuple[slice, Callable[[Array | None, bool], Any]]]:
    """Yield a slice of groups, and a function that cuts them out of an array.

    A slice holds as many groups as fit into a block, but at least one.
    """
    if not by_sample:
        yield slice(0, 1), functools.partial(_samples, slice(None))
        return
    together = max(1, step // max(1, batch.pixels))
    for first in range(0, batch.samples, together):
        groups = slice(first, min(first + together, batch.samples))
        yield groups, functools.partial(_samples, groups)


def _samples(samples: slice, a: Array | None, by_class: bool) -> Array | None:
    """The samples of an array, as (N, *S), or as (C, N, *S) if it has classes."""
    return None if a is None else np.moveaxis(a[samples], 1, 0) if by_class else a[samples]


def _tile(
    batch: Batch, groups: slice, each: int, real: Any, block: Callable[..., Array], x: Array, w: Any, target: Any
) -> Tile | None:
    rows = block(x, True).astype(real)
    weight = np.ones(rows.shape[1], real) if w is None else block(w, batch.weight_by_class).astype(real)
    if not ((weight == 0) | ((weight >= real.type(LEAST)) & (weight <= real.type(MOST)))).all():
        return None
    wc = weight if batch.weight_by_class else None
    weight = (wc.sum(axis=0) > 0).astype(real) if wc is not None else weight
    label = y = None
    if batch.labels:
        labels = block(target, False)
        inside = (labels >= 0) & (labels < batch.classes + batch.label_base)
        for ignored in batch.ignored:
            weight = np.where(labels == ignored, real.type(0), weight)
            inside = inside & (labels != ignored)
        if (~inside & (weight > 0)).any():
            return None
        label = np.where(inside, labels.astype(np.int64) - batch.label_base, -1)
        y = (label == np.arange(len(rows))[:, None]).astype(real)
    elif target is not None:
        y = block(target, True).astype(real)
    return Tile(groups, each, rows, label, y, weight, wc, None, None)
