"""The losses with one value a pixel as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._batch import Array
from ..losses import (
    CategoricalCrossEntropyLoss,
    CrossEntropyLoss,
    FocalLoss,
    KLDivLoss,
    NLLLoss,
    PerceptronLoss,
)
from ._call import call, function_of


@function_of(CrossEntropyLoss)
def cross_entropy(
    input: Any,
    target: Any,
    /,
    *,
    class_weight: Sequence[float] | Array | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.cross_entropy([[2.0, 0.0, -1.0]], [0])
    0.16984602
    """
    return call(CrossEntropyLoss, locals())


@function_of(NLLLoss)
def nll_loss(
    input: Any,
    target: Any,
    /,
    *,
    class_weight: Sequence[float] | Array | None = None,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.nll_loss([[-0.2, -1.7]], [0])
    0.2
    """
    return call(NLLLoss, locals())


@function_of(CategoricalCrossEntropyLoss)
def categorical_cross_entropy(
    input: Any,
    target: Any,
    /,
    *,
    class_weight: Sequence[float] | Array | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.categorical_cross_entropy([[0.7, 0.2, 0.1]], [0])
    0.35667494
    """
    return call(CategoricalCrossEntropyLoss, locals())


@function_of(FocalLoss)
def focal_loss(
    input: Any,
    target: Any,
    /,
    *,
    gamma: float | Sequence[float] | Array = 2.0,
    alpha: Sequence[float] | Array | None = None,
    activation: str | None = "softmax",
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.focal_loss([[2.0, 0.0, -1.0]], [0])
    0.0041442573
    """
    return call(FocalLoss, locals())


@function_of(PerceptronLoss)
def perceptron_loss(
    input: Any,
    target: Any,
    /,
    *,
    class_weight: Sequence[float] | Array | None = None,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.perceptron_loss([[2.0, 0.0, -1.0]], [1])
    2.0
    """
    return call(PerceptronLoss, locals())


@function_of(KLDivLoss)
def kl_div(
    input: Any,
    target: Any,
    /,
    *,
    log_target: bool = False,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.kl_div([[-0.2, -1.7]], [[0.5, 0.5]])
    0.12842641
    """
    return call(KLDivLoss, locals())
