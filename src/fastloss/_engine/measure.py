"""Measure, what `evaluate` computes and a `Report` holds: a loss (loss.py) or a metric (metric.py).

Both turn rows of sums into numbers that merge by addition, one row per image, and those numbers into values. The
passes, the reports, the ledgers and the tables know nothing else about them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from .._arrays import Array
from .._batch import IGNORE_INDEX, Batch
from .._safe_text import ShowsOptions
from .partial import Partial


class Measure(ShowsOptions):
    """Base of losses and metrics: mergeable numbers, and the values that follow from them."""

    # "pixel": an input with a class axis, and labels or a dense target; "element": two arrays of the same shape
    kind: ClassVar[str] = "pixel"
    takes_binary: ClassVar[bool] = False  # a single channel takes labels {0, 1}
    exclusive: ClassVar[bool] = False  # the classes are mutually exclusive, so a single channel makes no sense
    higher_is_better: ClassVar[bool | None] = False  # None: a value is neither good nor bad
    reduction: str
    axis: int | None = None  # None: any axis will do
    ignore_index: int | Sequence[int] | None = None  # None: any will do

    # ---- what a subclass defines

    def sources(self) -> tuple[Hashable, ...]:
        """The terms or tallies whose sums `partial_of` takes, in this order."""
        raise NotImplementedError

    def partial_of(self, sums: list[Array]) -> Array:
        """Turn each source's sums, of shape (groups, n), into numbers of shape (groups, k) that merge by addition."""
        raise NotImplementedError

    def partial_size(self, classes: int) -> int:
        """k, the number of columns of `partial_of`."""
        raise NotImplementedError

    def value_of(self, numbers: Array, classes: int) -> float:
        """The value, computed from the merged numbers of shape (k,)."""
        raise NotImplementedError

    def values_of(self, rows: Array, classes: int) -> Array:
        """The value of each row of numbers, of shape (n, k). It has the same bits as that of `value_of`."""
        raise NotImplementedError

    def class_partial_of(self, sums: list[Array]) -> Array:
        """Mergeable numbers, of shape (groups, k), for the values per class. A run with Mode.BY_CLASS gives `sums`."""
        raise NotImplementedError

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        """The values per class, of shape (C,), computed from the merged numbers of `class_partial_of`."""
        raise NotImplementedError

    # ---- what follows

    def finalize(self, partial: Partial, /) -> float | Any:
        """The value of all samples that went into `partial`."""
        self.check_partial(partial)
        return self.value_of(partial.numbers[0], partial.classes)

    def check_partial(self, partial: Partial) -> None:
        """Refuse a partial that is not of this loss or metric."""
        if not isinstance(partial, Partial):
            raise TypeError(f"partial: expected a Partial, got {type(partial).__name__}")
        if partial.loss != repr(self):
            raise ValueError(f"partial: expected a partial of {self!r}, got {partial!r}")
        size = self.partial_size(partial.classes)
        if partial.numbers.shape[1] != size:
            raise ValueError(f"partial: expected {size} sums of {self!r}, got {partial!r}")

    def __repr__(self) -> str:
        """The call that makes this object, with only those options that differ from their defaults."""
        fields = list(dataclasses.fields(self))  # type: ignore[arg-type]
        given = ((f.name, getattr(self, f.name), f.default) for f in fields if f.init)
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v, d in given if v != d)})"

    def check_channels(self, batch: Batch) -> None:
        """Refuse a softmax over one channel, because it is 1 for any logit."""
        if batch.classes == 1 and getattr(self, "activation", None) == "softmax":
            raise ValueError(
                "activation: expected 'sigmoid' or None for one channel, whose softmax is always 1, got 'softmax' in "
                f"{self!r} for an input of shape {batch.shape}"
            )

    def check_merging(self) -> None:
        """Refuse sums of which those of several images do not merge."""

    @property
    def needs_whole_images(self) -> bool:
        """Whether the sums of tiles do not add up to those of the image."""
        return False

    def by_sample(self) -> bool:
        """Whether the formula needs the sums of each sample."""
        return False

    def ignoring(self, ignore_index: int | Sequence[int]) -> Self:
        """This object with the given `ignore_index`. One with its own, or without labels, is returned unchanged."""
        if self.ignore_index != IGNORE_INDEX:
            return self
        changed: Self = dataclasses.replace(self, ignore_index=ignore_index)  # type: ignore[type-var]
        return changed

    def spaced(self, spacing: Any) -> Self:
        """This object for images of the given spacing, if it measures distances and has no spacing of its own."""
        return self

    def element_axis(self) -> int | None:
        """The class axis, if an element loss has an option with one number per class; otherwise None."""
        return None

    def summands(self) -> Sequence[tuple[float, Measure]]:
        """The weights and losses of a sum. Anything else is its own only summand, with weight 1."""
        return [(1.0, self)]


def quotient(numerator: Array, denominator: Array) -> Array:
    """The quotients, with nan where the denominator is 0."""
    result: Array = np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)
    return result
