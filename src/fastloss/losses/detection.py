"""Losses for detectors: the loss of class and box, and Faster R-CNN's loss for anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._arrays import as_input, as_labels
from .._engine.functions import function_of, loss_of
from .._engine.multi_input import Mean, MultiInputLoss, Part
from .._engine.sums import SumLoss
from .._faults import first, position
from .._options import freeze, number
from .binary import BCEWithLogitsLoss
from .categorical import CrossEntropyLoss
from .huber import SmoothL1Loss

__all__ = ["DetectionLoss", "FasterRCNNLoss", "detection_loss", "faster_rcnn_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class DetectionLoss(MultiInputLoss):
    r"""Class and box loss of a detector: cross entropy for the class, smooth L1 for the box.

    The loss is $\alpha L_{cls} + (1 - \alpha) L_{box}$; both terms are means.

    Parameters
    ----------
    alpha : float, default 0.5
        In [0, 1].

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    detection_loss : The same loss as a function; its docstring describes the arrays.
    FasterRCNNLoss : For anchors, if not all of them are sampled.

    Notes
    -----
    `value_and_grad` returns the gradients as a tuple: that of `cls`, then that of `box`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.DetectionLoss(alpha=0.25)([[2.0, 0.0]], [0], [[0.0, 3.0]], [[0.5, 1.0]])
    0.64110701
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


@function_of(DetectionLoss)
def detection_loss(cls: Any, cls_target: Any, box: Any, box_target: Any, *, alpha: float = 0.5) -> float:
    r"""Class and box loss of a detector: cross entropy for the class, smooth L1 for the box.

    The loss is $\alpha L_{cls} + (1 - \alpha) L_{box}$; both terms are means.

    Parameters
    ----------
    cls : array, shape (N, C, *S)
        Logits, of dtype float16, bfloat16, float32 or float64.
    cls_target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the shape of `cls`.
    box : array, any shape
        Predicted box coordinates, of dtype float16, bfloat16, float32 or float64.
    box_target : array, the shape of `box`
        Target box coordinates, of any real dtype.
    alpha : float, default 0.5
        In [0, 1].

    Returns
    -------
    float
        The loss.

    Raises
    ------
    LabelError
        If a label is not a class.
    ValueError
        If a shape or an option is wrong.
    TypeError
        If a dtype is wrong.

    See Also
    --------
    DetectionLoss : The same loss as an object, with gradients and partials.
    faster_rcnn_loss : For anchors, if not all of them are sampled.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.detection_loss([[2.0, 0.0]], [0], [[0.0, 3.0]], [[0.5, 1.0]])
    0.46971401
    """
    return loss_of(DetectionLoss, alpha)(cls, cls_target, box, box_target)


def _normaliser(value: Any, name: str) -> float | None:
    """The checked value of the option n_cls or n_box: None or a number above 0."""
    if value is None:
        return None
    if number(value, name) <= 0:
        raise ValueError(f"{name}: expected a number > 0, got {value!r}")
    return float(value)


