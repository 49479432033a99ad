"""Finding and naming what a kernel reported as wrong: the first bad element, and where it lies for the caller.

The kernels say only that something is wrong. Called by _batch.py and by the modules that check arrays of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SLAB = 1 << 16  # elements looked at together when a bad one is searched: half a megabyte as int64


class LabelError(IndexError, ValueError):
    """A label that is no class: not in `[0, classes)` and not `ignore_index`.

    Attributes: `label`, its `position` in the target, and the number of `classes`; `name`, the argument's, and
    whether a label was `ignorable`.
    """

    def __init__(
        self, label: int, position: tuple[int, ...], classes: int, name: str = "target", ignorable: bool = True
    ) -> None:
        super().__init__(label, position, classes, name, ignorable)
        self.label, self.position, self.classes = label, position, classes
        self.name, self.ignorable = name, ignorable

    def __str__(self) -> str:
        expected = f"labels in [0, {self.classes}){' or ignore_index' if self.ignorable else ''}"
        return f"{self.name}: expected {expected}, got {self.label} at {self.position}"


def slabs(*arrays: Array, order: Any = "C") -> Iterator[Any]:
    """All elements of arrays of one shape, flat, a few at a time, whatever the layouts."""
    flags: Any = ["external_loop", "buffered", "zerosize_ok"]
    yield from np.nditer(arrays, flags, [["readonly"]] * len(arrays), order=order, buffersize=SLAB)


def first(bad: Callable[..., Array], *arrays: Array) -> tuple[int, Any] | None:
    """The flat index of the first element where `bad` finds one in the arrays, and the first array's; or None."""
    start = 0
    for slab in slabs(*arrays):
        copies = [part.copy() for part in (slab if len(arrays) > 1 else [slab])]  # another thread may be writing
        found = bad(*copies)
        if found.any():
            k = int(found.argmax())
            return start + k, copies[0][k].item()
        start += len(found)
    return None


def position(index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Where a flat index lies."""
    return tuple(int(i) for i in np.unravel_index(index, shape)) if shape else ()


def check_labels(
    labels: Array,
    classes: int,
    ignored: Sequence[int],
    name: str = "target",
    *,
    weight: Array | None = None,
    shape: tuple[int, ...] | None = None,
) -> None:
    """Name the first label that is no class and counts, if there is one.

    weight: of the labels' shape; shape: the caller's, which differs in axes of length 1 alone.
    """

    def bad(slab: Array, weight: Array | None = None) -> Array:
        outside: Array = (slab < 0) | (slab >= classes)
        for label in ignored:
            outside &= slab != label
        return outside if weight is None else outside & (weight > 0)

    found = first(bad, labels) if weight is None else first(bad, labels, weight)
    if found is not None:
        index, label = found
        raise LabelError(
            int(label), position(index, labels.shape if shape is None else shape), classes, name, bool(ignored)
        )
