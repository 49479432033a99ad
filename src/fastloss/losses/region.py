"""Region losses: a formula and its derivative over sums of pixels, in Python. No C is needed to add one.

The sums of a sample and class (of the whole batch for `batch=True`) are I = sum w p y, A = sum w p, B = sum w y and,
for `squared`, A2 and B2; csrc/region.h computes them and turns d(loss)/dI, dA, dA2 into the gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._backend import Term
from .._batch import Array, Batch, real_dtype
from .base import REDUCTIONS, Loss, choice, freeze, freeze_class_weight, integer, number

ACTIVATIONS = (None, "sigmoid", "softmax")
ABSENT = ("keep", "zero", "skip", "nan")
EPS = 1e-7  # the least denominator, as smp's; it matters only when smooth is 0 and a class is empty


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of (groups, C)."""

    I: Array
    A: Array
    B: Array
    A2: Array
    B2: Array
    W: Array

    @classmethod
    def of(cls, sums: Array) -> Sums:
        return cls(*np.moveaxis(sums.reshape(len(sums), 6, sums.shape[1] // 6), 1, 0))


def overlap(s: Sums, k: float, a: float, b: float, smooth: tuple[float, float], squared: bool) -> tuple[Array, ...]:
    """1 - (k I + num) / max(k (I + a FP + b FN) + den, eps), and its derivatives in I, A and A2."""
    A, B = (s.A2, s.B2) if squared else (s.A, s.B)
    top = k * s.I + smooth[0]
    below = k * ((1 - a - b) * s.I + a * A + b * B) + smooth[1]
    free = below > EPS  # the clamp's gradient is 0
    bottom = np.maximum(below, EPS)
    dI = -k / bottom + np.where(free, top * k * (1 - a - b) / bottom**2, 0)
    dA = np.where(free, top * k * a / bottom**2, 0)
    none = np.zeros_like(dA)
    return (1 - top / bottom, dI, none, dA) if squared else (1 - top / bottom, dI, dA, none)


def class_numbers(value: Any) -> tuple[int, ...] | None:
    """classes, checked: None or distinct integers."""
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"classes: expected a sequence of integers, got {value!r}")
    numbers = tuple(integer(c, "classes") for c in value)
    if not numbers or len(set(numbers)) != len(numbers):
        raise ValueError(f"classes: expected distinct class numbers, at least one, got {list(numbers)}")
    return numbers


def smooth_option(value: Any) -> float | tuple[float, float]:
    """smooth, checked: one number for both, or (numerator, denominator)."""
    if not isinstance(value, (tuple, list)):
        return number(value, "smooth", 0)
    if len(value) != 2:
        raise ValueError(f"smooth: expected a number or (numerator, denominator), got {value!r}")
    return number(value[0], "smooth", 0), number(value[1], "smooth", 0)


def smooth_pair(value: float | tuple[float, float]) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


@dataclass(frozen=True, kw_only=True, repr=False)
class RegionLoss(Loss):
    """Base of the region losses: everything but the formula, which is `formula`."""

    takes_binary = True

    activation: str | None = "softmax"
    class_weight: Sequence[float] | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    ignore_index: int = -100
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        choice(self.activation, "activation", ACTIVATIONS)
        choice(self.absent, "absent", ABSENT)
        choice(self.reduction, "reduction", REDUCTIONS)
        choice(self.batch, "batch", (True, False))
        freeze(self, batch=bool(self.batch))
        freeze_class_weight(self)
        freeze(
            self,
            ignore_index=integer(self.ignore_index, "ignore_index"),
            axis=integer(self.axis, "axis"),
            classes=class_numbers(self.classes),
        )

    # ---- what a region loss says

    def formula(self, s: Sums) -> tuple[Array, ...]:
        """The loss of (groups, C) from its sums, and its derivatives in I, A and A2."""
        raise NotImplementedError

    def wants_squares(self) -> bool:
        return False

    # ---- the rest

    def terms(self) -> tuple[Term, ...]:
        return (Term("region", "region", ACTIVATIONS.index(self.activation), None, (float(self.wants_squares()),)),)

    def by_sample(self) -> bool:
        return not self.batch

    def is_linear(self) -> bool:
        return False

    def _chosen(self, classes: int) -> list[int]:
        """The classes that count."""
        if self.class_weight is not None and len(self.class_weight) != classes:
            raise ValueError(f"class_weight: expected shape ({classes},), got ({len(self.class_weight)},)")
        chosen = range(classes) if self.classes is None else self.classes
        if not all(0 <= c < classes for c in chosen):
            raise ValueError(f"classes: expected numbers in [0, {classes}), got {list(chosen)}")
        return list(chosen)

    def _values(self, s: Sums) -> tuple[Array, Array, Array]:
        """Loss, whether it counts, and derivatives (3, groups, C), after `absent` and `classes`."""
        value, *slopes = self.formula(s)
        keep = np.zeros_like(value)
        keep[:, self._chosen(value.shape[1])] = 1
        absent = s.B == 0
        if self.absent == "skip":
            keep[absent] = 0
        elif self.absent != "keep":
            value = np.where(absent, 0.0 if self.absent == "zero" else np.nan, value)
        derivatives = np.stack(slopes)
        if self.absent != "keep":
            derivatives = np.where(absent, 0, derivatives)
        return value, keep, derivatives

    def _weights(self, keep: Array) -> Array:
        return keep if self.class_weight is None else keep * np.array(self.class_weight)

    def rows(self, sums: list[Array]) -> Array:
        if self.batch:
            self._chosen(sums[0].shape[1] // 6)
            return sums[0]
        value, keep, _ = self._values(Sums.of(sums[0]))
        w = self._weights(keep)
        return np.hstack([np.where(w > 0, w * value, 0), w])

    def row_size(self, classes: int) -> int:
        return (6 if self.batch else 2) * classes

    def total(self, numbers: Array, classes: int) -> float:
        if self.batch:
            value, keep, _ = self._values(Sums.of(numbers[None]))
            w = self._weights(keep)
            numbers = np.hstack([np.where(w > 0, w * value, 0), w])[0]
        value, w = numbers.reshape(2, classes)
        weight = w.sum() if self.reduction == "mean" else 1.0
        return float(value.sum() / weight) if weight else float("nan")

    def slopes(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        s = Sums.of(numbers[None] if self.batch else sums[0])
        _, keep, derivatives = self._values(s)
        w = self._weights(keep)
        weight = w.sum() if self.reduction == "mean" else 1.0
        coefs = derivatives * w / weight if weight else np.zeros_like(derivatives)
        coefs = np.moveaxis(coefs, 0, 1).reshape(len(w), 3 * classes)
        return [np.ascontiguousarray(np.broadcast_to(coefs, (len(sums[0]), coefs.shape[1])))]

    def class_rows(self, sums: list[Array]) -> Array:
        if self.batch:
            return sums[0]
        value, keep, _ = self._values(Sums.of(sums[0]))
        return np.hstack([np.where(keep > 0, value, 0), keep])

    def class_total(self, numbers: Array, classes: int) -> Array:
        if self.batch:
            value, keep, _ = self._values(Sums.of(numbers[None]))
            value, keep = value[0], keep[0]
        else:
            value, keep = numbers.reshape(2, classes)
        result: Array = np.divide(value, keep, out=np.full_like(value, np.nan), where=keep > 0)
        return result

    def value_map(self, batch: Batch) -> Array:
        sums = self.sums(batch)[0]
        if self.batch:
            sums = self.numbers([sums])[:1]
        value, keep, _ = self._values(Sums.of(sums))
        value = np.where(keep > 0, value, np.nan) * (1 if self.class_weight is None else np.array(self.class_weight))
        value = value[:, self._chosen(batch.classes)].astype(real_dtype(batch.input.dtype))
        return value[0] if self.batch or len(batch.shape) == 1 else value


PARAMETERS = """
    activation : "softmax", "sigmoid" or None
        What turns `input` into probabilities; None: it holds probabilities already.
    class_weight : (C,) array, optional
        The mean over samples and classes is weighted with it.
    classes : sequence of int, optional
        The classes that count; MONAI's `include_background=False` is `range(1, C)`.
    batch : bool
        Sum over the pixels of the whole batch (over partials: of the whole dataset) instead of each sample's.
    absent : "keep", "zero", "skip" or "nan"
        What a class without a target pixel contributes: its formula's value; 0, counted; nothing; nan.
    ignore_index : int
        A label whose pixels do not count.
    reduction : "mean", "sum" or "none"
        Over samples and classes; "none" gives `(N, C')`, or `(C',)` with `batch`.
    axis : int
        The class axis of `input`.

    The call takes `input`, float16, bfloat16, float32 or float64 of shape `(N, C, *S)`; and `target`, labels `(N,
    *S)` of any integer or bool dtype, or a dense float or bool array of the input's shape, for which $p y$ is the
    product. A single channel `(N, 1, *S)` takes labels {0, 1} of shape `(N, *S)` or `(N, 1, *S)`. `pixel_weight`
    broadcasts to `(N, *S)` (dense: also to `(N, C, *S)`). It raises `LabelError` for a label out of range, ValueError
    for a wrong shape, weight or option, TypeError for a wrong dtype.
"""


@dataclass(frozen=True, kw_only=True, repr=False)
class DiceLoss(RegionLoss):
    r"""Soft Dice loss, $1 - (2 I + s) / (A + B + s)$ a sample and class.

    $I = \sum p y$, $A = \sum p$, $B = \sum y$ over the pixels that count; the defaults are MONAI's.

    Parameters
    ----------
    smooth : float or (float, float)
        $s$, >= 0; a pair is (numerator, denominator).
    squared : bool
        $\sum p^2 + \sum y^2$ in the denominator (V-Net).
    {shared}
    Source: Milletari et al. 2016, arXiv:1606.04797.

    >>> import fastloss as fl
    >>> fl.DiceLoss(activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.25062531

    See also: `TverskyLoss`, which weighs false positives and negatives; `JaccardLoss`.
    """

    smooth: float | tuple[float, float] = 1e-5
    squared: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, smooth=smooth_option(self.smooth))
        choice(self.squared, "squared", (True, False))
        freeze(self, squared=bool(self.squared))

    def wants_squares(self) -> bool:
        return self.squared

    def formula(self, s: Sums) -> tuple[Array, ...]:
        return overlap(s, 2, 0.5, 0.5, smooth_pair(self.smooth), self.squared)


@dataclass(frozen=True, kw_only=True, repr=False)
class JaccardLoss(RegionLoss):
    r"""Soft Jaccard (IoU) loss, $1 - (I + s) / (A + B - I + s)$ a sample and class.

    $I = \sum p y$, $A = \sum p$, $B = \sum y$ over the pixels that count.

    Parameters
    ----------
    smooth : float or (float, float)
        $s$, >= 0; a pair is (numerator, denominator).
    {shared}
    Source: Rahman and Wang 2016, doi:10.1007/978-3-319-50835-1_22.

    >>> import fastloss as fl
    >>> fl.JaccardLoss(activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.40063781

    See also: `DiceLoss`.
    """

    smooth: float | tuple[float, float] = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, smooth=smooth_option(self.smooth))

    def formula(self, s: Sums) -> tuple[Array, ...]:
        return overlap(s, 1, 1, 1, smooth_pair(self.smooth), False)


@dataclass(frozen=True, kw_only=True, repr=False)
class TverskyLoss(RegionLoss):
    r"""Tversky loss, $1 - (TP + s) / (TP + \alpha FP + \beta FN + s)$ a sample and class.

    $TP = \sum p y$, $FP = \sum p (1 - y)$, $FN = \sum (1 - p) y$ over the pixels that count.

    Parameters
    ----------
    alpha, beta : float
        The weights of false positives and false negatives, >= 0; both 0.5: Dice, both 1: Jaccard.
    smooth : float or (float, float)
        $s$, >= 0; a pair is (numerator, denominator).
    {shared}
    Source: Salehi et al. 2017, arXiv:1706.05721 (whose alpha weighs false positives, too).

    >>> import fastloss as fl
    >>> fl.TverskyLoss(alpha=0.3, beta=0.7, activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.25082322

    See also: `DiceLoss`.
    """

    alpha: float = 0.5
    beta: float = 0.5
    smooth: float | tuple[float, float] = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, alpha=number(self.alpha, "alpha", 0), beta=number(self.beta, "beta", 0))
        freeze(self, smooth=smooth_option(self.smooth))

    def formula(self, s: Sums) -> tuple[Array, ...]:
        return overlap(s, 1, self.alpha, self.beta, smooth_pair(self.smooth), False)


for _loss in (DiceLoss, JaccardLoss, TverskyLoss):
    _loss.__doc__ = (_loss.__doc__ or "").replace("    {shared}\n", PARAMETERS.lstrip("\n"))
