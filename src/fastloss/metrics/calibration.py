"""Metrics of probabilities: expected calibration error and reliability curve. brier.py has the Brier score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._arrays import Array
from .._batch import Batch
from .._engine.functions import function_of, loss_of
from .._engine.measure import quotient
from .._engine.partial import Partial
from .._engine.term_tally import CalibrationMetric
from .._options import choice, freeze, integer
from .._terms import ACTIVATIONS, Term

__all__ = ["ExpectedCalibrationError", "ReliabilityCurve", "expected_calibration_error", "reliability_curve"]

MOST_BINS = 1000
PARTS = 4  # counts, hits, and the sums of probabilities in two parts (csrc/kernels/bins.h)


class Reliability(NamedTuple):
    """What `reliability_curve` returns. With `by_class`, all arrays but `edges` have shape (C, bins).

    Attributes
    ----------
    edges : array, shape (bins + 1,)
        The edges of the bins, from 0 to 1. Bin k holds the probabilities p with `edges[k] < p <= edges[k + 1]`, and the
        first bin also holds 0.
    counts : array, shape (bins,)
        The number of pixels in each bin, int64.
    confidence : array, shape (bins,)
        The mean probability in each bin, or nan if it is empty.
    accuracy : array, shape (bins,)
        The fraction of pixels in each bin whose prediction is right, or nan if it is empty.
    """

    edges: Array
    counts: Array
    confidence: Array
    accuracy: Array


class BinnedMetric(CalibrationMetric):
    """Base of the metrics of bins."""

    bins: int
    by_class: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(self.by_class, "by_class", (True, False))
        bins = integer(self.bins, "bins")
        if not 1 <= bins <= MOST_BINS:
            raise ValueError(f"bins: expected an integer from 1 to {MOST_BINS}, got {bins}")
        freeze(self, bins=bins, by_class=bool(self.by_class))

    def terms(self) -> tuple[Term, ...]:
        edges = tuple(k / self.bins for k in range(1, self.bins))
        of_class = Term("class_reliability", "bins", ACTIVATIONS.index(self.activation), None, (4.0, 1.0), edges=edges)
        if self.by_class:
            return (of_class,)
        return (of_class._replace(name="reliability", params=(4.0, 0.0), single=of_class),)

    def check_batch(self, batch: Batch) -> None:
        super().check_batch(batch)
        if batch.classes > 1 and not self.by_class and (self.activation == "sigmoid" or not batch.labels):
            got = "activation='sigmoid'" if batch.labels else f"a dense target of shape {batch.shape}"
            raise ValueError(
                f"by_class: expected True for channels that do not exclude each other, got {got} for {self!r}; the "
                "largest probability is that of one of several classes, with labels"
            )

    def partial_of(self, sums: list[Array]) -> Array:
        return sums[0]

    def partial_size(self, classes: int) -> int:
        return PARTS * self.bins * (classes if self.by_class else 1)

    def class_partial_of(self, sums: list[Array]) -> Array:
        return sums[0]

    def _binned(self, rows: Array) -> tuple[Array, Array, Array]:
        """The counts, the hits and the sums of probabilities, each (n, C, bins), or (n, 1, bins) if not by class."""
        count, hits, high, low = np.moveaxis(rows.reshape(len(rows), -1, PARTS, self.bins), 2, 0)
        return count, hits, high + low

    def _errors(self, rows: Array) -> Array:
        """The calibration error of each row and class, (n, C), or (n, 1) if not by class."""
        count, hits, share = (np.ascontiguousarray(part) for part in self._binned(rows))
        return quotient(np.abs(hits - share).sum(axis=2), count.sum(axis=2))

    def values_of(self, rows: Array, classes: int) -> Array:
        errors = self._errors(rows)
        keep = ~np.isnan(errors)
        return quotient(np.where(keep, errors, 0).sum(axis=1), keep.sum(axis=1))

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        errors = self._errors(numbers[None])[0]
        return errors if len(errors) == classes else np.full(classes, np.nan)


@dataclass(frozen=True, kw_only=True, repr=False)
class ExpectedCalibrationError(BinnedMetric):
    r"""Expected calibration error: how far probabilities are from the frequencies with which they are right.

    $\sum_k \frac{n_k}{n} |\mathrm{accuracy}_k - \mathrm{confidence}_k|$ over bins of the probability. $n_k$ is the
    number of pixels in bin $k$, $\mathrm{confidence}_k$ is their mean probability, and $\mathrm{accuracy}_k$ is the
    fraction of them whose prediction is right. Bins are right-closed: bin $k$ of $K$ holds $k/K < p \le (k + 1)/K$, and
    the first bin also holds 0. The edges are rounded to the dtype of the arithmetic.

    The pixels of all images are pooled. `per_image` of a report has the error of each image by itself, and `per_class`
    has that of each class with `by_class`, otherwise nan.

    Parameters
    ----------
    bins : int, default 15
        The number of bins, from 1 to 1000.
    by_class : bool, default False
        False: the probability is the largest of a pixel, and it is right if the label is that class, the first if
        several classes have it. True: each class has bins of its own, its probability is right if the label is that
        class, and the value is the mean over the classes. With a single channel, both are the error of that channel.
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
    expected_calibration_error : The same metric as a function; its docstring describes the arrays.
    ReliabilityCurve : The bins themselves.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.ExpectedCalibrationError(bins=2, activation=None)([[[0.75, 0.25], [0.25, 0.75]]], [[0, 0]])
    0.25
    """

    bins: int = 15
    by_class: bool = False
    activation: str | None = "softmax"
    ignore_index: int | Sequence[int] = -100
    axis: int = 1


@function_of(ExpectedCalibrationError)
def expected_calibration_error(
    input: Any,
    target: Any,
    /,
    *,
    bins: int = 15,
    by_class: bool = False,
    activation: str | None = "softmax",
    ignore_index: int | Sequence[int] = -100,
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Expected calibration error: how far probabilities are from the frequencies with which they are right.

    $\sum_k \frac{n_k}{n} |\mathrm{accuracy}_k - \mathrm{confidence}_k|$ over bins of the probability. $n_k$ is the
    number of pixels in bin $k$, $\mathrm{confidence}_k$ is their mean probability, and $\mathrm{accuracy}_k$ is the
    fraction of them whose prediction is right. Bins are right-closed: bin $k$ of $K$ holds $k/K < p \le (k + 1)/K$, and
    the first bin also holds 0. The edges are rounded to the dtype of the arithmetic.

    The pixels of all images are pooled. `per_image` of a report has the error of each image by itself, and `per_class`
    has that of each class with `by_class`, otherwise nan.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Logits or probabilities of dtype float16, bfloat16, float32 or float64, with the classes on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype. A single channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S). With
        `by_class`, or for a single channel, also a dense target that holds 0 and 1.
    bins : int, default 15
        The number of bins, from 1 to 1000.
    by_class : bool, default False
        False: the probability is the largest of a pixel, and it is right if the label is that class, the first if
        several classes have it. True: each class has bins of its own, its probability is right if the label is that
        class, and the value is the mean over the classes. With a single channel, both are the error of that channel.
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
        The error, from 0 to 1, or nan if no pixel counts.

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
    ExpectedCalibrationError : The same metric as an object, for `evaluate` and with partials.
    reliability_curve : The bins themselves.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.expected_calibration_error([[[0.75, 0.25], [0.25, 0.75]]], [[0, 0]], bins=2, activation=None)
    0.25
    """
    metric = loss_of(ExpectedCalibrationError, bins, by_class, activation, ignore_index, axis)
    return metric(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class ReliabilityCurve(BinnedMetric):
    r"""Reliability curve: counts, mean probability and accuracy in bins of the probability.

    `expected_calibration_error` describes the bins. The pixels of all images are pooled. In a `Report`, the value is
    the error of the bins; `finalize(report.partial(name))` returns the curve.

    Parameters
    ----------
    bins : int, default 15
        The number of bins, from 1 to 1000.
    by_class : bool, default False
        False: one curve of the largest probability of each pixel. True: one curve per class.
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
    reliability_curve : The same metric as a function; its docstring describes the arrays.
    ExpectedCalibrationError

    Examples
    --------
    >>> import fastloss as fl
    >>> curve = fl.metrics.ReliabilityCurve(bins=2, activation=None)([[[0.75, 0.25], [0.25, 0.75]]], [[0, 0]])
    >>> curve.counts, curve.confidence, curve.accuracy
    (array([0, 2]), array([ nan, 0.75]), array([nan, 0.5]))
    """

    bins: int = 15
    by_class: bool = False
    activation: str | None = "softmax"
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    def finalize(self, partial: Partial, /) -> Reliability:
        """Compute the curve of all images that went into `partial`.

        Parameters
        ----------
        partial : Partial
            The sums of the images.

        Returns
        -------
        Reliability
            The bins.
        """
        super().finalize(partial)
        count, hits, share = (part[0] if self.by_class else part[0, 0] for part in self._binned(partial.numbers[:1]))
        edges = np.array([k / self.bins for k in range(self.bins + 1)])
        return Reliability(edges, count.astype(np.int64), quotient(share, count), quotient(hits, count))


@function_of(ReliabilityCurve)
def reliability_curve(
    input: Any,
    target: Any,
    /,
    *,
    bins: int = 15,
    by_class: bool = False,
    activation: str | None = "softmax",
    ignore_index: int | Sequence[int] = -100,
    axis: int = 1,
    pixel_weight: Any = None,
) -> Reliability:
    r"""Reliability curve: counts, mean probability and accuracy in bins of the probability.

    `expected_calibration_error` describes the bins. The pixels of all images are pooled. In a `Report`, the value is
    the error of the bins; `finalize(report.partial(name))` returns the curve.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Logits or probabilities of dtype float16, bfloat16, float32 or float64, with the classes on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype. A single channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S). With
        `by_class`, or for a single channel, also a dense target that holds 0 and 1.
    bins : int, default 15
        The number of bins, from 1 to 1000.
    by_class : bool, default False
        False: one curve of the largest probability of each pixel. True: one curve per class.
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
    Reliability
        A named tuple: `edges` of shape (bins + 1,), and `counts` (int64), `confidence` and `accuracy` of shape (bins,),
        or (C, bins) with `by_class`. The last two are nan in empty bins.

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
    ReliabilityCurve : The same metric as an object, for `evaluate` and with partials.
    expected_calibration_error

    Examples
    --------
    >>> import fastloss as fl
    >>> x = [[[0.75, 0.25], [0.25, 0.75]]]
    >>> fl.metrics.reliability_curve(x, [[0, 0]], bins=2, activation=None).accuracy
    array([nan, 0.5])
    """
    metric = loss_of(ReliabilityCurve, bins, by_class, activation, ignore_index, axis)
    curve: Any = metric(input, target, pixel_weight=pixel_weight)
    found: Reliability = curve
    return found
