"""Loads a pair of files as the arrays that `fastloss.evaluate` takes, and checks that the two belong together.

Each file is opened once, so header and values come from the same file. Shapes and dtypes are compared before anything
large is unpacked. Every error in a file becomes a `UserError` that names the file. `measure.py` calls this module,
which knows nothing about losses.
"""

from dataclasses import dataclass

import numpy as np

from . import formats
from .errors import UserError, shown
from .formats import BOMB_RATIO, MASKS, PREDICTIONS, Array, Stored, open_array
from .opening import opened, reading
from .pairing import Pair


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How predictions are stored, as the options of the command line describe it."""

    axis: int = 0
    key: str | None = None
    bfloat16: bool = False
    scale: float | None = None


def load_pair(pair: Pair, how: Reading) -> tuple[Array, Array, bool]:
    """Return the prediction `(1, C, *S)`, the labels `(1, *S)`, and whether the two files differ in their affine.

    If the file can be mapped, the arrays are views of the file, without a copy.
    """
    with opened(pair.prediction) as left, opened(pair.target) as right:
        prediction = open_array(pair.prediction, left, PREDICTIONS, how.key)
        target = open_array(pair.target, right, MASKS)
        return _loaded(pair, prediction, target, how)


def _loaded(pair: Pair, prediction: Stored, target: Stored, how: Reading) -> tuple[Array, Array, bool]:
    axis = _class_axis(prediction, target, how.axis)
    _check_mask(target)
    _check_bomb(prediction)
    with reading(pair.prediction):
        values = _as_real(prediction, how)
    with reading(pair.target):
        labels = _as_labels(target)
    return np.moveaxis(values, axis, 0)[None], labels[None], _moved(prediction, target)


def _moved(prediction: Stored, target: Stored) -> bool:
    if prediction.affine is None or target.affine is None:
        return False
    return not np.allclose(prediction.affine, target.affine, rtol=1e-4, atol=1e-3)


def _class_axis(prediction: Stored, target: Stored, axis: int) -> int:
    """Check that the shapes agree apart from the class axis, and return the class axis as a number >= 0."""
    name, shape, expected = shown(prediction.path), prediction.shape, target.shape
    if shape == expected:
        raise UserError(
            f"{name}: expected a class axis besides the mask's axes, got shape {shape}, which is the mask's; save one "
            f"channel as {(1, *shape)} (array[None]) and give --activation sigmoid"
        )
    if not -len(shape) <= axis < len(shape):
        raise UserError(f"{name}: expected an array with axis {axis} (--axis), got shape {shape}")
    axis %= len(shape)
    if _without(shape, axis) == expected:
        return axis
    fits = [other for other in range(len(shape)) if _without(shape, other) == expected]
    hint = f"; --axis {fits[0]} would fit, since a file holds one image" if fits else ""
    raise UserError(
        f"{name}: without class axis {axis}, expected shape {expected} (that of the mask {shown(target.path)}), "
        f"got {_without(shape, axis)} (of {shape}){hint}"
    )


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _check_mask(target: Stored) -> None:
    if target.dtype.kind not in "buif":
        raise UserError(f"{shown(target.path)}: expected integer labels, got {target.dtype}")


def _as_labels(target: Stored) -> Array:
    """Return the mask as integers. Many NIfTI files store whole numbers as float64."""
    values = target.load()
    if values.dtype.kind != "f":
        return values
    with np.errstate(invalid="ignore"):
        labels = values.astype(np.int64)
    wrong = labels != values
    if wrong.any():
        position = tuple(np.argwhere(wrong)[0].tolist())
        raise UserError(
            f"{shown(target.path)}: expected integer labels, got {values[position]} at {position} ({values.dtype})"
        )
    return labels


def _check_bomb(stored: Stored) -> None:
    if stored.nbytes > formats.BOMB_BYTES and stored.nbytes > BOMB_RATIO * stored.packed:
        raise UserError(
            f"{shown(stored.path)}: expected data that unpack to at most {BOMB_RATIO} times their size, got an archive "
            f"bomb of {stored.packed} bytes that unpack to {stored.nbytes}; save real data as .npy"
        )


def _as_real(stored: Stored, how: Reading) -> Array:
    """Return the prediction as floating-point numbers."""
    name, dtype = shown(stored.path), stored.dtype
    if how.bfloat16:
        if dtype.itemsize != 2 or dtype.kind not in "Vu":
            raise UserError(f"{name}: expected raw 2-byte numbers (|V2 or uint16) for --dtype bfloat16, got {dtype}")
        return _bfloat16(stored.load())
    if dtype == np.dtype("V2"):
        raise UserError(f"{name}: expected a float dtype, got |V2; if it is bfloat16, give --dtype bfloat16")
    if how.scale is not None:
        if dtype.kind not in "bui":
            raise UserError(f"{name}: expected probabilities stored as integers for --scale, got {dtype}")
        return _scaled(stored.load(), how.scale)
    if dtype.kind in "bui":
        raise UserError(
            f"{name}: expected a float dtype, got {dtype}; if these are probabilities times 255, "
            "give --scale 255 --activation none"
        )
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        raise UserError(f"{name}: expected float16, float32 or float64, got {dtype}")
    return stored.load()


def _bfloat16(raw: Array) -> Array:
    """Return the 16-bit numbers as bfloat16, or as equal float32 numbers if ml_dtypes is not installed."""
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        wide = raw.view(np.uint16).astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    return raw.view(ml_dtypes.bfloat16)


def _scaled(raw: Array, scale: float) -> Array:
    return np.divide(raw, np.float32(scale), dtype=np.float32)
