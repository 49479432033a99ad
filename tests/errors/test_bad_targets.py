"""Tests labels, targets and weights that every loss refuses, and small ones that every loss accepts."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from cases import CASES, SHAPE, Case, images

import fastloss as fl


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
