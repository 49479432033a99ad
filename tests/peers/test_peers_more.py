"""Tests MCC, unified focal, log-Dice and poly losses against MONAI 1.6.1, smp 0.6.0 and optax 0.2.8.

Each test is a row of docs/peers-more.md.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from situations import (
    ACTIVATIONS,
    ONE_CHANNEL,
    SITUATIONS,
    activations,
    compare,
    data,
    ignoring,
    monai,
    one_channel,
    one_hot,
    situations,
    smp,
    soft,
    softmax,
    torch,
    weights,
)

import fastloss as fl

pytestmark = pytest.mark.extended
# Of a class that is absent or fills the image, MONAI's TN or TP is a rounding error, and so is its numerator.
ROOT = 1e-9  # the root of a product of sizes near 0 is less precise than the product
MCC_SITUATIONS = pytest.mark.parametrize("situation", [s for s in SITUATIONS if s != "one pixel"])


@MCC_SITUATIONS
@activations
def test_monai_mcc(situation, activation, backend):
    x, y = data(situation)
    theirs, ours = ACTIVATIONS[activation]
    x = softmax(x) if activation == "probabilities" else x
    for batch, (num, den) in itertools.product([False, True], [(0.0, 1e-5), (0.5, 1.0)]):
        own = {"smooth_nr": num, "smooth_dr": den, "batch": batch}
        loss = fl.MCCLoss(smooth=(num, den), batch=batch, **ours)
        compare(loss, monai.MCCLoss(to_onehot_y=True, **theirs, **own), x, y, y[:, None], ROOT)
        loss = fl.MCCLoss(smooth=(num, den), batch=batch, classes=range(1, x.shape[1]), reduction="none", **ours)
        peer = monai.MCCLoss(include_background=False, reduction="none", **theirs, **own)
        compare(loss, peer, x, soft(x), soft(x), ROOT)


@pytest.mark.parametrize("seed", range(4))
def test_smp_mcc(seed, backend):
    """smp adds e to each of the four counts, and its sums run over the batch: as two pixels of p = 1/2 would, of weight
    2 e, one in each class."""
    x, y = one_channel("some", seed=seed)
    p, e = 1 / (1 + np.exp(-x)), 0.25
    more = np.concatenate([p.reshape(1, 1, -1), np.full((1, 1, 2), 0.5)], axis=2)
    labels = np.append(y.reshape(1, -1), [[0, 1]], axis=1)
    weight = np.append(np.ones((1, y.size)), [[2 * e, 2 * e]], axis=1)
    loss = fl.MCCLoss(activation=None, smooth=0.0)
    value, gradient = loss.value_and_grad(more, labels, pixel_weight=weight)
    t = torch.tensor(p, requires_grad=True)
    want = smp.MCCLoss(eps=e)(t, torch.tensor(y))
    want.backward()
    assert value == pytest.approx(want.item(), rel=1e-12)
    np.testing.assert_allclose(gradient[..., :-2].reshape(p.shape), t.grad.numpy(), rtol=1e-9, atol=1e-12)


def two_classes(situation):
    """Probabilities and labels of two classes; the first is the background. MONAI takes images only."""
    x, y = data(situation)
    p = softmax(x[:, :2].reshape(len(x), 2, -1, 1))
    return np.clip(p, 1e-6, 1 - 1e-6), np.minimum(y, 1).reshape(len(y), -1, 1)


@situations
def test_monai_unified_focal(situation, backend):
    p, y = two_classes(situation)
    for weight, gamma, delta in itertools.product([0.5, 0.2, 1.0], [0.5, 0.2, 0.0], [0.6, 0.75]):
        loss = fl.AsymmetricUnifiedFocalLoss(weight=weight, gamma=gamma, delta=delta, activation=None)
        peer = monai.AsymmetricUnifiedFocalLoss(to_onehot_y=True, weight=weight, gamma=gamma, delta=delta)
        # (1 - T) ** 0.5 near T = 1 has half the digits of T.
        compare(loss, peer, p, y, y[:, None], tolerance=1e-7 if situation in ROOTS else 1e-11)


ROOTS = ("all background", "all of one class", "one pixel", "confident")


@situations
def test_smp_log_dice(situation, backend):
    x, given = data(situation)
    options = [{}, {"smooth": 1.5}, {"class_weights": weights(x.shape[1])}]
    for own, ignore in itertools.product(options, [None, 255]):
        y, index = (given, -100) if ignore is None else (ignoring(given), ignore)
        peer = smp.DiceLoss("multiclass", log_loss=True, ignore_index=ignore, **own)
        smooth, w = 2 * own.get("smooth", 0.0), own.get("class_weights")
        loss = fl.LogDiceLoss(batch=True, absent="zero", smooth=smooth, class_weight=w, ignore_index=index)
        compare(loss, peer, x, y, y)


@pytest.mark.parametrize("situation", ONE_CHANNEL)
def test_smp_log_dice_of_one_channel(situation, backend):
    x, y = one_channel(situation)
    loss = fl.LogDiceLoss(activation="sigmoid", batch=True, absent="zero", smooth=0.0)
    compare(loss, smp.DiceLoss("binary", log_loss=True), x, y, y)


@situations
@activations
def test_log_cosh_dice(situation, activation, backend):
    """The formula of Jadon 2020, of MONAI's Dice loss."""
    x, y = data(situation)
    theirs, ours = ACTIVATIONS[activation]
    x = softmax(x) if activation == "probabilities" else x
    dice = monai.DiceLoss(to_onehot_y=True, reduction="none", **theirs)
    loss = fl.LogCoshDiceLoss(**ours)
    compare(loss, lambda t, y: torch.log(torch.cosh(dice(t, y))).mean(), x, y, y[:, None])


@situations
def test_poly_loss_cross_entropy(situation, backend):
    """optax's formula, which is one line: dense targets, hard and soft, and labels."""
    x, y = data(situation)
    hot = one_hot(y, x.shape[1])
    for epsilon in (1.0, 2.0, -0.5, 0.0):

        def peer(t, target, epsilon=epsilon):
            log_p = t.log_softmax(1)
            return (-(target * log_p).sum(1) + epsilon * (target * (1 - log_p.exp())).sum(1)).mean()

        for ours, theirs in ((y, hot), (hot, hot), (soft(x), soft(x))):
            compare(fl.PolyLoss(epsilon=epsilon), peer, x, ours, theirs)


def test_optax_itself(backend):
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    rng = np.random.default_rng(0)
    for seed in range(30):
        x = rng.standard_normal((2, 7, 4)).astype(np.float32)
        target = np.asarray(softmax(np.moveaxis(rng.standard_normal(x.shape), -1, 1)))
        target = np.moveaxis(target, 1, -1).astype(np.float32)
        epsilon = float(seed - 10) / 8

        def theirs(x, target=target, epsilon=epsilon):
            return optax.losses.poly_loss_cross_entropy(x, target, epsilon=epsilon).mean()

        want, want_gradient = jax.value_and_grad(theirs)(x)
        value, gradient = fl.PolyLoss(epsilon=epsilon, axis=-1).value_and_grad(x, target)
        assert value == pytest.approx(float(want), rel=1e-5, abs=1e-6)
        np.testing.assert_allclose(gradient, np.asarray(want_gradient), rtol=1e-5, atol=1e-7)
