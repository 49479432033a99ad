"""The losses as objects, by the name of their function.

`LOSSES` is the list of all that take one input and one target, `JOINT_LOSSES` of those that take several pairs.
"""

from .base import Loss
from .binary import (
    BalancedBCELoss,
    BCELoss,
    BCEWithLogitsLoss,
    BinaryFocalLoss,
    BinaryKLDivLoss,
    JSDivLoss,
    MultiLabelSoftMarginLoss,
    SoftMarginLoss,
)
from .boundary import BoundaryLoss, HausdorffDTLoss
from .class_axis import (
    CategoricalCrossEntropyLoss,
    CrossEntropyLoss,
    FocalLoss,
    KLDivLoss,
    NLLLoss,
    PerceptronLoss,
)
from .compose import DiceCELoss
from .detection import DetectionLoss, FasterRCNNLoss, MaskRCNNLoss, MaskRCNNMaskLoss
from .gan import GANDiscriminatorLoss, GANGeneratorLoss
from .joint import JointLoss
from .overlap import (
    DiceLoss,
    FocalTverskyLoss,
    GeneralizedDiceLoss,
    JaccardLoss,
    SensitivitySpecificityLoss,
    TverskyLoss,
)
from .partial import Partial
from .regression import HuberLoss, L1Loss, LogCoshLoss, MSELoss, PseudoHuberLoss, SmoothL1Loss

LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "nll_loss": NLLLoss,
    "categorical_cross_entropy": CategoricalCrossEntropyLoss,
    "focal_loss": FocalLoss,
    "perceptron_loss": PerceptronLoss,
    "kl_div": KLDivLoss,
    "binary_cross_entropy": BCELoss,
    "binary_cross_entropy_with_logits": BCEWithLogitsLoss,
    "balanced_binary_cross_entropy": BalancedBCELoss,
    "binary_focal_loss": BinaryFocalLoss,
    "binary_kl_div": BinaryKLDivLoss,
    "js_div": JSDivLoss,
    "soft_margin_loss": SoftMarginLoss,
    "multilabel_soft_margin_loss": MultiLabelSoftMarginLoss,
    "mse_loss": MSELoss,
    "l1_loss": L1Loss,
    "huber_loss": HuberLoss,
    "smooth_l1_loss": SmoothL1Loss,
    "log_cosh_loss": LogCoshLoss,
    "pseudo_huber_loss": PseudoHuberLoss,
    "dice_loss": DiceLoss,
    "jaccard_loss": JaccardLoss,
    "tversky_loss": TverskyLoss,
    "focal_tversky_loss": FocalTverskyLoss,
    "sensitivity_specificity_loss": SensitivitySpecificityLoss,
    "generalized_dice_loss": GeneralizedDiceLoss,
    "boundary_loss": BoundaryLoss,
    "hausdorff_dt_loss": HausdorffDTLoss,
}

JOINT_LOSSES: dict[str, type[JointLoss]] = {
    "gan_discriminator_loss": GANDiscriminatorLoss,
    "gan_generator_loss": GANGeneratorLoss,
    "detection_loss": DetectionLoss,
    "faster_rcnn_loss": FasterRCNNLoss,
    "mask_rcnn_mask_loss": MaskRCNNMaskLoss,
    "mask_rcnn_loss": MaskRCNNLoss,
}

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "BalancedBCELoss",
    "BinaryFocalLoss",
    "BinaryKLDivLoss",
    "BoundaryLoss",
    "CategoricalCrossEntropyLoss",
    "CrossEntropyLoss",
    "DetectionLoss",
    "DiceCELoss",
    "DiceLoss",
    "FasterRCNNLoss",
    "FocalLoss",
    "FocalTverskyLoss",
    "GANDiscriminatorLoss",
    "GANGeneratorLoss",
    "GeneralizedDiceLoss",
    "HausdorffDTLoss",
    "HuberLoss",
    "JSDivLoss",
    "JaccardLoss",
    "KLDivLoss",
    "L1Loss",
    "LogCoshLoss",
    "Loss",
    "MSELoss",
    "MaskRCNNLoss",
    "MaskRCNNMaskLoss",
    "MultiLabelSoftMarginLoss",
    "NLLLoss",
    "Partial",
    "PerceptronLoss",
    "PseudoHuberLoss",
    "SensitivitySpecificityLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TverskyLoss",
]
