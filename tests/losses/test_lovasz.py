"""Tests the Lovasz losses: the sets that they extend, their weights, and the sorting."""

from __future__ import annotations

import numpy as np
import pytest
from compare import same_bits

import fastloss as fl
from fastloss import _backend
from fastloss._engine import lovasz

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((3, 4, 30, 20)), RNG.integers(0, 4, (3, 30, 20))

LOSSES = [
    fl.LovaszSoftmaxLoss(),
    fl.LovaszSoftmaxLoss(activation="sigmoid", classes="all"),
    fl.LovaszHingeLoss(per_image=True),
]


def one_hot(labels, C):
    return np.moveaxis(np.eye(C)[labels], -1, 1)


def jaccard(predicted, y, c):
    both, either = (predicted == c) & (y == c), (predicted == c) | (y == c)
    return both.sum() / either.sum()


def test_by_hand(backend):
    """Errors of class 1, sorted: 0.9 of a pixel outside, 0.4 inside, 0.2 inside. With none, one, two and three pixels
    wrong, J is 2/2, 2/3, 1/3 and 0, so the weights are 1/3 each."""
    p = np.array([[[0.1, 0.4, 0.2], [0.9, 0.6, 0.8]]])
    loss = fl.LovaszSoftmaxLoss(activation=None, classes=[1])
    value, gradient = loss.value_and_grad(p, [[0, 1, 1]])
    assert value == pytest.approx((0.9 + 0.4 + 0.2) / 3, rel=1e-15)
    np.testing.assert_allclose(gradient, [[[0, 0, 0], [1 / 3, -1 / 3, -1 / 3]]], rtol=1e-15)
    # Margins of the same labels: the errors are 1 + 0.5, 1 - 0.2 and 1 - 3, of which the last is no error.
    value, gradient = fl.LovaszHingeLoss().value_and_grad(np.array([[[0.5, 0.2, 3.0]]]), [[0, 1, 1]])
    assert value == pytest.approx((1.5 + 0.8) / 3, rel=1e-15)
    np.testing.assert_allclose(gradient, [[[1 / 3, -1 / 3, 0]]], rtol=1e-15)


