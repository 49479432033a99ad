"""Views: a file's array with its axes in working order, read by windows.

`geometry.py` decides the order. A view reads a file that cannot be read in parts once, and keeps its array.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .stored import Array, Stored, Window

Convert = Callable[[Array, tuple[int, ...]], Array]


@dataclass(frozen=True, kw_only=True)
class View:
    """The array of a file with its axes permuted and flipped. Axes that are not in `order` have length 1.

    Attributes
    ----------
    stored : Stored
        The file.
    order : tuple of int
        The axis of the file for each axis of the view.
    flipped : tuple of int
        The axes of the view that run against the file.
    """

    stored: Stored
    order: tuple[int, ...]
    flipped: tuple[int, ...] = ()
    _lock: Any = field(default_factory=threading.Lock, compare=False)
    _kept: list[Array] = field(default_factory=list, compare=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in working order."""
        return tuple(self.stored.shape[axis] for axis in self.order)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """The blocks in which the file can be read, in working order."""
        chunks = self.stored.chunks
        return None if chunks is None else tuple(chunks[axis] for axis in self.order)

    def read(self, window: Window, convert: Convert | None = None) -> Array:
        """Return the values of a window, with a slice for each axis of the view.

        `convert` gets the values in the file's order and the position of the first one, for messages. It may add axes
        in front, and it may make one label of the colours on the last axis.
        """
        wanted = [slice(0, 1)] * len(self.stored.shape)
        for k, (axis, part) in enumerate(zip(self.order, window, strict=True)):
            n = self.stored.shape[axis]
            wanted[axis] = slice(n - part.stop, n - part.start) if k in self.flipped else part
        values = self._values(tuple(wanted))
        if convert is not None:
            values = convert(values, tuple(part.start for part in wanted))
        more = values.ndim - len(self.stored.shape)
        order = self.order[:more] if more < 0 else (*range(more), *(axis + more for axis in self.order))
        flipped = [k + max(0, more) for k in self.flipped]
        dropped = tuple(axis for axis in range(values.ndim) if axis not in order)
        kept = [axis for axis in range(values.ndim) if axis in order]
        values = np.squeeze(values, dropped).transpose([kept.index(axis) for axis in order])
        return values[tuple(slice(None, None, -1 if k in flipped else 1) for k in range(len(order)))]

    def place(self, position: tuple[int, ...], window: Window) -> tuple[int, ...]:
        """Return the position in the file of a position in a window."""
        found = [0] * len(self.stored.shape)
        for k, (at, part) in enumerate(zip(position, window, strict=True)):
            axis = self.order[k]
            found[axis] = self.stored.shape[axis] - 1 - (part.start + at) if k in self.flipped else part.start + at
        return tuple(found)

    def _values(self, window: Window) -> Array:
        if self.stored.mapped or self.stored.chunks is not None:
            return self.stored.read(window)
        with self._lock:
            if not self._kept:
                self._kept.append(self.stored.read(self.stored.whole))
        return self._kept[0][window]
