"""Gradients past the caches leave by streaming stores (csrc/stream.h): the same bits as by ordinary ones."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import fastloss as fl

SHAPE = (2, 19, 250, 230)  # 8.7 MB of float32, rows that start anywhere in a line


def placed(shape, dtype, offset):
    """An array that starts `offset` bytes into a line of the cache."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.full(size + 128, 7, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    return memory[start : start + size].view(dtype).reshape(shape), memory, start, size


@pytest.mark.parametrize("offset", [0, 8, 24])
@pytest.mark.parametrize("axis", [1, -1], ids=["first", "last"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64], ids=lambda d: d.__name__)
@pytest.mark.parametrize("make", [fl.CrossEntropyLoss, fl.DiceLoss, fl.FocalLoss], ids=lambda m: m.__name__)
def test_streamed_gradient_has_the_bits_of_a_strided_one(make, dtype, axis, offset):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(SHAPE, np.float32).astype(dtype)
    labels = rng.integers(0, SHAPE[1], (SHAPE[0], *SHAPE[2:]))
    x = np.ascontiguousarray(np.moveaxis(x, 1, axis))
    loss = make(axis=axis)
    out, memory, start, size = placed(x.shape, dtype, offset)
    strided = np.zeros((*x.shape, 2), dtype)[..., 0]
    value, _ = loss.value_and_grad(x, labels, out=out)
    other, _ = loss.value_and_grad(x, labels, out=strided)
    assert value == other
    assert out.tobytes() == strided.tobytes()
    assert (memory[:start] == 7).all()  # nothing beside it
    assert (memory[start + size :] == 7).all()
