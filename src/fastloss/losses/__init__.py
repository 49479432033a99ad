"""The losses as objects. `LOSSES` is the list of all, by the name of their function."""

from .base import Loss, Partial
from .binary import BCEWithLogitsLoss
from .class_axis import CrossEntropyLoss
from .compose import Composed
from .overlap import (
    DiceLoss,
    FocalTverskyLoss,
    GeneralizedDiceLoss,
    JaccardLoss,
    SensitivitySpecificityLoss,
    TverskyLoss,
)

LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "binary_cross_entropy_with_logits": BCEWithLogitsLoss,
    "dice_loss": DiceLoss,
    "jaccard_loss": JaccardLoss,
    "tversky_loss": TverskyLoss,
    "focal_tversky_loss": FocalTverskyLoss,
    "sensitivity_specificity_loss": SensitivitySpecificityLoss,
    "generalized_dice_loss": GeneralizedDiceLoss,
}

__all__ = [
    "LOSSES",
    "BCEWithLogitsLoss",
    "Composed",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalTverskyLoss",
    "GeneralizedDiceLoss",
    "JaccardLoss",
    "Loss",
    "Partial",
    "SensitivitySpecificityLoss",
    "TverskyLoss",
]
