"""Tests region losses against MONAI 1.6.1: values, and gradients by autograd.

Each row of the tables is a row of docs/peers.md. It has the peer's arguments and our call, and the two are equal in all
situations. If no call of ours equals the peer, a test with numbers worked out by hand shows the difference.
"""

from __future__ import annotations

import numpy as np
import pytest
from situations import (
    ACTIVATIONS,
    EXACT,
    FLOAT32,
    ONE_CHANNEL,
    activations,
    compare,
    data,
    ignoring,
    monai,
    one_channel,
    situations,
    smp,
    soft,
    softmax,
    torch,
    weights,
)

import fastloss as fl

pytestmark = pytest.mark.extended

MONAI_SHARED = {
    "": ({}, lambda C: {}),
    "include_background": ({"include_background": False}, lambda C: {"classes": range(1, C)}),
    "batch": ({"batch": True}, lambda C: {"batch": True}),
    "sum": ({"reduction": "sum"}, lambda C: {"reduction": "sum"}),
    "none": ({"reduction": "none"}, lambda C: {"reduction": "none"}),
    "none-batch": (
        {"reduction": "none", "batch": True, "include_background": False},
        lambda C: {"reduction": "none", "batch": True, "classes": range(1, C)},
    ),
    "smooth": ({"smooth_nr": 0.5, "smooth_dr": 2.0}, lambda C: {"smooth": (0.5, 2.0)}),
    "denominator alone": ({"smooth_nr": 0.0, "smooth_dr": 1e-6}, lambda C: {"smooth": (0.0, 1e-6)}),
}
options = pytest.mark.parametrize("option", MONAI_SHARED)


def monai_pair(activation, option, C):
    theirs, ours = ACTIVATIONS[activation]
    more, own = MONAI_SHARED[option]
    return theirs | more, ours | own(C)


def check_monai(peer, loss, situation, activation, option, tolerance=EXACT):
    x, y = data(situation)
    C = x.shape[1]
    theirs, ours = monai_pair(activation, option, C)
    x = softmax(x) if activation == "probabilities" else x
    compare(loss(**ours), peer(to_onehot_y=True, **theirs), x, y, y[:, None], tolerance)
    dense = soft(data(situation)[0])
    compare(loss(**ours), peer(**theirs), x, dense, dense, tolerance)


@situations
@activations
@options
def test_monai_dice(situation, activation, option, backend):
    check_monai(monai.DiceLoss, fl.DiceLoss, situation, activation, option)


@situations
@activations
@options
def test_monai_dice_of_squares(situation, activation, option, backend):
    check_monai(
        lambda **k: monai.DiceLoss(squared_pred=True, **k),
        lambda **k: fl.DiceLoss(squared=True, **k),
        situation,
        activation,
        option,
        FLOAT32,
    )


@situations
@activations
@options
def test_monai_jaccard_smooths_with_half(situation, activation, option, backend):
    def ours(smooth=1e-5, **k):
        pair = smooth if isinstance(smooth, tuple) else (smooth, smooth)
        return fl.JaccardLoss(smooth=tuple(s / 2 for s in pair), **k)

    check_monai(lambda **k: monai.DiceLoss(jaccard=True, **k), ours, situation, activation, option)


@situations
@activations
@options
def test_monai_tversky(situation, activation, option, backend):
    weights = {"alpha": 0.3, "beta": 0.8}
    check_monai(
        lambda **k: monai.TverskyLoss(**weights, **k),
        lambda **k: fl.TverskyLoss(**weights, **k),
        situation,
        activation,
        option,
    )


@situations
@activations
@options
@pytest.mark.parametrize("weighting", ["square", "simple", "uniform"])
def test_monai_generalized_dice(situation, activation, option, weighting, backend):
    check_monai(
        lambda **k: monai.GeneralizedDiceLoss(w_type=weighting, **k),
        lambda **k: fl.GeneralizedDiceLoss(weighting=weighting, **k),
        situation,
        activation,
        option,
        FLOAT32,
    )


@situations
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_monai_weights_do_not_enter_its_mean(situation, background, reduction, backend):
    x, y = data(situation)
    C = x.shape[1]
    classes, w = range(0 if background else 1, C), weights(C)
    chosen = [w[c] for c in classes]
    loss = fl.DiceLoss(class_weight=w, classes=classes, reduction=reduction)
    if reduction == "mean":  # theirs divides by the number of classes, ours by the sum of their weights
        loss = np.mean(chosen) * loss
    peer = monai.DiceLoss(
        softmax=True, to_onehot_y=True, include_background=background, weight=chosen, reduction=reduction
    )
    compare(loss, peer, x, y, y[:, None])


