"""Poly loss: cross entropy with a different first term of its series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._engine.functions import function_of, loss_of
from .._engine.sums import SumLoss
from .._options import freeze, number
from .._terms import ACTIVATIONS, Term

__all__ = ["PolyLoss", "poly_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class PolyLoss(SumLoss):
    r"""Poly-1 loss of logits: cross entropy plus a multiple of one minus the probability of the label.

    With labels $y$, a pixel's value is $-\log p_y + \varepsilon (1 - p_y)$, where $p$ is the softmax of the input. With
    a dense target, it is $\sum_c y_c (-\log p_c + \varepsilon (1 - p_c))$. $-\log p$ is the sum of $(1 - p)^k / k$ over
    $k \ge 1$, and $\varepsilon$ changes the factor of its first term. A logit of -inf masks its class.

    Parameters
    ----------
    epsilon : float, default 1.0
        $\varepsilon$. With 0, the loss is cross entropy. Below -1, sure pixels get a gradient away from the label.
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
    poly_loss : The same loss as a function; its docstring describes the arrays.
    CrossEntropyLoss, FocalLoss

    References
    ----------
    Leng et al. 2022, arXiv:2204.12511; `optax.losses.poly_loss_cross_entropy`, whose default is $\varepsilon = 2$.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.PolyLoss(epsilon=2.0)([[2.0, 0.0, -1.0]], [0])
    0.48225655
    """

    epsilon: float = 1.0
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    exclusive = True

    def __post_init__(self) -> None:
        freeze(self, epsilon=number(self.epsilon, "epsilon"))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (Term("poly", "pixel", ACTIVATIONS.index("softmax"), None, (self.epsilon,)),)


@function_of(PolyLoss)
def poly_loss(
    input: Any,
    target: Any,
    /,
    *,
    epsilon: float = 1.0,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Poly-1 loss of logits: cross entropy plus a multiple of one minus the probability of the label.

    With labels $y$, a pixel's value is $-\log p_y + \varepsilon (1 - p_y)$, where $p$ is the softmax of the input. With
    a dense target, it is $\sum_c y_c (-\log p_c + \varepsilon (1 - p_c))$. $-\log p$ is the sum of $(1 - p)^k / k$ over
    $k \ge 1$, and $\varepsilon$ changes the factor of its first term. A logit of -inf masks its class.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Logits, of dtype float16, bfloat16, float32 or float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape.
    epsilon : float, default 1.0
        $\varepsilon$. With 0, the loss is cross entropy. Below -1, sure pixels get a gradient away from the label.
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
    PolyLoss : The same loss as an object, with gradients and partials.
    CrossEntropyLoss, FocalLoss

    References
    ----------
    Leng et al. 2022, arXiv:2204.12511; `optax.losses.poly_loss_cross_entropy`, whose default is $\varepsilon = 2$.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.poly_loss([[2.0, 0.0, -1.0]], [0])
    0.32605129
    """
    loss = loss_of(PolyLoss, epsilon, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)
