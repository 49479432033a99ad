"""Tests values and gradients worked out by hand, with a derivation per row of ROWS, and extreme options and sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastloss as fl

INF, NAN = np.inf, np.nan
SUM = {"reduction": "sum"}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


HALVES = [[0.0, 0.0, -INF]]  # p = (1/2, 1/2, 0)
LOG2, LOG3, LOG5 = math.log(2), math.log(3), math.log(5)
MOST = 1e12  # the largest slope of a log of given probabilities
CE, NLL, CCE = fl.CrossEntropyLoss, fl.NLLLoss, fl.CategoricalCrossEntropyLoss
JS, KL, Balanced = fl.JSDivLoss, fl.KLDivLoss, fl.BalancedBCELoss
Perceptron, Multilabel = fl.PerceptronLoss, fl.MultiLabelSoftMarginLoss
ones = np.ones

# (loss, input, target, value, gradient)
ROWS = {
    # ---- cross entropy: p - y
    "ce: sure and right": (CE(), [[1e4, -1e4]], [0], 0.0, [[0, 0]]),
    "ce: sure and wrong": (CE(), [[1e4, -1e4]], [1], 2e4, [[1, -1]]),
    # log1p(e^-40) = e^-40 to 18 digits, and p_0 - 1 = -e^-40.
    "ce: confident": (CE(), [[40, 0]], [0], math.exp(-40), [[-math.exp(-40), math.exp(-40)]]),
    "ce: masked": (CE(), HALVES, [0], LOG2, [[-0.5, 0.5, 0]]),
    "ce: the target masked": (CE(), HALVES, [2], INF, [[0.5, 0.5, -1]]),
    "ce: masked, and dense": (CE(), HALVES, [[0.25, 0.75, 0]], LOG2, [[0.25, -0.25, 0]]),
    "ce: masked, and smoothed": (CE(label_smoothing=0.3), HALVES, [0], INF, [[-0.3, 0.4, -0.1]]),
    # A masked class of weight 0 takes no part in the smoothing: t = (0.9, 0.1) and 0.1 log 2 + 0.9 log 2.
    "ce: masked, without weight, and smoothed": (
        CE(label_smoothing=0.3, class_weight=[1, 1, 0], reduction="sum"),
        HALVES,
        [0],
        0.7 * LOG2 + 0.1 * 2 * LOG2,
        [[0.9 / 2 - 0.8, 0.9 / 2 - 0.1, 0]],
    ),
    "ce: the target masked and without weight": (CE(class_weight=[1, 1, 0], **SUM), HALVES, [2], 0.0, [[0, 0, 0]]),
    # Smoothing 1: the label does not count. lse - mean(x) = log 2.
    "ce: all smooth": (CE(label_smoothing=1), [[5, 5]], [1], LOG2, [[0, 0]]),
    # lse = log 4 + 0, x = (log 3, 0): mean of (log 4/3, log 4); p = (3/4, 1/4).
    "ce: all smooth, by hand": (CE(label_smoothing=1), [[LOG3, 0]], [1], 2 * LOG2 - LOG3 / 2, [[0.25, -0.25]]),
    "ce: one class": (CE(), [[-7.5], [1e4]], [0, 0], 0.0, [[0], [0]]),
    "ce: one class, smoothed": (CE(label_smoothing=0.5), [[-7.5]], [0], 0.0, [[0]]),
    "ce: 70000 classes": (
        CE(),
        np.zeros((1, 70000)),
        [69999],
        math.log(70000),
        [[1 / 70000] * 69999 + [1 / 70000 - 1]],
    ),
    "ce: one pixel without an axis of samples": (CE(), [0.0, LOG3], 1, 2 * LOG2 - LOG3, [0.25, -0.25]),
    "ce: all ignored": (CE(), [[1, 2], [3, 4]], [-100, -100], NAN, [[0, 0], [0, 0]]),
    "ce: all ignored, summed": (CE(**SUM), [[1, 2], [NAN, INF]], [-100, -100], 0.0, [[0, 0], [0, 0]]),
    "ce: all weights 0": (CE(class_weight=[0, 0]), [[1, 2], [3, 4]], [0, 1], NAN, [[0, 0], [0, 0]]),
    "ce: all weights 0, summed": (CE(class_weight=[0, 0], **SUM), [[1, 2], [3, 4]], [0, 1], 0.0, [[0, 0], [0, 0]]),
    "ce: no pixel": (CE(), np.zeros((2, 3, 0)), np.zeros((2, 0), int), NAN, np.zeros((2, 3, 0))),
    "ce: no sample, summed": (CE(**SUM), np.zeros((0, 3)), np.zeros(0, int), 0.0, np.zeros((0, 3))),
    # ---- the same of log-probabilities and of probabilities
    "nll: of -inf": (NLL(), [[0, -INF]], [0], 0.0, [[-1, 0]]),
    "nll: the target's -inf": (NLL(), [[0, -INF]], [1], INF, [[0, -1]]),
    "nll: dense, 0 times -inf": (NLL(), [[0, -INF]], [[1.0, 0]], 0.0, [[-1, 0]]),
    "nll: -inf without weight": (NLL(class_weight=[1, 0], **SUM), [[0, -INF]], [1], 0.0, [[0, 0]]),
    "cce: p of 1": (CCE(), [[1, 0]], [0], 0.0, [[-1, 0]]),
    "cce: p of 0": (CCE(), [[1, 0]], [1], 100.0, [[0, -MOST]]),
    "cce: 0 log 0": (CCE(), [[1, 0]], [[1.0, 0]], 0.0, [[-1, 0]]),
    # t = (1/2, 1/2): (0 + 100) / 2.
    "cce: all smooth": (CCE(label_smoothing=1), [[1, 0]], [1], 50.0, [[-0.5, -MOST / 2]]),
    "cce: p of 0 without weight": (CCE(class_weight=[1, 0], **SUM), [[1, 0]], [1], 0.0, [[0, 0]]),
    # ---- focal with given p: 1 - p = 0 is e^-100 as its log, whose powers of 1/2 and more are nothing
    **{
        f"focal: p of 1, {g}": (fl.FocalLoss(gamma=g, activation=None), [[1, 0]], [0], 0.0, [[0, 0]])
        for g in (0.5, 1, 5)
    },
    "focal: p of 1, gamma 0": (fl.FocalLoss(gamma=0, activation=None), [[1, 0]], [0], 0.0, [[-1, 0]]),
    # 1 - p = 1: -log p and its slope as in cross entropy; and gamma log p = -100 gamma.
    **{
        f"focal: p of 0, {g}": (fl.FocalLoss(gamma=g, activation=None), [[1, 0]], [1], 100.0, [[0, -MOST - 100 * g]])
        for g in (0, 0.5, 1, 5)
    },
    "focal: a masked class": (fl.FocalLoss(gamma=1), HALVES, [0], LOG2 / 2, [[-0.25 - LOG2 / 4, 0.25 + LOG2 / 4, 0]]),
    "focal: the target masked": (fl.FocalLoss(), HALVES, [2], INF, [[0.5, 0.5, -1]]),
    "focal: the target masked, alpha 0": (fl.FocalLoss(alpha=[1, 1, 0]), HALVES, [2], 0.0, [[0, 0, 0]]),
    # Independent classes: only of the label's logit. p = q = 1/2: q log 2; slope -q^2 + q p log p = -1/4 - log(2) / 4.
    "focal: sigmoid": (
        fl.FocalLoss(gamma=1, activation="sigmoid"),
        [[0, 1e4]],
        [0],
        LOG2 / 2,
        [[-0.25 - LOG2 / 4, 0]],
    ),
    # ---- perceptron: the first of equal maxima takes the gradient
    "perceptron: a tie": (Perceptron(), [[1, 1, 0]], [2], 1.0, [[1, 0, -1]]),
    "perceptron: the label ties, and is first": (Perceptron(), [[1, 1, 0]], [0], 0.0, [[0, 0, 0]]),
    "perceptron: the label ties": (Perceptron(), [[1, 1, 0]], [1], 0.0, [[1, -1, 0]]),
    "perceptron: large": (Perceptron(), [[1e4, -1e4]], [1], 2e4, [[1, -1]]),
    "perceptron: the target masked": (Perceptron(), HALVES, [2], INF, [[1, 0, -1]]),
    "perceptron: masked, and dense": (Perceptron(), HALVES, [[0.5, 0.5, 0]], 0.0, [[0.5, -0.5, 0]]),
    "perceptron: one class": (Perceptron(), [[3]], [0], 0.0, [[0]]),
    # ---- Kullback-Leibler
    "kl: y of 0 at -inf": (KL(**SUM), [-INF, -1], [0, 1], 1.0, [0, -1]),
    "kl: y at -inf": (KL(**SUM), [-INF], [0.5], INF, [-0.5]),
    "kl: log y of -inf": (KL(log_target=True, **SUM), [-INF, -1], [-INF, 0], 1.0, [0, -1]),
    "kl: batchmean": (KL(reduction="batchmean"), [[0, -1], [-2, -3]], [[1, 0], [0, 1]], 1.5, [[-0.5, 0], [0, -0.5]]),
    # ---- Jensen-Shannon. Disjoint: m = 1/2 in both classes: log 2.
    # At p = 0, y = 1: -(1/2)(1/2)(1 / (1/2)) + (-100 + 1 - 0) / 2 = -50; at p = 1, y = 0: (log 2 + 1 - 1) / 2.
    "js: disjoint": (JS(), [[0, 1]], [[1, 0]], LOG2, [[-50, LOG2 / 2]]),
    # p = y: at 1 -(1/2)(1/2) + (0 + 1 - 1/2) / 2 = 0; at 0 (log 2 + 1 - 1) / 2.
    "js: the same": (JS(), [[1, 0]], [[1, 0]], 0.0, [[0, LOG2 / 2]]),
    "js: disjoint logits": (JS(activation="softmax"), [[-1e4, 1e4]], [[1, 0]], LOG2, [[0, 0]]),
    # p = (1/2, 1/2, 0), y = (1, 0, 0): KL(y|m) = log 4/3; KL(p|m) = (log 2/3 + log 2) / 2.
    "js: a masked class": (
        JS(activation="softmax", **SUM),
        HALVES,
        [0],
        (2 * LOG2 - LOG3 + LOG2 - LOG3 / 2) / 2,
        [[-LOG3 / 8, LOG3 / 8, 0]],
    ),
    # alpha = 1: the target's log 0 is -100: KL(y|p) = log 2, KL(p|y) = -log 2 + 50.
    "js: alpha 1": (JS(alpha=1, activation="softmax"), HALVES, [0], 25.0, [[-12.75, 12.75, 0]]),
    # alpha = 0: m(p) = y and m(y) = p.
    "js: alpha 0": (JS(alpha=0), [[0, 1]], [[1, 0]], 0.0, [[0, 0]]),
    "js: one class": (JS(), [[1]], [0], 0.0, [[0]]),
    "js: all ignored": (JS(), [[0, 1]], [-100], NAN, [[0, 0]]),
    # ---- balanced: b = 1 if there are only negatives and 0 if there are only positives, so neither counts
    **{
        f"balanced: {name}, y = {y}": (Balanced(activation=a), [[*x]], [[y, y]], 0.0, [[0, 0]])
        for name, a, x in (
            ("1e4", "sigmoid", (1e4, -1e4)),
            ("inf", "sigmoid", (INF, -INF)),
            ("p of 0 and 1", None, (0, 1)),
        )
        for y in (0.0, 1.0)
    },
    # b = 3/4: (3/4 * 2e4 + 1/4 (0 + 1e4 + log 2)) / 4.
    "balanced: by hand": (
        Balanced(),
        [[-2e4, -1e4, 1e4, 0]],
        [[1, 0, 0, 0]],
        (1.5e4 + 0.25e4 + LOG2 / 4) / 4,
        [[-3 / 16, 0, 1 / 16, 1 / 32]],
    ),
    # ---- multi-label
    "multilabel: sure": (Multilabel(), [[1e4, -1e4]], [[1, 0]], 0.0, [[0, 0]]),
    "multilabel: sure and wrong": (Multilabel(), [[1e4, -1e4]], [[0, 1]], 1e4, [[0.5, -0.5]]),
    "multilabel: inf": (Multilabel(), [[INF, -INF]], [[1, 0]], 0.0, [[0, 0]]),
    "multilabel: inf without weight": (Multilabel(class_weight=[0, 1]), [[INF, 0]], [[0, 1]], LOG2 / 2, [[0, -0.25]]),
    # ---- one element, no element, nothing kept
    "bce: one element": (fl.BCEWithLogitsLoss(), 0.0, 1.0, LOG2, -0.5),
    "bce: no element": (fl.BCEWithLogitsLoss(), np.zeros((0, 2)), np.zeros((0, 2)), NAN, np.zeros((0, 2))),
    "bce: no element, summed": (fl.BCELoss(**SUM), np.zeros(0), np.zeros(0), 0.0, np.zeros(0)),
    "bce: a NaN": (fl.BCEWithLogitsLoss(), [NAN, 0], [1, 1], NAN, [NAN, -0.25]),
}


@DTYPES
@pytest.mark.parametrize("row", ROWS)
def test_by_hand(row, dtype, backend):
    loss, x, y, value, gradient = ROWS[row]
    # A dozen roundings; nothing but 0 is near 0, up to powers of e^-100.
    tolerance = 16 * float(np.finfo(dtype).eps)
    x, y = np.asarray(x, dtype), np.asarray(y)
    got, got_gradient = loss.value_and_grad(x, y.astype(float) if y.shape == x.shape else y)
    assert got == pytest.approx(value, rel=tolerance, abs=1e-20, nan_ok=True)
    gradient = np.broadcast_to(gradient, np.shape(x))
    largest = np.nanmax(np.abs(gradient), initial=0)
    np.testing.assert_allclose(got_gradient, gradient, rtol=0, atol=max(tolerance * largest, 1e-20))


def test_sums_over_very_many_classes_lose_no_digits(backend):
    """Equal terms, whose roundings all go one way: in float32 70000 of them would lose three digits."""
    C, eps = 70000, float(np.finfo(np.float32).eps)
    zeros = np.zeros((1, C), np.float32)
    value, gradient = Multilabel().value_and_grad(zeros, zeros)
    assert value == pytest.approx(LOG2, rel=4 * eps)
    np.testing.assert_allclose(gradient, 0.5 / C, rtol=4 * eps)
    # p = 1/C, y = 1/2 in two classes: of the others dl/dlog p = log(2) p / 2, which sum up to nearly log(2) / 2.
    y = np.zeros((1, C))
    y[0, :2] = 0.5
    loss = JS(activation="softmax")
    (value, gradient), want = loss.value_and_grad(zeros, y), loss.value_and_grad(zeros.astype(float), y)
    assert value == pytest.approx(want[0], rel=16 * eps)
    np.testing.assert_allclose(gradient, want[1], rtol=16 * eps, atol=16 * eps * LOG2 / C)


@DTYPES
@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("part", [1, 100, 2**20])  # of the smallest normal number: subnormal ones
def test_quotients_of_the_smallest_probabilities_are_bounded(alpha, part, dtype, backend):
    """p / m is at most 1 / (1 - alpha), though (1 - alpha) p may be 0; the slope at y = 0 is that of p = 0."""
    tiny, one = float(np.finfo(dtype).smallest_normal) / part, np.ones(1, dtype)
    most = -np.log1p(-alpha)
    for loss in (JS(alpha=alpha, **SUM), JS(alpha=alpha, binary=True, **SUM), fl.BinaryKLDivLoss(alpha=alpha, **SUM)):
        at_0 = loss.value_and_grad(np.zeros((1, 1), dtype), [[0.0]])
        for p, y in ((tiny, 0.0), (0.0, tiny), (tiny, tiny)):
            value, gradient = loss.value_and_grad(p * one[None], [[y]])
            assert abs(value) <= 2 * tiny * most
            assert np.isfinite(gradient).all()
            if y == 0:
                np.testing.assert_allclose(gradient, at_0[1], rtol=1e-3)  # float32's 1 - 0.999


@DTYPES
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_options_of_the_least_and_the_largest_size(size, dtype, backend):
    x, y = np.array([[1e-3, 0.5, 2.0], [-1.0, 0.25, 1.0]], dtype), np.array([[0.0, 0.5, 1.0], [1.0, 0.0, 0.0]])
    for loss in (
        fl.SmoothL1Loss(beta=size),
        fl.HuberLoss(delta=size),
        fl.PseudoHuberLoss(delta=size),
        fl.BCEWithLogitsLoss(pos_weight=size),
        CE(class_weight=[1, size, 0]),
        fl.FocalLoss(gamma=size, alpha=[1, size, 0]),
        fl.DiceLoss(class_weight=[1, size, 0], smooth=size),
        fl.TverskyLoss(alpha=size, beta=1, smooth=0),
        size * fl.DiceLoss(),
    ):
        value, gradient = loss.value_and_grad(x, y)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    assert fl.SmoothL1Loss(beta=1e-30)(x, y) == pytest.approx(fl.L1Loss()(x, y), rel=1e-6)
    assert fl.HuberLoss(delta=1e30)(x, y) == pytest.approx(fl.MSELoss()(x, y) / 2, rel=1e-6)


@pytest.mark.parametrize("loss", [Balanced(reduction="none"), Balanced(reduction="none", activation=None)])
def test_balanced_maps_of_one_side_are_0(loss, backend):
    x = [[INF, -INF]] if loss.activation else [[0.0, 1.0]]
    for y in ([[0.0, 0.0]], [[1.0, 1.0]]):
        np.testing.assert_array_equal(loss(np.array(x), y), [[0, 0]])


def test_masked_pixels_in_every_reduction(backend):
    """Weights of 0 silence a NaN and an infinite loss alike, and the others' loss is as if those were not there."""
    x = np.array([[[0.0, -INF, NAN], [LOG3, 0.0, 1.0]]])
    loss = CE(reduction="none")
    np.testing.assert_allclose(loss(x, [[1, 0, 0]], pixel_weight=[[1, 0, 0]]), [[2 * LOG2 - LOG3, 0, 0]], rtol=1e-15)
    value, gradient = CE().value_and_grad(x, [[1, 0, 0]], pixel_weight=[[1, 0, 0]])
    assert value == pytest.approx(2 * LOG2 - LOG3, rel=1e-15)
    np.testing.assert_allclose(gradient, [[[0.25, 0, 0], [-0.25, 0, 0]]], rtol=1e-15)


@pytest.mark.extended
def test_the_perceptrons_gradient_is_of_one_class_beyond_2_to_the_24(backend):
    """From where float32 does not count."""
    x = np.zeros((1, 2**24 + 4), np.float32)
    x[0, -2] = 1
    value, gradient = fl.PerceptronLoss().value_and_grad(x, [5])
    assert value == 1
    assert [(int(c), gradient[0, c]) for c in np.flatnonzero(gradient)] == [(5, -1), (2**24 + 2, 1)]
