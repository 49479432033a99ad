"""The mergeable part of a loss. Made by base.py and joint.py, and by evaluate.py's reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _exact
from .._batch import Array, as_array


class Partial:
    """The mergeable part of a loss over some samples: a few float64 sums, added exactly.

    `a + b` and `Partial.sum(many)` give the partial of all their samples, whatever the order and the grouping, to the
    bit; `loss.finalize(partial)` is the loss of all of them. Partials of different losses (or numbers of classes)
    refuse to merge. They pickle small; `arrays()` and `from_arrays` go through `np.savez`.

    >>> import fastloss as fl, numpy as np
    >>> loss, x, y = fl.DiceLoss(), np.eye(4)[None] * 2, np.arange(4)[None]
    >>> total = loss.partial(x, y) + loss.partial(-x, y)
    >>> total
    <Partial of DiceLoss(): 4 classes, 2 samples, 8 sums>
    >>> loss.finalize(total) == loss(np.concatenate([x, -x]), np.concatenate([y, y]))
    True
    """

    __slots__ = ("classes", "loss", "numbers", "samples")

    def __init__(self, loss: str, classes: int, samples: int, numbers: Array) -> None:
        self.loss, self.classes, self.samples, self.numbers = loss, classes, samples, numbers

    def __repr__(self) -> str:
        return f"<Partial of {self.loss}: {self.classes} classes, {self.samples} samples, {self.numbers.shape[1]} sums>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Partial) and (
            (self.loss, self.classes, self.samples) == (other.loss, other.classes, other.samples)
            and np.array_equal(self.numbers, other.numbers, equal_nan=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Partial) -> Partial:
        return self.sum([self, other]) if isinstance(other, Partial) else NotImplemented

    def __radd__(self, other: object) -> Partial:
        return self if other == 0 else NotImplemented

    def __getstate__(self) -> tuple[Any, ...]:
        return self.loss, self.classes, self.samples, self.numbers

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.loss, self.classes, self.samples, self.numbers = state

    @staticmethod
    def sum(partials: Iterable[Partial]) -> Partial:
        """The partial of all samples of `partials`, which may be an iterator; memory stays that of a few."""
        total: list[Partial] = []
        for p in partials:
            if not isinstance(p, Partial):
                raise TypeError(f"partials: expected Partials, got {type(p).__name__}")
            if total and (p.loss, p.classes) != (total[0].loss, total[0].classes):
                raise ValueError(
                    f"partials: expected all of one loss and number of classes, got {total[0]!r} and {p!r}"
                )
            total.append(p)
            if len(total) > 64:
                total = [Partial._merge(total)]
        if not total:
            raise ValueError("partials: expected at least one, got none")
        return total[0] if len(total) == 1 else Partial._merge(total)

    @staticmethod
    def _merge(partials: Sequence[Partial]) -> Partial:
        numbers = _exact.exact_sum(p.numbers for p in partials)
        return Partial(partials[0].loss, partials[0].classes, sum(p.samples for p in partials), numbers)

    def arrays(self) -> dict[str, Array]:
        """The partial as arrays: `np.savez(file, **partial.arrays())`."""
        counts = np.array([self.classes, self.samples])
        return {"loss": np.array(self.loss), "counts": counts, "numbers": self.numbers}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Partial:
        """The inverse of `arrays()`; takes an open `.npz` file too."""
        missing = [name for name in ("loss", "counts", "numbers") if name not in arrays]
        if missing:
            raise ValueError(f"arrays: expected those of `Partial.arrays()`, got none named {', '.join(missing)}")
        counts, numbers = as_array(arrays["counts"], "counts"), as_array(arrays["numbers"], "numbers")
        if counts.shape != (2,) or counts.dtype.kind not in "iu" or (counts < 0).any():
            raise ValueError(f"counts: expected two integers >= 0, got {counts.dtype} of shape {counts.shape}")
        if numbers.ndim != 2 or not len(numbers) or numbers.dtype != np.float64:
            raise ValueError(f"numbers: expected float64 of shape (m, k), got {numbers.dtype} of shape {numbers.shape}")
        return cls(str(arrays["loss"]), int(counts[0]), int(counts[1]), numbers.copy())
