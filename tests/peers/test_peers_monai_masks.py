"""Tests MONAI's masked losses and its Dice metric. As in test_peers_monai.py, each test is a row of docs/peers.md."""

from __future__ import annotations

import numpy as np
import pytest
from situations import (
    ACTIVATIONS,
    EXACT,
    FLOAT32,
    activations,
    compare,
    data,
    monai,
    one_hot,
    situations,
    softmax,
    torch,
)

import fastloss as fl

pytestmark = pytest.mark.extended

MASKED = {
    "dice": ({}, fl.DiceLoss),
    "squared": ({"squared_pred": True}, lambda **k: fl.DiceLoss(squared=True, **k)),
    "batch": ({"batch": True}, lambda **k: fl.DiceLoss(batch=True, **k)),
    "none": ({"reduction": "none"}, lambda **k: fl.DiceLoss(reduction="none", **k)),
}


def mask_of(y):
    """Three pixels of five; the first pixel of each sample is one of them."""
    mask = np.random.default_rng(0).random(y.shape) < 0.6
    mask.reshape(len(y), -1)[:, 0] = True
    return mask.astype(float)


@situations
@activations
@pytest.mark.parametrize("option", MASKED)
def test_monai_masked_dice_is_a_pixel_weight(situation, activation, option, backend):
    """Since MONAI 1.6.0, which masks probabilities; of a one-hot target, or without the background."""
    theirs, ours = ACTIVATIONS[activation]
    more, own = MASKED[option]
    x, y = data(situation)
    x, C, mask = softmax(x) if activation == "probabilities" else x, x.shape[1], mask_of(y)
    masked = lambda peer: lambda t, y: peer(t, y, torch.tensor(mask[:, None]))  # noqa: E731
    dense, tolerance = one_hot(y, C), FLOAT32 if option == "squared" else EXACT
    peer = masked(monai.MaskedDiceLoss(**theirs, **more))
    compare(own(**ours), peer, x, dense, dense, tolerance, pixel_weight=mask)
    peer = masked(monai.MaskedDiceLoss(to_onehot_y=True, include_background=False, **theirs, **more))
    compare(own(classes=range(1, C), **ours), peer, x, y, y[:, None], tolerance, pixel_weight=mask)


@situations
@activations
def test_monai_masked_loss_masks_before_the_activation(situation, activation, backend):
    """It is the loss of `mask * x` and `mask * y`, in which a masked pixel has a softmax of 1 / C for every class."""
    theirs, ours = ACTIVATIONS[activation]
    x, y = data(situation)
    x, mask = softmax(x) if activation == "probabilities" else x, mask_of(y)[:, None]
    dense = one_hot(y, x.shape[1])
    peer = monai.MaskedLoss(monai.DiceLoss(**theirs))
    t = torch.tensor(x, requires_grad=True)
    want = peer(t, torch.tensor(dense), torch.tensor(mask))
    want.backward()
    value, gradient = fl.DiceLoss(**ours).value_and_grad(mask * x, mask * dense)
    assert value == pytest.approx(want.item(), rel=EXACT)
    np.testing.assert_allclose(mask * gradient, t.grad.numpy(), rtol=EXACT, atol=EXACT)


def test_monai_masked_losses_by_hand(backend):
    """Logits (0, 0), y = (1, 0), the second pixel masked. A pixel weight leaves the first, p = 1/2:
    1 - 2 (1/2) / (1/2 + 1) = 1/3. MaskedLoss also counts sigmoid(0) = 1/2 of the second: 1 - 1 / (1 + 1) = 1/2."""
    x, y, mask = np.zeros((1, 1, 2)), np.array([[1, 0]]), np.array([[1.0, 0.0]])
    tensors = torch.tensor(x), torch.tensor(y[:, None].astype(float)), torch.tensor(mask[:, None])
    plain = {"smooth_nr": 0, "smooth_dr": 0}
    ours = fl.dice_loss(x, y, activation="sigmoid", smooth=0, pixel_weight=mask)
    assert ours == pytest.approx(1 / 3, rel=1e-15)
    assert monai.MaskedDiceLoss(sigmoid=True, **plain)(*tensors).item() == pytest.approx(1 / 3, rel=1e-15)
    assert monai.MaskedLoss(monai.DiceLoss(sigmoid=True, **plain))(*tensors).item() == 0.5


@situations
def test_monai_masked_dice_of_labels_finds_background_where_it_masks(situation, backend):
    """With `to_onehot_y` masked labels become 0, so every masked pixel is background in the target."""
    x, y = data(situation)
    C, mask = x.shape[1], mask_of(y)
    tensors = torch.tensor(x), torch.tensor(y[:, None]), torch.tensor(mask[:, None])
    want = monai.MaskedDiceLoss(softmax=True, to_onehot_y=True)(*tensors).item()
    target = one_hot((mask * y).astype(int), C)
    assert fl.dice_loss(mask[:, None] * softmax(x), target, activation=None) == pytest.approx(want, rel=EXACT)


def dice_metric(p, y, **options):
    metrics = pytest.importorskip("monai.metrics")
    metric = metrics.DiceMetric(**options)
    metric(torch.tensor(p), torch.tensor(y))
    return metric.aggregate().numpy()


@situations
@pytest.mark.parametrize("background", [True, False])
def test_monai_dice_metric(situation, background, backend):
    """A mean over the classes of each image that have a target, then over the images that have such a class."""
    x, y = data(situation)
    C = x.shape[1]
    p, dense = one_hot(np.where(np.random.default_rng(0).random(y.shape) < 0.6, y, x.argmax(1)), C), one_hot(y, C)
    options = {"activation": None, "smooth": 0, "classes": None if background else range(1, C)}
    score = 1 - fl.dice_loss(p, y, absent="nan", reduction="none", **options)
    theirs = dice_metric(p, dense, include_background=background, reduction="none")
    np.testing.assert_allclose(score, theirs, rtol=FLOAT32)  # and nan where it is
    counted = score[~np.isnan(score).all(axis=1)]
    mean = dice_metric(p, dense, include_background=background).item()
    if len(counted):
        assert np.nanmean(counted, axis=1).mean() == pytest.approx(mean, rel=FLOAT32)
        skipped = 1 - fl.dice_loss(p, y, absent="skip", **options)  # of all images and classes alike
        assert skipped == pytest.approx(np.nanmean(score), rel=EXACT)
    else:
        assert mean == 0  # where nothing counts, MONAI has 0 and ours nan
        assert np.isnan(fl.dice_loss(p, y, absent="skip", **options))


def test_monai_dice_metric_by_hand(backend):
    """Scores 1 and 0 in an image of two classes, 1 in an image of one: ((1 + 0) / 2 + 1) / 2 = 3/4, next to 2/3."""
    y = np.array([[[1.0, 0], [0, 1]], [[1, 1], [0, 0]]])
    p = np.array([[[1.0, 0], [0, 0]], [[1, 1], [0, 0]]])
    assert dice_metric(p, y) == 0.75
    ours = 1 - fl.dice_loss(p, y, activation=None, smooth=0, absent="skip")
    assert ours == pytest.approx(2 / 3, rel=1e-15)
