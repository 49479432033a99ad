"""Losses of detectors: class and box, Faster R-CNN's anchors, Mask R-CNN's masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._batch import Array, as_array, as_input, as_labels
from .._faults import check_labels, first, position
from ._checks import freeze, number
from .base import SumLoss
from .binary import BCEWithLogitsLoss
from .class_axis import CrossEntropyLoss
from .joint import JointLoss, Mean, Part
from .regression import SmoothL1Loss


@dataclass(frozen=True, kw_only=True, repr=False)
class DetectionLoss(JointLoss):
    r"""Class and box of a detector: cross entropy and smooth L1.

    It is $\alpha L_{cls} + (1 - \alpha) L_{box}$.

    Parameters
    ----------
    alpha : float
        In [0, 1].

    The call takes `cls` and `cls_target`, logits and target as `CrossEntropyLoss` takes them, and `box` and
    `box_target`, two arrays of one shape; both terms are means. `value_and_grad` returns the gradients `(of cls, of
    box)`. It raises `LabelError` for a label out of range, ValueError for a wrong shape, TypeError for a wrong dtype.

    >>> import fastloss as fl
    >>> fl.DetectionLoss(alpha=0.25)([[2.0, 0.0]], [0], [[0.0, 3.0]], [[0.5, 1.0]])
    0.64110701

    See also: `FasterRCNNLoss`.
    """

    alpha: float = 0.5

    def __post_init__(self) -> None:
        freeze(self, alpha=number(self.alpha, "alpha", 0, 1))

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        return (self.alpha, CrossEntropyLoss()), (1 - self.alpha, SmoothL1Loss())

    def parts(self, cls: Any, cls_target: Any, box: Any, box_target: Any) -> list[Part]:
        return [
            Part(names=("cls", "cls_target"), input=cls, target=cls_target),
            Part(names=("box", "box_target"), input=box, target=box_target),
        ]


# ---- Faster R-CNN


def normaliser(value: Any, name: str) -> float | None:
    """n_cls or n_box, checked: None or a number above 0."""
    if value is None:
        return None
    if number(value, name) <= 0:
        raise ValueError(f"{name}: expected a number > 0, got {value!r}")
    return float(value)


@dataclass(frozen=True, kw_only=True, repr=False)
class AnchorLoss(JointLoss):
    """What Faster and Mask R-CNN share: the two terms over anchors."""

    lambda_: float = 10.0
    n_cls: float | None = None
    n_box: float | None = None

    def __post_init__(self) -> None:
        freeze(self, lambda_=number(self.lambda_, "lambda_", 0))
        freeze(self, n_cls=normaliser(self.n_cls, "n_cls"), n_box=normaliser(self.n_box, "n_box"))

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        cls = BCEWithLogitsLoss(reduction="mean" if self.n_cls is None else "sum")
        box = SmoothL1Loss(reduction="mean" if self.n_box is None else "sum")
        return (1 / (self.n_cls or 1), cls), (self.lambda_ / (self.n_box or 1), box)

    def anchor_parts(self, cls_logits: Any, labels: Any, box_pred: Any, box_target: Any) -> list[Part]:
        y, x, t = as_labels(labels, "labels"), as_input(cls_logits, "cls_logits"), as_input(box_pred, "box_pred")
        if y.shape != x.shape:
            raise ValueError(f"labels: expected shape {x.shape} (cls_logits'), got {y.shape}")
        if t.shape != (*y.shape, 4):
            raise ValueError(f"box_pred: expected shape {(*y.shape, 4)} (labels' and 4), got {t.shape}")
        positive, sampled = y == 1, y != -1
        found = first(lambda v: (v != 1) & (v != 0) & (v != -1), y)
        if found is not None:
            index, label = found
            raise ValueError(f"labels: expected 1, 0 or -1 (not sampled), got {label} at {position(index, y.shape)}")
        return [
            Part(names=("cls_logits", "labels"), input=x, target=positive, pixel_weight=sampled),
            Part(
                names=("box_pred", "box_target"),
                input=t,
                target=box_target,
                pixel_weight=positive[..., None],
                loss=Mean(loss=SmoothL1Loss(), count=y.size) if self.n_box is None else None,
            ),
        ]


@dataclass(frozen=True, kw_only=True, repr=False)
class FasterRCNNLoss(AnchorLoss):
    r"""Faster R-CNN's loss of anchors: binary cross entropy of their class, and smooth L1 of the positive ones' box.

    It is $\frac{1}{n_{cls}} \sum_i \mathrm{BCE}(x_i, y_i) + \frac{\lambda}{n_{box}} \sum_i y_i\,
    \mathrm{smooth}_{L1}(t_i - t_i^*)$; the first sum is over the sampled anchors, the second over the positive ones and
    their four coordinates.

    Parameters
    ----------
    lambda_ : float
        $\lambda$, >= 0.
    n_cls, n_box : float, optional
        The normalisers, > 0 (the paper: the batch of 256 anchors, and about 2400 locations). None: the number of
        sampled anchors, and that of all anchors; over merged partials, of all their anchors.

    The call takes `cls_logits`, the anchors' logits, of any shape; `labels` of that shape, integers: 1 positive, 0
    negative, -1 not sampled; `box_pred` and `box_target` of that shape + `(4,)`. What an anchor that does not count
    predicts does not matter, NaN included. `value_and_grad` returns the gradients `(of cls_logits, of box_pred)`.
    Without a sampled anchor (and `n_cls` None) the loss is nan, as any mean of nothing. It raises ValueError for
    another label or a wrong shape, TypeError for a wrong dtype. Source: Ren et al. 2015, arXiv:1506.01497.

    >>> import fastloss as fl
    >>> fl.FasterRCNNLoss()([2.0, 1.0, -1.0], [1, -1, 0], [[0.5, 0, 0, 0]] * 3, [[0.0, 0, 0, 0]] * 3)
    0.63676151

    See also: `MaskRCNNLoss`, with masks; `DetectionLoss`.
    """

    def parts(self, cls_logits: Any, labels: Any, box_pred: Any, box_target: Any) -> list[Part]:
        return self.anchor_parts(cls_logits, labels, box_pred, box_target)


# ---- Mask R-CNN


MASK_TERM = (1.0, Mean(loss=BCEWithLogitsLoss(), empty=0.0))


def mask_part(mask_logits: Any, class_ids: Any, mask_target: Any) -> Part:
    """Of each region the channel of its class: a copy, 1/K of the logits, whose gradient goes back to its place."""
    x, k = as_input(mask_logits, "mask_logits"), as_labels(class_ids, "class_ids")
    y = as_array(mask_target, "mask_target")
    if x.ndim < 2:
        raise ValueError(f"mask_logits: expected shape (R, K, *S), got {x.shape}")
    if k.shape != x.shape[:1]:
        raise ValueError(f"class_ids: expected shape {x.shape[:1]} (one a region), got {k.shape}")
    expected = (*x.shape[:1], *x.shape[2:])
    if y.shape != expected:
        raise ValueError(f"mask_target: expected shape {expected} (of each region's own channel), got {y.shape}")
    check_labels(k, x.shape[1], (), "class_ids")
    own = np.arange(len(k)), k.astype(np.intp)

    def widen(gradient: Array) -> Array:
        full = np.zeros(x.shape, gradient.dtype)
        full[own] = gradient
        return full

    return Part(names=("mask_logits", "mask_target"), input=x[own], target=y, widen=widen)


@dataclass(frozen=True, kw_only=True, repr=False)
class MaskRCNNMaskLoss(JointLoss):
    r"""Mask R-CNN's loss of masks: the mean binary cross entropy with logits of each region's own class channel.

    The other classes' channels do not compete; their gradient is 0.

    The call takes `mask_logits` of shape `(R, K, *S)` for R regions and K classes, usually `(R, K, m, m)`; `class_ids`,
    integers in [0, K) of shape `(R,)`; `mask_target` of shape `(R, *S)`, any number in [0, 1]. `value_and_grad` returns
    the gradients as a tuple, of one. No region: 0.0. It raises `LabelError` for a class out of range, ValueError for a
    wrong shape, TypeError for a wrong dtype. Source: He et al. 2017, arXiv:1703.06870.

    >>> import fastloss as fl
    >>> fl.MaskRCNNMaskLoss()([[[[2.0, -1.0]], [[0.0, 0.0]]]], [0], [[[1, 0]]])
    0.22009485

    See also: `MaskRCNNLoss`, with class and box.
    """

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        return (MASK_TERM,)

    def parts(self, mask_logits: Any, class_ids: Any, mask_target: Any) -> list[Part]:
        return [mask_part(mask_logits, class_ids, mask_target)]


@dataclass(frozen=True, kw_only=True, repr=False)
class MaskRCNNLoss(AnchorLoss):
    r"""Mask R-CNN's loss: `FasterRCNNLoss` and `MaskRCNNMaskLoss` added.

    It is $L_{cls} + L_{box} + L_{mask}$.

    Parameters
    ----------
    lambda_ : float
        The weight of $L_{box}$, >= 0.
    n_cls, n_box : float, optional
        The normalisers of class and box, > 0. None: the number of sampled anchors, and that of all anchors.

    The call takes `cls_logits`, `labels`, `box_pred`, `box_target` as `FasterRCNNLoss` does, and `mask_logits`,
    `class_ids`, `mask_target` as `MaskRCNNMaskLoss`. `value_and_grad` returns the gradients `(of cls_logits, of
    box_pred, of mask_logits)`. It raises what the two raise. Source: He et al. 2017, arXiv:1703.06870.

    >>> import fastloss as fl
    >>> anchors = [2.0, -1.0], [1, 0], [[0.5, 0, 0, 0]] * 2, [[0.0, 0, 0, 0]] * 2
    >>> masks = [[[[2.0, -1.0]], [[0.0, 0.0]]]], [0], [[[1, 0]]]
    >>> fl.MaskRCNNLoss(lambda_=1.0)(*anchors, *masks)
    0.5026897

    See also: `FasterRCNNLoss`, `MaskRCNNMaskLoss`.
    """

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        return *super().terms(), MASK_TERM

    def parts(
        self,
        cls_logits: Any,
        labels: Any,
        box_pred: Any,
        box_target: Any,
        mask_logits: Any,
        class_ids: Any,
        mask_target: Any,
    ) -> list[Part]:
        anchors = self.anchor_parts(cls_logits, labels, box_pred, box_target)
        return [*anchors, mask_part(mask_logits, class_ids, mask_target)]
