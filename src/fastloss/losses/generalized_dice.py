"""Generalised Dice loss: one overlap for all classes of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.region import EPS, Derivatives, RegionLoss, Sums, smooth_option, smooth_pair
from .._options import choice, freeze

POWERS = {"square": -2.0, "simple": -1.0, "uniform": 0.0}

__all__ = ["GeneralizedDiceLoss", "generalized_dice_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class GeneralizedDiceLoss(RegionLoss):
    r"""Generalised Dice loss: one overlap for all classes of a sample, weighted by their sizes.

    Per sample, the value is $1 - (2 \sum_c v_c I_c + s) / (\sum_c v_c (A_c + B_c) + s)$, where $I = \sum p y$, $A =
    \sum p$, $B = \sum y$ over the pixels that count. By default $v_c = 1 / B_c^2$; see `weighting`. For a class with no
    target pixels, $v_c$ would be infinite. It is then the largest finite $v_c$ of the sample (with `batch`, of the
    batch). If no $v_c$ is finite, all are 0. The loss is then $1 - s / s = 0$, and it has no gradient. MONAI has the
    same rules.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    weighting : {"square", "simple", "uniform"}, default "square"
        Whether $v_c$ is $1 / B_c^2$, $1 / B_c$ or 1.
    smooth : float or (float, float), default 1e-05
        $s$, >= 0. A pair is (numerator, denominator). It is added to weighted sums, which are about 1 for "simple" but
        about $1 / B$ for "square". So for "square", large images need a smaller $s$.
    class_weight : array, shape (C,), default None
        One factor of $v_c$ per class, >= 0.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    batch : bool, default False
        Whether each sum runs over the pixels of the whole batch instead of one sample. The sums of merged partials then
        run over the whole data set.
    absent : {"keep", "skip"}, default "keep"
        The weight of a class without a target pixel. "keep" weights it as described above; "skip" leaves it out of both
        sums. A sample with no class left does not count.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        The reduction over samples. "none" returns one value per sample, shape (N,), or () with `batch`.
    axis : int, default 1
        The class axis of `input`.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    generalized_dice_loss : The same loss as a function; its docstring describes the arrays.
    DiceLoss : Has one overlap per class.

    References
    ----------
    Sudre et al. 2017, arXiv:1707.03237.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.GeneralizedDiceLoss(activation=None)([[[0.8, 0.3, 0.4], [0.2, 0.7, 0.6]]], [[0, 1, 1]])
    0.33333235
    """

    activation: str | None = "softmax"
    weighting: str = "square"
    smooth: float | tuple[float, float] = 1e-5
    class_weight: Sequence[float] | Array | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        choice(self.absent, "absent", ("keep", "skip"))
        super().__post_init__()
        choice(self.weighting, "weighting", tuple(POWERS))
        freeze(self, smooth=smooth_option(self.smooth))

    def formula(self, s: Sums) -> tuple[Array, Derivatives]:
        w = self._weighted(self._entering(s))
        v: Array = np.where(w > 0, s.B ** POWERS[self.weighting], 0)
        finite = np.where(np.isinf(v), 0, v)
        v = w * np.where(np.isinf(v), finite.max(axis=1, keepdims=True), v)
        # Divided by the largest weight, no product overflows, and EPS is small compared with the sums.
        largest = v.max(axis=1, keepdims=True)
        largest = np.where(largest > 0, largest, 1)
        v, (num, den) = v / largest, (t / largest for t in smooth_pair(self.smooth))
        top = (2 * v * s.I).sum(axis=1, keepdims=True) + num
        below = (v * (s.A + s.B)).sum(axis=1, keepdims=True) + den
        floor = den if smooth_pair(self.smooth)[1] else EPS
        bottom = np.maximum(below, floor)

        def derivatives() -> tuple[Array, ...]:
            dA = np.where(below >= floor, v * top / bottom**2, 0)
            return -2 * v / bottom, dA

        return 1 - top / bottom, derivatives

    def values_per_group(self, classes: int) -> int:
        return 1

    def _values(self, s: Sums) -> tuple[Array, Array, Array, Derivatives]:
        value, _, w, derivatives = super()._values(s)
        keep = np.where((w > 0).any(axis=1, keepdims=True), 1.0, 0.0)
        return value, keep, keep, derivatives

    def class_partial_of(self, sums: list[Array]) -> Array:
        return np.zeros((len(sums[0]), 0))

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        return np.full(classes, np.nan)

    def _shown(self, values: Array) -> Array:
        return values[:, 0]


@function_of(GeneralizedDiceLoss)
def generalized_dice_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    weighting: str = "square",
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
    r"""Generalised Dice loss: one overlap for all classes of a sample, weighted by their sizes.

    Per sample, the value is $1 - (2 \sum_c v_c I_c + s) / (\sum_c v_c (A_c + B_c) + s)$, where $I = \sum p y$, $A =
    \sum p$, $B = \sum y$ over the pixels that count. By default $v_c = 1 / B_c^2$; see `weighting`. For a class with no
    target pixels, $v_c$ would be infinite. It is then the largest finite $v_c$ of the sample (with `batch`, of the
    batch). If no $v_c$ is finite, all are 0. The loss is then $1 - s / s = 0$, and it has no gradient. MONAI has the
    same rules.

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
    weighting : {"square", "simple", "uniform"}, default "square"
        Whether $v_c$ is $1 / B_c^2$, $1 / B_c$ or 1.
    smooth : float or (float, float), default 1e-05
        $s$, >= 0. A pair is (numerator, denominator). It is added to weighted sums, which are about 1 for "simple" but
        about $1 / B$ for "square". So for "square", large images need a smaller $s$.
    class_weight : array, shape (C,), default None
        One factor of $v_c$ per class, >= 0.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    batch : bool, default False
        Whether each sum runs over the pixels of the whole batch instead of one sample. The sums of merged partials then
        run over the whole data set.
    absent : {"keep", "skip"}, default "keep"
        The weight of a class without a target pixel. "keep" weights it as described above; "skip" leaves it out of both
        sums. A sample with no class left does not count.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        The reduction over samples. "none" returns one value per sample, shape (N,), or () with `batch`.
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
    GeneralizedDiceLoss : The same loss as an object, with gradients and partials.
    DiceLoss : Has one overlap per class.

    References
    ----------
    Sudre et al. 2017, arXiv:1707.03237.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.generalized_dice_loss([[[0.8, 0.3, 0.4], [0.2, 0.7, 0.6]]], [[0, 1, 1]], activation=None)
    0.33333235
    """
    loss = loss_of(
        GeneralizedDiceLoss,
        activation,
        weighting,
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
