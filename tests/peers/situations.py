"""Imports MONAI and smp as installed, makes inputs in all situations, and compares a loss with a peer's loss.

The tests compare region losses, focal losses and kornia's losses over these inputs.
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import numpy as np
import pytest

import fastloss as fl

torch = pytest.importorskip("torch")
monai = pytest.importorskip("monai.losses", reason="make test-all installs it: pip install --no-deps monai==1.6.1")


def smp_losses():
    """Only smp's folder of losses: the package needs the libraries of its models."""
    found = importlib.util.find_spec("segmentation_models_pytorch")
    if found is None:
        pytest.skip("make test-all installs it: pip install --no-deps segmentation-models-pytorch==0.6.0", True)
    folder = pathlib.Path(found.submodule_search_locations[0]) / "losses"
    spec = importlib.util.spec_from_file_location(
        "smp_losses", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    sys.modules["smp_losses"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


smp = smp_losses()

# Logits' shape (N, C, *S), and which labels occur.
SITUATIONS = {
    "1-D": ((3, 4, 50), lambda y: y),
    "2-D": ((2, 3, 9, 11), lambda y: y),
    "3-D": ((2, 5, 4, 5, 6), lambda y: y),
    "one pixel": ((2, 3, 1), lambda y: y),
    "one sample": ((1, 4, 8, 8), lambda y: y),
    "all background": ((2, 3, 7, 5), lambda y: 0 * y),
    "all of one class": ((2, 4, 20), lambda y: 0 * y + 2),
    "a class absent everywhere, one in places": (
        (3, 4, 6, 6),
        lambda y: np.where((y == 2) | ((y == 3) & (np.arange(3)[:, None, None] > 0)), 1, y),
    ),
    "confident": ((2, 3, 40), lambda y: y),
}
situations = pytest.mark.parametrize("situation", SITUATIONS)


def data(situation):
    """Logits and labels, in which the sharp logits are right as often as wrong."""
    shape, labels = SITUATIONS[situation]
    rng = np.random.default_rng(len(situation))
    x = (40 if situation == "confident" else 2) * rng.standard_normal(shape)
    return x, labels(rng.integers(0, shape[1], shape[:1] + shape[2:]))


def ignoring(y, index=255):
    """Every fifth pixel ignored, but the first."""
    y = y.copy()
    y.reshape(-1)[5::5] = index
    return y


def softmax(x):
    return fl.softmax(x, axis=1)


def one_hot(y, C):
    return np.moveaxis(np.eye(C)[y], -1, 1)


def soft(x):
    """A soft target that has nothing to do with x."""
    return softmax(np.flip(x, axis=-1) - x)


def weights(C):
    """Numbers that a float32 holds, one of them 0."""
    return [0.5, 2.0, 0.0, 1.25, 3.0][:C]


# Both are in float64 and add a few hundred numbers, each in its own order: some hundred eps. A gradient is a sum of
# terms as large as the largest of its array, which cancel.
EXACT = 1e-12
# MONAI's weights 1 / B**2, its one-hot of labels and so the root of their count, are float32: 6e-8 off, in the
# numerator and in the denominator.
FLOAT32 = 1e-6


def compare(loss, peer, x, y, peer_target, tolerance=EXACT, **arguments):
    """`loss` has the peer's value (or values) and gradient."""
    assert x.dtype == np.float64
    t = torch.tensor(x, requires_grad=True)
    want = peer(t, torch.tensor(peer_target))
    want.sum().backward()
    value, gradient = loss.value_and_grad(x, y, **arguments)
    want = want.detach().numpy().reshape(np.shape(value))
    np.testing.assert_allclose(value, want, rtol=tolerance, atol=tolerance)
    # Where all is cancelled, EXACT of 1e-3 is less than a difference that anyone could see.
    largest = max(np.abs(t.grad.numpy()).max(), 1e-3)
    np.testing.assert_allclose(gradient, t.grad.numpy(), rtol=tolerance, atol=tolerance * largest)


# Arguments of MONAI: (its own, ours of C classes).

ACTIVATIONS = {
    "softmax": ({"softmax": True}, {}),
    "sigmoid": ({"sigmoid": True}, {"activation": "sigmoid"}),
    "probabilities": ({}, {"activation": None}),
}
activations = pytest.mark.parametrize("activation", ACTIVATIONS)


ONE_CHANNEL = {
    "some": lambda y: y,
    "none": lambda y: 0 * y,
    "all": lambda y: 0 * y + 1,
    "one pixel": lambda y: y[:, :1],
    "one sample": lambda y: y[:1],
}


def one_channel(situation, shape=(3, 40), seed=0):
    """Logits (N, 1, P) and labels {0, 1} (N, P)."""
    rng = np.random.default_rng(seed)
    y = ONE_CHANNEL[situation](rng.integers(0, 2, shape))
    return 2 * rng.standard_normal((len(y), 1, *y.shape[1:])), y