def test_of_sets_it_is_one_minus_the_jaccard_index(backend):
    predicted = RNG.integers(0, 4, Y.shape)
    p = one_hot(predicted, 4)
    whole = [1 - jaccard(predicted, Y, c) for c in range(4)]
    assert fl.LovaszSoftmaxLoss(activation=None)(p, Y) == pytest.approx(np.mean(whole), rel=1e-12)
    each = [[1 - jaccard(predicted[n], Y[n], c) for c in range(4)] for n in range(3)]
    loss = fl.LovaszSoftmaxLoss(activation=None, per_image=True)
    shown = fl.LovaszSoftmaxLoss(activation=None, per_image=True, reduction="none")(p, Y)
    np.testing.assert_allclose(shown, np.mean(each, axis=1), rtol=1e-12)
    report = fl.evaluate({"a": loss}, p, Y)
    np.testing.assert_allclose(report.per_class["a"], np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_allclose(report.per_image["a"], np.mean(each, axis=1), rtol=1e-12)


def test_a_perfect_image_counts(backend):
    p = one_hot(Y, 4)
    loss = fl.LovaszSoftmaxLoss(activation=None, per_image=True)
    value, gradient = loss.value_and_grad(p, Y)
    assert value == 0
    assert not gradient.any()
    half = loss(np.concatenate([p, one_hot(3 - Y, 4)]), np.concatenate([Y, Y]))
    assert half == pytest.approx(0.5, rel=1e-15)
    masked = np.where(np.arange(3)[:, None, None] == 1, -100, Y)  # an image of which no pixel counts does not count
    assert loss(one_hot(3 - Y, 4), masked) == pytest.approx(1, rel=1e-15)
    assert np.isnan(loss(p, 0 * Y - 100))


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_weight_of_two_counts_as_two_pixels(loss, backend):
    x, y = X.reshape(3, 4, -1), Y.reshape(3, -1)
    w = RNG.integers(0, 3, y.shape)
    w[:, -1] = 2 * y.shape[1] - w[:, :-1].sum(axis=1)  # so that all images have as many pixels when repeated
    again = [np.repeat(x[n], w[n], axis=1) for n in range(3)], [np.repeat(y[n], w[n]) for n in range(3)]
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    want, more = loss.value_and_grad(np.stack(again[0]), np.stack(again[1]))
    assert value == pytest.approx(want, rel=1e-12)
    summed = [np.add.reduceat(more[n], np.cumsum(w[n])[w[n] > 0] - w[n][w[n] > 0], axis=1) for n in range(3)]
    for n in range(3):
        np.testing.assert_allclose(gradient[n][:, w[n] > 0], summed[n], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("loss", [fl.LovaszSoftmaxLoss(per_image=True), fl.LovaszHingeLoss()], ids=repr)
def test_a_dense_target_of_sets_is_that_of_its_labels(loss, backend):
    w = RNG.choice([0, 0.5, 2], Y.shape)
    value, gradient = loss.value_and_grad(X, Y, pixel_weight=w)
    for hot in (one_hot(Y, 4), one_hot(Y, 4) > 0):
        got = loss.value_and_grad(X, hot, pixel_weight=w)
        assert got[0] == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(got[1], gradient, rtol=1e-9, atol=1e-15)
    by_class = loss.value_and_grad(X, one_hot(Y, 4), pixel_weight=np.repeat(w[:, None], 4, axis=1))
    assert by_class[0] == pytest.approx(value, rel=1e-12)


def test_many_threads_have_the_bits_of_one():
    """With more pixels than FEW, the classes share the threads."""
    x = RNG.standard_normal((1, 5, 200, 200)).astype(np.float32)
    y = RNG.integers(0, 5, (1, 200, 200))
    assert y.size > lovasz.FEW
    outcomes = []
    for threads in (1, 2, 5):
        with fl.num_threads(threads):
            outcomes.append(fl.LovaszSoftmaxLoss(per_image=True).value_and_grad(x, y))
    for value, gradient in outcomes[1:]:
        assert value == outcomes[0][0]
        assert same_bits(gradient, outcomes[0][1])


def test_errors_in_threads_reach_the_caller(monkeypatch):
    monkeypatch.setattr(lovasz, "FEW", 1)
    monkeypatch.setattr(lovasz, "MOST", 100)
    with pytest.raises(ValueError, match=r"^input: expected fewer than 100 pixels to sort together, got 1800$"):
        fl.lovasz_softmax_loss(X, Y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_order_is_stable_and_nan_comes_first(dtype):
    errors = RNG.choice(np.array([0.25, 0.5, 1e-30, np.inf, np.nan], dtype), 999)
    order = (lovasz.descending(errors) & np.uint64(0xFFFFFFFF)).astype(int)
    rank = np.where(np.isnan(errors), -1, 0) if dtype == np.float32 else np.zeros(999)  # float64: as inf
    keys = np.where(np.isnan(errors), np.inf, errors)
    assert np.array_equal(order, np.lexsort((np.arange(999), -keys, rank)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("present", [False, True])
def test_the_falls_are_those_of_the_jaccard_index(dtype, weighted, present, backend):
    """They are differences of the index itself, of which the largest errors are wrong."""
    n = 300
    order = RNG.permutation(n)
    target = RNG.random(n) < (0.3 if present else 0)
    weight = RNG.choice([0.5, 1.0, 3.0], n) if weighted else None
    w = np.ones(n) if weight is None else weight
    total = w[target].sum()
    out = np.full(n, 7, dtype)
    _backend.jaccard_falls(order.astype(np.uint64), target, weight, float(total), out)
    hit, miss = np.cumsum((w * target)[order]), np.cumsum((w * ~target)[order])
    index = (total - hit) / (total + miss)
    want = np.empty(n)
    want[order] = -np.diff(index, prepend=1.0) / w[order]
    np.testing.assert_allclose(out, want, rtol=1e-6 if dtype == np.float32 else 1e-9, atol=1e-14)
    assert (out * w).sum() == pytest.approx(1, rel=1e-6)


def test_the_kernel_checks_its_buffers():
    if fl.get_backend() != "native":
        pytest.skip("needs the extension")
    keys, target, out = np.zeros(2, np.uint64), np.zeros(3, bool), np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="changed during the call"):
        _backend.jaccard_falls(keys, target, None, 1.0, out)


def test_infinite_margins(backend):
    y = [[1, 0, 1]]
    value, gradient = fl.LovaszHingeLoss().value_and_grad(np.array([[[np.inf, -np.inf, 0.5]]]), y)
    assert value == pytest.approx(0.25, rel=1e-15)
    np.testing.assert_allclose(gradient, [[[0, 0, -0.5]]])
    assert fl.lovasz_hinge_loss(np.array([[[-np.inf, 1.0, 0.5]]]), y) == np.inf
    assert fl.lovasz_hinge_loss(np.array([[[1.0, np.inf, 0.5]]]), y) == np.inf
