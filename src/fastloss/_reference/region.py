"""The sums over pixels that region losses are made of, and their gradient. Called by driver.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._arrays import Array
from .tile import Tile, sigmoid, softmax_parts, times

if TYPE_CHECKING:
    from .._terms import Term

# ---- region sums; params: whether the squared sums are wanted, and the weight's


class Region:
    """I = sum w p y, A = sum w p, B = sum w y, A2 = sum w p^2, B2 = sum w y^2, W = sum w: one of each a class."""

    @staticmethod
    def probabilities(t: Tile, term: Term) -> Array:
        p: Array = (lambda x: x, sigmoid, lambda x: (e := softmax_parts(x))[1] / e[2])[term.activation](t.x)
        return p

    @classmethod
    def sums(cls, t: Tile, term: Term) -> Array:
        assert t.y is not None
        w = t.weights
        p, y = (np.where(w > 0, a, 0) for a in (cls.probabilities(t, term), t.y))
        rows = [w * p * y, w * p, w * y]
        rows += [w * p * p, w * y * y] if term.params[0] else []
        rows += [w + np.zeros_like(p)] if term.params[1] else []
        # One array: summed in the same order, A - I and W - B are exactly 0 where they should be.
        return t.sums(np.concatenate(rows))

    @classmethod
    def gradient(cls, t: Tile, term: Term, coef: Array) -> Array:
        k = coef.reshape(-1, len(t.x), coef.shape[1])
        p = cls.probabilities(t, term)
        u: Array = k[0] * t.y + k[1] + (2 * k[2] * p if term.params[0] else 0)
        u = u if t.wc is None else times(t.wc, u)
        if term.activation == 2:
            u = p * (u - (p * u).sum(axis=0))
        elif term.activation == 1:
            u = u * sigmoid(t.x) * sigmoid(-t.x)
        return u if term.activation == 2 else np.where(t.weights > 0, u, 0)
