"""Metric, the base of all metrics, and Tally, which counts in the data.

A metric goes wherever a loss goes: it is a `Measure`. A loss is computed from the sums of kernels (terms), a metric
from the numbers of a tally. Metrics that need equal tallies share one, and so one pass over the data.

A metric is a frozen keyword-only dataclass. It defines `tally`, and the methods of `Measure` that turn the tally's
numbers into values. confusion.py has the metrics of counted classes.
"""

from __future__ import annotations

import dataclasses
import functools
from contextlib import closing
from typing import Any, ClassVar, Self

import numpy as np

from .._arrays import Array
from .._batch import Batch, ignored_labels
from .._lazy import any_lazy
from .._options import check_common
from .._predictions import holds_labels, prediction_batch
from .._terms import ACTIVATIONS
from .exact_sum import AT_ONCE, ExactTotal, exact_sum
from .measure import Measure
from .partial import Partial


class Tally:
    """Counts what some metrics need of the data. Equal tallies are hashable objects that compare equal.

    The numbers of an image are float64. Those of tiles add up to those of the image, unless the metric needs whole
    images.
    """

    def size(self, classes: int) -> int:
        """The number of numbers per image."""
        raise NotImplementedError

    def count(self, batch: Batch, spacing: Any = None) -> Array:
        """Return the numbers of each image, float64 of shape (N, size). `spacing` is that of the images, or None."""
        raise NotImplementedError

    def covers(self, other: Tally) -> bool:
        """Whether the numbers of `other` follow from those of this tally."""
        return self == other

    def joined(self, other: Tally) -> Tally | None:
        """A tally that covers this one and `other`, or None if there is none."""
        return self if self.covers(other) else other if other.covers(self) else None

    def taken_as(self, other: Tally, numbers: Array, classes: int) -> Array:
        """The numbers of `other`, which this tally covers."""
        return numbers


class Metric(Measure):
    """Base of all metrics."""

    takes_binary = True
    higher_is_better: ClassVar[bool | None] = True
    of_scale: ClassVar[bool] = False  # whether it depends on the scale of the logits, and not only on their order
    activations: ClassVar[tuple[str | None, ...]] = ACTIVATIONS
    reductions: ClassVar[tuple[str, ...]] = ("mean",)
    reduction = "mean"

    # Every metric has these options. It declares them in the order of its function's signature.
    activation: str | None

    def __post_init__(self) -> None:
        check_common(self)

    # ---- what a metric defines, besides the methods of Measure

    def tally(self) -> Tally:
        """Return the tally that counts for this metric."""
        raise NotImplementedError

    def refuse_label_map(self, shape: tuple[int, ...]) -> None:
        """Refuse a label map of this shape, because the metric needs scores."""
        raise ValueError(f"input: expected logits or probabilities for {self!r}, got a label map of shape {shape}")

    def check_batch(self, batch: Batch) -> None:
        """Refuse data of which the metric makes no sense."""
        self.check_channels(batch)

    # ---- what follows

    def sources(self) -> tuple[Tally, ...]:
        return (self.tally(),)

    def check_channels(self, batch: Batch) -> None:
        if not batch.label_map:
            super().check_channels(batch)

    def of_probabilities(self, *, one_hot: bool) -> Self:
        """This metric for an input that is known to hold probabilities, or label maps as one-hot channels.

        The largest probability belongs to the class of the largest logit, so a softmax may stay.
        """
        if self.activation is None or (self.activation == "softmax" and not one_hot):
            return self
        changed: Self = dataclasses.replace(self, activation=None)  # type: ignore[type-var]
        return changed

    def __call__(
        self, input: Any, target: Any, /, *, pixel_weight: Any = None, num_classes: int | None = None
    ) -> float | Any:
        """The value of all images.

        num_classes: the number of classes, if `input` is a label map.
        """
        return self.finalize(self.partial(input, target, pixel_weight=pixel_weight, num_classes=num_classes))

    def partial(
        self, input: Any, target: Any, /, *, pixel_weight: Any = None, num_classes: int | None = None
    ) -> Partial:
        """The mergeable numbers of these images; see `Partial`. Images are whole: for tiles of images, see `Tiles`."""
        if any_lazy(input, target, pixel_weight):
            return self._lazy_partial(input, target, pixel_weight, num_classes)
        batch = self._checked(input, target, pixel_weight, num_classes)
        numbers = exact_sum([self.partial_of([self.tally().count(batch)])])
        return Partial(repr(self), batch.classes, batch.sample_count, numbers)

    @functools.cached_property
    def _ignored(self) -> tuple[int, ...]:
        return ignored_labels(self.ignore_index)

    def _checked(self, input: Any, target: Any, pixel_weight: Any, num_classes: int | None) -> Batch:
        axis = 1 if self.axis is None else self.axis
        if self.of_scale and holds_labels(input):
            self.refuse_label_map(np.shape(input))
        batch = prediction_batch(input, target, pixel_weight, axis, self._ignored, num_classes)
        self.check_batch(batch)
        return batch

    def _lazy_partial(self, input: Any, target: Any, pixel_weight: Any, num_classes: int | None) -> Partial:
        """The partial of arrays that are read window by window."""
        from .._lazy_arrays import LazyArrays

        arrays = LazyArrays(input, target, pixel_weight, label_map=True)
        x, y, w, _ = arrays.stand_ins()
        whole = self._checked(x, y, w, num_classes)
        total, rows, tally = ExactTotal(), list[Array](), self.tally()
        axis = None if whole.label_map else whole.axis
        with closing(arrays.parts([axis], elements=whole.label_map, whole=self.needs_whole_images)) as parts:
            for part in parts:
                with part.located():
                    x, y, w, _ = part.arrays
                    total.add([tally.count(self._checked(x, y, w, num_classes))])
                completes = part.completes_samples
                del part, x, y, w  # free the memory of the window before another one is read ahead
                if completes:
                    rows.append(self.partial_of(total.take()))
                    rows = [exact_sum(rows)] if len(rows) > AT_ONCE else rows
        return Partial(repr(self), whole.classes, whole.sample_count, exact_sum(rows))
