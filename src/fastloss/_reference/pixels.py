"""Losses with one value per pixel, computed from all its classes, as in kernels/pixels.h.

`NAME_forward` returns the values (P,); `NAME_backward` returns their derivatives in the input (C, P). driver.py calls
them and multiplies by the pixel weights, which these functions do not know. Weights by class are part of the value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import Array
from .._terms import ACTIVATIONS, Term
from .elements import times
from .loss import MAPS_AS_TARGET, MAPS_AS_WEIGHT, Kernel
from .tile import Params, Tile, softmax_parts

SOFTMAX = ACTIVATIONS.index("softmax")

# ---- losses that sum the element's value over the classes


def class_input(t: Tile, term: Term, kernel: Kernel) -> Any:
    """The input that the element functions take."""
    return kernel.inputs[term.activation](t.x)


def _target(t: Tile, kernel: Kernel) -> Any:
    return t.maps if kernel.maps == MAPS_AS_TARGET else t.y


def _weighted(t: Tile, kernel: Kernel, rows: Array) -> Array:
    """The rows times the weights by class, and times the distance maps if the maps are weights."""
    wc = t.wc
    if kernel.maps == MAPS_AS_WEIGHT:
        wc = t.maps if wc is None else wc * t.maps
    return rows if wc is None else times(wc, rows)


def sum_forward(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    """sum_c f(x_c, y_c), where f is the element's value."""
    rows = kernel.value(class_input(t, term, kernel), _target(t, kernel), k)
    return _weighted(t, kernel, rows).sum(axis=0, dtype=np.float64).astype(t.x.dtype)


