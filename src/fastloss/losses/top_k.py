"""Top-k and OHEM: the mean of another loss over the hardest pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .. import _backend
from .._arrays import Array, as_input, real_dtype
from .._batch import LARGE_SAMPLE, Batch, element_batch, pixel_shape
from .._engine.functions import function_of, loss_of
from .._engine.loss import Loss
from .._engine.sums import SumLoss
from .._options import choice, freeze, integer, number
from .._terms import ACTIVATIONS, Mode, Term, Terms
from .categorical import CategoricalCrossEntropyLoss, CrossEntropyLoss
from .focal import FocalLoss
from .poly import PolyLoss

__all__ = ["TopKLoss", "top_k_loss"]

SHARE = 0.1
ROUNDING = 1e-6  # so that a share of 0.29 of 100 pixels is 29 of them, although 0.29 * 100 is less in float64

# The losses whose pixels have the probability of a label, and the activation that makes it.
OF_LABELS: dict[type[Loss], str | None] = {
    CrossEntropyLoss: "softmax",
    PolyLoss: "softmax",
    CategoricalCrossEntropyLoss: None,
}


def _hardest(values: Array, counting: Array, count: int) -> Array:
    """Which `count` values are the largest among those that count. nan is larger than any, and ties go to the first."""
    among = values.reshape(-1) if counting.all() else values[counting]
    if count >= len(among):
        return counting.copy()
    least = np.partition(among, len(among) - count)[len(among) - count]  # nan is the largest for NumPy as well
    if np.isnan(least):
        kept, ties = np.zeros(values.shape, np.bool_), np.isnan(values)
    else:
        kept, ties = counting & ~(values <= least), values == least
    first = np.flatnonzero(counting & ties)[: count - np.count_nonzero(kept)]
    kept.reshape(-1)[first] = True
    return kept


@dataclass(frozen=True, kw_only=True, repr=False)
class TopKLoss(SumLoss):
    r"""Top-k loss: the mean of another loss over the hardest pixels, also known as OHEM.

    The pixels with the largest values of `loss` are kept; the others get the weight 0. `k` sets how many are kept.
    With `threshold`, they are those whose label has a probability below the threshold instead. For a loss with one
    value per element, the elements take the place of the pixels.

    Parameters
    ----------
    loss : loss, default CrossEntropyLoss()
        A loss with one value per pixel or element. Its `ignore_index`, `reduction` and `axis` are those of the whole.
    k : float or int, default 0.1
        A float is the share of the pixels that count, in (0, 1]; the number of pixels is rounded down. An int is the
        number of pixels. At least one pixel is kept.
    threshold : float, default None
        The probability, in [0, 1], below which a pixel is kept. It replaces `k`, and takes labels and a cross entropy,
        a focal loss or a poly loss.
    min_kept : int, default 0
        The least number of pixels that are kept, if as many count. With `threshold`, those with the smallest
        probabilities are added.
    per_image : bool, default False
        Whether the hardest pixels of each image are kept. Otherwise, those of the whole batch are kept; such a loss has
        no partials.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    top_k_loss : The same loss as a function; its docstring describes the arrays.
    BalancedBCELoss : Weights positives and negatives.

    Notes
    -----
    The mean is that of the kept pixels: it divides by the sum of their weights, as `loss` does. Of equal values, the
    first in the order of the array are kept. A `pixel_weight` multiplies the values before they are compared. If
    `threshold` keeps no pixel, the mean is nan; `min_kept=1` prevents that. The loss keeps its `k` share per call or
    per image, so tiles of an image are refused.

    References
    ----------
    Wu et al. 2016, arXiv:1604.04339, keep the k hardest pixels; Shrivastava et al. 2016, arXiv:1604.03540 (OHEM).
    nnU-Net's `TopKLoss`, in which ignored pixels count with a loss of 0. mmsegmentation's `OHEMPixelSampler`, whose
    `min_kept` is per image of the batch, and whose mean is over all pixels.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.TopKLoss(fl.CrossEntropyLoss(), k=0.5)([[2.0, 0.0], [0.0, 1.0]], [0, 0])
    1.3132617
    >>> fl.TopKLoss(threshold=0.7)([[2.0, 0.0], [0.0, 1.0]], [0, 0])
    1.3132617
    """

    loss: SumLoss = dataclasses.field(default=CrossEntropyLoss(), kw_only=False)
    k: float | int = 0.1
    threshold: float | None = None
    min_kept: int = 0
    per_image: bool = False

    def __post_init__(self) -> None:
        inner = self.loss
        if not isinstance(inner, SumLoss) or inner.makes_weights or len(inner.terms()) != 1:
            raise TypeError(
                f"loss: expected a loss with one value per pixel or element, such as CrossEntropyLoss(), got {inner!r}"
            )
        choice(inner.reduction, "reduction", self.reductions)
        choice(self.per_image, "per_image", (True, False))
        freeze(self, k=_size(self.k), min_kept=integer(self.min_kept, "min_kept"), per_image=bool(self.per_image))
        if self.min_kept < 0:
            raise ValueError(f"min_kept: expected an integer >= 0, got {self.min_kept}")
        if self.threshold is not None:
            freeze(self, threshold=number(self.threshold, "threshold", 0, 1))
            self._check_threshold()
        names = ("kind", "takes_binary", "exclusive", "axis", "ignore_index", "reduction")
        freeze(self, **{name: getattr(inner, name) for name in names})
        super().__post_init__()

    def _check_threshold(self) -> None:
        if self.k != SHARE:
            raise ValueError(
                f"k: expected the default with threshold={self.threshold}, which replaces it, got {self.k}"
            )
        if type(self.loss) not in OF_LABELS and not isinstance(self.loss, FocalLoss):
            names = ", ".join(cls.__name__ for cls in (*OF_LABELS, FocalLoss))
            raise ValueError(f"threshold: expected None for {self.loss!r}; the losses that take one are {names}")

    def terms(self) -> tuple[Term, ...]:
        return self.loss.terms()

    def by_sample(self) -> bool:
        return self.kind == "element" and self.per_image

    def element_axis(self) -> int | None:
        return self.loss.element_axis()

    def _checked(self, input: Any, target: Any, pixel_weight: Any) -> Batch:
        if not self.by_sample():
            return super()._checked(input, target, pixel_weight)
        x = as_input(input)  # without a sample axis, it is one sample
        return element_batch(x, target, pixel_weight, self.element_axis(), by_sample=x.ndim > 1)

    def check_channels(self, batch: Batch) -> None:
        self.loss.check_channels(batch)

    def ignoring(self, ignore_index: int | Sequence[int]) -> Self:
        loss = self.loss.ignoring(ignore_index)
        assert isinstance(loss, SumLoss)
        return dataclasses.replace(self, loss=loss)

    def make_weights(self, batch: Batch) -> Array:
        values = self.loss.pixel_values(batch) if self.threshold is None else self._surprises(batch)
        counting = batch.counting()
        if counting.ndim > values.ndim:
            counting = np.any(counting, axis=1, keepdims=True)[:, 0]
        elif counting.ndim < values.ndim:
            counting = np.broadcast_to(counting[:, None], values.shape)
        size = 1 if self.per_image else max(1, len(values))
        weights = np.empty(values.shape, np.bool_)
        for n in range(0, len(values), size):
            weights[n : n + size] = self._kept(values[n : n + size], counting[n : n + size])
        return weights

    def _kept(self, values: Array, counting: Array) -> Array:
        """Which pixels of an image or a batch are kept."""
        if self.threshold is None:
            share = isinstance(self.k, float)
            count = int(self.k * np.count_nonzero(counting) + ROUNDING) if share else int(self.k)
            return _hardest(values, counting, max(count, self.min_kept, 1))
        with np.errstate(over="ignore", under="ignore"):
            kept: Array = counting & ~(np.exp(-values) >= self.threshold)  # nan is kept
        if np.count_nonzero(kept) < self.min_kept:
            kept = _hardest(values, counting, self.min_kept)
        return kept

    def _surprises(self, batch: Batch) -> Array:
        """-log of the probability of each pixel's label, of shape (N, *S)."""
        if not batch.labels:
            raise ValueError(f"target: expected labels for threshold={self.threshold}, got a dense target")
        activation = self.loss.activation if isinstance(self.loss, FocalLoss) else OF_LABELS[type(self.loss)]
        term = Term("focal", "pixel", ACTIVATIONS.index(activation), None, (0.0, 1.0))  # with gamma 0 and alpha 1
        counted = batch.having(weight=batch.counting().astype(np.float32))
        out = np.empty(pixel_shape(batch.input), real_dtype(batch.input.dtype))
        _backend.run(counted, Terms([term]), Mode.MAP, by_sample=batch.pixels >= LARGE_SAMPLE, output=out)
        return out


