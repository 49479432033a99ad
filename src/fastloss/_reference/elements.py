"""Losses of one element: its value, and its slope, the derivative in the input. Called by driver.py and pixels.py.

Each takes the input x (or, with `of_chance`, a Chance v), the target y and the term's parameters k. A Chance is a
probability p that came as itself, as a logit or through a softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .tile import Params, log_chance, sigmoid, softmax_parts, times, xlogx

# ---- of the input itself


class NLL:
    """-w y x: the negative log-likelihood, x being a log-probability."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        return -times(k.weight * y, x)

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        slope: Array = -k.weight * y
        return slope


class KLDiv:
    """y (log y - x), x being a log-probability."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        return xlogx(y) - times(y, x)

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        return -y


class KLDivLog:
    """e^y (y - x), the target being a log-probability as well."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        return times(np.exp(y), y - x)

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        slope: Array = -np.exp(y)
        return slope


class SoftMargin:
    """log(1 + exp(-y x))."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        return Softplus.value(-y * x, y, k)

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        return -y * sigmoid(-y * x)


class Target:
    """The target y, for its sum."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        return y

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        return np.zeros_like(y)


class MSE:
    """(x - y)^2."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        value: Array = (x - y) ** 2
        return value

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        slope: Array = 2 * (x - y)
        return slope


class L1:
    """|x - y|, with slope 0 at 0."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        value: Array = np.abs(x - y)
        return value

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        slope: Array = np.sign(x - y)
        return slope


class Huber:
    """A parabola up to |d| = k[0], of curvature k[1], and its tangent beyond, of slope k[2] = k[0] k[1]."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        a = np.abs(x - y)
        value: Array = np.where(a <= k[0], k[1] / 2 * a * a, k[2] * (a - k[0] / 2))
        return value

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        d = x - y
        slope: Array = np.where(np.abs(d) > k[0], k[2] * np.sign(d), k[1] * d)
        return slope


class LogCosh:
    """log cosh d = |d| + log(1 + exp(-2|d|)) - log 2; for small d log1p(2 sinh^2(d/2)), which does not cancel."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        a = np.abs(x - y)
        value: Array = np.where(a < 0.5, np.log1p(2 * np.sinh(a / 2) ** 2), a + np.log1p(np.exp(-2 * a)) - np.log(2))
        return value.astype(a.dtype)

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        slope: Array = np.tanh(x - y)
        return slope


