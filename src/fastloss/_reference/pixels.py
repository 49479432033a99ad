"""Losses with one value a pixel: `value` of shape (P,), and `gradient` of shape (C, P). Called by driver.py."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import Array
from .elements import JS, NLL, Categorical, Chance, Focal, Multilabel, Product, SquaredError
from .tile import Params, Tile, softmax_parts, times

if TYPE_CHECKING:
    from .._terms import Term

# ---- cross entropy; params: label smoothing


class CrossEntropy:
    """Labels: (1 - eps) w_y (lse - x_y) + eps/C sum_c w_c (lse - x_c); dense: sum_c t_c (lse - x_c), with the target
    mass t_c = w_c ((1 - eps) y_c + eps/C). For a label, lse - x_y is log1p(sum of the other classes' exps) relative
    to the label where the label is the largest: a confident pixel's small loss keeps all its digits."""

    @staticmethod
    def _mass(t: Tile, k: Params) -> Array:
        eps = k[0]
        mass: Array = k.weight * ((1 - eps) * t.y + eps / len(t.x)) * (1 if t.wc is None else t.wc)
        return mass

    @staticmethod
    def _label_parts(t: Tile) -> tuple[Array, Array, Array, Array, Array]:
        m, e, _, _ = softmax_parts(t.x)
        own = np.arange(len(t.x))[:, None] == t.label
        rest = np.where(own, 0, e).sum(axis=0)
        d = np.where(own, t.x, -np.inf).max(axis=0) - m
        d = np.where(np.isnan(np.where(own, t.x, 0)).any(axis=0), np.nan, d)
        e_own = np.exp(d)
        log_s = np.log1p(np.where(d == 0, rest, (rest - 1) + e_own))
        return m, e, rest, d, log_s

    @classmethod
    def value(cls, t: Tile, term: Term, k: Params) -> Array:
        eps = k[0]
        if t.label is None:
            m, _, _, z = softmax_parts(t.x)
            mass = cls._mass(t, k)
            value: Array = mass.sum(axis=0) * np.log1p(z) - np.where(mass == 0, 0, mass * (t.x - m)).sum(axis=0)
            return value
        m, _, _, d, log_s = cls._label_parts(t)
        value = times((1 - eps) * k.weight[t.label, 0], log_s - d)
        if eps:
            others = np.where(k.weight == 0, 0, k.weight * (t.x - m)).sum(axis=0)
            value = value + eps / len(t.x) * (k.weight.sum() * log_s - others)
        return value

    @classmethod
    def gradient(cls, t: Tile, term: Term, k: Params) -> Array:
        eps = k[0]
        if t.label is None:
            _, e, s, _ = softmax_parts(t.x)
            mass = cls._mass(t, k)
            gradient: Array = mass.sum(axis=0) * e / s - mass
            return gradient
        _, e, rest, d, _ = cls._label_parts(t)
        s = rest + np.exp(d)
        own = np.arange(len(t.x))[:, None] == t.label
        gradient = (1 - eps) * k.weight[t.label, 0] * np.where(own, -rest, e) / s  # p_y - 1 = -rest / s
        return gradient + eps / len(t.x) * (k.weight.sum() * e / s - k.weight) if eps else gradient


# ---- sums over the classes of an element's value


class Summed:
    """sum_c f(x_c, y_c). With softmax, f's slope h is its derivative in log p, and d/dx_c = h_c - p_c sum_j h_j."""

    def __init__(self, element: Any) -> None:
        self.element = element

    def _input(self, t: Tile, term: Term) -> Any:
        return element_input(self.element, t.x, term.activation)

    def _target(self, t: Tile) -> Any:
        return t.y

    def value(self, t: Tile, term: Term, k: Params) -> Array:
        rows = self.element.value(self._input(t, term), self._target(t), k)
        total: Array = (rows if t.wc is None else times(t.wc, rows)).sum(axis=0, dtype=np.float64).astype(t.x.dtype)
        return total

    def gradient(self, t: Tile, term: Term, k: Params) -> Array:
        v = self._input(t, term)
        h = self.element.slope(v, self._target(t), k) + np.zeros_like(t.x)
        h = h if t.wc is None else times(t.wc, h)
        if term.activation != 2:
            return h
        others = (h.sum(axis=0, dtype=np.float64) - h).astype(t.x.dtype)
        gradient: Array = h * v.q - v.p * others  # h - p sum h, where p near 1 does not cancel
        return gradient


def element_input(element: Any, x: Array, activation: int) -> Any:
    """What an element's functions take: the input itself, or the chance that it stands for."""
    if not element.of_chance:
        return x
    return (Chance.given, Chance.of_logit, Chance.of_softmax)[activation](x)


class OfMaps(Summed):
    """The distance maps are the target."""

    def _target(self, t: Tile) -> Any:
        return t.maps


class Weighted(Summed):
    """The distance maps are weights by class."""

    def value(self, t: Tile, term: Term, k: Params) -> Array:
        return super().value(self._weigh(t), term, k)

    def gradient(self, t: Tile, term: Term, k: Params) -> Array:
        return super().gradient(self._weigh(t), term, k)

    @staticmethod
    def _weigh(t: Tile) -> Tile:
        assert t.maps is not None
        return replace(t, wc=t.maps if t.wc is None else t.wc * t.maps)


class Perceptron:
    """max_c x_c - x_y; dense: sum_c w_c y_c (max x - x_c). The first of equal maxima takes the gradient."""

    @staticmethod
    def _mass(t: Tile, k: Params) -> Array:
        mass: Array = k.weight * t.y * (1 if t.wc is None else t.wc)
        return mass

    @classmethod
    def value(cls, t: Tile, term: Term, k: Params) -> Array:
        m = t.x.max(axis=0)
        rows: Array = np.where(t.x == m, 0, times(cls._mass(t, k), m - t.x))
        total: Array = rows.sum(axis=0)
        return total

    @classmethod
    def gradient(cls, t: Tile, term: Term, k: Params) -> Array:
        first = np.arange(len(t.x))[:, None] == t.x.argmax(axis=0)
        mass = cls._mass(t, k)
        gradient: Array = np.where(first, mass.sum(axis=0), 0) - mass
        return gradient


# ---- log-sum-exp and the softmax pair: no target


class LogSumExp:
    @staticmethod
    def value(t: Tile, term: Term, k: Params) -> Array:
        m, _, _, z = softmax_parts(t.x)
        value: Array = np.where(np.isinf(m), m, m + np.log1p(z))
        return value


class Softmax:
    @staticmethod
    def rows(t: Tile) -> Array:
        _, e, s, _ = softmax_parts(t.x)
        rows: Array = e / s
        return rows


class LogSoftmax:
    @staticmethod
    def rows(t: Tile) -> Array:
        m, _, _, z = softmax_parts(t.x)
        rows: Array = (t.x - m) - np.where(np.isposinf(m), 0, np.log1p(z))
        return rows


PIXEL: dict[str, Any] = {
    "cross_entropy": CrossEntropy,
    "nll": Summed(NLL),
    "categorical": Summed(Categorical),
    "focal": Summed(Focal),
    "perceptron": Perceptron,
    "js": Summed(JS),
    "multilabel": Summed(Multilabel),
    "boundary": OfMaps(Product),
    "hausdorff": Weighted(SquaredError),
    "logsumexp": LogSumExp,
}
TRANSFORM: dict[str, Any] = {"softmax": Softmax, "log_softmax": LogSoftmax}
