"""The losses for regression as functions."""

from __future__ import annotations

from typing import Any

from ..losses import HuberLoss, L1Loss, LogCoshLoss, MSELoss, PseudoHuberLoss, SmoothL1Loss
from ._call import call, function_of


@function_of(MSELoss)
def mse_loss(
    input: Any,
    target: Any,
    /,
    *,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.mse_loss([1.0, 2.0], [1.5, 5.0])
    4.625
    """
    return call(MSELoss, locals())


@function_of(L1Loss)
def l1_loss(
    input: Any,
    target: Any,
    /,
    *,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.l1_loss([1.0, 2.0], [1.5, 5.0])
    1.75
    """
    return call(L1Loss, locals())


@function_of(HuberLoss)
def huber_loss(
    input: Any,
    target: Any,
    /,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.huber_loss([1.0, 2.0], [1.5, 5.0])
    1.3125
    """
    return call(HuberLoss, locals())


@function_of(SmoothL1Loss)
def smooth_l1_loss(
    input: Any,
    target: Any,
    /,
    *,
    beta: float = 1.0,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.smooth_l1_loss([1.0, 2.0], [1.5, 5.0])
    1.3125
    """
    return call(SmoothL1Loss, locals())


@function_of(LogCoshLoss)
def log_cosh_loss(
    input: Any,
    target: Any,
    /,
    *,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.log_cosh_loss([1.0, 2.0], [1.5, 5.0])
    1.2147215
    """
    return call(LogCoshLoss, locals())


@function_of(PseudoHuberLoss)
def pseudo_huber_loss(
    input: Any,
    target: Any,
    /,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.pseudo_huber_loss([1.0, 2.0], [1.5, 5.0])
    1.1401558
    """
    return call(PseudoHuberLoss, locals())
