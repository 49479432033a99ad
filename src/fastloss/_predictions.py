"""Predictions as metrics take them: scores, channels above a threshold, or label maps.

A label map becomes a `Batch` whose input is the map itself, seen once per class, so nothing is copied. `raise_fault` is
for counts what `Batch.raise_fault` is for losses: the search for the element that a kernel reported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ._arrays import Array, as_array, as_labels, broadcast
from ._batch import Batch, class_batch
from ._faults import check_labels, first, position
from ._options import integer
from ._terms import Rule

MOST_CLASSES = 2**20


class Prediction(NamedTuple):
    """How a metric turns its input into classes."""

    activation: str | None
    threshold: float  # a probability

    def rule(self, batch: Batch) -> int:
        """The rule for a batch. Probabilities of classes that exclude each other are compared with each other."""
        if batch.label_map:
            return Rule.LABELS
        exclusive = self.activation is None and batch.labels and batch.classes > 1
        return Rule.ARGMAX if exclusive or self.activation == "softmax" else Rule.ABOVE

    def level(self) -> float:
        """What a channel's value must exceed: the threshold, or its logit."""
        t = self.threshold
        return t if self.activation is None else math.log(t / (1 - t))


def holds_labels(input: Any) -> bool:
    """Whether an input is a label map, because its numbers are integers or bools."""
    return as_array(input, "input").dtype.kind in "iub"


def label_batch(input: Any, target: Any, pixel_weight: Any, ignored: tuple[int, ...], num_classes: int | None) -> Batch:
    """Make a batch from a predicted label map and the labels of the target, of the same shape."""
    x, y = as_labels(input, "input"), as_labels(target, "target")
    if x.shape != y.shape:
        raise ValueError(
            f"input: expected a label map of the target's shape {y.shape}, got {x.dtype} of shape {x.shape}"
        )
    if num_classes is None:
        raise ValueError("num_classes: expected the number of classes for a label map as input, got None")
    if not 2 <= integer(num_classes, "num_classes") <= MOST_CLASSES:
        raise ValueError(f"num_classes: expected a number from 2 to {MOST_CLASSES}, got {num_classes}")
    w, given = None, None
    if pixel_weight is not None:
        given = broadcast(as_array(pixel_weight, "pixel_weight"), x.shape, "pixel_weight")
        w = given if x.ndim else given[None]
    flat, labels = (x, y) if x.ndim else (x[None], y[None])
    view = np.broadcast_to(flat[:, None], (len(flat), num_classes, *flat.shape[1:]))
    batch = Batch(view, labels, True, ignored, x.shape, None, y)
    batch.given_weight, batch.weight, batch.label_map = given, w, True
    return batch


def prediction_batch(
    input: Any, target: Any, pixel_weight: Any, axis: int, ignored: tuple[int, ...], num_classes: int | None
) -> Batch:
    """Make the batch of a metric, from scores or from a label map."""
    if holds_labels(input):
        return label_batch(input, target, pixel_weight, ignored, num_classes)
    batch = class_batch(input, target, pixel_weight, axis, ignored, binary=True)
    check_num_classes(batch, num_classes)
    return batch


def check_num_classes(batch: Batch, num_classes: int | None) -> None:
    """Refuse a number of classes that is not that of the input's class axis."""
    if num_classes is not None and integer(num_classes, "num_classes") != batch.classes:
        raise ValueError(f"num_classes: expected {batch.classes}, the length of the input's axis, got {num_classes}")


def kept(batch: Batch) -> Array:
    """Where a pixel counts, (N, *S), or (N, C, *S) with weights by class."""
    assert batch.target is not None
    w = batch.weight
    keep = np.ones(batch.input.shape[:1] + batch.input.shape[2:], bool) if w is None else w > 0
    if batch.labels:
        keep = keep & ~is_one_of(batch.target, batch.ignored)
    return keep


def is_one_of(labels: Array, some: Sequence[int]) -> Array:
    """Where labels are one of the given ones. Unlike `np.isin`, it compares uint64 with negative numbers exactly."""
    found = np.zeros(labels.shape, bool)
    for label in some:
        found |= labels == label
    return found


def raise_fault(batch: Batch, rule: int) -> None:
    """Raise the error for the fault that a kernel reported."""
    batch = batch.whole or batch
    check_counted(batch)
    if batch.labels:
        batch.raise_label_fault()
    else:
        _raise_for(batch, batch.target, lambda y, keep: (y != 0) & (y != 1) & keep, "target: expected 0 or 1 in a mask")
    if rule == Rule.LABELS:
        labels = batch.input[:, 0]
        check_labels(labels, batch.classes, (), "input", weight=kept(batch), shape=batch.shape)
    else:
        _raise_for(batch, batch.input, lambda x, keep: np.isnan(x) & keep, "input: expected numbers where pixels count")
    raise ValueError("input, target or pixel_weight: changed during the call")  # the bad element is gone by now


def _raise_for(batch: Batch, array: Array | None, bad: Any, expected: str) -> None:
    """Raise the error for the first bad element of an array of shape (N, C, *S)."""
    assert array is not None
    keep = kept(batch)
    every = np.broadcast_to(keep if keep.ndim == array.ndim else keep[:, None], array.shape)
    found = first(bad, array, every)
    if found is not None:
        where = list(position(found[0], array.shape))
        if batch.axis is not None:
            where.insert(batch.axis if len(batch.shape) > 1 else 1, where.pop(1))
        raise ValueError(f"{expected}, got {found[1]} at {tuple(where[-len(batch.shape) :])}")


def check_counted(batch: Batch) -> None:
    """Refuse weights of pixels other than 0 and 1."""
    given = batch.given_weight
    bad = None if given is None else first(lambda w: (w != 0) & (w != 1), given)
    if bad is not None and given is not None:
        raise ValueError(
            f"pixel_weight: expected 0 or 1 for metrics, which count pixels, got {bad[1]} at "
            f"{position(bad[0], given.shape)}"
        )


def raise_nan(batch: Batch, *, probabilities: bool, masks: bool) -> None:
    """Raise the error for the number that made a sum nan.

    probabilities: the input must be in [0, 1]; otherwise it is logits. masks: a dense target must be 0 or 1.
    """
    batch = batch.whole or batch
    if masks and not batch.labels:
        _raise_for(batch, batch.target, lambda y, keep: (y != 0) & (y != 1) & keep, "target: expected 0 or 1 in a mask")
    _raise_for(batch, batch.input, lambda x, keep: np.isnan(x) & keep, "input: expected numbers where pixels count")
    if probabilities:
        expected = "input: expected probabilities in [0, 1] for activation=None"
        _raise_for(batch, batch.input, lambda x, keep: ((x < 0) | (x > 1)) & keep, expected)
    _raise_for(batch, batch.input, lambda x, keep: np.isinf(x) & keep, "input: expected finite logits")
    raise ValueError("input or target: changed during the call")  # the bad element is gone by now
