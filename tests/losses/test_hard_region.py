"""Tests region losses on hard inputs, and their formulas, with values worked out by hand. Each row has its derivation.

I = sum p y, A = sum p, B = sum y, and s is the smoothing. If an activation saturates, p (1 - p) = 0, so the gradient is
also 0.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastloss as fl

s = 1e-5  # the default
INF, NAN = np.inf, np.nan
LEAST = 2.0**-126  # the smallest normal float32

ALL = (
    fl.DiceLoss,
    fl.JaccardLoss,
    fl.TverskyLoss,
    fl.FocalTverskyLoss,
    fl.SensitivitySpecificityLoss,
    fl.GeneralizedDiceLoss,
)
Dice, Jaccard, Tversky, Focal, Both, Generalized = ALL

# Two pixels, two classes, and the logits of certainty.
SURE = [[[1e4, -1e4], [-1e4, 1e4]]]
HALVES = [[[0.0] * 4] * 2]  # logits of p = 1/2, four pixels
PAIR = [[0, 1]]
NOTHING = [[-100, -100]]

# (loss, input, target, value, gradient or None: only finite)
ROWS = {
    # p = y: I = A = B = 1 in each class, W = 2.
    **{f"sure and right: {loss.__name__}": (loss(), SURE, PAIR, 0.0, 0.0) for loss in ALL},
    # p = 1 - y: I = 0, A = B = 1; TN = W - A - B + I = 0.
    "sure and wrong: dice": (Dice(), SURE, [[1, 0]], 1 - s / (2 + s), 0.0),
    "sure and wrong: jaccard": (Jaccard(), SURE, [[1, 0]], 1 - s / (2 + s), 0.0),
    "sure and wrong: tversky": (Tversky(), SURE, [[1, 0]], 1 - s / (1 + s), 0.0),
    "sure and wrong: focal": (Focal(gamma=2), SURE, [[1, 0]], (1 - s / (1 + s)) ** 2, 0.0),
    "sure and wrong: both": (Both(), SURE, [[1, 0]], 1 - s / (1 + s), 0.0),
    "sure and wrong: generalized": (Generalized(), SURE, [[1, 0]], 1 - s / (4 + s), 0.0),
    # One channel, p = (1, 0, 1): I = 1, A = 2, B = 1.
    "sigmoid of 1e4": (Dice(activation="sigmoid"), [[[1e4, -1e4, 1e4]]], [[1, 0, 0]], 1 - (2 + s) / (3 + s), 0.0),
    "sigmoid of inf": (Dice(activation="sigmoid"), [[[INF, -INF, INF]]], [[1, 0, 0]], 1 - (2 + s) / (3 + s), 0.0),
    # TP = 1, FN = 0; TN = 1, FP = 1.
    "sigmoid of inf: both": (
        Both(activation="sigmoid"),
        [[[INF, -INF, INF]]],
        [[1, 0, 0]],
        (1 - (1 + s) / (2 + s)) / 2,
        0.0,
    ),
    # A class of -inf: p = (1/2, 1/2, 0). Classes 0 and 1: I = 1/2, A = B = 1; class 2: s / s, loss 0.
    # dI = -2 / (2 + s); d/dx_0 at its pixel is p_0 p_1 (dI + dA - dA) / 3 classes, whatever class 2's dA = 1 / s.
    "a class of -inf: dice": (
        Dice(),
        [[[0, 0], [0, 0], [-INF, -INF]]],
        PAIR,
        2 / 3 * (1 - (1 + s) / (2 + s)),
        [[[-1 / 6 / (2 + s), 1 / 6 / (2 + s)], [1 / 6 / (2 + s), -1 / 6 / (2 + s)], [0, 0]]],
    ),
    "a class of -inf: jaccard": (
        Jaccard(),
        [[[0, 0], [0, 0], [-INF, -INF]]],
        PAIR,
        2 / 3 * (1 - (0.5 + s) / (1.5 + s)),
        None,
    ),
    # TP = TN = 1/2, FP = FN = 1/2; class 2: TN = 2, FP = 0, and no positive: s / s.
    "a class of -inf: both": (
        Both(),
        [[[0, 0], [0, 0], [-INF, -INF]]],
        PAIR,
        2 / 3 * (1 - (0.5 + s) / (1 + s)),
        None,
    ),
    # v = 1 in all three: 2 sum I = 2, sum A + B = 2 + 2.
    "a class of -inf: generalized": (
        Generalized(),
        [[[0, 0], [0, 0], [-INF, -INF]]],
        PAIR,
        1 - (2 + s) / (4 + s),
        None,
    ),
    # p = y without an activation: I = A = B = 1. dI = -2 / (2 + s), dA = (2 + s) / (2 + s)^2, over 2 classes.
    "p of 0 and 1: dice": (
        Dice(activation=None),
        [[[1, 0], [0, 1]]],
        PAIR,
        0.0,
        np.array([[[-1, 1], [1, -1]]]) / 2 / (2 + s),
    ),
    # A + B - I = 1: dI = -2 / (1 + s), dA = 1 / (1 + s).
    "p of 0 and 1: jaccard": (
        Jaccard(activation=None),
        [[[1, 0], [0, 1]]],
        PAIR,
        0.0,
        np.array([[[-1, 1], [1, -1]]]) / 2 / (1 + s),
    ),
    # 1 - T = 0: the slope of its power 0.75 is that at the smallest normal float32. dI = -1 / (1 + s), dA = half of it.
    "p of 0 and 1: focal": (
        Focal(activation=None),
        [[[1, 0], [0, 1]]],
        PAIR,
        0.0,
        np.array([[[-1, 1], [1, -1]]]) / 4 / (1 + s) * 0.75 * LEAST**-0.25,
    ),
    "p of 0 and 1: focal, power 2": (Focal(gamma=2, activation=None), [[[1, 0], [0, 1]]], PAIR, 0.0, 0.0),
    # A power of 0 is 1, also of 0.
    "power 0": (Focal(gamma=0, class_alpha=[2, 4], activation=None), [[[1, 0], [0, 1]]], PAIR, 3.0, 0.0),
    # I = B = 1, A = 2: T = (1 + 1) / (1.5 + 0) = 4/3, and 1 - T is clamped; Tversky's own is not.
    "T above 1": (Focal(activation=None, smooth=(1, 0)), [[[1, 1]]], [[1, 0]], 0.0, 0.0),
    "T above 1: tversky": (Tversky(activation=None, smooth=(1, 0)), [[[1, 1]]], [[1, 0]], -1 / 3, None),
    # Dense: I = 0.25 * 0.4 = 0.1, A = 0.5, B = 0.4: FP = 0.4, FN = 0.3; T = 0.1 / (0.1 + 0.25 * 0.4 + 2 * 0.3) = 1/8.
    # dI = -1 / 0.8 + 0.1 (1 - 0.25 - 2) / 0.8^2 = -1.4453125, dA = 0.1 * 0.25 / 0.8^2 = 0.0390625: dI y + dA.
    "by hand: tversky": (
        Tversky(alpha=0.25, beta=2, smooth=0, activation=None),
        [[[0.25, 0.25]]],
        [[[0.15, 0.25]]],
        7 / 8,
        [[[-1.4453125 * 0.15 + 0.0390625, -1.4453125 * 0.25 + 0.0390625]]],
    ),
    # T_0 = 0.8 / (0.5 (1.1 + 1)) = 16/21, T_1 = 0.7 / (0.5 (0.9 + 1)) = 14/19: losses 5/21 and 5/19, their powers.
    "by hand: focal": (
        Focal(gamma=[2, 0.5], class_alpha=[3, 1], smooth=0, activation=None),
        [[[0.8, 0.3], [0.2, 0.7]]],
        PAIR,
        (3 * (5 / 21) ** 2 + (5 / 19) ** 0.5) / 2,
        None,
    ),
    # Class 0: TP = 0.8, FN = 0.2, TN = 0.7, FP = 0.3; class 1: TP = 0.7, FN = 0.3, TN = 0.8, FP = 0.2.
    # d/dp at y = 1 is -b / B, at y = 0 (1 - b) / (W - B), over 2 classes.
    "by hand: both": (
        Both(b=0.8, smooth=0, activation=None),
        [[[0.8, 0.3], [0.2, 0.7]]],
        PAIR,
        1 - (0.8 * 0.8 + 0.2 * 0.7 + 0.8 * 0.7 + 0.2 * 0.8) / 2,
        [[[-0.4, 0.1], [0.1, -0.4]]],
    ),
    "by hand: sensitivity": (
        Both(b=1, smooth=0, activation=None),
        [[[0.8, 0.3], [0.2, 0.7]]],
        PAIR,
        0.25,
        [[[-0.5, 0], [0, -0.5]]],
    ),
    "by hand: specificity": (
        Both(b=0, smooth=0, activation=None),
        [[[0.8, 0.3], [0.2, 0.7]]],
        PAIR,
        0.25,
        [[[0, 0.5], [0.5, 0]]],
    ),
    # I = (0.8, 1.3), A = (1.5, 1.5), B = (1, 2); v = (1, 1/4): 1 - (1.6 + 0.65) / (2.5 + 3.5 / 4) = 1 - 2.25 / 3.375.
    # dI = -2 v / 3.375, dA = v 2.25 / 3.375^2 = v 2 / 3 / 3.375.
    "by hand: generalized": (
        Generalized(smooth=0, activation=None),
        [[[0.8, 0.3, 0.4], [0.2, 0.7, 0.6]]],
        [[0, 1, 1]],
        1 / 3,
        np.array([[[-4 / 3, 2 / 3, 2 / 3], [1 / 6, -1 / 3, -1 / 3]]]) / 3.375,
    ),
    # v = (1, 1/2): 1 - (1.6 + 1.3) / (2.5 + 1.75).
    "by hand: generalized, simple": (
        Generalized(weighting="simple", smooth=0, activation=None),
        [[[0.8, 0.3, 0.4], [0.2, 0.7, 0.6]]],
        [[0, 1, 1]],
        1 - 2.9 / 4.25,
        None,
    ),
    # v = 1: 1 - (1.6 + 2.6) / 6; and with class weights (1, 0): only class 0.
    "by hand: generalized, uniform": (
        Generalized(weighting="uniform", smooth=0, activation=None),
        [[[0.8, 0.3, 0.4], [0.2, 0.7, 0.6]]],
        [[0, 1, 1]],
        0.3,
        None,
    ),
    "by hand: generalized, weighted": (
        Generalized(class_weight=[3, 0], smooth=0, activation=None),
        [[[0.8, 0.3, 0.4], [0.2, 0.7, 0.6]]],
        [[0, 1, 1]],
        1 - 1.6 / 2.5,
        None,
    ),
    # Class 1 absent, p = 1/2 at four pixels. Class 0: I = A = 2, B = 4; class 1: I = B = 0, A = 2.
    "absent: dice": (Dice(), HALVES, [[0] * 4], (2 - (4 + s) / (6 + s) - s / (2 + s)) / 2, None),
    "absent: zero": (Dice(absent="zero"), HALVES, [[0] * 4], (1 - (4 + s) / (6 + s)) / 2, None),
    "absent: skip": (Dice(absent="skip"), HALVES, [[0] * 4], 1 - (4 + s) / (6 + s), None),
    "absent: nan": (Dice(absent="nan"), HALVES, [[0] * 4], NAN, None),
    # Of class 0, TP = FN = 2, and there is no negative: s / s. Of class 1, TN = FP = 2, and no positive: s / s.
    # The gradient in x_0 is p_0 p_1 (u_0 - u_1) with u_0 = -b / B, u_1 = (1 - b) / W, over 2 classes.
    "absent: both": (
        Both(),
        HALVES,
        [[0] * 4],
        (1 - (2 + s) / (4 + s)) / 2,
        np.array([[[-1.0] * 4, [1.0] * 4]]) / 8 / (4 + s),
    ),
    # v = 1/16 in both (class 1 has class 0's); times 16: (2 * 2 + 16 s) / (2 + 4 + 2 + 16 s).
    "absent: generalized": (Generalized(), HALVES, [[0] * 4], 1 - (4 + 16 * s) / (8 + 16 * s), None),
    "absent: generalized, skip": (
        Generalized(absent="skip"),
        HALVES,
        [[0] * 4],
        1 - (4 + 16 * s) / (6 + 16 * s),
        None,
    ),
    # Only the absent class is chosen: no v is finite, s / s; or nothing is left; or v = 1, and I = B = 0, A = 2.
    "nothing but absent: generalized": (Generalized(classes=[1]), HALVES, [[0] * 4], 0.0, 0.0),
    "nothing but absent: generalized, skip": (Generalized(classes=[1], absent="skip"), HALVES, [[0] * 4], NAN, 0.0),
    "nothing but absent: generalized, uniform": (
        Generalized(classes=[1], weighting="uniform"),
        HALVES,
        [[0] * 4],
        1 - s / (2 + s),
        None,
    ),
    # Unsmoothed. Class 0: I = A = B = 2, dI = -2 / 4, dA = 4 / 4^2, so -1/4 at both pixels, over 2 classes. Class 1:
    # 0 / max(0, 1e-7), loss 1; dI = -2e7 meets no pixel, and dA is the bound's, 0.
    "empty: dice": (
        Dice(activation=None, smooth=0),
        [[[1, 1], [0, 0]]],
        [[0, 0]],
        0.5,
        [[[-0.125, -0.125], [0, 0]]],
    ),
    # Of no pixel at all: every sum is 0. s / s, or 0 / 1e-7.
    **{f"all ignored: {loss.__name__}": (loss(), [[[NAN, INF]] * 2], NOTHING, 0.0, 0.0) for loss in ALL},
    **{
        f"all ignored, unsmoothed: {loss.__name__}": (loss(smooth=0), [[[NAN, INF]] * 2], NOTHING, 1.0, 0.0)
        for loss in ALL
    },
    **{
        f"all ignored, skip: {loss.__name__}": (loss(absent="skip"), [[[NAN, INF]] * 2], NOTHING, NAN, 0.0)
        for loss in ALL
    },
    # One pixel, p = 1/2. Class 0: I = A = 1/2, B = 1; class 1: I = B = 0, A = 1/2.
    "one pixel: dice": (Dice(), [[[0], [0]]], [[0]], (2 - (1 + s) / (1.5 + s) - s / (0.5 + s)) / 2, None),
    "one pixel, no sample axis": (Dice(), [0, 0], 0, (2 - (1 + s) / (1.5 + s) - s / (0.5 + s)) / 2, None),
    # Class 0: (1/2 + s) / (1 + s) and s / s; class 1: s / s and (1/2 + s) / (1 + s).
    "one pixel: both": (Both(), [[[0], [0]]], [[0]], (1 - (0.5 + s) / (1 + s)) / 2, None),
    # v = 1 in both: (1 + s) / (1/2 + 1 + 1/2 + s).
    "one pixel: generalized": (Generalized(), [[[0], [0]]], [[0]], 1 - (1 + s) / (2 + s), None),
    "one pixel: one channel": (Dice(activation="sigmoid"), [[[0]]], [[1]], 1 - (1 + s) / (1.5 + s), None),
    # B = (1e-30, 1), so v = (1e60, 1), beyond float32; p = 1/2: 2 v I / (v (A + B)) = 1e-30 / 0.5 of class 0.
    "a weight beyond float32": (Generalized(), [[[0], [0]]], [[[1e-30], [1.0]]], 1.0, None),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", ROWS)
def test_value_and_gradient(row, dtype, backend):
    loss, x, y, value, gradient = ROWS[row]
    y = np.asarray(y)
    # A dozen roundings of sums of a few pixels, and of exp.
    tolerance = 16 * float(np.finfo(dtype).eps)
    got, got_gradient = loss.value_and_grad(np.asarray(x, dtype), y)
    assert got == pytest.approx(value, rel=tolerance, abs=tolerance, nan_ok=True)
    assert np.isfinite(got_gradient).all()
    if gradient is not None:
        gradient = np.broadcast_to(gradient, got_gradient.shape)
        # Nothing but 0 is near 0; else, relative to the largest.
        np.testing.assert_allclose(got_gradient, gradient, rtol=0, atol=tolerance * np.abs(gradient).max())


@pytest.mark.parametrize("loss", ALL)
def test_a_loss_of_a_whole_batch_counts_a_class_that_is_absent_in_one_sample(loss, backend):
    """The samples as one: the same pixels in one image."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3, 10)), rng.integers(0, 3, (2, 10))
    y[0][y[0] == 2] = 1
    one = loss()(np.concatenate(x, axis=-1)[None], np.concatenate(y)[None])
    assert loss(batch=True)(x, y) == pytest.approx(one, rel=1e-14)
    assert loss(batch=True, absent="skip")(x, y) == pytest.approx(one, rel=1e-14)


