"""Class-axis, binary and regression losses on hard inputs: value and gradient.

REFERENCES holds each loss's formula in mpmath, with its derivative, and grids of inputs at the ends of what a float32
and a float64 hold; ROWS holds what is worked out by hand, the derivation at each row. Region losses have theirs in
test_hard_region.py.
"""

from __future__ import annotations

import itertools
import math

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
        bound = factor * float(limits.eps) * max(abs(want), mp.mpf(scale)) + float(limits.tiny)
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
    return regression(
        lambda d: delta**2 * (root(d) - 1), lambda d: mp.sign(d) * delta if mp.isinf(d) else d / root(d)
    )


LOGITS = [0.0, 1.0, -1.0, 1e-30, 17.5, -17.5, 40.0, -40.0, 86.0, -86.0, 1e4, -1e4, 3e38, -3e38, INF, -INF]
CHANCES = [0.0, 1.0, 0.5, 0.25, 1e-40, 1e-38, 1e-20, 1e-10, 1e-7, 1 - 2.0**-24, 1 - 2.0**-20]
LOG_CHANCES = [0.0, -1e-30, -1.0, -88.0, -1e4, -3e38, -INF]
DISTANCES = [0.0, 1e-40, 1e-30, -1e-10, 1e-4, -0.25, 0.5, -1.0, 1.5, 20.0, -1e4, 1e18, 1e30, -1e30, 3e38, INF, -INF]
HARD = [0.0, 1.0]
SOFT = [0.0, 1.0, 0.5, 1e-40, 1e-10]

# An exponent g log u as large as a result allows, 87 in float32 and 708 in float64, has its eps, and the log's.
POWER = {np.float32: 16 + 4 * 87, np.float64: 16 + 4 * 708}

# name: (loss, formula, inputs, targets)
REFERENCES = {
    "bce": (fl.BCELoss(**SUM), bce(given), CHANCES, SOFT),
    "bce, pos_weight": (fl.BCELoss(pos_weight=2.5, **SUM), bce(given, 2.5), CHANCES, SOFT),
    "bce, pos_weight 0": (fl.BCELoss(pos_weight=0.0, **SUM), bce(given, 0), CHANCES, SOFT),
    "bce of logits": (fl.BCEWithLogitsLoss(**SUM), bce(of_logit), LOGITS, SOFT),
    "bce of logits, pos_weight": (fl.BCEWithLogitsLoss(pos_weight=2.5, **SUM), bce(of_logit, 2.5), LOGITS, SOFT),
    "bce of logits, smoothed": (
        fl.BCEWithLogitsLoss(label_smoothing=0.25, **SUM),
        bce(of_logit, eps=0.25),
        LOGITS,
        SOFT,
    ),
    "bce of logits, all smooth": (fl.BCEWithLogitsLoss(label_smoothing=1, **SUM), bce(of_logit, eps=1), LOGITS, HARD),
    **{
        f"binary focal of {name}, {g}": (
            fl.BinaryFocalLoss(gamma=g, alpha=None, activation=activation, **SUM),
            focal(chance, g),
            inputs,
            HARD,
        )
        for name, activation, chance, inputs in (
            ("logits", "sigmoid", of_logit, LOGITS),
            ("chances", None, given, CHANCES),
        )
        for g in (0, 0.01, 0.5, 1, 2, 5)
    },
    "binary focal, alpha 0": (fl.BinaryFocalLoss(alpha=0, **SUM), focal(of_logit, 2, 0, 1), LOGITS, HARD),
    "binary focal, alpha 1": (fl.BinaryFocalLoss(alpha=1, **SUM), focal(of_logit, 2, 1, 0), LOGITS, HARD),
    "kl": (fl.KLDivLoss(**SUM), kl, LOG_CHANCES, SOFT),
    "kl of logs": (fl.KLDivLoss(log_target=True, **SUM), kl_log, LOG_CHANCES, [0.0, -1.0, -80.0, -INF]),
    "soft margin": (fl.SoftMarginLoss(**SUM), soft_margin, LOGITS, [-1.0, 1.0]),
    "mse": (fl.MSELoss(**SUM), regression(lambda d: d * d, lambda d: 2 * d), DISTANCES, [0.0]),
    "l1": (fl.L1Loss(**SUM), regression(abs, mp.sign), DISTANCES, [0.0, 1.0]),
    "huber": (fl.HuberLoss(delta=1.5, **SUM), huber(1.5), DISTANCES, [0.0]),
    "huber of a small delta": (fl.HuberLoss(delta=2.0**-60, **SUM), huber(2.0**-60), DISTANCES, [0.0]),
    "smooth l1": (fl.SmoothL1Loss(beta=0.5, **SUM), huber(0.5, 2), DISTANCES, [0.0]),
    "smooth l1 of a small beta": (fl.SmoothL1Loss(beta=2.0**-99, **SUM), huber(2.0**-99, 2.0**99), DISTANCES, [0.0]),
    "smooth l1 of beta 0": (fl.SmoothL1Loss(beta=0, **SUM), regression(abs, mp.sign), DISTANCES, [0.0]),
    "log cosh": (fl.LogCoshLoss(**SUM), regression(log_cosh, lambda d: 2 * of_logit(2 * d)[0] - 1), DISTANCES, [0.0]),
    "pseudo-huber": (fl.PseudoHuberLoss(**SUM), pseudo_huber(1), DISTANCES, [0.0]),
    "pseudo-huber of a small delta": (fl.PseudoHuberLoss(delta=2.0**-20, **SUM), pseudo_huber(2.0**-20), DISTANCES, [0.0]),
    "pseudo-huber of a large delta": (fl.PseudoHuberLoss(delta=2.0**20, **SUM), pseudo_huber(2.0**20), DISTANCES, [0.0]),
}  # fmt: skip


@DTYPES
@pytest.mark.parametrize("name", REFERENCES)
def test_elements(name, dtype, backend):
    loss, formula, inputs, targets = REFERENCES[name]
    factor = POWER[dtype] if "focal" in name else 16
    scale = float(name.startswith("bce of logits"))  # the slopes of a soft target cancel
    for x, y in itertools.product(inputs, targets):
        x, y = dtype(x), np.float64(dtype(y))
        value, slope = formula(mp.mpf(float(x)), mp.mpf(float(y)))
        got, gradient = loss.value_and_grad(x, y)
        try:
            check(got, value, dtype, factor)
            check(gradient.item(), slope, dtype, factor, scale)
        except AssertionError as error:
            raise AssertionError(f"at {x!r}, {y!r}: {error}") from None
