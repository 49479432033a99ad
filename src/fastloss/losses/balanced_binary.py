"""Binary cross entropy that balances the positives and the negatives of each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _backend
from .._arrays import Array, as_input, real_dtype
from .._batch import Batch, element_batch
from .._engine.functions import function_of, loss_of
from .._engine.sums import ElementLoss, bce_term
from .._terms import BINARY_ACTIVATIONS, Mode, Term, Terms

__all__ = ["BalancedBCELoss", "balanced_binary_cross_entropy"]


@dataclass(frozen=True, kw_only=True, repr=False)
class BalancedBCELoss(ElementLoss):
    r"""Binary cross entropy that weights positives by the share of negatives in the sample, and vice versa.

    An element's value is $-[b\,y \log p + (1 - b)(1 - y) \log(1 - p)]$, where $b = 1 - \sum w y / \sum w$. The sums
    are over the sample, and $w$ is `pixel_weight`. A thin edge then weighs as much as everything that is not an edge.
    $b$ depends on the target only, so no gradient goes through $b$. An input with one dimension is one sample.

    Parameters
    ----------
    activation : {"sigmoid", None}, default "sigmoid"
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
    balanced_binary_cross_entropy : The same loss as a function; its docstring describes the arrays.
    BCEWithLogitsLoss : Has a `pos_weight` that you choose.

    References
    ----------
    Xie and Tu 2015, arXiv:1504.06375 (holistically-nested edge detection).

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.BalancedBCELoss()([[2.0, -1.0, -2.0, 0.5]], [[1.0, 0.0, 0.0, 0.0]])
    0.11219067
    """

    activation: str | None = "sigmoid"
    reduction: str = "mean"

    activations = BINARY_ACTIVATIONS

    def terms(self) -> tuple[Term, ...]:
        # the sum over the positives, the sum over the negatives, and the sum of the targets
        return (bce_term(self.activation, 1.0, 0.0), bce_term(self.activation, 0.0), Term("target", "element"))

    def by_sample(self) -> bool:
        return True

    def is_linear(self) -> bool:
        return False

    def _checked(self, input: Any, target: Any, pixel_weight: Any) -> Batch:
        x = as_input(input)
        return element_batch(x, target, pixel_weight, axis=None, by_sample=x.ndim > 1)

    @staticmethod
    def _share(sums: list[Array]) -> Array:
        """The share b of each group, of shape (groups, 1)."""
        targets, weights = sums[2][:, :1], sums[2][:, 1:2]
        share: Array = 1 - np.divide(targets, weights, out=np.zeros_like(targets), where=weights > 0)
        return share

    @staticmethod
    def _blend(b: Array, positive: Array, negative: Array) -> Array:
        """b * positive + (1 - b) * negative. A factor of 0 gives 0, even where the other factor is inf."""
        first = np.multiply(b, positive, out=np.zeros_like(positive), where=b != 0)
        second = np.multiply(1 - b, negative, out=np.zeros_like(negative), where=b != 1)
        first += second
        return first

    def partial_of(self, sums: list[Array]) -> Array:
        return np.hstack([self._blend(self._share(sums), sums[0][:, :1], sums[1][:, :1]), sums[0][:, 1:2]])

    def coefficients(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        b, slope = self._share(sums), self.coefficient(numbers)
        return [b * slope, (1 - b) * slope, np.zeros_like(b)]

    def class_partial_of(self, sums: list[Array]) -> Array:
        b, classes = self._share(sums), (sums[0].shape[1] - 2) // 2
        values = [s[:, 2 : 2 + classes] for s in sums]
        return np.hstack([self._blend(b, *values[:2]), sums[0][:, 2 + classes :]])

    def value_map(self, batch: Batch) -> Array:
        b = self._share(self.sums(batch)).astype(real_dtype(batch.input.dtype))
        maps = [np.empty(batch.shape, b.dtype) for _ in range(2)]
        for term, out in zip(self.terms(), maps, strict=False):
            _backend.run(batch, Terms((term,)), Mode.MAP, by_sample=True, output=batch.kernel_view(out))
        b = b.reshape(-1, *[1] * (len(batch.shape) - 1)) if batch.by_sample else b[0, 0]
        return self._blend(b, *maps)


@function_of(BalancedBCELoss)
def balanced_binary_cross_entropy(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "sigmoid",
    reduction: str = "mean",
    pixel_weight: Any = None,
) -> float | Any:
    r"""Binary cross entropy that weights positives by the share of negatives in the sample, and vice versa.

    An element's value is $-[b\,y \log p + (1 - b)(1 - y) \log(1 - p)]$, where $b = 1 - \sum w y / \sum w$. The sums
    are over the sample, and $w$ is `pixel_weight`. A thin edge then weighs as much as everything that is not an edge.
    $b$ depends on the target only, so no gradient goes through $b$. An input with one dimension is one sample.

    Parameters
    ----------
    input : array, any shape
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64.
    target : array, the input's shape
        Targets in [0, 1], of any real dtype.
    activation : {"sigmoid", None}, default "sigmoid"
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
    BalancedBCELoss : The same loss as an object, with gradients and partials.
    BCEWithLogitsLoss : Has a `pos_weight` that you choose.

    References
    ----------
    Xie and Tu 2015, arXiv:1504.06375 (holistically-nested edge detection).

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.balanced_binary_cross_entropy([[2.0, -1.0, -2.0, 0.5]], [[1.0, 0.0, 0.0, 0.0]])
    0.11219067
    """
    loss = loss_of(BalancedBCELoss, activation, reduction)
    return loss(input, target, pixel_weight=pixel_weight)
