"""Passes: many losses in as few passes over the data as possible, as raw sums that stay open until an image is whole.

`evaluate` opens and closes the sums in one call. `archive/` adds up the sums of an image's windows before it closes
them, so the value of an image does not depend on how the image was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .. import _backend
from .._arrays import Array, as_array, as_input
from .._batch import Batch, class_batch, element_batch, ignored_labels
from .._options import labels_option
from .._predictions import check_num_classes, holds_labels, label_batch
from .._terms import Mode, Terms
from .exact_sum import ExactTotal
from .loss import Loss, check_targets
from .measure import Measure
from .metric import Metric, Tally

if TYPE_CHECKING:
    from .._lazy_arrays import Part


PART_BYTES = 1 << 26  # bytes of the sums of images that are computed at one time


@dataclass(frozen=True)
class OpenSums:
    """The sums of some pixels of each image: one list per pass, with one array per term and then one per tally."""

    classes: int
    samples: int
    passes: list[list[Array]]

    @classmethod
    def joined(cls, many: Sequence[Self]) -> Self:
        """The sums of all images, in order."""
        passes = [
            [np.concatenate(arrays) for arrays in zip(*own, strict=True)]
            for own in zip(*(sums.passes for sums in many), strict=True)
        ]
        return cls(many[0].classes, sum(sums.samples for sums in many), passes)


class OpenTotal:
    """The exact sum of `OpenSums` of the same images. Its bits do not depend on the order in which they come."""

    def __init__(self) -> None:
        self._total = ExactTotal()
        self._first: OpenSums | None = None

    def add(self, sums: OpenSums) -> None:
        """Add the sums of further pixels."""
        self._total.add([a for own in sums.passes for a in own])
        self._first = self._first or sums

    def take(self) -> OpenSums:
        """Return the sums of all pixels, and begin anew."""
        first, self._first = self._first, None
        assert first is not None
        arrays = iter(self._total.take())
        return OpenSums(first.classes, first.samples, [[next(arrays) for _ in own] for own in first.passes])


@dataclass
class _Pass:
    """Losses that share the class axis (None: any), the ignored labels, and the loss that makes weights (or None)."""

    axis: int | None
    ignored: tuple[int, ...]
    maker: Loss | None
    losses: dict[str, Measure] = field(default_factory=dict)
    terms: Terms = field(default_factory=lambda: Terms(()))
    tallies: list[Tally] = field(default_factory=list)

    def suits(self, other: _Pass) -> bool:
        """Whether the losses of this pass can join another pass.

        Weights that count in the mean would change every loss of their pass, so no other loss joins such a pass.
        """
        maker = other.maker
        same_maker = self.maker == maker or (self.maker is None and maker is not None and not maker.weights_in_mean)
        return self.axis in (None, other.axis) and self.ignored == other.ignored and same_maker

    def plan(self) -> None:
        """Collect the terms of the losses, each of them once, and the tallies, as few as cover all."""
        summands = [p for loss in self.losses.values() for _, p in loss.summands()]
        self.terms = Terms(dict.fromkeys(t for p in summands if isinstance(p, Loss) for t in p.terms()))
        self.tallies = _joined(p.tally() for p in summands if isinstance(p, Metric))
        if self.axis is None:  # no loss depends on the axis, but the values per class do
            self.axis = next((loss.axis for loss in self.losses.values() if loss.axis is not None), 1)

    def size(self, classes: int) -> int:
        """The number of sums per image."""
        terms = sum(t.size(classes, Mode.FORWARD | Mode.BY_CLASS) for t in self.terms)
        return max(1, terms + sum(tally.size(classes) for tally in self.tallies))

    def sums_of(self, batch: Batch, spacing: Any) -> list[Array]:
        """The sums of the terms, and then the numbers of the tallies."""
        sums, weighed = list[Array](), batch
        if self.maker is not None:
            weighed = self.maker.spaced(spacing).weigh(batch)
        if self.terms:
            sums = _backend.run(weighed, self.terms, Mode.FORWARD | Mode.BY_CLASS, by_sample=True)
        return [*sums, *(tally.count(batch, spacing) for tally in self.tallies)]

    def by_source(self, sums: Sequence[Array], classes: int) -> dict[Any, Array]:
        """Map each term, and each tally that a metric asks for, to its sums."""
        found: dict[Any, Array] = dict(zip([*self.terms, *self.tallies], sums, strict=True))
        tallies = dict.fromkeys(metric.tally() for metric in self.losses.values() if isinstance(metric, Metric))
        for wanted in tallies:
            host = next(t for t in self.tallies if t.covers(wanted))
            found[wanted] = host.taken_as(wanted, found[host], classes)
        return found


class Passes:
    """The checked losses and metrics of an evaluation, and the passes that compute them."""

    def __init__(
        self,
        losses: Mapping[str, Measure],
        ignore_index: int | Sequence[int] | None,
        num_classes: int | None = None,
    ) -> None:
        _check_losses(losses)
        self.num_classes = num_classes
        if ignore_index is not None:
            ignore_index = labels_option(ignore_index)
            losses = {name: loss.ignoring(ignore_index) for name, loss in losses.items()}
        self.losses = dict(losses)
        self._labelled = ignore_index is not None or any(loss.kind == "pixel" for loss in losses.values())
        self._passes = _planned(self.losses, ignored_labels(ignore_index))

    @property
    def needs_whole_images(self) -> bool:
        """Whether a loss makes weights from a whole image, such as distances, so that windows cannot be added."""
        makers = any(p.maker is not None for p in self._passes)
        return makers or any(loss.needs_whole_images for loss in self.losses.values())

    @property
    def takes_label_maps(self) -> bool:
        """Whether the input may be a label map, because there are only metrics."""
        return all(isinstance(loss, Metric) for loss in self.losses.values())

    def sums(self, input: Any, target: Any, pixel_weight: Any, spacing: Any = None) -> OpenSums:
        """Return the sums of these pixels."""
        return self._sums(self._batches(input, target, pixel_weight), spacing)

    def sums_in_parts(self, input: Any, target: Any, pixel_weight: Any, spacing: Any = None) -> Iterator[OpenSums]:
        """Yield the sums of some images after the other, so that they take no more memory than PART_BYTES at a time.

        There may be a confusion matrix per image, which is larger than a small image.
        """
        batches = self._batches(input, target, pixel_weight)
        images = max(1, PART_BYTES // (8 * sum(p.size(batches[0].classes) for p in self._passes)))
        if batches[0].samples <= images:
            yield self._sums(batches, spacing)
            return
        for parts in zip(*(batch.parts(images) for batch in batches), strict=True):
            yield self._sums([part for _, part in parts], spacing)

    def _sums(self, batches: Sequence[Batch], spacing: Any) -> OpenSums:
        sums = [p.sums_of(batch, spacing) for p, batch in zip(self._passes, batches, strict=True)]
        return OpenSums(batches[0].classes, batches[0].samples, sums)

    def sums_of_lazy(self, input: Any, target: Any, pixel_weight: Any, spacing: Any = None) -> Iterator[OpenSums]:
        """Yield the sums of some whole images after the other, from arrays that are read window by window."""
        from .._lazy_arrays import LazyArrays

        arrays = LazyArrays(input, target, pixel_weight, label_map=self.takes_label_maps)
        input, target, pixel_weight, _ = arrays.stand_ins()
        batches = self._batches(input, target, pixel_weight)
        axes = [None if batch.label_map else batch.axis for batch in batches]
        elements = batches[0].label_map or self._takes_elements(input, target)
        total = OpenTotal()
        with closing(arrays.parts(axes, elements=elements, whole=self.needs_whole_images)) as parts:
            for part in parts:
                with part.located():
                    total.add(self._sums_of_part(part, spacing))
                completes = part.completes_samples
                del part  # free the memory of the window before another one is read ahead
                if completes:
                    yield total.take()

    def _sums_of_part(self, part: Part, spacing: Any) -> OpenSums:
        input, target, pixel_weight, _ = part.arrays
        return self.sums(input, target, pixel_weight, spacing)

    def batch(self, input: Any, target: Any, pixel_weight: Any) -> Batch:
        """Return the checked arrays as the first pass takes them."""
        return self._batch(self._passes[0], input, target, pixel_weight)

    def _batches(self, input: Any, target: Any, pixel_weight: Any) -> list[Batch]:
        """Return the checked arrays as each pass takes them."""
        batches = [self._batch(p, input, target, pixel_weight) for p in self._passes]
        for p, batch in zip(self._passes, batches, strict=True):
            check_targets(batch, [s for loss in p.losses.values() for _, s in loss.summands()])
            for metric in p.losses.values():
                if isinstance(metric, Metric):
                    metric.check_batch(batch)
            check_num_classes(batch, self.num_classes)
        if any(batch.classes != batches[0].classes for batch in batches):
            axes = {name: loss.axis for name, loss in self.losses.items()}
            raise ValueError(
                "axis: expected one number of classes for all losses, got "
                f"{[batch.classes for batch in batches]} with axes {axes}"
            )
        return batches

    def _takes_elements(self, input: Any, target: Any) -> bool:
        """Whether every loss compares elements, so that target and weight have the axes of the input."""
        return not self._labelled and input.shape == target.shape

    def _batch(self, p: _Pass, input: Any, target: Any, pixel_weight: Any) -> Batch:
        if self.takes_label_maps and holds_labels(input):
            return label_batch(input, target, pixel_weight, p.ignored, self.num_classes)
        x, y = as_input(input), as_array(target, "target")
        if self._takes_elements(x, y):
            return element_batch(x, y, pixel_weight, axis=p.axis if x.ndim > 1 else None, by_sample=True)
        binary = all(loss.takes_binary for loss in p.losses.values())
        assert p.axis is not None
        return class_batch(x, y, pixel_weight, axis=p.axis, ignored=p.ignored, binary=binary)

    def own_sums(self, sums: OpenSums) -> dict[str, tuple[Measure, dict[Any, Array]]]:
        """Map each name to its loss or metric, and to the sums of its pass by source."""
        sources = [p.by_source(own, sums.classes) for p, own in zip(self._passes, sums.passes, strict=True)]
        found = {
            name: (loss, own) for p, own in zip(self._passes, sources, strict=True) for name, loss in p.losses.items()
        }
        return {name: found[name] for name in self.losses}


def _check_losses(losses: Mapping[str, Measure]) -> None:
    if not isinstance(losses, Mapping):
        raise TypeError(f"losses: expected a mapping of names to losses, got {type(losses).__name__}")
    if not losses:
        raise ValueError("losses: expected at least one, got none")
    for name, loss in losses.items():
        if not isinstance(loss, Measure):
            raise TypeError(f"losses: expected a loss or a metric for {name!r}, got {type(loss).__name__}")
        if loss.reduction == "none":
            raise ValueError(f"losses: expected reduction 'mean' or 'sum' for {name!r}, got {loss!r}")
        loss.check_merging()


def _joined(tallies: Iterable[Tally]) -> list[Tally]:
    """Few tallies that cover the given ones."""
    hosts = list[Tally]()
    for tally in tallies:
        for k, host in enumerate(hosts):
            both = host.joined(tally)
            if both is not None:
                hosts[k] = both
                break
        else:
            hosts.append(tally)
    return hosts


def _planned(losses: dict[str, Measure], ignored: tuple[int, ...]) -> list[_Pass]:
    """Group the losses into passes. A loss that fixes neither its axis nor its weights joins the first that suits."""
    passes = list[_Pass]()
    for name, loss in losses.items():
        axis = loss.element_axis() if loss.kind == "element" else loss.axis
        own = ignored if loss.ignore_index is None else ignored_labels(loss.ignore_index)
        new = _Pass(axis, own, loss.weight_maker() if isinstance(loss, Loss) else None)
        same = (p for p in passes if (p.axis, p.ignored, p.maker) == (new.axis, new.ignored, new.maker))
        mine = next(same, new)
        mine.losses[name] = loss
        if mine is new:
            passes.append(new)
    merged = list[_Pass]()
    for new in sorted(passes, key=lambda p: [p.axis, p.maker].count(None)):
        host = next((p for p in merged if new.suits(p)), None)
        if host is None:
            merged.append(new)
        else:
            host.losses |= new.losses
    for p in merged:
        p.plan()
    return merged