class AnchorLoss(MultiInputLoss):
    """Base of the losses of Faster and Mask R-CNN: the two terms over anchors."""

    lambda_: float  # declared by each loss, in the order of its function's signature
    n_cls: float | None
    n_box: float | None

    def __post_init__(self) -> None:
        freeze(self, lambda_=number(self.lambda_, "lambda_", 0))
        freeze(self, n_cls=_normaliser(self.n_cls, "n_cls"), n_box=_normaliser(self.n_box, "n_box"))

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        cls = BCEWithLogitsLoss(reduction="mean" if self.n_cls is None else "sum")
        box = SmoothL1Loss(reduction="mean" if self.n_box is None else "sum")
        return (1 / (self.n_cls or 1), cls), (self.lambda_ / (self.n_box or 1), box)

    def anchor_parts(self, cls_logits: Any, labels: Any, box_pred: Any, box_target: Any) -> list[Part]:
        y, x, t = as_labels(labels, "labels"), as_input(cls_logits, "cls_logits"), as_input(box_pred, "box_pred")
        if y.shape != x.shape:
            raise ValueError(f"labels: expected shape {x.shape} (cls_logits'), got {y.shape}")
        if t.shape != (*y.shape, 4):
            raise ValueError(
                f"box_pred: expected shape {(*y.shape, 4)} (that of labels, and 4 numbers per box), got {t.shape}"
            )
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
    r"""Faster R-CNN's loss for anchors: binary cross entropy for the class, and smooth L1 for the positives' boxes.

    The loss is $\frac{1}{n_{cls}} \sum_i \mathrm{BCE}(x_i, y_i) + \frac{\lambda}{n_{box}} \sum_i y_i\,
    \mathrm{smooth}_{L1}(t_i - t_i^*)$. The first sum is over the sampled anchors. The second is over the positive
    anchors and their four coordinates. If no anchor is sampled and `n_cls` is None, the loss is nan, like any mean of
    nothing.

    Parameters
    ----------
    lambda_ : float, default 10.0
        $\lambda$, >= 0.
    n_cls : float, default None
        The normaliser of the class term, > 0 (256 in the paper: the anchors of a batch). None: the number of sampled
        anchors; for merged partials, the number over all of them.
    n_box : float, default None
        The normaliser of the box term, > 0 (about 2400 in the paper: the locations). None: the number of all anchors,
        sampled or not.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    faster_rcnn_loss : The same loss as a function; its docstring describes the arrays.
    MaskRCNNLoss : Also has a term for masks.
    DetectionLoss : The loss of class and box, without anchors.

    Notes
    -----
    `value_and_grad` returns the gradients as a tuple: that of `cls_logits`, then that of `box_pred`.

    References
    ----------
    Ren et al. 2015, arXiv:1506.01497.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.FasterRCNNLoss()([2.0, 1.0, -1.0], [1, -1, 0], [[0.5, 0, 0, 0]] * 3, [[0.0, 0, 0, 0]] * 3)
    0.63676151
    """

    lambda_: float = 10.0
    n_cls: float | None = None
    n_box: float | None = None

    def parts(self, cls_logits: Any, labels: Any, box_pred: Any, box_target: Any) -> list[Part]:
        return self.anchor_parts(cls_logits, labels, box_pred, box_target)


@function_of(FasterRCNNLoss)
def faster_rcnn_loss(
    cls_logits: Any,
    labels: Any,
    box_pred: Any,
    box_target: Any,
    *,
    lambda_: float = 10.0,
    n_cls: float | None = None,
    n_box: float | None = None,
) -> float:
    r"""Faster R-CNN's loss for anchors: binary cross entropy for the class, and smooth L1 for the positives' boxes.

    The loss is $\frac{1}{n_{cls}} \sum_i \mathrm{BCE}(x_i, y_i) + \frac{\lambda}{n_{box}} \sum_i y_i\,
    \mathrm{smooth}_{L1}(t_i - t_i^*)$. The first sum is over the sampled anchors. The second is over the positive
    anchors and their four coordinates. If no anchor is sampled and `n_cls` is None, the loss is nan, like any mean of
    nothing.

    Parameters
    ----------
    cls_logits : array, any shape
        Logits of the anchors, of dtype float16, bfloat16, float32 or float64.
    labels : array, the shape of `cls_logits`
        Integers: 1 positive, 0 negative, -1 not sampled.
    box_pred : array, the shape of `labels` and (4,)
        Predicted box coordinates. The coordinates of an anchor that does not count have no effect, even if NaN.
    box_target : array, the shape of `box_pred`
        Target box coordinates, of any real dtype.
    lambda_ : float, default 10.0
        $\lambda$, >= 0.
    n_cls : float, default None
        The normaliser of the class term, > 0 (256 in the paper: the anchors of a batch). None: the number of sampled
        anchors; for merged partials, the number over all of them.
    n_box : float, default None
        The normaliser of the box term, > 0 (about 2400 in the paper: the locations). None: the number of all anchors,
        sampled or not.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    ValueError
        If a label is not 1, 0 or -1, or a shape or an option is wrong.
    TypeError
        If a dtype is wrong.

    See Also
    --------
    FasterRCNNLoss : The same loss as an object, with gradients and partials.
    mask_rcnn_loss : Also has a term for masks.

    References
    ----------
    Ren et al. 2015, arXiv:1506.01497.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.faster_rcnn_loss([2.0, -1.0], [1, 0], [[0.5, 0, 0, 0]] * 2, [[0.0, 0, 0, 0]] * 2, n_cls=256, n_box=2400)
    0.0022403243
    """
    return loss_of(FasterRCNNLoss, lambda_, n_cls, n_box)(cls_logits, labels, box_pred, box_target)
