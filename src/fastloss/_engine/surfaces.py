"""Metrics of surfaces: everything that they share. Each metric adds its statistic, in metrics/surface.py.

SurfaceTally measures the distances between the surfaces of prediction and target, once per image and class, and
computes from them the statistics of all metrics of a call. SurfaceMetric is the mean over images and classes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import _backend
from .._arrays import Array, real_dtype
from .._batch import Batch
from .._options import MOST_DIMS, as_spacing, choice, chosen_classes, freeze, integer, number, spacing_option
from .._predictions import Prediction, kept
from .._surface import SURFACES, Surfaces, surfaces
from .._terms import BY_CLASS, Rule
from .confusion import ClassMetric, ConfusionTally, Counts
from .metric import Tally

SLABS = 64  # an image is cut into about so many slabs, to find where a class is
FEW_CLASSES = 16  # with fewer, comparing all labels with each class takes less time than counting the labels of slabs


class Statistic(NamedTuple):
    """A function of the distances between two surfaces, and its options. An option that is a tuple is one per class."""

    function: Callable[..., float]
    options: tuple[float | bool | tuple[float, ...], ...]

    def of(self, found: Surfaces, c: int) -> float:
        """The statistic of class c, which prediction or target has."""
        return self.function(found, *(v[c] if isinstance(v, tuple) else v for v in self.options))


@dataclass(frozen=True)
class SurfaceTally(Tally):
    """Counts the pixels of each class (`Counts`), and computes statistics of its surface distances.

    A statistic is nan for a class that is not chosen, or that neither prediction nor target has.
    """

    prediction: Prediction
    spacing: float | tuple[float, ...] | None
    surface: str
    connectivity: int
    classes: tuple[int, ...] | None
    statistics: tuple[Statistic, ...]

    def size(self, classes: int) -> int:
        return (BY_CLASS + len(self.statistics)) * classes

    def count(self, batch: Batch, spacing: Any = None) -> Array:
        steps = self._steps(batch, spacing)
        rule = self.prediction.rule(batch)
        level = self.prediction.level() if rule == Rule.ABOVE else 0.0
        rows = _backend.count(batch, rule, level, False).astype(np.float64)  # this also checks the data
        counts = Counts.of(rows)
        values = np.full((batch.samples, len(self.statistics), batch.classes), np.nan)
        keep = kept(batch)
        for n in range(batch.samples):
            present = counts.predicted[n] + counts.target[n] > 0
            sides = _sides(batch, n, rule, level, keep[n])
            for c in chosen_classes(self.classes, batch.classes):
                if present[c]:
                    cut = _joint([side.slab(c) for side in sides])
                    predicted, target = (side.mask(c, cut) for side in sides)
                    found = surfaces(predicted, target, steps, self.surface, self.connectivity)
                    values[n, :, c] = [statistic.of(found, c) for statistic in self.statistics]
        return np.concatenate([rows, values.reshape(batch.samples, len(self.statistics) * batch.classes)], axis=1)

    def _steps(self, batch: Batch, spacing: Any) -> tuple[float, ...]:
        """The checked spacing of the images."""
        ndim = batch.input.ndim - 2
        if not 1 <= ndim <= MOST_DIMS:
            raise ValueError(f"input: expected 1 to {MOST_DIMS} pixel dimensions, got shape {batch.shape}")
        if self.connectivity > ndim:
            raise ValueError(
                f"connectivity: expected at most the number of pixel dimensions, {ndim}, got {self.connectivity}"
            )
        return as_spacing(spacing if self.spacing is None else self.spacing, ndim)

    def covers(self, other: Tally) -> bool:
        if isinstance(other, ConfusionTally):
            return other == ConfusionTally(self.prediction)
        return isinstance(other, SurfaceTally) and self.joined(other) == self

    def joined(self, other: Tally) -> Tally | None:
        if not isinstance(other, SurfaceTally):
            return self if self.covers(other) else None
        classes = None
        if self.classes is not None and other.classes is not None:
            classes = tuple(dict.fromkeys((*self.classes, *other.classes)))
        statistics = tuple(dict.fromkeys((*self.statistics, *other.statistics)))
        both, same = (dataclasses.replace(t, classes=classes, statistics=statistics) for t in (self, other))
        return both if both == same else None

    def taken_as(self, other: Tally, numbers: Array, classes: int) -> Array:
        wanted = other.statistics if isinstance(other, SurfaceTally) else ()
        own = [BY_CLASS + self.statistics.index(statistic) for statistic in wanted]
        kinds = numbers.reshape(len(numbers), BY_CLASS + len(self.statistics), classes)
        return kinds[:, [*range(BY_CLASS), *own]].reshape(len(numbers), other.size(classes))


# ---- the masks of the classes of one image


class _Labels:
    """A label map, of classes that exclude each other.

    Of many classes, each is compared only in the slabs along the first axis that have it, which saves most of the time.
    """

    def __init__(self, labels: Array, base: int, classes: int, keep: Array) -> None:
        self._base, self._keep, nothing = base, keep, base + classes
        kept = keep if keep.ndim == labels.ndim else keep.any(axis=0)
        self._labels = np.full(labels.shape, nothing, np.min_scalar_type(nothing))
        np.copyto(self._labels, labels, casting="unsafe", where=kept)  # what is kept has been checked
        self._present: Array | None = None
        if classes < FEW_CLASSES:
            return
        self._step = max(1, -(-len(labels) // SLABS))
        cuts = range(0, len(labels), self._step)
        counts = [np.bincount(self._labels[at : at + self._step].ravel(), minlength=nothing + 1) for at in cuts]
        self._present = np.array(counts) > 0

    def slab(self, c: int) -> slice:
        """The rows that have the class, or more of them."""
        if self._present is None:
            return slice(0, len(self._labels))
        at = np.flatnonzero(self._present[:, c + self._base])
        if not at.size:
            return slice(len(self._labels), 0)
        return slice(int(at[0]) * self._step, min((int(at[-1]) + 1) * self._step, len(self._labels)))

    def mask(self, c: int, cut: slice) -> Array:
        mask: Array = self._labels[cut] == c + self._base
        return mask if self._keep.ndim == mask.ndim else mask & self._keep[c, cut]


class _Channels:
    """One channel per class. `is_in` turns a channel into a mask."""

    def __init__(self, channels: Array, is_in: Callable[[Array], Array], keep: Array) -> None:
        self._channels, self._is_in = channels, is_in
        self._keep = np.broadcast_to(keep, channels.shape)

    def slab(self, c: int) -> slice:
        return slice(0, self._channels.shape[1])

    def mask(self, c: int, cut: slice) -> Array:
        mask: Array = self._is_in(self._channels[c, cut]) & self._keep[c, cut]
        return mask


def _sides(batch: Batch, n: int, rule: int, level: float, keep: Array) -> tuple[_Labels | _Channels, ...]:
    """The prediction and the target of image n."""
    x, real, C = batch.input[n], real_dtype(batch.input.dtype), batch.classes
    assert batch.target is not None
    y = batch.target[n]
    predicted: _Labels | _Channels
    if rule == Rule.ABOVE:
        predicted = _Channels(x, lambda channel: channel.astype(real) > real.type(level), keep)
    else:
        predicted = _Labels(x[0] if rule == Rule.LABELS else x.argmax(axis=0), 0, C, keep)
    target = _Labels(y, batch.label_base, C, keep) if batch.labels else _Channels(y, lambda channel: channel != 0, keep)
    return predicted, target


def _joint(slabs: Sequence[slice]) -> slice:
    return slice(min(s.start for s in slabs), max(s.stop for s in slabs))


# ---- metrics


class SurfaceMetric(ClassMetric):
    """A statistic of the surfaces of each image and class, and the mean of those that are defined."""

    batch = False
    needs_whole_images = True

    # Every metric of surfaces has these options. It declares them in the order of its function's signature.
    surface: str
    connectivity: int
    spacing: float | Sequence[float] | None

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(self.surface, "surface", SURFACES)
        freeze(self, spacing=spacing_option(self.spacing), connectivity=integer(self.connectivity, "connectivity"))
        if not 1 <= self.connectivity <= (MOST_DIMS if self.surface == "border" else 1):
            expected = f"1 to {MOST_DIMS}" if self.surface == "border" else f"1 for surface={self.surface!r}"
            raise ValueError(f"connectivity: expected {expected}, got {self.connectivity}")

    def statistic(self) -> Statistic:
        """The function of the distances, and its options."""
        raise NotImplementedError

    def tally(self) -> SurfaceTally:
        spacing = self.spacing if self.spacing is None or isinstance(self.spacing, float) else tuple(self.spacing)
        classes = None if self.classes is None else tuple(self.classes)
        own = self.surface, self.connectivity, classes, (self.statistic(),)
        return SurfaceTally(self.prediction(), spacing, *own)

    def scores_of(self, rows: Array) -> tuple[Counts, Array, Array]:
        counts, values = np.split(rows, [rows.shape[1] // (BY_CLASS + 1) * BY_CLASS], axis=1)
        c = Counts.of(counts)
        return c, values, c.predicted + c.target > 0


class SurfaceDistance(SurfaceMetric):
    """A distance between surfaces. It has no value of its own if only one of prediction and target has the class."""

    higher_is_better = False
    missing: float | None

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(self.absent, "absent", ("nan", "zero", "skip"))
        if self.missing is not None and not (isinstance(self.missing, float) and self.missing == math.inf):
            freeze(self, missing=number(self.missing, "missing", 0))

    def scores_of(self, rows: Array) -> tuple[Counts, Array, Array]:
        c, values, defined = super().scores_of(rows)
        missing = np.nan if self.missing is None else self.missing
        return c, np.where((c.predicted > 0) != (c.target > 0), missing, values), defined