def test_generalized_dice_has_one_value_a_sample(backend):
    """The second sample has no class 1: it does not count, and its gradient is 0."""
    x, y = np.zeros((2, 2, 4)), np.array([[0, 0, 1, 1], [0, 0, 0, 0]])
    options = {"classes": [1], "absent": "skip"}
    first = fl.GeneralizedDiceLoss(classes=[1])(x[:1], y[:1])
    values, gradient = fl.GeneralizedDiceLoss(reduction="none", **options).value_and_grad(x, y)
    np.testing.assert_array_equal(values, [first, np.nan])
    assert gradient[0].all()
    assert not gradient[1].any()
    assert fl.GeneralizedDiceLoss(**options)(x, y) == first
    assert fl.GeneralizedDiceLoss(classes=[1])(x, y) == first / 2  # kept: 0, and counted
    assert fl.GeneralizedDiceLoss(reduction="none")(x[:, :, 0], y[:, 0]).shape == (2,)
    assert fl.GeneralizedDiceLoss(reduction="none", batch=True)(x, y).shape == ()
    assert fl.GeneralizedDiceLoss(reduction="none")(x[0, :, 0], y[0, 0]).shape == ()
    report = fl.evaluate({"a": fl.GeneralizedDiceLoss(), "b": fl.GeneralizedDiceLoss(batch=True)}, x, y)
    assert np.isnan([report.per_class["a"], report.per_class["b"]]).all()
    assert (report + report).per_class["a"].shape == (2,)


