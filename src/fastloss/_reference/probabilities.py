"""Losses of one probability, as in kernels/probabilities.h.

`NAME` is the value, `NAME_slope` is its derivative in the input, and `NAME_curve` is its second derivative. Each
function takes a Prob v, which is made from the input, and otherwise what the functions of elements.py take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .elements import times
from .real_math import r_log_prob, r_log_rest, r_sigmoid, r_xlogx
from .tile import Params, softmax_parts


@dataclass(slots=True)
class Prob:
    """A probability p, given directly, as a logit or by a softmax. The fields are p, q = 1 - p, and functions of them.

    dp, dlog_p and dlog_q are derivatives in the input, or in log p for a softmax. cross_p = dlog_p log_q and
    cross_q = dlog_q log_p are near 1 where p or q is small. bend, bend_p and bend_q are the second derivatives of p,
    log p and log q, divided by the first.
    """

    p: Array
    q: Array
    log_p: Array
    log_q: Array
    dp: Any
    dlog_p: Any
    dlog_q: Array
    cross_p: Array
    cross_q: Array
    bend: Any
    bend_p: Any
    bend_q: Array


def inverse(x: Array) -> Array:
    """1 / x, but at most 1e12, which is torch's limit for the derivative of a log."""
    return 1 / np.maximum(x, 1e-12)


def power(log_u: Array, g: Any) -> Array:
    """u^g for u in [0, 1]."""
    return np.exp(times(g, log_u))


def log_rest_over(log_rest: Array, u: Array) -> Array:
    """log(1 - u) / u, which is -1 at 0."""
    return np.where(u == 0, -1, log_rest / u)


def prob_given(x: Array) -> Prob:
    q, log_p, log_q = 1 - x, r_log_prob(x), r_log_rest(x)
    over_p, over_q = inverse(x), inverse(q)
    crosses = log_rest_over(log_q, x), -log_rest_over(log_p, q)
    return Prob(x, q, log_p, log_q, 1, over_p, -over_q, *crosses, 0, -over_p, over_q)


def prob_of_logit(x: Array) -> Prob:
    p, q, tail = r_sigmoid(x), r_sigmoid(-x), np.log1p(np.exp(-np.abs(x)))
    log_p, log_q = np.minimum(x, 0) - tail, np.minimum(-x, 0) - tail
    return Prob(p, q, log_p, log_q, p * q, q, -p, times(q, log_q), times(-p, log_p), q - p, -p, q)


def prob_of_softmax(x: Array) -> Prob:
    """For the largest logit, 1 - p is computed as the sum of the other p. So small values keep their digits."""
    m, e, *_ = softmax_parts(x)
    s = e.sum(axis=0, dtype=np.float64).astype(x.dtype)
    first = np.arange(len(x))[:, None] == x.argmax(axis=0)
    rest = np.where(first, 0, e).sum(axis=0, dtype=np.float64).astype(x.dtype)
    p, log_p = e / s, (x - m) - np.log1p(rest)
    q = np.where(first, rest / s, 1 - p)
    log_q = np.log(np.maximum(q, np.finfo(q.dtype).tiny))
    cross_q, over_q = times(-p, log_rest_over(log_p, q)), inverse(q)
    return Prob(p, q, log_p, log_q, p, 1, -p * over_q, log_q, cross_q, 1, 0, over_q)


def bce(v: Prob, y: Array, k: Params) -> Array:
    """-(b t log p + n (1 - t) log q), t = (1 - eps) y + eps / 2; k: b, n, eps."""
    t = (1 - k[2]) * y + k[2] / 2
    return -(times(k[0] * t, v.log_p) + times(k[1] * (1 - t), v.log_q))


def bce_slope(v: Prob, y: Array, k: Params) -> Array:
    t = (1 - k[2]) * y + k[2] / 2
    return -(k[0] * t * v.dlog_p + k[1] * (1 - t) * v.dlog_q)


def bce_curve(v: Prob, y: Array, k: Params) -> Array:
    t = (1 - k[2]) * y + k[2] / 2
    return -(k[0] * t * v.dlog_p * v.bend_p + k[1] * (1 - t) * v.dlog_q * v.bend_q)


def multilabel(v: Prob, y: Array, k: Params) -> Array:
    """-w / C (y log p + (1 - y) log q), the part of one class in the mean over classes; k: w."""
    return -times(k[0] * k.share, times(y, v.log_p) + times(1 - y, v.log_q))


def multilabel_slope(v: Prob, y: Array, k: Params) -> Array:
    return -k[0] * k.share * (y * v.dlog_p + (1 - y) * v.dlog_q)


def multilabel_curve(v: Prob, y: Array, k: Params) -> Array:
    return -k[0] * k.share * (y * v.dlog_p * v.bend_p + (1 - y) * v.dlog_q * v.bend_q)


