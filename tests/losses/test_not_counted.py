"""Tests for every loss that pixels excluded by weight or label change nothing and get no gradient."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cases import CASES, SHAPE, SUM_CASES, images
from compare import assert_close, real, same_bits
from layouts import DTYPES

import fastloss as fl

cases = pytest.mark.parametrize("case", CASES, ids=str)
sum_cases = pytest.mark.parametrize("case", SUM_CASES, ids=str)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)


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


@pytest.mark.parametrize("case", [c for c in CASES if c.family == "region" and not c.image_weights], ids=str)
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
    """Both backends return nan, or neither does: a loss that reads only the label's input passes over the others."""
    loss = case.make(5)
    x, y, _ = images(case, loss, (1, 5, 300))
    y[:, 7] = 1
    x[0, 1 if hit else 3, 7] = np.nan
    outcomes = set()
    for name in ("native", "numpy"):
        with fl.backend(name):
            outcomes.add(bool(np.isnan(loss(x, y))))
    assert len(outcomes) == 1
    classes = getattr(loss, "classes", None) or "all"
    if hit and (isinstance(classes, str) or 1 in classes):
        assert outcomes == {True}
