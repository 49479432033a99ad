"""Blocks: reduces a large array, which comes window by window, to one value per block of step x step pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._windows import Window

Array = np.ndarray[Any, np.dtype[Any]]


class Blocks:
    """The reduced array so far. Windows may cut through blocks.

    Parameters
    ----------
    shape : sequence of int
        The shape of the large array.
    step : int
        The length of a block along each axis. The last block of an axis may be shorter.
    """

    def __init__(self, shape: Sequence[int], step: int) -> None:
        self.full, self.step = tuple(shape), step
        self.shape = tuple(-(-n // step) for n in shape)

    def combine(self, reduced: Array, values: Array, window: Window, how: np.ufunc) -> None:
        """Combine the values of a window with those of its blocks so far. The values may have further axes at the end.

        Parameters
        ----------
        reduced : array
            The values of the blocks so far, which change.
        values : array
            The values of the window.
        window : tuple of slice
            The window.
        how : ufunc
            How two values become one, such as `np.add`.
        """
        blocks = []
        for axis, part in enumerate(window):
            first, last = part.start // self.step, (part.stop - 1) // self.step
            starts = np.maximum(np.arange(first, last + 1) * self.step - part.start, 0)
            values = how.reduceat(values, starts, axis=axis)
            blocks.append(slice(first, last + 1))
        reduced[tuple(blocks)] = how(reduced[tuple(blocks)], values)

    def take(self, reduced: Array, values: Array, window: Window) -> None:
        """Take the values of the pixels in the middle of their blocks.

        Parameters
        ----------
        reduced : array
            The values of the blocks so far, which change.
        values : array
            The values of the window.
        window : tuple of slice
            The window.
        """
        blocks, inside = [], []
        for n, count, part in zip(self.full, self.shape, window, strict=True):
            middle = np.minimum(np.arange(count) * self.step + self.step // 2, n - 1)
            own = np.flatnonzero((middle >= part.start) & (middle < part.stop))
            blocks.append(own)
            inside.append(middle[own] - part.start)
        reduced[np.ix_(*blocks)] = values[np.ix_(*inside)]
