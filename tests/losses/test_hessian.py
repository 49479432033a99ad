"""Tests the second derivatives of losses: against mpmath, differences, the reference, and boosting's own formulas."""

from __future__ import annotations

import dataclasses

import mpmath as mp
import numpy as np
import pytest
from cases import BY_NAME, CASES, SHAPE, SHAPES, images
from compare import assert_close, bits, same_bits
from formulas import bce, bernoulli, focal, given, half_js, half_kl, huber, log_cosh, of_logit, pseudo_huber, regression
from formulas import soft_margin as soft_margin_formula
from layouts import DTYPES, LAYOUTS

import fastloss as fl
from fastloss._backend import has_hessian

HESSIAN_CASES = [c for c in CASES if has_hessian(c.make(3).kernel_terms)]
cases = pytest.mark.parametrize("case", HESSIAN_CASES, ids=str)


def hessian(loss, x, y, w=None, kind="diagonal"):
    return loss.value_and_grad(x, y, pixel_weight=w, hessian=kind)[2]


def matrices(loss, x, y, w):
    """Return the Hessians of the pixels, of shape (N, *S, C, C): central differences of the exact gradient."""
    C = x.shape[1]
    rows = []
    for c in range(C):  # no pixel's gradient depends on another pixel, so all pixels move at once
        step = np.zeros_like(x)
        step[:, c] = 1e-3 * (np.minimum(x, 1 - x)[:, c] if (x > 0).all() else 1)  # a probability stays in (0, 1)
        at = {k: loss.value_and_grad(x + k * step, y, pixel_weight=w)[1] for k in (-2, -1, 1, 2)}
        rows.append((8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step[:, c : c + 1]))
    return np.moveaxis(np.stack(rows, axis=1), (1, 2), (-2, -1))


# ---- right values


@cases
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_diagonal_is_that_of_differences(case, reduction, backend):
    loss = case.make(3, reduction=reduction)
    x, y, w = images(case, loss, (2, 3, 40))
    got = hessian(loss, x, y, w)
    full = matrices(loss, x, y, w)
    want = np.moveaxis(np.diagonal(full, axis1=-2, axis2=-1), -1, 1)
    # Differences are wrong at a kink, which is where the step crosses it: |d| = delta of Huber, or a tie of a maximum.
    smooth = np.abs(got - want) <= 1e-9 + 1e-8 * np.abs(want)
    assert smooth.mean() > 0.99 if case.name in ("huber", "smooth-l1", "perceptron") else smooth.all()


@cases
def test_the_bound_exceeds_the_hessian(case, backend):
    loss = case.make(3)
    x, y, w = images(case, loss, (2, 3, 40))
    got = hessian(loss, x, y, w, "bound")
    full = matrices(loss, x, y, w)
    rest = np.moveaxis(got, 1, -1)[..., None] * np.eye(3) - full
    assert (got >= 0).all()
    if "huber" not in case.name and "l1" not in case.name and "perceptron" not in case.name:  # kinks, as above
        assert np.linalg.eigvalsh((rest + np.swapaxes(rest, -1, -2)) / 2).min() > -1e-9 * max(1, np.abs(full).max())
    if np.abs(full * (1 - np.eye(3))).max() < 1e-12:  # no class depends on another: nothing is added
        assert_close(got, np.maximum(hessian(loss, x, y, w), 0), np.float64)


@pytest.mark.parametrize(
    ("case", "shape"),  # the distance transforms of hundreds of classes take seconds
    [(c, shape) for c in HESSIAN_CASES for shape in SHAPES if c.family != "distance" or shape[1] < 100],
    ids=str,
)
def test_the_kernels_compute_what_the_reference_computes(case, shape):
    loss, dtype = case.make(shape[1]), DTYPES[SHAPES.index(shape) % len(DTYPES)]
    if loss.makes_weights:  # a selection of pixels, which other rounding may change
        dtype = np.float64
    x, y, w = images(case, loss, shape, dtype)
    for kind in ("diagonal", "bound"):
        with fl.backend("numpy"):
            want = hessian(loss, x.astype(np.float64), y, w, kind)
        for backend in ("native", "numpy"):
            with fl.backend(backend):
                got = hessian(loss, x, y, w, kind)
            assert got.dtype == dtype
            assert_close(got, want, dtype, cancels=4 * case.cancels)  # a second derivative has more terms


