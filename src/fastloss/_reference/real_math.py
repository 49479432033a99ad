"""Elementary functions that NumPy lacks or has with other limits, as in kernels/real_math.h. All families call them."""

from __future__ import annotations

import numpy as np

from .._arrays import Array


def r_sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), computed from exp(-|x|), which does not overflow."""
    tail = np.exp(-np.abs(x))
    return np.where(x < 0, tail, 1) / (1 + tail)


def r_softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def r_log_prob(p: Array) -> Array:
    """max(log p, -100), with torch's limit."""
    return np.maximum(np.log(p), -100)


def r_log_rest(p: Array) -> Array:
    """max(log(1 - p), -100)."""
    return np.maximum(np.log1p(-p), -100)


def r_xlogx(x: Array) -> Array:
    """x log x, and 0 at 0."""
    return np.where(x == 0, 0, x * np.log(x))


def r_log_cosh(d: Array) -> Array:
    """|d| + log(1 + exp(-2|d|)) - log 2, or for small d log1p(2 sinh^2(d/2)), which does not cancel."""
    a = np.abs(d)
    value = np.where(a < 0.5, np.log1p(2 * np.sinh(a / 2) ** 2), a + np.log1p(np.exp(-2 * a)) - np.log(2))
    return value.astype(a.dtype)


def r_logit(p: Array) -> Array:
    """log(p / (1 - p)). Near 1/2, it is log1p((1 - 2u) / u) for u = min(p, 1 - p), up to the sign: no cancellation."""
    u = np.minimum(p, 1 - p)
    value = np.where(p < 0.25, np.log(p) - np.log1p(-p), np.sign(p - 0.5) * np.log1p((1 - 2 * u) / u))
    return np.where(p == 1, np.inf, value).astype(p.dtype)
