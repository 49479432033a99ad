"""All validation: arrays in, a `Batch` out, or one clear error. Nothing is checked later but the data themselves.

Called by the loss objects. A `Batch` is what both backends take: views of shape `(N, C, *S)`, nothing copied. Labels
and weights are checked by the kernels while they read them (one pass); a fault comes back here to be found and named.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._faults import Array as Array
from ._faults import check_labels, position
from ._faults import first as first_bad

# The kernels' dtype tags (enum fl_dtype in csrc/fastloss.h), by NumPy's kind and size.
DTYPE_TAGS = {
    "f4": 0,
    "f8": 1,
    "f2": 2,
    "u1": 4,
    "b1": 12,
    "i1": 5,
    "u2": 6,
    "i2": 7,
    "u4": 8,
    "i4": 9,
    "u8": 10,
    "i8": 11,
}
BFLOAT16_TAG = 3
PLAIN_REALS = {np.dtype(name): tag for name, tag in DTYPE_TAGS.items() if name[0] == "f"}
PLAIN_LABELS = {np.dtype(name): tag for name, tag in DTYPE_TAGS.items() if name[0] != "f"}

IGNORE_INDEX = -100  # torch's default, a label that nobody has
LEAST, MOST = 1e-30, 1e30  # the size of a weight or an option that is not 0: float32 holds it, and its inverse
SIZES = f"0 or numbers from {LEAST:g} to {MOST:g}"

LARGE_SAMPLE = 256  # pixels from which a sample has tiles of its own, where nothing is wanted by sample
MANY_SAMPLES = 1024  # from here on the sums of each sample may be larger than the input: some are made at a time


@functools.cache  # a dtype's name takes NumPy microseconds
def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    return dtype.name == "bfloat16"


@functools.cache
def dtype_tag(dtype: np.dtype[Any]) -> int | None:
    """The kernels' tag of a dtype, or None if they do not read it."""
    return BFLOAT16_TAG if is_bfloat16(dtype) else DTYPE_TAGS.get(f"{dtype.kind}{dtype.itemsize}")


def operand(a: Array | None) -> tuple[Array, int | None, bool] | None:
    """An array as the kernels take it: (buffer, dtype tag, in the other byte order)."""
    if a is None:
        return None
    tag = dtype_tag(a.dtype)
    return a.view(np.uint16) if tag == BFLOAT16_TAG else a, tag, not a.dtype.isnative


def as_array(value: Any, name: str) -> Array:
    """Whatever offers the buffer, DLPack or `__array__` protocol, as an array without a copy."""
    if isinstance(value, np.ndarray):
        array: Array = value
    else:
        refuse_grad(value, name)
        array = foreign(value, name)
    if type(array) is not np.ndarray and isinstance(array, np.ma.MaskedArray):  # np.ma is looked up for subclasses only
        raise TypeError(f"{name}: expected an array without a mask (pixel_weight=~mask is one), got a masked one")
    if not isinstance(array, np.ndarray):
        try:
            array = np.asarray(value)
        except ValueError:
            raise ValueError(f"{name}: expected an array of numbers, got a ragged sequence") from None
    if dtype_tag(array.dtype) is None:
        raise TypeError(f"{name}: expected a real number dtype of at most 64 bits, got {array.dtype}")
    return array


def is_tensor(value: Any) -> bool:
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor)


def refuse_grad(value: Any, name: str) -> None:
    """An array of a call, unlike an option, may be asked for a gradient that torch would not see."""
    if is_tensor(value) and value.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise TypeError(
            f"{name}: expected an array or a tensor without grad, got one that requires grad, whose graph would not "
            f"see the loss: pass {name}.detach() and take the gradient from value_and_grad"
        )


def foreign(value: Any, name: str) -> Any:
    """torch's tensors, and what offers DLPack alone, as arrays; all else as it is."""
    try:
        if is_tensor(value):
            return _from_torch(value)
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
    except (RuntimeError, TypeError, BufferError) as error:  # sparse, quantised, without data, of a dtype of its own
        raise TypeError(f"{name}: expected an array that NumPy can read, got {type(value).__name__}: {error}") from None
    return value


def _from_torch(tensor: Any) -> Array:
    torch = sys.modules["torch"]
    plain = tensor.detach().resolve_neg()
    if plain.dtype != torch.bfloat16:
        return np.asarray(plain)
    bits = np.asarray(plain.view(torch.int16))
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError("a bfloat16 tensor needs the package ml_dtypes, which gives NumPy that dtype") from None
    return bits.view(ml_dtypes.bfloat16)


