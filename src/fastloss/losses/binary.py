"""Element-wise losses for binary and multi-label targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._backend import Term
from .._batch import vector
from .base import REDUCTIONS, SumLoss, choice, freeze, integer, number


@dataclass(frozen=True, kw_only=True, repr=False)
class BCEWithLogitsLoss(SumLoss):
    r"""Binary cross entropy of logits, with the names and the semantics of `torch.nn.BCEWithLogitsLoss`.

    An element's value is $-[b\,y \log \sigma(x) + (1 - y) \log(1 - \sigma(x))]$, computed stably: for $b = 1$,
    $\max(x, 0) - x y + \log(1 + e^{-|x|})$. Label smoothing replaces $y$ by $(1 - \varepsilon) y + \varepsilon / 2$.

    Parameters
    ----------
    pos_weight : float or (C,) array, optional
        $b$, the weight of positive elements, >= 0; a vector is one a class, on `axis`.
    label_smoothing : float
        In [0, 1].
    reduction : "mean", "sum" or "none"
        The mean is $\sum$ `pixel_weight` $l / \sum$ `pixel_weight`.
    axis : int
        The class axis, where `pos_weight` is a vector.

    The call takes `input`, logits of any shape and float dtype, infinities allowed; and `target` of the same shape, any
    number in [0, 1]; `pixel_weight` broadcasts to that shape. It raises ValueError for a wrong shape or weight.
    In a sum with a region loss, a single channel takes its labels {0, 1} too.

    >>> import fastloss as fl
    >>> fl.BCEWithLogitsLoss(pos_weight=2.0)([0.5, -1.0], [1.0, 0.0])
    0.63070783

    See also: `CrossEntropyLoss` for classes that exclude one another.
    """

    pos_weight: float | Sequence[float] | None = None
    label_smoothing: float = 0.0
    reduction: str = "mean"
    axis: int = 1

    kind = "element"
    takes_binary = True

    def __post_init__(self) -> None:
        if self.pos_weight is not None and np.ndim(self.pos_weight) == 0:
            freeze(self, pos_weight=number(np.asarray(self.pos_weight).item(), "pos_weight", 0))
        else:
            freeze(self, pos_weight=vector(self.pos_weight, "pos_weight"))
        freeze(
            self,
            label_smoothing=number(self.label_smoothing, "label_smoothing", 0, 1),
            axis=integer(self.axis, "axis"),
        )
        choice(self.reduction, "reduction", REDUCTIONS)

    def element_axis(self) -> int | None:
        return self.axis if isinstance(self.pos_weight, tuple) else None

    def terms(self) -> tuple[Term, ...]:
        weight: Any = self.pos_weight  # checked: a float, a tuple or None
        return (Term("bce_with_logits", "element", 0, weight, (self.label_smoothing,), "pos_weight"),)
