"""The entry of all calls: it turns arrays into a `Batch`, or raises one clear error.

The loss objects and evaluate call it. A `Batch` holds views of shape `(N, C, *S)`, which both backends take. Nothing is
copied. The kernels check labels and weights in the pass in which they read them. They report only that something is
wrong. `Batch.raise_fault` then finds the bad element and names it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from . import _native
from ._arrays import (
    FLOAT32,
    LEAST,
    MOST,
    NATIVE_LABELS,
    NATIVE_REALS,
    SIZES,
    Array,
    as_array,
    as_input,
    broadcast,
    operand,
    real_dtype,
)
from ._faults import check_labels, position
from ._faults import first as first_bad

IGNORE_INDEX = -100  # torch's default, a label that no data set has

LARGE_SAMPLE = 256  # a sample with at least so many pixels gets its own tiles, even if no sums per sample are needed
MANY_SAMPLES = 1024  # with more samples, sums are computed in parts, since they may take more memory than the input


class Batch:
    """The arrays of one call as the kernels take them. `axis` and `shape` describe the caller's input.

    Attributes that few calls need are class attributes until they are set. That makes a tiny call 0.3 microseconds
    faster than a dataclass does.
    """

    input: Array  # (N, C, *S)
    target: Array | None  # labels (N, *S), or dense (N, C, *S)
    labels: bool
    ignored: tuple[int, ...]  # labels whose pixels do not count
    shape: tuple[int, ...]
    axis: int | None  # None: there are no classes, and `input` has shape (1, 1, *shape) or (N, 1, *rest)
    given_target: Array | None  # the target as the caller gave it, for errors that name a position
    native: Any  # the extension's operands, once they are made
    given_weight: Array | None = None
    weight: Array | None = None  # (N, *S), or (N, C, *S)
    maps: Array | None = None  # (N, C, *S), weights that a kernel reads by class and pixel
    label_map: bool = False  # the input is a label map, and all its classes are views of the same numbers
    label_base: int = 0  # class c has the label c + label_base
    by_sample: bool = False  # if axis is None: samples stay separate, even small ones
    whole: Batch | None = None  # the batch that this batch is a part of

    def __init__(
        self,
        input: Array,
        target: Array | None,
        labels: bool,
        ignored: tuple[int, ...],
        shape: tuple[int, ...],
        axis: int | None,
        given_target: Array | None = None,
        native: Any = None,
    ) -> None:
        self.input, self.target, self.labels, self.ignored = input, target, labels, ignored
        self.shape, self.axis, self.given_target, self.native = shape, axis, given_target, native

    def having(self, **changes: Any) -> Batch:
        """This batch with changed attributes. Its operands will be made anew."""
        other = copy.copy(self)
        other.__dict__.update(changes, native=None)
        return other

    @property
    def weight_by_class(self) -> bool:
        return self.weight is not None and self.weight.ndim == self.input.ndim

    @property
    def samples(self) -> int:
        n: int = self.input.shape[0]
        return n

    @property
    def classes(self) -> int:
        C: int = self.input.shape[1]
        return C

    def operands(self) -> Any:
        """The arrays as the extension takes them. They are made once, and they keep the arrays' memory alive."""
        if self.native is None:
            arrays = [operand(a) for a in (self.input, self.target, self.weight, self.maps)]
            self.native = _native.core.Operands(
                *arrays, self.labels, self.label_base, self.weight_by_class, self.ignored
            )
        return self.native

    def of_views(self) -> Batch:
        """This batch with its own views, if the quick check of the extension made it. No other thread can change the
        shape of these views."""
        if self.native is None or self.target is None:
            return self
        batch = self.having(input=self.input[...], target=self.target[...])
        batch.operands()  # raises if the arrays no longer fit together
        return batch

    def counting(self) -> Array:
        """Which pixels count: an array of bools, (N, *S), or (N, C, *S) if the weights are by class."""
        kept: Array = np.ones(pixel_shape(self.input), np.bool_)
        if self.labels and self.target is not None:
            for label in self.ignored:
                kept &= self.target != label
        return kept if self.weight is None else (kept[:, None] if self.weight_by_class else kept) & (self.weight > 0)

    def weighted(self, weight: Array) -> Batch:
        """This batch with further weights, of its pixels, (N, *S), or of its elements, (N, C, *S)."""
        real = real_dtype(self.input.dtype)
        check_weights(weight, "make_weights", real)
        if self.weight is not None and self.given_weight is not None:
            check_weights(self.given_weight, "pixel_weight", real)  # now, since a product may hide what is wrong
            own, weight = (a if a.ndim == self.input.ndim else a[:, None] for a in (self.weight, weight))
            weight = own * weight
            weight = weight if weight.shape[1] == self.classes > 1 else weight[:, 0]
            check_weights(weight, "pixel_weight times make_weights", real)
        return self.having(weight=weight)

    def mapped(self, maps: Array) -> Batch:
        """This batch with weights that a kernel reads by class and pixel, (N, C, *S)."""
        return self.having(maps=maps)

    @property
    def sample_count(self) -> int:
        """The number of samples that the caller gave."""
        return self.shape[0] if self.axis is None and self.shape else self.samples

    @property
    def pixels(self) -> int:
        """The number of pixels per sample."""
        return math.prod(self.input.shape[2:])

    def parts(self, samples: int) -> Iterator[tuple[slice, Batch]]:
        """Cut this batch into parts of at most `samples` samples, and yield the slice and the batch of each."""
        for first in range(0, self.samples, samples):
            cut = slice(first, first + samples)
            target, weight, maps = (None if a is None else a[cut] for a in (self.target, self.weight, self.maps))
            part = self.having(input=self.input[cut], target=target, weight=weight, maps=maps, whole=self)
            yield cut, part

    def kernel_view(self, array: Array) -> Array:
        """View an array of the input's shape as `(N, C, *S)`."""
        return kernel_view(array, self.axis, self.by_sample)

    def new_gradient(self) -> Array:
        """Make an array for the gradient, with the caller's shape and the memory layout of the input."""
        view = np.empty_like(self.input, self.input.dtype.newbyteorder("="), subok=False)
        if self.axis is None:
            return view[0, 0, ...] if view.ndim == len(self.shape) + 2 else view[:, 0]
        if self.axis == 1:
            return view
        return view[0] if len(self.shape) == 1 else np.moveaxis(view, 1, self.axis)

    def check_out(self, out: Any) -> Array:
        """Return the caller's array for the gradient, if the gradient can be written to it."""
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out: expected a NumPy array, got {type(out).__name__}")
        half = self.input.dtype.itemsize == 2
        if out.dtype != self.input.dtype and not (half and out.dtype == FLOAT32):
            allowed = f"{self.input.dtype} (the input's){' or float32' if half else ''}"
            raise TypeError(f"out: expected dtype {allowed}, got {out.dtype}")
        if out.shape != self.shape:
            raise ValueError(f"out: expected shape {self.shape} (the input's), got {out.shape}")
        if not out.flags.writeable:
            raise ValueError("out: expected a writeable array, got a read-only one")
        if any(
            a is not None and np.may_share_memory(out, a) for a in (self.input, self.target, self.weight, self.maps)
        ):
            raise ValueError("out: expected memory of its own, got an array that overlaps an input")
        if _overlaps_itself(out):
            raise ValueError("out: expected an array whose elements are distinct, got a broadcast one")
        return out

    def raise_fault(self) -> None:
        """Raise the error for the fault that a kernel reported: the first bad weight, else the first bad label."""
        if self.whole is not None:
            self.whole.raise_fault()
        if self.given_weight is not None:
            check_weights(self.given_weight, "pixel_weight", real_dtype(self.input.dtype))
        self.raise_label_fault()
        read = ["target"] * self.labels + ["pixel_weight"] * (self.given_weight is not None)
        raise ValueError(f"{' or '.join(read)}: changed during the call")  # the bad element is gone by now

    def raise_label_fault(self) -> None:
        """Raise the error for the first label that counts but is no class, if there is one."""
        if self.labels and self.target is not None and self.given_target is not None:
            end, shape = self.classes + self.label_base, self.given_target.shape
            check_labels(self.target, end, self.ignored, weight=self.weight, shape=shape)


