"""Class-axis, binary and regression losses on hard inputs: value and gradient.

REFERENCES holds each loss's formula in mpmath, with its derivative, and grids of inputs at the ends of what a float32
and a float64 hold; ROWS holds what is worked out by hand, the derivation at each row. Region losses have theirs in
test_hard_region.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
import pytest

import fastloss as fl

INF, NAN = np.inf, np.nan
SUM = {"reduction": "sum"}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True)
def precision():
    """1 - p of the smallest p has 1080 bits."""
    with mp.workprec(1200):
        yield


def check(got, want, dtype, factor, scale=0.0):
    """Equal up to `factor` eps of itself (and of `scale`, where terms cancel); beyond the dtype's range inf (a float64
    sum may hold it), and below its normal numbers, up to one of them."""
    limits = np.finfo(dtype)
    if mp.isnan(want) or mp.isinf(want):
        assert mp.mpf(got) == want or (mp.isnan(want) and math.isnan(got)), (got, want)
    elif math.isinf(got):
        assert abs(want) > mp.mpf(float(limits.max)) * (1 - factor * float(limits.eps)), (got, want)
        assert (got > 0) == (want > 0)
    else:
        # What is below the least normal number may be 0, and multiplied: by 1 + gamma at most.
        bound = factor * float(limits.eps) * max(abs(want), mp.mpf(scale)) + 6 * float(limits.tiny)
        assert abs(mp.mpf(got) - want) <= bound, (got, mp.nstr(want, 20))


# ---- mpmath: formulas of one element, which return (value, derivative)


def log_clamped(p):
    """The logs of given probabilities, and their derivatives: at least -100, at most 1e12."""
    return (max(mp.log(p), mp.mpf(-100)) if p > 0 else mp.mpf(-100)), (min(1 / p, mp.mpf(10**12)) if p else 10**12)


def given(p):
    """(p, q, log p, log q, dp, d log p, d log q) of a probability."""
    (log_p, dp), (log_q, dq) = log_clamped(p), log_clamped(1 - p)
    return p, 1 - p, log_p, log_q, mp.mpf(1), dp, -dq


def of_logit(x):
    if mp.isinf(x):
        p = mp.mpf(x > 0)
        return p, 1 - p, min(x, mp.mpf(0)), min(-x, mp.mpf(0)), mp.mpf(0), 1 - p, -p
    p, q = 1 / (1 + mp.exp(-x)), 1 / (1 + mp.exp(x))
    return p, q, -mp.log1p(mp.exp(-x)), -mp.log1p(mp.exp(x)), p * q, q, -p


def times(a, b):
    return a * b if a else mp.mpf(0)


def bce(chance, b=1, eps=0):
    def f(x, y):
        _, _, log_p, log_q, _, dlog_p, dlog_q = chance(x)
        t = (1 - mp.mpf(eps)) * y + mp.mpf(eps) / 2
        return -times(b * t, log_p) - times(1 - t, log_q), -b * t * dlog_p - (1 - t) * dlog_q

    return f


def focal(chance, g, a=1, b=1):
    """A base is at least e^-100 where it is given, as its log is."""

    def side(u, du, log_v, dlog_v):  # of u^g log v, v = 1 - u
        base = max(u, mp.exp(-100)) if chance is given else u
        power = base**g if base or not g else mp.mpf(0)  # 0^0 = 1
        inner = g * dlog_v if u == 0 else times(g * du / u, log_v)  # log v ~ -u
        return times(power, log_v), power * (dlog_v + inner)

    def f(x, y):
        p, q, log_p, log_q, dp, dlog_p, dlog_q = chance(x)
        pos, dpos = side(q, -dp, log_p, dlog_p)
        neg, dneg = side(p, dp, log_q, dlog_q)
        pos_weight, neg_weight = a * y, b * (1 - y)
        return (
            -times(pos_weight, pos) - times(neg_weight, neg),
            -times(pos_weight, dpos) - times(neg_weight, dneg),
        )

    return f


def half_kl(p, log_p, dp, dlog_p, y, a):
    """y log(y / m), m = a p + (1 - a) y."""
    if a == 1:
        return xlogx(y) - times(y, log_p), -y * dlog_p
    m = a * p + (1 - a) * y
    return times(y, mp.log(y / m)) if y else mp.mpf(0), -y * a * dp / m if y else mp.mpf(0)


def half_js(p, log_p, dp, dlog_p, y, a):
    """y log(y / m(p)) / 2 + p log(p / m(y)) / 2, the logs at least -100."""
    value, slope = half_kl(p, log_p, dp, dlog_p, y, a)
    m = a * y + (1 - a) * p
    if a == 1:
        log_ratio, rest = max(log_p, mp.mpf(-100)) - log_clamped(y)[0], 1
        value += times(p, log_p - log_clamped(y)[0])
    else:
        ratio = p / m if m else 1 / (1 - a)
        log_ratio, rest = log_clamped(ratio)[0], 1 - (1 - a) * ratio
        value += times(p, log_ratio)
    return value / 2, (slope + times(dp, log_ratio + rest)) / 2


def bernoulli(half, chance, a):
    a = mp.mpf(a)

    def f(x, y):
        p, q, log_p, log_q, dp, dlog_p, dlog_q = chance(x)
        pos, neg = half(p, log_p, dp, dlog_p, y, a), half(q, log_q, -dp, dlog_q, 1 - y, a)
        return pos[0] + neg[0], pos[1] + neg[1]

    return f


def xlogx(y):
    return y * mp.log(y) if y else mp.mpf(0)


def kl(x, y):
    return xlogx(y) - times(y, x), -y


def kl_log(x, y):
    t = mp.exp(y)
    return times(t, y) - times(t, x), -t


def soft_margin(x, y):
    return -of_logit(x * y)[2], -y * of_logit(-x * y)[0]


def regression(value, slope):
    return lambda x, y: (value(x - y), slope(x - y))


def huber(delta, factor=1):
    delta = mp.mpf(delta)

    def value(d):
        return factor * (d * d / 2 if abs(d) <= delta else delta * (abs(d) - delta / 2))

    return regression(value, lambda d: factor * max(-delta, min(delta, d)))


def log_cosh(d):
    return abs(d) - of_logit(2 * abs(d))[2] - mp.log(2)


def pseudo_huber(delta):
    delta = mp.mpf(delta)
    root = lambda d: mp.sqrt(1 + (d / delta) ** 2)  # noqa: E731
    return regression(lambda d: delta**2 * (root(d) - 1), lambda d: mp.sign(d) * delta if mp.isinf(d) else d / root(d))


LOGITS = [0.0, 1.0, -1.0, 1e-30, 17.5, -17.5, 40.0, -40.0, 86.0, -86.0, 1e4, -1e4, 3e38, -3e38, INF, -INF]
CHANCES = [0.0, 1.0, 0.5, 0.25, 1e-40, 1e-38, 1e-20, 1e-10, 1e-7, 1 - 2.0**-24, 1 - 2.0**-20]
LOG_CHANCES = [0.0, -1e-30, -1.0, -88.0, -1e4, -3e38, -INF]
DISTANCES = [0.0, 1e-40, 1e-30, -1e-10, 1e-4, -0.25, 0.5, -1.0, 1.5, 20.0, -1e4, 1e18, 1e30, -1e30, 3e38, INF, -INF]
HARD = [0.0, 1.0]
SOFT = [0.0, 1.0, 0.5, 1e-40, 1e-10]

# An exponent g log u as large as a result allows, 87 in float32 and 708 in float64, has its eps, and the log's.
POWER = {np.float32: 16 + 4 * 87, np.float64: 16 + 4 * 708}


class Reference(NamedTuple):
    loss: fl.Loss
    formula: Callable[..., Any]
    inputs: list[float]
    targets: list[float]
    power: bool = False  # it raises to a power of gamma
    value_terms: float = 0.0  # the size of what cancels in the value,
    slope_terms: float = 0.0  # and in the slope


REFERENCES = {
    "bce": Reference(fl.BCELoss(**SUM), bce(given), CHANCES, SOFT),
    "bce, pos_weight": Reference(fl.BCELoss(pos_weight=2.5, **SUM), bce(given, 2.5), CHANCES, SOFT),
    "bce, pos_weight 0": Reference(fl.BCELoss(pos_weight=0.0, **SUM), bce(given, 0), CHANCES, SOFT),
    "bce of logits": Reference(fl.BCEWithLogitsLoss(**SUM), bce(of_logit), LOGITS, SOFT, slope_terms=1),
    "bce of logits, pos_weight": Reference(
        fl.BCEWithLogitsLoss(pos_weight=2.5, **SUM), bce(of_logit, 2.5), LOGITS, SOFT, slope_terms=1
    ),
    "bce of logits, smoothed": Reference(
        fl.BCEWithLogitsLoss(label_smoothing=0.25, **SUM),
        bce(of_logit, eps=0.25),
        LOGITS,
        SOFT,
        slope_terms=1,
    ),
    "bce of logits, all smooth": Reference(
        fl.BCEWithLogitsLoss(label_smoothing=1, **SUM), bce(of_logit, eps=1), LOGITS, HARD, slope_terms=1
    ),
    **{
        f"binary focal of {name}, {g}": Reference(
            fl.BinaryFocalLoss(gamma=g, alpha=None, activation=activation, **SUM),
            focal(chance, g),
            inputs,
            HARD,
            power=True,
        )
        for name, activation, chance, inputs in (
            ("logits", "sigmoid", of_logit, LOGITS),
            ("chances", None, given, CHANCES),
        )
        for g in (0, 0.01, 0.5, 1, 2, 5)
    },
    "binary focal, alpha 0": Reference(
        fl.BinaryFocalLoss(alpha=0, **SUM), focal(of_logit, 2, 0, 1), LOGITS, HARD, power=True
    ),
    "binary focal, alpha 1": Reference(
        fl.BinaryFocalLoss(alpha=1, **SUM), focal(of_logit, 2, 1, 0), LOGITS, HARD, power=True
    ),
    **{
        f"{name} of {kind}, {a}": Reference(
            make(alpha=a, activation=activation, **SUM),
            bernoulli(half, chance, a),
            inputs,
            [0.0, 1.0, 0.5, 1e-36, 1e-10],  # a mixture of subnormal numbers has few digits
            value_terms=1,
            slope_terms=1,
        )
        for name, make, half in (
            ("bernoulli kl", fl.BinaryKLDivLoss, half_kl),
            ("bernoulli js", lambda **k: fl.JSDivLoss(binary=True, **k), half_js),
        )
        for kind, activation, chance, inputs in (
            ("logits", "sigmoid", of_logit, LOGITS),
            ("chances", None, given, CHANCES),
        )
        for a in (0, 0.25, 0.5, 1)
    },
    "kl": Reference(fl.KLDivLoss(**SUM), kl, LOG_CHANCES, SOFT),
    "kl of logs": Reference(fl.KLDivLoss(log_target=True, **SUM), kl_log, LOG_CHANCES, [0.0, -1.0, -80.0, -INF]),
    "soft margin": Reference(fl.SoftMarginLoss(**SUM), soft_margin, LOGITS, [-1.0, 1.0]),
    "mse": Reference(fl.MSELoss(**SUM), regression(lambda d: d * d, lambda d: 2 * d), DISTANCES, [0.0]),
    "l1": Reference(fl.L1Loss(**SUM), regression(abs, mp.sign), DISTANCES, [0.0, 1.0]),
    "huber": Reference(fl.HuberLoss(delta=1.5, **SUM), huber(1.5), DISTANCES, [0.0]),
    "huber of a small delta": Reference(fl.HuberLoss(delta=2.0**-60, **SUM), huber(2.0**-60), DISTANCES, [0.0]),
    "smooth l1": Reference(fl.SmoothL1Loss(beta=0.5, **SUM), huber(0.5, 2), DISTANCES, [0.0]),
    "smooth l1 of a small beta": Reference(
        fl.SmoothL1Loss(beta=2.0**-99, **SUM), huber(2.0**-99, 2.0**99), DISTANCES, [0.0]
    ),
    "smooth l1 of beta 0": Reference(fl.SmoothL1Loss(beta=0, **SUM), regression(abs, mp.sign), DISTANCES, [0.0]),
    "log cosh": Reference(
        fl.LogCoshLoss(**SUM), regression(log_cosh, lambda d: 2 * of_logit(2 * d)[0] - 1), DISTANCES, [0.0]
    ),
    "pseudo-huber": Reference(fl.PseudoHuberLoss(**SUM), pseudo_huber(1), DISTANCES, [0.0]),
    "pseudo-huber of a small delta": Reference(
        fl.PseudoHuberLoss(delta=2.0**-20, **SUM),
        pseudo_huber(2.0**-20),
        DISTANCES,
        [0.0],
    ),
    "pseudo-huber of a large delta": Reference(
        fl.PseudoHuberLoss(delta=2.0**20, **SUM),
        pseudo_huber(2.0**20),
        DISTANCES,
        [0.0],
    ),
}


@DTYPES
@pytest.mark.parametrize("name", REFERENCES)
def test_elements(name, dtype, backend):
    reference = REFERENCES[name]
    factor = POWER[dtype] if reference.power else 16
    for x, y in itertools.product(reference.inputs, reference.targets):
        x, y = dtype(x), np.float64(dtype(y))
        value, slope = reference.formula(mp.mpf(float(x)), mp.mpf(float(y)))
        got, gradient = reference.loss.value_and_grad(x, y)
        try:
            check(got, value, dtype, factor, reference.value_terms)
            check(gradient.item(), slope, dtype, factor, reference.slope_terms)
        except AssertionError as error:
            raise AssertionError(f"at {x!r}, {y!r}: {error}") from None


# ---- mpmath: a pixel of several classes, with the label 0: value and gradient


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


# ---- by hand

HALVES = [[0.0, 0.0, -INF]]  # p = (1/2, 1/2, 0)
LOG2, LOG3, LOG5 = math.log(2), math.log(3), math.log(5)
MOST = 1e12  # the largest slope of a log of given probabilities
CE, NLL, CCE = fl.CrossEntropyLoss, fl.NLLLoss, fl.CategoricalCrossEntropyLoss
JS, KL, Balanced = fl.JSDivLoss, fl.KLDivLoss, fl.BalancedBCELoss
Perceptron, Multilabel = fl.PerceptronLoss, fl.MultiLabelSoftMarginLoss
ones = np.ones

# (loss, input, target, value, gradient)
ROWS = {
    # ---- cross entropy: p - y
    "ce: sure and right": (CE(), [[1e4, -1e4]], [0], 0.0, [[0, 0]]),
    "ce: sure and wrong": (CE(), [[1e4, -1e4]], [1], 2e4, [[1, -1]]),
    # log1p(e^-40) = e^-40 to 18 digits, and p_0 - 1 = -e^-40.
    "ce: confident": (CE(), [[40, 0]], [0], math.exp(-40), [[-math.exp(-40), math.exp(-40)]]),
    "ce: masked": (CE(), HALVES, [0], LOG2, [[-0.5, 0.5, 0]]),
    "ce: the target masked": (CE(), HALVES, [2], INF, [[0.5, 0.5, -1]]),
    "ce: masked, and dense": (CE(), HALVES, [[0.25, 0.75, 0]], LOG2, [[0.25, -0.25, 0]]),
    "ce: masked, and smoothed": (CE(label_smoothing=0.3), HALVES, [0], INF, [[-0.3, 0.4, -0.1]]),
    # A masked class of weight 0 takes no part in the smoothing: t = (0.9, 0.1) and 0.1 log 2 + 0.9 log 2.
    "ce: masked, without weight, and smoothed": (
        CE(label_smoothing=0.3, class_weight=[1, 1, 0], reduction="sum"),
        HALVES,
        [0],
        0.7 * LOG2 + 0.1 * 2 * LOG2,
        [[0.9 / 2 - 0.8, 0.9 / 2 - 0.1, 0]],
    ),
    "ce: the target masked and without weight": (CE(class_weight=[1, 1, 0], **SUM), HALVES, [2], 0.0, [[0, 0, 0]]),
    # Smoothing 1: the label does not count. lse - mean(x) = log 2.
    "ce: all smooth": (CE(label_smoothing=1), [[5, 5]], [1], LOG2, [[0, 0]]),
    # lse = log 4 + 0, x = (log 3, 0): mean of (log 4/3, log 4); p = (3/4, 1/4).
    "ce: all smooth, by hand": (CE(label_smoothing=1), [[LOG3, 0]], [1], 2 * LOG2 - LOG3 / 2, [[0.25, -0.25]]),
    "ce: one class": (CE(), [[-7.5], [1e4]], [0, 0], 0.0, [[0], [0]]),
    "ce: one class, smoothed": (CE(label_smoothing=0.5), [[-7.5]], [0], 0.0, [[0]]),
    "ce: 70000 classes": (
        CE(),
        np.zeros((1, 70000)),
        [69999],
        math.log(70000),
        [[1 / 70000] * 69999 + [1 / 70000 - 1]],
    ),
    "ce: one pixel without an axis of samples": (CE(), [0.0, LOG3], 1, 2 * LOG2 - LOG3, [0.25, -0.25]),
    "ce: all ignored": (CE(), [[1, 2], [3, 4]], [-100, -100], NAN, [[0, 0], [0, 0]]),
    "ce: all ignored, summed": (CE(**SUM), [[1, 2], [NAN, INF]], [-100, -100], 0.0, [[0, 0], [0, 0]]),
    "ce: all weights 0": (CE(class_weight=[0, 0]), [[1, 2], [3, 4]], [0, 1], NAN, [[0, 0], [0, 0]]),
    "ce: all weights 0, summed": (CE(class_weight=[0, 0], **SUM), [[1, 2], [3, 4]], [0, 1], 0.0, [[0, 0], [0, 0]]),
    "ce: no pixel": (CE(), np.zeros((2, 3, 0)), np.zeros((2, 0), int), NAN, np.zeros((2, 3, 0))),
    "ce: no sample, summed": (CE(**SUM), np.zeros((0, 3)), np.zeros(0, int), 0.0, np.zeros((0, 3))),
    # ---- the same of log-probabilities and of probabilities
    "nll: of -inf": (NLL(), [[0, -INF]], [0], 0.0, [[-1, 0]]),
    "nll: the target's -inf": (NLL(), [[0, -INF]], [1], INF, [[0, -1]]),
    "nll: dense, 0 times -inf": (NLL(), [[0, -INF]], [[1.0, 0]], 0.0, [[-1, 0]]),
    "nll: -inf without weight": (NLL(class_weight=[1, 0], **SUM), [[0, -INF]], [1], 0.0, [[0, 0]]),
    "cce: p of 1": (CCE(), [[1, 0]], [0], 0.0, [[-1, 0]]),
    "cce: p of 0": (CCE(), [[1, 0]], [1], 100.0, [[0, -MOST]]),
    "cce: 0 log 0": (CCE(), [[1, 0]], [[1.0, 0]], 0.0, [[-1, 0]]),
    # t = (1/2, 1/2): (0 + 100) / 2.
    "cce: all smooth": (CCE(label_smoothing=1), [[1, 0]], [1], 50.0, [[-0.5, -MOST / 2]]),
    "cce: p of 0 without weight": (CCE(class_weight=[1, 0], **SUM), [[1, 0]], [1], 0.0, [[0, 0]]),
    # ---- focal with given p: 1 - p = 0 is e^-100 as its log, whose powers of 1/2 and more are nothing
    **{
        f"focal: p of 1, {g}": (fl.FocalLoss(gamma=g, activation=None), [[1, 0]], [0], 0.0, [[0, 0]])
        for g in (0.5, 1, 5)
    },
    "focal: p of 1, gamma 0": (fl.FocalLoss(gamma=0, activation=None), [[1, 0]], [0], 0.0, [[-1, 0]]),
    # 1 - p = 1: -log p and its slope as in cross entropy; and gamma log p = -100 gamma.
    **{
        f"focal: p of 0, {g}": (fl.FocalLoss(gamma=g, activation=None), [[1, 0]], [1], 100.0, [[0, -MOST - 100 * g]])
        for g in (0, 0.5, 1, 5)
    },
    "focal: a masked class": (fl.FocalLoss(gamma=1), HALVES, [0], LOG2 / 2, [[-0.25 - LOG2 / 4, 0.25 + LOG2 / 4, 0]]),
    "focal: the target masked": (fl.FocalLoss(), HALVES, [2], INF, [[0.5, 0.5, -1]]),
    "focal: the target masked, alpha 0": (fl.FocalLoss(alpha=[1, 1, 0]), HALVES, [2], 0.0, [[0, 0, 0]]),
    # Independent classes: of the label's logit alone. p = q = 1/2: q log 2; slope -q^2 + q p log p = -1/4 - log(2) / 4.
    "focal: sigmoid": (
        fl.FocalLoss(gamma=1, activation="sigmoid"),
        [[0, 1e4]],
        [0],
        LOG2 / 2,
        [[-0.25 - LOG2 / 4, 0]],
    ),
    # ---- perceptron: the first of equal maxima takes the gradient
    "perceptron: a tie": (Perceptron(), [[1, 1, 0]], [2], 1.0, [[1, 0, -1]]),
    "perceptron: the label ties, and is first": (Perceptron(), [[1, 1, 0]], [0], 0.0, [[0, 0, 0]]),
    "perceptron: the label ties": (Perceptron(), [[1, 1, 0]], [1], 0.0, [[1, -1, 0]]),
    "perceptron: large": (Perceptron(), [[1e4, -1e4]], [1], 2e4, [[1, -1]]),
    "perceptron: the target masked": (Perceptron(), HALVES, [2], INF, [[1, 0, -1]]),
    "perceptron: masked, and dense": (Perceptron(), HALVES, [[0.5, 0.5, 0]], 0.0, [[0.5, -0.5, 0]]),
    "perceptron: one class": (Perceptron(), [[3]], [0], 0.0, [[0]]),
    # ---- Kullback-Leibler
    "kl: y of 0 at -inf": (KL(**SUM), [-INF, -1], [0, 1], 1.0, [0, -1]),
    "kl: y at -inf": (KL(**SUM), [-INF], [0.5], INF, [-0.5]),
    "kl: log y of -inf": (KL(log_target=True, **SUM), [-INF, -1], [-INF, 0], 1.0, [0, -1]),
    "kl: batchmean": (KL(reduction="batchmean"), [[0, -1], [-2, -3]], [[1, 0], [0, 1]], 1.5, [[-0.5, 0], [0, -0.5]]),
    # ---- Jensen-Shannon. Disjoint: m = 1/2 in both classes: log 2.
    # At p = 0, y = 1: -(1/2)(1/2)(1 / (1/2)) + (-100 + 1 - 0) / 2 = -50; at p = 1, y = 0: (log 2 + 1 - 1) / 2.
    "js: disjoint": (JS(), [[0, 1]], [[1, 0]], LOG2, [[-50, LOG2 / 2]]),
    # p = y: at 1 -(1/2)(1/2) + (0 + 1 - 1/2) / 2 = 0; at 0 (log 2 + 1 - 1) / 2.
    "js: the same": (JS(), [[1, 0]], [[1, 0]], 0.0, [[0, LOG2 / 2]]),
    "js: disjoint logits": (JS(activation="softmax"), [[-1e4, 1e4]], [[1, 0]], LOG2, [[0, 0]]),
    # p = (1/2, 1/2, 0), y = (1, 0, 0): KL(y|m) = log 4/3; KL(p|m) = (log 2/3 + log 2) / 2.
    "js: a masked class": (
        JS(activation="softmax", **SUM),
        HALVES,
        [0],
        (2 * LOG2 - LOG3 + LOG2 - LOG3 / 2) / 2,
        [[-LOG3 / 8, LOG3 / 8, 0]],
    ),
    # alpha = 1: the target's log 0 is -100: KL(y|p) = log 2, KL(p|y) = -log 2 + 50.
    "js: alpha 1": (JS(alpha=1, activation="softmax"), HALVES, [0], 25.0, [[-12.75, 12.75, 0]]),
    # alpha = 0: m(p) = y and m(y) = p.
    "js: alpha 0": (JS(alpha=0), [[0, 1]], [[1, 0]], 0.0, [[0, 0]]),
    "js: one class": (JS(), [[1]], [0], 0.0, [[0]]),
    "js: all ignored": (JS(), [[0, 1]], [-100], NAN, [[0, 0]]),
    # ---- balanced: b = 1 of negatives alone, and of positives alone 0, so neither counts
    **{
        f"balanced: {name}, y = {y}": (Balanced(activation=a), [[*x]], [[y, y]], 0.0, [[0, 0]])
        for name, a, x in (
            ("1e4", "sigmoid", (1e4, -1e4)),
            ("inf", "sigmoid", (INF, -INF)),
            ("p of 0 and 1", None, (0, 1)),
        )
        for y in (0.0, 1.0)
    },
    # b = 3/4: (3/4 * 2e4 + 1/4 (0 + 1e4 + log 2)) / 4.
    "balanced: by hand": (
        Balanced(),
        [[-2e4, -1e4, 1e4, 0]],
        [[1, 0, 0, 0]],
        (1.5e4 + 0.25e4 + LOG2 / 4) / 4,
        [[-3 / 16, 0, 1 / 16, 1 / 32]],
    ),
    # ---- multi-label
    "multilabel: sure": (Multilabel(), [[1e4, -1e4]], [[1, 0]], 0.0, [[0, 0]]),
    "multilabel: sure and wrong": (Multilabel(), [[1e4, -1e4]], [[0, 1]], 1e4, [[0.5, -0.5]]),
    "multilabel: inf": (Multilabel(), [[INF, -INF]], [[1, 0]], 0.0, [[0, 0]]),
    "multilabel: inf without weight": (Multilabel(class_weight=[0, 1]), [[INF, 0]], [[0, 1]], LOG2 / 2, [[0, -0.25]]),
    # ---- one element, no element, nothing kept
    "bce: one element": (fl.BCEWithLogitsLoss(), 0.0, 1.0, LOG2, -0.5),
    "bce: no element": (fl.BCEWithLogitsLoss(), np.zeros((0, 2)), np.zeros((0, 2)), NAN, np.zeros((0, 2))),
    "bce: no element, summed": (fl.BCELoss(**SUM), np.zeros(0), np.zeros(0), 0.0, np.zeros(0)),
    "bce: a NaN": (fl.BCEWithLogitsLoss(), [NAN, 0], [1, 1], NAN, [NAN, -0.25]),
}


@DTYPES
@pytest.mark.parametrize("row", ROWS)
def test_by_hand(row, dtype, backend):
    loss, x, y, value, gradient = ROWS[row]
    # A dozen roundings; nothing but 0 is near 0, up to powers of e^-100.
    tolerance = 16 * float(np.finfo(dtype).eps)
    x, y = np.asarray(x, dtype), np.asarray(y)
    got, got_gradient = loss.value_and_grad(x, y.astype(float) if y.shape == x.shape else y)
    assert got == pytest.approx(value, rel=tolerance, abs=1e-20, nan_ok=True)
    gradient = np.broadcast_to(gradient, np.shape(x))
    largest = np.nanmax(np.abs(gradient), initial=0)
    np.testing.assert_allclose(got_gradient, gradient, rtol=0, atol=max(tolerance * largest, 1e-20))


def test_sums_over_very_many_classes_lose_no_digits(backend):
    """Equal terms, whose roundings all go one way: in float32 70000 of them would lose three digits."""
    C, eps = 70000, float(np.finfo(np.float32).eps)
    zeros = np.zeros((1, C), np.float32)
    value, gradient = Multilabel().value_and_grad(zeros, zeros)
    assert value == pytest.approx(LOG2, rel=4 * eps)
    np.testing.assert_allclose(gradient, 0.5 / C, rtol=4 * eps)
    # p = 1/C, y = 1/2 in two classes: of the others dl/dlog p = log(2) p / 2, which sum up to nearly log(2) / 2.
    y = np.zeros((1, C))
    y[0, :2] = 0.5
    loss = JS(activation="softmax")
    (value, gradient), want = loss.value_and_grad(zeros, y), loss.value_and_grad(zeros.astype(float), y)
    assert value == pytest.approx(want[0], rel=16 * eps)
    np.testing.assert_allclose(gradient, want[1], rtol=16 * eps, atol=16 * eps * LOG2 / C)


@DTYPES
@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("part", [1, 100, 2**20])  # of the smallest normal number: subnormal ones
def test_quotients_of_the_smallest_probabilities_are_bounded(alpha, part, dtype, backend):
    """p / m is at most 1 / (1 - alpha), though (1 - alpha) p may be 0; the slope at y = 0 is that of p = 0."""
    tiny, one = float(np.finfo(dtype).smallest_normal) / part, np.ones(1, dtype)
    most = -np.log1p(-alpha)
    for loss in (JS(alpha=alpha, **SUM), JS(alpha=alpha, binary=True, **SUM), fl.BinaryKLDivLoss(alpha=alpha, **SUM)):
        at_0 = loss.value_and_grad(np.zeros((1, 1), dtype), [[0.0]])
        for p, y in ((tiny, 0.0), (0.0, tiny), (tiny, tiny)):
            value, gradient = loss.value_and_grad(p * one[None], [[y]])
            assert abs(value) <= 2 * tiny * most
            assert np.isfinite(gradient).all()
            if y == 0:
                np.testing.assert_allclose(gradient, at_0[1], rtol=1e-3)  # float32's 1 - 0.999


@DTYPES
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_options_of_the_least_and_the_largest_size(size, dtype, backend):
    x, y = np.array([[1e-3, 0.5, 2.0], [-1.0, 0.25, 1.0]], dtype), np.array([[0.0, 0.5, 1.0], [1.0, 0.0, 0.0]])
    for loss in (
        fl.SmoothL1Loss(beta=size),
        fl.HuberLoss(delta=size),
        fl.PseudoHuberLoss(delta=size),
        fl.BCEWithLogitsLoss(pos_weight=size),
        CE(class_weight=[1, size, 0]),
        fl.FocalLoss(gamma=size, alpha=[1, size, 0]),
        fl.DiceLoss(class_weight=[1, size, 0], smooth=size),
        fl.TverskyLoss(alpha=size, beta=1, smooth=0),
        size * fl.DiceLoss(),
    ):
        value, gradient = loss.value_and_grad(x, y)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    assert fl.SmoothL1Loss(beta=1e-30)(x, y) == pytest.approx(fl.L1Loss()(x, y), rel=1e-6)
    assert fl.HuberLoss(delta=1e30)(x, y) == pytest.approx(fl.MSELoss()(x, y) / 2, rel=1e-6)


@pytest.mark.parametrize("loss", [Balanced(reduction="none"), Balanced(reduction="none", activation=None)])
def test_balanced_maps_of_one_side_are_0(loss, backend):
    x = [[INF, -INF]] if loss.activation else [[0.0, 1.0]]
    for y in ([[0.0, 0.0]], [[1.0, 1.0]]):
        np.testing.assert_array_equal(loss(np.array(x), y), [[0, 0]])


def test_masked_pixels_in_every_reduction(backend):
    """Weights of 0 silence a NaN and an infinite loss alike, and the others' loss is as if those were not there."""
    x = np.array([[[0.0, -INF, NAN], [LOG3, 0.0, 1.0]]])
    loss = CE(reduction="none")
    np.testing.assert_allclose(loss(x, [[1, 0, 0]], pixel_weight=[[1, 0, 0]]), [[2 * LOG2 - LOG3, 0, 0]], rtol=1e-15)
    value, gradient = CE().value_and_grad(x, [[1, 0, 0]], pixel_weight=[[1, 0, 0]])
    assert value == pytest.approx(2 * LOG2 - LOG3, rel=1e-15)
    np.testing.assert_allclose(gradient, [[[0.25, 0, 0], [-0.25, 0, 0]]], rtol=1e-15)


def test_the_perceptrons_gradient_is_of_one_class_beyond_2_to_the_24(backend):
    """From where float32 does not count."""
    x = np.zeros((1, 2**24 + 4), np.float32)
    x[0, -2] = 1
    value, gradient = fl.PerceptronLoss().value_and_grad(x, [5])
    assert value == 1
    assert [(int(c), gradient[0, c]) for c in np.flatnonzero(gradient)] == [(5, -1), (2**24 + 2, 1)]