def power_curve(v: Prob, g: Any) -> Array:
    """The second derivative of q^g log p."""
    slopes = v.dlog_p * (v.bend_p + 2 * g * v.dlog_q) + g * v.cross_q * (v.bend_q + g * v.dlog_q)
    return times(power(v.log_q, g), slopes)


def rest_power_curve(v: Prob, g: Any) -> Array:
    """The second derivative of p^g log q."""
    slopes = v.dlog_q * (v.bend_q + 2 * g * v.dlog_p) + g * v.cross_p * (v.bend_p + g * v.dlog_p)
    return times(power(v.log_p, g), slopes)


def binary_focal(v: Prob, y: Array, k: Params) -> Array:
    """-(a q^g y log p + b p^g (1 - y) log q); k: g, a, b."""
    pos, neg = k[1] * y * power(v.log_q, k[0]), k[2] * (1 - y) * power(v.log_p, k[0])
    return -(times(pos, v.log_p) + times(neg, v.log_q))


def binary_focal_slope(v: Prob, y: Array, k: Params) -> Array:
    pos, neg = k[1] * y * power(v.log_q, k[0]), k[2] * (1 - y) * power(v.log_p, k[0])
    return -(pos * (v.dlog_p + k[0] * v.cross_q) + neg * (v.dlog_q + k[0] * v.cross_p))


def binary_focal_curve(v: Prob, y: Array, k: Params) -> Array:
    return -(k[1] * y * power_curve(v, k[0]) + k[2] * (1 - y) * rest_power_curve(v, k[0]))


def focal(v: Prob, y: Array, k: Params) -> Array:
    """-a y q^g log p, the part of one class; k: g, a."""
    return -times(k[1] * y, power(v.log_q, k[0]) * v.log_p)


def focal_slope(v: Prob, y: Array, k: Params) -> Array:
    return -times(k[1] * y, power(v.log_q, k[0]) * (v.dlog_p + k[0] * v.cross_q))


def focal_curve(v: Prob, y: Array, k: Params) -> Array:
    return -times(k[1] * y, power_curve(v, k[0]))


def poly(v: Prob, y: Array, k: Params) -> Array:
    """y (eps q - log p), the part of one class; k: eps."""
    return k[0] * y * v.q - times(y, v.log_p)


def poly_slope(v: Prob, y: Array, k: Params) -> Array:
    return -y * (v.dlog_p + k[0] * v.dp)


def poly_curve(v: Prob, y: Array, k: Params) -> Array:
    return -y * (v.dlog_p * v.bend_p + k[0] * v.dp * v.bend)


def target_mass(y: Array, k: Params) -> Array:
    """t = w ((1 - eps) y + eps / C); k: eps."""
    return k.weight * ((1 - k[0]) * y + k[0] * k.share)


def categorical(v: Prob, y: Array, k: Params) -> Array:
    """-t log p, the part of one class in categorical cross entropy."""
    return -times(target_mass(y, k), v.log_p)


def categorical_slope(v: Prob, y: Array, k: Params) -> Array:
    return -target_mass(y, k) * v.dlog_p


def categorical_curve(v: Prob, y: Array, k: Params) -> Array:
    return -target_mass(y, k) * v.dlog_p * v.bend_p


def quotient(u: Array, m: Array, a: float) -> Array:
    """u / m for m = (1 - a) u + a v. The limit at v = 0, 1 / (1 - a), replaces it where m is too small for digits."""
    return np.where(m < np.finfo(m.dtype).tiny, 1 / (1 - a), u / m)


def half_kl(p: Array, log_p: Array, y: Array, a: float) -> Array:
    """y log(y / m) with m = a p + (1 - a) y, the part of one outcome in KL(y || m)."""
    if a == 1:
        return r_xlogx(y) - times(y, log_p)
    return times(y, r_log_prob(quotient(y, a * p + (1 - a) * y, a)))


def half_kl_slope(p: Array, dp: Any, dlog_p: Any, y: Array, a: float) -> Array:
    if a == 1:
        return -y * dlog_p
    return -a * dp * np.where(y == 0, 0, quotient(y, a * p + (1 - a) * y, a))


def half_kl_curve(p: Array, dp: Any, bend: Any, dlog_p: Any, bend_p: Any, y: Array, a: float) -> Array:
    if a == 1:
        return -y * dlog_p * bend_p
    m = a * p + (1 - a) * y
    return np.where(y == 0, 0, a * dp * quotient(y, m, a) * (a * dp * inverse(m) - bend))


def binary_kl(v: Prob, y: Array, k: Params) -> Array:
    """KL(y || m) of Bernoulli distributions, where m = a p + (1 - a) y; k: a."""
    return half_kl(v.p, v.log_p, y, k[0]) + half_kl(v.q, v.log_q, 1 - y, k[0])


def binary_kl_slope(v: Prob, y: Array, k: Params) -> Array:
    return half_kl_slope(v.p, v.dp, v.dlog_p, y, k[0]) + half_kl_slope(v.q, -v.dp, v.dlog_q, 1 - y, k[0])