def check_weights(weights: Array, name: str, real: np.dtype[Any]) -> None:
    """Raise the error for the first weight that is wrong in the dtype of the arithmetic, if there is one."""
    if weights.dtype == np.bool_:
        return

    def bad(w: Array) -> Array:
        with np.errstate(all="ignore"):
            cast = w.astype(real)
        wrong: Array = ~((cast == 0) | ((cast >= real.type(LEAST)) & (cast <= real.type(MOST))))
        return wrong

    found = first_bad(bad, weights)
    if found is not None:
        raise ValueError(f"{name}: expected {SIZES}, got {found[1]} at {position(found[0], weights.shape)}")


def ignored_labels(ignore_index: int | Sequence[int] | None) -> tuple[int, ...]:
    """The labels that a checked `ignore_index` names."""
    if ignore_index is None:
        return (IGNORE_INDEX,)
    return (ignore_index,) if isinstance(ignore_index, int) else tuple(ignore_index)


def check_ignored(ignored: tuple[int, ...], labels: bool) -> None:
    """Refuse an `ignore_index` if there are no labels: the target is dense, or there is no target."""
    if not labels and ignored != (IGNORE_INDEX,):
        got = ignored[0] if len(ignored) == 1 else list(ignored)
        raise ValueError(
            f"ignore_index: expected {IGNORE_INDEX} (the default) without integer labels, got {got}; give integer "
            "labels, or give the pixels that do not count a pixel_weight of 0"
        )


