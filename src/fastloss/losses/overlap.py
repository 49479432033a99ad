"""The region losses: formulas over the sums of pixels, with their derivatives.

Each is a `formula` and the options that it takes; region.py makes the rest of it. `overlap` is what most of them share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .._batch import Array
from ._checks import choice, freeze, number, vector
from ._shared import shared, shared_but
from .region import RegionLoss, Slopes, Sums, smooth_option, smooth_pair

EPS = 1e-7  # the least denominator without smoothing, as smp's; it matters only when a class is empty
# The least base of a power whose slope is infinite at 0. No other 1 - T is below 1e-16; and with float64's smallest
# number the slope would overflow float32, and the kernels' gradient be nan.
LEAST_BASE = float(np.finfo(np.float32).smallest_normal)


def overlap(s: Sums, k: float, a: float, b: float, smooth: tuple[float, float], squared: bool) -> tuple[Array, Slopes]:
    """1 - (k I + num) / floored(k (I + a FP + b FN) + den), and its derivatives in I, A and A2."""
    A, B = (s.A2, s.B2) if squared else (s.A, s.B)
    cI, cA, cB = k * (1 - a - b), k * a, k * b
    below = _times(cA, A) + _times(cB, B)
    if cI:
        below = below + cI * s.I
    below = below + smooth[1]
    bottom = np.maximum(below, smooth[1] or EPS)  # the smoothing is in it already
    score = (_times(k, s.I) + smooth[0]) / bottom

    def slopes() -> tuple[Array, ...]:
        inverse = 1 / bottom
        fall = score * inverse if smooth[1] else np.where(below >= EPS, score * inverse, 0)  # 0 where it is clamped
        dI = cI * fall - k * inverse if cI else -k * inverse
        dA = cA * fall
        return (dI, np.zeros_like(dA), dA) if squared else (dI, dA)

    return 1 - score, slopes


def _times(factor: float, sums: Array) -> Array:
    return sums if factor == 1 else factor * sums


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class DiceLoss(RegionLoss):
    r"""Soft Dice loss: one minus twice the overlap over the sizes, F1 of soft counts.

    It is $1 - (2 I + s) / (A + B + s)$ a sample and class, where $I = \sum p y$, $A = \sum p$, $B = \sum y$ over the
    pixels that count; the defaults are MONAI's.

    Parameters
    ----------
    smooth : float or (float, float)
        $s$, >= 0; a pair is (numerator, denominator).
    squared : bool
        $\sum p^2 + \sum y^2$ in the denominator (V-Net).
    {region_options}

    {region_call}

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

    def formula(self, s: Sums) -> tuple[Array, Slopes]:
        return overlap(s, 2, 0.5, 0.5, smooth_pair(self.smooth), self.squared)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class JaccardLoss(RegionLoss):
    r"""Soft Jaccard loss: one minus intersection over union.

    It is $1 - (I + s) / (A + B - I + s)$ a sample and class, where $I = \sum p y$, $A = \sum p$, $B = \sum y$ over the
    pixels that count.

    Parameters
    ----------
    smooth : float or (float, float)
        $s$, >= 0; a pair is (numerator, denominator).
    {region_options}

    {region_call}

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

    def formula(self, s: Sums) -> tuple[Array, Slopes]:
        return overlap(s, 1, 1, 1, smooth_pair(self.smooth), False)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class TverskyLoss(RegionLoss):
    r"""Tversky loss: an overlap that weighs false positives and false negatives apart.

    It is $1 - (TP + s) / (TP + \alpha FP + \beta FN + s)$ a sample and class, where $TP = \sum p y$, $FP = \sum p (1 -
    y)$, $FN = \sum (1 - p) y$ over the pixels that count.

    Parameters
    ----------
    alpha, beta : float
        The weights of false positives and false negatives, >= 0; both 0.5: Dice, both 1: Jaccard.
    smooth : float or (float, float)
        $s$, >= 0; a pair is (numerator, denominator).
    {region_options}

    {region_call}

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

    def formula(self, s: Sums) -> tuple[Array, Slopes]:
        return overlap(s, 1, self.alpha, self.beta, smooth_pair(self.smooth), False)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class FocalTverskyLoss(RegionLoss):
    r"""Focal Tversky loss: a power of `TverskyLoss`, class by class.

    It is $a_c (1 - T_c)^{\gamma_c}$ a sample and class, with $T_c$ the score of `TverskyLoss`. $T = (TP + s) / (TP +
    \alpha FP + \beta FN + s)$; $1 - T$ is at least 0. A $\gamma$ below 1 strengthens the gradient of what is almost
    right, one above 1 that of what is wrong.

    Parameters
    ----------
    gamma : float or (C,) array
        The exponent, >= 0, one for all or one a class; 1: `TverskyLoss`. The paper's $\gamma$ is one over it.
    class_alpha : (C,) array, optional
        $a_c$, >= 0, a factor of each class's value; it stays out of the mean's weight, unlike `class_weight`.
    alpha, beta : float
        The weights of false positives and false negatives, >= 0.
    smooth : float or (float, float)
        $s$, >= 0; a pair is (numerator, denominator).
    {region_options}

    {region_call}

    With $\gamma < 1$ the slope of the power is infinite at $T = 1$; there, the base is taken as the smallest normal
    float32, so that the gradient is large but finite.

    Source: Abraham and Khan 2018, arXiv:1810.07842.

    >>> import fastloss as fl
    >>> fl.FocalTverskyLoss(gamma=[2.0, 0.5], activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.28483737

    See also: `TverskyLoss`.
    """

    gamma: float | Sequence[float] | Array = 0.75
    class_alpha: Sequence[float] | Array | None = None
    alpha: float = 0.5
    beta: float = 0.5
    smooth: float | tuple[float, float] = 1e-5

    by_class = ("class_weight", "gamma", "class_alpha")

    def __post_init__(self) -> None:
        super().__post_init__()
        several = isinstance(self.gamma, Iterable) and not isinstance(self.gamma, str)
        freeze(
            self,
            gamma=vector(self.gamma, "gamma") if several else number(self.gamma, "gamma", 0),
            class_alpha=vector(self.class_alpha, "class_alpha"),
            alpha=number(self.alpha, "alpha", 0),
            beta=number(self.beta, "beta", 0),
            smooth=smooth_option(self.smooth),
        )

    def formula(self, s: Sums) -> tuple[Array, Slopes]:
        loss, overlap_slopes = overlap(s, 1, self.alpha, self.beta, smooth_pair(self.smooth), False)
        gamma = np.array(self.gamma)
        factor = np.array(1.0 if self.class_alpha is None else self.class_alpha)
        base = np.maximum(loss, 0)

        def slopes() -> tuple[Array, ...]:
            slope = factor * gamma * np.maximum(base, np.where(gamma < 1, LEAST_BASE, 0)) ** (gamma - 1)
            slope = np.where(loss < 0, 0, slope)  # clamped
            return tuple(slope * d for d in overlap_slopes())

        return factor * base**gamma, slopes


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class SensitivitySpecificityLoss(RegionLoss):
    r"""One minus a weighted mean of sensitivity and specificity, of soft counts, a sample and class.

    $1 - [b (TP + s) / (TP + FN + s) + (1 - b) (TN + s) / (TN + FP + s)]$, where $TP = \sum p y$, $FP = \sum p (1 - y)$,
    $FN = \sum (1 - p) y$, $TN = \sum (1 - p) (1 - y)$ over the pixels that count.

    Parameters
    ----------
    b : float
        The weight of the sensitivity, in [0, 1].
    smooth : float or (float, float)
        $s$, >= 0; a pair is (numerators, denominators).
    {region_options}

    {region_call}

    Source: Jadon 2020, arXiv:2006.14822, whose formula is the score; Brosch et al. 2015,
    doi:10.1007/978-3-319-24574-4_1, weigh squared errors instead.

    >>> import fastloss as fl
    >>> fl.SensitivitySpecificityLoss(b=0.8, activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.2499975

    See also: `TverskyLoss`, which has no true negatives.
    """

    b: float = 0.5
    smooth: float | tuple[float, float] = 1e-5

    wants_weight = True

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, b=number(self.b, "b", 0, 1), smooth=smooth_option(self.smooth))

    def formula(self, s: Sums) -> tuple[Array, Slopes]:
        num, den = smooth_pair(self.smooth)
        negative = np.maximum(s.W - s.B, 0)  # W and B are rounded apart, where weights are no integers
        a, b = self.b / np.maximum(s.B + den, den or EPS), (1 - self.b) / np.maximum(negative + den, den or EPS)
        value = 1 - (a * (s.I + num) + b * (negative - (s.A - s.I) + num))

        def slopes() -> tuple[Array, ...]:
            # With no negative pixel, b's terms would cancel, but in float32 it may be a million times a.
            present = np.where(negative > 0, b, 0)
            return -(a + present), present

        return value, slopes


