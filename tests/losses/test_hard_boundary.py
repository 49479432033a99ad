"""Tests boundary and Hausdorff losses on hard inputs, with values worked out by hand. Each row has its derivation.

There are four pixels with labels 0 0 1 1. The signed distance of class 1 is PHI, and that of class 0 is -PHI. Both
masks have the distance |PHI| to their boundary. Let u = d(value)/dp. With a softmax over two classes, the gradient of
class 0 is p_0 p_1 (u_0 - u_1). The gradient of class 1 is minus that.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastloss as fl

INF, NAN = np.inf, np.nan
Boundary, Hausdorff = fl.BoundaryLoss, fl.HausdorffDTLoss
SUM = {"reduction": "sum"}

Y = [[0, 0, 1, 1]]
PHI = np.array([2.0, 1, -1, -2])
SQUARES = PHI**2  # sum 10
RIGHT, WRONG = [[[1, 1, 0, 0], [0, 0, 1, 1]]], [[[0, 0, 1, 1], [1, 1, 0, 0]]]  # probabilities
HALVES = np.zeros((1, 2, 4))  # logits of 1/2
MASKED = [[[0] * 4, [0] * 4, [-INF] * 4]]  # p = (1/2, 1/2, 0), and no pixel of class 2
HOLE = [[0, -100, 1, 1]]
NAN_IN_HOLE = [[[0, NAN, 0, 0], [0, INF, 0, 0]]]


def logits(p):
    """Of certainty."""
    return 1e4 * (2 * np.array(p) - 1.0)


def two(row):
    """A gradient of class 0, and minus it."""
    return np.array([[row, -np.asarray(row, float)]])


# (loss, input, target, value, gradient)
ROWS = {
    # p = y: -(2 + 1) in each class, over 8 elements.
    "boundary: sure and right": (Boundary(), logits(RIGHT), Y, -6 / 8, 0),
    "boundary: sure and wrong": (Boundary(), logits(WRONG), Y, 6 / 8, 0),
    "boundary: p of 0 and 1, right": (Boundary(activation=None), RIGHT, Y, -6 / 8, two(-PHI / 8)),
    "boundary: p of 0 and 1, wrong": (Boundary(activation=None), WRONG, Y, 6 / 8, two(-PHI / 8)),
    "boundary: p of 0 and 1, dense": (Boundary(activation=None), RIGHT, RIGHT, -6 / 8, two(-PHI / 8)),
    # One channel, p = (1, 0, 1, 0): (2 - 1) / 4.
    "boundary: sigmoid of inf": (Boundary(activation="sigmoid"), [[[INF, -INF, INF, -INF]]], Y, 1 / 4, 0),
    "boundary: sigmoid of 1e4": (Boundary(activation="sigmoid"), [[[1e4, -1e4, 1e4, -1e4]]], Y, 1 / 4, 0),
    # u = phi / (3 classes x 4 pixels).
    "boundary: a class of -inf": (Boundary(), MASKED, Y, 0.0, np.array([[-PHI, PHI, 0 * PHI]]) / 24),
    # Ignored pixels are in no mask: phi_0 = (-1, 1, 2, 3). Each other pixel (phi_0 + phi_1) / 4 = 1/4; u = phi / 6.
    "boundary: an ignored nan": (Boundary(), NAN_IN_HOLE, HOLE, 1 / 4, two([-3 / 24, 0, 3 / 24, 5 / 24])),
    # An empty class and a full one have no boundary.
    "boundary: empty and full": (Boundary(), logits(WRONG), [[0] * 4], 0.0, 0),
    "boundary: p of 0 and 1, empty and full": (Boundary(activation=None), WRONG, [[1] * 4], 0.0, 0),
    "boundary: all ignored": (Boundary(), logits(RIGHT), [[-100] * 4], NAN, 0),
    "boundary: all ignored, nan, summed": (Boundary(**SUM), [[[NAN], [INF]]], [[-100]], 0.0, 0),
    "boundary: one pixel": (Boundary(), [[[1e4], [-1e4]]], [[1]], 0.0, 0),
    "boundary: one pixel without an axis": (Boundary(), [[-INF, 0]], [1], 0.0, 0),
    "boundary: no pixel": (Boundary(), np.zeros((1, 2, 0)), np.zeros((1, 0), int), NAN, 0),
    "boundary: one class": (Boundary(activation=None), np.zeros((1, 1, 4)), np.zeros((1, 1, 4)), 0.0, 0),
    # ---- Hausdorff
    "hausdorff: sure and right": (Hausdorff(), logits(RIGHT), Y, 0.0, 0),
    # The predicted mask has the target's boundary: 2 phi^2 in every element.
    "hausdorff: sure and wrong": (Hausdorff(), logits(WRONG), Y, 2 * 10 / 4, 0),
    # 2 (p - y) 2 phi^2 / 8: p - y = -1 where the label is 0.
    "hausdorff: p of 0 and 1, wrong": (
        Hausdorff(activation=None),
        WRONG,
        Y,
        2 * 10 / 4,
        two(-np.sign(PHI) * SQUARES / 2),
    ),
    "hausdorff: p of 0 and 1, right": (Hausdorff(activation=None), RIGHT, Y, 0.0, 0),
    # p = (1, 0, 1, 0) has a boundary next to every pixel: (1 + 4) twice, over 4.
    "hausdorff: sigmoid of inf": (Hausdorff(activation="sigmoid"), [[[INF, -INF, INF, -INF]]], Y, 10 / 4, 0),
    "hausdorff: sigmoid of 1e4": (Hausdorff(activation="sigmoid"), [[[1e4, -1e4, 1e4, -1e4]]], Y, 10 / 4, 0),
    # 1/2 is not above 1/2: no predicted mask. phi^2 / 4; u = -+ phi^2 / 8, p_0 p_1 (u_0 - u_1) = -+ phi^2 / 16.
    "hausdorff: undecided": (Hausdorff(), HALVES, Y, 10 / 16, two(-np.sign(PHI) * SQUARES / 16)),
    # As above, over three classes.
    "hausdorff: a class of -inf": (
        Hausdorff(),
        MASKED,
        Y,
        10 / 24,
        np.array([[-PHI * abs(PHI), PHI * abs(PHI), 0 * PHI]]) / 24,
    ),
    # D^0 = 1 everywhere, of masks without a boundary too: 2 / 4; u = 4 (p - y) / 8 = -+ 1/4.
    "hausdorff: alpha 0": (Hausdorff(alpha=0), HALVES, Y, 1 / 2, two(-np.sign(PHI) / 8)),
    "hausdorff: alpha 0, one pixel": (Hausdorff(alpha=0), [[[-1e4], [1e4]]], [[0]], 2.0, 0),
    # D of class 0 is (1, 1, 2, 3): (1 + 4) / 8, (4 + 1) / 8, (9 + 4) / 8; u = -+ D^2 / 6.
    "hausdorff: an ignored nan": (
        Hausdorff(),
        NAN_IN_HOLE,
        HOLE,
        23 / 24,
        two([-5 / 24, 0, 5 / 24, 13 / 24]),
    ),
    # No boundary of the target: the prediction's is left, (1 + 4) / 4; none of either: 0.
    "hausdorff: empty and full": (Hausdorff(), logits(RIGHT), [[0] * 4], 5 / 4, 0),
    "hausdorff: all of it, and nothing of it": (Hausdorff(), logits([[[0] * 4, [1] * 4]]), [[0] * 4], 0.0, 0),
    "hausdorff: all ignored": (Hausdorff(), logits(RIGHT), [[-100] * 4], NAN, 0),
    "hausdorff: all ignored, nan, summed": (Hausdorff(**SUM), [[[NAN], [INF]]], [[-100]], 0.0, 0),
    "hausdorff: one pixel": (Hausdorff(), [[[1e4], [-1e4]]], [[1]], 0.0, 0),
    "hausdorff: one pixel without an axis": (Hausdorff(), [[-INF, 0]], [0], 0.0, 0),
    "hausdorff: no pixel": (Hausdorff(), np.zeros((1, 2, 0)), np.zeros((1, 0), int), NAN, 0),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("row", ROWS)
def test_value_and_gradient(row, dtype, backend):
    """Small numbers, whose squares float32's distances hold: few roundings of the arithmetic, one of the gradient."""
    loss, x, y, value, gradient = ROWS[row]
    y = np.asarray(y)
    x, y = np.asarray(x, dtype), y.astype(float) if y.shape == np.shape(x) else y
    arithmetic = np.float64 if dtype == np.float64 else np.float32
    got, got_gradient = loss.value_and_grad(x, y)
    assert got == pytest.approx(value, rel=8 * float(np.finfo(arithmetic).eps), abs=0, nan_ok=True)
    np.testing.assert_allclose(
        got_gradient, np.broadcast_to(gradient, x.shape), rtol=8 * float(np.finfo(dtype).eps), atol=0
    )
