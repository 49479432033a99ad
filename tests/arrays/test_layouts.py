"""Tests that every loss gives the same bits for all layouts and numbers of threads. Also tests `out=`."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES, SHAPE, SHAPES, SUM_CASES, images
from compare import assert_close, bits, real, same_bits
from layouts import DTYPES, LAYOUTS, byte_swapped, read_only

import fastloss as fl

cases = pytest.mark.parametrize("case", CASES, ids=str)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


@cases
@dtypes
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_layouts(case, dtype, layout, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE, dtype)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    one, all_three = (layout(x), y, w), (layout(x), layout(y), layout(w))
    for a, b, c in (one, all_three):
        got = loss.value_and_grad(a, b, pixel_weight=c)
        if backend == "native":
            assert same_bits(got[0], value)
            assert same_bits(loss(a, b, pixel_weight=c), value)
            assert same_bits(got[1], gradient)
        else:  # NumPy's sums may differ with the strides
            assert_close(got[0], value, real(dtype))
            assert_close(got[1], gradient.astype(np.float64), dtype)


@cases
@shapes
def test_channels_last(case, shape, backend):
    loss, last = case.make(shape[1]), case.make(shape[1], axis=-1)
    x, y, w = images(case, loss, shape, np.float32)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    move = lambda a: np.ascontiguousarray(np.moveaxis(a, 1, -1)) if a.ndim == x.ndim else a  # noqa: E731
    got = last.value_and_grad(move(x), move(y), pixel_weight=move(w))
    if backend == "native" and not (case.target == "element" and loss.element_axis() is None):
        assert same_bits(got[0], value)
        assert same_bits(got[1], move(gradient))
    else:  # elements without classes are summed in another order
        assert_close(got[0], value, np.float32, cancels=case.cancels)
        assert_close(got[1], move(gradient).astype(np.float64), np.float32, cancels=case.cancels)


@cases
def test_zero_strides(case, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE, np.float32)
    repeated = [np.broadcast_to(a[..., :1], a.shape) for a in (x, y, w)]
    flat = [a.copy() for a in repeated]
    got = loss.value_and_grad(*repeated[:2], pixel_weight=repeated[2])
    want = loss.value_and_grad(*flat[:2], pixel_weight=flat[2])
    if backend == "native":
        assert same_bits(got[0], want[0])
        assert same_bits(got[1], want[1])
    else:  # NumPy's sums may differ with the strides
        assert_close(got[0], want[0], np.float32)
        assert_close(got[1], want[1].astype(np.float64), np.float32)


@cases
@pytest.mark.parametrize("dtype", DTYPES[2:], ids=str)
def test_threads_change_nothing(case, dtype):
    shape = (3, 5, 90, 180)
    loss = case.make(5)
    x, y, w = images(case, loss, shape, dtype)
    results = set()
    for n in (1, 2, 3, 8):
        with fl.backend("native"), fl.num_threads(n):
            value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
            results.add((bits(value), bits(gradient), bits(loss(x, y, pixel_weight=w))))
    assert len(results) == 1


@pytest.mark.parametrize("case", [c for c in SUM_CASES if not c.image_weights], ids=str)
@dtypes
@pytest.mark.parametrize("shift", [1, 100, 256])
def test_a_pixel_does_not_depend_on_its_position(case, dtype, shift, backend):
    loss = case.make(5, reduction="none")
    x, y, w = images(case, loss, (1, 5, 555), dtype)
    roll = lambda a: np.roll(a, shift, axis=-1)  # noqa: E731
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    rolled, rolled_gradient = loss.value_and_grad(roll(x), roll(y), pixel_weight=roll(w))
    assert same_bits(rolled, roll(value))
    assert same_bits(rolled_gradient, roll(gradient))
    one, one_gradient = loss.value_and_grad(x[..., 7:8], y[..., 7:8], pixel_weight=w[..., 7:8])
    assert same_bits(one, value[..., 7:8])
    assert same_bits(one_gradient, gradient[..., 7:8])


# ---- out=


@cases
@dtypes
@pytest.mark.parametrize("layout", [a for a in LAYOUTS if a is not read_only], ids=lambda f: f.__name__)
def test_out(case, dtype, layout, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE, dtype)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    if layout is byte_swapped:  # out has the input's dtype
        x = layout(x)
    out = layout(np.full(x.shape, 7, gradient.dtype))
    got = loss.value_and_grad(x, y, pixel_weight=w, out=out)
    assert got[1] is out
    if backend == "native":
        assert same_bits(got[0], value)
        assert same_bits(out, gradient)
    else:
        assert_close(got[0], value, real(dtype))
        assert_close(out, gradient.astype(np.float64), dtype)


@cases
def test_nothing_is_written_around_out(case, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE, np.float32)
    wide = np.full((2, 5, 17, 40), 7, np.float32)
    loss.value_and_grad(x, y, pixel_weight=w, out=wide[..., 1:39:2])
    assert (wide[..., ::2] == 7).all()
    assert (wide[..., 39] == 7).all()
    assert same_bits(wide[..., 1:39:2], loss.value_and_grad(x, y, pixel_weight=w)[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1, 4, 8, 12, 16])
def test_a_large_gradient_at_any_address(dtype, offset):
    """From 8 MiB on it is written around the caches, 16 bytes at a time."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1, 3, 850, 851)).astype(dtype), rng.integers(0, 3, (1, 850, 851))
    memory = np.full(x.nbytes + 64, 7, np.uint8)
    first = -memory.ctypes.data % 16 + offset
    out = memory[first : first + x.nbytes].view(dtype).reshape(x.shape)
    loss = fl.CrossEntropyLoss(reduction="sum")  # every row of the image by itself is small
    loss.value_and_grad(x, y, out=out)
    rows = [loss.value_and_grad(x[:, :, k], y[:, k])[1] for k in range(0, 850, 50)]
    assert same_bits(out[:, :, ::50], np.stack(rows, axis=2))
    assert (memory[:first] == 7).all()
    assert (memory[first + x.nbytes :] == 7).all()


def test_out_is_checked(backend):
    loss = fl.CrossEntropyLoss()
    x, y = np.zeros((2, 3, 4), np.float32), np.zeros((2, 4), int)
    for out, error in [
        ([0.0], TypeError),
        (np.zeros(x.shape), TypeError),
        (np.zeros((2, 3), np.float32), ValueError),
        (x, ValueError),
        (np.broadcast_to(np.float32(0), x.shape), ValueError),
    ]:
        with pytest.raises(error, match=r"^out: expected"):
            loss.value_and_grad(x, y, out=out)
    for bad in ({"target": y + 3}, {"target": y, "pixel_weight": -1.0}):
        out = np.full_like(x, 7)
        with pytest.raises(ValueError, match=r"^(target|pixel_weight): expected"):
            loss.value_and_grad(x, bad.pop("target"), out=out, **bad)
        assert (out == 7).all()
