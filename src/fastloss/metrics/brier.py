"""The Brier score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.measure import quotient
from .._engine.term_tally import CalibrationMetric
from .._terms import ACTIVATIONS, Term

__all__ = ["BrierScore", "brier_score"]


@dataclass(frozen=True, kw_only=True, repr=False)
class BrierScore(CalibrationMetric):
    r"""Brier score: the mean squared error of the probabilities.

    The value of a pixel is $\sum_c (p_c - y_c)^2$, from 0 to 2; for a single channel it is $(p - y)^2$. With
    "sigmoid", it is the mean over the channels instead of the sum. The score is the mean over all pixels of all images.
    In a report, `per_class` is the mean over the pixels with that label. scikit-learn's `brier_score_loss` is the same
    with `scale_by_half=False`, or for a single channel.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns the input into probabilities. None: the input holds probabilities.
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
    brier_score : The same metric as a function; its docstring describes the arrays.
    ExpectedCalibrationError

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.BrierScore(activation=None)([[[0.75, 0.25], [0.25, 0.75]]], [[0, 0]])
    0.625
    """

    activation: str | None = "softmax"
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    def terms(self) -> tuple[Term, ...]:
        scale = None if self.activation == "sigmoid" else 1.0  # None: 1 / C
        return (Term("brier", "pixel", ACTIVATIONS.index(self.activation), None, (scale,)),)

    def partial_of(self, sums: list[Array]) -> Array:
        return sums[0][:, :2]

    def partial_size(self, classes: int) -> int:
        return 2

    def class_partial_of(self, sums: list[Array]) -> Array:
        return sums[0][:, 2:]

    def values_of(self, rows: Array, classes: int) -> Array:
        return quotient(rows[:, 0], rows[:, 1])

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        total, pixels = np.reshape(numbers, (2, classes))
        return quotient(total, pixels)


@function_of(BrierScore)
def brier_score(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    ignore_index: int | Sequence[int] = -100,
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Brier score: the mean squared error of the probabilities.

    The value of a pixel is $\sum_c (p_c - y_c)^2$, from 0 to 2; for a single channel it is $(p - y)^2$. With
    "sigmoid", it is the mean over the channels instead of the sum. The score is the mean over all pixels of all images.
    In a report, `per_class` is the mean over the pixels with that label. scikit-learn's `brier_score_loss` is the same
    with `scale_by_half=False`, or for a single channel.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Logits or probabilities of dtype float16, bfloat16, float32 or float64, with the classes on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target in [0, 1]. A single channel takes labels {0, 1}, of shape
        (N, *S) or (N, 1, *S).
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns the input into probabilities. None: the input holds probabilities.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    axis : int, default 1
        The class axis of `input`.
    pixel_weight : array, default None
        0 for pixels that do not count, 1 for all others. The shape broadcasts to (N, *S); with a dense target, it may
        also broadcast to (N, C, *S).

    Returns
    -------
    float
        The score, or nan if no pixel counts.

    Raises
    ------
    LabelError
        If a label that counts is no class.
    ValueError
        If a shape, a weight or an option is wrong, or a number that counts is nan, an infinite logit or no probability.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    BrierScore : The same metric as an object, for `evaluate` and with partials.
    expected_calibration_error

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.brier_score([[[0.75, 0.25], [0.25, 0.75]]], [[0, 0]], activation=None)
    0.625
    """
    metric = loss_of(BrierScore, activation, ignore_index, axis)
    return metric(input, target, pixel_weight=pixel_weight)
