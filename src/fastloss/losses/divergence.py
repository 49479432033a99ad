"""Kullback-Leibler divergences of categorical and of Bernoulli distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.sums import ElementLoss
from .._options import choice, freeze, number
from .._terms import ACTIVATIONS, BINARY_ACTIVATIONS, Term

__all__ = ["BinaryKLDivLoss", "KLDivLoss", "binary_kl_div", "kl_div"]


@dataclass(frozen=True, kw_only=True, repr=False)
class KLDivLoss(ElementLoss):
    r"""Kullback-Leibler divergence of log-probabilities, with the semantics of `torch.nn.KLDivLoss`.

    An element's value is $y (\log y - q)$, or $e^y (y - q)$ with `log_target`. $0 \log 0$ is 0. As in torch, each class
    of a pixel is an element of its own. The reductions "batchmean" and "sum" also sum over the classes.

    Parameters
    ----------
    log_target : bool, default False
        Whether `target` also holds log-probabilities.
    reduction : {"mean", "sum", "batchmean", "none"}, default "mean"
        "batchmean" divides the sum by the number of samples, as the divergence is defined.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    kl_div : The same loss as a function; its docstring describes the arrays.
    JSDivLoss
    BinaryKLDivLoss : For Bernoulli distributions.

    References
    ----------
    `torch.nn.functional.kl_div`.

    Examples
    --------
    >>> import fastloss as fl, numpy as np
    >>> fl.KLDivLoss(reduction="batchmean")(np.log([[0.7, 0.3]]), [[0.5, 0.5]])
    0.08717669
    """

    log_target: bool = False
    reduction: str = "mean"

    reductions = ("mean", "sum", "batchmean", "none")

    def __post_init__(self) -> None:
        choice(self.log_target, "log_target", (True, False))
        freeze(self, log_target=bool(self.log_target))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (Term("kl_div_log" if self.log_target else "kl_div", "element"),)

    def by_sample(self) -> bool:
        return self.reduction == "batchmean"

    def partial_of(self, sums: list[Array]) -> Array:
        if self.reduction != "batchmean":
            return super().partial_of(sums)
        return np.column_stack([sums[0][:, 0], np.ones(len(sums[0]))])

    def class_partial_of(self, sums: list[Array]) -> Array:
        rows = super().class_partial_of(sums)
        if self.reduction == "batchmean":
            rows = rows.copy()
            rows[:, rows.shape[1] // 2 :] = 1
        return rows


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
    r"""Kullback-Leibler divergence of log-probabilities, with the semantics of `torch.nn.KLDivLoss`.

    An element's value is $y (\log y - q)$, or $e^y (y - q)$ with `log_target`. $0 \log 0$ is 0. As in torch, each class
    of a pixel is an element of its own. The reductions "batchmean" and "sum" also sum over the classes.

    Parameters
    ----------
    input : array, any shape
        Log-probabilities, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Probabilities, or log-probabilities with `log_target`, of any real dtype.
    log_target : bool, default False
        Whether `target` also holds log-probabilities.
    reduction : {"mean", "sum", "batchmean", "none"}, default "mean"
        "batchmean" divides the sum by the number of samples, as the divergence is defined.
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
    KLDivLoss : The same loss as an object, with gradients and partials.
    JSDivLoss
    BinaryKLDivLoss : For Bernoulli distributions.

    References
    ----------
    `torch.nn.functional.kl_div`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.kl_div([[-0.2, -1.7]], [[0.5, 0.5]])
    0.12842641
    """
    loss = loss_of(KLDivLoss, log_target, reduction)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class BinaryKLDivLoss(ElementLoss):
    r"""Kullback-Leibler divergence of Bernoulli distributions, and its alpha form.

    An element's value is $y \log \frac y m + (1 - y) \log \frac{1 - y}{1 - m}$ with $m = \alpha p + (1 - \alpha) y$.
    $0 \log 0$ is 0. With $\alpha = 1$, the value is KL(y‖p): binary cross entropy minus the entropy of the target.

    Parameters
    ----------
    alpha : float, default 1.0
        The share of $p$ in $m$, in [0, 1]. Below 1 the value is bounded, even where $p$ is 0 and $y$ is not.
    activation : {"sigmoid", None}, default None
        The function that turns `input` into probabilities. None: `input` already holds probabilities. Their logs are
        clamped to at least -100.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    binary_kl_div : The same loss as a function; its docstring describes the arrays.
    KLDivLoss, JSDivLoss

    References
    ----------
    Kullback and Leibler 1951, doi:10.1214/aoms/1177729694. The alpha form is the skew divergence of Lee 1999.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.BinaryKLDivLoss()([0.5, 0.9], [0.5, 0.5])
    0.25541282
    """

    alpha: float = 1.0
    activation: str | None = None
    reduction: str = "mean"

    activations = BINARY_ACTIVATIONS

    def __post_init__(self) -> None:
        freeze(self, alpha=number(self.alpha, "alpha", 0, 1))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (Term("binary_kl", "element", ACTIVATIONS.index(self.activation), None, (self.alpha,)),)


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
    r"""Kullback-Leibler divergence of Bernoulli distributions, and its alpha form.

    An element's value is $y \log \frac y m + (1 - y) \log \frac{1 - y}{1 - m}$ with $m = \alpha p + (1 - \alpha) y$.
    $0 \log 0$ is 0. With $\alpha = 1$, the value is KL(y‖p): binary cross entropy minus the entropy of the target.

    Parameters
    ----------
    input : array, any shape
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64.
    target : array, the input's shape
        Probabilities, of any real dtype.
    alpha : float, default 1.0
        The share of $p$ in $m$, in [0, 1]. Below 1 the value is bounded, even where $p$ is 0 and $y$ is not.
    activation : {"sigmoid", None}, default None
        The function that turns `input` into probabilities. None: `input` already holds probabilities. Their logs are
        clamped to at least -100.
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
    BinaryKLDivLoss : The same loss as an object, with gradients and partials.
    KLDivLoss, JSDivLoss

    References
    ----------
    Kullback and Leibler 1951, doi:10.1214/aoms/1177729694. The alpha form is the skew divergence of Lee 1999.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.binary_kl_div([0.5, 0.9], [0.5, 0.5])
    0.25541281
    """
    loss = loss_of(BinaryKLDivLoss, alpha, activation, reduction)
    return loss(input, target, pixel_weight=pixel_weight)
