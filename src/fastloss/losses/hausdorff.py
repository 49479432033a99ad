"""Hausdorff distance loss: squared errors weighted by the distance to both boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, real_dtype
from .._batch import Batch
from .._engine.functions import function_of, loss_of
from .._options import freeze, number
from .._terms import Term
from ..distance import distance_to
from ..numerics import softmax
from .boundary import DistanceLoss

__all__ = ["HausdorffDTLoss", "hausdorff_dt_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class HausdorffDTLoss(DistanceLoss):
    r"""Hausdorff distance loss by distance transforms: squared errors weighted by the distance to both boundaries.

    A pixel's value is the mean over classes of $(p_c - y_c)^2 (D_p^\alpha + D_y^\alpha)$. $D$ is the distance to the
    boundary of a mask: the `distance_transform` of the mask plus that of its complement. For $D_y$, the mask is the
    target's class. For $D_p$, the mask is where $p_c > 1/2$, among the pixels that count. No gradient goes through the
    distances.

    Parameters
    ----------
    alpha : float, default 2.0
        $\alpha$, >= 0. With a larger $\alpha$, distant errors outweigh near ones by more.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    spacing : float or sequence of float, default None
        The distance between neighbouring pixels: one number for all axes, or one per axis. None: 1.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per pixel, shape (N, *S).
    axis : int, default 1
        The class axis of `input`.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    hausdorff_dt_loss : The same loss as a function; its docstring describes the arrays.
    BoundaryLoss
    hausdorff_distance : The Hausdorff distance itself.

    Notes
    -----
    There are at most 3 pixel dimensions. For a dense target, the mask of a class is where its values exceed 1/2. A mask
    that is empty or full has no boundary, and its $D$ is 0, as in MONAI. You can pass ready-made maps $D_p^\alpha +
    D_y^\alpha$ as `distance_maps`, in the input's shape. A single channel takes labels {0, 1}.

    References
    ----------
    Karimi and Salcudean 2019, arXiv:1904.10030; `monai.losses.HausdorffDTLoss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.HausdorffDTLoss(activation=None)([[[0.8, 0.6, 0.1, 0.0], [0.2, 0.4, 0.9, 1.0]]], [[0, 0, 1, 1]])
    0.165
    """

    alpha: float = 2.0
    activation: str | None = "softmax"
    spacing: float | Sequence[float] | None = None
    classes: Sequence[int] | None = None
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        freeze(self, alpha=number(self.alpha, "alpha", 0))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (self._term("hausdorff"),)

    def make_weights(self, batch: Batch) -> Array:
        predicted = [self._predicted(x) & counting for x, counting in zip(batch.input, batch.counting(), strict=True)]

        def fill(n: int, c: int, spacing: tuple[float, ...], out: Array) -> None:
            out[...] = self._field(self._target_mask(batch, n, c), spacing)
            out += self._field((predicted[n][c], 0, True), spacing)

        return self._each(batch, fill)

    def _predicted(self, x: Array) -> Array:
        """The mask of one image, of shape (C, *S): where p > 1/2."""
        if self.activation == "sigmoid":
            with np.errstate(invalid="ignore"):  # comparing a NaN in bfloat16 warns
                mask: Array = x > 0
            return mask
        mask = (x if self.activation is None else softmax(x.astype(real_dtype(x.dtype)), axis=0)) > 0.5
        return mask

    def _field(self, mask: tuple[Array, int, bool], spacing: tuple[float, ...]) -> Array:
        """The map D^alpha of a mask."""
        values, k, inverted = mask
        field = distance_to(values, k, inverted, spacing)
        field += distance_to(values, k, not inverted, spacing)  # every pixel is 0 in one of the two
        field[np.isinf(field)] = 0  # inf: the mask is empty or full
        with np.errstate(over="ignore", under="ignore"):
            powers = field ** np.float32(self.alpha)
        if np.isinf(powers).any():
            raise ValueError(
                f"alpha: expected an exponent that keeps distances within float32, got {self.alpha:g} for a distance "
                f"of {field.max():g}"
            )
        return powers


@function_of(HausdorffDTLoss)
def hausdorff_dt_loss(
    input: Any,
    target: Any,
    /,
    *,
    alpha: float = 2.0,
    activation: str | None = "softmax",
    spacing: float | Sequence[float] | None = None,
    classes: Sequence[int] | None = None,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
    distance_maps: Any = None,
) -> float | Any:
    r"""Hausdorff distance loss by distance transforms: squared errors weighted by the distance to both boundaries.

    A pixel's value is the mean over classes of $(p_c - y_c)^2 (D_p^\alpha + D_y^\alpha)$. $D$ is the distance to the
    boundary of a mask: the `distance_transform` of the mask plus that of its complement. For $D_y$, the mask is the
    target's class. For $D_p$, the mask is where $p_c > 1/2$, among the pixels that count. No gradient goes through the
    distances.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape. A single
        channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S).
    alpha : float, default 2.0
        $\alpha$, >= 0. With a larger $\alpha$, distant errors outweigh near ones by more.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    spacing : float or sequence of float, default None
        The distance between neighbouring pixels: one number for all axes, or one per axis. None: 1.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per pixel, shape (N, *S).
    axis : int, default 1
        The class axis of `input`.
    pixel_weight : array, default None
        The weights of the pixels: each is 0 or from 1e-30 to 1e30. The shape broadcasts to (N, *S); with a dense
        target, it may also broadcast to (N, C, *S). A pixel with weight 0 does not count.
    distance_maps : array, the input's shape, default None
        Ready-made maps. None: the call computes the maps.

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
    HausdorffDTLoss : The same loss as an object, with gradients and partials.
    BoundaryLoss
    hausdorff_distance : The Hausdorff distance itself.

    Notes
    -----
    There are at most 3 pixel dimensions. For a dense target, the mask of a class is where its values exceed 1/2. A mask
    that is empty or full has no boundary, and its $D$ is 0, as in MONAI. You can pass ready-made maps $D_p^\alpha +
    D_y^\alpha$ as `distance_maps`, in the input's shape. A single channel takes labels {0, 1}.

    References
    ----------
    Karimi and Salcudean 2019, arXiv:1904.10030; `monai.losses.HausdorffDTLoss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.hausdorff_dt_loss([[[2.0, 1.0, -3.0], [-2.0, -1.0, 3.0]]], [[0, 0, 1]])
    0.010339644
    """
    loss = loss_of(HausdorffDTLoss, alpha, activation, spacing, classes, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight, distance_maps=distance_maps)
