"""The two overlap losses: Dice and Jaccard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.region import Derivatives, RegionLoss, Sums, overlap, overlap_score, smooth_option, smooth_pair
from .._options import choice, freeze

__all__ = ["DiceLoss", "JaccardLoss", "dice_loss", "jaccard_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class DiceLoss(RegionLoss):
    r"""Soft Dice loss: one minus the F1 score of soft counts, which is twice the overlap divided by the sizes.

    Per sample and class, the value is $1 - (2 I + s) / (A + B + s)$, where $I = \sum p y$, $A = \sum p$, $B = \sum y$
    over the pixels that count. The defaults are MONAI's.

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
    dice_loss : The same loss as a function; its docstring describes the arrays.
    TverskyLoss : Weights false positives and false negatives separately.
    JaccardLoss

    References
    ----------
    Milletari et al. 2016, arXiv:1606.04797.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.DiceLoss(activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.25062531
    """

    activation: str | None = "softmax"
    smooth: float | tuple[float, float] = 1e-5
    squared: bool = False
    class_weight: Sequence[float] | Array | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, smooth=smooth_option(self.smooth))
        choice(self.squared, "squared", (True, False))
        freeze(self, squared=bool(self.squared))

    def wants_squares(self) -> bool:
        return self.squared

    def _score(self, s: Sums) -> tuple[Array, Derivatives]:
        """The score, and minus its derivatives."""
        return overlap_score(s, 2, 0.5, 0.5, smooth_pair(self.smooth), self.squared)

    def formula(self, s: Sums) -> tuple[Array, Derivatives]:
        score, derivatives = self._score(s)
        return 1 - score, derivatives


@function_of(DiceLoss)
def dice_loss(
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
    r"""Soft Dice loss: one minus the F1 score of soft counts, which is twice the overlap divided by the sizes.

    Per sample and class, the value is $1 - (2 I + s) / (A + B + s)$, where $I = \sum p y$, $A = \sum p$, $B = \sum y$
    over the pixels that count. The defaults are MONAI's.

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
    DiceLoss : The same loss as an object, with gradients and partials.
    TverskyLoss : Weights false positives and false negatives separately.
    JaccardLoss

    References
    ----------
    Milletari et al. 2016, arXiv:1606.04797.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.dice_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.25062531
    """
    loss = loss_of(
        DiceLoss, activation, smooth, squared, class_weight, classes, batch, absent, ignore_index, reduction, axis
    )
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class JaccardLoss(RegionLoss):
    r"""Soft Jaccard loss: one minus intersection over union.

    Per sample and class, the value is $1 - (I + s) / (A + B - I + s)$, where $I = \sum p y$, $A = \sum p$, $B = \sum y$
    over the pixels that count.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    smooth : float or (float, float), default 1e-05
        $s$, >= 0. A pair is (numerator, denominator).
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
    jaccard_loss : The same loss as a function; its docstring describes the arrays.
    DiceLoss

    References
    ----------
    Rahman and Wang 2016, doi:10.1007/978-3-319-50835-1_22.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.JaccardLoss(activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.40063781
    """

    activation: str | None = "softmax"
    smooth: float | tuple[float, float] = 1e-5
    class_weight: Sequence[float] | Array | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, smooth=smooth_option(self.smooth))

    def formula(self, s: Sums) -> tuple[Array, Derivatives]:
        return overlap(s, 1, 1, 1, smooth_pair(self.smooth), False)


@function_of(JaccardLoss)
def jaccard_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
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
    r"""Soft Jaccard loss: one minus intersection over union.

    Per sample and class, the value is $1 - (I + s) / (A + B - I + s)$, where $I = \sum p y$, $A = \sum p$, $B = \sum y$
    over the pixels that count.

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
    JaccardLoss : The same loss as an object, with gradients and partials.
    DiceLoss

    References
    ----------
    Rahman and Wang 2016, doi:10.1007/978-3-319-50835-1_22.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.jaccard_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.40063781
    """
    loss = loss_of(JaccardLoss, activation, smooth, class_weight, classes, batch, absent, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)
