"""Losses of one element, as in kernels/elements.h.

`NAME` is the value, `NAME_slope` is its derivative in the input, and `NAME_curve` is its second derivative.

Each function takes the input x (or a Prob v, made from x), the target y and the term's parameters k. driver.py calls
them for element losses. pixels.py calls them for losses that sum them over the classes. table.py decides which. The
functions know no pixel weight, no sum and no activation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import Array
from .real_math import r_log_cosh, r_sigmoid, r_softplus, r_xlogx
from .tile import Params


def times(a: Any, b: Any) -> Array:
    """a b, but 0 where the factor a is 0, even if b is infinite or nan."""
    return np.where(a == 0, 0, a * b)


def nll(x: Array, y: Array, k: Params) -> Array:
    """-w y x, the negative log-likelihood, where x is a log-probability."""
    return -times(k.weight * y, x)


def nll_slope(x: Array, y: Array, k: Params) -> Array:
    return -k.weight * y


def nll_curve(x: Array, y: Array, k: Params) -> Array:
    return np.zeros_like(x)


def kl_div(x: Array, y: Array, k: Params) -> Array:
    """y (log y - x), where x is a log-probability."""
    return r_xlogx(y) - times(y, x)


def kl_div_slope(x: Array, y: Array, k: Params) -> Array:
    return -y


def kl_div_curve(x: Array, y: Array, k: Params) -> Array:
    return np.zeros_like(x)


def kl_div_log(x: Array, y: Array, k: Params) -> Array:
    """e^y (y - x), where x and the target y are log-probabilities."""
    return times(np.exp(y), y - x)


def kl_div_log_slope(x: Array, y: Array, k: Params) -> Array:
    return -np.exp(y)


def kl_div_log_curve(x: Array, y: Array, k: Params) -> Array:
    return np.zeros_like(x)


def soft_margin(x: Array, y: Array, k: Params) -> Array:
    """log(1 + exp(-y x)), where y is -1 or 1."""
    return r_softplus(-y * x)


def soft_margin_slope(x: Array, y: Array, k: Params) -> Array:
    return -y * r_sigmoid(-y * x)


def soft_margin_curve(x: Array, y: Array, k: Params) -> Array:
    return y * y * r_sigmoid(y * x) * r_sigmoid(-y * x)


def own_target(x: Array, y: Array, k: Params) -> Array:
    """The target y itself, for the sum of the targets."""
    return y


def own_target_slope(x: Array, y: Array, k: Params) -> Array:
    return np.zeros_like(y)


def own_target_curve(x: Array, y: Array, k: Params) -> Array:
    return np.zeros_like(x)


def mse(x: Array, y: Array, k: Params) -> Array:
    """(x - y)^2."""
    return (x - y) ** 2


def mse_slope(x: Array, y: Array, k: Params) -> Array:
    return 2 * (x - y)


def mse_curve(x: Array, y: Array, k: Params) -> Array:
    return np.full_like(x, 2)


def l1(x: Array, y: Array, k: Params) -> Array:
    """|x - y|, with slope 0 at 0."""
    return np.abs(x - y)


def l1_slope(x: Array, y: Array, k: Params) -> Array:
    return np.sign(x - y)


def l1_curve(x: Array, y: Array, k: Params) -> Array:
    return np.zeros_like(x)


def huber(x: Array, y: Array, k: Params) -> Array:
    """A parabola with curvature k[1] up to |d| = k[0]; beyond, its tangent, with slope k[2] = k[0] k[1]."""
    a = np.abs(x - y)
    return np.where(a <= k[0], k[1] / 2 * a * a, k[2] * (a - k[0] / 2))


def huber_slope(x: Array, y: Array, k: Params) -> Array:
    d = x - y
    return np.where(np.abs(d) > k[0], k[2] * np.sign(d), k[1] * d)


def huber_curve(x: Array, y: Array, k: Params) -> Array:
    return np.where(np.abs(x - y) <= k[0], k[1], 0)


def log_cosh(x: Array, y: Array, k: Params) -> Array:
    """log cosh(x - y)."""
    return r_log_cosh(x - y)


def log_cosh_slope(x: Array, y: Array, k: Params) -> Array:
    return np.tanh(x - y)


def log_cosh_curve(x: Array, y: Array, k: Params) -> Array:
    """1 / cosh^2."""
    e = np.exp(-2 * np.abs(x - y))
    return 4 * e / (1 + e) ** 2


def pseudo_huber(x: Array, y: Array, k: Params) -> Array:
    """delta^2 (sqrt(1 + (d/delta)^2) - 1); k: delta.

    It is computed as delta |d| r / (1 + sqrt(1 + r^2)) with r = |d|/delta.
    """
    a = np.abs(x - y)
    r = a / k[0]
    return k[0] * a * np.where(r > 1, 1 / (1 / r + np.hypot(1, 1 / r)), r / (1 + np.hypot(1, r)))


def pseudo_huber_slope(x: Array, y: Array, k: Params) -> Array:
    d = x - y
    r = np.abs(d) / k[0]
    return k[0] * np.sign(d) * np.where(r > 1, 1 / np.hypot(1, 1 / r), r / np.hypot(1, r))


def pseudo_huber_curve(x: Array, y: Array, k: Params) -> Array:
    """(1 + r^2)^(-3/2)."""
    r = np.abs(x - y) / k[0]
    return np.where(r > 1, 1 / (r * np.hypot(1, 1 / r)), 1 / np.hypot(1, r)) ** 3


def binary_fit_first(x: Array, y: Array, k: Params) -> Array:
    """(p - y) x, the derivative of bce in the log of the factor of the logit x."""
    u = np.where(y < 0.5, x, -x)
    return np.where((y == 0) | (y == 1), times(r_sigmoid(u), u), times(r_sigmoid(x) - y, x))


def binary_fit_second(x: Array, y: Array, k: Params) -> Array:
    """p (1 - p) x^2."""
    return times(r_sigmoid(x) * r_sigmoid(-x), x * x)
