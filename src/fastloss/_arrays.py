"""Turns the arguments of a call into arrays that the kernels read, or raises an error that names the argument.

Nothing is copied.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from ._faults import Array as Array

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
NATIVE_REALS = {np.dtype(name): tag for name, tag in DTYPE_TAGS.items() if name[0] == "f"}
NATIVE_LABELS = {np.dtype(name): tag for name, tag in DTYPE_TAGS.items() if name[0] != "f"}
LEAST, MOST = 1e-30, 1e30  # limits of a weight or option that is not 0; float32 holds such a number and its inverse
SIZES = f"0 or numbers from {LEAST:g} to {MOST:g}"
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


@functools.cache  # NumPy needs microseconds to return a dtype's name
def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    return dtype.name == "bfloat16"


@functools.cache
def dtype_tag(dtype: np.dtype[Any]) -> int | None:
    """The kernels' tag for a dtype, or None if they cannot read the dtype."""
    return BFLOAT16_TAG if is_bfloat16(dtype) else DTYPE_TAGS.get(f"{dtype.kind}{dtype.itemsize}")


def operand(a: Array | None) -> tuple[Array, int | None, bool] | None:
    """An array as the kernels take it: (buffer, dtype tag, whether its bytes are swapped)."""
    if a is None:
        return None
    tag = dtype_tag(a.dtype)
    return a.view(np.uint16) if tag == BFLOAT16_TAG else a, tag, not a.dtype.isnative


def as_array(value: Any, name: str) -> Array:
    """Return an object as an array, without a copy if it offers the buffer, DLPack or `__array__` protocol."""
    if isinstance(value, np.ndarray):
        array: Array = value
    else:
        refuse_grad(value, name)
        array = foreign(value, name)
    if type(array) is not np.ndarray and isinstance(array, np.ma.MaskedArray):  # np.ma is looked up for subclasses only
        raise TypeError(
            f"{name}: expected an array without a mask, got a masked array; pass its data and pixel_weight=~mask"
        )
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
    """Refuse a tensor that requires grad, because torch would not see the gradient of the loss."""
    if is_tensor(value) and value.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise TypeError(
            f"{name}: expected an array, or a tensor without grad, got a tensor that requires grad; call the loss of "
            f"fastloss.torch, which torch differentiates, or pass {name}.detach()"
        )


def foreign(value: Any, name: str) -> Any:
    """Return a torch tensor, or an object that offers only DLPack, as an array. Return any other value unchanged."""
    try:
        if is_tensor(value):
            return _from_torch(value)
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
    except (RuntimeError, TypeError, BufferError) as error:  # sparse, quantised, no data, dtype unknown to NumPy
        raise TypeError(f"{name}: expected an array that NumPy can read, got {type(value).__name__}: {error}") from None
    return value


def _from_torch(tensor: Any) -> Array:
    torch = sys.modules["torch"]
    detached = tensor.detach().resolve_neg()
    if detached.dtype != torch.bfloat16:
        return np.asarray(detached)
    bits = np.asarray(detached.view(torch.int16))
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError("NumPy has bfloat16 only with the package ml_dtypes; run pip install ml_dtypes") from None
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


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the arithmetic and of maps: float64 for float64, float32 for any other."""
    return FLOAT64 if dtype.itemsize == 8 else FLOAT32


def as_reals(value: Any, name: str, expected: str) -> Array:
    """Return an option that holds one or more real numbers as a float64 array."""
    try:
        given = np.asarray(foreign(value, name))
        return given.astype(np.float64, casting="unsafe" if given.dtype == object else "same_kind")
    except (TypeError, ValueError, OverflowError):  # not numbers, or ragged, or an int beyond float64
        raise TypeError(f"{name}: expected {expected}, got {value!r}") from None


def vector(value: Any, name: str) -> tuple[float, ...] | None:
    """Check a vector such as class_weight and return it as a tuple. It must be one-dimensional, finite and >= 0."""
    if value is None:
        return None
    array = as_reals(value, name, "a sequence of numbers")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name}: expected shape (C,), got {array.shape}")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name}: expected finite values >= 0, got {array.tolist()}")
    return tuple(array.tolist())


def broadcast(a: Array, shape: tuple[int, ...], name: str) -> Array:
    if a.shape == shape:
        return a
    try:
        return np.broadcast_to(a, shape)
    except ValueError:
        raise ValueError(f"{name}: expected a shape that broadcasts to {shape}, got {a.shape}") from None
