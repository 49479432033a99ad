"""Margin losses: perceptron, soft margin, multi-label soft margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.sums import ElementLoss, LabelLoss, SumLoss, as_param
from .._terms import ACTIVATIONS, Term

__all__ = [
    "MultiLabelSoftMarginLoss",
    "PerceptronLoss",
    "SoftMarginLoss",
    "multilabel_soft_margin_loss",
    "perceptron_loss",
    "soft_margin_loss",
]


@dataclass(frozen=True, kw_only=True, repr=False)
class PerceptronLoss(LabelLoss):
    r"""Perceptron loss: cross entropy without its normaliser.

    With labels $y$, a pixel's value is $w_y (\max_c x_c - x_y)$; with a dense target, it is $\sum_c w_c y_c (\max_j x_j
    - x_c)$. If several maxima are equal, the first gets the gradient. The mean is defined as for `CrossEntropyLoss`.

    Parameters
    ----------
    class_weight : array, shape (C,), default None
        One weight per class, finite, >= 0. A pixel gets the weight of its target class.
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
    perceptron_loss : The same loss as a function; its docstring describes the arrays.
    CrossEntropyLoss

    References
    ----------
    LeCun et al. 2006, A Tutorial on Energy-Based Learning.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.PerceptronLoss()([[2.0, 0.0, -1.0]], [1])
    2.0
    """

    class_weight: Sequence[float] | Array | None = None
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def terms(self) -> tuple[Term, ...]:
        return self.term("perceptron")


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
    r"""Perceptron loss: cross entropy without its normaliser.

    With labels $y$, a pixel's value is $w_y (\max_c x_c - x_y)$; with a dense target, it is $\sum_c w_c y_c (\max_j x_j
    - x_c)$. If several maxima are equal, the first gets the gradient. The mean is defined as for `CrossEntropyLoss`.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Scores, of dtype float16, bfloat16, float32 or float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape.
    class_weight : array, shape (C,), default None
        One weight per class, finite, >= 0. A pixel gets the weight of its target class.
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
    PerceptronLoss : The same loss as an object, with gradients and partials.
    CrossEntropyLoss

    References
    ----------
    LeCun et al. 2006, A Tutorial on Energy-Based Learning.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.perceptron_loss([[2.0, 0.0, -1.0]], [1])
    2.0
    """
    loss = loss_of(PerceptronLoss, class_weight, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class SoftMarginLoss(ElementLoss):
    r"""Soft margin loss: binary cross entropy of logits for targets -1 and 1.

    An element's value is $\log(1 + e^{-y x})$ with $y \in \{-1, 1\}$. It is finite where torch's value overflows.

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
    soft_margin_loss : The same loss as a function; its docstring describes the arrays.
    BCEWithLogitsLoss : The same loss for targets in {0, 1}.

    References
    ----------
    `torch.nn.functional.soft_margin_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.SoftMarginLoss()([2.0, -1.0], [1.0, -1.0])
    0.22009485
    """

    reduction: str = "mean"

    takes_binary = False  # its targets are -1 and 1

    def terms(self) -> tuple[Term, ...]:
        return (Term("soft_margin", "element"),)


@function_of(SoftMarginLoss)
def soft_margin_loss(
    input: Any,
    target: Any,
    /,
    *,
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    r"""Soft margin loss: binary cross entropy of logits for targets -1 and 1.

    An element's value is $\log(1 + e^{-y x})$ with $y \in \{-1, 1\}$. It is finite where torch's value overflows.

    Parameters
    ----------
    input : array, any shape
        Logits, of dtype float16, bfloat16, float32 or float64.
    target : array, the input's shape
        Targets -1 and 1, of any real dtype.
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
    SoftMarginLoss : The same loss as an object, with gradients and partials.
    BCEWithLogitsLoss : The same loss for targets in {0, 1}.

    References
    ----------
    `torch.nn.functional.soft_margin_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.soft_margin_loss([2.0, -1.0], [1.0, -1.0])
    0.22009485
    """
    loss = loss_of(SoftMarginLoss, reduction)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class MultiLabelSoftMarginLoss(SumLoss):
    r"""Binary cross entropy of logits, averaged over the classes of each pixel.

    A pixel's value is $-\frac 1 C \sum_c w_c [y_c \log \sigma(x_c) + (1 - y_c) \log(1 - \sigma(x_c))]$.

    Parameters
    ----------
    class_weight : array, shape (C,), default None
        One factor per class, finite, >= 0. As in torch, it does not change the divisor of the mean.
    axis : int, default 1
        The class axis of `input`.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per pixel, shape (N, *S).

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    multilabel_soft_margin_loss : The same loss as a function; its docstring describes the arrays.
    BCEWithLogitsLoss

    References
    ----------
    `torch.nn.functional.multilabel_soft_margin_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.MultiLabelSoftMarginLoss()([[2.0, -1.0]], [[1.0, 0.0]])
    0.22009485
    """

    class_weight: Sequence[float] | Array | None = None
    axis: int = 1
    reduction: str = "mean"

    def terms(self) -> tuple[Term, ...]:
        weight = as_param(self.class_weight)
        return (Term("multilabel", "pixel", ACTIVATIONS.index("sigmoid"), None, (weight,), ("class_weight",)),)


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
    r"""Binary cross entropy of logits, averaged over the classes of each pixel.

    A pixel's value is $-\frac 1 C \sum_c w_c [y_c \log \sigma(x_c) + (1 - y_c) \log(1 - \sigma(x_c))]$.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Logits, of dtype float16, bfloat16, float32 or float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape.
    class_weight : array, shape (C,), default None
        One factor per class, finite, >= 0. As in torch, it does not change the divisor of the mean.
    axis : int, default 1
        The class axis of `input`.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per pixel, shape (N, *S).
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
    MultiLabelSoftMarginLoss : The same loss as an object, with gradients and partials.
    BCEWithLogitsLoss

    References
    ----------
    `torch.nn.functional.multilabel_soft_margin_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.multilabel_soft_margin_loss([[2.0, -1.0]], [[1.0, 0.0]])
    0.22009485
    """
    loss = loss_of(MultiLabelSoftMarginLoss, class_weight, axis, reduction)
    return loss(input, target, pixel_weight=pixel_weight)
