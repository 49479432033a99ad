"""One minus the correlation coefficient of Matthews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.region import Derivatives, RegionLoss, Sums, smooth_option, smooth_pair
from .._options import freeze

__all__ = ["MCCLoss", "mcc_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class MCCLoss(RegionLoss):
    r"""One minus the correlation coefficient of Matthews, from soft counts.

    Per sample and class, the value is $1 - (TP \cdot TN - FP \cdot FN + s_1) / \sqrt{(TP + FP)(TP + FN)(TN + FP)(TN +
    FN) + s_2}$. Here $TP = \sum p y$, $FP = \sum p (1 - y)$, $FN = \sum (1 - p) y$, $TN = \sum (1 - p) (1 - y)$ over
    the pixels that count. All four counts matter, so a class that fills the image is not easier than a small one. A
    class without an error has the value 0, also if it is absent. The defaults are MONAI's.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    smooth : float or (float, float), default (0.0, 1e-05)
        $s_1$ and $s_2$, >= 0. A single number is both.
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
    mcc_loss : The same loss as a function; its docstring describes the arrays.
    DiceLoss : Does not use the true negatives.
    SensitivitySpecificityLoss

    References
    ----------
    Abhishek and Hamarneh 2021, doi:10.1109/ISBI48211.2021.9433782; `monai.losses.MCCLoss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.MCCLoss(activation=None)([[[0.8, 0.3, 0.1], [0.2, 0.7, 0.9]]], [[0, 1, 1]])
    0.4226504
    """

    activation: str | None = "softmax"
    smooth: float | tuple[float, float] = (0.0, 1e-5)
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
        freeze(self, smooth=smooth_option(self.smooth))

    def formula(self, s: Sums) -> tuple[Array, Derivatives]:
        num, den = smooth_pair(self.smooth)
        positive, negative = s.B, np.maximum(s.W - s.B, 0)  # W and B are rounded separately if weights are no integers
        rest = np.maximum(s.W - s.A, 0)
        top = s.I * negative - (s.A - s.I) * positive + num  # TP TN - FP FN, for any y
        sizes = positive * negative
        below = s.A * rest * sizes + den
        root = np.sqrt(below)
        perfect = (s.A == s.I) & (s.B == s.I)
        void = perfect | (below == 0)
        score = np.where(void, 1.0 * perfect, top / root)

        def derivatives() -> tuple[Array, ...]:
            dA = (score * sizes * (rest - s.A) / (2 * below)) + positive / root
            return np.where(void, 0, -(negative + positive) / root), np.where(void, 0, dA)

        return 1 - score, derivatives


@function_of(MCCLoss)
def mcc_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    smooth: float | tuple[float, float] = (0.0, 1e-5),
    class_weight: Sequence[float] | Array | None = None,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "keep",
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""One minus the correlation coefficient of Matthews, from soft counts.

    Per sample and class, the value is $1 - (TP \cdot TN - FP \cdot FN + s_1) / \sqrt{(TP + FP)(TP + FN)(TN + FP)(TN +
    FN) + s_2}$. Here $TP = \sum p y$, $FP = \sum p (1 - y)$, $FN = \sum (1 - p) y$, $TN = \sum (1 - p) (1 - y)$ over
    the pixels that count. All four counts matter, so a class that fills the image is not easier than a small one. A
    class without an error has the value 0, also if it is absent. The defaults are MONAI's.

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
    smooth : float or (float, float), default (0.0, 1e-05)
        $s_1$ and $s_2$, >= 0. A single number is both.
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
    MCCLoss : The same loss as an object, with gradients and partials.
    DiceLoss : Does not use the true negatives.
    SensitivitySpecificityLoss

    References
    ----------
    Abhishek and Hamarneh 2021, doi:10.1109/ISBI48211.2021.9433782; `monai.losses.MCCLoss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.mcc_loss([[[0.8, 0.3, 0.1], [0.2, 0.7, 0.9]]], [[0, 1, 1]], activation=None)
    0.4226504
    """
    loss = loss_of(MCCLoss, activation, smooth, class_weight, classes, batch, absent, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)
