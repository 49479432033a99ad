"""Two curves of the Dice loss: its logarithm, and the logarithm of its hyperbolic cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.region import EPS, Derivatives, Sums
from .dice import DiceLoss

__all__ = ["LogCoshDiceLoss", "LogDiceLoss", "log_cosh_dice_loss", "log_dice_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class LogDiceLoss(DiceLoss):
    r"""Log-Dice loss: the negative logarithm of the soft Dice score.

    Per sample and class, the value is $-\log D$, where $D = (2 I + s) / (A + B + s)$ is the score of `DiceLoss`, with
    $I = \sum p y$, $A = \sum p$, $B = \sum y$ over the pixels that count. A class that is found badly gets a larger
    gradient than with `DiceLoss`. $D$ is clamped to at least 1e-7, so the value is at most 16.2.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    smooth : float or (float, float), default 1e-05
        $s$, >= 0. A pair is (numerator, denominator).
    squared : bool, default False
        Whether the denominator is $\sum p^2 + \sum y^2$, as in V-Net.
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
    log_dice_loss : The same loss as a function; its docstring describes the arrays.
    DiceLoss, LogCoshDiceLoss

    References
    ----------
    `segmentation_models_pytorch.losses.DiceLoss(log_loss=True)`, with `batch=True, absent="zero"`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.LogDiceLoss(activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.288656
    """

    def formula(self, s: Sums) -> tuple[Array, Derivatives]:
        score, dice_derivatives = self._score(s)
        clamped = np.maximum(score, EPS)

        def derivatives() -> tuple[Array, ...]:
            slope = np.where(score >= EPS, 1 / clamped, 0)
            return tuple(slope * d for d in dice_derivatives())

        return 0 - np.log(clamped), derivatives  # no -0.0


@function_of(LogDiceLoss)
def log_dice_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    smooth: float | tuple[float, float] = 1e-5,
    squared: bool = False,
    class_weight: Sequence[float] | Array | None = None,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "keep",
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Log-Dice loss: the negative logarithm of the soft Dice score.

    Per sample and class, the value is $-\log D$, where $D = (2 I + s) / (A + B + s)$ is the score of `DiceLoss`, with
    $I = \sum p y$, $A = \sum p$, $B = \sum y$ over the pixels that count. A class that is found badly gets a larger
    gradient than with `DiceLoss`. $D$ is clamped to at least 1e-7, so the value is at most 16.2.

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
    smooth : float or (float, float), default 1e-05
        $s$, >= 0. A pair is (numerator, denominator).
    squared : bool, default False
        Whether the denominator is $\sum p^2 + \sum y^2$, as in V-Net.
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
    LogDiceLoss : The same loss as an object, with gradients and partials.
    DiceLoss, LogCoshDiceLoss

    References
    ----------
    `segmentation_models_pytorch.losses.DiceLoss(log_loss=True)`, with `batch=True, absent="zero"`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.log_dice_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.288656
    """
    loss = loss_of(
        LogDiceLoss, activation, smooth, squared, class_weight, classes, batch, absent, ignore_index, reduction, axis
    )
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class LogCoshDiceLoss(DiceLoss):
    r"""Log-cosh Dice loss: the logarithm of the hyperbolic cosine of the Dice loss.

    Per sample and class, the value is $\log \cosh L$, where $L = 1 - (2 I + s) / (A + B + s)$ is the `DiceLoss`, with
    $I = \sum p y$, $A = \sum p$, $B = \sum y$ over the pixels that count. Its slope is $\tanh L$, which goes to 0 with
    the loss: a class that is almost right gets a smaller gradient than with `DiceLoss`.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    smooth : float or (float, float), default 1e-05
        $s$, >= 0. A pair is (numerator, denominator).
    squared : bool, default False
        Whether the denominator is $\sum p^2 + \sum y^2$, as in V-Net.
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
    log_cosh_dice_loss : The same loss as a function; its docstring describes the arrays.
    DiceLoss, LogDiceLoss
    LogCoshLoss : Takes the logarithm of the hyperbolic cosine of each difference.

    References
    ----------
    Jadon 2020, arXiv:2006.14822.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.LogCoshDiceLoss(activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.031156918
    """

    def formula(self, s: Sums) -> tuple[Array, Derivatives]:
        loss, dice_derivatives = super().formula(s)

        def derivatives() -> tuple[Array, ...]:
            slope = np.tanh(loss)
            return tuple(slope * d for d in dice_derivatives())

        return np.log1p(np.sinh(loss / 2) ** 2 * 2), derivatives  # cosh L - 1, without cancellation for a small loss


@function_of(LogCoshDiceLoss)
def log_cosh_dice_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    smooth: float | tuple[float, float] = 1e-5,
    squared: bool = False,
    class_weight: Sequence[float] | Array | None = None,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "keep",
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Log-cosh Dice loss: the logarithm of the hyperbolic cosine of the Dice loss.

    Per sample and class, the value is $\log \cosh L$, where $L = 1 - (2 I + s) / (A + B + s)$ is the `DiceLoss`, with
    $I = \sum p y$, $A = \sum p$, $B = \sum y$ over the pixels that count. Its slope is $\tanh L$, which goes to 0 with
    the loss: a class that is almost right gets a smaller gradient than with `DiceLoss`.

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
    smooth : float or (float, float), default 1e-05
        $s$, >= 0. A pair is (numerator, denominator).
    squared : bool, default False
        Whether the denominator is $\sum p^2 + \sum y^2$, as in V-Net.
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
    LogCoshDiceLoss : The same loss as an object, with gradients and partials.
    DiceLoss, LogDiceLoss
    LogCoshLoss : Takes the logarithm of the hyperbolic cosine of each difference.

    References
    ----------
    Jadon 2020, arXiv:2006.14822.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.log_cosh_dice_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.031156918
    """
    loss = loss_of(
        LogCoshDiceLoss,
        activation,
        smooth,
        squared,
        class_weight,
        classes,
        batch,
        absent,
        ignore_index,
        reduction,
        axis,
    )
    return loss(input, target, pixel_weight=pixel_weight)
