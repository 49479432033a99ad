"""Tests functions and losses against scipy.special and scipy.spatial, over random, extreme and special values.

scipy computes in float64. Our result may differ by a set number of ulp of its own dtype. The bound holds for each
element, so small values are also checked. test_numerics.py tests logsumexp, softmax and log_softmax over axes, shapes
and layouts.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats
from compare import same_bits
from layouts import LAYOUTS

import fastloss as fl

INF, NAN = np.inf, np.nan
DTYPES = pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-300, -1e-300, 5e-324, 1e-40, -1e-40, 1e-45, 1e-38, 3e38, -3e38]
SPECIAL += [
    1e300,
    -1e300,
    INF,
    -INF,
    NAN,
    88.7,
    -88.7,
    104.0,
    -104.0,
    709.0,
    -709.0,
    -745.0,
    1 - 2.0**-24,
    1 - 2.0**-53,
]
SPECIAL += [1 + 2.0**-23, 2.0, -2.0, 0.25, 0.75, 0.49999997, 0.50000003, 36.7, -36.7, 16.6, -16.6]


def values(kind, dtype):
    rng = np.random.default_rng(0)
    wide = np.concatenate(
        [30 * rng.standard_normal(2000), rng.standard_normal(2000) * 10.0 ** rng.uniform(-40, 40, 2000)]
    )
    unit = np.concatenate([rng.random(2000), 10.0 ** rng.uniform(-45, 0, 2000), 1 - 2.0 ** rng.uniform(-53, 0, 2000)])
    with np.errstate(all="ignore"):
        return np.concatenate([SPECIAL, wide if kind == "wide" else unit]).astype(dtype)


def within(got, want, ulps):
    """Up to `ulps` of each number; what is below the least normal number may be 0; nan and inf where scipy has them."""
    limits = np.finfo(np.float32 if got.dtype == np.float16 else got.dtype)
    stored = np.finfo(got.dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        want_stored = want.astype(got.dtype)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    infinite = np.isinf(want_stored)
    np.testing.assert_array_equal(got[infinite], want_stored[infinite])
    rest = ~infinite & ~np.isnan(want)
    rounding = (
        0.51 * float(stored.eps) * np.abs(want) + float(stored.smallest_subnormal) if got.dtype == np.float16 else 0
    )
    bound = ulps * float(limits.eps) * np.abs(want) + float(limits.tiny) + rounding
    with np.errstate(invalid="ignore"):  # inf - inf
        wrong = rest & ~(np.abs(got.astype(np.float64) - want) <= bound)
    assert not wrong.any(), (got[wrong][:5], want[wrong][:5], np.flatnonzero(wrong)[:5])


# name: (ours, scipy's, values, ulp)
FUNCTIONS = {
    "sigmoid": (fl.sigmoid, scipy.special.expit, "wide", 4),  # exp and a division
    "log_sigmoid": (fl.log_sigmoid, scipy.special.log_expit, "wide", 4),
    "softplus": (fl.softplus, lambda x: -scipy.special.log_expit(-x), "wide", 4),
    "logit": (fl.logit, scipy.special.logit, "unit", 8),  # scipy's own cancels by some ulp near 1/2
    "entropy": (lambda x: np.array([fl.entropy(v) for v in x], x.dtype), scipy.special.entr, "unit", 4),
}


@DTYPES
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, dtype, backend):
    ours, theirs, kind, ulps = FUNCTIONS[name]
    x = values(kind, dtype)
    x = x[::10] if name == "entropy" else x
    with np.errstate(all="ignore"):
        want = theirs(x.astype(np.float64))
        got = ours(x)
    assert got.dtype == dtype
    within(got, want, ulps)


@DTYPES
@pytest.mark.parametrize("name", ["sigmoid", "log_sigmoid", "softplus", "logit"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_layouts(name, layout, dtype, backend):
    x = np.random.default_rng(0).random((3, 4, 50)).astype(dtype)
    assert same_bits(getattr(fl, name)(layout(x)), getattr(fl, name)(x))


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4), (4, 1000)], ids=str)
def test_entropy_of_distributions(shape, backend):
    p = np.random.default_rng(0).random(shape)
    for axis in [None, *range(-len(shape), len(shape))]:
        want = scipy.special.entr(p).sum(axis=axis)
        np.testing.assert_allclose(fl.entropy(p, axis), want, rtol=1e-13)
        if shape and axis is not None:
            q = p / p.sum(axis=axis, keepdims=True)
            np.testing.assert_allclose(fl.entropy(q, axis), scipy.stats.entropy(q, axis=axis), rtol=1e-13)


def axis_rows(dtype):
    """Rows of 1 to 1000 logits, with -inf among them, with a single finite one, equal ones, and far apart."""
    rng = np.random.default_rng(0)
    rows = [scale * rng.standard_normal(n) for n in (1, 2, 3, 19, 1000) for scale in (1e-3, 1.0, 20.0, 1e4)]
    for n in (2, 5, 100):
        masked = rng.standard_normal(n)
        masked[rng.random(n) < 0.5] = -INF
        masked[0] = 1
        rows += [masked, np.full(n, 7.5), np.where(np.arange(n) == 1, 3.0, -INF), np.arange(n) * -50.0]
    return [row.astype(dtype) for row in rows]


@DTYPES
@pytest.mark.parametrize("k", range(32))
def test_over_an_axis(k, dtype, backend):
    x = axis_rows(dtype)[k]
    wide = x.astype(np.float64)
    spread = np.abs(wide[np.isfinite(wide)]).max()
    # log-sum-exp is the largest plus a log: eps of whichever is larger; so is each log softmax.
    eps = float(np.finfo(np.float32 if dtype == np.float16 else dtype).eps)
    np.testing.assert_allclose(fl.logsumexp(x), scipy.special.logsumexp(wide), rtol=0, atol=8 * eps * max(spread, 1))
    rounding = 0.51 * float(np.finfo(dtype).eps)
    with np.errstate(over="ignore"):  # -2e4 * 3 in float16
        got, want = fl.log_softmax(x), scipy.special.log_softmax(wide).astype(dtype).astype(np.float64)
    np.testing.assert_allclose(
        got.astype(np.float64), want, rtol=4 * rounding if dtype == np.float16 else 0, atol=8 * eps * max(spread, 1)
    )
    # A probability has the relative error of exp(x - max): the difference's rounding is some eps of the exponent.
    factor = 8 + 2 * min(spread, 100)
    within(fl.softmax(x), scipy.special.softmax(wide), factor)


# ---- losses: element by element, and their sums


def pairs(dtype, signed=False):
    """All pairs of special values, and random ones."""
    rng = np.random.default_rng(0)
    grid = [0.0, 1.0, 0.5, 0.25, 1e-3, 1e-10, 1e-30, 1 - 2.0**-20, 0.999]
    x, y = (a.ravel() for a in np.meshgrid(grid, grid))
    x, y = np.concatenate([x, rng.random(500)]), np.concatenate([y, rng.random(500)])
    sign = rng.choice([-1.0, 1.0], x.shape) if signed else 1
    return (sign * x).astype(dtype), y.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kl_div(dtype, backend):
    """scipy.special.rel_entr(y, p) = y log(y / p); kl_div adds p - y, which sums to 0 over distributions."""
    p, y = pairs(dtype)
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    got = fl.kl_div(log_p, y, reduction="none").astype(np.float64)
    want = scipy.special.rel_entr(y.astype(np.float64), np.exp(log_p.astype(np.float64)))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    finite = np.isfinite(want)
    log_p = np.where(np.isfinite(log_p), log_p, 0).astype(np.float64)
    scale = y * (1 + np.abs(log_p)) + scipy.special.entr(y.astype(np.float64))  # what cancels
    assert (np.abs(got[finite] - want[finite]) <= 8 * np.finfo(dtype).eps * scale[finite]).all()
    a, b = (np.random.default_rng(k).dirichlet(np.ones(7), 100) for k in (0, 1))
    np.testing.assert_allclose(fl.kl_div(np.log(a), b, reduction="sum"), scipy.special.kl_div(b, a).sum(), rtol=1e-12)
    np.testing.assert_allclose(
        fl.kl_div(np.log(a), b, reduction="batchmean"), scipy.stats.entropy(b, a, axis=1).mean(), rtol=1e-12
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_kl_div(dtype, backend):
    """The sum of rel_entr over both outcomes; where scipy is inf (p = 0 or 1 that misses), the log is -100."""
    p, y = pairs(dtype)
    wide_p, wide_y = p.astype(np.float64), y.astype(np.float64)
    got = fl.binary_kl_div(p, y, reduction="none")
    want = scipy.special.rel_entr(wide_y, wide_p) + scipy.special.rel_entr(1 - wide_y, 1 - wide_p)
    finite = np.isfinite(want) & ((wide_p > 0) | (wide_y == 0)) & ((wide_p < 1) | (wide_y == 1))
    np.testing.assert_allclose(got[finite], want[finite], rtol=0, atol=100 * np.finfo(dtype).eps)
    clamped = -wide_y * np.maximum(np.log(wide_p, where=wide_p > 0, out=np.full_like(wide_p, -INF)), -100)
    clamped -= (1 - wide_y) * np.maximum(np.log1p(-wide_p, where=wide_p < 1, out=np.full_like(wide_p, -INF)), -100)
    clamped -= scipy.special.entr(wide_y) + scipy.special.entr(1 - wide_y)
    np.testing.assert_allclose(got, clamped, rtol=0, atol=400 * np.finfo(dtype).eps)


@pytest.mark.parametrize("classes", [1, 2, 3, 19, 600])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sparse", [False, True])
def test_js_div(classes, seed, sparse, backend):
    """scipy.spatial.distance.jensenshannon is the root of it, and normalises."""
    rng = np.random.default_rng(seed)
    p, y = rng.dirichlet(np.full(classes, 0.5), (2, 20))
    if sparse and classes > 1:  # probabilities of exactly 0
        p[:, 0], y[:, -1] = 0, 0
        p, y = (np.where(a.sum(1, keepdims=True) > 0, a, 1 / classes) for a in (p, y))
        p, y = (a / a.sum(1, keepdims=True) for a in (p, y))
    got = fl.js_div(p, y, reduction="none")
    want = scipy.spatial.distance.jensenshannon(p, y, axis=1) ** 2
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-15)  # both cancel where p and y are near


DELTAS = [1.0, 0.1, 30.0, 1e-10, 1e10]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("delta", DELTAS)
def test_huber(delta, dtype, backend):
    """scipy's pseudo_huber cancels for small d / delta (d^2 / 2 is its limit), and both overflow beyond 1e154."""
    rng = np.random.default_rng(0)
    d = (rng.standard_normal(3000) * 10.0 ** rng.uniform(-12, 12, 3000)).astype(dtype)
    d = np.concatenate([d, np.array([0, delta, -delta, 2 * delta], dtype)])
    zero, wide = np.zeros_like(d), d.astype(np.float64)
    off = np.abs(np.abs(wide) - delta) > 1e-6 * delta  # float32's delta is not float64's
    with np.errstate(all="ignore"):
        within(fl.huber_loss(d, zero, delta=delta, reduction="none")[off], scipy.special.huber(delta, wide)[off], 8)
        got, want = (
            fl.pseudo_huber_loss(d, zero, delta=delta, reduction="none"),
            scipy.special.pseudo_huber(delta, wide),
        )
    r = np.abs(wide) / delta
    want = np.where(r < 1e-4, wide * wide / 2 * (1 - r * r / 4), want)
    # Between, scipy's expm1 form keeps its digits; ours too.
    within(got, want, 8 if dtype == np.float32 else 64)
