"""Tests perceptron_loss, a hinge loss without a margin, against torch and scikit-learn.

Each test is a row of docs/peers.md. test_peers_keras.py and test_peers_optax.py test the hinge losses of Keras and
optax.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastloss as fl

torch = pytest.importorskip("torch")
# Sums of a few hundred numbers in float64, each library in its own order.
EXACT = 1e-13


def data(C, seed):
    rng = np.random.default_rng(seed)
    return 2 * rng.standard_normal((100, C)), rng.integers(0, C, 100), rng.random(100)


def with_margin(x, y, margin=1.0):
    """Scores to which every class but the label's has the margin added: the perceptron loss of them is the hinge."""
    return x + margin * (1 - np.eye(x.shape[1])[y])


def autograd(function, x):
    t = torch.tensor(x, requires_grad=True)
    value = function(t)
    value.backward()
    return value.item(), t.grad.numpy()


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_multi_margin_of_two_classes(margin, seed, backend):
    """torch sums over the wrong classes and divides by C; with two classes there is one of them."""
    x, y, _ = data(2, seed)
    peer = torch.nn.MultiMarginLoss(margin=margin)
    value, gradient = autograd(lambda t: peer(t, torch.tensor(y)), x)
    ours, own_gradient = (0.5 * fl.PerceptronLoss()).value_and_grad(with_margin(x, y, margin), y)
    assert ours == pytest.approx(value, rel=EXACT)
    np.testing.assert_allclose(own_gradient, gradient, rtol=EXACT, atol=1e-16)


def test_multi_margin_of_more_classes_is_a_sum(backend):
    """Scores (0, 1, 2), label 0: torch (1 + 2) / 3 = 1, where the perceptron loss is the largest excess, 2."""
    x, y = np.array([[0.0, 1.0, 2.0]]), np.array([0])
    assert torch.nn.MultiMarginLoss(margin=0)(torch.tensor(x), torch.tensor(y)) == 1
    assert fl.perceptron_loss(x, y) == 2


@pytest.mark.parametrize("C", [3, 4, 10])
@pytest.mark.parametrize("weighted", [False, True])
def test_hinge_of_scikit_learn(C, weighted, backend):
    metrics = pytest.importorskip("sklearn.metrics")
    x, y, w = data(C, 0)
    w = w if weighted else None
    want = metrics.hinge_loss(y, x, labels=np.arange(C), sample_weight=w)
    assert fl.perceptron_loss(with_margin(x, y), y, pixel_weight=w) == pytest.approx(want, rel=EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_binary_hinge_of_scikit_learn(seed, backend):
    """One score is the second of two logits, of which the first is 0."""
    metrics = pytest.importorskip("sklearn.metrics")
    x, y, _ = data(2, seed)
    x[:, 0] = 0
    want = metrics.hinge_loss(y, x[:, 1])
    assert fl.perceptron_loss(with_margin(x, y), y) == pytest.approx(want, rel=EXACT)


def test_the_gradient_of_equal_scores(backend):
    """The first of equal maxima takes it; it is the label's here, so nothing is left."""
    _, gradient = fl.PerceptronLoss().value_and_grad(np.array([[1.0, 1.0, 0.0]]), np.array([0]))
    assert (gradient == 0).all()