def _size(k: Any) -> float | int:
    """Check `k`: an int is a number of pixels, and any other number a share of them."""
    if isinstance(k, (int, np.integer)) and not isinstance(k, bool):
        if k < 1:
            raise ValueError(f"k: expected an integer >= 1 or a share in (0, 1], got {k!r}")
        return integer(k, "k")
    share = number(k, "k", 0, 1)
    if share == 0:
        raise ValueError(f"k: expected an integer >= 1 or a share in (0, 1], got {k!r}")
    return share


@function_of(TopKLoss)
def top_k_loss(
    input: Any,
    target: Any,
    /,
    *,
    loss: SumLoss = CrossEntropyLoss(),  # noqa: B008 (a loss is frozen)
    k: float | int = 0.1,
    threshold: float | None = None,
    min_kept: int = 0,
    per_image: bool = False,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Top-k loss: the mean of another loss over the hardest pixels, also known as OHEM.

    The pixels with the largest values of `loss` are kept; the others get the weight 0. `k` sets how many are kept.
    With `threshold`, they are those whose label has a probability below the threshold instead. For a loss with one
    value per element, the elements take the place of the pixels.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        The input of `loss`. For a loss with one value per element, it may have any shape.
    target : array, shape (N, *S) or (N, C, *S)
        The target of `loss`.
    loss : loss, default CrossEntropyLoss()
        A loss with one value per pixel or element. Its `ignore_index`, `reduction` and `axis` are those of the whole.
    k : float or int, default 0.1
        A float is the share of the pixels that count, in (0, 1]; the number of pixels is rounded down. An int is the
        number of pixels. At least one pixel is kept.
    threshold : float, default None
        The probability, in [0, 1], below which a pixel is kept. It replaces `k`, and takes labels and a cross entropy,
        a focal loss or a poly loss.
    min_kept : int, default 0
        The least number of pixels that are kept, if as many count. With `threshold`, those with the smallest
        probabilities are added.
    per_image : bool, default False
        Whether the hardest pixels of each image are kept. Otherwise, those of the whole batch are kept; such a loss has
        no partials.
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
    TopKLoss : The same loss as an object, with gradients and partials.
    BalancedBCELoss : Weights positives and negatives.

    Notes
    -----
    The mean is that of the kept pixels: it divides by the sum of their weights, as `loss` does. Of equal values, the
    first in the order of the array are kept. A `pixel_weight` multiplies the values before they are compared. If
    `threshold` keeps no pixel, the mean is nan; `min_kept=1` prevents that. The loss keeps its `k` share per call or
    per image, so tiles of an image are refused.

    References
    ----------
    Wu et al. 2016, arXiv:1604.04339, keep the k hardest pixels; Shrivastava et al. 2016, arXiv:1604.03540 (OHEM).
    nnU-Net's `TopKLoss`, in which ignored pixels count with a loss of 0. mmsegmentation's `OHEMPixelSampler`, whose
    `min_kept` is per image of the batch, and whose mean is over all pixels.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.top_k_loss([[2.0, 0.0], [0.0, 1.0]], [0, 0], k=0.5)
    1.3132617
    """
    loss = loss_of(TopKLoss, loss, k, threshold, min_kept, per_image)
    return loss(input, target, pixel_weight=pixel_weight)
