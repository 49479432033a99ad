"""The sums over pixels that region losses are computed from, and their gradient, as in kernels/regions.h.

There is one sum of each kind per class: I = sum w p y, A = sum w p, B = sum w y. If params[0], there are also A2 = sum
w p^2 and B2 = sum w y^2; if params[1], also W = sum w. In weighted_region, w also contains the map, which has a weight
for every pixel and class. driver.py calls these functions. The formulas over the sums are
in losses/, and this file does not know them.
"""

from __future__ import annotations

import numpy as np

from .._arrays import Array
from .._terms import ACTIVATIONS, Term
from .elements import times
from .real_math import r_sigmoid
from .tile import Tile, softmax_parts

NONE, SIGMOID, SOFTMAX = range(len(ACTIVATIONS))


def region_probabilities(t: Tile, term: Term) -> Array:
    if term.activation == SOFTMAX:
        _, e, s, _ = softmax_parts(t.x)
        return e / s
    return r_sigmoid(t.x) if term.activation == SIGMOID else t.x


def region_forward(t: Tile, term: Term, maps: Array | None) -> Array:
    """The n sums per group and class, (members, n * C)."""
    assert t.y is not None
    w = t.weights if maps is None else t.weights * maps
    p, y = (np.where(w > 0, a, 0) for a in (region_probabilities(t, term), t.y))
    rows = [w * p * y, w * p, w * y]
    rows += [w * p * p, w * y * y] if term.params[0] else []
    rows += [w + np.zeros_like(p)] if term.params[1] else []
    # In one array, all sums have the same order of additions. So A - I and W - B are exactly 0 where they should be.
    return t.sums(np.concatenate(rows))


def region_backward(t: Tile, term: Term, maps: Array | None, coef: Array) -> Array:
    """d(value)/d(input), without the pixel weight. coef: d(value)/d(sums) for each pixel's group, (n * C, P)."""
    k = coef.reshape(-1, len(t.x), coef.shape[1])
    p = region_probabilities(t, term)
    u = k[0] * t.y + k[1] + (2 * k[2] * p if term.params[0] else 0)
    for weights in (t.wc, maps):
        u = u if weights is None else times(weights, u)
    if term.activation == SOFTMAX:
        u = u - np.take_along_axis(u, p.argmax(axis=0)[None], 0)  # else the largest p's u - sum(p u) would cancel
        return p * (u - (p * u).sum(axis=0))
    if term.activation == SIGMOID:
        u = u * r_sigmoid(t.x) * r_sigmoid(-t.x)
    return np.where(t.weights > 0, u, 0)
