"""Jensen-Shannon divergence of categorical or Bernoulli distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._engine.functions import function_of, loss_of
from .._engine.sums import SumLoss
from .._options import choice, freeze, number
from .._terms import ACTIVATIONS, BINARY_ACTIVATIONS, Term

__all__ = ["JSDivLoss", "js_div"]


@dataclass(frozen=True, kw_only=True, repr=False)
class JSDivLoss(SumLoss):
    r"""Jensen-Shannon divergence of probabilities, and its alpha form.

    A pixel's value is $[KL(y \| m(p)) + KL(p \| m(y))] / 2$ with $m(p) = \alpha p + (1 - \alpha) y$ and $m(y) = \alpha
    y + (1 - \alpha) p$. Here $KL(u \| v) = \sum_c u_c \log(u_c / v_c)$, summed over the class axis. With `binary`, each
    element is the parameter of a Bernoulli distribution and has a value of its own. $\alpha = 1/2$ gives the
    Jensen-Shannon divergence. $\alpha = 1$ gives half of the Jeffreys divergence, which is the symmetric KL. The unit
    is nats. For $\alpha = 1/2$, the value is at most log 2.

    Parameters
    ----------
    alpha : float, default 0.5
        In [0, 1].
    axis : int, default 1
        The class axis of `input`.
    binary : bool, default False
        Whether each element is a Bernoulli distribution. `input` then has any shape.
    activation : {"softmax", "sigmoid", None}, default None
        The function that turns `input` into probabilities. None: `input` already holds probabilities. "softmax" is an
        error with `binary`.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per pixel, shape (N, *S), or with `binary`
        one per element.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    js_div : The same loss as a function; its docstring describes the arrays.
    KLDivLoss

    References
    ----------
    Lin 1991, doi:10.1109/18.61115.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.JSDivLoss()([[0.5, 0.5]], [[1.0, 0.0]])
    0.21576157
    """

    alpha: float = 0.5
    axis: int = 1
    binary: bool = False
    activation: str | None = None
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"

    activations = ACTIVATIONS

    def __post_init__(self) -> None:
        freeze(self, alpha=number(self.alpha, "alpha", 0, 1))
        choice(self.binary, "binary", (True, False))
        freeze(self, binary=bool(self.binary))
        if self.binary:
            freeze(self, kind="element", takes_binary=True, activations=BINARY_ACTIVATIONS)
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        activation = ACTIVATIONS.index(self.activation)
        name, kind = ("binary_js", "element") if self.binary else ("js", "pixel")
        return (Term(name, kind, activation, None, (self.alpha,)),)


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
    r"""Jensen-Shannon divergence of probabilities, and its alpha form.

    A pixel's value is $[KL(y \| m(p)) + KL(p \| m(y))] / 2$ with $m(p) = \alpha p + (1 - \alpha) y$ and $m(y) = \alpha
    y + (1 - \alpha) p$. Here $KL(u \| v) = \sum_c u_c \log(u_c / v_c)$, summed over the class axis. With `binary`, each
    element is the parameter of a Bernoulli distribution and has a value of its own. $\alpha = 1/2$ gives the
    Jensen-Shannon divergence. $\alpha = 1$ gives half of the Jeffreys divergence, which is the symmetric KL. The unit
    is nats. For $\alpha = 1/2$, the value is at most log 2.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape.
    alpha : float, default 0.5
        In [0, 1].
    axis : int, default 1
        The class axis of `input`.
    binary : bool, default False
        Whether each element is a Bernoulli distribution. `input` then has any shape.
    activation : {"softmax", "sigmoid", None}, default None
        The function that turns `input` into probabilities. None: `input` already holds probabilities. "softmax" is an
        error with `binary`.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per pixel, shape (N, *S), or with `binary`
        one per element.
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
    JSDivLoss : The same loss as an object, with gradients and partials.
    KLDivLoss

    References
    ----------
    Lin 1991, doi:10.1109/18.61115.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.js_div([[0.5, 0.5]], [[1.0, 0.0]])
    0.21576155
    """
    loss = loss_of(JSDivLoss, alpha, axis, binary, activation, ignore_index, reduction)
    return loss(input, target, pixel_weight=pixel_weight)
