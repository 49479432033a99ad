"""Properties that every loss has, over the table in cases.py."""

from __future__ import annotations

import dataclasses
import inspect
import io
import itertools
import pickle

import numpy as np
import pytest
from cases import (
    CASES,
    DTYPES,
    EMPTY_SHAPES,
    LABEL_DTYPES,
    LAYOUTS,
    SHAPES,
    SINGLE_CASES,
    SUM_CASES,
    Case,
    assert_close,
    bits,
    byte_swapped,
    images,
    labels,
    read_only,
    real,
    same_bits,
)

import fastloss as fl
from fastloss import _core, _reference
from fastloss._engine.loss import MapsLoss
from fastloss.losses import LOSSES

cases = pytest.mark.parametrize("case", CASES, ids=str)
sum_cases = pytest.mark.parametrize("case", SUM_CASES, ids=str)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
SHAPE = (2, 5, 17, 19)  # more than a tile of 256 pixels, and no multiple of 16


def reference(loss, x, y, w):
    """Value and gradient in float64 by the NumPy backend."""
    with fl.backend("numpy"):
        return loss.value_and_grad(x.astype(np.float64), y, pixel_weight=w)


# ---- right values


@cases
@dtypes
@shapes
def test_value_and_gradient_are_those_of_the_float64_reference(case, dtype, shape, backend):
    loss = case.make(shape[1])
    x, y, w = images(case, loss, shape, dtype)
    for weight in (None, w):
        want, want_gradient = reference(loss, x, y, weight)
        value, gradient = loss.value_and_grad(x, y, pixel_weight=weight)
        assert type(value) is float
        assert gradient.dtype == dtype
        assert_close(value, want, real(dtype), cancels=case.cancels)
        assert_close(gradient, want_gradient, dtype, cancels=case.cancels)
        assert_close(loss(x, y, pixel_weight=weight), want, real(dtype), cancels=case.cancels)


@cases
@pytest.mark.parametrize("shape", EMPTY_SHAPES, ids=str)
def test_empty(case, shape, backend):
    loss = case.make(shape[1])
    x, y, w = images(case, loss, shape)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    assert type(value) is float
    assert gradient.shape == x.shape
    if case in SUM_CASES:
        assert np.isnan(value)
        assert case.make(shape[1], reduction="sum")(x, y) == 0
        assert case.make(shape[1], reduction="none")(x, y).shape == w.shape