def binary_kl_curve(v: Prob, y: Array, k: Params) -> Array:
    positive = half_kl_curve(v.p, v.dp, v.bend, v.dlog_p, v.bend_p, y, k[0])
    return positive + half_kl_curve(v.q, -v.dp, v.bend, v.dlog_q, v.bend_q, 1 - y, k[0])


def js_share(p: Array, log_p: Array, y: Array, a: float) -> Array:
    """(y log(y / m(p)) + p log(p / m(y))) / 2 for one outcome; m(p) = a p + (1 - a) y, m(y) = a y + (1 - a) p."""
    log_ratio = log_p - r_log_prob(y) if a == 1 else r_log_prob(quotient(p, a * y + (1 - a) * p, a))
    return (half_kl(p, log_p, y, a) + times(p, log_ratio)) / 2


def js_share_slope(p: Array, log_p: Array, dp: Any, dlog_p: Any, y: Array, a: float) -> Array:
    if a == 1:
        inner = np.maximum(log_p, -100) - r_log_prob(y) + 1
    else:
        part = quotient(p, a * y + (1 - a) * p, a)
        inner = r_log_prob(part) + (1 - (1 - a) * part)
    return (half_kl_slope(p, dp, dlog_p, y, a) + times(dp, inner)) / 2


def js_share_curve(p: Array, log_p: Array, dp: Any, bend: Any, dlog_p: Any, bend_p: Any, y: Array, a: float) -> Array:
    if a == 1:
        rest: Any = 1
        inner = np.maximum(log_p, -100) - r_log_prob(y) + 1
    else:
        part = quotient(p, a * y + (1 - a) * p, a)
        rest = 1 - (1 - a) * part
        inner = r_log_prob(part) + rest
    own = times(dp, bend * inner + dlog_p * rest * rest)
    return (half_kl_curve(p, dp, bend, dlog_p, bend_p, y, a) + own) / 2


def js(v: Prob, y: Array, k: Params) -> Array:
    """The part of one class in the Jensen-Shannon divergence; k: a."""
    return js_share(v.p, v.log_p, y, k[0])


def js_slope(v: Prob, y: Array, k: Params) -> Array:
    return js_share_slope(v.p, v.log_p, v.dp, v.dlog_p, y, k[0])


def js_curve(v: Prob, y: Array, k: Params) -> Array:
    return js_share_curve(v.p, v.log_p, v.dp, v.bend, v.dlog_p, v.bend_p, y, k[0])


def binary_js(v: Prob, y: Array, k: Params) -> Array:
    """The Jensen-Shannon divergence of Bernoulli distributions, the sum over both outcomes; k: a."""
    return js_share(v.p, v.log_p, y, k[0]) + js_share(v.q, v.log_q, 1 - y, k[0])


def binary_js_slope(v: Prob, y: Array, k: Params) -> Array:
    positive = js_share_slope(v.p, v.log_p, v.dp, v.dlog_p, y, k[0])
    return positive + js_share_slope(v.q, v.log_q, -v.dp, v.dlog_q, 1 - y, k[0])


def binary_js_curve(v: Prob, y: Array, k: Params) -> Array:
    positive = js_share_curve(v.p, v.log_p, v.dp, v.bend, v.dlog_p, v.bend_p, y, k[0])
    return positive + js_share_curve(v.q, v.log_q, -v.dp, v.bend, v.dlog_q, v.bend_q, 1 - y, k[0])


def product(v: Prob, y: Array, k: Params) -> Array:
    """k[0] p y, the part of one class in the boundary loss. The target y is a distance."""
    return k[0] * times(y, v.p)


def product_slope(v: Prob, y: Array, k: Params) -> Array:
    return k[0] * times(y, v.dp)


def product_curve(v: Prob, y: Array, k: Params) -> Array:
    return k[0] * times(y, v.dp * v.bend)


def squared_error(v: Prob, y: Array, k: Params) -> Array:
    """k[0] (p - y)^2, the part of one class in the Hausdorff loss. Its weights are distances."""
    return k[0] * (v.p - y) ** 2


def squared_error_slope(v: Prob, y: Array, k: Params) -> Array:
    return 2 * k[0] * (v.p - y) * v.dp


def squared_error_curve(v: Prob, y: Array, k: Params) -> Array:
    return 2 * k[0] * v.dp * (v.dp + (v.p - y) * v.bend)


def brier(v: Prob, y: Array, k: Params) -> Array:
    """k (p - y)^2, or nan if p is no probability."""
    return np.where((v.p >= 0) & (v.p <= 1), k[0] * (v.p - y) ** 2, np.nan)


def brier_slope(v: Prob, y: Array, k: Params) -> Array:
    return 2 * k[0] * (v.p - y) * v.dp


def brier_curve(v: Prob, y: Array, k: Params) -> Array:
    return 2 * k[0] * v.dp * (v.dp + (v.p - y) * v.bend)