ELEMENTS = {
    "bce": (fl.BCEWithLogitsLoss(), bce(of_logit)),
    "bce-pos-smooth": (fl.BCEWithLogitsLoss(pos_weight=2.5, label_smoothing=0.2), bce(of_logit, 2.5, 0.2)),
    "bce-none": (fl.BCELoss(), bce(given)),
    "binary-focal": (fl.BinaryFocalLoss(gamma=1.5, alpha=0.25), focal(of_logit, 1.5, 0.25, 0.75)),
    "binary-focal-half": (fl.BinaryFocalLoss(gamma=0.5, alpha=None), focal(of_logit, 0.5)),
    "binary-focal-none": (fl.BinaryFocalLoss(alpha=None, activation=None), focal(given, 2)),
    "binary-kl": (fl.BinaryKLDivLoss(alpha=0.3, activation="sigmoid"), bernoulli(half_kl, of_logit, 0.3)),
    "binary-js": (fl.JSDivLoss(binary=True, activation="sigmoid"), bernoulli(half_js, of_logit, 0.5)),
    "binary-jeffreys": (fl.JSDivLoss(binary=True, alpha=1.0), bernoulli(half_js, given, 1)),
    "soft-margin": (fl.SoftMarginLoss(), soft_margin_formula),
    "mse": (fl.MSELoss(), regression(lambda d: d * d, lambda d: 2 * d)),
    "huber": (fl.HuberLoss(delta=1.5), huber(1.5)),
    "smooth-l1": (fl.SmoothL1Loss(beta=0.5), huber(0.5, 2)),
    "log-cosh": (fl.LogCoshLoss(), regression(log_cosh, mp.tanh)),
    "pseudo-huber": (fl.PseudoHuberLoss(delta=0.8), pseudo_huber(0.8)),
}


