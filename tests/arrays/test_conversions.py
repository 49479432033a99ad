"""Tests the conversion of numbers to and from the arithmetic's dtype, bit by bit.

The tests cover every half-precision number, ties of rounding, and booleans of any byte.
"""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np
import pytest

import fastloss as fl

HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
IDS = {"ids": str}
NANS = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00001, 0xFFC00001], np.uint32).view(np.float32)  # rounding could carry


def layouts(a):
    """Contiguous, strided, and in the other byte order where there is one."""
    yield a
    yield np.repeat(a, 2)[::2]
    if a.dtype.kind != "V":
        yield a.astype(a.dtype.newbyteorder())


def bits(a):
    """As integers; one for all NaNs, one for both zeros, whose sign some sums lose."""
    integers = a.view(f"u{a.dtype.itemsize}")
    return np.where(np.isnan(a), 0xFFFF, np.where(a == 0, 0, integers))


@pytest.mark.parametrize("dtype", HALVES, **IDS)
def test_every_half_is_read_exactly(dtype, backend):
    """-x of a lone class is the negative log-likelihood of the log-probability x, in float32."""
    x = np.arange(2**16, dtype=np.uint16).view(dtype)
    want = -x.astype(np.float32)
    for given in layouts(x):
        got = fl.nll_loss(given[:, None], np.zeros(len(x), int), reduction="none")
        assert got.dtype == np.float32
        np.testing.assert_array_equal(bits(got), bits(want))


@pytest.mark.parametrize("dtype", HALVES, **IDS)
def test_halves_are_rounded_to_the_nearest_even(dtype, backend):
    """-2 y is the gradient of (0 - y)^2: float32 numbers at, between, and next to halves, all of them."""
    halves = np.arange(2**16, dtype=np.uint16).view(dtype)
    finite = halves.astype(np.float32)
    finite = np.sort(finite[np.isfinite(finite)])
    middles = ((finite[1:].astype(np.float64) + finite[:-1]) / 2).astype(np.float32)
    exact = np.concatenate([finite, middles, [np.inf, -np.inf, np.nan, 3e38, -3e38, 65519.99, 65520, 65536, 1e-45]])
    v = np.concatenate([np.nextafter(exact, np.float32(s), dtype=np.float32) for s in (-np.inf, np.inf)] + [exact])
    v = np.concatenate([v.astype(np.float32), NANS])
    v = v[(np.abs(v) < 2e38) | ~np.isfinite(v)]  # twice the half of it
    v = v[~(np.abs(v) < 1e-37) | (v == 0)]  # the half of it is exact
    assert np.isnan(v).sum() > len(NANS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # beyond float16
        want = v.astype(dtype)
    x = np.zeros(v.shape, dtype)
    got = fl.MSELoss(reduction="sum").value_and_grad(x, -v / 2)[1]
    np.testing.assert_array_equal(bits(got), bits(want))


def test_any_byte_but_0_is_true(backend):
    """A bool array over the bytes of another may hold more than 0 and 1."""
    y = np.array([0, 1, 2, 128, 255], np.uint8).view(np.bool_)
    truth = np.array([0, 1, 1, 1, 1])
    x = np.array([[0.0, 1.0]] * 5)
    np.testing.assert_array_equal(
        fl.cross_entropy(x, y, reduction="none"), fl.cross_entropy(x, truth, reduction="none")
    )
    dense, weight = np.stack([~y, y], axis=1), np.ones((5, 2), bool)
    weight.view(np.uint8)[...] = 7
    assert fl.cross_entropy(x, y, pixel_weight=weight[:, 0]) == fl.cross_entropy(x, truth)
    assert fl.mse_loss(x, dense) == fl.mse_loss(x, np.stack([1 - truth, truth], axis=1).astype(float))
