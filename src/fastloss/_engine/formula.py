"""Formula: the hooks that define a loss, and the passes over a batch that follow from them.

    terms()                 the kernels to run, which return sums
    partial_of(sums)        numbers that merge by addition: one row per sample, or one row for all samples
    value_of(numbers)       the value, computed from the merged numbers
    coefficients(sums, ...) d(value)/d(sums), which the kernels turn into the gradient
    make_weights(batch)     weights made from the data, if the loss has any

A subclass defines the hooks. `value`, `value_and_gradient`, `forward`, `fill_gradient` and `partial_numbers` call them.
loss.py makes the batch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from .. import _backend
from .._arrays import Array, as_array
from .._batch import LARGE_SAMPLE, MANY_SAMPLES, Batch, pixel_shape
from .._terms import Mode, Term, Terms
from .exact_sum import exact_sum
from .measure import Measure

SUM_BYTES = 1 << 20  # bytes of sums to compute at one time, few enough to stay in the L2 cache


class Formula(Measure):
    """A loss as formulas over sums."""

    weights_in_mean: ClassVar[bool] = True  # whether weights from make_weights count in the mean, as pixel_weight does
    makes_weights: ClassVar[bool] = False  # whether make_weights is defined
    per_image: bool = True  # whether make_weights makes the weights of each image from that image alone

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.makes_weights = cls.make_weights is not Formula.make_weights

    # ---- what a subclass defines

    def terms(self) -> tuple[Term, ...]:
        """The kernels to run. Their sums are returned in this order."""
        raise NotImplementedError

    def sources(self) -> tuple[Term, ...]:
        return self.terms()

    def coefficients(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        """d(value)/d(sums), one array of shape (groups, ...) per term.

        Unless `needs_sums()`, the coefficients depend on `numbers` only, and `sums` may be zeros.
        """
        raise NotImplementedError

    def is_linear(self) -> bool:
        """Whether the coefficients depend only on the weights. Then value and gradient take one pass."""
        return True

    def value_map(self, batch: Batch) -> Array:
        """The array of values that reduction="none" returns."""
        raise NotImplementedError

    def make_weights(self, batch: Batch) -> Array:
        """Make weights from the data, for a loss that has them: per pixel, (N, *S), or per pixel and class, (N, C, *S).

        No gradient goes through the weights. With `weights_in_mean`, they multiply `pixel_weight`. Without it, they
        have shape (N, C, *S), and the loss's kernel reads them as its map. Without `per_image`, they depend on all
        images of the call, so the loss has no partials. docs/custom-loss.md shows such a loss.
        """
        raise NotImplementedError

    # ---- what follows

    @property
    def needs_whole_images(self) -> bool:
        return self.makes_weights

    @functools.cached_property
    def kernel_terms(self) -> Terms:
        """The terms, made once per loss."""
        return Terms(self.terms())

    def weigh(self, batch: Batch) -> Batch:
        """The batch with the weights that the loss makes from it."""
        weights = as_array(self.make_weights(batch), "make_weights")
        shapes = [pixel_shape(batch.input)] * self.weights_in_mean + [batch.input.shape]
        if weights.shape not in shapes:
            raise ValueError(f"make_weights: expected shape {' or '.join(map(str, shapes))}, got {weights.shape}")
        return batch.weighted(weights) if self.weights_in_mean else batch.mapped(weights)

    def groups_by_sample(self, batch: Batch) -> bool:
        """Whether each sample is a group of its own. If samples are large, merging their sums must be exact; small
        samples share tiles."""
        return len(batch.input) == 1 or self.by_sample() or batch.pixels >= LARGE_SAMPLE

    def sums(self, batch: Batch, mode: int = Mode.FORWARD) -> list[Array]:
        return _backend.run(batch, self.kernel_terms, mode, self.groups_by_sample(batch))

    def merged(self, sums: list[Array]) -> Array:
        """The merged numbers as an expansion of shape (m, k)."""
        return exact_sum([self.partial_of(sums)])

    def _total(self, sums: list[Array]) -> Array:
        """The merged numbers rounded to float64, of shape (k,)."""
        rows = self.partial_of(sums)  # one row needs no addition, which saves 0.5 microseconds
        total: Array = rows[0] if len(rows) == 1 else exact_sum([rows])[0]
        return total

    def value(self, batch: Batch) -> float | Any:
        """The loss of a batch, or the map with reduction="none"."""
        if self.reduction == "none":
            return self.value_map(batch)
        parts = self._parts(batch) if len(batch.input) > MANY_SAMPLES else None
        numbers = self._total(self.sums(batch)) if parts is None else self._merge(parts)[0]
        return self.value_of(numbers, batch.input.shape[1])

    def partial_numbers(self, batch: Batch) -> Array:
        """The merged numbers of a batch, as an expansion."""
        parts = self._parts(batch)
        return self.merged(self.sums(batch)) if parts is None else self._merge(parts)

    def _parts(self, batch: Batch) -> list[tuple[slice, Batch]] | None:
        """A batch of many samples, cut into parts whose sums take SUM_BYTES each. None: one part is enough."""
        if batch.samples <= MANY_SAMPLES or not self.by_sample():
            return None
        size = sum(t.size(batch.classes, Mode.FORWARD) for t in self.kernel_terms)
        return list(batch.parts(max(1, SUM_BYTES // (8 * size))))

    def _merge(self, parts: Iterable[tuple[slice, Batch]]) -> Array:
        return exact_sum(self.merged(self.sums(part)) for _, part in parts)

    def value_and_gradient(self, batch: Batch, gradient: Array) -> float | Any:
        """Fill `gradient`, of the caller's shape, and return the loss of the batch."""
        out = batch.kernel_view(gradient)
        if self.is_linear():
            numbers = self.forward_and_gradient(batch, out)
        else:
            numbers, sums = self.forward(batch)
            self.fill_gradient(batch, out, numbers, sums)
        return self.value_map(batch) if self.reduction == "none" else self.value_of(numbers, batch.classes)

    def forward_and_gradient(self, batch: Batch, out: Array) -> Array:
        """Fill `out`, in the kernels' axes, and return the merged numbers, in one pass. The loss is linear."""
        weighed = batch.labels or batch.weight is not None
        known = self.sums(batch, Mode.WEIGH) if weighed else self._unweighted(batch)
        coefs = self.coefficients(known, self._total(known), batch.classes)
        mode, by_sample = Mode.FORWARD | Mode.GRADIENT, self.groups_by_sample(batch)
        return self._total(_backend.run(batch, self.kernel_terms, mode, by_sample=by_sample, output=out, coefs=coefs))

    def forward(self, batch: Batch) -> tuple[Array, list[Array]]:
        """The merged numbers, of shape (k,), and the sums of each term. The list is empty if they take much memory."""
        parts = self._parts(batch)
        if parts is not None:
            return self._merge(parts)[0], []
        sums = self.sums(batch)
        return self._total(sums), sums

    def needs_sums(self) -> bool:
        """Whether the coefficients depend on the sums of each sample, and not only on the merged numbers."""
        return self.by_sample() and not self.is_linear()

    def fill_gradient(
        self, batch: Batch, out: Array, numbers: Array, sums: list[Array], scale: float | None = None
    ) -> None:
        """Fill `out`, in the kernels' axes, with the gradient of the value of `numbers`, times `scale`.

        The numbers may be those of more samples than the batch has. The sums are those of the batch. If the list is
        empty and they are needed, they are computed again.
        """
        parts = None if sums else self._parts(batch)
        for cut, part in parts or [(slice(None), batch)]:  # sums of a part again: cheaper than keeping all of them
            own = sums or (self.sums(part) if self.needs_sums() else self._stand_ins(part))
            coefs = self.coefficients(own, numbers, batch.classes)
            if scale is not None:
                coefs = [scale * c for c in coefs]
            by_sample = self.groups_by_sample(batch)
            _backend.run(part, self.kernel_terms, Mode.GRADIENT, by_sample=by_sample, output=out[cut], coefs=coefs)

    def _stand_ins(self, batch: Batch) -> list[Array]:
        """Zeros with the shapes of the sums, for coefficients that depend on the merged numbers only."""
        groups = batch.samples if self.groups_by_sample(batch) else 1
        return [np.zeros((groups, t.size(batch.classes, Mode.FORWARD))) for t in self.kernel_terms]

    def _unweighted(self, batch: Batch) -> list[Array]:
        """The sums of weights of a batch in which every pixel has weight 1."""
        by_sample = self.groups_by_sample(batch)
        groups, pixels = (batch.samples, batch.pixels) if by_sample else (1, batch.pixels * batch.samples)
        counts = [pixels * (batch.classes if t.kind == "element" else 1) for t in self.kernel_terms]
        return [np.tile([0.0, float(n)], (groups, 1)) for n in counts]