@pytest.mark.parametrize("name", ELEMENTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elements_equal_the_derivative_of_the_exact_slope(name, dtype, backend):
    loss, formula = ELEMENTS[name]
    rng = np.random.default_rng(0)
    x, y = 3 * rng.standard_normal(60), rng.random(60) * rng.integers(0, 2, 60)
    if name in ("bce-none", "binary-focal-none", "binary-jeffreys"):
        x, y = 0.05 + 0.9 * rng.random(60), 0.05 + 0.9 * rng.random(60)
    x, y = x.astype(dtype), y.astype(dtype)
    with mp.workdps(50):
        want = [
            float(mp.diff(lambda v, t=t: formula(v, t)[1], mp.mpf(s)))
            for s, t in zip(x.tolist(), y.tolist(), strict=True)
        ]
    got = hessian(dataclasses.replace(loss, reduction="sum"), x, y)
    assert_close(got, np.array(want), dtype, cancels=4)


def softmax_value(kind, gamma, weights, eps):
    """Return the loss of one pixel in mpmath, as a function of its logits and its dense target."""

    def value(logits, y):
        total = mp.log(mp.fsum(mp.exp(v) for v in logits))
        t = [w * ((1 - mp.mpf(eps)) * c + mp.mpf(eps) / len(y)) for w, c in zip(weights, y, strict=True)]
        log_p = [v - total for v in logits]
        power = [(1 - mp.exp(q)) ** g if kind == "focal" else 1 for q, g in zip(log_p, gamma, strict=True)]
        return -mp.fsum(c * q * u for c, q, u in zip(t, log_p, power, strict=True))

    return value


@pytest.mark.parametrize("target", ["labels", "dense"])
@pytest.mark.parametrize("spread", [1, 4, 20])  # 20: a class has nearly all of the probability
@pytest.mark.parametrize("kind", ["ce", "focal"])
def test_losses_with_a_softmax_equal_mpmath(kind, spread, target, backend):
    rng = np.random.default_rng(1)
    weights, gamma, eps = [0.5, 1.0, 2.5, 1.5], [0.0, 0.5, 1.0, 2.0], 0.1 if kind == "ce" else 0.0
    x, labels = spread * rng.standard_normal((20, 4)), rng.integers(0, 4, 20)
    y = np.eye(4)[labels] if target == "labels" else rng.dirichlet(np.ones(4), 20)
    if kind == "ce":
        loss = fl.CrossEntropyLoss(class_weight=weights, label_smoothing=eps, reduction="sum")
    else:
        loss = fl.FocalLoss(gamma=gamma, alpha=weights, reduction="sum")
    value = softmax_value(kind, gamma, weights, eps)
    want = np.empty_like(x)
    with mp.workdps(60):
        for n, c in np.ndindex(x.shape):
            logits, own = [mp.mpf(v) for v in x[n].tolist()], [mp.mpf(v) for v in y[n].tolist()]
            one = lambda v: value([*logits[:c], v, *logits[c + 1 :]], own)  # noqa: B023, E731
            want[n, c] = float(mp.diff(one, logits[c], 2))
    got = hessian(loss, x, labels if target == "labels" else y)
    assert_close(got, want, np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_confident_pixel_keeps_the_digits_of_its_hessian(dtype, backend):
    """Near the minimum the Hessian of cross entropy is p (1 - p), which is as small as the gradient."""
    x = np.array([[30.0, 0.0, -1.0], [0.0, 40.0, 0.0]], dtype)
    loss = fl.CrossEntropyLoss(reduction="sum")
    _, gradient, diagonal = loss.value_and_grad(x, [0, 1], hessian="diagonal")
    for got in (diagonal, hessian(loss, x, np.eye(3)[[0, 1]])):
        np.testing.assert_allclose(got, np.abs(gradient) * (1 - np.abs(gradient)), rtol=20 * np.finfo(dtype).eps)
        assert (got > 0).all()


# ---- what boosting libraries compute


def test_the_formulas_of_boosting_libraries(backend):
    rng = np.random.default_rng(2)
    x, y = 2 * rng.standard_normal((50, 5)).astype(np.float32), rng.integers(0, 5, 50)
    e = np.exp(x.astype(np.float64))
    p = e / e.sum(axis=1, keepdims=True)
    loss = fl.CrossEntropyLoss(reduction="sum")
    # XGBoost 3.1, src/objective/multiclass_obj.cu: 2 p (1 - p). LightGBM 4.6, multiclass_objective.hpp: K / (K - 1).
    np.testing.assert_allclose(hessian(loss, x, y, kind="bound"), np.maximum(2 * p * (1 - p), 1e-16), rtol=1e-5)
    np.testing.assert_allclose(5 / 4 * hessian(loss, x, y), 5 / 4 * p * (1 - p), rtol=1e-5)


# ---- any array, any number of threads


@pytest.mark.parametrize("name", ["ce-weight-smooth-255", "focal-dense", "bce-pos-vector-smooth", "balanced"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_layouts_change_nothing(name, layout, backend):
    case = BY_NAME[name]
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE, np.float32)
    for kind in ("diagonal", "bound"):
        want, got = hessian(loss, x, y, w, kind), hessian(loss, layout(x), layout(y), layout(w), kind)
        if backend == "native":
            assert same_bits(got, want)
        else:
            assert_close(got, want.astype(np.float64), np.float32)


@cases
def test_threads_change_nothing(case):
    loss = case.make(5)
    x, y, w = images(case, loss, (3, 5, 60, 80), np.float32)
    results = set()
    for n in (1, 3):
        with fl.backend("native"), fl.num_threads(n):
            results.add((bits(hessian(loss, x, y, w)), bits(hessian(loss, x, y, w, "bound"))))
    assert len(results) == 1


@cases
def test_value_and_gradient_stay_what_they_are(case, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE, np.float32)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    out = np.empty_like(gradient)
    got = loss.value_and_grad(x, y, pixel_weight=w, out=out, hessian="bound")
    assert same_bits(got[0], value)
    assert got[1] is out
    assert same_bits(out, gradient)


@cases
def test_pixels_of_weight_0_have_no_hessian(case, backend):
    loss = case.make(3)
    x, y, w = images(case, loss, (2, 3, 40))
    if case.image_weights and case.family != "element":
        return  # a weight is made from the whole image
    counts = np.broadcast_to(w if w.ndim == x.ndim else w[:, None], x.shape) > 0
    for kind in ("diagonal", "bound"):
        got = hessian(loss, np.where(counts, x, np.nan), y, w, kind)
        assert same_bits(got, hessian(loss, x, y, w, kind))
        assert (got[~counts] == 0).all()


@pytest.mark.parametrize("loss", [fl.CrossEntropyLoss(reduction="sum"), fl.FocalLoss(gamma=0.5, reduction="sum")])
def test_masked_and_missing_logits(loss, backend):
    x = np.array([[-np.inf, 1.0, 2.0], [0.5, np.nan, 0.0], [500.0, -500.0, 0.0], [-500.0, 500.0, 0.0]], np.float32)
    for kind in ("diagonal", "bound"):
        got = hessian(loss, x, [1, 1, 0, 0], kind=kind)
        assert got[0, 0] == 0
        assert np.isnan(got[1]).all()
        assert np.isfinite(got[[0, 2, 3]]).all()


def test_samples_beyond_one_part(backend):
    """With more than 1024 samples, sums by sample are computed in parts."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((1500, 8)).astype(np.float32), (rng.random((1500, 8)) < 0.3).astype(np.float32)
    loss = fl.BalancedBCELoss(reduction="sum")
    rows = np.stack([hessian(loss, x[k], y[k]) for k in range(0, 1500, 100)])
    np.testing.assert_allclose(hessian(loss, x, y)[::100], rows, rtol=1e-6, atol=1e-9)


def test_no_elements(backend):
    for case in HESSIAN_CASES:
        for shape in ((0, 5, 4), (2, 5, 0)):
            x, y, w = images(case, case.make(5), shape)
            assert hessian(case.make(5), x, y, w).shape == shape
