"""Agreement beyond that of independent labels: Cohen's kappa and Matthews' correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.confusion import Counts, PooledMetric
from .._engine.functions import function_of, loss_of
from .._engine.measure import quotient

__all__ = ["MCC", "CohenKappa", "cohen_kappa", "mcc"]

EXACT = 2**26  # the most pixels whose squares float64 holds exactly


@dataclass(frozen=True, kw_only=True, repr=False)
class CohenKappa(PooledMetric):
    r"""Cohen's kappa: the agreement of prediction and target beyond that of independent labels.

    The score is $(p_o - p_e) / (1 - p_e)$, where $p_o$ is the accuracy and $p_e = \sum_c t_c p_c / n^2$ that of
    independent labels with the same numbers of pixels: $t_c$ in the target, $p_c$ in the prediction, $n$ in all. The
    pixels of all images are pooled. The score is at most 1, and nan if one class has all pixels of both. The value of a
    class is the kappa of the class and the rest.

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
    cohen_kappa : The same metric as a function; its docstring describes the arrays.
    MCC

    References
    ----------
    Cohen 1960, doi:10.1177/001316446002000104.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.CohenKappa()([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    0.6363636363636364
    """

    activation: str | None = "softmax"
    threshold: float = 0.5
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    def score(self, c: Counts) -> Array:
        n = c.kept[:, 0]
        wrong = n - c.tp.sum(axis=1)
        expected = np.ascontiguousarray(c.target * (c.kept - c.predicted)).sum(axis=1)  # times n
        return 1 - quotient(wrong * n, expected)


@function_of(CohenKappa)
def cohen_kappa(
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
    r"""Cohen's kappa: the agreement of prediction and target beyond that of independent labels.

    The score is $(p_o - p_e) / (1 - p_e)$, where $p_o$ is the accuracy and $p_e = \sum_c t_c p_c / n^2$ that of
    independent labels with the same numbers of pixels: $t_c$ in the target, $p_c$ in the prediction, $n$ in all. The
    pixels of all images are pooled. The score is at most 1, and nan if one class has all pixels of both. The value of a
    class is the kappa of the class and the rest.

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
    CohenKappa : The same metric as an object, for `evaluate` and with partials.
    MCC

    References
    ----------
    Cohen 1960, doi:10.1177/001316446002000104.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.cohen_kappa([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    0.6363636363636364
    """
    metric = loss_of(CohenKappa, activation, threshold, ignore_index, axis)
    return metric(input, target, pixel_weight=pixel_weight, num_classes=num_classes)


@dataclass(frozen=True, kw_only=True, repr=False)
class MCC(PooledMetric):
    r"""Matthews' correlation coefficient of prediction and target.

    The score is $(c n - \sum_k t_k p_k) / \sqrt{(n^2 - \sum_k p_k^2)(n^2 - \sum_k t_k^2)}$, where $c$ pixels of $n$
    have the right class, $t_k$ have class $k$ in the target, and $p_k$ in the prediction. The pixels of all images are
    pooled. The score is from -1 to 1, and 0 if the prediction or the target has one class only. The value of a class is
    the coefficient of the class and the rest.

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
    mcc : The same metric as a function; its docstring describes the arrays.
    CohenKappa

    References
    ----------
    Matthews 1975, doi:10.1016/0005-2795(75)90109-9; Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.MCC()([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    0.7
    """

    activation: str | None = "softmax"
    threshold: float = 0.5
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    def score(self, c: Counts) -> Array:
        n = c.kept[:, 0]
        if n.size and EXACT < n.max() < 2**62:  # n^2 is no longer exact
            c = Counts(*(counts.astype(np.int64).astype(object) for counts in c))
        both = c.tp.sum(axis=1) * c.kept[:, 0] - (c.target * c.predicted).sum(axis=1)
        of_target, of_prediction = (
            (of * (c.kept - of)).sum(axis=1).astype(np.float64) for of in (c.target, c.predicted)
        )
        below = np.sqrt(of_target * of_prediction)
        score: Array = np.divide(both.astype(np.float64), below, out=np.zeros(n.shape), where=below > 0)
        return np.where(n > 0, score, np.nan)


@function_of(MCC)
def mcc(
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
    r"""Matthews' correlation coefficient of prediction and target.

    The score is $(c n - \sum_k t_k p_k) / \sqrt{(n^2 - \sum_k p_k^2)(n^2 - \sum_k t_k^2)}$, where $c$ pixels of $n$
    have the right class, $t_k$ have class $k$ in the target, and $p_k$ in the prediction. The pixels of all images are
    pooled. The score is from -1 to 1, and 0 if the prediction or the target has one class only. The value of a class is
    the coefficient of the class and the rest.

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
    MCC : The same metric as an object, for `evaluate` and with partials.
    CohenKappa

    References
    ----------
    Matthews 1975, doi:10.1016/0005-2795(75)90109-9; Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.mcc([[0, 1, 1, 2]], [[0, 1, 2, 2]], num_classes=3)
    0.7
    """
    metric = loss_of(MCC, activation, threshold, ignore_index, axis)
    return metric(input, target, pixel_weight=pixel_weight, num_classes=num_classes)
