"""Has formulas of losses in mpmath with their derivatives, and bounds on the error of a result in each dtype."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np


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


# ---- formulas of one element, which return (value, derivative)


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


def bce(prob, b=1, eps=0):
    def f(x, y):
        _, _, log_p, log_q, _, dlog_p, dlog_q = prob(x)
        t = (1 - mp.mpf(eps)) * y + mp.mpf(eps) / 2
        return -times(b * t, log_p) - times(1 - t, log_q), -b * t * dlog_p - (1 - t) * dlog_q

    return f


def focal(prob, g, a=1, b=1):
    """A base is at least e^-100 where it is given, as its log is."""

    def side(u, du, log_v, dlog_v):  # of u^g log v, v = 1 - u
        base = max(u, mp.exp(-100)) if prob is given else u
        power = base**g if base or not g else mp.mpf(0)  # 0^0 = 1
        inner = g * dlog_v if u == 0 else times(g * du / u, log_v)  # log v ~ -u
        return times(power, log_v), power * (dlog_v + inner)

    def f(x, y):
        p, q, log_p, log_q, dp, dlog_p, dlog_q = prob(x)
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


def bernoulli(half, prob, a):
    a = mp.mpf(a)

    def f(x, y):
        p, q, log_p, log_q, dp, dlog_p, dlog_q = prob(x)
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


# An exponent g log u as large as a result allows, 87 in float32 and 708 in float64, has its eps, and the log's.
POWER = {np.float32: 16 + 4 * 87, np.float64: 16 + 4 * 708}