@pytest.mark.parametrize("weighting", ["square", "simple", "uniform"])
@pytest.mark.parametrize("weight", [0.01, 1.0, 1e12])
def test_generalized_dice_without_smoothing_takes_any_number_of_pixels(weighting, weight, backend):
    """p = 1/2, two pixels each class: I = w, A = B = 2 w: 1 - 4 v w / (8 v w) = 1/2, however small v = 1 / B^2."""
    loss = fl.GeneralizedDiceLoss(smooth=0, weighting=weighting)
    value, gradient = loss.value_and_grad(np.zeros((1, 2, 4)), [[0, 0, 1, 1]], pixel_weight=weight)
    assert value == pytest.approx(0.5, rel=1e-14)
    # p_0 p_1 dI w = -1/4 * 2 v / (8 v w) * w
    np.testing.assert_allclose(gradient[0, 0], np.array([-1, -1, 1, 1]) / 16, rtol=1e-14)


def test_factors_of_a_class_stay_out_of_the_mean(backend):
    """Losses 5/21 and 5/19, as above: class_alpha multiplies them, class_weight weighs their mean."""
    x, y = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    options = {"gamma": 1, "smooth": 0, "activation": None}
    a, b = 5 / 21, 5 / 19
    assert fl.FocalTverskyLoss(class_alpha=[3, 1], **options)(x, y) == pytest.approx((3 * a + b) / 2, rel=1e-14)
    assert fl.FocalTverskyLoss(class_weight=[3, 1], **options)(x, y) == pytest.approx((3 * a + b) / 4, rel=1e-14)
    assert fl.FocalTverskyLoss(**options)(x, y) == pytest.approx((a + b) / 2, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [0.01, 0.25, 0.75, 0.999])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_the_gradient_of_a_perfect_prediction_is_finite(gamma, activation, dtype, backend):
    y = np.random.default_rng(0).integers(0, 3, (2, 50))
    x = np.moveaxis(np.eye(3)[y], -1, 1).astype(dtype)
    x = x if activation is None else 2000 * x - 1000
    value, gradient = fl.FocalTverskyLoss(gamma=gamma, activation=activation).value_and_grad(x, y)
    assert value == 0
    assert np.isfinite(gradient).all()
    assert gradient.any() == (activation is None)


