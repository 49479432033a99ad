"""Compares values and arrays, either to the bit or up to the rounding of a dtype."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

import fastloss as fl


def bits(a: Any) -> bytes:
    """Return the bits of a value or array, whatever its layout and byte order."""
    a = np.asarray(a)
    return a.astype(a.dtype.newbyteorder("="), order="C").tobytes() + str(a.shape).encode()


def same_bits(a: Any, b: Any) -> bool:
    return bits(a) == bits(b)


def assert_reports_close(report: Any, whole: Any, rtol: float, atol: float = 0.0) -> None:
    """Compare all values of two reports: of all images, per image and per class."""
    assert report.images == whole.images
    for name in whole:
        for got, expected in (
            (report[name], whole[name]),
            (report.per_image[name], whole.per_image[name]),
            (report.per_class[name], whole.per_class[name]),
        ):
            np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)


def eps(dtype: Any) -> float:
    """Return the distance from 1 to the next number."""
    return float(ml_dtypes.finfo(dtype).eps)


def real(dtype: Any) -> np.dtype:
    """Return the dtype in which the kernels compute for `dtype`."""
    return np.dtype(np.float64 if np.dtype(dtype) == np.float64 else np.float32)


def assert_close(
    got: Any, want: Any, dtype: Any, factor: float | None = None, cancels: int = 1, rounded: bool = False
) -> None:
    """Check that `got` equals a float64 reference up to the errors of the arithmetic and the rounding to `dtype`.

    The arithmetic rounds each number about ten times, including exp and log with errors of 2 ulp, and terms cancel. The
    bound for this is `factor` eps of the largest number in the array. By default, `factor` is 16 in float32. In float64
    it is 64. There the reference has the same errors, and its sums over up to a thousand tiles are not exact either.
    The result is then rounded to its dtype. That adds half an eps of the result and at most the least subnormal number.
    If `want` is also rounded, it adds twice as much.
    """
    factor = cancels * (factor or (64 if real(dtype) == np.float64 else 16))
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    stored = got.dtype
    got = got.astype(np.float64)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.where(finite, 0, got), np.where(finite, 0, want))
    largest = np.abs(want[finite]).max(initial=0)
    bound = factor * eps(real(dtype)) * largest
    if stored != np.float64:
        storing = 0.51 * eps(stored) * np.abs(want) + float(ml_dtypes.finfo(stored).smallest_subnormal)
        bound = bound + (1 + rounded) * storing
    with np.errstate(invalid="ignore"):  # because of inf - inf
        wrong = finite & ~(np.abs(got - want) <= bound)
    assert not wrong.any(), f"{got[wrong][:3]} against {want[wrong][:3]}, {np.argwhere(wrong)[:3].tolist()}"


def reference(loss, x, y, w):
    """Return value and gradient in float64, computed by the NumPy backend."""
    with fl.backend("numpy"):
        return loss.value_and_grad(x.astype(np.float64), y, pixel_weight=w)
