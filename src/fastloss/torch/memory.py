"""Memory for gradients that is used again from step to step of a training."""

from __future__ import annotations

import sys

import numpy as np

from .._arrays import Array

LARGE = 4 << 20  # bytes; the C library keeps smaller memory by itself, and NumPy puts larger memory on huge pages
UNUSED = 2  # references to an array that only its variable and the argument of getrefcount refer to

_kept: list[Array] = []  # at most one array


def spare(size: int) -> Array:
    """Bytes for a gradient: those of the last one, if its size is the same and nothing refers to it any more.

    The system fills fresh memory with zeros, which takes a third of the time of loss and gradient. So the last
    gradient's memory is kept, even after its tensor is gone.
    """
    if size < LARGE or not getattr(sys, "_is_gil_enabled", _yes)():  # without the GIL, a count may be wrong
        return np.empty(size, np.uint8)
    memory: Array | None
    try:
        memory = _kept.pop()  # no other thread can take it now
    except IndexError:
        memory = None
    if memory is None or memory.nbytes != size or sys.getrefcount(memory) > UNUSED:
        memory = None  # free it before the next is made
        memory = np.empty(size, np.uint8)
    _kept[:] = [memory]
    return memory


def _yes() -> bool:
    return True
