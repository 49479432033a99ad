"""Tests every loss of the table in cases.py: its values and gradients, and that object and function agree."""

from __future__ import annotations

import dataclasses
import inspect
import pickle

import numpy as np
import pytest
from cases import CASES, EMPTY_SHAPES, SHAPE, SHAPES, SINGLE_CASES, SUM_CASES, images, labels
from compare import assert_close, real, reference, same_bits
from layouts import DTYPES, LABEL_DTYPES, LAYOUTS

import fastloss as fl
from fastloss import _core, _reference
from fastloss._engine.loss import MapsLoss
from fastloss.losses import LOSSES

cases = pytest.mark.parametrize("case", CASES, ids=str)
sum_cases = pytest.mark.parametrize("case", SUM_CASES, ids=str)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


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
        with pytest.raises(ValueError, match=r"^input: expected two or more dimensions"):
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
