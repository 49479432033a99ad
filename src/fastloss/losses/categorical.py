"""Cross entropy over a class axis, for logits, for log-probabilities and for probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.sums import LabelLoss
from .._terms import Term

__all__ = [
    "CategoricalCrossEntropyLoss",
    "CrossEntropyLoss",
    "NLLLoss",
    "categorical_cross_entropy",
    "cross_entropy",
    "nll_loss",
]


@dataclass(frozen=True, kw_only=True, repr=False)
class CrossEntropyLoss(LabelLoss):
    r"""Softmax cross entropy of logits, with the names and the semantics of `torch.nn.CrossEntropyLoss`.

    With labels $y$, a pixel's value is $w_y (\log \sum_c e^{x_c} - x_y)$. With a dense target, it is $-\sum_c w_c y_c
    (x_c - \log \sum_j e^{x_j})$. Label smoothing $\varepsilon$ replaces the target by $(1 - \varepsilon) y +
    \varepsilon / C$. The mean over the kept pixels is $\sum w l / \sum w$, where $l$ is a pixel's loss. As in torch,
    $w = w_y \cdot$ `pixel_weight` for labels, and $w =$ `pixel_weight` for a dense target. The small loss of a
    confident pixel keeps its relative accuracy. A logit of -inf masks its class.

    Parameters
    ----------
    class_weight : array, shape (C,), default None
        One weight per class, finite, >= 0. A pixel gets the weight of its target class.
    label_smoothing : float, default 0.0
        The amount $\varepsilon$ of smoothing, in [0, 1]. With 0, there is none.
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
    cross_entropy : The same loss as a function; its docstring describes the arrays.
    DiceLoss : Measures overlap.
    BCEWithLogitsLoss : For classes that are not mutually exclusive.

    References
    ----------
    `torch.nn.functional.cross_entropy`; smoothing: Szegedy et al. 2016, arXiv:1512.00567.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.CrossEntropyLoss(label_smoothing=0.1)([[2.0, 0.0, -1.0]], [0])
    0.33651269
    """

    class_weight: Sequence[float] | Array | None = None
    label_smoothing: float = 0.0
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def terms(self) -> tuple[Term, ...]:
        return self.term("cross_entropy", self.label_smoothing)


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
    r"""Softmax cross entropy of logits, with the names and the semantics of `torch.nn.CrossEntropyLoss`.

    With labels $y$, a pixel's value is $w_y (\log \sum_c e^{x_c} - x_y)$. With a dense target, it is $-\sum_c w_c y_c
    (x_c - \log \sum_j e^{x_j})$. Label smoothing $\varepsilon$ replaces the target by $(1 - \varepsilon) y +
    \varepsilon / C$. The mean over the kept pixels is $\sum w l / \sum w$, where $l$ is a pixel's loss. As in torch,
    $w = w_y \cdot$ `pixel_weight` for labels, and $w =$ `pixel_weight` for a dense target. The small loss of a
    confident pixel keeps its relative accuracy. A logit of -inf masks its class.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Logits, of dtype float16, bfloat16, float32 or float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape.
    class_weight : array, shape (C,), default None
        One weight per class, finite, >= 0. A pixel gets the weight of its target class.
    label_smoothing : float, default 0.0
        The amount $\varepsilon$ of smoothing, in [0, 1]. With 0, there is none.
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
    CrossEntropyLoss : The same loss as an object, with gradients and partials.
    DiceLoss : Measures overlap.
    BCEWithLogitsLoss : For classes that are not mutually exclusive.

    References
    ----------
    `torch.nn.functional.cross_entropy`; smoothing: Szegedy et al. 2016, arXiv:1512.00567.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.cross_entropy([[2.0, 0.0, -1.0]], [0])
    0.16984602
    """
    loss = loss_of(CrossEntropyLoss, class_weight, label_smoothing, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class NLLLoss(LabelLoss):
    r"""Negative log-likelihood of log-probabilities, with the semantics of `torch.nn.NLLLoss`.

    With labels $y$, a pixel's value is $-w_y q_y$; with a dense target, it is $-\sum_c w_c y_c q_c$. The mean is
    defined as for `CrossEntropyLoss`. For logits, `CrossEntropyLoss` is more accurate: it computes the `log_softmax`
    and this loss in one step.

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
    nll_loss : The same loss as a function; its docstring describes the arrays.
    CategoricalCrossEntropyLoss : Takes probabilities.

    References
    ----------
    `torch.nn.functional.nll_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.NLLLoss()(fl.log_softmax([[2.0, 0.0, -1.0]], axis=1), [0])
    0.16984602
    """

    class_weight: Sequence[float] | Array | None = None
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def terms(self) -> tuple[Term, ...]:
        return self.term("nll")


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
    r"""Negative log-likelihood of log-probabilities, with the semantics of `torch.nn.NLLLoss`.

    With labels $y$, a pixel's value is $-w_y q_y$; with a dense target, it is $-\sum_c w_c y_c q_c$. The mean is
    defined as for `CrossEntropyLoss`. For logits, `CrossEntropyLoss` is more accurate: it computes the `log_softmax`
    and this loss in one step.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Log-probabilities, of dtype float16, bfloat16, float32 or float64. The classes are on `axis`.
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
    NLLLoss : The same loss as an object, with gradients and partials.
    CategoricalCrossEntropyLoss : Takes probabilities.

    References
    ----------
    `torch.nn.functional.nll_loss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.nll_loss([[-0.2, -1.7]], [0])
    0.2
    """
    loss = loss_of(NLLLoss, class_weight, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class CategoricalCrossEntropyLoss(LabelLoss):
    r"""Cross entropy of probabilities: Keras' categorical (dense) and sparse categorical (labels) cross entropy.

    With labels $y$, a pixel's value is $-w_y \log p_y$; with a dense target, it is $-\sum_c w_c y_c \log p_c$. Logs
    are clamped to at least -100, and derivatives $1/p$ to at most 1e12. So a probability of 0 gives a finite result.
    The probabilities are not normalised again. Label smoothing and the mean are defined as for `CrossEntropyLoss`.

    Parameters
    ----------
    class_weight : array, shape (C,), default None
        One weight per class, finite, >= 0. A pixel gets the weight of its target class.
    label_smoothing : float, default 0.0
        The amount $\varepsilon$ of smoothing, in [0, 1]. With 0, there is none.
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
    categorical_cross_entropy : The same loss as a function; its docstring describes the arrays.
    CrossEntropyLoss : Takes logits. It is more accurate and faster than a softmax followed by this loss.

    References
    ----------
    `keras.losses.CategoricalCrossentropy`, which clips the probabilities to [1e-7, 1 - 1e-7].

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.CategoricalCrossEntropyLoss()([[0.7, 0.2, 0.1]], [0])
    0.35667494
    """

    class_weight: Sequence[float] | Array | None = None
    label_smoothing: float = 0.0
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def terms(self) -> tuple[Term, ...]:
        return self.term("categorical", self.label_smoothing)


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
    r"""Cross entropy of probabilities: Keras' categorical (dense) and sparse categorical (labels) cross entropy.

    With labels $y$, a pixel's value is $-w_y \log p_y$; with a dense target, it is $-\sum_c w_c y_c \log p_c$. Logs
    are clamped to at least -100, and derivatives $1/p$ to at most 1e12. So a probability of 0 gives a finite result.
    The probabilities are not normalised again. Label smoothing and the mean are defined as for `CrossEntropyLoss`.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Probabilities, of dtype float16, bfloat16, float32 or float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape.
    class_weight : array, shape (C,), default None
        One weight per class, finite, >= 0. A pixel gets the weight of its target class.
    label_smoothing : float, default 0.0
        The amount $\varepsilon$ of smoothing, in [0, 1]. With 0, there is none.
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
    CategoricalCrossEntropyLoss : The same loss as an object, with gradients and partials.
    CrossEntropyLoss : Takes logits. It is more accurate and faster than a softmax followed by this loss.

    References
    ----------
    `keras.losses.CategoricalCrossentropy`, which clips the probabilities to [1e-7, 1 - 1e-7].

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.categorical_cross_entropy([[0.7, 0.2, 0.1]], [0])
    0.35667494
    """
    loss = loss_of(CategoricalCrossEntropyLoss, class_weight, label_smoothing, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)
