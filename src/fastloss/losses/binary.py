"""Binary cross entropy of probabilities and of logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.sums import ElementLoss, bce_term
from .._terms import Term

__all__ = ["BCELoss", "BCEWithLogitsLoss", "binary_cross_entropy", "binary_cross_entropy_with_logits"]


@dataclass(frozen=True, kw_only=True, repr=False)
class BCELoss(ElementLoss):
    r"""Binary cross entropy of probabilities, with the semantics of `torch.nn.BCELoss`.

    An element's value is $-[b\,y \log p + (1 - y) \log(1 - p)]$. Logs are clamped to at least -100, and derivatives
    to at most 1e12. So probabilities of 0 and 1 give finite results.

    Parameters
    ----------
    pos_weight : float or array, shape (C,), default None
        $b$, the weight of positive elements, >= 0. A vector holds one weight per class; the classes are on `axis`.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.
    axis : int, default 1
        The class axis of `input`. It matters only if `pos_weight` has one number per class.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    binary_cross_entropy : The same loss as a function; its docstring describes the arrays.
    BCEWithLogitsLoss : Takes logits, and is more accurate.
    BalancedBCELoss : Computes the weights from the target.

    References
    ----------
    `torch.nn.functional.binary_cross_entropy`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.BCELoss()([0.8, 0.4], [1.0, 0.0])
    0.36698458
    """

    pos_weight: float | Sequence[float] | Array | None = None
    reduction: str = "mean"
    axis: int = 1

    def terms(self) -> tuple[Term, ...]:
        return (bce_term(None, self.pos_weight),)


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
    r"""Binary cross entropy of probabilities, with the semantics of `torch.nn.BCELoss`.

    An element's value is $-[b\,y \log p + (1 - y) \log(1 - p)]$. Logs are clamped to at least -100, and derivatives
    to at most 1e12. So probabilities of 0 and 1 give finite results.

    Parameters
    ----------
    input : array, any shape
        Probabilities, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Targets in [0, 1], of any real dtype.
    pos_weight : float or array, shape (C,), default None
        $b$, the weight of positive elements, >= 0. A vector holds one weight per class; the classes are on `axis`.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.
    axis : int, default 1
        The class axis of `input`. It matters only if `pos_weight` has one number per class.
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
    BCELoss : The same loss as an object, with gradients and partials.
    BCEWithLogitsLoss : Takes logits, and is more accurate.
    BalancedBCELoss : Computes the weights from the target.

    References
    ----------
    `torch.nn.functional.binary_cross_entropy`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.binary_cross_entropy([0.8, 0.4], [1.0, 0.0])
    0.36698459
    """
    loss = loss_of(BCELoss, pos_weight, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class BCEWithLogitsLoss(ElementLoss):
    r"""Binary cross entropy of logits, with the names and the semantics of `torch.nn.BCEWithLogitsLoss`.

    An element's value is $-[b\,y \log \sigma(x) + (1 - y) \log(1 - \sigma(x))]$. It is computed in a stable form, which
    for $b = 1$ is $\max(x, 0) - x y + \log(1 + e^{-|x|})$. Label smoothing replaces $y$ by $(1 - \varepsilon) y +
    \varepsilon / 2$.

    Parameters
    ----------
    pos_weight : float or array, shape (C,), default None
        $b$, the weight of positive elements, >= 0. A vector holds one weight per class; the classes are on `axis`.
    label_smoothing : float, default 0.0
        The amount $\varepsilon$ of smoothing, in [0, 1]. With 0, there is none.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.
    axis : int, default 1
        The class axis of `input`. It matters only if `pos_weight` has one number per class.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    binary_cross_entropy_with_logits : The same loss as a function; its docstring describes the arrays.
    CrossEntropyLoss : For mutually exclusive classes.

    Notes
    -----
    Infinite logits are allowed. In a sum with a region loss, a single channel also takes labels {0, 1}.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.BCEWithLogitsLoss(pos_weight=2.0)([0.5, -1.0], [1.0, 0.0])
    0.63070783
    """

    pos_weight: float | Sequence[float] | Array | None = None
    label_smoothing: float = 0.0
    reduction: str = "mean"
    axis: int = 1

    def terms(self) -> tuple[Term, ...]:
        return (bce_term("sigmoid", self.pos_weight, 1.0, self.label_smoothing),)


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
    r"""Binary cross entropy of logits, with the names and the semantics of `torch.nn.BCEWithLogitsLoss`.

    An element's value is $-[b\,y \log \sigma(x) + (1 - y) \log(1 - \sigma(x))]$. It is computed in a stable form, which
    for $b = 1$ is $\max(x, 0) - x y + \log(1 + e^{-|x|})$. Label smoothing replaces $y$ by $(1 - \varepsilon) y +
    \varepsilon / 2$.

    Parameters
    ----------
    input : array, any shape
        Logits, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Targets in [0, 1], of any real dtype.
    pos_weight : float or array, shape (C,), default None
        $b$, the weight of positive elements, >= 0. A vector holds one weight per class; the classes are on `axis`.
    label_smoothing : float, default 0.0
        The amount $\varepsilon$ of smoothing, in [0, 1]. With 0, there is none.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per element, in the input's shape.
    axis : int, default 1
        The class axis of `input`. It matters only if `pos_weight` has one number per class.
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
    BCEWithLogitsLoss : The same loss as an object, with gradients and partials.
    CrossEntropyLoss : For mutually exclusive classes.

    Notes
    -----
    Infinite logits are allowed. In a sum with a region loss, a single channel also takes labels {0, 1}.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.binary_cross_entropy_with_logits([0.5, -1.0], [1.0, 0.0])
    0.39366935
    """
    loss = loss_of(BCEWithLogitsLoss, pos_weight, label_smoothing, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)