def _overlaps_itself(a: Array) -> bool:
    """Whether two elements may share memory. They do not if each stride exceeds the reach of all smaller strides."""
    if a.flags.forc:
        return False
    reach = a.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1):
        if stride < reach:
            return a.size > 0
        reach = stride * (n - 1) + reach
    return False


def class_batch(
    input: Any,
    target: Any,
    pixel_weight: Any,
    axis: int,
    ignored: tuple[int, ...],
    binary: bool,
    target_optional: bool = False,
) -> Batch:
    """Make a batch with a class axis. binary: a single channel takes labels {0, 1} and is the channel of label 1."""
    if axis == 1 and pixel_weight is None and _native.core is not None:  # in most calls, the extension checks faster
        operands = _native.core.usual(input, target, NATIVE_REALS, NATIVE_LABELS, ignored)
        if operands is not None:
            return Batch(input, target, True, ignored, input.shape, 1, target, operands)
    x = as_input(input)
    if x.ndim == 0:
        raise ValueError("input: expected shape (N, C, *S) or (C,), got ()")
    where = _axis(axis, x.ndim)
    view = kernel_view(x, where)
    if view.shape[1] == 0:
        raise ValueError(f"input: expected at least one class on axis {axis}, got shape {x.shape}")
    y, labels, base, given = None, False, 0, None
    if target is not None or not target_optional:
        given = as_array(target, "target")
        y, labels, base = _target(given, x, view, where, binary)
    check_ignored(ignored, labels)
    w, given_weight = None, None
    if pixel_weight is not None:
        given_weight = as_array(pixel_weight, "pixel_weight")
        w, given_weight = _weight(given_weight, x, view, where, given is None or given.shape == x.shape)
    batch = Batch(view, y, labels, ignored, x.shape, where, given)
    batch.given_weight, batch.weight, batch.label_base = given_weight, w, base
    return batch


