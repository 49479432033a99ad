"""One minus a weighted mean of sensitivity and specificity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.region import EPS, Derivatives, RegionLoss, Sums, smooth_option, smooth_pair
from .._options import freeze, number

__all__ = ["SensitivitySpecificityLoss", "sensitivity_specificity_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class SensitivitySpecificityLoss(RegionLoss):
    r"""One minus a weighted mean of sensitivity and specificity, from soft counts.

    Per sample and class, the value is $1 - [b (TP + s) / (TP + FN + s) + (1 - b) (TN + s) / (TN + FP + s)]$. Here $TP =
    \sum p y$, $FP = \sum p (1 - y)$, $FN = \sum (1 - p) y$, $TN = \sum (1 - p) (1 - y)$ over the pixels that count.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    b : float, default 0.5
        The weight of the sensitivity, in [0, 1].
    smooth : float or (float, float), default 1e-05
        $s$, >= 0. A pair is (numerators, denominators).
    class_weight : array, shape (C,), default None
        One weight per class for the mean over samples and classes, finite, >= 0.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    batch : bool, default False
        Whether each sum runs over the pixels of the whole batch instead of one sample. The sums of merged partials then
        run over the whole data set.
    absent : {"keep", "zero", "skip", "nan"}, default "keep"
        The value of a class without a target pixel. "keep" takes the value of the formula, "zero" takes 0, and "nan"
        takes nan; "skip" leaves the class out of the mean.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        The reduction over samples and classes. "none" returns one value per sample and chosen class, shape (N, C'), or
        (C',) with `batch`.
    axis : int, default 1
        The class axis of `input`.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    sensitivity_specificity_loss : The same loss as a function; its docstring describes the arrays.
    TverskyLoss : Does not use the true negatives.

    References
    ----------
    Jadon 2020, arXiv:2006.14822, gives the score, without the one minus. Brosch et al. 2015,
    doi:10.1007/978-3-319-24574-4_1, weight squared errors instead.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.SensitivitySpecificityLoss(b=0.8, activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.2499975
    """

    activation: str | None = "softmax"
    b: float = 0.5
    smooth: float | tuple[float, float] = 1e-5
    class_weight: Sequence[float] | Array | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    wants_weight = True

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, b=number(self.b, "b", 0, 1), smooth=smooth_option(self.smooth))

    def formula(self, s: Sums) -> tuple[Array, Derivatives]:
        num, den = smooth_pair(self.smooth)
        negative = np.maximum(s.W - s.B, 0)  # W and B are rounded separately if weights are not integers
        a, b = self.b / np.maximum(s.B + den, den or EPS), (1 - self.b) / np.maximum(negative + den, den or EPS)
        value = 1 - (a * (s.I + num) + b * (negative - (s.A - s.I) + num))

        def derivatives() -> tuple[Array, ...]:
            # Without a negative pixel, the terms with b cancel in exact arithmetic. In float32 they would not, because
            # b may be a million times a.
            present = np.where(negative > 0, b, 0)
            return -(a + present), present

        return value, derivatives


@function_of(SensitivitySpecificityLoss)
def sensitivity_specificity_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    b: float = 0.5,
    smooth: float | tuple[float, float] = 1e-5,
    class_weight: Sequence[float] | Array | None = None,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "keep",
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""One minus a weighted mean of sensitivity and specificity, from soft counts.

    Per sample and class, the value is $1 - [b (TP + s) / (TP + FN + s) + (1 - b) (TN + s) / (TN + FP + s)]$. Here $TP =
    \sum p y$, $FP = \sum p (1 - y)$, $FN = \sum (1 - p) y$, $TN = \sum (1 - p) (1 - y)$ over the pixels that count.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape. A single
        channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S).
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    b : float, default 0.5
        The weight of the sensitivity, in [0, 1].
    smooth : float or (float, float), default 1e-05
        $s$, >= 0. A pair is (numerators, denominators).
    class_weight : array, shape (C,), default None
        One weight per class for the mean over samples and classes, finite, >= 0.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    batch : bool, default False
        Whether each sum runs over the pixels of the whole batch instead of one sample. The sums of merged partials then
        run over the whole data set.
    absent : {"keep", "zero", "skip", "nan"}, default "keep"
        The value of a class without a target pixel. "keep" takes the value of the formula, "zero" takes 0, and "nan"
        takes nan; "skip" leaves the class out of the mean.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        The reduction over samples and classes. "none" returns one value per sample and chosen class, shape (N, C'), or
        (C',) with `batch`.
    axis : int, default 1
        The class axis of `input`.
    pixel_weight : array, default None
        The weights of the pixels: each is 0 or from 1e-30 to 1e30. The shape broadcasts to (N, *S); with a dense
        target, it may also broadcast to (N, C, *S). A pixel with weight 0 does not count.

    Returns
    -------
    float, or array if `reduction` is "none"
        The loss. An array has the dtype of the arithmetic: float64 for a float64 input, otherwise float32.

    Raises
    ------
    LabelError
        If a label is neither a class nor ignored.
    ValueError
        If a shape, a weight or an option is wrong.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    SensitivitySpecificityLoss : The same loss as an object, with gradients and partials.
    TverskyLoss : Does not use the true negatives.

    References
    ----------
    Jadon 2020, arXiv:2006.14822, gives the score, without the one minus. Brosch et al. 2015,
    doi:10.1007/978-3-319-24574-4_1, weight squared errors instead.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.sensitivity_specificity_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], b=0.8, activation=None)
    0.2499975
    """
    loss = loss_of(
        SensitivitySpecificityLoss,
        activation,
        b,
        smooth,
        class_weight,
        classes,
        batch,
        absent,
        ignore_index,
        reduction,
        axis,
    )
    return loss(input, target, pixel_weight=pixel_weight)
