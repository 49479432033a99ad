"""The losses as functions, with torch's names: each makes its loss object and calls it.

Their docstrings are the objects'; tests hold names, defaults and values of the two equal.
"""

from .binary import (
    balanced_binary_cross_entropy,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    binary_focal_loss,
    binary_kl_div,
    js_div,
    multilabel_soft_margin_loss,
    soft_margin_loss,
)
from .boundary import boundary_loss, hausdorff_dt_loss
from .class_axis import (
    categorical_cross_entropy,
    cross_entropy,
    focal_loss,
    kl_div,
    nll_loss,
    perceptron_loss,
)
from .compose import dice_ce_loss
from .detection import detection_loss, faster_rcnn_loss, mask_rcnn_loss, mask_rcnn_mask_loss
from .gan import gan_discriminator_loss, gan_generator_loss
from .region import (
    dice_loss,
    focal_tversky_loss,
    generalized_dice_loss,
    jaccard_loss,
    sensitivity_specificity_loss,
    tversky_loss,
)
from .regression import huber_loss, l1_loss, log_cosh_loss, mse_loss, pseudo_huber_loss, smooth_l1_loss

__all__ = [
    "balanced_binary_cross_entropy",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "binary_focal_loss",
    "binary_kl_div",
    "boundary_loss",
    "categorical_cross_entropy",
    "cross_entropy",
    "detection_loss",
    "dice_ce_loss",
    "dice_loss",
    "faster_rcnn_loss",
    "focal_loss",
    "focal_tversky_loss",
    "gan_discriminator_loss",
    "gan_generator_loss",
    "generalized_dice_loss",
    "hausdorff_dt_loss",
    "huber_loss",
    "jaccard_loss",
    "js_div",
    "kl_div",
    "l1_loss",
    "log_cosh_loss",
    "mask_rcnn_loss",
    "mask_rcnn_mask_loss",
    "mse_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "perceptron_loss",
    "pseudo_huber_loss",
    "sensitivity_specificity_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "tversky_loss",
]
