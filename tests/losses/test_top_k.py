"""Tests the top-k loss: which pixels it keeps, and that all else is the business of the loss that it holds."""

from __future__ import annotations

import numpy as np
import pytest
from compare import same_bits

import fastloss as fl
from fastloss.losses.top_k import _hardest

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((3, 4, 9, 11)), RNG.integers(0, 4, (3, 9, 11))
W = RNG.choice([0, 0.5, 1, 2], Y.shape)
WHOLE = [
    fl.CrossEntropyLoss(class_weight=[1, 2, 0.5, 0]),
    fl.CrossEntropyLoss(reduction="none"),
    fl.FocalLoss(reduction="sum"),
    fl.PolyLoss(ignore_index=1),
]
OF_LABELS = [
    fl.CrossEntropyLoss(reduction="sum"),
    fl.FocalLoss(activation=None, reduction="sum"),
    fl.FocalLoss(activation="sigmoid", reduction="sum"),
]


@pytest.mark.parametrize("loss", WHOLE, ids=repr)
@pytest.mark.parametrize("per_image", [False, True])
def test_all_pixels_are_the_loss_itself(loss, per_image, backend):
    for k in (1.0, 10**6):
        top = fl.TopKLoss(loss, k=k, per_image=per_image)
        got, want = top.value_and_grad(X, Y, pixel_weight=W), loss.value_and_grad(X, Y, pixel_weight=W)
        assert same_bits(got[0], want[0])
        assert same_bits(got[1], want[1])


def test_the_hardest_are_kept(backend):
    each = fl.cross_entropy(X, Y, reduction="none")
    assert fl.top_k_loss(X, Y, k=20) == pytest.approx(np.sort(each.ravel())[-20:].mean(), rel=1e-12)
    per_image = np.sort(each.reshape(3, -1), axis=1)[:, -20:]
    assert fl.top_k_loss(X, Y, k=20, per_image=True) == pytest.approx(per_image.mean(), rel=1e-12)
    assert fl.top_k_loss(X, Y, k=0.1, per_image=True) == pytest.approx(per_image[:, -9:].mean(), rel=1e-12)
    assert fl.top_k_loss(X, Y, k=1e-9, min_kept=20) == fl.top_k_loss(X, Y, k=20)
    shown = fl.TopKLoss(fl.CrossEntropyLoss(reduction="none"), k=20)(X, Y)
    assert np.count_nonzero(shown) == 20
    assert same_bits(shown[shown > 0], each[shown > 0])


def test_what_does_not_count_is_no_part_of_the_share(backend):
    y = Y.copy()
    y[:, :4] = 255
    each = fl.cross_entropy(X, y, ignore_index=255, reduction="none", pixel_weight=W)
    each = np.sort(each[(y != 255) & (W > 0)])
    k = int(0.25 * each.size)
    total = fl.TopKLoss(fl.CrossEntropyLoss(ignore_index=255, reduction="sum"), k=0.25)(X, y, pixel_weight=W)
    assert total == pytest.approx(each[-k:].sum(), rel=1e-12)


@pytest.mark.parametrize("loss", OF_LABELS, ids=repr)
def test_a_threshold_keeps_the_pixels_whose_label_is_less_probable(loss, backend):
    activation = getattr(loss, "activation", "softmax")
    p = fl.softmax(X, axis=1) if activation == "softmax" else fl.sigmoid(X)
    x = p if activation is None else X
    own = np.take_along_axis(p, Y[:, None], 1)[:, 0]
    for threshold in (0.0, 0.2, 0.5, 1.0):
        want = loss(x, Y, pixel_weight=W * (own < threshold))
        assert fl.TopKLoss(loss, threshold=threshold)(x, Y, pixel_weight=W) == pytest.approx(want, rel=1e-12)
    least = np.sort(own.reshape(3, -1), axis=1)[:, 4]
    want = loss(x, Y, pixel_weight=own <= least[:, None, None])
    top = fl.TopKLoss(loss, threshold=0.0, min_kept=5, per_image=True)
    assert top(x, Y) == pytest.approx(want, rel=1e-12)
    assert np.isnan(fl.top_k_loss(X, Y, threshold=0.0))


def test_elements(backend):
    y = (X > 0.5).astype(float)
    each = fl.binary_cross_entropy_with_logits(-X, y, reduction="none").reshape(3, -1)
    loss = fl.TopKLoss(fl.BCEWithLogitsLoss(), k=7, per_image=True)
    assert loss(-X, y) == pytest.approx(np.sort(each, axis=1)[:, -7:].mean(), rel=1e-12)
    report = fl.evaluate({"a": loss}, -X, y)
    np.testing.assert_allclose(report.per_image["a"], np.sort(each, axis=1)[:, -7:].mean(axis=1), rtol=1e-12)


def test_ties_go_to_the_first_and_nan_is_the_largest():
    values = np.array([[1.0, 3.0, 2.0], [3.0, 3.0, np.nan]])
    every = np.ones(values.shape, bool)
    assert _hardest(values, every, 3).tolist() == [[False, True, False], [True, False, True]]
    assert _hardest(values, values != 3, 2).tolist() == [[False, False, True], [False, False, True]]
    assert _hardest(values, every, 1).tolist() == [[False, False, False], [False, False, True]]
    assert _hardest(np.zeros((2, 3)), every, 4).tolist() == [[True, True, True], [True, False, False]]


def test_options_of_the_loss_that_it_holds():
    loss = fl.TopKLoss(fl.CrossEntropyLoss(axis=-1, reduction="sum"))
    assert (loss.axis, loss.reduction, loss.ignore_index) == (-1, "sum", -100)
    report = fl.evaluate({"a": fl.TopKLoss(k=5, per_image=True)}, X, Y, ignore_index=3)
    assert report.losses["a"] == fl.TopKLoss(fl.CrossEntropyLoss(ignore_index=3), k=5, per_image=True)
    ce = fl.CrossEntropyLoss(ignore_index=3)
    assert report["a"] == pytest.approx(fl.TopKLoss(ce, k=5, per_image=True)(X, Y), rel=1e-12)


def test_a_label_out_of_range_is_found(backend):
    y = Y.copy()
    y[1, 2, 3] = 9
    for loss in (fl.TopKLoss(), fl.TopKLoss(threshold=0.5), fl.LovaszSoftmaxLoss(), fl.LovaszHingeLoss()):
        with pytest.raises(fl.LabelError, match=r"got 9 at \(1, 2, 3\)$"):
            loss(X, y)
        with pytest.raises(ValueError, match=r"^pixel_weight: expected 0 or numbers"):
            loss(X, Y, pixel_weight=-W)
