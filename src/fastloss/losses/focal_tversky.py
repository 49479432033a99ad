"""Focal Tversky loss: a power of the Tversky loss of each class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.region import LEAST_BASE, Derivatives, RegionLoss, Sums, overlap, smooth_option, smooth_pair
from .._options import freeze, number, vector

__all__ = ["FocalTverskyLoss", "focal_tversky_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class FocalTverskyLoss(RegionLoss):
    r"""Focal Tversky loss: a power of `TverskyLoss`, class by class.

    Per sample and class, the value is $a_c (1 - T_c)^{\gamma_c}$, where $T = (TP + s) / (TP + \alpha FP + \beta FN +
    s)$ is the score of `TverskyLoss`. $1 - T$ is clamped to at least 0. A $\gamma$ below 1 strengthens the gradient of
    a class that is almost right. A $\gamma$ above 1 strengthens the gradient of a class that is wrong.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    gamma : float or array, shape (C,), default 0.75
        The exponent, >= 0: one number for all classes, or one per class. With 1, the loss is `TverskyLoss`. The
        paper's $\gamma$ is the inverse: its exponent is $1/\gamma$.
    class_alpha : array, shape (C,), default None
        $a_c$, >= 0: one factor per class, for its value. Unlike `class_weight`, it does not change the divisor of the
        mean.
    alpha : float, default 0.5
        The weight of false positives, >= 0.
    beta : float, default 0.5
        The weight of false negatives, >= 0.
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
    focal_tversky_loss : The same loss as a function; its docstring describes the arrays.
    TverskyLoss

    Notes
    -----
    With $\gamma < 1$, the slope of the power is infinite at $T = 1$. There the smallest normal float32 replaces the
    base, so the gradient is large but finite.

    References
    ----------
    Abraham and Khan 2018, arXiv:1810.07842.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.FocalTverskyLoss(gamma=[2.0, 0.5], activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.28483737
    """

    activation: str | None = "softmax"
    gamma: float | Sequence[float] | Array = 0.75
    class_alpha: Sequence[float] | Array | None = None
    alpha: float = 0.5
    beta: float = 0.5
    smooth: float | tuple[float, float] = 1e-5
    class_weight: Sequence[float] | Array | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

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

    def _exponents(self, classes: int) -> Array:
        """The exponent of each class, or of all."""
        return np.array(self.gamma)

    def formula(self, s: Sums) -> tuple[Array, Derivatives]:
        loss, overlap_derivatives = overlap(s, 1, self.alpha, self.beta, smooth_pair(self.smooth), False)
        gamma = self._exponents(s.B.shape[1])
        factor = np.array(1.0 if self.class_alpha is None else self.class_alpha)
        base = np.maximum(loss, 0)

        def derivatives() -> tuple[Array, ...]:
            slope = factor * gamma * np.maximum(base, np.where(gamma < 1, LEAST_BASE, 0)) ** (gamma - 1)
            slope = np.where(loss < 0, 0, slope)  # the loss is clamped there
            return tuple(slope * d for d in overlap_derivatives())

        return factor * base**gamma, derivatives


@function_of(FocalTverskyLoss)
def focal_tversky_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    gamma: float | Sequence[float] | Array = 0.75,
    class_alpha: Sequence[float] | Array | None = None,
    alpha: float = 0.5,
    beta: float = 0.5,
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
    r"""Focal Tversky loss: a power of `TverskyLoss`, class by class.

    Per sample and class, the value is $a_c (1 - T_c)^{\gamma_c}$, where $T = (TP + s) / (TP + \alpha FP + \beta FN +
    s)$ is the score of `TverskyLoss`. $1 - T$ is clamped to at least 0. A $\gamma$ below 1 strengthens the gradient of
    a class that is almost right. A $\gamma$ above 1 strengthens the gradient of a class that is wrong.

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
    gamma : float or array, shape (C,), default 0.75
        The exponent, >= 0: one number for all classes, or one per class. With 1, the loss is `TverskyLoss`. The
        paper's $\gamma$ is the inverse: its exponent is $1/\gamma$.
    class_alpha : array, shape (C,), default None
        $a_c$, >= 0: one factor per class, for its value. Unlike `class_weight`, it does not change the divisor of the
        mean.
    alpha : float, default 0.5
        The weight of false positives, >= 0.
    beta : float, default 0.5
        The weight of false negatives, >= 0.
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
    FocalTverskyLoss : The same loss as an object, with gradients and partials.
    TverskyLoss

    Notes
    -----
    With $\gamma < 1$, the slope of the power is infinite at $T = 1$. There the smallest normal float32 replaces the
    base, so the gradient is large but finite.

    References
    ----------
    Abraham and Khan 2018, arXiv:1810.07842.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.focal_tversky_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.35413202
    """
    loss = loss_of(
        FocalTverskyLoss,
        activation,
        gamma,
        class_alpha,
        alpha,
        beta,
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
