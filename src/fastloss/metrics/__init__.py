"""The catalogue of metrics: the class and the function of each metric, side by side.

`METRICS` maps the name of a function to the class of its metric. Every list here is derived from the `__all__` of the
files.
"""

from .._engine.functions import FUNCTIONS
from .._engine.measure import Measure
from .._engine.metric import Metric
from . import (
    accuracies,
    agreement,
    average_distance,
    brier,
    calibration,
    f_score,
    hausdorff,
    matrix,
    overlap,
    precision_recall,
    surface_overlap,
    sweep,
    true_negative_rate,
    volume,
)
from .accuracies import *  # noqa: F403
from .agreement import *  # noqa: F403
from .average_distance import *  # noqa: F403
from .brier import *  # noqa: F403
from .calibration import *  # noqa: F403
from .f_score import *  # noqa: F403
from .hausdorff import *  # noqa: F403
from .matrix import *  # noqa: F403
from .overlap import *  # noqa: F403
from .precision_recall import *  # noqa: F403
from .surface_overlap import *  # noqa: F403
from .sweep import *  # noqa: F403
from .true_negative_rate import *  # noqa: F403
from .volume import *  # noqa: F403

__all__ = ["Measure", "Metric"]
__all__ += accuracies.__all__
__all__ += agreement.__all__
__all__ += average_distance.__all__
__all__ += brier.__all__
__all__ += calibration.__all__
__all__ += f_score.__all__
__all__ += hausdorff.__all__
__all__ += matrix.__all__
__all__ += overlap.__all__
__all__ += precision_recall.__all__
__all__ += surface_overlap.__all__
__all__ += sweep.__all__
__all__ += true_negative_rate.__all__
__all__ += volume.__all__

METRICS: dict[str, type[Metric]] = {name: cls for name, cls in FUNCTIONS.items() if issubclass(cls, Metric)}
