"""The search for the first bad element of an array, and the error that names its position.

It is needed because the kernels report only that something is wrong. _batch.py calls it, and so do the modules that
check their own arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SLAB = 1 << 16  # the number of elements that are searched at a time: half a megabyte of int64


class LabelError(IndexError, ValueError):
    """A label is neither in `[0, classes)` nor equal to `ignore_index`.

    The attributes are the bad `label`, its `position` in the target, the number of `classes`, the `name` of the
    argument, and whether labels can be ignored (`ignorable`).
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
    """Yield all elements of arrays of the same shape as flat blocks. The arrays may have any layouts."""
    flags: Any = ["external_loop", "buffered", "zerosize_ok"]
    yield from np.nditer(arrays, flags, [["readonly"]] * len(arrays), order=order, buffersize=SLAB)


def first(bad: Callable[..., Array], *arrays: Array) -> tuple[int, Any] | None:
    """Find the first element for which `bad(*arrays)` is true. Return its flat index and its value in the first array.

    If there is none, return None.
    """
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
    """Turn a flat index into the index in an array of the given shape."""
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
    """Raise a LabelError for the first label that counts but is not a class.

    weight: an array of the labels' shape; a label with weight 0 does not count. shape: the shape of the caller's
    labels, which may have further axes of length 1.
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