class PseudoHuber:
    """delta^2 (sqrt(1 + (d/delta)^2) - 1), as delta |d| r / (1 + sqrt(1 + r^2)) with r = |d|/delta; k: delta."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        a = np.abs(x - y)
        r = a / k[0]
        value: Array = k[0] * a * np.where(r > 1, 1 / (1 / r + np.hypot(1, 1 / r)), r / (1 + np.hypot(1, r)))
        return value

    @staticmethod
    def slope(x: Array, y: Array, k: Params) -> Array:
        d = x - y
        r = np.abs(d) / k[0]
        slope: Array = k[0] * np.sign(d) * np.where(r > 1, 1 / np.hypot(1, 1 / r), r / np.hypot(1, r))
        return slope


# ---- of a chance


def _inverse(x: Array) -> Array:
    """1 / x, at most 1e12 (torch's limit of the derivative of a log)."""
    return 1 / np.maximum(x, 1e-12)


def _log_rest_over(log_rest: Array, u: Array) -> Array:
    """log(1 - u) / u, which is -1 at 0."""
    quotient: Array = np.where(u == 0, -1, log_rest / u)
    return quotient


@dataclass(slots=True)
class Chance:
    """p, q = 1 - p, their logs, and dp, dlog_p, dlog_q, the derivatives in the input (softmax: in log p); cross_p =
    dlog_p log_q and cross_q = dlog_q log_p, which are near 1 where p or q is small."""

    p: Array
    q: Array
    log_p: Array
    log_q: Array
    dp: Any
    dlog_p: Any
    dlog_q: Array
    cross_p: Array
    cross_q: Array

    @classmethod
    def given(cls, x: Array) -> Chance:
        q, log_p, log_q = 1 - x, log_chance(x), np.maximum(np.log1p(-x), -100)
        crosses = _log_rest_over(log_q, x), -_log_rest_over(log_p, q)
        return cls(x, q, log_p, log_q, 1, _inverse(x), -_inverse(q), *crosses)

    @classmethod
    def of_logit(cls, x: Array) -> Chance:
        p, q, tail = sigmoid(x), sigmoid(-x), np.log1p(np.exp(-np.abs(x)))
        log_p, log_q = np.minimum(x, 0) - tail, np.minimum(-x, 0) - tail
        return cls(p, q, log_p, log_q, p * q, q, -p, times(q, log_q), times(-p, log_p))

    @classmethod
    def of_softmax(cls, x: Array) -> Chance:
        """The largest logit's 1 - p is the sum of the others: a confident pixel's small values keep their digits."""
        m, e, *_ = softmax_parts(x)
        s = e.sum(axis=0, dtype=np.float64).astype(x.dtype)
        first = np.arange(len(x))[:, None] == x.argmax(axis=0)
        rest = np.where(first, 0, e).sum(axis=0, dtype=np.float64).astype(x.dtype)
        p, log_p = e / s, (x - m) - np.log1p(rest)
        q = np.where(first, rest / s, 1 - p)
        log_q = np.log(np.maximum(q, np.finfo(q.dtype).tiny))
        return cls(p, q, log_p, log_q, p, 1, -p * _inverse(q), log_q, times(-p, _log_rest_over(log_p, q)))

    def power_p(self, exponent: Any) -> Array:
        result: Array = np.exp(times(exponent, self.log_p))
        return result

    def power_q(self, exponent: Any) -> Array:
        result: Array = np.exp(times(exponent, self.log_q))
        return result


class BCE:
    """-(b t log p + n (1 - t) log q), t = (1 - eps) y + eps / 2; k: b, n, eps."""

    of_chance = True

    @staticmethod
    def value(v: Chance, y: Array, k: Params) -> Array:
        t = (1 - k[2]) * y + k[2] / 2
        return -(times(k[0] * t, v.log_p) + times(k[1] * (1 - t), v.log_q))

    @staticmethod
    def slope(v: Chance, y: Array, k: Params) -> Array:
        t = (1 - k[2]) * y + k[2] / 2
        slope: Array = -(k[0] * t * v.dlog_p + k[1] * (1 - t) * v.dlog_q)
        return slope


class Multilabel:
    """-w / C (y log p + (1 - y) log q), summed over classes; k: w."""

    of_chance = True

    @staticmethod
    def value(v: Chance, y: Array, k: Params) -> Array:
        return -times(k[0] * k.share, times(y, v.log_p) + times(1 - y, v.log_q))

    @staticmethod
    def slope(v: Chance, y: Array, k: Params) -> Array:
        slope: Array = -k[0] * k.share * (y * v.dlog_p + (1 - y) * v.dlog_q)
        return slope


class BinaryFocal:
    """-(a q^g y log p + b p^g (1 - y) log q); k: g, a, b."""

    of_chance = True

    @staticmethod
    def value(v: Chance, y: Array, k: Params) -> Array:
        pos, neg = k[1] * y * v.power_q(k[0]), k[2] * (1 - y) * v.power_p(k[0])
        return -(times(pos, v.log_p) + times(neg, v.log_q))

    @staticmethod
    def slope(v: Chance, y: Array, k: Params) -> Array:
        pos, neg = k[1] * y * v.power_q(k[0]), k[2] * (1 - y) * v.power_p(k[0])
        slope: Array = pos * (v.dlog_p + k[0] * v.cross_q) + neg * (v.dlog_q + k[0] * v.cross_p)
        return -slope


class Focal:
    """-a y q^g log p, summed over classes; k: g, a."""

    of_chance = True

    @staticmethod
    def value(v: Chance, y: Array, k: Params) -> Array:
        return -times(k[1] * y, v.power_q(k[0]) * v.log_p)

    @staticmethod
    def slope(v: Chance, y: Array, k: Params) -> Array:
        return -times(k[1] * y, v.power_q(k[0]) * (v.dlog_p + k[0] * v.cross_q))


class Categorical:
    """-t log p with t = w ((1 - eps) y + eps / C), summed over classes; k: eps."""

    of_chance = True

    @staticmethod
    def _mass(y: Array, k: Params) -> Array:
        mass: Array = k.weight * ((1 - k[0]) * y + k[0] * k.share)
        return mass

    @classmethod
    def value(cls, v: Chance, y: Array, k: Params) -> Array:
        return -times(cls._mass(y, k), v.log_p)

    @classmethod
    def slope(cls, v: Chance, y: Array, k: Params) -> Array:
        slope: Array = -cls._mass(y, k) * v.dlog_p
        return slope


def _quotient(u: Array, v: Array, a: float) -> Array:
    """u / m with m = (1 - a) u + a v: at most 1 / (1 - a), its limit at v = 0; that it is where m lacks digits."""
    m = (1 - a) * u + a * v
    quotient: Array = np.where(m < np.finfo(m.dtype).tiny, 1 / (1 - a), u / m)
    return quotient


def _half_kl(p: Array, log_p: Array, y: Array, a: float) -> Array:
    """y log(y / m) with m = a p + (1 - a) y."""
    return xlogx(y) - times(y, log_p) if a == 1 else times(y, log_chance(_quotient(y, p, a)))


def _half_kl_slope(p: Array, dp: Any, dlog_p: Any, y: Array, a: float) -> Array:
    slope: Array = -y * dlog_p if a == 1 else -a * dp * np.where(y == 0, 0, _quotient(y, p, a))
    return slope


class BinaryKL:
    """KL(y || m) of Bernoulli distributions, m = a p + (1 - a) y; k: a."""

    of_chance = True

    @staticmethod
    def value(v: Chance, y: Array, k: Params) -> Array:
        return _half_kl(v.p, v.log_p, y, k[0]) + _half_kl(v.q, v.log_q, 1 - y, k[0])

    @staticmethod
    def slope(v: Chance, y: Array, k: Params) -> Array:
        return _half_kl_slope(v.p, v.dp, v.dlog_p, y, k[0]) + _half_kl_slope(v.q, -v.dp, v.dlog_q, 1 - y, k[0])


class JS:
    """(y log(y / m(p)) + p log(p / m(y))) / 2, m(p) = a p + (1 - a) y, m(y) = a y + (1 - a) p, summed over classes;
    k: a."""

    of_chance = True

    @staticmethod
    def share(p: Array, log_p: Array, y: Array, a: float) -> Array:
        log_ratio = log_p - log_chance(y) if a == 1 else log_chance(_quotient(p, y, a))
        share: Array = (_half_kl(p, log_p, y, a) + times(p, log_ratio)) / 2
        return share

    @staticmethod
    def share_slope(p: Array, log_p: Array, dp: Any, dlog_p: Any, y: Array, a: float) -> Array:
        if a == 1:
            inner = np.maximum(log_p, -100) - log_chance(y) + 1
        else:
            ratio = _quotient(p, y, a)
            inner = log_chance(ratio) + (1 - (1 - a) * ratio)
        slope: Array = (_half_kl_slope(p, dp, dlog_p, y, a) + times(dp, inner)) / 2
        return slope

    @classmethod
    def value(cls, v: Chance, y: Array, k: Params) -> Array:
        return cls.share(v.p, v.log_p, y, k[0])

    @classmethod
    def slope(cls, v: Chance, y: Array, k: Params) -> Array:
        return cls.share_slope(v.p, v.log_p, v.dp, v.dlog_p, y, k[0])


class BinaryJS:
    """The same of both outcomes of a Bernoulli distribution."""

    of_chance = True

    @staticmethod
    def value(v: Chance, y: Array, k: Params) -> Array:
        return JS.share(v.p, v.log_p, y, k[0]) + JS.share(v.q, v.log_q, 1 - y, k[0])

    @staticmethod
    def slope(v: Chance, y: Array, k: Params) -> Array:
        positive = JS.share_slope(v.p, v.log_p, v.dp, v.dlog_p, y, k[0])
        return positive + JS.share_slope(v.q, v.log_q, -v.dp, v.dlog_q, 1 - y, k[0])


class Product:
    """k[0] p y, summed over classes."""

    of_chance = True

    @staticmethod
    def value(v: Chance, y: Array, k: Params) -> Array:
        value: Array = k[0] * times(y, v.p)
        return value

    @staticmethod
    def slope(v: Chance, y: Array, k: Params) -> Array:
        slope: Array = k[0] * times(y, v.dp)
        return slope


class SquaredError:
    """k[0] (p - y)^2, summed over classes."""

    of_chance = True

    @staticmethod
    def value(v: Chance, y: Array, k: Params) -> Array:
        value: Array = k[0] * (v.p - y) ** 2
        return value

    @staticmethod
    def slope(v: Chance, y: Array, k: Params) -> Array:
        slope: Array = 2 * k[0] * (v.p - y) * v.dp
        return slope


# ---- functions of the input alone


class Sigmoid:
    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        return sigmoid(x)


class LogSigmoid:
    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        value: Array = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
        return value


class Softplus:
    """log(1 + exp(x))."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        value: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
        return value


class Logit:
    """log(p / (1 - p)): near 1/2 as log1p((1 - 2u) / u), u the smaller of p and 1 - p, which does not cancel."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        u = np.minimum(x, 1 - x)
        value: Array = np.where(x < 0.25, np.log(x) - np.log1p(-x), np.sign(x - 0.5) * np.log1p((1 - 2 * u) / u))
        return np.where(x == 1, np.inf, value).astype(x.dtype)


class Entropy:
    """-x log x, -inf below 0."""

    of_chance = False

    @staticmethod
    def value(x: Array, y: Array, k: Params) -> Array:
        value: Array = np.where(x < 0, -np.inf, -xlogx(x))
        return value


ELEMENT: dict[str, Any] = {
    "bce": BCE,
    "binary_focal": BinaryFocal,
    "binary_kl": BinaryKL,
    "binary_js": BinaryJS,
    "kl_div": KLDiv,
    "kl_div_log": KLDivLog,
    "soft_margin": SoftMargin,
    "target": Target,
    "mse": MSE,
    "l1": L1,
    "huber": Huber,
    "log_cosh": LogCosh,
    "pseudo_huber": PseudoHuber,
    "sigmoid": Sigmoid,
    "log_sigmoid": LogSigmoid,
    "softplus": Softplus,
    "logit": Logit,
    "entropy": Entropy,
}
