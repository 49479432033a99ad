"""Loss, the base of all losses with one input and one target, and Composed, the weighted sum that `+` and `*` make.

Losses are frozen dataclasses. Nothing here knows a backend or a thread.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .._arrays import Array, as_array
from .._batch import Batch, check_ignored, class_batch, element_batch, ignored_labels
from .._lazy import any_lazy, refuse_lazy
from .._options import check_common, freeze, number
from .._safe_text import table
from .._terms import Term
from .measure import Measure
from .merged import MergedFormula
from .partial import Partial


class Loss(MergedFormula):
    """Base of all losses with one input and one target. Its subclasses are the losses themselves."""

    target_optional: ClassVar[bool] = False  # the target may be None if distance maps are given
    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")
    activations: ClassVar[tuple[str | None, ...]] = ()

    def __post_init__(self) -> None:
        check_common(self)

    # ---- calls. A value is a float, or an array with reduction="none". The type `float | Any` spares callers a cast.

    def __call__(self, input: Any, target: Any, /, *, pixel_weight: Any = None) -> float | Any:
        """The loss: a float, or with `reduction="none"` the array of its values."""
        if any_lazy(input, target, pixel_weight):
            return self.finalize(self.lazy_partial(input, target, pixel_weight))
        return self.value(self.make_batch(input, target, pixel_weight))

    def value_and_grad(
        self, input: Any, target: Any, /, *, pixel_weight: Any = None, out: Any = None, hessian: str | None = None
    ) -> tuple[Any, ...]:
        """The loss and its exact gradient d(loss)/d(input), in the input's dtype and shape.

        out: the array to write the gradient to, of the input's shape and dtype. If a check fails, nothing is written.
        With `reduction="none"`, the gradient is that of the sum of the map. hessian: "diagonal" adds a third result,
        d2(loss)/d(input)2, and "bound" adds a diagonal that is nowhere negative and bounds the Hessian from above
        (docs/boosting.md). Losses of pixels and of elements, and their sums, have both.
        """
        refuse_lazy(input, target, pixel_weight)
        return self._value_and_grad(self.make_batch(input, target, pixel_weight), out, hessian)

    def partial(self, input: Any, target: Any, /, *, pixel_weight: Any = None) -> Partial:
        """The mergeable sums of these samples; see `Partial`. Samples are whole: for tiles of images, see `Tiles`."""
        if any_lazy(input, target, pixel_weight):
            return self.lazy_partial(input, target, pixel_weight)
        return self.partial_of_batch(self.make_batch(input, target, pixel_weight))

    def __add__(self, other: Loss) -> Composed:
        return composed([(1.0, self), (1.0, other)]) if isinstance(other, Loss) else NotImplemented

    def __radd__(self, other: object) -> Loss:
        """Makes `sum(losses)` work, which begins with 0 + the first loss."""
        return self if other == 0 and not isinstance(other, bool) else NotImplemented

    def __mul__(self, factor: float) -> Composed:
        if isinstance(factor, (int, float, np.integer, np.floating)) and not isinstance(factor, bool):
            return composed([(factor, self)])
        return NotImplemented

    __rmul__ = __mul__

    # ---- steps

    def make_batch(self, input: Any, target: Any, pixel_weight: Any) -> Batch:
        """The batch of checked arrays that all calls start from, with the weights that this loss makes from them."""
        batch = self._checked(input, target, pixel_weight)
        return self.weigh(batch) if self.makes_weights else batch

    def checked_stand_ins(self, input: Any, target: Any, pixel_weight: Any, distance_maps: Any) -> Batch:
        return self._checked(input, target, pixel_weight)

    def _checked(self, input: Any, target: Any, pixel_weight: Any) -> Batch:
        if self.kind == "element":
            check_ignored(self._ignored, False)
            return element_batch(input, target, pixel_weight, self.element_axis(), self.by_sample())
        axis = 1 if self.axis is None else self.axis
        batch = class_batch(input, target, pixel_weight, axis, self._ignored, self.takes_binary, self.target_optional)
        if batch.input.shape[1] == 1:
            self.check_channels(batch)
        return batch

    @functools.cached_property
    def _ignored(self) -> tuple[int, ...]:
        return ignored_labels(self.ignore_index)

    def summands(self) -> list[tuple[float, Loss]]:
        """The weights and losses of a sum. Any other loss is its own only summand, with weight 1."""
        return [(1.0, self)]

    def weight_maker(self) -> Loss | None:
        """The summand that makes weights from the data, or None."""
        return self if self.makes_weights else None


class MapsLoss(Loss):
    """A loss whose calls accept ready-made weights, as `distance_maps`, or a sum that may hold such a loss."""

    def own_maps(self, batch: Batch, maps: Array) -> Array:
        """The ready-made maps, of shape (N, C, *S), with 0 for the classes that are not chosen."""
        raise NotImplementedError

    def __call__(
        self, input: Any, target: Any, /, *, pixel_weight: Any = None, distance_maps: Any = None
    ) -> float | Any:
        """The loss: a float, or with `reduction="none"` the array of its values.

        distance_maps: ready-made maps of the input's shape. With them, `target` may be None.
        """
        if any_lazy(input, target, pixel_weight, distance_maps):
            return self.finalize(self.lazy_partial(input, target, pixel_weight, distance_maps))
        return self.value(self.make_batch(input, target, pixel_weight, distance_maps))

    def value_and_grad(
        self,
        input: Any,
        target: Any,
        /,
        *,
        pixel_weight: Any = None,
        distance_maps: Any = None,
        out: Array | None = None,
        hessian: str | None = None,
    ) -> tuple[Any, ...]:
        """The loss and its gradient d(loss)/d(input), in the input's dtype and shape.

        No gradient goes through the maps. See `Loss.value_and_grad` for the other arguments.
        """
        refuse_lazy(input, target, pixel_weight, distance_maps)
        return self._value_and_grad(self.make_batch(input, target, pixel_weight, distance_maps), out, hessian)

    def partial(self, input: Any, target: Any, /, *, pixel_weight: Any = None, distance_maps: Any = None) -> Partial:
        """The mergeable sums of these samples; see `Loss.partial`, and the call for `distance_maps`."""
        if any_lazy(input, target, pixel_weight, distance_maps):
            return self.lazy_partial(input, target, pixel_weight, distance_maps)
        return self.partial_of_batch(self.make_batch(input, target, pixel_weight, distance_maps))

    def gradient(
        self,
        input: Any,
        target: Any,
        partial: Partial,
        /,
        *,
        pixel_weight: Any = None,
        distance_maps: Any = None,
        scale: float = 1.0,
        out: Array | None = None,
    ) -> Array:
        """The gradient of `scale * finalize(partial)`; see `Loss.gradient`, and the call for `distance_maps`."""
        refuse_lazy(input, target, pixel_weight, distance_maps)
        return self._gradient(self.make_batch(input, target, pixel_weight, distance_maps), partial, scale, out)

    def make_batch(self, input: Any, target: Any, pixel_weight: Any, distance_maps: Any = None) -> Batch:
        if distance_maps is None:
            if target is None:
                as_array(target, "target")  # raises: the target is optional only with ready-made maps
            return super().make_batch(input, target, pixel_weight)
        batch, maker, maps = self._with_maps(input, target, pixel_weight, distance_maps)
        return batch.mapped(maker.own_maps(batch, batch.kernel_view(maps)))

    def _with_maps(
        self, input: Any, target: Any, pixel_weight: Any, distance_maps: Any
    ) -> tuple[Batch, MapsLoss, Array]:
        """The checked arrays, and the loss that the maps are for."""
        maker = self.weight_maker()
        if not isinstance(maker, MapsLoss):
            raise ValueError(f"distance_maps: expected None for {self!r}, got {type(distance_maps).__name__}")
        batch = self._checked(input, target, pixel_weight)
        maps = as_array(distance_maps, "distance_maps")
        if maps.shape != batch.shape:
            raise ValueError(f"distance_maps: expected shape {batch.shape} (the input's), got {maps.shape}")
        return batch, maker, maps

    def checked_stand_ins(self, input: Any, target: Any, pixel_weight: Any, distance_maps: Any) -> Batch:
        if distance_maps is None:
            as_array(target, "target")
            return self._checked(input, target, pixel_weight)
        return self._with_maps(input, target, pixel_weight, distance_maps)[0]

    def batch_of_window(self, input: Any, target: Any, pixel_weight: Any, distance_maps: Any) -> Batch:
        return self.make_batch(input, target, pixel_weight, distance_maps)


@dataclass(frozen=True, repr=False)
class Composed(MapsLoss):
    """A weighted sum of losses with the same input and target. `+` and `*` make it.

    >>> import fastloss as fl
    >>> loss = 0.5 * fl.DiceLoss() + 0.5 * fl.CrossEntropyLoss()
    >>> loss
    0.5 * DiceLoss() + 0.5 * CrossEntropyLoss()
    >>> loss([[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]])
    0.20763001
    """

    parts: tuple[tuple[float, Loss], ...]
    _places: tuple[tuple[int, ...], ...] = field(
        init=False, compare=False
    )  # for each part, the indices of its terms among the terms of the sum

    reduction = "mean"

    def __post_init__(self) -> None:
        for _, loss in self.parts:
            if loss.reduction == "none":
                raise ValueError(f"reduction: expected 'mean' or 'sum' in a sum of losses, got 'none' in {loss!r}")
        axes = [p.element_axis() if p.kind == "element" else p.axis for _, p in self.parts]
        for name, all_of in (("axis", axes), ("ignore_index", [p.ignore_index for _, p in self.parts])):
            known = [value for value in all_of if value is not None]
            if any(value != known[0] for value in known):
                raise ValueError(f"{name}: expected the same in all terms of a sum, got {known} in {self!r}")
            freeze(self, **{name: known[0] if known else None})
        makers = self._makers()
        others = any(p.weight_maker() is None for _, p in self.parts)
        if len(makers) > 1:
            raise ValueError(
                f"losses: expected at most one loss with weights made from the data in a sum, got {self!r}"
            )
        if makers and makers[0].weights_in_mean and others:
            raise ValueError(
                f"losses: expected no loss next to {makers[0]!r}, whose weights would count in the mean of all, got "
                f"{self!r}; add the values of the two instead"
            )
        freeze(
            self,
            kind="element" if all(p.kind == "element" for _, p in self.parts) else "pixel",
            takes_binary=all(p.takes_binary for _, p in self.parts),
            target_optional=all(p.target_optional for _, p in self.parts),
            makes_weights=bool(makers),
            weights_in_mean=bool(makers) and makers[0].weights_in_mean,
        )
        terms = self.kernel_terms
        freeze(self, _places=tuple(tuple(terms.index(t) for t in p.terms()) for _, p in self.parts))

    def __repr__(self) -> str:
        alone = len(self.parts) == 1
        return " + ".join(repr(p) if w == 1 and not alone else f"{w!r} * {p!r}" for w, p in self.parts)

    def _repr_html_(self) -> str:
        return table("weighted sum", ["weight", "loss"], [[f"{w:g}", repr(p)] for w, p in self.parts])

    def summands(self) -> list[tuple[float, Loss]]:
        return [(w * v, loss) for w, p in self.parts for v, loss in p.summands()]

    def ignoring(self, ignore_index: int | Sequence[int]) -> Composed:
        return Composed(tuple((w, p.ignoring(ignore_index)) for w, p in self.parts))

    def spaced(self, spacing: Any) -> Composed:
        return Composed(tuple((w, p.spaced(spacing)) for w, p in self.parts))

    def weight_maker(self) -> Loss | None:
        return next(iter(self._makers()), None)

    def _makers(self) -> list[Loss]:
        makers = (p.weight_maker() for _, p in self.parts)
        return list(dict.fromkeys(m for m in makers if m is not None))

    def make_weights(self, batch: Batch) -> Array:
        return self._makers()[0].make_weights(batch)

    def _checked(self, input: Any, target: Any, pixel_weight: Any) -> Batch:
        batch = super()._checked(input, target, pixel_weight)
        check_targets(batch, [loss for _, loss in self.summands()])
        return batch

    def element_axis(self) -> int | None:
        axes = [p.element_axis() for _, p in self.parts]
        return next((a for a in axes if a is not None), None)

    def terms(self) -> tuple[Term, ...]:
        """The terms of all parts, each of them once."""
        return tuple(dict.fromkeys(t for _, p in self.parts for t in p.terms()))

    def by_sample(self) -> bool:
        return any(p.by_sample() for _, p in self.parts)

    def is_linear(self) -> bool:
        return all(p.is_linear() for _, p in self.parts)

    def partial_of(self, sums: list[Array]) -> Array:
        own = ([sums[k] for k in places] for places in self._places)
        return np.concatenate([p.partial_of(s) for (_, p), s in zip(self.parts, own, strict=True)], axis=1)

    def partial_size(self, classes: int) -> int:
        return sum(p.partial_size(classes) for _, p in self.parts)

    def _split(self, numbers: Array, classes: int) -> Iterator[Array]:
        """The merged numbers of each part in turn."""
        first = 0
        for _, p in self.parts:
            last = first + p.partial_size(classes)
            yield numbers[first:last]
            first = last

    def value_of(self, numbers: Array, classes: int) -> float:
        own = self._split(numbers, classes)
        return float(sum(w * p.value_of(n, classes) for (w, p), n in zip(self.parts, own, strict=True)))

    def values_of(self, rows: Array, classes: int) -> Array:
        own = self._split(rows.T, classes)
        values: Array = np.zeros(len(rows))
        for (w, p), numbers in zip(self.parts, own, strict=True):
            values = values + w * p.values_of(numbers.T, classes)
        return values

    def coefficients(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        total: list[Any] = [0.0] * len(self.kernel_terms)
        for (w, p), n, places in zip(self.parts, self._split(numbers, classes), self._places, strict=True):
            for k, own in zip(places, p.coefficients([sums[k] for k in places], n, classes), strict=True):
                total[k] = total[k] + w * own
        return total


def check_targets(batch: Batch, losses: Sequence[Measure]) -> None:
    """Refuse a target that the losses of a sum would read differently.

    An element loss takes labels only for a single channel, and only if its targets are 0 and 1. If one loss reads a
    single channel as binary, no other loss may read it as the only class.
    """
    binary = batch.classes == 1 and any(loss.takes_binary for loss in losses)
    for loss in losses:
        loss.check_channels(batch)
        if binary and loss.exclusive:
            raise ValueError(
                f"input: expected two or more channels for {loss!r} in a sum with a loss that takes a single channel, "
                f"got shape {batch.shape}; use BCEWithLogitsLoss() instead, or DiceCELoss(activation='sigmoid')"
            )
        # Outside of a sum, such a loss takes an input with one dimension as one sample.
        if loss.kind == "element" and loss.by_sample() and len(batch.shape) < 2:
            raise ValueError(
                f"input: expected two or more dimensions for {loss!r} in a sum with others, got shape {batch.shape}"
            )
        if loss.kind == "element" and batch.labels and not (loss.takes_binary and batch.label_base == 1):
            single = " or a single channel with labels {0, 1}" if loss.takes_binary else ""
            raise ValueError(
                f"target: expected a dense target of shape {batch.shape}{single} for {loss!r}, got labels of shape "
                f"{batch.target.shape if batch.target is not None else None}"
            )


def composed(parts: Sequence[tuple[Any, Loss]]) -> Composed:
    """The weighted sum of losses, with nested sums flattened."""
    flat: list[tuple[float, Loss]] = []
    for weight, loss in parts:
        factor = number(weight, "factor")
        own = loss.parts if type(loss) is Composed else ((1.0, loss),)
        flat += [(number(factor * w, "factor"), p) for w, p in own]
    return Composed(tuple(flat))
