"""Tests losses over a class axis on hard inputs, against mpmath: one pixel with several classes and the label 0."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from formulas import POWER, check, times

import fastloss as fl

INF, NAN = np.inf, np.nan
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True)
def precision():
    """1 - p of the smallest p has 1080 bits."""
    with mp.workprec(1200):
        yield


def others(x):
    """The sum of exp(x_c - x_0) over the other classes: 1 / p_0 - 1."""
    return sum((mp.exp(v - x[0]) for v in x[1:] if v > -mp.inf), mp.mpf(0))


def probabilities(x):
    """By class, each without a cancellation."""
    return [1 / (1 + others([v, *x[:c], *x[c + 1 :]])) if v > -mp.inf else mp.mpf(0) for c, v in enumerate(x)]


def class_focal(x, g):
    """With h = dl / dlog p_0: h (1 - p_0) for the label's logit, -h p_c for the others'."""
    rest = others(x)
    p, q, log_p = 1 / (1 + rest), rest / (1 + rest), -mp.log1p(rest)
    if q == 0:
        return mp.mpf(0), [mp.mpf(0)] * len(x)
    h = -(q**g) + g * q ** (g - 1) * p * log_p
    return -(q**g) * log_p, [h * q, *(-h * v for v in probabilities(x)[1:])]


def class_smoothed(x, eps):
    """-sum t_c log p_c with t = (1 - eps) [c = 0] + eps / C: p_c sum t - t_c."""
    p, eps = probabilities(x), mp.mpf(eps)
    t = [(1 - eps) * (c == 0) + eps / len(x) for c in range(len(x))]
    value = sum(
        times(t_c, mp.log1p(others([v, *x[:c], *x[c + 1 :]]))) for c, (t_c, v) in enumerate(zip(t, x, strict=True))
    )
    return value, [p_c - t_c for p_c, t_c in zip(p, t, strict=True)]


PIXELS = [
    [0.0, 0.0],
    [1.0, -1.0],
    [17.0, 0.0],
    [30.0, 0.0, 1.0],
    [40.0, 0.0],
    [0.0, 40.0, 3.0],
    [86.0, 0.0, 0.0],
    [200.0, 0.0],
    [1e4, -1e4],
    [-1e4, 1e4],
    [3e38, -3e38],
    [-3e38, 3e38],
    [1e-30, -1e-30],
    [0.0, -INF, 2.0],
    [0.0, -INF, -INF],
    [-40.0, -INF, 0.0],
    [5.0],
    [1e4] * 3,
    [-3e38] * 4,
]


@DTYPES
@pytest.mark.parametrize("x", PIXELS, ids=str)
@pytest.mark.parametrize("gamma", [0, 0.01, 0.5, 1, 2, 5])
def test_focal_and_cross_entropy_of_a_label(x, gamma, dtype, backend):
    """Relative accuracy, however small the loss of a confident pixel is, and its gradient."""
    x = np.array([x], dtype)
    value, gradient = class_focal([mp.mpf(float(v)) for v in x[0]], gamma)
    losses = [fl.FocalLoss(gamma=gamma), fl.FocalLoss(gamma=[gamma] * x.shape[1])] if x.size > 1 else []
    losses += [fl.CrossEntropyLoss(), fl.CrossEntropyLoss(class_weight=[2.0] * x.shape[1])] if gamma == 0 else []
    for loss in losses:
        got, got_gradient = loss.value_and_grad(x, [0])
        check(got, value, dtype, POWER[dtype])
        for a, b in zip(got_gradient[0].tolist(), gradient, strict=True):
            check(a, b, dtype, POWER[dtype])


@DTYPES
@pytest.mark.parametrize("x", [x for x in PIXELS if -INF not in x], ids=str)
@pytest.mark.parametrize("eps", [0.25, 0.5, 1])
def test_smoothed_and_dense_cross_entropy(x, eps, dtype, backend):
    """A smoothed target's terms cancel: up to eps of 1."""
    x = np.array([x], dtype)
    C = x.shape[1]
    value, gradient = class_smoothed([mp.mpf(float(v)) for v in x[0]], eps)
    dense = (1 - eps) * np.eye(C)[:1] + eps / C
    for loss, y in ((fl.CrossEntropyLoss(label_smoothing=eps), [0]), (fl.CrossEntropyLoss(), dense)):
        got, got_gradient = loss.value_and_grad(x, y)
        if float(x.max()) - float(x.min()) > float(np.finfo(dtype).max):  # an infinite difference of finite logits
            assert got == INF
        else:
            check(got, value, dtype, 16, 1.0)
        for a, b in zip(got_gradient[0].tolist(), gradient, strict=True):
            check(a, b, dtype, 16, 1.0)
