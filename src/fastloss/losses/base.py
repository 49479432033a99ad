"""What a loss is: terms to run, and a formula over their sums.

    rows(sums)      one row of numbers a sample (or one for all), which merge by addition
    total(numbers)  the value, from the added numbers
    slopes(...)     d(value)/d(sums), which the kernels turn into the gradient

Everything public about a loss follows from these: value, map, gradient, partials, reports. Losses are frozen
dataclasses; functional/ offers each as a function, evaluate.py runs many in one pass. Nothing here knows a backend
or a thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import _backend, _exact
from .._backend import Mode, Term
from .._batch import (
    IGNORE_INDEX,
    LARGE_SAMPLE,
    MANY_SAMPLES,
    Array,
    Batch,
    as_array,
    check_ignored,
    class_batch,
    element_batch,
    ignored_labels,
    real_dtype,
)
from ._checks import check_common
from .partial import Partial

if TYPE_CHECKING:
    from .compose import Composed


SUM_BYTES = 1 << 20  # of the sums that are made at a time: they stay in the L2 cache


class Loss:
    """Base of all losses; not for direct use. See any of its subclasses."""

    kind: ClassVar[str] = (
        "class"  # "class": labels or dense targets on a class axis; "element": two arrays of one shape
    )
    takes_binary: ClassVar[bool] = False  # a single channel takes labels {0, 1}
    target_optional: ClassVar[bool] = False  # there may be none: what it says is in the distance maps
    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")
    activations: ClassVar[tuple[str | None, ...]] = ()
    exclusive: ClassVar[bool] = False  # its classes exclude one another, so that a single channel says nothing
    axis: int | None = None  # None: any
    ignore_index: int | Sequence[int] | None = None  # None: any
    reduction: str

    def __post_init__(self) -> None:
        check_common(self)

    # ---- what a subclass says

    def terms(self) -> tuple[Term, ...]:
        """The kernels to run; sums come back in this order."""
        raise NotImplementedError

    def by_sample(self) -> bool:
        """Whether the formula needs the sums of each sample."""
        return False

    def rows(self, sums: list[Array]) -> Array:
        """Sums of shape (groups, n) a term -> numbers of shape (groups, k) that merge by addition."""
        raise NotImplementedError

    def row_size(self, classes: int) -> int:
        """k, the length of a row."""
        raise NotImplementedError

    def total(self, numbers: Array, classes: int) -> float:
        """The value, from the merged numbers (k,)."""
        raise NotImplementedError

    def totals(self, rows: Array, classes: int) -> Array:
        """The value of each row of numbers (n, k) by itself, with the bits of `total`."""
        raise NotImplementedError

    def slopes(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        """d(value)/d(sums), an array of shape (groups, ...) a term."""
        raise NotImplementedError

    def class_rows(self, sums: list[Array]) -> Array:
        """Numbers of shape (groups, k) for the values class by class; sums are those of Mode.BY_CLASS."""
        raise NotImplementedError

    def class_total(self, numbers: Array, classes: int) -> Array:
        """The values class by class, (C,), from merged class_rows."""
        raise NotImplementedError

    def is_linear(self) -> bool:
        """Whether the slopes depend on the weights alone, so that value and gradient take one visit."""
        return True

    def value_map(self, batch: Batch) -> Array:
        """reduction="none"."""
        raise NotImplementedError

    def leaves(self) -> list[tuple[float, Loss]]:
        """The losses that this one is the weighted sum of; itself if it is none."""
        return [(1.0, self)]

    def map_maker(self) -> MapsLoss | None:
        """The loss that makes the distance maps of a batch, if there is one."""
        return None

    # ---- what every loss then has. A value is a float, with "none" an array: Any, so that the float needs no cast

    def __call__(self, input: Any, target: Any, /, *, pixel_weight: Any = None) -> float | Any:
        """The loss, a float; with `reduction="none"` the array of its values."""
        sums = None if pixel_weight is not None else self._plain_sums(input, target)
        if sums is not None:
            return self._of_sums(sums, input.shape[1])
        return self._value(self.make_batch(input, target, pixel_weight))

    def value_and_grad(
        self, input: Any, target: Any, /, *, pixel_weight: Any = None, out: Array | None = None
    ) -> tuple[float | Any, Array]:
        """The loss and its gradient d(loss)/d(input), exact, in the input's dtype and shape.

        out: the array to write the gradient to (of the input's shape and dtype); nothing is written when a check fails.
        With `reduction="none"`, the gradient is that of the sum of the map.
        """
        return self._value_and_grad(self.make_batch(input, target, pixel_weight), out)

    def partial(self, input: Any, target: Any, /, *, pixel_weight: Any = None) -> Partial:
        """The mergeable sums of these samples; see `Partial`."""
        return self._partial(self.make_batch(input, target, pixel_weight))

    def finalize(self, partial: Partial, /) -> float:
        """The loss of all samples that went into `partial`."""
        if not isinstance(partial, Partial):
            raise TypeError(f"partial: expected a Partial, got {type(partial).__name__}")
        if partial.loss != repr(self):
            raise ValueError(f"partial: expected a partial of {self!r}, got {partial!r}")
        size = self.row_size(partial.classes)
        if partial.numbers.shape[1] != size:
            raise ValueError(f"partial: expected {size} sums of {self!r}, got {partial!r}")
        return self.total(partial.numbers[0], partial.classes)

    def __add__(self, other: Loss) -> Composed:
        from .compose import composed

        return composed([(1.0, self), (1.0, other)]) if isinstance(other, Loss) else NotImplemented

    def __radd__(self, other: object) -> Loss:
        """For `sum(losses)`, which begins with 0."""
        return self if other == 0 and not isinstance(other, bool) else NotImplemented

    def __mul__(self, factor: float) -> Composed:
        from .compose import composed

        if isinstance(factor, (int, float, np.integer, np.floating)) and not isinstance(factor, bool):
            return composed([(factor, self)])
        return NotImplemented

    __rmul__ = __mul__

    def __repr__(self) -> str:
        """The call that makes this loss: only what differs from the defaults."""
        fields = list(dataclasses.fields(self))  # type: ignore[arg-type]
        given = ((f.name, getattr(self, f.name), f.default) for f in fields if f.init)
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v, d in given if v != d)})"

    # ---- steps

    def _value(self, batch: Batch) -> float | Any:
        if self.reduction == "none":
            return self.value_map(batch)
        parts = self._parts(batch)
        if len(parts) == 1:
            return self._of_sums(self.sums(batch), batch.classes)
        return self.total(self._merge(parts)[0], batch.classes)

    def _parts(self, batch: Batch) -> list[tuple[slice, Batch]]:
        """The batch, or as many samples of it at a time as have SUM_BYTES of sums, and which they are."""
        if batch.samples <= MANY_SAMPLES or not self.by_sample():
            return [(slice(None), batch)]
        size = sum(t.size(batch.classes, Mode.FORWARD) for t in self.terms())
        return list(batch.parts(max(1, SUM_BYTES // (8 * size))))

    def _merge(self, parts: Iterable[tuple[slice, Batch]]) -> Array:
        merged: Array = _exact.exact_sum(self.numbers(self.sums(part)) for _, part in parts)
        return merged

    def _of_sums(self, sums: list[Array], classes: int) -> float:
        rows = self.rows(sums)  # of a single row there is nothing to add, which saves a small call half a microsecond
        return self.total(rows[0] if len(rows) == 1 else _exact.exact_sum([rows])[0], classes)

    def _plain_sums(self, input: Any, target: Any) -> list[Array] | None:
        """The sums made without a batch, for the usual arguments; None for all others."""
        if self.kind != "class" or self.axis != 1 or self.reduction == "none":
            return None
        return _backend.run_plain(input, target, self.terms, self.by_sample(), self.ignore_index)

    def _value_and_grad(self, batch: Batch, out: Array | None) -> tuple[float | Any, Array]:
        gradient = batch.new_gradient() if out is None else batch.check_out(out)
        value = self._gradient(batch, gradient)
        return value, gradient

    def _partial(self, batch: Batch) -> Partial:
        if self.reduction == "none":
            raise ValueError("reduction: expected 'mean' or 'sum' for a partial, got 'none'")
        return Partial(repr(self), batch.classes, batch.sample_count, self._merge(self._parts(batch)))

    def make_batch(self, input: Any, target: Any, pixel_weight: Any) -> Batch:
        ignored = ignored_labels(self.ignore_index)
        if self.kind == "element":
            check_ignored(ignored, False)
            axis, apart = self.element_axis(), self.by_sample()
            return element_batch(input, target, pixel_weight, axis=axis, by_sample=apart)
        batch = class_batch(
            input,
            target,
            pixel_weight,
            axis=1 if self.axis is None else self.axis,
            ignored=ignored,
            binary=self.takes_binary,
            target_optional=self.target_optional,
        )
        self.check_channels(batch)
        return batch

    def check_channels(self, batch: Batch) -> None:
        """A softmax of one channel is 1, whatever the logit: no loss of it means anything."""
        if batch.classes == 1 and getattr(self, "activation", None) == "softmax":
            raise ValueError(
                "activation: expected 'sigmoid' or None for one channel, whose softmax is always 1, got 'softmax' in "
                f"{self!r} for an input of shape {batch.shape}"
            )

    def ignoring(self, ignore_index: int | Sequence[int]) -> Loss:
        """This loss with that `ignore_index`, unless it has one of its own (or knows no labels to ignore)."""
        if self.ignore_index != IGNORE_INDEX:
            return self
        changed: Loss = dataclasses.replace(self, ignore_index=ignore_index)  # type: ignore[type-var]
        return changed

    def element_axis(self) -> int | None:
        """The class axis, if an element loss has something by class."""
        return None

    def sums(self, batch: Batch, mode: int = Mode.FORWARD) -> list[Array]:
        return _backend.run(batch, self.terms(), mode, by_sample=self.splits(batch))

    def splits(self, batch: Batch) -> bool:
        return self.by_sample() or batch.pixels >= LARGE_SAMPLE

    def numbers(self, sums: list[Array]) -> Array:
        """The merged numbers, (m, k)."""
        return _exact.exact_sum([self.rows(sums)])

    def _gradient(self, batch: Batch, gradient: Array) -> float | Any:
        out, terms, by_sample = batch.kernel_view(gradient), self.terms(), self.splits(batch)
        if self.is_linear():
            known = (
                self.sums(batch, Mode.WEIGH) if batch.labels or batch.weight is not None else self._unweighted(batch)
            )
            coefs = self.slopes(known, self.numbers(known)[0], batch.classes)
            sums = _backend.run(
                batch, terms, Mode.FORWARD | Mode.GRADIENT, by_sample=by_sample, output=out, coefs=coefs
            )
            numbers = self.numbers(sums)[0]
        else:
            parts = self._parts(batch)
            sums = self.sums(batch) if len(parts) == 1 else []
            numbers = (self.numbers(sums) if sums else self._merge(parts))[0]
            for cut, part in parts:  # a part's sums are made again, which takes less than to keep those of all
                coefs = self.slopes(sums or self.sums(part), numbers, batch.classes)
                _backend.run(part, terms, Mode.GRADIENT, by_sample=by_sample, output=out[cut], coefs=coefs)
        return self.value_map(batch) if self.reduction == "none" else self.total(numbers, batch.classes)

    def _unweighted(self, batch: Batch) -> list[Array]:
        """The weight sums of a batch in which every pixel counts once."""
        groups = batch.samples if self.splits(batch) else 1
        pixels = batch.pixels if self.splits(batch) else batch.pixels * batch.samples
        counts = [pixels * (batch.classes if t.kind == "element" else 1) for t in self.terms()]
        return [np.tile([0.0, float(n)], (groups, 1)) for n in counts]


class SumLoss(Loss):
    """A loss that is one kernel's weighted sum: all pixel and element losses."""

    def rows(self, sums: list[Array]) -> Array:
        return sums[0][:, :2]

    def row_size(self, classes: int) -> int:
        return 2

    def total(self, numbers: Array, classes: int) -> float:
        value, weight = numbers.tolist()
        if self.reduction == "sum":
            return float(value)
        return float(value / weight) if weight else float("nan")

    def totals(self, rows: Array, classes: int) -> Array:
        value, weight = rows[:, 0] + 0.0, rows[:, 1]  # no -0.0
        if self.reduction == "sum":
            return value
        quotients: Array = np.divide(value, weight, out=np.full_like(value, np.nan), where=weight != 0)
        return quotients

    def slopes(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        return [np.full((len(sums[0]), 1), self._slope(numbers))]

    def _slope(self, numbers: Array) -> float:
        """d(value)/d(sum of values)."""
        weight = 1.0 if self.reduction in ("sum", "none") else float(numbers[1])
        return 1 / weight if weight else 0.0

    def class_rows(self, sums: list[Array]) -> Array:
        return sums[0][:, 2:]

    def class_total(self, numbers: Array, classes: int) -> Array:
        value, weight = numbers.reshape(2, classes)
        by = np.ones_like(weight) if self.reduction == "sum" else weight
        result: Array = np.divide(value, by, out=np.full_like(value, np.nan), where=weight > 0)
        return result

    def value_map(self, batch: Batch) -> Array:
        by_class = self.kind == "element"
        shape = batch.shape if by_class else batch.input.shape[:1] + batch.input.shape[2:]
        out = np.empty(shape, real_dtype(batch.input.dtype))
        view = batch.kernel_view(out) if by_class else out
        _backend.run(batch, self.terms(), Mode.MAP, by_sample=batch.pixels >= LARGE_SAMPLE, output=view)
        return out.reshape(out.shape[1:]) if not by_class and len(batch.shape) == 1 else out


class MapsLoss(Loss):
    """A loss of distances, or a sum that may hold one: its calls take `distance_maps`."""

    def make_maps(self, batch: Batch) -> Array:
        """Distance maps of shape (N, C, *S), float32."""
        raise NotImplementedError

    def own_maps(self, batch: Batch, maps: Array) -> Array:
        """Ready-made maps of shape (N, C, *S), 0 for the classes that do not count."""
        raise NotImplementedError

    def __call__(
        self, input: Any, target: Any, /, *, pixel_weight: Any = None, distance_maps: Any = None
    ) -> float | Any:
        """The loss, a float; with `reduction="none"` the array of its values.

        distance_maps: of the input's shape, ready-made; `target` may then be None.
        """
        if distance_maps is None and self.map_maker() is None:
            return super().__call__(input, target, pixel_weight=pixel_weight)
        return self._value(self.make_batch(input, target, pixel_weight, distance_maps))

    def value_and_grad(
        self,
        input: Any,
        target: Any,
        /,
        *,
        pixel_weight: Any = None,
        distance_maps: Any = None,
        out: Array | None = None,
    ) -> tuple[float | Any, Array]:
        """The loss and its gradient d(loss)/d(input), in the input's dtype and shape; the maps are data, not
        differentiated. See `Loss.value_and_grad` for `out`, and the call for `distance_maps`."""
        return self._value_and_grad(self.make_batch(input, target, pixel_weight, distance_maps), out)

    def partial(self, input: Any, target: Any, /, *, pixel_weight: Any = None, distance_maps: Any = None) -> Partial:
        """The mergeable sums of these samples; see `Partial`, and the call for `distance_maps`."""
        return self._partial(self.make_batch(input, target, pixel_weight, distance_maps))

    def make_batch(self, input: Any, target: Any, pixel_weight: Any, distance_maps: Any = None) -> Batch:
        maker = self.map_maker()
        if maker is None and distance_maps is not None:
            raise ValueError(f"distance_maps: expected None for {self!r}, got {type(distance_maps).__name__}")
        if target is None and distance_maps is None:
            as_array(target, "target")  # not optional here
        batch = super().make_batch(input, target, pixel_weight)
        if maker is None:
            return batch
        if distance_maps is None:
            return batch._replace(maps=maker.make_maps(batch))
        maps = as_array(distance_maps, "distance_maps")
        if maps.shape != batch.shape:
            raise ValueError(f"distance_maps: expected shape {batch.shape} (the input's), got {maps.shape}")
        return batch._replace(maps=maker.own_maps(batch, batch.kernel_view(maps)))


class ElementLoss(SumLoss):
    """A loss with one value an element, input and target being of one shape."""

    kind = "element"
    takes_binary = True

    def element_axis(self) -> int | None:
        by_class = any(isinstance(p, tuple) for t in self.terms() for p in t.params)
        return self.axis if by_class else None


def as_param(value: Any, default: float = 1.0) -> float | tuple[float, ...]:
    """A checked option, a number or one a class or None, as a parameter of a term."""
    return default if value is None else value if isinstance(value, float) else tuple(value)