@situations
@pytest.mark.parametrize("index", [255, 0, -1])
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize(
    ("peer", "loss"),
    [(monai.DiceLoss, fl.DiceLoss), (monai.TverskyLoss, fl.TverskyLoss)],
    ids=["dice", "tversky"],
)
def test_monai_ignore_index(situation, index, background, peer, loss, backend):
    x, y = data(situation)
    y = ignoring(y, index)
    theirs = peer(softmax=True, to_onehot_y=True, ignore_index=index, include_background=background)
    classes = None if background else range(1, x.shape[1])
    compare(loss(ignore_index=index, classes=classes), theirs, x, y, y[:, None])


@pytest.mark.parametrize("situation", ONE_CHANNEL)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
    ("peer", "loss"),
    [
        (monai.DiceLoss, fl.DiceLoss),
        (monai.TverskyLoss, fl.TverskyLoss),
        (monai.GeneralizedDiceLoss, fl.GeneralizedDiceLoss),
        (monai.DiceCELoss, lambda **k: fl.DiceLoss(**k) + fl.BCEWithLogitsLoss()),
    ],
    ids=["dice", "tversky", "generalized", "dice-ce"],
)
def test_monai_one_channel(situation, seed, batch, peer, loss, backend):
    x, y = one_channel(situation, seed=seed)
    tolerance = FLOAT32 if peer is monai.GeneralizedDiceLoss else EXACT
    compare(
        loss(activation="sigmoid", batch=batch),
        peer(sigmoid=True, batch=batch),
        x,
        y,
        y[:, None].astype(float),
        tolerance,
    )


def test_monai_ignores_the_softmax_of_one_channel(backend):
    x, y = one_channel("some")
    peer = monai.DiceLoss(softmax=True)
    with pytest.warns(UserWarning, match="single channel prediction"):
        compare(fl.DiceLoss(activation=None), peer, x, y, y[:, None].astype(float))
    with pytest.raises(ValueError, match="whose softmax is always 1"):
        fl.DiceLoss()(x, y)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_monai_weight_of_one_channel(reduction, backend):
    """MONAI's DiceLoss ignores it, and so does our mean, which divides by it; our sum and "none" do not."""
    x, y = one_channel("some")
    peer = monai.DiceLoss(sigmoid=True, weight=[3.0], reduction=reduction)
    factor = 1 if reduction == "mean" else 3
    want = peer(torch.tensor(x), torch.tensor(y[:, None].astype(float))).numpy()
    ours = fl.dice_loss(x, y, activation="sigmoid", class_weight=[3.0], reduction=reduction)
    np.testing.assert_allclose(ours, factor * want.reshape(np.shape(ours)), rtol=EXACT)


def test_monai_dice_and_cross_entropy_with_the_weight_of_one_channel(backend):
    """The cross entropy takes it as the weight of positives."""
    x, y = one_channel("some")
    loss = fl.DiceLoss(activation="sigmoid") + fl.BCEWithLogitsLoss(pos_weight=3.0)
    peer = monai.DiceCELoss(sigmoid=True, weight=torch.tensor([3.0], dtype=torch.float64))
    compare(loss, peer, x, y, y[:, None].astype(float))


DICE_CE = {
    "": ({}, lambda C: fl.DiceLoss() + fl.CrossEntropyLoss()),
    "halves": (
        {"lambda_dice": 0.5, "lambda_ce": 0.5},
        lambda C: 0.5 * fl.DiceLoss() + 0.5 * fl.CrossEntropyLoss(),
    ),
    "foreground": (
        {"include_background": False, "lambda_ce": 0.25},
        lambda C: fl.DiceLoss(classes=range(1, C)) + 0.25 * fl.CrossEntropyLoss(),
    ),
    "smoothed labels": (
        {"label_smoothing": 0.1},  # the Dice sees the labels as they are
        lambda C: fl.DiceLoss() + fl.CrossEntropyLoss(label_smoothing=0.1),
    ),
    "squared-batch": (
        {"squared_pred": True, "batch": True},
        lambda C: fl.DiceLoss(squared=True, batch=True) + fl.CrossEntropyLoss(),
    ),
    "jaccard": ({"jaccard": True}, lambda C: fl.JaccardLoss(smooth=5e-6) + fl.CrossEntropyLoss()),
    "sigmoid": (
        {"softmax": False, "sigmoid": True},  # its cross entropy remains a softmax's
        lambda C: fl.DiceLoss(activation="sigmoid") + fl.CrossEntropyLoss(),
    ),
    "sum": (
        {"reduction": "sum"},
        lambda C: fl.DiceLoss(reduction="sum") + fl.CrossEntropyLoss(reduction="sum"),
    ),
}


@situations
@pytest.mark.parametrize("option", DICE_CE)
def test_monai_dice_and_cross_entropy(situation, option, backend):
    x, y = data(situation)
    theirs, ours = DICE_CE[option]
    peer = monai.DiceCELoss(**{"softmax": True, "to_onehot_y": True} | theirs)
    compare(ours(x.shape[1]), peer, x, y, y[:, None], FLOAT32 if "squared" in option else EXACT)