POWERS = {"square": -2.0, "simple": -1.0, "uniform": 0.0}


@shared_but(
    class_weight="(C,) array, optional\n        Multiplies $v_c$.",
    absent=""""keep" or "skip"
        A class without a target pixel is weighted as said above, or left out of both sums. A sample with no class
        left does not count.""",
    reduction=""""mean", "sum" or "none"
        Over samples; "none" gives `(N,)`, or `()` with `batch`.""",
)
@dataclass(frozen=True, kw_only=True, repr=False)
class GeneralizedDiceLoss(RegionLoss):
    r"""Generalised Dice loss: one overlap for all classes of a sample, weighed by their sizes.

    It is $1 - (2 \sum_c v_c I_c + s) / (\sum_c v_c (A_c + B_c) + s)$, where $I = \sum p y$, $A = \sum p$, $B = \sum y$
    over the pixels that count, and $v_c = 1 / B_c^2$ or as `weighting` says. Of a class without a target pixel that
    would be infinite: it gets the largest finite one of the sample's classes (with `batch`, of the batch's). Where
    there is none, all are 0: the loss is $1 - s / s = 0$, with no gradient. All this is MONAI's, too.

    Parameters
    ----------
    weighting : "square", "simple" or "uniform"
        $v_c = 1 / B_c^2$, $1 / B_c$ or 1.
    smooth : float or (float, float)
        $s$, >= 0; a pair is (numerator, denominator). Compare it with the sums, which are about 1 for "simple", but
        $1 / B$ for "square": of large images, choose it smaller.
    {region_options}

    {region_call}

    Source: Sudre et al. 2017, arXiv:1707.03237.

    >>> import fastloss as fl
    >>> fl.GeneralizedDiceLoss(activation=None)([[[0.8, 0.3, 0.4], [0.2, 0.7, 0.6]]], [[0, 1, 1]])
    0.33333235

    See also: `DiceLoss`, class by class.
    """

    weighting: str = "square"
    smooth: float | tuple[float, float] = 1e-5

    def __post_init__(self) -> None:
        choice(self.absent, "absent", ("keep", "skip"))
        super().__post_init__()
        choice(self.weighting, "weighting", tuple(POWERS))
        freeze(self, smooth=smooth_option(self.smooth))

    def formula(self, s: Sums) -> tuple[Array, Slopes]:
        w = self._weighted(self._entering(s))
        v: Array = np.where(w > 0, s.B ** POWERS[self.weighting], 0)
        finite = np.where(np.isinf(v), 0, v)
        v = w * np.where(np.isinf(v), finite.max(axis=1, keepdims=True), v)
        # Relative to the largest, nothing overflows, and EPS is small against the sums.
        largest = v.max(axis=1, keepdims=True)
        largest = np.where(largest > 0, largest, 1)
        v, (num, den) = v / largest, (t / largest for t in smooth_pair(self.smooth))
        top = (2 * v * s.I).sum(axis=1, keepdims=True) + num
        below = (v * (s.A + s.B)).sum(axis=1, keepdims=True) + den
        floor = den if smooth_pair(self.smooth)[1] else EPS
        bottom = np.maximum(below, floor)

        def slopes() -> tuple[Array, ...]:
            dA = np.where(below >= floor, v * top / bottom**2, 0)
            return -2 * v / bottom, dA

        return 1 - top / bottom, slopes

    # ---- one value a group

    def values_a_group(self, classes: int) -> int:
        return 1

    def _values(self, s: Sums) -> tuple[Array, Array, Array, Slopes]:
        value, _, w, slopes = super()._values(s)
        keep = np.where((w > 0).any(axis=1, keepdims=True), 1.0, 0.0)
        return value, keep, keep, slopes

    def class_rows(self, sums: list[Array]) -> Array:
        return np.zeros((len(sums[0]), 0))

    def class_total(self, numbers: Array, classes: int) -> Array:
        return np.full(classes, np.nan)

    def _shown(self, values: Array) -> Array:
        return values[:, 0]
