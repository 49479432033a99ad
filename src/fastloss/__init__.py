"""Loss functions for convolutional networks, mainly for segmentation. They work on NumPy arrays, with fused C kernels
and without a framework.

>>> import numpy as np, fastloss as fl
>>> logits = np.array([[[2.0, 0.0], [0.0, 1.0]]], np.float32)  # (N, C, *S)
>>> labels = np.array([[0, 1]])  # (N, *S)
>>> loss = 0.5 * fl.DiceLoss() + 0.5 * fl.CrossEntropyLoss()
>>> value, gradient = loss.value_and_grad(logits, labels)
>>> gradient.shape, gradient.dtype
((1, 2, 2), dtype('float32'))
"""

from typing import TYPE_CHECKING, Any

from . import functional as functional
from . import losses
from ._backend import backend, config, get_backend, show_config
from ._engine.temperature import Calibration
from ._faults import LabelError
from ._threads import get_num_threads, num_threads, set_num_threads
from .calibrate import calibrate
from .distance import distance_transform, hausdorff_distance, signed_distance
from .evaluate import evaluate
from .gradcheck import check_grad
from .labels import class_weights, one_hot, smooth_labels
from .losses import *  # noqa: F403
from .numerics import entropy, log_sigmoid, log_softmax, logit, logsumexp, sigmoid, softmax, softplus
from .results import Report
from .tiles import Tiles

if TYPE_CHECKING:
    from . import metrics as metrics
    from .archive.audit_files import audit_files as audit_files
    from .archive.calibrate_files import calibrate_files as calibrate_files
    from .archive.compare import compare_ledgers as compare_ledgers
    from .archive.evaluate_files import evaluate_files as evaluate_files
    from .archive.merge_ledgers import merge_ledgers as merge_ledgers
    from .files.errors import FileError as FileError

__version__: str

_ON_REQUEST = {
    "audit_files": ".archive.audit_files",
    "calibrate_files": ".archive.calibrate_files",
    "evaluate_files": ".archive.evaluate_files",
    "compare_ledgers": ".archive.compare",
    "merge_ledgers": ".archive.merge_ledgers",
    "FileError": ".files.errors",
}


def __getattr__(name: str) -> Any:
    """Import what few programs need only on request: it would add a third to the time of the import."""
    import importlib

    if name == "metrics":
        return importlib.import_module(".metrics", __name__)
    if name in _ON_REQUEST:
        return getattr(importlib.import_module(_ON_REQUEST[name], __name__), name)
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("fastloss")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Calibration",
    "FileError",
    "LabelError",
    "Report",
    "Tiles",
    "audit_files",
    "backend",
    "calibrate",
    "calibrate_files",
    "check_grad",
    "class_weights",
    "compare_ledgers",
    "config",
    "distance_transform",
    "entropy",
    "evaluate",
    "evaluate_files",
    "get_backend",
    "get_num_threads",
    "hausdorff_distance",
    "log_sigmoid",
    "log_softmax",
    "logit",
    "logsumexp",
    "merge_ledgers",
    "metrics",
    "num_threads",
    "one_hot",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "signed_distance",
    "smooth_labels",
    "softmax",
    "softplus",
]
__all__ += losses.__all__
