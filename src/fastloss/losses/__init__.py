"""The catalogue: the class and the function of each loss, side by side, in one file per family.

Two dictionaries map the name of a function to the class of its loss. `LOSSES` holds the losses with one input and one
target; `MULTI_INPUT_LOSSES` holds those with several such pairs. Every list here is derived from the `__all__` of the
files.
"""

from .._engine.functions import FUNCTIONS
from .._engine.loss import Composed, Loss
from .._engine.multi_input import MultiInputLoss
from .._engine.partial import Partial
from . import (
    balanced_binary,
    binary,
    boundary,
    categorical,
    detection,
    dice,
    dice_ce,
    divergence,
    focal,
    focal_tversky,
    gan,
    generalized_dice,
    hausdorff,
    huber,
    jensen_shannon,
    log_dice,
    lovasz,
    margin,
    mask_rcnn,
    mcc,
    poly,
    regression,
    sensitivity_specificity,
    top_k,
    tversky,
    unified_focal,
)
from .balanced_binary import *  # noqa: F403
from .binary import *  # noqa: F403
from .boundary import *  # noqa: F403
from .categorical import *  # noqa: F403
from .detection import *  # noqa: F403
from .dice import *  # noqa: F403
from .dice_ce import *  # noqa: F403
from .divergence import *  # noqa: F403
from .focal import *  # noqa: F403
from .focal_tversky import *  # noqa: F403
from .gan import *  # noqa: F403
from .generalized_dice import *  # noqa: F403
from .hausdorff import *  # noqa: F403
from .huber import *  # noqa: F403
from .jensen_shannon import *  # noqa: F403
from .log_dice import *  # noqa: F403
from .lovasz import *  # noqa: F403
from .margin import *  # noqa: F403
from .mask_rcnn import *  # noqa: F403
from .mcc import *  # noqa: F403
from .poly import *  # noqa: F403
from .regression import *  # noqa: F403
from .sensitivity_specificity import *  # noqa: F403
from .top_k import *  # noqa: F403
from .tversky import *  # noqa: F403
from .unified_focal import *  # noqa: F403

__all__ = ["Loss", "Partial"]
__all__ += balanced_binary.__all__
__all__ += binary.__all__
__all__ += boundary.__all__
__all__ += categorical.__all__
__all__ += detection.__all__
__all__ += dice.__all__
__all__ += dice_ce.__all__
__all__ += divergence.__all__
__all__ += focal.__all__
__all__ += focal_tversky.__all__
__all__ += gan.__all__
__all__ += generalized_dice.__all__
__all__ += hausdorff.__all__
__all__ += huber.__all__
__all__ += jensen_shannon.__all__
__all__ += log_dice.__all__
__all__ += lovasz.__all__
__all__ += margin.__all__
__all__ += mask_rcnn.__all__
__all__ += mcc.__all__
__all__ += poly.__all__
__all__ += regression.__all__
__all__ += sensitivity_specificity.__all__
__all__ += top_k.__all__
__all__ += tversky.__all__
__all__ += unified_focal.__all__

# DiceCELoss is left out: it is a sum of two other losses.
LOSSES: dict[str, type[Loss]] = {
    name: cls for name, cls in FUNCTIONS.items() if issubclass(cls, Loss) and not issubclass(cls, Composed)
}
MULTI_INPUT_LOSSES: dict[str, type[MultiInputLoss]] = {
    name: cls for name, cls in FUNCTIONS.items() if issubclass(cls, MultiInputLoss)
}