def test_fractions_of_pixels(backend):
    """W - B, of sums that are rounded apart, is never below 0: were it, s = 1e-5 would not keep the ratio from 1e7."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 2, 1000)).astype(np.float32), rng.random((1, 1000))
    y = np.zeros((1, 1000), int)
    value = fl.SensitivitySpecificityLoss(b=0)(x, y, pixel_weight=w)
    p = fl.softmax(x.astype(np.float64), axis=1)[0, 1]
    # Class 0 has no negatives: 0. Of class 1, all are: TN = sum w (1 - p).
    assert value == pytest.approx((w[0] * p).sum() / w.sum() / 2, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F", "channels last"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch", [False, True])
def test_a_class_that_fills_the_image_has_no_negatives(dtype, order, weighted, batch, backend):
    """A - I and W - B cancel to 0, not to what is left of sums in two orders: over the floor 1e-7 it would show."""
    rng = np.random.default_rng(0)
    x, y = rng.random((1, 2, 61, 67)).astype(dtype), np.zeros((1, 61, 67), int)
    w = rng.random(y.shape).astype(dtype) if weighted else np.ones(y.shape, dtype)
    p = x[:, 0].astype(np.float64)
    if order == "F":
        x = np.asfortranarray(x)
    elif order == "channels last":
        x = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    loss = fl.SensitivitySpecificityLoss(activation=None, smooth=0, b=0.2, classes=[0], batch=batch)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w if weighted else None)
    assert value == pytest.approx(1 - 0.2 * (w * p).sum(dtype=np.float64) / w.sum(dtype=np.float64), rel=1e-6)
    np.testing.assert_allclose(gradient[:, 0], -0.2 * w / w.sum(dtype=np.float64), rtol=1e-6)
