"""Mask R-CNN's losses: one for the masks, and one for anchors and masks together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, as_array, as_input, as_labels
from .._engine.functions import function_of, loss_of
from .._engine.multi_input import Mean, MultiInputLoss, Part
from .._engine.sums import SumLoss
from .._faults import check_labels
from .binary import BCEWithLogitsLoss
from .detection import AnchorLoss

__all__ = ["MaskRCNNLoss", "MaskRCNNMaskLoss", "mask_rcnn_loss", "mask_rcnn_mask_loss"]

MASK_TERM = (1.0, Mean(loss=BCEWithLogitsLoss(), empty=0.0))


def _mask_part(mask_logits: Any, class_ids: Any, mask_target: Any) -> Part:
    """The part of a call for the masks: each region's logits in the channel of its class.

    They are a copy of 1/K of all logits. `widen` writes their gradient to the same places of a full one.
    """
    x, k = as_input(mask_logits, "mask_logits"), as_labels(class_ids, "class_ids")
    y = as_array(mask_target, "mask_target")
    if x.ndim < 2:
        raise ValueError(f"mask_logits: expected shape (R, K, *S), got {x.shape}")
    if k.shape != x.shape[:1]:
        raise ValueError(f"class_ids: expected shape {x.shape[:1]} (one per region), got {k.shape}")
    expected = (*x.shape[:1], *x.shape[2:])
    if y.shape != expected:
        raise ValueError(f"mask_target: expected shape {expected} (one channel per region), got {y.shape}")
    check_labels(k, x.shape[1], (), "class_ids")
    own = np.arange(len(k)), k.astype(np.intp)

    def widen(gradient: Array) -> Array:
        full = np.zeros(x.shape, gradient.dtype)
        full[own] = gradient
        return full

    return Part(names=("mask_logits", "mask_target"), input=x[own], target=y, widen=widen)


@dataclass(frozen=True, kw_only=True, repr=False)
class MaskRCNNMaskLoss(MultiInputLoss):
    """Mask R-CNN's loss for masks: mean binary cross entropy of the logits in the channel of each region's class.

    The channels of the other classes do not enter the loss, and their gradient is 0. Without a region, the loss is 0.

    See Also
    --------
    mask_rcnn_mask_loss : The same loss as a function; its docstring describes the arrays.
    MaskRCNNLoss : Also has terms for class and box.

    Notes
    -----
    `value_and_grad` returns the gradient in a tuple with one entry.

    References
    ----------
    He et al. 2017, arXiv:1703.06870.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.MaskRCNNMaskLoss()([[[[2.0, -1.0]], [[0.0, 0.0]]]], [0], [[[1, 0]]])
    0.22009485
    """

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        return (MASK_TERM,)

    def parts(self, mask_logits: Any, class_ids: Any, mask_target: Any) -> list[Part]:
        return [_mask_part(mask_logits, class_ids, mask_target)]


@function_of(MaskRCNNMaskLoss)
def mask_rcnn_mask_loss(mask_logits: Any, class_ids: Any, mask_target: Any) -> float:
    """Mask R-CNN's loss for masks: mean binary cross entropy of the logits in the channel of each region's class.

    The channels of the other classes do not enter the loss, and their gradient is 0. Without a region, the loss is 0.

    Parameters
    ----------
    mask_logits : array, shape (R, K, *S)
        Mask logits of R regions and K classes, usually (R, K, m, m).
    class_ids : array, shape (R,)
        The class of each region, an integer in [0, K).
    mask_target : array, shape (R, *S)
        The masks, of any real dtype, in [0, 1].

    Returns
    -------
    float
        The loss.

    Raises
    ------
    LabelError
        If a class is out of range.
    ValueError
        If a shape is wrong.
    TypeError
        If a dtype is wrong.

    See Also
    --------
    MaskRCNNMaskLoss : The same loss as an object, with gradients and partials.
    mask_rcnn_loss : Also has terms for class and box.

    References
    ----------
    He et al. 2017, arXiv:1703.06870.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.mask_rcnn_mask_loss([[[[2.0, -1.0]], [[0.0, 0.0]]]], [1], [[[1, 0]]])
    0.69314718
    """
    return loss_of(MaskRCNNMaskLoss)(mask_logits, class_ids, mask_target)


@dataclass(frozen=True, kw_only=True, repr=False)
class MaskRCNNLoss(AnchorLoss):
    r"""Mask R-CNN's loss: `FasterRCNNLoss` and `MaskRCNNMaskLoss` added.

    The loss is $L_{cls} + L_{box} + L_{mask}$.

    Parameters
    ----------
    lambda_ : float, default 10.0
        The weight of $L_{box}$, >= 0.
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
    mask_rcnn_loss : The same loss as a function; its docstring describes the arrays.
    FasterRCNNLoss, MaskRCNNMaskLoss : The two summands.

    Notes
    -----
    `value_and_grad` returns the gradients as a tuple: those of `cls_logits`, `box_pred` and `mask_logits`.

    References
    ----------
    He et al. 2017, arXiv:1703.06870.

    Examples
    --------
    >>> import fastloss as fl
    >>> anchors = [2.0, -1.0], [1, 0], [[0.5, 0, 0, 0]] * 2, [[0.0, 0, 0, 0]] * 2
    >>> masks = [[[[2.0, -1.0]], [[0.0, 0.0]]]], [0], [[[1, 0]]]
    >>> fl.MaskRCNNLoss(lambda_=1.0)(*anchors, *masks)
    0.5026897
    """

    lambda_: float = 10.0
    n_cls: float | None = None
    n_box: float | None = None

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
        return [*anchors, _mask_part(mask_logits, class_ids, mask_target)]


@function_of(MaskRCNNLoss)
def mask_rcnn_loss(
    cls_logits: Any,
    labels: Any,
    box_pred: Any,
    box_target: Any,
    mask_logits: Any,
    class_ids: Any,
    mask_target: Any,
    *,
    lambda_: float = 10.0,
    n_cls: float | None = None,
    n_box: float | None = None,
) -> float:
    r"""Mask R-CNN's loss: `faster_rcnn_loss` and `mask_rcnn_mask_loss` added.

    The loss is $L_{cls} + L_{box} + L_{mask}$.

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
    mask_logits : array, shape (R, K, *S)
        Mask logits of R regions and K classes, usually (R, K, m, m).
    class_ids : array, shape (R,)
        The class of each region, an integer in [0, K).
    mask_target : array, shape (R, *S)
        The masks, of any real dtype, in [0, 1].
    lambda_ : float, default 10.0
        The weight of $L_{box}$, >= 0.
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
    LabelError
        If a class is out of range.
    ValueError
        If a label is not 1, 0 or -1, or a shape or an option is wrong.
    TypeError
        If a dtype is wrong.

    See Also
    --------
    MaskRCNNLoss : The same loss as an object, with gradients and partials.
    faster_rcnn_loss, mask_rcnn_mask_loss : The two summands.

    References
    ----------
    He et al. 2017, arXiv:1703.06870.

    Examples
    --------
    >>> import fastloss as fl
    >>> anchors = [2.0, -1.0], [1, 0], [[0.5, 0, 0, 0]] * 2, [[0.0, 0, 0, 0]] * 2
    >>> fl.mask_rcnn_loss(*anchors, [[[[2.0, -1.0]], [[0.0, 0.0]]]], [0], [[[1, 0]]])
    1.0651897
    """
    loss = loss_of(MaskRCNNLoss, lambda_, n_cls, n_box)
    return loss(cls_logits, labels, box_pred, box_target, mask_logits, class_ids, mask_target)
