"""The losses of detectors as functions."""

from __future__ import annotations

from typing import Any

from ..losses import DetectionLoss, FasterRCNNLoss, MaskRCNNLoss, MaskRCNNMaskLoss
from ._call import documented


@documented(DetectionLoss)
def detection_loss(cls: Any, cls_target: Any, box: Any, box_target: Any, *, alpha: float = 0.5) -> float:
    """
    >>> import fastloss as fl
    >>> fl.detection_loss([[2.0, 0.0]], [0], [[0.0, 3.0]], [[0.5, 1.0]])
    0.46971401
    """
    return DetectionLoss(alpha=alpha)(cls, cls_target, box, box_target)


@documented(FasterRCNNLoss)
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
    """
    >>> import fastloss as fl
    >>> fl.faster_rcnn_loss([2.0, -1.0], [1, 0], [[0.5, 0, 0, 0]] * 2, [[0.0, 0, 0, 0]] * 2, n_cls=256, n_box=2400)
    0.0022403243
    """
    loss = FasterRCNNLoss(lambda_=lambda_, n_cls=n_cls, n_box=n_box)
    return loss(cls_logits, labels, box_pred, box_target)


@documented(MaskRCNNMaskLoss)
def mask_rcnn_mask_loss(mask_logits: Any, class_ids: Any, mask_target: Any) -> float:
    """
    >>> import fastloss as fl
    >>> fl.mask_rcnn_mask_loss([[[[2.0, -1.0]], [[0.0, 0.0]]]], [1], [[[1, 0]]])
    0.69314718
    """
    return MaskRCNNMaskLoss()(mask_logits, class_ids, mask_target)


@documented(MaskRCNNLoss)
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
    """
    >>> import fastloss as fl
    >>> anchors = [2.0, -1.0], [1, 0], [[0.5, 0, 0, 0]] * 2, [[0.0, 0, 0, 0]] * 2
    >>> fl.mask_rcnn_loss(*anchors, [[[[2.0, -1.0]], [[0.0, 0.0]]]], [0], [[[1, 0]]])
    1.0651897
    """
    loss = MaskRCNNLoss(lambda_=lambda_, n_cls=n_cls, n_box=n_box)
    return loss(cls_logits, labels, box_pred, box_target, mask_logits, class_ids, mask_target)
