"""Tests region losses against segmentation_models_pytorch 0.6.0. Each test is a row of docs/peers.md."""

from __future__ import annotations

import numpy as np
import pytest
from situations import (
    ONE_CHANNEL,
    SITUATIONS,
    compare,
    data,
    ignoring,
    one_channel,
    one_hot,
    situations,
    smp,
    softmax,
    torch,
    weights,
)

import fastloss as fl

pytestmark = pytest.mark.extended

# It sums over the batch, counts an absent class as 0 and does not smooth: so these of ours.

SMP = {"batch": True, "absent": "zero"}
TVERSKY = {"alpha": 0.3, "beta": 0.8}
SMP_LOSSES = {
    "dice": (smp.DiceLoss, lambda smooth=0.0, **k: fl.DiceLoss(smooth=2 * smooth, **SMP, **k)),
    "jaccard": (smp.JaccardLoss, lambda smooth=0.0, **k: fl.JaccardLoss(smooth=smooth, **SMP, **k)),
    "tversky": (
        lambda *a, **k: smp.TverskyLoss(*a, **TVERSKY, **k),
        lambda smooth=0.0, **k: fl.TverskyLoss(smooth=smooth, **TVERSKY, **SMP, **k),
    ),
}
SMP_SHARED = {
    "": ({}, lambda C: {}),
    "smooth": ({"smooth": 1.5}, lambda C: {"smooth": 1.5}),
    "classes": ({"classes": [0, 2]}, lambda C: {"classes": [0, 2]}),
    "weights": ({"class_weights": weights}, lambda C: {"class_weight": weights(C)}),
    "weights-classes": (
        {"class_weights": weights, "classes": [0, 1]},
        lambda C: {"class_weight": weights(C), "classes": [0, 1]},
    ),
}
smp_names = pytest.mark.parametrize("name", SMP_LOSSES)
smp_options = pytest.mark.parametrize("option", SMP_SHARED)


def smp_pair(option, C):
    theirs, ours = SMP_SHARED[option]
    return {k: v(C) if callable(v) else v for k, v in theirs.items()}, ours(C)


@situations
@smp_names
@smp_options
@pytest.mark.parametrize("index", [None, 255, 0])
def test_smp_multiclass(situation, name, option, index, backend):
    x, y = data(situation)
    theirs, ours = smp_pair(option, x.shape[1])
    if index is not None:
        y = ignoring(y, index)
        theirs, ours = theirs | {"ignore_index": index}, ours | {"ignore_index": index}
    peer, loss = SMP_LOSSES[name]
    compare(loss(**ours), peer("multiclass", **theirs), x, y, y)


@situations
@smp_names
@smp_options
def test_smp_multilabel(situation, name, option, backend):
    x, y = data(situation)
    theirs, ours = smp_pair(option, x.shape[1])
    peer, loss = SMP_LOSSES[name]
    several = np.maximum(one_hot(y, x.shape[1]), np.roll(one_hot(y, x.shape[1]), 1, axis=-1))  # labels, not exclusive
    compare(loss(activation="sigmoid", **ours), peer("multilabel", **theirs), x, several, several)
    off = np.random.default_rng(0).random(x.shape) < 0.2  # single elements ignored: a weight by class and pixel
    marked = np.where(off, 255.0, several)
    compare(
        loss(activation="sigmoid", **ours),
        peer("multilabel", ignore_index=255, **theirs),
        x,
        several,
        marked,
        pixel_weight=marked != 255,
    )


@pytest.mark.parametrize("situation", ONE_CHANNEL)
@smp_names
@pytest.mark.parametrize("smooth", [0.0, 1.5])
@pytest.mark.parametrize("seed", range(3))
def test_smp_binary(situation, name, smooth, seed, backend):
    x, y = one_channel(situation, seed=seed)
    peer, loss = SMP_LOSSES[name]
    compare(loss(activation="sigmoid", smooth=smooth), peer("binary", smooth=smooth), x, y, y)
    y = ignoring(y)
    compare(
        loss(activation="sigmoid", smooth=smooth, ignore_index=255),
        peer("binary", smooth=smooth, ignore_index=255),
        x,
        y,
        y,
    )