def sum_backward(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    """The slope h of f. With a softmax, h is the derivative in log p, and d/dx_c = h_c - p_c sum_j h_j."""
    v = class_input(t, term, kernel)
    h = _weighted(t, kernel, kernel.slope(v, _target(t, kernel), k) + np.zeros_like(t.x))
    if term.activation != SOFTMAX:
        return h
    others = (h.sum(axis=0, dtype=np.float64) - h).astype(t.x.dtype)
    return h * v.q - v.p * others  # h - p sum h, without cancellation for p near 1


# ---- the Hessian


def rest_row(t: Tile, v: Any) -> Array:
    """1 - p, without cancellation for the label's class and for the maximum's."""
    if t.label is None:
        q: Array = v.q
        return q
    _, _, rest, d, _ = _label_parts(t)
    own = np.arange(len(t.x))[:, None] == t.label
    return np.where(own, rest / (rest + np.exp(d)), v.q)


def _others(p: Array, rows: Array) -> Array:
    """The sum of the other classes' rows. A class of p > 1/2 is kept apart, so no difference cancels."""
    large = p > 0.5
    total = np.where(large, 0, rows).sum(axis=0, dtype=np.float64)
    largest = np.where(large, rows, 0).sum(axis=0)
    return np.where(large, total, total - rows + largest).astype(rows.dtype)


def curve_backward(t: Tile, term: Term, kernel: Kernel, k: Params, bound: bool) -> Array:
    """The diagonal of the Hessian, or an upper bound of the Hessian. Without a softmax, it is the curve u of f.

    With a softmax, u and the slope h are derivatives in log p, and with H = sum_j h_j the diagonal is
    (1 - p_c)^2 u_c + p_c^2 sum_{j != c} u_j - p_c (1 - p_c) H. The Hessian of log p_j is p p' - diag(p), and u_j adds
    u_j v v' with v_c = [c == j] - p_c. The bound is the sum of Gershgorin's for both: 2 p_c (1 - p_c) in each class for
    diag(p) - p p', and 2 (1 - p_j) |v_c| for v v'.
    """
    activation = SOFTMAX if kernel.softmax else term.activation
    v = kernel.inputs[activation](t.x)
    u = _weighted(t, kernel, kernel.curve(v, _target(t, kernel), k) + np.zeros_like(t.x))
    u = np.where(u < 0, 0, u) if bound else u
    if activation != SOFTMAX:
        return u
    p, q = v.p, rest_row(t, v)
    h = _weighted(t, kernel, kernel.slope(v, _target(t, kernel), k) + np.zeros_like(t.x))
    total = h.sum(axis=0, dtype=np.float64).astype(t.x.dtype)
    if not bound:
        return q * (q * u) + p * (p * _others(p, u)) - p * q * total
    u = times(u, q)
    return 2 * (u * q + p * _others(p, u) + p * q * np.maximum(-total, 0))


# ---- cross entropy; k: label smoothing
#
# With labels, the value is (1 - eps) w_y (lse - x_y) + eps/C sum_c w_c (lse - x_c). With a dense target, it is
# sum_c t_c (lse - x_c), with the target mass t_c = w_c ((1 - eps) y_c + eps/C). If the label's logit is the largest,
# lse - x_y is computed as log1p of the sum of the other classes' exp(x_c - x_y). So the small loss of a confident pixel
# keeps all its digits.


def _smooth_mass(t: Tile, k: Params) -> Array:
    eps = k[0]
    return k.weight * ((1 - eps) * t.y + eps / len(t.x)) * (1 if t.wc is None else t.wc)


def _label_parts(t: Tile) -> tuple[Array, Array, Array, Array, Array]:
    """The maximum m, e = exp(x - m), the sum of e without the label's, d = x_y - m, and log s for s = sum of e."""
    m, e, _, _ = softmax_parts(t.x)
    own = np.arange(len(t.x))[:, None] == t.label
    rest = np.where(own, 0, e).sum(axis=0)
    d = np.where(own, t.x, -np.inf).max(axis=0) - m
    d = np.where(np.isnan(np.where(own, t.x, 0)).any(axis=0), np.nan, d)
    e_own = np.exp(d)
    log_s = np.log1p(np.where(d == 0, rest, (rest - 1) + e_own))
    return m, e, rest, d, log_s


def cross_entropy_forward(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    eps = k[0]
    if t.label is None:
        m, _, _, z = softmax_parts(t.x)
        mass = _smooth_mass(t, k)
        return mass.sum(axis=0) * np.log1p(z) - np.where(mass == 0, 0, mass * (t.x - m)).sum(axis=0)
    m, _, _, d, log_s = _label_parts(t)
    value = times((1 - eps) * k.weight[t.label, 0], log_s - d)
    if eps:
        others = np.where(k.weight == 0, 0, k.weight * (t.x - m)).sum(axis=0)
        value = value + eps / len(t.x) * (k.weight.sum() * log_s - others)
    return value


def cross_entropy_backward(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    """The derivative p_c sum t - t_c."""
    eps = k[0]
    if t.label is None:
        _, e, s, _ = softmax_parts(t.x)
        mass = _smooth_mass(t, k)
        return mass.sum(axis=0) * e / s - mass
    _, e, rest, d, _ = _label_parts(t)
    s = rest + np.exp(d)
    own = np.arange(len(t.x))[:, None] == t.label
    gradient = (1 - eps) * k.weight[t.label, 0] * np.where(own, -rest, e) / s  # p_y - 1 = -rest / s
    return gradient + eps / len(t.x) * (k.weight.sum() * e / s - k.weight) if eps else gradient


# ---- the derivatives of cross entropy in the factor of the logits, with v_c = x_c - x_y


def _fit_parts(t: Tile) -> tuple[Array, Array]:
    """The probabilities, and v."""
    m, e, rest, d, _ = _label_parts(t)
    with_label = np.arange(len(t.x))[:, None] == t.label
    p = e / (rest + np.where(with_label, e, 0).sum(axis=0))
    return p, (t.x - m) - d


def fit_first_forward(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    """sum_c p_c v_c."""
    p, v = _fit_parts(t)
    return times(p, v).sum(axis=0)


def fit_second_forward(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    """The variance of v, sum_c p_c v_c^2 - (sum_c p_c v_c)^2."""
    p, v = _fit_parts(t)
    mean = times(p, v).sum(axis=0)
    return np.maximum(times(times(p, v), v).sum(axis=0) - mean * mean, 0)


# ---- perceptron: max_c x_c - x_y; dense: sum_c w_c y_c (max x - x_c)


def _mass(t: Tile, k: Params) -> Array:
    return k.weight * t.y * (1 if t.wc is None else t.wc)


def perceptron_forward(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    m = t.x.max(axis=0)
    return np.where(t.x == m, 0, times(_mass(t, k), m - t.x)).sum(axis=0)


def perceptron_backward(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    """If several maxima are equal, the first gets the gradient."""
    first = np.arange(len(t.x))[:, None] == t.x.argmax(axis=0)
    mass = _mass(t, k)
    return np.where(first, mass.sum(axis=0), 0) - mass
