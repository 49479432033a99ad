"""Focal losses: cross entropies in which confident predictions weigh less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.sums import ElementLoss, SumLoss, as_param
from .._options import freeze, number, number_or_vector
from .._terms import ACTIVATIONS, BINARY_ACTIVATIONS, Term

__all__ = ["BinaryFocalLoss", "FocalLoss", "binary_focal_loss", "focal_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class FocalLoss(SumLoss):
    r"""Focal loss over a class axis, with gamma and alpha for each class.

    A pixel's value is $-\sum_c \alpha_c (1 - p_c)^{\gamma_c} y_c \log p_c$. With labels, only the label's class has a
    term. $\gamma = 0$ without $\alpha$ is cross entropy. The mean divides by the sum of `pixel_weight`, in which
    $\alpha$ has no part.

    Parameters
    ----------
    gamma : float or array, shape (C,), default 2.0
        $\gamma$, >= 0: one number for all classes, or one per class. A larger $\gamma$ reduces the weight of confident
        pixels.
    alpha : array, shape (C,), default None
        $\alpha$, >= 0: one factor per class. None: 1.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities. Their logs are
        clamped to at least -100.
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
    focal_loss : The same loss as a function; its docstring describes the arrays.
    BinaryFocalLoss : Also has a term for negatives.

    References
    ----------
    Lin et al. 2017, arXiv:1708.02002.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.FocalLoss(gamma=[2.0, 1.0, 0.0])([[2.0, 0.0, -1.0]], [0])
    0.0041442573
    """

    gamma: float | Sequence[float] | Array = 2.0
    alpha: Sequence[float] | Array | None = None
    activation: str | None = "softmax"
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    activations = ACTIVATIONS

    def __post_init__(self) -> None:
        freeze(self, gamma=number_or_vector(self.gamma, "gamma"))
        if self.alpha is not None:
            freeze(self, alpha=number_or_vector(self.alpha, "alpha"))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        params = as_param(self.gamma), as_param(self.alpha)
        return (Term("focal", "pixel", ACTIVATIONS.index(self.activation), None, params, ("gamma", "alpha")),)


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
    r"""Focal loss over a class axis, with gamma and alpha for each class.

    A pixel's value is $-\sum_c \alpha_c (1 - p_c)^{\gamma_c} y_c \log p_c$. With labels, only the label's class has a
    term. $\gamma = 0$ without $\alpha$ is cross entropy. The mean divides by the sum of `pixel_weight`, in which
    $\alpha$ has no part.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape.
    gamma : float or array, shape (C,), default 2.0
        $\gamma$, >= 0: one number for all classes, or one per class. A larger $\gamma$ reduces the weight of confident
        pixels.
    alpha : array, shape (C,), default None
        $\alpha$, >= 0: one factor per class. None: 1.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities. Their logs are
        clamped to at least -100.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per pixel, shape (N, *S).
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
    FocalLoss : The same loss as an object, with gradients and partials.
    BinaryFocalLoss : Also has a term for negatives.

    References
    ----------
    Lin et al. 2017, arXiv:1708.02002.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.focal_loss([[2.0, 0.0, -1.0]], [0])
    0.0041442573
    """
    loss = loss_of(FocalLoss, gamma, alpha, activation, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class BinaryFocalLoss(ElementLoss):
    r"""Focal loss of single elements. For targets 0 and 1, it equals `torchvision.ops.sigmoid_focal_loss`.

    An element's value is $-\alpha b (1 - p)^\gamma y \log p - (1 - \alpha) p^\gamma (1 - y) \log(1 - p)$.

    Parameters
    ----------
    gamma : float, default 2.0
        $\gamma$, >= 0. A larger $\gamma$ reduces the weight of confident elements. With 0, the loss is (weighted)
        binary cross entropy.
    alpha : float, default 0.25
        $\alpha$, in [0, 1]: the weight of positives. The weight of negatives is $1 - \alpha$. None: both are 1.
    pos_weight : float or array, shape (C,), default None
        $b$, a further weight of positive elements, >= 0. A vector holds one weight per class; the classes are on
        `axis`.
    activation : {"sigmoid", None}, default "sigmoid"
        The function that turns `input` into probabilities. None: `input` already holds probabilities. Their logs are
        clamped to at least -100.
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
    binary_focal_loss : The same loss as a function; its docstring describes the arrays.
    FocalLoss : For mutually exclusive classes.

    References
    ----------
    Lin et al. 2017, arXiv:1708.02002. `pos_weight` is taken from kornia's `binary_focal_loss_with_logits`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.BinaryFocalLoss()([2.0, -1.0], [1.0, 0.0])
    0.0087222169
    """

    gamma: float = 2.0
    alpha: float | None = 0.25
    pos_weight: float | Sequence[float] | Array | None = None
    activation: str | None = "sigmoid"
    reduction: str = "mean"
    axis: int = 1

    activations = BINARY_ACTIVATIONS

    def __post_init__(self) -> None:
        freeze(self, gamma=number(self.gamma, "gamma", 0))
        if self.alpha is not None:
            freeze(self, alpha=number(self.alpha, "alpha", 0, 1))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        positive, negative = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        b = as_param(self.pos_weight)
        pos = tuple(positive * w for w in b) if isinstance(b, tuple) else positive * b
        params, names = (self.gamma, pos, negative), ("", "pos_weight", "")
        return (Term("binary_focal", "element", ACTIVATIONS.index(self.activation), None, params, names),)


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
    r"""Focal loss of single elements. For targets 0 and 1, it equals `torchvision.ops.sigmoid_focal_loss`.

    An element's value is $-\alpha b (1 - p)^\gamma y \log p - (1 - \alpha) p^\gamma (1 - y) \log(1 - p)$.

    Parameters
    ----------
    input : array, any shape
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64.
    target : array, the input's shape
        Targets in [0, 1], of any real dtype.
    gamma : float, default 2.0
        $\gamma$, >= 0. A larger $\gamma$ reduces the weight of confident elements. With 0, the loss is (weighted)
        binary cross entropy.
    alpha : float, default 0.25
        $\alpha$, in [0, 1]: the weight of positives. The weight of negatives is $1 - \alpha$. None: both are 1.
    pos_weight : float or array, shape (C,), default None
        $b$, a further weight of positive elements, >= 0. A vector holds one weight per class; the classes are on
        `axis`.
    activation : {"sigmoid", None}, default "sigmoid"
        The function that turns `input` into probabilities. None: `input` already holds probabilities. Their logs are
        clamped to at least -100.
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
    BinaryFocalLoss : The same loss as an object, with gradients and partials.
    FocalLoss : For mutually exclusive classes.

    References
    ----------
    Lin et al. 2017, arXiv:1708.02002. `pos_weight` is taken from kornia's `binary_focal_loss_with_logits`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.binary_focal_loss([2.0, -1.0], [1.0, 0.0])
    0.0087222169
    """
    loss = loss_of(BinaryFocalLoss, gamma, alpha, pos_weight, activation, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)
