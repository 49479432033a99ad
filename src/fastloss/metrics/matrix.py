"""The confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.confusion import ConfusionTally, PooledMetric
from .._engine.functions import function_of, loss_of
from .._engine.partial import Partial

__all__ = ["ConfusionMatrix", "confusion_matrix"]


@dataclass(frozen=True, kw_only=True, repr=False)
class ConfusionMatrix(PooledMetric):
    r"""Confusion matrix: the number of pixels of each target class and predicted class.

    The element $[t, p]$ counts the pixels of class $t$ in the target and class $p$ in the prediction, over all images.
    A single channel has two classes. In a `Report`, the value is the number of pixels that count, and the value of a
    class its number in the target; `finalize(report.partial(name))` returns the matrix.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        How scores become classes. "softmax": a pixel is of the class with the largest score, the first if several have
        it; logits and probabilities give the same. "sigmoid": logits of a single channel, whose probability must exceed
        `threshold`. None: probabilities, of which the largest counts, or of a single channel, which must exceed
        `threshold`.
    threshold : float, default 0.5
        The probability that a channel must exceed, in [0, 1]. It has no effect on classes of which the largest counts.
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
    confusion_matrix : The same metric as a function; its docstring describes the arrays.
    Accuracy

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.ConfusionMatrix()([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """

    activation: str | None = "softmax"
    threshold: float = 0.5
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    higher_is_better = None

    def tally(self) -> ConfusionTally:
        return ConfusionTally(self.prediction(), matrix=True)

    def finalize(self, partial: Partial, /) -> Array:
        super().finalize(partial)
        matrix: Array = _matrices(partial.numbers[:1])[0].astype(np.int64)
        return matrix

    def values_of(self, rows: Array, classes: int) -> Array:
        pixels: Array = np.ascontiguousarray(rows).sum(axis=1)
        return pixels

    def class_partial_of(self, sums: list[Array]) -> Array:
        of_target: Array = _matrices(sums[0]).sum(axis=2)
        return of_target

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        return numbers[-classes:]  # the second class of a single channel


def _matrices(rows: Array) -> Array:
    """Rows of n * n counts as matrices."""
    n = math.isqrt(rows.shape[1])
    return rows.reshape(-1, n, n)


@function_of(ConfusionMatrix)
def confusion_matrix(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    threshold: float = 0.5,
    ignore_index: int | Sequence[int] = -100,
    axis: int = 1,
    pixel_weight: Any = None,
    num_classes: int | None = None,
) -> Array:
    r"""Confusion matrix: the number of pixels of each target class and predicted class.

    The element $[t, p]$ counts the pixels of class $t$ in the target and class $p$ in the prediction, over all images.
    A single channel has two classes. In a `Report`, the value is the number of pixels that count, and the value of a
    class its number in the target; `finalize(report.partial(name))` returns the matrix.

    Parameters
    ----------
    input : array, shape (N, C, *S) or (N, *S)
        Scores of dtype float16, bfloat16, float32 or float64, with the classes on `axis`; or a label map of the
        target's shape, of any integer or bool dtype.
    target : array, shape (N, *S)
        Labels of any integer or bool dtype. A single channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S), or a
        dense target that holds 0 and 1.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        How scores become classes. "softmax": a pixel is of the class with the largest score, the first if several have
        it; logits and probabilities give the same. "sigmoid": logits of a single channel, whose probability must exceed
        `threshold`. None: probabilities, of which the largest counts, or of a single channel, which must exceed
        `threshold`.
    threshold : float, default 0.5
        The probability that a channel must exceed, in [0, 1]. It has no effect on classes of which the largest counts.
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
    array, shape (C, C)
        The counts, int64.

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
    ConfusionMatrix : The same metric as an object, for `evaluate` and with partials.
    Accuracy

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.confusion_matrix([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    metric = loss_of(ConfusionMatrix, activation, threshold, ignore_index, axis)
    return np.asarray(metric(input, target, pixel_weight=pixel_weight, num_classes=num_classes))
