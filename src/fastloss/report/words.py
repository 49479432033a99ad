"""States in words what the value of a loss or metric is averaged over, and the spacing that distances are measured
with."""

import math
from collections.abc import Iterable, Sequence

from .._engine.confusion import ClassMetric
from .._engine.loss import Composed
from .._engine.lovasz import LovaszLoss
from .._engine.measure import Measure
from .._engine.metric import Metric
from .._engine.region import RegionLoss
from ..losses import GeneralizedDiceLoss, TopKLoss

ABSENT = {"skip": ", without classes absent from the mask", "nan": ", without classes that have no value"}


def averaging(loss: Measure) -> str:
    """Say in words what the value of a loss or metric over many images is averaged over."""
    if isinstance(loss, ClassMetric):
        absent = ABSENT.get(loss.absent, "")
        mean = "pixels of all images pooled, then mean over classes" if loss.batch else "mean over images and classes"
        return f"{mean}{absent}"
    if isinstance(loss, Metric):
        return "pixels of all images pooled"
    if isinstance(loss, Composed):
        return " + ".join(f"{weight:g} x ({averaging(term)})" for weight, term in loss.summands())
    if loss.reduction == "sum":
        return "the sum, not an average"
    if isinstance(loss, LovaszLoss):
        return "mean over the classes of each image, then over images"
    if isinstance(loss, TopKLoss):
        return averaging(loss.loss).replace("the pixels", "the hardest pixels")
    weighted = "weighted " if getattr(loss, "class_weight", None) is not None else ""
    if isinstance(loss, GeneralizedDiceLoss):  # one value per image
        return "pixels of all images pooled" if loss.batch else "mean over images"
    if not isinstance(loss, RegionLoss):
        return f"{weighted}mean over the pixels of all images"
    absent = ABSENT["skip"] if getattr(loss, "absent", None) == "skip" else ""
    if loss.batch:
        return f"pixels of all images pooled, then {weighted}mean over classes{absent}"
    return f"{weighted}mean over images and classes{absent}"


def spacing_line(losses: Iterable[Measure], spacings: Sequence[tuple[float, ...] | None]) -> str:
    """Return the spacing of the images, for a report with losses that measure distances; otherwise nothing."""
    leaves = [leaf for loss in losses for _, leaf in loss.summands()]
    if not any(getattr(leaf, "spacing", ()) is None for leaf in leaves):
        return ""
    steps = sorted({tuple(round(step, 6) for step in spacing) for spacing in spacings if spacing is not None})
    without = sum(spacing is None for spacing in spacings)
    if not steps:
        return "Distances are counted in pixels: no header gives a spacing."
    text = "Distances are measured with the spacing of the headers: " + " x ".join(f"{step:g}" for step in steps[0])
    if len(steps) > 1:
        text += " to " + " x ".join(f"{step:g}" for step in steps[-1])
    return f"{text}; in pixels for {without} images without a spacing." if without else f"{text}."


def number(value: float, absent: str) -> str:
    """Return a value with six digits, or `absent` for nan."""
    return absent if math.isnan(value) else f"{value:.6g}"
