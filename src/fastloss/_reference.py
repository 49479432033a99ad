"""The NumPy twin of every kernel, under the kernels' names: specification, oracle and fallback.

Called by _backend.run with the same arguments as the compiled kernels, and held equal to them by the tests. It works on
blocks of pixels, as rows `(C, P)` of the arithmetic's dtype, so memory stays bounded; sums are float64. Read this to
learn what a kernel computes: the C files say how it is made fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._batch import Array, Batch, real_dtype

if TYPE_CHECKING:
    from ._backend import Mode, Term

    Argument = tuple[Term, Array | None, Array | None]  # term, class weights, coefficients

BLOCK_ELEMENTS = 1 << 19
WEIGH, FORWARD, GRADIENT, MAP, BY_CLASS = 1, 2, 4, 8, 16


@dataclass(slots=True)
class Tile:
    """A block of pixels of one group, ready for the formulas."""

    group: int
    x: Array  # (C, P)
    label: Array | None  # (P,) rows, -1 where the pixel has none
    y: Array | None  # (C, P), the dense target (labels: one-hot)
    w: Array  # (P,), 0 where the pixel does not count
    wc: Array | None  # (C, P), weights by class
    output: Array | None  # (C, P) or (P,), where the block's gradient or map goes

    @property
    def weights(self) -> Array:
        """Pixel weights as (1 or C, P)."""
        return self.w[None] if self.wc is None else self.wc


def softmax_parts(x: Array) -> tuple[Array, Array, Array]:
    """The maximum over classes, exp(x - maximum), and its sum."""
    m = x.max(axis=0)
    e = np.exp(x - np.where(np.isneginf(m), 0, m))
    return m, e, e.sum(axis=0)


def sigmoid(x: Array) -> Array:
    tail = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, tail, 1) / (1 + tail)
    return result


# ---- cross entropy; params: label smoothing


class CrossEntropy:
    """Labels: (1 - eps) w_y (lse - x_y) + eps/C sum_c w_c (lse - x_c); dense: sum_c t_c (lse - x_c), with the target
    mass t_c = w_c ((1 - eps) y_c + eps/C). For a label, lse - x_y is log1p(sum of the other classes' exps) relative
    to the label where the label is the largest: a confident pixel's small loss keeps all its digits."""

    @staticmethod
    def _mass(t: Tile, term: Term, weight: Array) -> Array:
        eps = t.x.dtype.type(term.params[0])
        mass: Array = weight[:, None] * ((1 - eps) * t.y + eps / len(t.x)) * (1 if t.wc is None else t.wc)
        return mass

    @staticmethod
    def _label_parts(t: Tile) -> tuple[Array, Array, Array, Array, Array]:
        m, e, _ = softmax_parts(t.x)
        own = np.arange(len(t.x))[:, None] == t.label
        rest = np.where(own, 0, e).sum(axis=0)
        d = np.where(own, t.x, -np.inf).max(axis=0) - m
        d = np.where(np.isnan(np.where(own, t.x, 0)).any(axis=0), np.nan, d)
        e_own = np.exp(d)
        log_s = np.log1p(np.where(d == 0, rest, (rest - 1) + e_own))
        return m, e, rest, d, log_s

    @classmethod
    def value(cls, t: Tile, term: Term, weight: Array) -> Array:
        eps = t.x.dtype.type(term.params[0])
        if t.label is None:
            m, _, s = softmax_parts(t.x)
            mass = cls._mass(t, term, weight)
            value: Array = mass.sum(axis=0) * np.log(s) - np.where(mass == 0, 0, mass * (t.x - m)).sum(axis=0)
            return value
        m, _, _, d, log_s = cls._label_parts(t)
        value = (1 - eps) * weight[t.label] * (log_s - d)
        if eps:
            others = np.where(weight[:, None] == 0, 0, weight[:, None] * (t.x - m)).sum(axis=0)
            value = value + eps / len(t.x) * (weight.sum() * log_s - others)
        return value

    @classmethod
    def gradient(cls, t: Tile, term: Term, weight: Array) -> Array:
        eps = t.x.dtype.type(term.params[0])
        if t.label is None:
            _, e, s = softmax_parts(t.x)
            mass = cls._mass(t, term, weight)
            gradient: Array = mass.sum(axis=0) * e / s - mass
            return gradient
        _, e, rest, d, _ = cls._label_parts(t)
        s = rest + np.exp(d)
        own = np.arange(len(t.x))[:, None] == t.label
        gradient = (1 - eps) * weight[t.label] * np.where(own, -rest, e) / s  # p_y - 1 = -rest / s
        return gradient + eps / len(t.x) * (weight.sum() * e / s - weight[:, None]) if eps else gradient


# ---- log-sum-exp and the softmax pair: no target


class LogSumExp:
    @staticmethod
    def value(t: Tile, term: Term, weight: Array) -> Array:
        m, _, s = softmax_parts(t.x)
        value: Array = np.where(np.isinf(m), m, m + np.log(s))
        return value


class Softmax:
    @staticmethod
    def rows(t: Tile) -> Array:
        _, e, s = softmax_parts(t.x)
        rows: Array = e / s
        return rows


class LogSoftmax:
    @staticmethod
    def rows(t: Tile) -> Array:
        m, _, s = softmax_parts(t.x)
        rows: Array = (t.x - m) - np.where(np.isposinf(m), 0, np.log(s))
        return rows


# ---- element losses: a value and its derivative in x


class BCEWithLogits:
    """b y' sp(-x) + (1 - y') sp(x) with y' = (1 - eps) y + eps/2 and sp(x) = max(x, 0) + log1p(exp(-|x|)); params: eps;
    b is the class weight. A factor 0 silences an infinite logit."""

    @staticmethod
    def _sides(x: Array, y: Array, term: Term, b: Array) -> tuple[Array, Array]:
        eps = x.dtype.type(term.params[0])
        target = (1 - eps) * y + eps / 2
        return b * target, 1 - target

    @classmethod
    def value(cls, x: Array, y: Array, term: Term, b: Array) -> Array:
        pos, neg = cls._sides(x, y, term, b)
        side = np.where(x < 0, pos, neg)
        value: Array = (pos + neg) * np.log1p(np.exp(-np.abs(x))) + np.where(side == 0, 0, side * np.abs(x))
        return value

    @classmethod
    def slope(cls, x: Array, y: Array, term: Term, b: Array) -> Array:
        pos, neg = cls._sides(x, y, term, b)
        slope: Array = neg * sigmoid(x) - pos * sigmoid(-x)
        return slope


# ---- region sums; params: whether the squared sums are wanted


class Region:
    """I = sum w p y, A = sum w p, B = sum w y, A2 = sum w p^2, B2 = sum w y^2, W = sum w: one of each a class."""

    @staticmethod
    def probabilities(t: Tile, term: Term) -> Array:
        p = (lambda x: x, sigmoid, lambda x: (e := softmax_parts(x))[1] / e[2])[term.activation](t.x)
        return np.where(t.w > 0, p, 0)

    @classmethod
    def sums(cls, t: Tile, term: Term) -> Array:
        p, y, w = cls.probabilities(t, term), t.y, t.weights
        rows = [w * p * y, w * p, w * y]
        rows += [w * p * p, w * y * y] if term.params[0] else [np.zeros_like(p)] * 2
        return np.stack([r.sum(axis=1, dtype=np.float64) for r in [*rows, w + np.zeros_like(p)]])

    @classmethod
    def gradient(cls, t: Tile, term: Term, coef: Array) -> Array:
        k = coef.reshape(3, -1, 1).astype(t.x.dtype)
        p = cls.probabilities(t, term)
        u: Array = k[0] * t.y + k[1] + 2 * k[2] * p
        u = u if t.wc is None else u * t.wc
        if term.activation == 2:
            u = p * (u - (p * u).sum(axis=0))
        elif term.activation == 1:
            u = u * sigmoid(t.x) * sigmoid(-t.x)
        return u


PIXEL: dict[str, Any] = {"cross_entropy": CrossEntropy, "logsumexp": LogSumExp}
ELEMENT: dict[str, Any] = {"bce_with_logits": BCEWithLogits}
TRANSFORM: dict[str, Any] = {"softmax": Softmax, "log_softmax": LogSoftmax}
TWINS = {**PIXEL, **ELEMENT, **TRANSFORM, "region": Region}


# ---- the driver: blocks, weights, sums, gradients


def run(
    batch: Batch, arguments: Sequence[Argument], mode: Mode, by_sample: bool, output: Array | None
) -> tuple[Array, bool]:
    """As _core.run: (sums of shape (groups, n), whether a label or weight is bad)."""
    sizes = [term.size(batch.classes, mode) for term, _, _ in arguments]
    sums = np.zeros((batch.samples if by_sample else 1, sum(sizes)))
    with np.errstate(all="ignore"):
        for t in tiles(batch, by_sample, output):
            if t is None:
                return sums, True
            at = 0
            gradient: Any = 0
            for (term, weight, coef), size in zip(arguments, sizes, strict=True):
                w = (np.ones(len(t.x)) if weight is None else weight).astype(t.x.dtype)
                sums[t.group, at : at + size] += _visit(t, term, w, mode)
                if mode & GRADIENT:
                    gradient = gradient + _gradient(t, term, w, coef)
                at += size
            if mode & GRADIENT:
                assert t.output is not None
                t.output[...] = np.where(t.w > 0, gradient, 0)
    return sums, False


def _visit(t: Tile, term: Term, weight: Array, mode: int) -> Array:
    """The term's sums over the block (and its map, if wanted)."""
    C = len(t.x)
    if term.kind == "region":
        return Region.sums(t, term).ravel() if mode & FORWARD else np.zeros(6 * C)
    if term.kind == "transform":
        return np.zeros(0)
    if term.kind == "element":
        w = t.weights + np.zeros_like(t.x)
        mean_w = w
    else:
        w = t.w[None]
        mean_w = w * (weight[t.label] if t.label is not None else 1 if t.wc is None else t.wc.mean(axis=0))
    value = np.zeros_like(w)
    if not mode & WEIGH and mode != GRADIENT:
        raw = ELEMENT[term.name].value(t.x, t.y, term, weight[:, None]) if term.kind == "element" else None
        raw = PIXEL[term.name].value(t, term, weight)[None] if raw is None else raw
        value = np.where(w > 0, w * raw, 0)
    if mode & MAP:
        assert t.output is not None
        t.output[...] = value if t.output.ndim == 2 else value[0]
    sums = [value.sum(dtype=np.float64), mean_w.sum(dtype=np.float64)]
    if mode & BY_CLASS:
        sums += _by_class(t, term, value) + _by_class(t, term, mean_w)
    return np.array(sums)


def _by_class(t: Tile, term: Term, values: Array) -> list[float]:
    if term.kind == "element":
        rows: list[float] = values.sum(axis=1, dtype=np.float64).tolist()
        return rows
    if t.label is None:
        return [0.0] * len(t.x)
    keep = (t.label >= 0) & (t.w > 0)
    counts: list[float] = np.bincount(t.label[keep], values[0][keep].astype(float), len(t.x)).tolist()
    return counts


def _gradient(t: Tile, term: Term, weight: Array, coef: Array | None) -> Array:
    """d(value)/d(input) of one term, (C, P)."""
    if term.kind == "transform":
        rows: Array = TRANSFORM[term.name].rows(t)
        return rows
    assert coef is not None
    if term.kind == "region":
        return t.w * Region.gradient(t, term, coef[t.group])
    k = t.x.dtype.type(coef[t.group, 0])
    if term.kind == "element":
        return np.where(t.weights > 0, k * t.weights * ELEMENT[term.name].slope(t.x, t.y, term, weight[:, None]), 0)
    gradient: Array = k * t.w * PIXEL[term.name].gradient(t, term, weight)
    return gradient


def tiles(batch: Batch, by_sample: bool, output: Array | None) -> Iterator[Tile | None]:
    """The blocks of a batch, group by group; None if one holds a bad label or weight."""
    C = batch.classes
    real = real_dtype(batch.input.dtype)
    step = max(1, BLOCK_ELEMENTS // C)
    for group, cut in _groups(batch, by_sample):
        x, w = cut(batch.input, True), cut(batch.weight, batch.weight_by_class)
        target = cut(batch.target, not batch.labels)
        out = cut(output, output is not None and output.ndim == batch.input.ndim)
        pixel_shape = x.shape[1:]
        for first in range(0, int(np.prod(pixel_shape, dtype=np.int64)), step):
            last = min(first + step, int(np.prod(pixel_shape, dtype=np.int64)))

            def block(a: Array | None, by_class: bool, first: int = first, last: int = last) -> Array:
                assert a is not None
                flat = a.reshape(*a.shape[:1], -1) if by_class else a.reshape(-1)
                return flat[..., first:last]

            t = _tile(batch, group, real, block, x, w, target)
            if t is not None and out is not None:
                t.output = np.empty((C, last - first) if out.ndim == x.ndim else last - first, real)
            yield t
            if t is not None and out is not None and t.output is not None:
                _scatter(out, t.output, first, last, out.ndim == x.ndim)


def _scatter(out: Array, values: Array, first: int, last: int, by_class: bool) -> None:
    """Write a block's values to pixels [first, last) of an array of any layout."""
    view = out if out.ndim > by_class else out[..., None]  # no pixel axis: one pixel
    index: Any = np.unravel_index(np.arange(first, last), view.shape[by_class:])
    view[(Ellipsis, *index)] = values.astype(out.dtype)


def _groups(batch: Batch, by_sample: bool) -> Iterator[tuple[int, Callable[[Array | None, bool], Any]]]:
    if not by_sample:
        yield 0, _all_samples
        return
    for n in range(batch.samples):
        yield n, functools.partial(_one_sample, n)


def _all_samples(a: Array | None, by_class: bool) -> Array | None:
    return np.moveaxis(a, 1, 0) if a is not None and by_class else a


def _one_sample(n: int, a: Array | None, by_class: bool) -> Array | None:
    return None if a is None else a[n]


def _tile(
    batch: Batch, group: int, real: Any, block: Callable[..., Array], x: Array, w: Any, target: Any
) -> Tile | None:
    rows = block(x, True).astype(real)
    weight = np.ones(rows.shape[1], real) if w is None else block(w, batch.weight_by_class).astype(real)
    if not (np.isfinite(weight) & (weight >= 0)).all():
        return None
    wc = weight if batch.weight_by_class else None
    weight = (wc.sum(axis=0) > 0).astype(real) if wc is not None else weight
    label = y = None
    if batch.labels:
        labels = block(target, False)
        kept = labels != batch.ignore_index
        if (kept & ((labels < 0) | (labels >= batch.classes + batch.label_base))).any():
            return None
        label = np.where(kept, labels.astype(np.int64) - batch.label_base, -1)
        weight = np.where(kept, weight, real.type(0))
        y = (label == np.arange(len(rows))[:, None]).astype(real)
    elif target is not None:
        y = block(target, True).astype(real)
    return Tile(group, rows, label, y, weight, wc, None)
