"""Functions of the input, without a target, as in kernels/transforms.h.

driver.py calls the functions of one element and makes a map of them. It calls log-sum-exp like a pixel loss, and also
makes a map. It calls the two softmax functions for an array of the input's shape.
"""

from __future__ import annotations

import numpy as np

from .._arrays import Array
from .._terms import Term
from .loss import Kernel
from .real_math import r_logit, r_sigmoid, r_softplus, r_xlogx
from .tile import Params, Tile, softmax_parts


def sigmoid(x: Array, y: Array, k: Params) -> Array:
    return r_sigmoid(x)


def log_sigmoid(x: Array, y: Array, k: Params) -> Array:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def softplus(x: Array, y: Array, k: Params) -> Array:
    return r_softplus(x)


def logit(x: Array, y: Array, k: Params) -> Array:
    return r_logit(x)


def entropy(x: Array, y: Array, k: Params) -> Array:
    """-x log x, and -inf below 0."""
    return np.where(x < 0, -np.inf, -r_xlogx(x))


def logsumexp_finish(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    m, _, _, z = softmax_parts(t.x)
    return np.where(np.isinf(m), m, m + np.log1p(z))


def softmax_rows(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    _, e, s, _ = softmax_parts(t.x)
    return e / s


def log_softmax_rows(t: Tile, term: Term, kernel: Kernel, k: Params) -> Array:
    m, _, _, z = softmax_parts(t.x)
    return (t.x - m) - np.where(np.isposinf(m), 0, np.log1p(z))
