"""Metrics of counted classes: everything that they share. Each metric adds its formula, in metrics/.

ConfusionTally counts pixels by class, or by target and prediction. ClassMetric is a score of each image and class, and
their mean. PooledMetric is a score of all pixels and classes together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from .. import _backend
from .._arrays import Array
from .._batch import Batch
from .._options import choice, chosen_classes, class_numbers, freeze, number
from .._predictions import Prediction
from .._terms import BY_CLASS, Rule
from .measure import quotient
from .metric import Metric, Tally

ABSENT = ("nan", "zero", "one", "skip")


@dataclass(frozen=True)
class ConfusionTally(Tally):
    """Counts pixels by class (`Counts`), or with `matrix` by target and prediction.

    In a matrix, a single channel has two classes.
    """

    prediction: Prediction
    matrix: bool = False

    def size(self, classes: int) -> int:
        return max(2, classes) ** 2 if self.matrix else BY_CLASS * classes

    def count(self, batch: Batch, spacing: object = None) -> Array:
        rule, matrix = self.prediction.rule(batch), self.matrix and batch.classes > 1
        level = self.prediction.level() if rule == Rule.ABOVE else 0.0
        counts = _backend.count(batch, rule, level, matrix).astype(np.float64)
        if self.matrix and not matrix:
            tp, predicted, target, kept = counts.T
            counts = np.stack([kept - predicted - target + tp, predicted - tp, target - tp, tp], axis=1)
        return counts

    def covers(self, other: Tally) -> bool:
        same = isinstance(other, ConfusionTally) and self.prediction == other.prediction
        return same and (self.matrix or self == other)

    def taken_as(self, other: Tally, numbers: Array, classes: int) -> Array:
        if self == other:
            return numbers
        n = max(2, classes)
        matrix = numbers.reshape(-1, n, n)
        of_target = matrix.sum(axis=2)
        kept = np.repeat(of_target.sum(axis=1, keepdims=True), n, axis=1)
        found = (matrix.diagonal(axis1=1, axis2=2), matrix.sum(axis=1), of_target, kept)
        return np.concatenate([counts[:, n - classes :] for counts in found], axis=1)


class Counts(NamedTuple):
    """The pixels of each class, each of shape (groups, C): in both, in the prediction, in the target, and all."""

    tp: Array
    predicted: Array
    target: Array
    kept: Array

    @classmethod
    def of(cls, rows: Array) -> Self:
        """The counts of rows of shape (groups, 4 C)."""
        tp, predicted, target, kept = np.moveaxis(rows.reshape(len(rows), BY_CLASS, -1), 1, 0)
        return cls(tp, predicted, target, kept)

    def exclusive(self) -> Counts:
        """The counts of all classes, if they exclude each other. A single channel has two: not it, and it."""
        if self.tp.shape[1] != 1:
            return self
        rest = self.kept - self.predicted - self.target + self.tp
        outside = Counts(rest, self.kept - self.predicted, self.kept - self.target, self.kept)
        return Counts(*(np.concatenate(pair, axis=1) for pair in zip(outside, self, strict=True)))

    def against_rest(self) -> Counts:
        """Each class and the rest as the two classes of a group of its own, (groups * C, 2)."""
        return Counts(*(counts.reshape(-1, 1) for counts in self)).exclusive()


class CountMetric(Metric):
    """A metric computed from the counts of a ConfusionTally."""

    threshold: float

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, threshold=number(self.threshold, "threshold", 0, 1))
        if self.activation == "sigmoid" and self.threshold in (0, 1):
            raise ValueError(f"threshold: expected a number between 0 and 1 for a sigmoid, got {self.threshold!r}")

    def prediction(self) -> Prediction:
        return Prediction(self.activation, self.threshold)

    def tally(self) -> Tally:
        return ConfusionTally(self.prediction())

    def value_of(self, numbers: Array, classes: int) -> float:
        return float(self.values_of(numbers[None], classes)[0])


class ClassMetric(CountMetric):
    """A score of each image and class, and the mean of those that are defined."""

    # Every metric has these options. It declares them in the order of its function's signature.
    classes: Sequence[int] | None
    batch: bool
    absent: str

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(self.absent, "absent", ABSENT)
        choice(self.batch, "batch", (True, False))
        freeze(self, batch=bool(self.batch), classes=class_numbers(self.classes))

    def score(self, c: Counts) -> tuple[Array, Array]:
        """The numerator and the denominator of the score. The score is not defined if the denominator is 0."""
        raise NotImplementedError

    def scores_of(self, rows: Array) -> tuple[Counts, Array, Array]:
        """The counts, the scores, and where a score is defined, each of shape (groups, C)."""
        c = Counts.of(rows)
        numerator, denominator = self.score(c)
        defined = denominator > 0
        return c, np.divide(numerator, denominator, out=np.zeros(c.tp.shape), where=defined), defined

    def by_sample(self) -> bool:
        return not self.batch

    def _values(self, rows: Array) -> Array:
        """The values, or 0, and then 1 where a value counts, or 0, of shape (groups, 2 C)."""
        c, values, defined = self.scores_of(rows)
        keep = np.zeros(c.tp.shape)
        keep[:, chosen_classes(self.classes, c.tp.shape[1])] = 1
        if self.absent in ("zero", "one"):
            keep = np.where(c.kept > 0, keep, 0)
        else:
            keep = np.where(defined if self.absent == "nan" else defined & (c.target > 0), keep, 0)
        values = np.where(defined, values, float(self.absent == "one"))
        keep = np.where(np.isnan(values), 0, keep)
        return np.concatenate([np.where(keep > 0, values, 0), keep], axis=1)

    def partial_of(self, sums: list[Array]) -> Array:
        if not self.batch:
            return self._values(sums[0])
        chosen_classes(self.classes, sums[0].shape[1] // BY_CLASS)
        return sums[0]

    def partial_size(self, classes: int) -> int:
        return classes * (BY_CLASS if self.batch else 2)

    def class_partial_of(self, sums: list[Array]) -> Array:
        return self.partial_of(sums)

    def values_of(self, rows: Array, classes: int) -> Array:
        rows = self._values(rows) if self.batch else rows
        # In a contiguous layout, the sum of a row does not depend on the other rows.
        values, keep = (np.ascontiguousarray(part) for part in (rows[:, :classes], rows[:, classes:]))
        return quotient(values.sum(axis=1), keep.sum(axis=1))

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        values, keep = (self._values(numbers[None])[0] if self.batch else numbers).reshape(2, classes)
        return quotient(values, keep)


class PooledMetric(CountMetric):
    """A score of all pixels and classes together. The classes exclude each other, or there is a single channel."""

    def score(self, c: Counts) -> Array:
        """The score of each group, of shape (groups,), from the counts of two or more classes."""
        raise NotImplementedError

    def class_score(self, c: Counts) -> Array:
        """The score of each group and class, (groups, C). Unless redefined, it is that of a class and the rest."""
        return self.score(c.against_rest()).reshape(c.tp.shape)

    def check_batch(self, batch: Batch) -> None:
        super().check_batch(batch)
        if batch.classes > 1 and not batch.labels:
            raise ValueError(
                f"target: expected labels for {self!r}, whose classes exclude each other, got a dense target of shape "
                f"{batch.shape}; if it is one-hot, pass target.argmax(axis)"
            )
        if batch.classes > 1 and self.activation == "sigmoid" and not batch.label_map:
            raise ValueError(
                f"activation: expected 'softmax' or None for {self!r}, whose classes exclude each other, got 'sigmoid' "
                f"for an input of shape {batch.shape}"
            )

    def partial_of(self, sums: list[Array]) -> Array:
        return sums[0]

    def partial_size(self, classes: int) -> int:
        return self.tally().size(classes)

    def class_partial_of(self, sums: list[Array]) -> Array:
        return sums[0]

    def values_of(self, rows: Array, classes: int) -> Array:
        return self.score(Counts.of(rows).exclusive())

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        of_class: Array = self.class_score(Counts.of(numbers[None]))[0]
        return of_class
