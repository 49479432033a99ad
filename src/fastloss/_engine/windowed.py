"""WindowedFormula: a formula over lazy arrays, whose sums are computed window by window.

The sums of a sample stay open until its last window, so the value does not depend on how the arrays are chunked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from .._arrays import Array
from .._batch import Batch
from .exact_sum import ExactTotal, exact_sum_of_many
from .formula import Formula
from .partial import Partial

if TYPE_CHECKING:
    from .._lazy_arrays import Part


class WindowedFormula(Formula):
    """A formula whose sums can be computed window by window. `Loss` is the only subclass."""

    # ---- what the subclass defines

    def make_batch(self, input: Any, target: Any, pixel_weight: Any) -> Batch:
        """The batch of checked arrays, with the weights that the loss makes from them."""
        raise NotImplementedError

    def weight_maker(self) -> WindowedFormula | None:
        """The summand that makes weights from the data, or None."""
        raise NotImplementedError

    def checked_stand_ins(self, input: Any, target: Any, pixel_weight: Any, distance_maps: Any) -> Batch:
        """The batch of arrays that have only the shapes and dtypes of lazy arrays."""
        raise NotImplementedError

    def batch_of_window(self, input: Any, target: Any, pixel_weight: Any, distance_maps: Any) -> Batch:
        """The batch of one window. A loss without maps makes it without them."""
        return self.make_batch(input, target, pixel_weight)

    # ---- what follows

    def check_merging(self) -> None:
        """Refuse sums that do not merge, because the weights are made from all images of a call together."""
        maker = self.weight_maker()
        if maker is not None and not maker.per_image:
            raise ValueError(
                f"per_image: expected True for sums that are merged from several images, got False in {maker!r}, "
                "which compares the pixels of all images of a call"
            )

    def lazy_partial(self, input: Any, target: Any, pixel_weight: Any = None, distance_maps: Any = None) -> Partial:
        """The partial of arrays that are read window by window."""
        from .._lazy_arrays import LazyArrays

        arrays = LazyArrays(input, target, pixel_weight, distance_maps)
        self.check_merging()
        if self.reduction == "none":
            raise TypeError(
                "reduction: expected 'mean' or 'sum' for lazy arrays, got 'none', whose result is as large as the "
                "input; pass numpy.asarray(input) and numpy.asarray(target)"
            )
        whole = self.checked_stand_ins(*arrays.stand_ins())
        needs_whole = self.makes_weights and not arrays.has_maps
        parts = arrays.parts([whole.axis], elements=self.kind == "element", whole=needs_whole)
        with closing(parts):
            numbers = exact_sum_of_many(self._numbers_of_windows(parts))
        return Partial(repr(self), whole.classes, whole.sample_count, numbers)

    def _numbers_of_windows(self, parts: Iterable[Part]) -> Iterator[Array]:
        total = ExactTotal()
        for part in parts:
            numbers: Array | None = None
            with part.located():
                batch = self.batch_of_window(*part.arrays)
                if part.has_whole_samples or not self.by_sample():
                    numbers = self.partial_numbers(batch)
                else:  # the formula needs the sums of whole samples
                    total.add(self.sums(batch))
            if numbers is None and part.completes_samples:
                numbers = self.merged(total.take())
            del part, batch  # free the memory of the window before another one is read ahead
            if numbers is not None:
                yield numbers
