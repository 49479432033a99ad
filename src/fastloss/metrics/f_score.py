"""F-beta, the weighted harmonic mean of precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._arrays import Array
from .._engine.confusion import ClassMetric, Counts
from .._engine.functions import function_of, loss_of
from .._options import freeze, positive

__all__ = ["FBeta", "fbeta"]


@dataclass(frozen=True, kw_only=True, repr=False)
class FBeta(ClassMetric):
    r"""F-beta score: the weighted harmonic mean of precision and recall.

    Per image and class, the score is $(1 + \beta^2) TP / ((1 + \beta^2) TP + \beta^2 FN + FP)$, from the pixels that
    count. It is from 0 to 1.

    Parameters
    ----------
    beta : float, default 1.0
        The weight of recall compared with precision, > 0. With 1, the score is Dice's.
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
    fbeta : The same metric as a function; its docstring describes the arrays.
    DiceScore
    Precision
    Recall

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.FBeta(beta=2.0)([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    0.7962962962962963
    """

    beta: float = 1.0
    activation: str | None = "softmax"
    threshold: float = 0.5
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "nan"
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, beta=positive(self.beta, "beta"))

    def score(self, c: Counts) -> tuple[Array, Array]:
        square = self.beta**2
        return (1 + square) * c.tp, c.predicted + square * c.target


@function_of(FBeta)
def fbeta(
    input: Any,
    target: Any,
    /,
    *,
    beta: float = 1.0,
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
    r"""F-beta score: the weighted harmonic mean of precision and recall.

    Per image and class, the score is $(1 + \beta^2) TP / ((1 + \beta^2) TP + \beta^2 FN + FP)$, from the pixels that
    count. It is from 0 to 1.

    Parameters
    ----------
    input : array, shape (N, C, *S) or (N, *S)
        Scores of dtype float16, bfloat16, float32 or float64, with the classes on `axis`; or a label map of the
        target's shape, of any integer or bool dtype.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape that holds 0
        and 1. A single channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S).
    beta : float, default 1.0
        The weight of recall compared with precision, > 0. With 1, the score is Dice's.
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
        The score. nan if no score is defined.

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
    FBeta : The same metric as an object, for `evaluate` and with partials.
    DiceScore
    Precision
    Recall

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.fbeta([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3, beta=2.0)
    0.7962962962962963
    """
    metric = loss_of(FBeta, beta, activation, threshold, classes, batch, absent, ignore_index, axis)
    return metric(input, target, pixel_weight=pixel_weight, num_classes=num_classes)
