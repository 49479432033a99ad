"""Sweep: a loss or a metric at many thresholds or temperatures, from one pass over the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np

from .._arrays import Array
from .._batch import Batch
from .._engine.confusion import CountMetric
from .._engine.loss import Loss, check_targets
from .._engine.measure import Measure
from .._engine.metric import Metric
from .._engine.partial import Partial
from .._engine.term_tally import CalibrationMetric, TermTally, tempered
from .._options import freeze, number, positive
from .._terms import ACTIVATIONS, Rule, Term

__all__ = ["Sweep"]

MOST = 1000
TAKE_LOGITS = ("cross_entropy",)  # kernels of logits without an activation


@dataclass(frozen=True, repr=False)
class Sweep(Metric):
    r"""A loss or a metric at many thresholds, or at many temperatures, from one pass over the data.

    A call returns an array with one value per threshold or temperature, in their order. In a `Report`, the value is the
    best of them for all images, each image and each class: the largest, or for losses and errors the smallest.
    `finalize(report.partial(name))` returns the array.

    Pixels are counted once, by the interval between two thresholds, however many there are. Temperatures share the
    reading of the input. docs/calibration.md has the times.

    Parameters
    ----------
    measure : Loss or Metric
        The loss or metric. For thresholds, a metric of channels above a threshold, such as
        `IoU(activation="sigmoid")`; its own `threshold` has no effect. For temperatures, a loss of logits or a
        calibration metric of logits.
    threshold : sequence of float, default None
        The probabilities that a channel must exceed, in [0, 1], at most 1000.
    temperature : sequence of float, default None
        The numbers > 0 by which the logits are divided, at most 1000. Exactly one of the two options is given.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong, or the measure does not depend on what is swept.

    See Also
    --------
    calibrate : Finds the best temperature.

    Examples
    --------
    >>> import fastloss as fl
    >>> x, y = [[[0.2, 0.6, 0.9]]], [[0, 0, 1]]
    >>> fl.metrics.Sweep(fl.metrics.IoU(activation=None), threshold=[0.1, 0.5, 0.8])(x, y)
    array([0.33333333, 0.5       , 1.        ])
    >>> x, y = [[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]]
    >>> fl.metrics.Sweep(fl.CrossEntropyLoss(), temperature=[1, 2])(x, y).round(4)
    array([0.2201, 0.3937])
    """

    measure: Measure
    _: KW_ONLY
    threshold: Sequence[float] | None = None
    temperature: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        measure = self.measure
        if not isinstance(measure, (Loss, Metric)) or isinstance(measure, Sweep):
            raise TypeError(f"measure: expected a loss or a metric, got {measure!r}")
        if (self.threshold is None) == (self.temperature is None):
            got = "neither" if self.threshold is None else "both"
            raise ValueError(f"threshold, temperature: expected one of the two, got {got}")
        if self.threshold is not None:
            freeze(self, threshold=tuple(number(t, "threshold", 0, 1) for t in _several(self.threshold, "threshold")))
            self._check_thresholds(measure)
        else:
            freeze(
                self, temperature=tuple(positive(t, "temperature") for t in _several(self.temperature, "temperature"))
            )
            self._check_temperatures(measure)
        freeze(
            self,
            axis=measure.axis,
            ignore_index=measure.ignore_index,
            activation=_activation(measure),
            kind=measure.kind,
            takes_binary=measure.takes_binary,
            exclusive=measure.exclusive,
            higher_is_better=measure.higher_is_better,
            of_scale=self.temperature is not None,
        )

    def _check_thresholds(self, measure: Measure) -> None:
        if not isinstance(measure, CountMetric) or measure.higher_is_better is None:
            raise ValueError(f"threshold: expected a metric of channels above a threshold, got {measure!r}")
        if measure.activation == "softmax":
            raise ValueError(
                "threshold: expected activation='sigmoid' or None for channels that are compared with a threshold, "
                f"got {measure!r}"
            )
        for t in self.threshold or ():
            dataclasses.replace(measure, threshold=t)  # type: ignore[type-var] # raises if the metric does not take it

    def _check_temperatures(self, measure: Measure) -> None:
        if isinstance(measure, Loss) and (measure.makes_weights or measure.reduction == "none"):
            raise ValueError(f"temperature: expected a loss that is a sum over pixels, got {measure!r}")
        if isinstance(measure, Metric) and not isinstance(measure, CalibrationMetric):
            raise ValueError(f"temperature: expected a loss or a calibration metric, got {measure!r}")
        if not all(t.activation or t.name in TAKE_LOGITS for t in _terms(measure)):
            raise ValueError(f"temperature: expected a measure of logits, got {measure!r}")

    def __repr__(self) -> str:
        name = "threshold" if self.threshold is not None else "temperature"
        return f"Sweep({self.measure!r}, {name}={getattr(self, name)!r})"

    # ---- the sums of all points

    def tally(self) -> TermTally:
        measure = self.measure
        if isinstance(measure, CountMetric):
            return TermTally((Term("interval_counts", "bins", 0, None, (2.0, 1.0), edges=self._levels()),))
        terms = tuple(t for T in self.temperature or () for t in tempered(_terms(measure), T))
        is_metric = isinstance(measure, Metric)
        return TermTally(terms, counted=is_metric, finite=is_metric)

    def _levels(self) -> tuple[float, ...]:
        """The levels that a channel must exceed at the thresholds, in ascending order."""
        assert isinstance(self.measure, CountMetric)
        assert self.threshold is not None
        prediction = self.measure.prediction()
        return tuple(prediction._replace(threshold=t).level() for t in sorted(set(self.threshold)))

    def _points(self, sums: Array) -> Iterator[list[Array]]:
        """The sums of the measure at each point."""
        if self.threshold is not None:
            yield from ([counts] for counts in self._counts(sums))
            return
        terms = _terms(self.measure)
        for own in np.split(sums, len(self.temperature or ()), axis=1):
            tally = TermTally(terms)
            yield tally.split(own, _classes(tally, own.shape[1]))

    def _counts(self, sums: Array) -> Iterator[Array]:
        """The numbers of a ConfusionTally at each threshold, from those of the intervals."""
        assert self.threshold is not None
        ordered = sorted(set(self.threshold))
        pixels, hits = np.moveaxis(sums.reshape(len(sums), -1, 2, len(ordered) + 1), 2, 0)
        # Above threshold k are the intervals from k + 1 on.
        predicted, tp = (np.cumsum(part[:, :, ::-1], axis=2)[:, :, ::-1] for part in (pixels, hits))
        for t in self.threshold:
            k = ordered.index(t)
            yield np.concatenate([tp[:, :, k + 1], predicted[:, :, k + 1], tp[:, :, 0], predicted[:, :, 0]], axis=1)

    # ---- Measure

    def partial_of(self, sums: list[Array]) -> Array:
        if self.threshold is not None:  # the rows of all thresholds at once, which takes a tenth of the time
            counts = np.stack(list(self._counts(sums[0])), axis=1)
            return self.measure.partial_of([counts.reshape(-1, counts.shape[2])]).reshape(len(counts), -1)
        return np.concatenate([self.measure.partial_of(own) for own in self._points(sums[0])], axis=1)

    def partial_size(self, classes: int) -> int:
        return self._count * self.measure.partial_size(classes)

    def class_partial_of(self, sums: list[Array]) -> Array:
        return np.concatenate([part for own in self._points(sums[0]) for part in self._class_parts(own)], axis=1)

    def values_of(self, rows: Array, classes: int) -> Array:
        return self._best(self._values(rows, classes))

    def value_of(self, numbers: Array, classes: int) -> float:
        return float(self.values_of(numbers[None], classes)[0])

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        summands, sizes = self.measure.summands(), self._class_sizes(classes)
        values = []
        for own in np.split(numbers, self._count):
            parts = np.split(own, np.cumsum(sizes)[:-1])
            of_parts = [w * p.class_values_of(n, classes) for (w, p), n in zip(summands, parts, strict=True)]
            values.append(np.sum(of_parts, axis=0))
        return self._best(np.stack(values, axis=1))

    def finalize(self, partial: Partial, /) -> Array:
        """Compute the values at all points, of all images that went into `partial`.

        Parameters
        ----------
        partial : Partial
            The sums of the images.

        Returns
        -------
        array, shape (points,)
            The values, in the order of the thresholds or temperatures.
        """
        super().finalize(partial)
        values: Array = self._values(partial.numbers[:1], partial.classes)[0]
        return values

    @property
    def _count(self) -> int:
        return len(self.threshold or self.temperature or ())

    def _values(self, rows: Array, classes: int) -> Array:
        """The values of each row at all points, (n, points)."""
        of_points = np.ascontiguousarray(rows).reshape(len(rows) * self._count, -1)
        return self.measure.values_of(of_points, classes).reshape(len(rows), self._count)

    def _best(self, values: Array) -> Array:
        """The best number of each row that is not nan."""
        best: Array = (np.fmax if self.higher_is_better else np.fmin).reduce(values, axis=1)
        return best

    def _class_parts(self, own: list[Array]) -> list[Array]:
        """The numbers for the values per class, for each summand of the measure."""
        measure = self.measure
        if isinstance(measure, Metric):
            return [measure.class_partial_of(own)]
        by_term = dict[Any, Array](zip(_terms(measure), own, strict=True))
        return [p.class_partial_of([by_term[t] for t in p.sources()]) for _, p in measure.summands()]

    def _class_sizes(self, classes: int) -> list[int]:
        """The numbers of columns of `_class_parts`, found by a trial."""
        if isinstance(self.measure, CountMetric):
            sizes = [self.measure.tally().size(classes)]
        else:
            tally = TermTally(_terms(self.measure))
            sizes = [t.size(classes, tally.mode) for t in tally.terms]
        return [part.shape[1] for part in self._class_parts([np.zeros((1, size)) for size in sizes])]

    # ---- Metric

    def check_batch(self, batch: Batch) -> None:
        if batch.label_map:
            self.refuse_label_map(batch.shape)
        measure = self.measure
        if isinstance(measure, Metric):
            measure.check_batch(batch)
        else:
            check_targets(batch, [p for _, p in measure.summands()])
        if isinstance(measure, CountMetric) and measure.prediction().rule(batch) != Rule.ABOVE:
            raise ValueError(
                f"threshold: expected channels that are compared with a threshold, got classes that exclude each other "
                f"for {self!r}; give a dense target, or one channel"
            )

    def ignoring(self, ignore_index: int | Sequence[int]) -> Self:
        return dataclasses.replace(self, measure=self.measure.ignoring(ignore_index))

    def of_probabilities(self, *, one_hot: bool) -> Self:
        if self.temperature is not None or not isinstance(self.measure, Metric):
            raise ValueError(f"input: expected logits for {self!r}, got probabilities or label maps")
        return dataclasses.replace(self, measure=self.measure.of_probabilities(one_hot=one_hot))


def _several(values: Any, name: str) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected a sequence of numbers, got {values!r}")
    found = list(values)
    if not 1 <= len(found) <= MOST:
        raise ValueError(f"{name}: expected 1 to {MOST} numbers, got {len(found)}")
    return found


def _terms(measure: Measure) -> tuple[Term, ...]:
    return measure.terms() if isinstance(measure, (Loss, CalibrationMetric)) else ()


def _activation(measure: Measure) -> str | None:
    """The function that turns the input into probabilities."""
    if isinstance(measure, Metric):
        return measure.activation
    found = [ACTIVATIONS[t.activation] or "softmax" for t in _terms(measure)]  # cross entropy states no activation
    return found[0]


def _classes(tally: TermTally, size: int) -> int:
    """The number of classes, from the number of sums, which grows linearly with it."""
    none, one = tally.size(0), tally.size(1)
    return (size - none) // (one - none) if one > none else 1
