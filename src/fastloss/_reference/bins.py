"""Counts of pixels by the interval that a probability lies in, as in kernels/bins.h. driver.py calls these functions.

Each returns the sums per group, (members, n). For each class or, for the largest probability, for one row, these are
the counts, the hits and for reliability the sums of the probabilities in two parts.
"""

from __future__ import annotations

import numpy as np

from .._arrays import Array
from .._terms import ACTIVATIONS, Term
from .real_math import r_sigmoid
from .tile import Tile, softmax_parts

NONE, SIGMOID, SOFTMAX = range(len(ACTIVATIONS))


def _counts(t: Tile, term: Term, x: Array, hit: Array, counts: Array, shares: bool) -> Array:
    """The sums of one row, (members, parts, intervals)."""
    edges = np.array(term.edges, t.x.dtype)
    n = len(edges) + 1
    interval = np.where(np.isnan(x), 0, np.searchsorted(edges, x))  # the number of edges below x
    at = np.arange(len(x)) // t.each * n + interval
    size = t.members * n
    wrong = counts & (hit != 0) & (hit != 1) if shares else counts & ((hit != 0) & (hit != 1) | np.isnan(x))
    parts = [np.bincount(at[counts & keep], minlength=size) for keep in (True, hit == 1)]
    if shares:
        bad = ~((x >= 0) & (x <= 1))
        share = np.floor(np.where(bad, 0, x).astype(np.float64) * 2.0**51 + 0.5).astype(np.int64)
        high = np.bincount(at[counts], (share >> 25)[counts] * 2.0**-26, size)
        low = np.bincount(at[counts], (share & (2**25 - 1))[counts] * 2.0**-51, size)
        parts += [high, low]
    sums = np.stack(parts).reshape(len(parts), t.members, n).swapaxes(0, 1).astype(np.float64)
    for where, part in ((wrong, 0), (bad & counts, 2)) if shares else ((wrong, 0),):
        sums[np.unique(np.flatnonzero(where) // t.each), part, 0] = np.nan
    return sums


def _class_sums(t: Tile, term: Term, x: Array, shares: bool) -> Array:
    assert t.y is not None
    weights = t.weights + np.zeros_like(t.x)
    rows = [_counts(t, term, x[c], t.y[c], weights[c] > 0, shares) for c in range(len(x))]
    return np.stack(rows, axis=1).reshape(t.members, -1)


def reliability_finish(t: Tile, term: Term) -> Array:
    top = t.x.max(axis=0)
    s = np.exp(t.x - top).sum(axis=0)
    p = 1 / s if term.activation == SOFTMAX else top
    hit = t.x.argmax(axis=0) == t.label
    return _counts(t, term, p, hit, t.w > 0, shares=True).reshape(t.members, -1)


def class_reliability_forward(t: Tile, term: Term) -> Array:
    if term.activation == SOFTMAX:
        _, e, s, _ = softmax_parts(t.x)
        return _class_sums(t, term, e / s, shares=True)
    return _class_sums(t, term, r_sigmoid(t.x) if term.activation == SIGMOID else t.x, shares=True)


def interval_counts_forward(t: Tile, term: Term) -> Array:
    return _class_sums(t, term, t.x, shares=False)
