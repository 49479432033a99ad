"""Losses for regression that are quadratic for small and linear for large d, where d = input - target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._engine.functions import function_of, loss_of
from .._engine.sums import ElementLoss
from .._options import freeze, number, positive
from .._terms import Term

__all__ = ["HuberLoss", "PseudoHuberLoss", "SmoothL1Loss", "huber_loss", "pseudo_huber_loss", "smooth_l1_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class HuberLoss(ElementLoss):
    r"""Huber loss: squared error near 0, absolute error beyond.

    With $d$ = input - target, an element's value is $d^2 / 2$ where $|d| \le \delta$, else $\delta (|d| - \delta / 2)$.

    Parameters
    ----------
    delta : float, default 1.0
        $\delta$, from 1e-30 to 1e30. The loss is linear where $|d|$ is larger.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    huber_loss : The same loss as a function; its docstring describes the arrays.
    SmoothL1Loss : This loss divided by delta.

    References
    ----------
    `torch.nn.functional.huber_loss`. Huber 1964, doi:10.1214/aoms/1177703732.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.HuberLoss(delta=2.0)([1.0, 2.0], [1.5, 5.0])
    2.0625
    """

    delta: float = 1.0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        freeze(self, delta=positive(self.delta, "delta"))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (Term("huber", "element", 0, None, (self.delta, 1.0, self.delta)),)


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
    r"""Huber loss: squared error near 0, absolute error beyond.

    With $d$ = input - target, an element's value is $d^2 / 2$ where $|d| \le \delta$, else $\delta (|d| - \delta / 2)$.

    Parameters
    ----------
    input : array, any shape
        Predictions, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Targets, of any real dtype.
    delta : float, default 1.0
        $\delta$, from 1e-30 to 1e30. The loss is linear where $|d|$ is larger.
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
    HuberLoss : The same loss as an object, with gradients and partials.
    SmoothL1Loss : This loss divided by delta.

    References
    ----------
    `torch.nn.functional.huber_loss`. Huber 1964, doi:10.1214/aoms/1177703732.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.huber_loss([1.0, 2.0], [1.5, 5.0])
    1.3125
    """
    loss = loss_of(HuberLoss, delta, reduction)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class SmoothL1Loss(ElementLoss):
    r"""Smooth L1 loss: absolute error, quadratic near 0.

    With $d$ = input - target, an element's value is $d^2 / (2 \beta)$ where $|d| < \beta$, else $|d| - \beta / 2$. With
    $\beta = 0$, the loss is L1.

    Parameters
    ----------
    beta : float, default 1.0
        $\beta$, 0 or from 1e-30 to 1e30.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    smooth_l1_loss : The same loss as a function; its docstring describes the arrays.
    HuberLoss : This loss times beta.

    References
    ----------
    `torch.nn.functional.smooth_l1_loss`. Girshick 2015, arXiv:1504.08083.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.SmoothL1Loss(beta=2.0)([1.0, 2.0], [1.5, 5.0])
    1.03125
    """

    beta: float = 1.0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        freeze(self, beta=number(self.beta, "beta", 0))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        if self.beta == 0:
            return (Term("l1", "element"),)
        return (Term("huber", "element", 0, None, (self.beta, 1 / self.beta, 1.0)),)


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
    r"""Smooth L1 loss: absolute error, quadratic near 0.

    With $d$ = input - target, an element's value is $d^2 / (2 \beta)$ where $|d| < \beta$, else $|d| - \beta / 2$. With
    $\beta = 0$, the loss is L1.

    Parameters
    ----------
    input : array, any shape
        Predictions, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Targets, of any real dtype.
    beta : float, default 1.0
        $\beta$, 0 or from 1e-30 to 1e30.
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
    SmoothL1Loss : The same loss as an object, with gradients and partials.
    HuberLoss : This loss times beta.

    References
    ----------
    `torch.nn.functional.smooth_l1_loss`. Girshick 2015, arXiv:1504.08083.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.smooth_l1_loss([1.0, 2.0], [1.5, 5.0])
    1.3125
    """
    loss = loss_of(SmoothL1Loss, beta, reduction)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class PseudoHuberLoss(ElementLoss):
    r"""Pseudo-Huber loss: a smooth absolute error with a scale.

    With $d$ = input - target, an element's value is $\delta^2 (\sqrt{1 + (d / \delta)^2} - 1)$, as in
    `scipy.special.pseudo_huber`. It is smooth, and finite for any finite $d$.

    Parameters
    ----------
    delta : float, default 1.0
        $\delta$, from 1e-30 to 1e30.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    pseudo_huber_loss : The same loss as a function; its docstring describes the arrays.
    HuberLoss

    References
    ----------
    Charbonnier et al. 1997, doi:10.1109/83.551699.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.PseudoHuberLoss(delta=2.0)([1.0, 2.0], [1.5, 5.0])
    1.6671041
    """

    delta: float = 1.0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        freeze(self, delta=positive(self.delta, "delta"))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (Term("pseudo_huber", "element", 0, None, (self.delta,)),)


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
    r"""Pseudo-Huber loss: a smooth absolute error with a scale.

    With $d$ = input - target, an element's value is $\delta^2 (\sqrt{1 + (d / \delta)^2} - 1)$, as in
    `scipy.special.pseudo_huber`. It is smooth, and finite for any finite $d$.

    Parameters
    ----------
    input : array, any shape
        Predictions, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Targets, of any real dtype.
    delta : float, default 1.0
        $\delta$, from 1e-30 to 1e30.
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
    PseudoHuberLoss : The same loss as an object, with gradients and partials.
    HuberLoss

    References
    ----------
    Charbonnier et al. 1997, doi:10.1109/83.551699.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.pseudo_huber_loss([1.0, 2.0], [1.5, 5.0])
    1.1401558
    """
    loss = loss_of(PseudoHuberLoss, delta, reduction)
    return loss(input, target, pixel_weight=pixel_weight)