@situations
@pytest.mark.parametrize("background", [True, False])
def test_monai_dice_and_cross_entropy_with_weights(situation, background, backend):
    x, y = data(situation)
    C = x.shape[1]
    classes, w = range(0 if background else 1, C), [0.5, 2.0, 0.25, 1.25, 3.0][:C]
    factor = np.mean([w[c] for c in classes])
    loss = factor * fl.DiceLoss(class_weight=w, classes=classes) + fl.CrossEntropyLoss(class_weight=w)
    peer = monai.DiceCELoss(
        softmax=True, to_onehot_y=True, include_background=background, weight=torch.tensor(w, dtype=torch.float64)
    )
    compare(loss, peer, x, y, y[:, None])


@situations
@pytest.mark.parametrize("peer", [monai.DiceLoss, monai.TverskyLoss])
def test_monai_soft_label_is_the_same_for_hard_labels(situation, peer, backend):
    x, y = data(situation)
    loss = fl.DiceLoss() if peer is monai.DiceLoss else fl.TverskyLoss()
    compare(loss, peer(softmax=True, to_onehot_y=True, soft_label=True), x, y, y[:, None])


def test_soft_targets_are_products_where_others_take_the_minimum(backend):
    """p = y = 1/2 at 4 pixels: I = sum p y = 1, A = B = 2, so 1 - 2 I / (A + B) = 1/2; sum min(p, y) = 2 makes it 0."""
    p = np.full((1, 1, 4), 0.5)
    t = torch.tensor(p)
    assert fl.DiceLoss(activation=None, smooth=0)(p, p) == 0.5
    assert monai.DiceLoss(smooth_nr=0, smooth_dr=0)(t, t) == 0.5
    assert monai.DiceLoss(smooth_nr=0, smooth_dr=0, soft_label=True)(t, t) == 0
    assert smp.DiceLoss("multilabel", from_logits=False)(t, t) == 0
    # With squares, all agree: (A2 + B2 - sum (p - y)^2) / 2 is the product.
    assert fl.DiceLoss(activation=None, smooth=0, squared=True)(p, p) == 0
    assert monai.DiceLoss(smooth_nr=0, smooth_dr=0, squared_pred=True)(t, t) == 0


def test_the_gradient_of_a_minimum_at_its_kink(backend):
    """p = (1, 0.5), y = (1, 0), Dice: I = 1, A + B = 2.5. Ours: d/dp_0 = -2 / 2.5 + 2 / 2.5^2 = -0.48. The others' I is
    (A + B - |p - y|) / 2, whose slope in p_0 is 1/2 at p_0 = y_0, for y_0 = 1: -1 / 2.5 + 2 / 2.5^2 = -0.08."""
    p, y = np.array([[[1.0, 0.5]]]), np.array([[[1.0, 0.0]]])
    _, gradient = fl.DiceLoss(activation=None, smooth=0).value_and_grad(p, y)
    assert gradient[0, 0, 0] == pytest.approx(-0.48, rel=1e-15)
    for peer in (
        smp.DiceLoss("multilabel", from_logits=False),
        monai.DiceLoss(smooth_nr=0, smooth_dr=0, soft_label=True),
    ):
        t = torch.tensor(p, requires_grad=True)
        peer(t, torch.tensor(y)).backward()
        assert t.grad[0, 0, 0].item() == pytest.approx(-0.08, rel=1e-14)


def test_monai_without_smoothing_is_nan_where_a_class_is_nowhere(backend):
    """p = y = 0: 0 / 0; our denominator is at least 1e-7, the loss 1 and its gradient -2 y / 1e-7 = 0."""
    p, y = np.zeros((1, 1, 3)), np.zeros((1, 1, 3))
    for peer, loss in (
        (monai.DiceLoss, fl.DiceLoss),
        (monai.TverskyLoss, fl.TverskyLoss),
        (monai.GeneralizedDiceLoss, fl.GeneralizedDiceLoss),
    ):
        assert torch.isnan(peer(smooth_nr=0, smooth_dr=0)(torch.tensor(p), torch.tensor(y)))
        value, gradient = loss(activation=None, smooth=0).value_and_grad(p, y)
        assert value == 1
        assert (gradient == 0).all()


def test_an_ignored_nan_is_nan_in_the_peers(backend):
    x, y = np.zeros((1, 2, 3)), np.array([[0, 1, 255]])
    x[..., 2] = np.nan
    for peer, target in (
        (monai.DiceLoss(softmax=True, to_onehot_y=True, ignore_index=255), y[:, None]),
        (smp.DiceLoss("multiclass", ignore_index=255), y),
    ):
        assert torch.isnan(peer(torch.tensor(x), torch.tensor(target)))
    assert fl.DiceLoss(ignore_index=255)(x, y) == fl.DiceLoss()(x[..., :2], y[:, :2])
