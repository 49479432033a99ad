"""MergedFormula: the value, gradient and partial of a batch, and the value and gradient from merged sums.

`Loss` is the only subclass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arrays import Array
from .._batch import MANY_SAMPLES, Batch
from .._lazy import refuse_lazy
from .._options import number
from .._terms import Mode
from .hessian import check_hessian, hessian_of
from .partial import Partial
from .windowed import WindowedFormula


class MergedFormula(WindowedFormula):
    """A formula with its value and its gradient from a partial."""

    def gradient(
        self,
        input: Any,
        target: Any,
        partial: Partial,
        /,
        *,
        pixel_weight: Any = None,
        scale: float = 1.0,
        out: Array | None = None,
    ) -> Array:
        """The gradient of `scale * finalize(partial)` with respect to this input, whose samples are in `partial`.

        The partial may hold more samples, such as those of other processes. See `value_and_grad` for `out`.
        """
        refuse_lazy(input, target, pixel_weight)
        return self._gradient(self.make_batch(input, target, pixel_weight), partial, scale, out)

    def partial_of_batch(self, batch: Batch) -> Partial:
        self.check_merging()
        if self.reduction == "none":
            raise ValueError("reduction: expected 'mean' or 'sum' for a partial, got 'none'")
        return Partial(repr(self), batch.classes, batch.sample_count, self.partial_numbers(batch))

    def _value_and_grad(self, batch: Batch, out: Array | None, hessian: str | None) -> tuple[Any, ...]:
        if hessian is not None:
            check_hessian(self, hessian)
        gradient = batch.new_gradient() if out is None else batch.check_out(out)
        value = self.value_and_gradient(batch, gradient)
        return (value, gradient) if hessian is None else (value, gradient, hessian_of(self, batch, gradient, hessian))

    def _gradient(self, batch: Batch, partial: Partial, scale: float, out: Array | None) -> Array:
        self.check_partial(partial)
        if partial.classes != batch.classes:
            raise ValueError(f"partial: expected a partial of {batch.classes} classes (the input's), got {partial!r}")
        factor = number(scale, "scale")
        gradient = batch.new_gradient() if out is None else batch.check_out(out)
        self.fill_gradient(batch, batch.kernel_view(gradient), partial.numbers[0], [], factor)
        return gradient

    def map_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """The shape of the map of a pixel or element loss, for an input of the given shape."""
        if self.kind == "element":
            return tuple(shape)
        axis = 0 if len(shape) == 1 else (1 if self.axis is None else self.axis) % len(shape)
        return (*shape[:axis], *shape[axis + 1 :])

    # ---- the state between the forward and the backward pass of a framework, as one array of float64

    def state_size(self, samples: Any, classes: Any) -> Any:
        """The length of `pack`'s array, for integers or symbolic ones."""
        size = self.partial_size(classes)
        if self.needs_sums() and samples <= MANY_SAMPLES:
            size = size + samples * sum(t.size(classes, Mode.FORWARD) for t in self.kernel_terms)
        return size

    def pack(self, numbers: Array, sums: list[Array]) -> Array:
        """The results of `forward` that `fill_gradient` needs."""
        return np.concatenate([numbers, *(s.ravel() for s in sums)]) if self.needs_sums() else numbers

    def unpack(self, state: Array, batch: Batch) -> tuple[Array, list[Array]]:
        """The inverse of `pack`. The sums are an empty list if they are not in the state."""
        first = self.partial_size(batch.classes)
        numbers, sums = state[:first], []
        if len(state) > first:
            for term in self.kernel_terms:
                last = first + batch.samples * term.size(batch.classes, Mode.FORWARD)
                sums.append(state[first:last].reshape(batch.samples, -1))
                first = last
        return numbers, sums
