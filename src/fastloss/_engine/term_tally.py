"""Metrics whose numbers are the sums of kernels: TermTally, and CalibrationMetric, the base of the calibration metrics.

confusion.py has the metrics of counted classes, whose numbers are counts of a pass of their own.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from .. import _backend
from .._arrays import Array
from .._batch import Batch
from .._predictions import check_counted, raise_nan
from .._terms import Mode, Term, Terms
from .metric import Metric, Tally

terms_of = functools.lru_cache(maxsize=64)(Terms)  # the terms keep their plans


@dataclass(frozen=True)
class TermTally(Tally):
    """The sums of terms, side by side.

    counted: the weights of pixels must be 0 and 1. finite: all sums must be finite, or the error names the number that
    makes them infinite or nan.
    """

    terms: tuple[Term, ...]
    counted: bool = True
    finite: bool = True
    mode: int = Mode.FORWARD | Mode.BY_CLASS

    def size(self, classes: int) -> int:
        return sum(t.size(classes, self.mode) for t in self.terms)

    def count(self, batch: Batch, spacing: Any = None) -> Array:
        if self.counted:
            check_counted(batch)
        sums = np.hstack(_backend.run(batch, terms_of(self.terms), self.mode, by_sample=True))
        if self.finite and not np.isfinite(sums).all():
            binned = any(t.kind == "bins" for t in self.terms)
            raise_nan(batch, probabilities=not any(t.activation for t in self.terms), masks=binned)
        return sums

    def split(self, numbers: Array, classes: int) -> list[Array]:
        """The sums of each term."""
        ends = itertools.accumulate((t.size(classes, self.mode) for t in self.terms), initial=0)
        return [numbers[:, a:b] for a, b in itertools.pairwise(ends)]


class CalibrationMetric(Metric):
    """A metric of probabilities, computed from the sums of kernels. The pixels of all images are pooled."""

    higher_is_better = False
    of_scale = True

    def terms(self) -> tuple[Term, ...]:
        """The kernels to run."""
        raise NotImplementedError

    def tally(self) -> TermTally:
        return TermTally(self.terms())

    def check_batch(self, batch: Batch) -> None:
        if batch.label_map:
            self.refuse_label_map(batch.shape)
        super().check_batch(batch)

    def of_probabilities(self, *, one_hot: bool) -> Self:
        if one_hot:
            raise ValueError(
                f"input: expected logits or probabilities for {self!r}, got label maps, which have neither"
            )
        return self if self.activation is None else replace(self, activation=None)  # type: ignore[type-var]

    def value_of(self, numbers: Array, classes: int) -> float:
        return float(self.values_of(numbers[None], classes)[0])


def tempered(terms: Sequence[Term], temperature: float) -> tuple[Term, ...]:
    """The terms for the input divided by a temperature."""
    return tuple(
        t._replace(
            temperature=temperature, single=None if t.single is None else t.single._replace(temperature=temperature)
        )
        for t in terms
    )
