"""Memory for gradients that is used again from step to step of a training."""

from __future__ import annotations

import threading
import weakref

import numpy as np

from .._arrays import Array

LARGE = 4 << 20  # bytes; the C library keeps smaller memory by itself, and NumPy puts larger memory on huge pages


class Spare(threading.local):
    """The last block of a thread, and the array that was made of it."""

    block: Array | None = None
    leased: weakref.ref[Array] | None = None


_spare = Spare()


def spare(size: int) -> Array:
    """Bytes for a gradient: those of the last one, if its size is the same and nothing refers to it any more.

    The system fills fresh memory with zeros, which takes a third of the time of loss and gradient. So the last
    gradient's memory is kept, even after its tensor is gone.
    """
    if size < LARGE:
        return np.empty(size, np.uint8)
    block, last = _spare.block, _spare.leased
    if block is None or block.nbytes != size or last is None or last() is not None:
        _spare.block = block = None  # free the old block before there is a new one
        _spare.block = block = np.empty(size, np.uint8)
    # Each view of `leased` keeps it alive, and so does each tensor of a view. Its base is no array, because views of an
    # array with such a base refer to that base.
    leased = np.frombuffer(block.data, np.uint8)
    _spare.leased = weakref.ref(leased)
    return leased