# Not "confident": p = y = 1 to the last bit is the kink of their minimum, above.
@pytest.mark.parametrize("situation", [s for s in SITUATIONS if s != "confident"])
@smp_names
@smp_options
def test_smp_of_probabilities(situation, name, option, backend):
    x, y = data(situation)
    theirs, ours = smp_pair(option, x.shape[1])
    peer, loss = SMP_LOSSES[name]
    compare(loss(activation=None, **ours), peer("multiclass", from_logits=False, **theirs), softmax(x), y, y)


@pytest.mark.parametrize("situation", ONE_CHANNEL)
@pytest.mark.parametrize("gamma", [0.75, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_smp_gamma_of_one_class_is_the_focal_tversky_loss(situation, gamma, seed, backend):
    x, y = one_channel(situation, seed=seed)
    y[0, 0] = 1  # of an absent class, smp's gradient is nan: see below
    loss = fl.FocalTverskyLoss(gamma=gamma, activation="sigmoid", smooth=0.0, **TVERSKY, **SMP)
    compare(loss, smp.TverskyLoss("binary", gamma=gamma, **TVERSKY), x, y, y)


def test_smp_gamma_of_many_classes_is_a_power_of_the_mean(backend):
    """p = (1/2, 1/2) at two pixels of the classes 0 and 1, and (1, 0) at 2 more of class 0: Tversky's scores are
    T_0 = 2.5 / (2.5 + (0.5 + 0.5) / 2) = 5/6 and T_1 = 0.5 / (0.5 + (0.5 + 0.5) / 2) = 1/2. Squared: theirs
    ((1/6 + 1/2) / 2)^2 = 1/9, the paper's, and ours, (1/36 + 1/4) / 2 = 5/36."""
    p = np.array([[[0.5, 0.5, 1, 1], [0.5, 0.5, 0, 0]]])
    y = np.array([[0, 1, 0, 0]])
    theirs = smp.TverskyLoss("multiclass", from_logits=False, gamma=2.0)(torch.tensor(p), torch.tensor(y))
    assert theirs.item() == pytest.approx(1 / 9, rel=1e-14)
    ours = fl.FocalTverskyLoss(gamma=2.0, activation=None, smooth=0.0, **SMP)
    assert ours(p, y) == pytest.approx(5 / 36, rel=1e-14)


def test_smp_gamma_below_one_at_a_loss_of_0(backend):
    """An absent class: 0 times the infinite slope of 0 ** 0.75."""
    x, y = one_channel("none")
    t = torch.tensor(x, requires_grad=True)
    smp.TverskyLoss("binary", gamma=0.75)(t, torch.tensor(y)).backward()
    assert torch.isnan(t.grad).all()
    value, gradient = fl.FocalTverskyLoss(activation="sigmoid", smooth=0.0, **SMP).value_and_grad(x, y)
    assert value == 0
    assert (gradient == 0).all()


def test_smp_eps_bounds_the_denominator(backend):
    """One pixel with p = 4e-8, y = 0, without absent="zero": 1 - 0 / 1e-7 = 1, and no gradient through the bound. With
    a dense y = 2e-8 too: I = min = 2e-8 theirs, of a product 8e-16 ours, each over 1e-7: 0.8 and 1 - 8e-9."""
    p, y = np.array([[[4e-8]]]), np.array([[[2e-8]]])
    theirs = smp.TverskyLoss("multilabel", from_logits=False)(torch.tensor(p), torch.tensor(y))
    assert theirs.item() == pytest.approx(0.8, rel=1e-14)
    ours = fl.TverskyLoss(activation=None, smooth=0.0)
    assert ours(p, y) == pytest.approx(1 - 8e-9, rel=1e-14)
    value, gradient = ours.value_and_grad(p, 0 * y)
    assert value == 1
    assert gradient == 0
