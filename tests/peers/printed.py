"""Has the small arrays for Keras and optax, the row of a table of what they printed, and a command to ask them again.

The suite installs neither library. Each entry of the tables in test_peers_keras.py and test_peers_optax.py is a row of
docs/peers.md. It holds the peer's expression, the value that the peer printed, the derivative of that value along
DIRECTION, and our call. To ask another version, in an environment that has it and fastloss (Keras with torch, optax
with jax):

    python tests/peers/test_peers_keras.py
    python tests/peers/test_peers_optax.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import fastloss as fl

# Logits of two images of three pixels and three classes, which are the last axis; the second image lacks class 2.
X = np.array(
    [
        [[1.5, -0.5, 0.25], [-1.0, 2.0, 0.5], [0.75, 0.0, -1.25]],
        [[0.5, 1.0, -2.0], [-0.25, 0.5, 1.75], [2.5, -1.5, 0.0]],
    ]
)
LABELS = np.array([[0, 1, 2], [1, 1, 0]])
IGNORED = np.array([[0, 255, 2], [1, 1, 255]])
Y = np.eye(3)[LABELS]
P = np.exp(X) / np.exp(X).sum(axis=-1, keepdims=True)
LOG_P = np.log(P)
SOFT = P[::-1, ::-1]  # a soft target that has nothing to do with X
BITS = np.array([[[1.0, 0, 0], [0, 1, 1], [0, 0, 1]], [[0, 1, 0], [1, 1, 0], [0, 0, 0]]])
SIGNS = 2 * BITS - 1
Q = 1 / (1 + np.exp(-X))
REALS = 1.5 * X[::-1, ::-1] - 0.25  # differences on both sides of Huber's kinks
WEIGHT = np.array([[1.0, 0.5, 0.0], [2.0, 0.25, 1.0]])
CLASS_WEIGHT = [0.5, 2.0, 1.25]
# It keeps the sum over classes, so that a peer that divides probabilities by their sum has the same derivative.
DIRECTION = np.cos(np.arange(18.0)).reshape(X.shape)
DIRECTION -= DIRECTION.mean(axis=-1, keepdims=True)

Ours = Callable[[Any], tuple[float, Any]]


class Row(NamedTuple):
    theirs: str  # the peer's expression of x, and of the arrays above
    at: np.ndarray  # the x at which it was asked
    value: float
    slope: float
    ours: Ours  # value and gradient


def same(loss: fl.Loss, target: Any, **arguments: Any) -> Ours:
    return lambda x: loss.value_and_grad(x, target, **arguments)


def two_classes(x: Any, margin: float) -> tuple[float, Any]:
    """A score is the second of two logits, of which the first is 0."""
    hit = (SIGNS > 0).astype(int)
    logits = np.stack([0 * x, x], axis=-1) + margin * (1 - np.eye(2)[hit])
    value, gradient = fl.PerceptronLoss(axis=-1).value_and_grad(logits, hit)
    return value, gradient[..., 1]


def first_channel(x: Any) -> tuple[float, Any]:
    loss = fl.DiceLoss(smooth=2, activation="sigmoid", axis=-1)
    value, gradient = loss.value_and_grad(x[..., :1], BITS[..., :1])
    return value, gradient * [1, 0, 0]


def with_a_class_of_score_1(x: Any) -> tuple[float, Any]:
    """Keras' hinge starts its largest wrong score at 0, to which it adds the margin."""
    scores = np.concatenate([x + 1 - Y, np.ones((2, 3, 1))], axis=-1)
    value, gradient = fl.PerceptronLoss(axis=-1).value_and_grad(scores, LABELS)
    return value, gradient[..., :3]


def of_probabilities(p: Any) -> tuple[float, Any]:
    value, gradient = (3 * fl.KLDivLoss()).value_and_grad(np.log(p), SOFT)
    return value, gradient / p


def generalized_dice_of_optax(x: Any) -> tuple[float, Any]:
    """A mean of the classes' Dice losses, by weights from the pixels of the whole batch."""
    w = 1 / (Y.sum(axis=(0, 1)) ** 2 + 1e-7)
    return fl.DiceLoss(smooth=0.2, class_weight=w, axis=-1).value_and_grad(x, LABELS)


def of_one_channel(loss: fl.Loss) -> Ours:
    def ours(p: Any) -> tuple[float, Any]:
        value, gradient = loss.value_and_grad(p.reshape(1, 1, -1), Y.reshape(1, 1, -1))
        return value, gradient.reshape(p.shape)

    return ours


last = {"axis": -1}
probabilities = {"axis": -1, "activation": None}
keras_region = {"axis": -1, "activation": None, "smooth": (0, 1e-7)}


def agree(row: Row, tolerance: float) -> None:
    value, gradient = row.ours(row.at)
    assert value == pytest.approx(row.value, rel=tolerance)
    # A sum of 18 terms of either sign, of which the largest are about 1.
    assert (gradient * DIRECTION).sum() == pytest.approx(row.slope, rel=tolerance, abs=tolerance)


def ask_keras(theirs: str, at: np.ndarray) -> tuple[float, float]:
    import functools

    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    losses = {k: functools.partial(v, dtype="float64") for k, v in vars(keras.losses).items() if isinstance(v, type)}
    x = torch.tensor(at, requires_grad=True)
    value = eval(theirs, globals() | losses | {"x": x})
    value.backward()
    return value.item(), float((x.grad.numpy() * DIRECTION).sum())


def ask_optax(theirs: str, at: np.ndarray) -> tuple[float, float]:
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    value, gradient = jax.value_and_grad(lambda x: eval(theirs, globals() | vars(optax.losses) | {"x": x}))(at)
    return float(value), float((np.asarray(gradient) * DIRECTION).sum())


def ask_again(rows: list[Row], ask: Callable[[str, np.ndarray], tuple[float, float]], tolerance: float) -> None:
    """Print what the installed version computes, and where it differs."""
    for row in rows:
        try:
            value, slope = ask(row.theirs, row.at)
        except (TypeError, ValueError) as error:  # an argument that this version lacks
            print(row.theirs, error)
            continue
        close = np.allclose([value, slope], [row.value, row.slope], rtol=tolerance, atol=tolerance)
        print(f"{value:.10g}, {slope:.10g}", row.theirs, "" if close else "DIFFERS")
