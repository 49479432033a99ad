"""The region losses as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._batch import Array
from ..losses import (
    DiceLoss,
    FocalTverskyLoss,
    GeneralizedDiceLoss,
    JaccardLoss,
    SensitivitySpecificityLoss,
    TverskyLoss,
)
from ._call import call, function_of


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
    """
    >>> import fastloss as fl
    >>> fl.dice_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.25062531
    """
    return call(DiceLoss, locals())


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
    """
    >>> import fastloss as fl
    >>> fl.jaccard_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.40063781
    """
    return call(JaccardLoss, locals())


@function_of(TverskyLoss)
def tversky_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
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
    """
    >>> import fastloss as fl
    >>> fl.tversky_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], alpha=0.3, beta=0.7, activation=None)
    0.25082322
    """
    return call(TverskyLoss, locals())


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
    """
    >>> import fastloss as fl
    >>> fl.focal_tversky_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.35413202
    """
    return call(FocalTverskyLoss, locals())


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
    """
    >>> import fastloss as fl
    >>> fl.sensitivity_specificity_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], b=0.8, activation=None)
    0.2499975
    """
    return call(SensitivitySpecificityLoss, locals())


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
    """
    >>> import fastloss as fl
    >>> fl.generalized_dice_loss([[[0.8, 0.3, 0.4], [0.2, 0.7, 0.6]]], [[0, 1, 1]], activation=None)
    0.33333235
    """
    return call(GeneralizedDiceLoss, locals())