def as_input(value: Any, name: str = "input") -> Array:
    array = as_array(value, name)
    if array.dtype.kind != "f" and not is_bfloat16(array.dtype):
        raise TypeError(f"{name}: expected float16, bfloat16, float32 or float64, got {array.dtype}")
    return array


def as_labels(value: Any, name: str) -> Array:
    array = as_array(value, name)
    if array.dtype.kind not in "iub":
        raise TypeError(f"{name}: expected an integer or bool dtype, got {array.dtype}")
    return array


FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the arithmetic: float64 for float64, else float32. Maps come in it, too."""
    return FLOAT64 if dtype.itemsize == 8 else FLOAT32


def as_reals(value: Any, name: str, expected: str) -> Array:
    """An option of one or more real numbers, as float64."""
    try:
        given = np.asarray(foreign(value, name))
        return given.astype(np.float64, casting="unsafe" if given.dtype == object else "same_kind")
    except (TypeError, ValueError, OverflowError):  # no numbers, or ragged; an int beyond float64
        raise TypeError(f"{name}: expected {expected}, got {value!r}") from None


def vector(value: Any, name: str) -> tuple[float, ...] | None:
    """A configuration vector such as class_weight, as a tuple: finite, at least 0, one-dimensional."""
    if value is None:
        return None
    array = as_reals(value, name, "a sequence of numbers")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name}: expected shape (C,), got {array.shape}")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name}: expected finite values >= 0, got {array.tolist()}")
    return tuple(array.tolist())


class Batch(NamedTuple):
    """One call's arrays in the kernels' terms. `axis` and `shape` are the caller's, for what is returned."""

    input: Array  # (N, C, *S)
    target: Array | None  # labels (N, *S), or dense (N, C, *S)
    labels: bool
    label_base: int  # row c is label c + label_base
    weight: Array | None  # (N, *S), or (N, C, *S)
    ignored: tuple[int, ...]  # labels whose pixels do not count
    shape: tuple[int, ...]
    axis: int | None  # None: no class matters, the elements are (1, 1, *shape) or (N, 1, *rest)
    given_target: Array | None = None  # as the caller sees them, to name a fault
    given_weight: Array | None = None
    maps: Array | None = None  # (N, C, *S), of losses of distances
    split: bool = False  # axis None: samples stay apart, however small
    whole: Batch | None = None  # the batch that this is a part of

    @property
    def weight_by_class(self) -> bool:
        return self.weight is not None and self.weight.ndim == self.input.ndim

    @property
    def samples(self) -> int:
        return int(self.input.shape[0])

    @property
    def classes(self) -> int:
        return int(self.input.shape[1])

    @property
    def sample_count(self) -> int:
        """The caller's samples."""
        return self.shape[0] if self.axis is None and self.shape else self.samples

    @property
    def pixels(self) -> int:
        """Pixels a sample."""
        return math.prod(self.input.shape[2:])

    def parts(self, samples: int) -> Iterator[tuple[slice, Batch]]:
        """So many samples at a time, and which they are."""
        for first in range(0, self.samples, samples):
            cut = slice(first, first + samples)
            target, weight, maps = (None if a is None else a[cut] for a in (self.target, self.weight, self.maps))
            yield cut, self._replace(input=self.input[cut], target=target, weight=weight, maps=maps, whole=self)

    def kernel_view(self, array: Array) -> Array:
        """An array of the input's shape as `(N, C, *S)`."""
        return kernel_view(array, self.axis, self.split)

    def new_gradient(self) -> Array:
        """An array for the gradient, of the caller's shape and laid out as the input is."""
        view = np.empty_like(self.input, self.input.dtype.newbyteorder("="), subok=False)
        if self.axis is None:
            return view[0, 0, ...] if view.ndim == len(self.shape) + 2 else view[:, 0]
        if self.axis == 1:
            return view
        return view[0] if len(self.shape) == 1 else np.moveaxis(view, 1, self.axis)

    def check_out(self, out: Any) -> Array:
        """The caller's gradient array, if the gradient may be written to it."""
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
        """Find and name what a kernel reported, in the caller's arrays: the first bad weight, else the first bad
        label."""
        if self.whole is not None:
            self.whole.raise_fault()
        if self.given_weight is not None:
            real = real_dtype(self.input.dtype)

            def bad(w: Array) -> Array:
                with np.errstate(all="ignore"):
                    cast = w.astype(real)
                wrong: Array = ~((cast == 0) | ((cast >= real.type(LEAST)) & (cast <= real.type(MOST))))
                return wrong

            found = first_bad(bad, self.given_weight)
            if found is not None:
                where, got = position(found[0], self.given_weight.shape), found[1]
                raise ValueError(f"pixel_weight: expected {SIZES}, got {got} at {where}")
        if self.labels and self.target is not None and self.given_target is not None:
            end, shape = self.classes + self.label_base, self.given_target.shape
            check_labels(self.target, end, self.ignored, weight=self.weight, shape=shape)
        read = ["target"] * self.labels + ["pixel_weight"] * (self.given_weight is not None)
        raise ValueError(f"{' or '.join(read)}: changed during the call")  # another thread has mended it


