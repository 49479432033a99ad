"""The losses as functions, with torch's names: each makes its loss object and calls it.

Their docstrings are the objects'; tests hold names, defaults and values of the two equal.
"""

from .binary import binary_cross_entropy_with_logits
from .class_axis import cross_entropy
from .region import (
    dice_loss,
    focal_tversky_loss,
    generalized_dice_loss,
    jaccard_loss,
    sensitivity_specificity_loss,
    tversky_loss,
)

__all__ = [
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dice_loss",
    "focal_tversky_loss",
    "generalized_dice_loss",
    "jaccard_loss",
    "sensitivity_specificity_loss",
    "tversky_loss",
]
