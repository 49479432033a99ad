"""The binary and multi-label losses as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._batch import Array
from ..losses import (
    BalancedBCELoss,
    BCELoss,
    BCEWithLogitsLoss,
    BinaryFocalLoss,
    BinaryKLDivLoss,
    JSDivLoss,
    MultiLabelSoftMarginLoss,
    SoftMarginLoss,
)
from ._call import call, function_of


@function_of(BCEWithLogitsLoss)
def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    /,
    *,
    pos_weight: float | Sequence[float] | Array | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.binary_cross_entropy_with_logits([0.5, -1.0], [1.0, 0.0])
    0.39366935
    """
    return call(BCEWithLogitsLoss, locals())


@function_of(BCELoss)
def binary_cross_entropy(
    input: Any,
    target: Any,
    /,
    *,
    pos_weight: float | Sequence[float] | Array | None = None,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.binary_cross_entropy([0.8, 0.4], [1.0, 0.0])
    0.36698459
    """
    return call(BCELoss, locals())


@function_of(BalancedBCELoss)
def balanced_binary_cross_entropy(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "sigmoid",
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.balanced_binary_cross_entropy([[2.0, -1.0, -2.0, 0.5]], [[1.0, 0.0, 0.0, 0.0]])
    0.11219067
    """
    return call(BalancedBCELoss, locals())


@function_of(BinaryFocalLoss)
def binary_focal_loss(
    input: Any,
    target: Any,
    /,
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    pos_weight: float | Sequence[float] | Array | None = None,
    activation: str | None = "sigmoid",
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.binary_focal_loss([2.0, -1.0], [1.0, 0.0])
    0.0087222169
    """
    return call(BinaryFocalLoss, locals())


@function_of(BinaryKLDivLoss)
def binary_kl_div(
    input: Any,
    target: Any,
    /,
    *,
    alpha: float = 1.0,
    activation: str | None = None,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.binary_kl_div([0.5, 0.9], [0.5, 0.5])
    0.25541281
    """
    return call(BinaryKLDivLoss, locals())


@function_of(JSDivLoss)
def js_div(
    input: Any,
    target: Any,
    /,
    *,
    alpha: float = 0.5,
    axis: int = 1,
    binary: bool = False,
    activation: str | None = None,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.js_div([[0.5, 0.5]], [[1.0, 0.0]])
    0.21576155
    """
    return call(JSDivLoss, locals())


@function_of(SoftMarginLoss)
def soft_margin_loss(
    input: Any,
    target: Any,
    /,
    *,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.soft_margin_loss([2.0, -1.0], [1.0, -1.0])
    0.22009485
    """
    return call(SoftMarginLoss, locals())


@function_of(MultiLabelSoftMarginLoss)
def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    /,
    *,
    class_weight: Sequence[float] | Array | None = None,
    axis: int = 1,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.multilabel_soft_margin_loss([[2.0, -1.0]], [[1.0, 0.0]])
    0.22009485
    """
    return call(MultiLabelSoftMarginLoss, locals())
