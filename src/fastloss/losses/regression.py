"""Losses for regression, as functions of the difference d = input - target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._engine.functions import function_of, loss_of
from .._engine.sums import ElementLoss
from .._terms import Term

__all__ = ["L1Loss", "LogCoshLoss", "MSELoss", "l1_loss", "log_cosh_loss", "mse_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class MSELoss(ElementLoss):
    """Mean squared error.

    An element's value is $d^2$, where $d$ = input - target.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    mse_loss : The same loss as a function; its docstring describes the arrays.
    HuberLoss : Less sensitive to outliers.

    References
    ----------
    `torch.nn.functional.mse_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.MSELoss()([1.0, 2.0], [1.5, 5.0])
    4.625
    """

    reduction: str = "mean"

    def terms(self) -> tuple[Term, ...]:
        return (Term("mse", "element"),)


@function_of(MSELoss)
def mse_loss(
    input: Any,
    target: Any,
    /,
    *,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """Mean squared error.

    An element's value is $d^2$, where $d$ = input - target.

    Parameters
    ----------
    input : array, any shape
        Predictions, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Targets, of any real dtype.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.
    pixel_weight : array, default None
        The weights of the elements: each is 0 or from 1e-30 to 1e30. The shape broadcasts to the input's. An element
        with weight 0 does not count.

    Returns
    -------
    float, or array if `reduction` is "none"
        The loss. An array has the dtype of the arithmetic: float64 for a float64 input, otherwise float32.

    Raises
    ------
    ValueError
        If a shape, a weight or an option is wrong.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    MSELoss : The same loss as an object, with gradients and partials.
    HuberLoss : Less sensitive to outliers.

    References
    ----------
    `torch.nn.functional.mse_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.mse_loss([1.0, 2.0], [1.5, 5.0])
    4.625
    """
    loss = loss_of(MSELoss, reduction)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class L1Loss(ElementLoss):
    """Mean absolute error.

    An element's value is $|d|$, where $d$ = input - target. The gradient at $d = 0$ is 0.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    l1_loss : The same loss as a function; its docstring describes the arrays.
    SmoothL1Loss, LogCoshLoss : Smooth at 0.

    References
    ----------
    `torch.nn.functional.l1_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.L1Loss()([1.0, 2.0], [1.5, 5.0])
    1.75
    """

    reduction: str = "mean"

    def terms(self) -> tuple[Term, ...]:
        return (Term("l1", "element"),)


@function_of(L1Loss)
def l1_loss(
    input: Any,
    target: Any,
    /,
    *,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    """Mean absolute error.

    An element's value is $|d|$, where $d$ = input - target. The gradient at $d = 0$ is 0.

    Parameters
    ----------
    input : array, any shape
        Predictions, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Targets, of any real dtype.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.
    pixel_weight : array, default None
        The weights of the elements: each is 0 or from 1e-30 to 1e30. The shape broadcasts to the input's. An element
        with weight 0 does not count.

    Returns
    -------
    float, or array if `reduction` is "none"
        The loss. An array has the dtype of the arithmetic: float64 for a float64 input, otherwise float32.

    Raises
    ------
    ValueError
        If a shape, a weight or an option is wrong.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    L1Loss : The same loss as an object, with gradients and partials.
    SmoothL1Loss, LogCoshLoss : Smooth at 0.

    References
    ----------
    `torch.nn.functional.l1_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.l1_loss([1.0, 2.0], [1.5, 5.0])
    1.75
    """
    loss = loss_of(L1Loss, reduction)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class LogCoshLoss(ElementLoss):
    r"""Logarithm of the hyperbolic cosine: a smooth absolute error.

    With $d$ = input - target, an element's value is $\log \cosh d = |d| + \log(1 + e^{-2|d|}) - \log 2$. It does not
    overflow for a finite $d$, and it keeps its relative accuracy for a small $d$.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    log_cosh_loss : The same loss as a function; its docstring describes the arrays.
    PseudoHuberLoss : Has a scale.

    References
    ----------
    Chen et al. 2019, arXiv:1811.03537; `keras.losses.LogCosh`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.LogCoshLoss()([1.0, 2.0], [1.5, 5.0])
    1.2147215
    """

    reduction: str = "mean"

    def terms(self) -> tuple[Term, ...]:
        return (Term("log_cosh", "element"),)


@function_of(LogCoshLoss)
def log_cosh_loss(
    input: Any,
    target: Any,
    /,
    *,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    r"""Logarithm of the hyperbolic cosine: a smooth absolute error.

    With $d$ = input - target, an element's value is $\log \cosh d = |d| + \log(1 + e^{-2|d|}) - \log 2$. It does not
    overflow for a finite $d$, and it keeps its relative accuracy for a small $d$.

    Parameters
    ----------
    input : array, any shape
        Predictions, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Targets, of any real dtype.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.
    pixel_weight : array, default None
        The weights of the elements: each is 0 or from 1e-30 to 1e30. The shape broadcasts to the input's. An element
        with weight 0 does not count.

    Returns
    -------
    float, or array if `reduction` is "none"
        The loss. An array has the dtype of the arithmetic: float64 for a float64 input, otherwise float32.

    Raises
    ------
    ValueError
        If a shape, a weight or an option is wrong.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    LogCoshLoss : The same loss as an object, with gradients and partials.
    PseudoHuberLoss : Has a scale.

    References
    ----------
    Chen et al. 2019, arXiv:1811.03537; `keras.losses.LogCosh`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.log_cosh_loss([1.0, 2.0], [1.5, 5.0])
    1.2147215
    """
    loss = loss_of(LogCoshLoss, reduction)
    return loss(input, target, pixel_weight=pixel_weight)
