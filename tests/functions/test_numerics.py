"""Tests logsumexp, softmax and log_softmax against scipy.special."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from compare import assert_close, real, same_bits
from layouts import DTYPES, LAYOUTS

import fastloss as fl

NAMES = ["logsumexp", "softmax", "log_softmax"]
names = pytest.mark.parametrize("name", NAMES)
ARRAYS = [((7,), None), ((7,), 0), ((4, 300), 0), ((4, 300), 1), ((4, 300), None), ((3, 5, 7), -2), ((3, 5, 7), (0, 2))]
ARRAYS += [((3, 5, 7), (1, -1)), ((3, 5, 7), (0, 1, 2)), ((2, 300, 33), 1), ((2, 3, 4, 5), 3), ((1, 1), 0)]


def result_dtype(name, dtype):
    return real(dtype) if name == "logsumexp" else dtype


@names
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "axis"), ARRAYS, ids=str)
def test_against_scipy(name, dtype, shape, axis, backend):
    a = (5 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    want = getattr(scipy.special, name)(a.astype(np.float64), axis)
    got = getattr(fl, name)(a, axis)
    assert got.dtype == result_dtype(name, dtype)
    assert_close(got, want, dtype)
    for layout in LAYOUTS:
        assert_close(getattr(fl, name)(layout(a), axis), want, dtype)
        if backend == "native" and np.ndim(axis or 0) == 0 and axis is not None:
            assert same_bits(getattr(fl, name)(layout(a), axis), got)


@pytest.mark.parametrize(("shape", "axis"), ARRAYS, ids=str)
@pytest.mark.parametrize("signed", [False, True])
def test_logsumexp_keepdims_and_b(shape, axis, signed, backend):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(shape), rng.random(shape)
    b[b < 0.2] = 0
    if signed:
        b.flat[0] = -0.1
    with np.errstate(all="ignore"):
        for options in ({"keepdims": True}, {"b": b}, {"b": b, "keepdims": True}, {"b": 2.0}):
            want = scipy.special.logsumexp(a, axis, **options)
            got = fl.logsumexp(a, axis, **options)
            assert_close(got, want, np.float64)


@pytest.mark.parametrize(
    "values", [[], [-np.inf], [-np.inf, -np.inf], [np.inf, 0], [np.inf, -np.inf], [np.nan, 0], [1e300, 1e300]]
)
@names
def test_edges(name, values, backend):
    a = np.array(values)
    if name != "logsumexp" and not values:
        assert getattr(fl, name)(a, 0).shape == (0,)
        return
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(getattr(fl, name)(a), getattr(scipy.special, name)(a), rtol=1e-14)


@names
@pytest.mark.parametrize(
    "values",
    [[np.inf, 0], [np.inf, -np.inf], [np.inf, np.inf], [-np.inf, -np.inf], [np.nan, 0], [1e300, 1e300], [-1e300, 1]],
)
def test_edges_over_two_axes(name, values, backend):
    a = np.array([values])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(getattr(fl, name)(a), getattr(scipy.special, name)(a))


@pytest.mark.parametrize(
    ("shape", "axis"), [((0, 3), 0), ((0, 3), 1), ((3, 0), 1), ((2, 0, 3), (0, 2)), ((0,), None)], ids=str
)
def test_empty(shape, axis, backend):
    a = np.zeros(shape)
    got = fl.logsumexp(a, axis)
    want = np.log(np.zeros(shape).sum(axis=axis) + 0.0, where=False, out=np.full(np.shape(a.sum(axis=axis)), -np.inf))
    assert np.shape(got) == want.shape
    np.testing.assert_array_equal(got, want)
    for function in (fl.softmax, fl.log_softmax):
        assert function(a, axis).shape == shape


@names
def test_zero_dimensions(name, backend):
    a = np.float64(2.5)
    assert getattr(fl, name)(a) == getattr(scipy.special, name)(a)
    assert np.shape(getattr(fl, name)(a)) == ()


@names
@pytest.mark.parametrize("n", [4095, 4096, 5000, 1_000_003])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_vectors(name, n, dtype, backend):
    a = (5 * np.random.default_rng(0).standard_normal(n)).astype(dtype)
    a[7] = -np.inf
    want = getattr(scipy.special, name)(a.astype(np.float64))
    # Plain float32 sums of n exps in order would be off by n eps; sums by lanes and tiles stay near sqrt(n / 64) eps.
    assert_close(getattr(fl, name)(a), want, dtype, factor=16 + (n / 64) ** 0.5)


@names
@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i4", "u8", "i8"])
def test_integers(name, dtype, backend):
    a = np.arange(12).reshape(3, 4).astype(dtype)
    got = getattr(fl, name)(a, axis=1)
    assert got.dtype == np.float64
    assert_close(got, getattr(scipy.special, name)(a.astype(float), axis=1), np.float64)
    assert same_bits(got, getattr(fl, name)(a.tolist(), axis=1))


@names
@pytest.mark.parametrize("axis", [2, -3, (0, 0), (0, -2), 0.5])
def test_a_wrong_axis(name, axis, backend):
    with pytest.raises(ValueError, match=r"^axis: expected"):
        getattr(fl, name)(np.zeros((2, 3)), axis)


@names
@pytest.mark.parametrize("a", [np.zeros(3, complex), np.zeros(3, "O"), np.array(["a"])], ids=lambda a: str(a.dtype))
def test_no_real_numbers(name, a, backend):
    with pytest.raises(TypeError, match=r"^a: expected"):
        getattr(fl, name)(a)
