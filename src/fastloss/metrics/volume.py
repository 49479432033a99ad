"""The difference of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.confusion import ClassMetric, Counts
from .._engine.functions import function_of, loss_of
from .._options import choice, freeze

__all__ = ["VolumeDifference", "volume_difference"]


@dataclass(frozen=True, kw_only=True, repr=False)
class VolumeDifference(ClassMetric):
    r"""Relative difference of the volumes of prediction and target.

    Per image and class, it is $|V_p - V_t| / V_t$ with the numbers of pixels $V_p$ of the prediction and $V_t$ of the
    target. It is inf if only the prediction has the class. The value is the mean over images and classes.

    Parameters
    ----------
    relative_to : {"target", "mean"}, default "target"
        What the difference is divided by: the volume of the target, or the mean of both volumes.
    signed : bool, default False
        Whether a difference is negative if the prediction is smaller than the target.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        How scores become classes. "softmax": a pixel is of the class with the largest score, the first if several have
        it; logits and probabilities give the same. "sigmoid": logits of channels that may overlap; a pixel is of each
        class whose probability exceeds `threshold`. None: probabilities, of which labels take the largest, and a dense
        target or a single channel take those above `threshold`.
    threshold : float, default 0.5
        The probability that a channel must exceed, in [0, 1]. It has no effect on classes of which the largest counts.
    classes : sequence of int, default None
        The classes that enter the mean; None: all. `range(1, C)` leaves out the background.
    batch : bool, default False
        Whether the pixels of all images are counted together before the score is computed. False: the mean is over the
        scores of images and classes.
    absent : {"nan", "zero", "one", "skip"}, default "nan"
        The score of a class that is 0 / 0 in an image, as of a class in neither prediction nor target. "nan" leaves it
        out of the mean, "zero" and "one" count it as 0 and 1. "skip" leaves out every class without a target pixel,
        whatever the prediction.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    axis : int, default 1
        The class axis of `input`.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    volume_difference : The same metric as a function; its docstring describes the arrays.
    HausdorffDistance
    DiceScore

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.VolumeDifference(classes=[1])([[0, 1, 1, 0, 0, 0]], [[0, 1, 1, 1, 1, 0]], num_classes=2)
    0.5
    """

    relative_to: str = "target"
    signed: bool = False
    activation: str | None = "softmax"
    threshold: float = 0.5
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "nan"
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    higher_is_better = False

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(self.relative_to, "relative_to", ("target", "mean"))
        choice(self.signed, "signed", (True, False))
        freeze(self, signed=bool(self.signed))

    def score(self, c: Counts) -> tuple[Array, Array]:
        difference = c.predicted - c.target if self.signed else np.abs(c.predicted - c.target)
        if self.relative_to == "mean":
            return difference, (c.predicted + c.target) / 2
        only_predicted = (c.target == 0) & (c.predicted > 0)
        return np.where(only_predicted, np.inf, difference), np.where(only_predicted, 1, c.target)


@function_of(VolumeDifference)
def volume_difference(
    input: Any,
    target: Any,
    /,
    *,
    relative_to: str = "target",
    signed: bool = False,
    activation: str | None = "softmax",
    threshold: float = 0.5,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "nan",
    ignore_index: int | Sequence[int] = -100,
    axis: int = 1,
    pixel_weight: Any = None,
    num_classes: int | None = None,
) -> float | Any:
    r"""Relative difference of the volumes of prediction and target.

    Per image and class, it is $|V_p - V_t| / V_t$ with the numbers of pixels $V_p$ of the prediction and $V_t$ of the
    target. It is inf if only the prediction has the class. The value is the mean over images and classes.

    Parameters
    ----------
    input : array, shape (N, C, *S) or (N, *S)
        Scores of dtype float16, bfloat16, float32 or float64, with the classes on `axis`; or a label map of the
        target's shape, of any integer or bool dtype.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape that holds 0
        and 1. A single channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S).
    relative_to : {"target", "mean"}, default "target"
        What the difference is divided by: the volume of the target, or the mean of both volumes.
    signed : bool, default False
        Whether a difference is negative if the prediction is smaller than the target.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        How scores become classes. "softmax": a pixel is of the class with the largest score, the first if several have
        it; logits and probabilities give the same. "sigmoid": logits of channels that may overlap; a pixel is of each
        class whose probability exceeds `threshold`. None: probabilities, of which labels take the largest, and a dense
        target or a single channel take those above `threshold`.
    threshold : float, default 0.5
        The probability that a channel must exceed, in [0, 1]. It has no effect on classes of which the largest counts.
    classes : sequence of int, default None
        The classes that enter the mean; None: all. `range(1, C)` leaves out the background.
    batch : bool, default False
        Whether the pixels of all images are counted together before the score is computed. False: the mean is over the
        scores of images and classes.
    absent : {"nan", "zero", "one", "skip"}, default "nan"
        The score of a class that is 0 / 0 in an image, as of a class in neither prediction nor target. "nan" leaves it
        out of the mean, "zero" and "one" count it as 0 and 1. "skip" leaves out every class without a target pixel,
        whatever the prediction.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    axis : int, default 1
        The class axis of `input`.
    pixel_weight : array, default None
        0 for pixels that do not count, 1 for all others. The shape broadcasts to (N, *S); with a dense target, it may
        also broadcast to (N, C, *S).
    num_classes : int, default None
        The number of classes, if `input` is a label map.

    Returns
    -------
    float
        The difference. nan if no difference is defined, inf if a class is only in the prediction.

    Raises
    ------
    LabelError
        If a label that counts is no class.
    ValueError
        If a shape, a weight or an option is wrong, or a score that counts is nan.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    VolumeDifference : The same metric as an object, for `evaluate` and with partials.
    HausdorffDistance
    DiceScore

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.volume_difference([[0, 1, 1, 0, 0, 0]], [[0, 1, 1, 1, 1, 0]], classes=[1], num_classes=2)
    0.5
    """
    options = relative_to, signed, activation, threshold, classes, batch, absent, ignore_index, axis
    metric = loss_of(VolumeDifference, *options)
    return metric(input, target, pixel_weight=pixel_weight, num_classes=num_classes)
