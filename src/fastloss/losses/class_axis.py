"""Losses with one value a pixel, over a class axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._backend import Term
from .base import REDUCTIONS, SumLoss, choice, freeze, freeze_class_weight, integer, number


@dataclass(frozen=True, kw_only=True, repr=False)
class CrossEntropyLoss(SumLoss):
    r"""Softmax cross entropy of logits, with the names and the semantics of `torch.nn.CrossEntropyLoss`.

    With labels $y$ a pixel's value is $w_y (\log \sum_c e^{x_c} - x_y)$; with a dense target it is $-\sum_c w_c y_c
    (x_c - \log \sum_j e^{x_j})$. Label smoothing $\varepsilon$ replaces the target by $(1 - \varepsilon) y +
    \varepsilon / C$. The mean is $\sum w l / \sum w$ over $w = w_y \cdot$ `pixel_weight` of the kept pixels for
    labels, and $\sum$ `pixel_weight` $l / \sum$ `pixel_weight` for a dense target (torch's rules). A confident
    pixel's small loss keeps its relative accuracy.

    Parameters
    ----------
    class_weight : (C,) array, optional
        Finite, >= 0. Multiplies by the weight of the target class.
    label_smoothing : float
        In [0, 1].
    ignore_index : int
        A label whose pixels do not count.
    reduction : "mean", "sum" or "none"
        "none" gives the map of shape `(N, *S)`.
    axis : int
        The class axis of `input`.

    The call takes `input`, logits of shape `(N, C, *S)`, float16, bfloat16, float32 or float64, -inf allowed; and
    `target`, labels `(N, *S)` of any integer or bool dtype, or a dense float or bool array of the input's shape;
    `pixel_weight` broadcasts to `(N, *S)` (dense: also to `(N, C, *S)`, averaged over classes in the mean's weight).
    It raises `LabelError` for a label out of range, ValueError for a wrong shape or weight, TypeError for a wrong
    dtype. For the source see `torch.nn.functional.cross_entropy`; smoothing: Szegedy et al. 2016, arXiv:1512.00567.

    >>> import fastloss as fl
    >>> fl.CrossEntropyLoss(label_smoothing=0.1)([[2.0, 0.0, -1.0]], [0])
    0.33651269

    See also: `DiceLoss` for overlap, `BCEWithLogitsLoss` for classes that do not exclude one another.
    """

    class_weight: Sequence[float] | None = None
    label_smoothing: float = 0.0
    ignore_index: int = -100
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        freeze_class_weight(self)
        freeze(
            self,
            label_smoothing=number(self.label_smoothing, "label_smoothing", 0, 1),
            ignore_index=integer(self.ignore_index, "ignore_index"),
            axis=integer(self.axis, "axis"),
        )
        choice(self.reduction, "reduction", REDUCTIONS)

    def terms(self) -> tuple[Term, ...]:
        weight = None if self.class_weight is None else tuple(self.class_weight)
        return (Term("cross_entropy", "pixel", 0, weight, (self.label_smoothing,)),)
