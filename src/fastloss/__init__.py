"""Loss functions for convolutional networks, above all for segmentation, on NumPy arrays: fused C kernels, no
framework.

>>> import numpy as np, fastloss as fl
>>> logits = np.array([[[2.0, 0.0], [0.0, 1.0]]], np.float32)  # (N, C, *S)
>>> labels = np.array([[0, 1]])  # (N, *S)
>>> loss = 0.5 * fl.DiceLoss() + 0.5 * fl.CrossEntropyLoss()
>>> value, gradient = loss.value_and_grad(logits, labels)
>>> gradient.shape, gradient.dtype
((1, 2, 2), dtype('float32'))
"""

import importlib.metadata

from ._backend import backend, config, get_backend, get_num_threads, num_threads, set_num_threads, show_config
from ._batch import LabelError
from .evaluate import Report, evaluate
from .functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    dice_loss,
    focal_tversky_loss,
    generalized_dice_loss,
    jaccard_loss,
    sensitivity_specificity_loss,
    tversky_loss,
)
from .losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalTverskyLoss,
    GeneralizedDiceLoss,
    JaccardLoss,
    Loss,
    Partial,
    SensitivitySpecificityLoss,
    TverskyLoss,
)
from .numerics import log_softmax, logsumexp, softmax

__version__ = importlib.metadata.version("fastloss")

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalTverskyLoss",
    "GeneralizedDiceLoss",
    "JaccardLoss",
    "LabelError",
    "Loss",
    "Partial",
    "Report",
    "SensitivitySpecificityLoss",
    "TverskyLoss",
    "backend",
    "binary_cross_entropy_with_logits",
    "config",
    "cross_entropy",
    "dice_loss",
    "evaluate",
    "focal_tversky_loss",
    "generalized_dice_loss",
    "get_backend",
    "get_num_threads",
    "jaccard_loss",
    "log_softmax",
    "logsumexp",
    "num_threads",
    "sensitivity_specificity_loss",
    "set_num_threads",
    "show_config",
    "softmax",
    "tversky_loss",
]
