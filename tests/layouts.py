"""Lists dtypes of arrays, and layouts. A layout is a function that returns an equal array with another layout."""

from __future__ import annotations

import tempfile

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [np.dtype(np.float16), BFLOAT16, np.dtype(np.float32), np.dtype(np.float64)]
LABEL_DTYPES = [np.dtype(c) for c in "?bBhHiIqQ"]


def c_order(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="C")


def fortran(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="F")


def reversed_axes(a: np.ndarray) -> np.ndarray:
    """Return an equal array with negative strides."""
    return np.flip(np.flip(a).copy())


def first_axis_inside(a: np.ndarray) -> np.ndarray:
    """Return an equal array whose second axis is innermost, as in channels last: neither C order nor Fortran order."""
    return a if a.ndim < 2 else np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1)


def every_second(a: np.ndarray) -> np.ndarray:
    if a.ndim == 0:
        return a
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def misaligned(a: np.ndarray) -> np.ndarray:
    """Return an equal array whose data start one byte off the alignment."""
    b = np.ndarray(a.shape, a.dtype, np.empty(a.nbytes + 1, np.uint8), offset=1)
    b[...] = a
    return b


def odd_rows(a: np.ndarray) -> np.ndarray:
    """Return an equal array whose second axis has a stride of one byte too many, so only the first row is aligned."""
    if a.ndim < 2:
        return a
    row = a[:1, :1].nbytes + 1
    strides = (row * a.shape[1], row, *np.empty(a.shape[2:], a.dtype).strides)
    b = np.ndarray(a.shape, a.dtype, np.empty(row * a.shape[0] * a.shape[1], np.uint8), strides=strides)
    b[...] = a
    return b


def byte_swapped(a: np.ndarray) -> np.ndarray:
    return a if a.dtype == BFLOAT16 else a.astype(a.dtype.newbyteorder())


def read_only(a: np.ndarray) -> np.ndarray:
    b = a.copy()
    b.flags.writeable = False
    return b


def memory_mapped(a: np.ndarray) -> np.ndarray:
    if a.size == 0:
        return a
    with tempfile.TemporaryFile() as file:
        b = np.memmap(file, a.dtype, "w+", shape=a.shape)
    b[...] = a
    return b


LAYOUTS = [
    c_order,
    fortran,
    reversed_axes,
    first_axis_inside,
    every_second,
    misaligned,
    odd_rows,
    byte_swapped,
    read_only,
    memory_mapped,
]

steps = st.sampled_from([1, 2, 3, -1, -2])


@st.composite
def strided(draw, a):
    """Draw an equal array: a slice of a larger array with random steps, also negative, and axes in a random order."""
    order = draw(st.permutations(range(a.ndim)))
    step = [draw(steps) for _ in order]
    shape = [a.shape[k] * abs(s) + draw(st.integers(0, 2)) for k, s in zip(order, step, strict=True)]
    wide = np.zeros(shape, a.dtype)
    cut = []
    for k, s in zip(order, step, strict=True):
        index = np.arange(a.shape[k]) * abs(s)
        first, last = (int(index[0]), int(index[-1])) if len(index) else (0, -1)
        cut.append(slice(first, last + 1, s) if s > 0 else slice(last, None if first == 0 else first - 1, s))
        if not len(index):
            cut[-1] = slice(0, 0)
    view = wide[tuple(cut)].transpose(np.argsort(order))
    view[...] = a
    return view