def ignored_labels(ignore_index: int | Sequence[int] | None) -> tuple[int, ...]:
    """A checked option, as the labels that it names."""
    if ignore_index is None:
        return (IGNORE_INDEX,)
    return (ignore_index,) if isinstance(ignore_index, int) else tuple(ignore_index)


def check_ignored(ignored: tuple[int, ...], labels: bool) -> None:
    """Only a label can be ignored: a dense target has none, and neither has a call without a target."""
    if not labels and ignored != (IGNORE_INDEX,):
        got = ignored[0] if len(ignored) == 1 else list(ignored)
        raise ValueError(
            f"ignore_index: expected {IGNORE_INDEX} (the default) without integer labels, got {got}: give integer "
            "labels, or a pixel_weight of 0 where a pixel does not count"
        )


def _overlaps_itself(a: Array) -> bool:
    """Whether two elements may share memory: every stride must step over all that the smaller ones reach."""
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
    *,
    axis: int,
    ignored: tuple[int, ...],
    binary: bool,
    target_optional: bool = False,
) -> Batch:
    """A batch with a class axis. binary: a single channel takes labels {0, 1}, and row 0 is label 1."""
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
    return Batch(view, y, labels, base, w, ignored, x.shape, where, given, given_weight)


def element_batch(input: Any, target: Any, pixel_weight: Any, *, axis: int | None, by_sample: bool = False) -> Batch:
    """Two arrays of one shape; axis None: no class matters and the elements are flat, or flat in each sample."""
    x, y = as_input(input), as_array(target, "target")
    if y.shape != x.shape:
        raise ValueError(f"target: expected shape {x.shape} (the input's), got {y.shape}")
    where = None if axis is None else _axis(axis, x.ndim)
    view, target_view = kernel_view(x, where, by_sample), kernel_view(y, where, by_sample)
    w, given = None, None
    if pixel_weight is not None:
        given = broadcast(as_array(pixel_weight, "pixel_weight"), x.shape, "pixel_weight")
        w = kernel_view(given, where, by_sample)
    return Batch(view, target_view, False, 0, w, (IGNORE_INDEX,), x.shape, where, None, given, None, by_sample)


def _axis(axis: int, ndim: int) -> int:
    if ndim == 1 and axis in (0, 1, -1):
        return 0
    if not -ndim <= axis < ndim or axis % ndim == 0:
        raise ValueError(
            f"axis: expected the class axis of an input with {ndim} dimensions (not the samples'), got {axis}"
        )
    return axis % ndim


def kernel_view(array: Array, axis: int | None, split: bool = False) -> Array:
    """An array of the input's shape as `(N, C, *S)`: a view of our own, whose shape no other thread can change."""
    if axis == 1:
        return array[...]
    if axis is None:  # large samples stay apart, so that merging them is exact; small ones share tiles
        apart = split or (array.ndim > 1 and array[:1].size >= LARGE_SAMPLE)
        return array[:, None] if apart and array.ndim else array[None, None]
    return array[None] if array.ndim == 1 else np.moveaxis(array, axis, 1)


def pixel_shape(view: Array) -> tuple[int, ...]:
    """(N, *S), of (N, C, *S)."""
    shape: tuple[int, ...] = view.shape
    return shape[:1] + shape[2:]


def _target(y: Array, x: Array, view: Array, axis: int, binary: bool) -> tuple[Array, bool, int]:
    """The target as the kernels take it, whether it holds labels, and the label of row 0."""
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
    """The weight as the kernels take it, and as the caller sees it."""
    if dense and w.ndim == x.ndim:
        given = broadcast(w, x.shape, "pixel_weight")
        full = kernel_view(given, axis)
        return full[:, 0] if w.shape[axis] == 1 else full, given
    given = broadcast(w, pixel_shape(view) if x.ndim > 1 else (), "pixel_weight")
    return given if x.ndim > 1 else given[None], given


def broadcast(a: Array, shape: tuple[int, ...], name: str) -> Array:
    if a.shape == shape:
        return a
    try:
        return np.broadcast_to(a, shape)
    except ValueError:
        raise ValueError(f"{name}: expected a shape that broadcasts to {shape}, got {a.shape}") from None
