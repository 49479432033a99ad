"""Partial, the mergeable part of a loss. loss.py, multi_input.py and the reports of evaluate.py make partials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._arrays import Array, as_array
from .._safe_text import table
from .exact_sum import exact_sum


class Partial:
    """The mergeable part of a loss over some samples: a few float64 sums, added exactly.

    `loss.partial(...)` makes a partial, and `loss.finalize(partial)` returns the loss of all its samples. `a + b` and
    `Partial.sum(many)` merge partials. The result has the same bits in any order and grouping. Partials merge only if
    they are of the same loss and have the same number of classes.

    The samples of a partial are whole. Most region losses have a value per sample, so the partials of the tiles of one
    image merge to a mean over the tiles, and not to the loss of the image. `Tiles` computes the latter.

    The pickle of a partial is small. `arrays()` and `from_arrays` are for `np.savez` and `np.load`.

    Parameters
    ----------
    loss : str
        The repr of the loss.
    classes : int
        The number of classes.
    samples : int
        The number of samples.
    numbers : array, shape (m, k)
        The k sums as expansions: the exact sum of column j is the value of sum j.

    Examples
    --------
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

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        rows = [["loss", self.loss], ["classes", str(self.classes)], ["samples", str(self.samples)]]
        return table("Partial", ["", ""], [*rows, ["sums", str(self.numbers.shape[1])]])

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
        """The partial of all samples of `partials`.

        Parameters
        ----------
        partials : iterable of Partial
            At least one partial; all are of the same loss and number of classes. An iterator is read 64 at a time.

        Returns
        -------
        Partial
            The exact sum of the partials.

        Raises
        ------
        ValueError
            If the losses or the numbers of classes differ, or there is no partial.
        TypeError
            If one is not a Partial.
        """
        total: list[Partial] = []
        for p in partials:
            if not isinstance(p, Partial):
                raise TypeError(f"partials: expected Partials, got {type(p).__name__}")
            if total and (p.loss, p.classes) != (total[0].loss, total[0].classes):
                raise ValueError(
                    f"partials: expected partials of one loss and number of classes, got {total[0]!r} and {p!r}"
                )
            total.append(p)
            if len(total) > 64:
                total = [Partial._merge(total)]
        if not total:
            raise ValueError("partials: expected at least one, got none")
        return total[0] if len(total) == 1 else Partial._merge(total)

    @staticmethod
    def _merge(partials: Sequence[Partial]) -> Partial:
        numbers = exact_sum(p.numbers for p in partials)
        return Partial(partials[0].loss, partials[0].classes, sum(p.samples for p in partials), numbers)

    def arrays(self) -> dict[str, Array]:
        """The partial as arrays: `np.savez(file, **partial.arrays())`.

        Returns
        -------
        dict of str to array
            "loss", "counts" and "numbers".
        """
        counts = np.array([self.classes, self.samples])
        return {"loss": np.array(self.loss), "counts": counts, "numbers": self.numbers}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Partial:
        """The inverse of `arrays()`.

        Parameters
        ----------
        arrays : mapping of str to array
            The arrays of `Partial.arrays()`, or an open `.npz` file with them.

        Returns
        -------
        Partial
            The partial.

        Raises
        ------
        ValueError
            If an array is missing, or has another shape or dtype.
        """
        missing = [name for name in ("loss", "counts", "numbers") if name not in arrays]
        if missing:
            raise ValueError(f"arrays: expected the arrays of `Partial.arrays()`, got none named {', '.join(missing)}")
        counts, numbers = as_array(arrays["counts"], "counts"), as_array(arrays["numbers"], "numbers")
        if counts.shape != (2,) or counts.dtype.kind not in "iu" or (counts < 0).any():
            raise ValueError(f"counts: expected two integers >= 0, got {counts.dtype} of shape {counts.shape}")
        if numbers.ndim != 2 or not len(numbers) or numbers.dtype != np.float64:
            raise ValueError(f"numbers: expected float64 of shape (m, k), got {numbers.dtype} of shape {numbers.shape}")
        return cls(str(arrays["loss"]), int(counts[0]), int(counts[1]), numbers.copy())
