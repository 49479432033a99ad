"""Tests region losses against their papers' formulas in torch, and against autograd."""

from __future__ import annotations

import numpy as np
import pytest
from by_torch import data

import fastloss as fl

torch = pytest.importorskip("torch")
F = torch.nn.functional


SHAPES = [(4, 5), (2, 5, 300), (2, 5, 17, 19), (1, 5, 5, 6, 7)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# Both compute in the dtype, and torch subtracts logits from their log-sum-exp: some eps of the largest logit (about 10)
# absolutely, and its sums run over a thousand numbers.
TOLERANCE = {np.float32: {"rtol": 1e-5, "atol": 2e-6}, np.float64: {"rtol": 1e-12, "atol": 1e-14}}


def compare(loss, function, x, y, dtype, **weights):
    """Value (or map) and gradient of `loss`, against those of the torch function of a tensor."""
    t = torch.tensor(x, requires_grad=True)
    want = function(t)
    want.sum().backward()
    value, gradient = loss.value_and_grad(x, y, **weights)
    np.testing.assert_allclose(value, want.detach().numpy(), **TOLERANCE[dtype])
    np.testing.assert_allclose(gradient, t.grad.numpy(), **TOLERANCE[dtype])


def formula(t, y, kind, batch, squared=False, alpha=0.3, beta=0.7):
    """Dice, Jaccard and Tversky of probabilities, as their papers write them."""
    t, y = (a.reshape(*a.shape[:2], -1) for a in (t, y))
    axes = (0, 2) if batch else (2,)
    tp, fp, fn = (t * y).sum(axes), (t * (1 - y)).sum(axes), ((1 - t) * y).sum(axes)
    if kind == "dice":
        below = (t**2 + y**2).sum(axes) if squared else (t + y).sum(axes)
        return (1 - (2 * tp + 0.1) / (below + 0.1)).mean()
    a, b = (1, 1) if kind == "jaccard" else (alpha, beta)
    return (1 - (tp + 0.1) / (tp + a * fp + b * fn + 0.1)).mean()


@shapes
@dtypes
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
@pytest.mark.parametrize("kind", ["dice", "squared", "jaccard", "tversky"])
@pytest.mark.parametrize("dense", [False, True])
def test_region_losses(shape, dtype, batch, activation, kind, dense, backend):
    x, y, soft = data(shape, dtype)
    y[y == 255] = 0
    if activation is None:
        x = (1 / (1 + np.exp(-x))).astype(dtype)
    loss = {
        "dice": lambda **k: fl.DiceLoss(**k),
        "squared": lambda **k: fl.DiceLoss(squared=True, **k),
        "jaccard": lambda **k: fl.JaccardLoss(**k),
        "tversky": lambda **k: fl.TverskyLoss(alpha=0.3, beta=0.7, **k),
    }[kind](activation=activation, batch=batch, smooth=0.1)
    activate = {"softmax": lambda t: t.softmax(1), "sigmoid": torch.sigmoid, None: lambda t: t}[activation]
    target = torch.tensor(soft) if dense else F.one_hot(torch.tensor(y), 5).movedim(-1, 1).to(torch.tensor(x).dtype)
    name = "dice" if kind == "squared" else kind
    function = lambda t: formula(activate(t), target, name, batch, kind == "squared")  # noqa: E731
    compare(loss, function, x, soft if dense else y, dtype)
