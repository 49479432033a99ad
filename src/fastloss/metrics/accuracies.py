"""Accuracy and balanced accuracy of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.confusion import Counts, PooledMetric
from .._engine.functions import function_of, loss_of
from .._engine.measure import quotient

__all__ = ["Accuracy", "BalancedAccuracy", "accuracy", "balanced_accuracy"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Accuracy(PooledMetric):
    r"""Accuracy: the share of the pixels whose class is predicted.

    The score is from 0 to 1, over all pixels of all images. The value of a class is its recall.

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
    accuracy : The same metric as a function; its docstring describes the arrays.
    BalancedAccuracy

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.Accuracy()([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    0.75
    """

    activation: str | None = "softmax"
    threshold: float = 0.5
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    def score(self, c: Counts) -> Array:
        return quotient(c.tp.sum(axis=1), c.kept[:, 0])

    def class_score(self, c: Counts) -> Array:
        return quotient(c.tp, c.target)


@function_of(Accuracy)
def accuracy(
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
) -> float | Any:
    r"""Accuracy: the share of the pixels whose class is predicted.

    The score is from 0 to 1, over all pixels of all images. The value of a class is its recall.

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
    Accuracy : The same metric as an object, for `evaluate` and with partials.
    BalancedAccuracy

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.accuracy([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    0.75
    """
    metric = loss_of(Accuracy, activation, threshold, ignore_index, axis)
    return metric(input, target, pixel_weight=pixel_weight, num_classes=num_classes)


@dataclass(frozen=True, kw_only=True, repr=False)
class BalancedAccuracy(PooledMetric):
    r"""Balanced accuracy: the mean recall of the classes in the target.

    The pixels of all images are pooled. The score is from 0 to 1. The value of a class is its recall.

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
    balanced_accuracy : The same metric as a function; its docstring describes the arrays.
    Accuracy
    Recall

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.BalancedAccuracy()([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    0.8333333333333334
    """

    activation: str | None = "softmax"
    threshold: float = 0.5
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    def score(self, c: Counts) -> Array:
        present = c.target > 0
        recalls = np.where(present, self.class_score(c), 0)
        return quotient(np.ascontiguousarray(recalls).sum(axis=1), present.sum(axis=1).astype(float))

    def class_score(self, c: Counts) -> Array:
        return quotient(c.tp, c.target)


@function_of(BalancedAccuracy)
def balanced_accuracy(
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
) -> float | Any:
    r"""Balanced accuracy: the mean recall of the classes in the target.

    The pixels of all images are pooled. The score is from 0 to 1. The value of a class is its recall.

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
    BalancedAccuracy : The same metric as an object, for `evaluate` and with partials.
    Accuracy
    Recall

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.balanced_accuracy([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    0.8333333333333334
    """
    metric = loss_of(BalancedAccuracy, activation, threshold, ignore_index, axis)
    return metric(input, target, pixel_weight=pixel_weight, num_classes=num_classes)