def element_batch(input: Any, target: Any, pixel_weight: Any, axis: int | None, by_sample: bool = False) -> Batch:
    """Make a batch from two arrays of the same shape. If axis is None, there are no classes.

    The elements are then flat, or flat per sample.
    """
    x, y = as_input(input), as_array(target, "target")
    if y.shape != x.shape:
        raise ValueError(f"target: expected shape {x.shape} (the input's), got {y.shape}")
    where = None if axis is None else _axis(axis, x.ndim)
    view, target_view = kernel_view(x, where, by_sample), kernel_view(y, where, by_sample)
    w, given = None, None
    if pixel_weight is not None:
        given = broadcast(as_array(pixel_weight, "pixel_weight"), x.shape, "pixel_weight")
        w = kernel_view(given, where, by_sample)
    ignored = (IGNORE_INDEX,)
    batch = Batch(view, target_view, False, ignored, x.shape, where)
    batch.given_weight, batch.weight, batch.by_sample = given, w, by_sample
    return batch


def _axis(axis: int, ndim: int) -> int:
    if ndim == 1 and axis in (0, 1, -1):
        return 0
    if not -ndim <= axis < ndim or axis % ndim == 0:
        raise ValueError(
            f"axis: expected the class axis of an input with {ndim} dimensions, not the sample axis, got {axis}"
        )
    return axis % ndim


def kernel_view(array: Array, axis: int | None, by_sample: bool = False) -> Array:
    """View an array of the input's shape as `(N, C, *S)`. No other thread can change the shape of the new view."""
    if axis == 1:
        return array[...]
    if axis is None:  # large samples stay separate, for exact merging; small samples share tiles
        by_sample = by_sample or (array.ndim > 1 and array[:1].size >= LARGE_SAMPLE)
        return array[:, None] if by_sample and array.ndim else array[None, None]
    return array[None] if array.ndim == 1 else np.moveaxis(array, axis, 1)


def pixel_shape(view: Array) -> tuple[int, ...]:
    """The shape (N, *S) of a view of shape (N, C, *S)."""
    shape: tuple[int, ...] = view.shape
    return shape[:1] + shape[2:]


def _target(y: Array, x: Array, view: Array, axis: int, binary: bool) -> tuple[Array, bool, int]:
    """Return the target as the kernels take it, whether it holds labels, and the label of class 0."""
    integer = y.dtype.kind in "iub"
    single = binary and view.shape[1] == 1
    pixels = pixel_shape(view)
    if y.ndim == 0 and x.ndim == 1:
        y = y[None]
    if y.shape == pixels and (integer or y.shape != x.shape):
        if not integer:
            raise TypeError(f"target: expected labels of an integer or bool dtype for shape {y.shape}, got {y.dtype}")
        return y, True, int(single)
    if y.shape != x.shape:
        expected = "()" if x.ndim == 1 else f"(N, *S) = {pixels}"
        raise ValueError(f"target: expected shape {expected} (labels) or {x.shape} (dense), got {y.shape}")
    if single and integer:
        return kernel_view(y, axis)[:, 0], True, 1
    if y.dtype.kind in "iu":
        raise TypeError(f"target: expected a float or bool dtype for a dense target of shape {y.shape}, got {y.dtype}")
    return kernel_view(y, axis), False, 0


def _weight(w: Array, x: Array, view: Array, axis: int, dense: bool) -> tuple[Array, Array]:
    """Return the weight twice: as the kernels take it, and in the caller's axes."""
    if dense and w.ndim == x.ndim:
        given = broadcast(w, x.shape, "pixel_weight")
        full = kernel_view(given, axis)
        return full[:, 0] if w.shape[axis] == 1 else full, given
    given = broadcast(w, pixel_shape(view) if x.ndim > 1 else (), "pixel_weight")
    return given if x.ndim > 1 else given[None], given
