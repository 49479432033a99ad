"""Tests that streaming stores (kernels/stream.h), used for gradients larger than the caches, write the same bits."""

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
    assert (memory[:start] == 7).all()  # nothing before it
    assert (memory[start + size :] == 7).all()


@pytest.mark.parametrize("axis", [1, -1], ids=["first", "last"])
@pytest.mark.parametrize("shape", [SHAPE, (5000, 19, 5, 5), (90, 19, 37, 40)], ids=str)
@pytest.mark.parametrize("make", [fl.CrossEntropyLoss, fl.DiceLoss], ids=lambda m: m.__name__)
def test_streams_of_rows_with_gaps(make, shape, axis):
    """Lines of pixels that do not follow one another, and samples that share tiles: a row stops within a line of the
    cache and goes on elsewhere."""
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal(shape, np.float32), rng.integers(0, shape[1], (shape[0], *shape[2:]))
    x = np.ascontiguousarray(np.moveaxis(x, 1, axis))
    loss, gap = make(axis=axis), -1 if axis == 1 else -2
    wide = np.full([n + 3 * (k == x.ndim + gap) for k, n in enumerate(x.shape)], 7, np.float32)
    out, rest = np.split(wide, [x.shape[gap]], axis=gap)
    strided = np.zeros((*x.shape, 2), np.float32)[..., 0]
    assert loss.value_and_grad(x, labels, out=out)[0] == loss.value_and_grad(x, labels, out=strided)[0]
    assert out.tobytes() == strided.tobytes()
    assert (rest == 7).all()