@pytest.mark.parametrize("case", [c for c in CASES if not c.nan_if_absent], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradient_is_that_of_differences(case, reduction, backend):
    loss = case.make(3, reduction=reduction)
    x, y, w = images(case, loss, (2, 3, 5))
    _, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    step = np.full(x.shape, 1e-3)
    if case.input == "probabilities":  # whose logs have derivatives of 1 / p and 1 / (1 - p)
        step *= np.minimum(x, 1 - x)

    def value(at, steps):
        moved = x.copy()
        moved[at] += steps * step[at]
        return loss(moved, y, pixel_weight=w)

    differences = np.empty_like(x)
    for at in np.ndindex(x.shape):
        d = 8 * (value(at, 1) - value(at, -1)) - (value(at, 2) - value(at, -2))
        differences[at] = d / (12 * step[at])
    # The method's error is h^4/30 times the fifth derivative, about 1e-13; rounding's 1e-16 / h, of values up to 30.
    np.testing.assert_allclose(gradient, differences, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", SINGLE_CASES, ids=str)
@dtypes
def test_the_map_sums_to_the_value(case, dtype, backend):
    x, y, w = images(case, case.make(5), SHAPE, dtype)
    total, gradient = case.make(5, reduction="sum").value_and_grad(x, y, pixel_weight=w)
    values, map_gradient = case.make(5, reduction="none").value_and_grad(x, y, pixel_weight=w)
    assert values.dtype == real(dtype)
    if case in SUM_CASES:
        assert values.shape == w.shape
    if not case.nan_if_absent:
        assert_close(np.nansum(values, dtype=np.float64), total, real(dtype))  # nan: a class that does not count
    assert same_bits(gradient, map_gradient)


@sum_cases
@dtypes
def test_the_map_is_that_of_the_float64_reference(case, dtype, backend):
    loss = case.make(5, reduction="none")
    x, y, w = images(case, loss, SHAPE, dtype)
    assert_close(loss(x, y, pixel_weight=w), reference(loss, x, y, w)[0], real(dtype))


@pytest.mark.parametrize("case", [c for c in CASES if c.target == "labels"], ids=str)
@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=str)
def test_every_label_dtype(case, dtype, backend):
    C = 2 if dtype == np.bool_ else 5
    loss = case.make(C)
    shape = (2, C, 40)
    x, _, w = images(case, loss, shape)
    y = labels(loss, shape, np.random.default_rng(1), dtype)
    wide = loss.value_and_grad(x, y.astype(np.int64), pixel_weight=w)
    for layout in LAYOUTS:
        got = loss.value_and_grad(x, layout(y), pixel_weight=w)
        assert same_bits(got[0], wide[0])
        assert same_bits(got[1], wide[1])


@cases
def test_an_input_without_samples_is_one_sample(case, backend):
    loss = case.make(5)
    x, y, _ = images(case, loss, (1, 5), seed=3)
    if case.target == "labels":
        y[...] = 1
    if (
        case.family == "composed" and loss.kind == "element" and loss.by_sample()
    ):  # its parts disagree on what a sample is
        with pytest.raises(ValueError, match=r"^input: expected two dimensions or more"):
            loss(x[0], y[0])
        return
    got = loss.value_and_grad(x[0], y[0])
    want = loss.value_and_grad(x, y)
    assert same_bits(got[0], want[0])
    assert same_bits(got[1], want[1][0])


@pytest.mark.parametrize("case", [c for c in CASES if c.target == "dense"], ids=str)
def test_weights_by_class(case, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE)
    full = np.repeat(w[:, None], 5, axis=1)
    same, by_pixel = loss.value_and_grad(x, y, pixel_weight=full), loss.value_and_grad(x, y, pixel_weight=w)
    assert_close(same[0], by_pixel[0], x.dtype)
    assert_close(same[1], by_pixel[1], x.dtype)
    full = np.random.default_rng(5).random(x.shape) * (w > 0)[:, None]
    value, gradient = loss.value_and_grad(x.astype(np.float32), y, pixel_weight=full)
    want, want_gradient = reference(loss, x.astype(np.float32), y, full)
    assert_close(value, want, np.float32)
    assert_close(gradient, want_gradient, np.float32)


# ---- what does not count


@pytest.mark.parametrize("case", [c for c in CASES if c.target == "dense"], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_input_without_weight_in_any_class_is_silent(case, bad, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE, np.float32)
    full = np.random.default_rng(5).random(x.shape) * (w > 0)[:, None]
    value, gradient = loss.value_and_grad(x, y, pixel_weight=full)
    off = np.broadcast_to((w == 0)[:, None], x.shape)
    silenced, silenced_gradient = loss.value_and_grad(np.where(off, np.float32(bad), x), y, pixel_weight=full)
    assert same_bits(value, silenced)
    assert same_bits(gradient, silenced_gradient)
    assert (gradient[off] == 0).all()


@cases
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_input_that_does_not_count_is_silent(case, bad, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE, np.float32)
    off = w == 0
    if case.target == "labels":
        off |= y == (-100 if loss.ignore_index is None else loss.ignore_index)
    off = off if case.target == "element" else np.broadcast_to(off[:, None], x.shape)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    silenced, silenced_gradient = loss.value_and_grad(np.where(off, np.float32(bad), x), y, pixel_weight=w)
    assert same_bits(value, silenced)
    assert same_bits(gradient, silenced_gradient)
    assert off.any()
    assert (gradient[off] == 0).all()


@pytest.mark.parametrize("case", [c for c in CASES if c.target == "dense" and not c.image_weights], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_target_that_does_not_count_is_silent(case, bad, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE, np.float32)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    silenced, silenced_gradient = loss.value_and_grad(x, np.where(w[:, None] == 0, bad, y), pixel_weight=w)
    assert same_bits(value, silenced)
    assert same_bits(gradient, silenced_gradient)


@pytest.mark.parametrize("case", [c for c in CASES if c.family == "region"], ids=str)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_has_no_weight_in_its_class_of_a_region_is_silent(case, activation, bad, backend):
    loss = dataclasses.replace(case.make(5, ignore_index=-100), activation=activation)
    x, y = np.random.default_rng(0).random((2, *SHAPE)).astype(np.float32)
    w = np.random.default_rng(1).choice([0.0, 0.5, 1.0], SHAPE)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    bad_y = np.where(w == 0, np.float32(bad), y)
    bad_x = x if activation == "softmax" else np.where(w == 0, np.float32(bad), x)  # a softmax needs all its classes
    silenced, silenced_gradient = loss.value_and_grad(bad_x, bad_y, pixel_weight=w)
    assert same_bits(value, silenced)
    assert same_bits(gradient, silenced_gradient)
    assert activation == "softmax" or not gradient[w == 0].any()


@sum_cases
def test_nothing_kept(case, backend):
    x, y, w = images(case, case.make(5), SHAPE)
    value, gradient = case.make(5).value_and_grad(x, y, pixel_weight=0 * w)
    assert np.isnan(value)
    assert not gradient.any()
    value, gradient = case.make(5, reduction="sum").value_and_grad(x, y, pixel_weight=0 * w)
    assert value == 0
    assert not gradient.any()
    assert not case.make(5, reduction="none")(x, y, pixel_weight=0 * w).any()


@pytest.mark.parametrize(
    "loss", [fl.CrossEntropyLoss(), fl.DiceLoss(absent="skip"), fl.GeneralizedDiceLoss(absent="skip")], ids=repr
)
def test_every_label_ignored(loss, backend):
    x = np.full((2, 3, 300), np.nan, np.float32)
    value, gradient = loss.value_and_grad(x, np.full((2, 300), -100))
    assert np.isnan(value)
    assert not gradient.any()


@pytest.mark.parametrize(
    "loss",
    [
        fl.CrossEntropyLoss(),
        fl.DiceLoss(),
        fl.JaccardLoss(batch=True),
        fl.FocalTverskyLoss(),
        fl.SensitivitySpecificityLoss(),
        fl.GeneralizedDiceLoss(),
    ],
    ids=repr,
)
@dtypes
def test_a_masked_class_is_no_class(loss, dtype, backend):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 300)).astype(dtype)
    x[:, 3] = -np.inf
    y = rng.integers(0, 3, (2, 300))
    want, want_gradient = loss.value_and_grad(x[:, :3], y)
    if not isinstance(loss, fl.CrossEntropyLoss):
        loss = dataclasses.replace(loss, classes=(0, 1, 2))
    value, gradient = loss.value_and_grad(x, y)
    assert_close(value, want, real(dtype))
    assert_close(gradient[:, :3], want_gradient.astype(np.float64), dtype, factor=64)
    assert not gradient[:, 3].any()


@pytest.mark.parametrize("case", [c for c in CASES if c.target == "labels" and c.input != "probabilities"], ids=str)
@pytest.mark.parametrize("hit", [False, True])
def test_nan_in_or_beside_the_label(case, hit):
    """Both backends say nan, or neither does: a loss of the label's input alone passes over the others."""
    loss = case.make(5)
    x, y, _ = images(case, loss, (1, 5, 300))
    y[:, 7] = 1
    x[0, 1 if hit else 3, 7] = np.nan
    outcomes = set()
    for name in ("native", "numpy"):
        with fl.backend(name):
            outcomes.add(bool(np.isnan(loss(x, y))))
    assert len(outcomes) == 1
    if hit and 1 in (getattr(loss, "classes", None) or range(5)):
        assert outcomes == {True}


@dtypes
def test_a_lone_class_has_no_gradient(dtype, backend):
    """Exactly none: what smoothing adds and takes away is computed alike."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 1, 50)).astype(dtype), rng.random((3, 50))
    for weight in (0.5, 0.7, 1 / 3):
        loss = fl.CrossEntropyLoss(class_weight=[weight], label_smoothing=0.3)
        value, gradient = loss.value_and_grad(x, np.zeros((3, 50), int), pixel_weight=w)
        assert value == 0
        assert not gradient.any()


def test_large_logits_stay_finite(backend):
    x = np.array([[1e4, -1e4], [-3e38, 3e38]], np.float32)
    assert fl.cross_entropy(x, [0, 1]) == 0
    assert fl.binary_cross_entropy_with_logits(np.float32([1e4, -1e4]), [1, 0]) == 0
    assert fl.binary_cross_entropy_with_logits(np.float32([1e4, -1e4]), [0, 1]) == 1e4


# ---- the same bits however the data lie, and on however many threads


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


# ---- partials


@cases
@pytest.mark.parametrize("dtype", DTYPES[2:], ids=str)
def test_partials_in_any_grouping_give_the_value_of_the_whole(case, dtype, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, (4, 5, 300), dtype)
    whole = loss(x, y, pixel_weight=w)
    p = [loss.partial(x[n : n + 1], y[n : n + 1], pixel_weight=w[n : n + 1]) for n in range(4)]
    halves = [loss.partial(x[n : n + 2], y[n : n + 2], pixel_weight=w[n : n + 2]) for n in (0, 2)]
    sums = [fl.Partial.sum(order) for order in itertools.permutations(p)]
    sums += [p[0] + p[1] + (p[2] + p[3]), p[3] + (p[2] + (p[1] + p[0])), halves[0] + halves[1], sum(p)]
    sums += [loss.partial(x, y, pixel_weight=w), halves[1] + p[1] + p[0]]
    assert {bits(loss.finalize(s)) for s in sums} == {bits(whole)}
    assert all(s == sums[0] for s in sums)


@cases
def test_partials_of_small_samples(case, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, (4, 5, 30))
    whole = loss(x, y, pixel_weight=w)
    p = (loss.partial(x[n : n + 1], y[n : n + 1], pixel_weight=w[n : n + 1]) for n in range(4))
    # Samples below 256 pixels share tiles, so sums of some 600 numbers are added in another order: 600 eps at worst.
    assert loss.finalize(fl.Partial.sum(p)) == pytest.approx(whole, rel=1e-12, nan_ok=True)


@cases
def test_partials_travel(case, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, (2, 5, 30))
    partial = loss.partial(x, y, pixel_weight=w)
    file = io.BytesIO()
    np.savez(file, **partial.arrays())
    file.seek(0)
    with np.load(file) as arrays:
        assert fl.Partial.from_arrays(arrays) == partial
    again = pickle.loads(pickle.dumps(partial))
    assert again == partial
    assert same_bits(loss.finalize(again), loss(x, y, pixel_weight=w))


def test_partials_of_different_losses_do_not_merge(backend):
    x, y = np.zeros((2, 3, 4)), np.zeros((2, 4), int)
    losses = [c.make(3) for c in CASES if c.target == "labels"]
    losses += [fl.DiceLoss(batch=True), fl.DiceLoss(batch=True, smooth=1.0), 0.1 * fl.DiceLoss(), 0.2 * fl.DiceLoss()]
    third = fl.CrossEntropyLoss() * (1 / 3)
    losses += [third, fl.CrossEntropyLoss() * 0.333333]
    partials = [loss.partial(x, y) for loss in losses]
    for (a, p), (b, q) in itertools.combinations(zip(losses, partials, strict=True), 2):
        with pytest.raises(ValueError, match=r"^partials: expected all of one loss"):
            p + q
        with pytest.raises(ValueError, match=r"^partial: expected a partial of"):
            a.finalize(q)
        with pytest.raises(ValueError, match=r"^partial: expected a partial of"):
            b.finalize(p)
    with pytest.raises(ValueError, match=r"^partials: expected all of one loss"):
        partials[0] + losses[0].partial(np.zeros((2, 4, 4)), y)
    with pytest.raises(ValueError, match=r"^partials: expected at least one"):
        fl.Partial.sum([])


# ---- losses as objects and as functions


@pytest.mark.parametrize("name", LOSSES)
def test_functions_have_the_fields_of_their_objects(name):
    parameters = inspect.signature(getattr(fl, name)).parameters
    positional = [p.name for p in parameters.values() if p.kind is inspect.Parameter.POSITIONAL_ONLY]
    keywords = {p.name: p.default for p in parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert positional == ["input", "target"]
    assert keywords.pop("pixel_weight") is None
    maps = keywords.pop("distance_maps", "none")
    assert (maps is None) == issubclass(LOSSES[name], MapsLoss)
    assert keywords == {f.name: f.default for f in dataclasses.fields(LOSSES[name])}
    assert len(parameters) == len(positional) + len(keywords) + (1 if maps else 2)


@pytest.mark.parametrize("case", SINGLE_CASES, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_functions_equal_their_objects(case, reduction, backend):
    loss = case.make(5, reduction=reduction)
    function = next(getattr(fl, name) for name, cls in LOSSES.items() if cls is type(loss))
    x, y, w = images(case, loss, SHAPE)
    fields = {f.name: getattr(loss, f.name) for f in dataclasses.fields(loss)}
    assert same_bits(function(x, y, pixel_weight=w, **fields), loss(x, y, pixel_weight=w))


@cases
def test_repr_and_pickle_make_the_loss_again(case):
    for loss in (case.make(5), case.make(5, axis=-1, reduction="sum"), case.make(5) * (1 / 3), 2 * case.make(3)):
        assert eval(repr(loss), vars(fl).copy()) == loss
        assert pickle.loads(pickle.dumps(loss)) == loss
        assert hash(pickle.loads(pickle.dumps(loss))) == hash(loss)


@pytest.mark.parametrize("loss", [fl.DiceLoss(smooth=np.float64(1)), fl.DiceLoss(smooth=[1, 2]), 1 * fl.DiceLoss()])
def test_repr_of_numpy_and_list_options(loss):
    assert eval(repr(loss), vars(fl).copy()) == loss
    hash(loss)


@cases
def test_losses_are_frozen(case):
    loss = case.make(5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        loss.axis = 2


@pytest.mark.parametrize("name", LOSSES)
def test_docstrings_are_printable(name):
    for documented in (LOSSES[name], getattr(fl, name)):
        assert all(c.isprintable() or c == "\n" for c in documented.__doc__)


def test_every_kernel_has_its_twin():
    assert set(_core.losses()) == set(_reference.KERNELS)


def test_every_loss_is_in_the_table():
    assert {type(c.make(5)) for c in SINGLE_CASES} == set(LOSSES.values())


# ---- errors


@pytest.mark.parametrize("label", [-1, 5, 255, -(2**63)])
def test_a_label_out_of_range(label, backend):
    y = np.zeros((2, 300), np.int64)
    y[1, 7] = label
    for loss in (fl.CrossEntropyLoss(), fl.DiceLoss(), fl.DiceLoss() + fl.CrossEntropyLoss()):
        for call in (loss, loss.value_and_grad, loss.partial):
            with pytest.raises(fl.LabelError) as caught:
                call(np.zeros((2, 5, 300), np.float32), y)
            error = pickle.loads(pickle.dumps(caught.value))
            assert (error.label, error.position, error.classes) == (label, (1, 7), 5)
            assert str(error) == f"target: expected labels in [0, 5) or ignore_index, got {label} at (1, 7)"
            assert isinstance(error, IndexError)
            assert isinstance(error, ValueError)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_target(case):
    with fl.backend("numpy"), pytest.raises((TypeError, ValueError), match=r"^target: expected"):
        case.make(3)(np.zeros((2, 3, 4)), None)
    with pytest.raises((TypeError, ValueError), match=r"^target: expected"):  # native, if NumPy's passes: it crashed
        case.make(3)(np.zeros((2, 3, 4)), None)


def test_a_weight_of_the_targets_shape(backend):
    """A dense target of one sample without an axis; labels of one channel on its axis."""
    rng = np.random.default_rng(0)
    x, t, w = rng.random(3), rng.random(3), rng.random(3)
    want = fl.cross_entropy(x[None], t[None], pixel_weight=w[None])
    assert fl.cross_entropy(x, t, pixel_weight=w) == want
    x, y, w = rng.random((2, 1, 5, 6)), rng.integers(0, 2, (2, 1, 5, 6)), rng.random((2, 1, 5, 6))
    for loss in (fl.DiceLoss(activation="sigmoid"), fl.DiceLoss(activation="sigmoid") + fl.BCEWithLogitsLoss()):
        want = loss(x, y[:, 0], pixel_weight=w[:, 0])
        assert loss(x, y, pixel_weight=w) == want
        assert loss(x, y.astype(bool), pixel_weight=w) == want


@pytest.mark.parametrize("loss", [fl.CrossEntropyLoss, fl.BoundaryLoss, fl.MSELoss, fl.BalancedBCELoss, fl.DiceLoss])
def test_a_map_is_an_array_however_small(loss, backend):
    x, y = np.array([0.5, -1.0, 2.0]), 1
    if issubclass(loss, fl._engine.sums.ElementLoss):
        x, y = np.array(0.25), np.array(1.0)
    value = loss(reduction="none")(x, y)
    assert isinstance(value, np.ndarray)
    assert value.shape == ((3,) if loss is fl.DiceLoss else ())
    assert value.sum() == pytest.approx(loss(reduction="sum")(x, y))


def test_a_label_beyond_int64_is_not_ignored(backend):
    y = np.zeros((1, 4), np.uint64)
    y[0, 2] = 2**64 - 100  # the bits of -100
    with pytest.raises(fl.LabelError, match=str(2**64 - 100)):
        fl.cross_entropy(np.zeros((1, 3, 4)), y)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("case", [c for c in CASES if c.target != "labels"][:4] + CASES[:1], ids=str)
def test_a_bad_weight(case: Case, bad, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, SHAPE)
    w[1, ..., 3] = bad
    for call in (loss, loss.value_and_grad, loss.partial):
        with pytest.raises(
            ValueError, match=r"^pixel_weight: expected 0 or numbers from 1e-30 to 1e\+30, got (-1.0|nan|inf) at \(1, "
        ):
            call(x, y, pixel_weight=w)


# ---- more elements than 32 bits count

LARGE = {
    "cross_entropy": fl.CrossEntropyLoss(),
    "focal": fl.FocalLoss(),
    "dice": fl.DiceLoss(smooth=0),
    "tversky": fl.TverskyLoss(alpha=0.3, beta=0.7, smooth=0),
    "mse": fl.MSELoss(),
    "bce_with_logits": fl.BCEWithLogitsLoss(),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LARGE)
def test_more_than_2_to_the_31_elements(name):
    """A thousand pixels again and again, which need no memory: float32 keeps seven digits of float64's value."""
    loss, rows = LARGE[name], 1_100_000  # 2.2e9 elements, 1.1e9 pixels
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 2, 1, 1000)).astype(np.float32)
    y = rng.random(x.shape).astype(np.float32) if loss.kind == "element" else rng.integers(0, 2, (1, 1, 1000))
    with fl.backend("native"):
        value = loss(np.broadcast_to(x, (1, 2, rows, 1000)), np.broadcast_to(y, (*y.shape[:-2], rows, 1000)))
        want = loss(x.astype(np.float64), y.astype(np.float64) if y.dtype == np.float32 else y)
    assert value == pytest.approx(want, rel=1e-7)
