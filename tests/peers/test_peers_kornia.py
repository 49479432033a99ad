"""Tests losses against kornia 0.9.0. Each test is a row of docs/peers.md, and uses the data of situations.py."""

from __future__ import annotations

import numpy as np
import pytest
from situations import EXACT, SITUATIONS, compare, data, ignoring, softmax, weights

import fastloss as fl

torch = pytest.importorskip("torch")
kornia = pytest.importorskip(
    "kornia.losses", reason="make test-all installs it: pip install --no-deps kornia==0.9.0 kornia_rs==0.2.0"
)
pytestmark = pytest.mark.extended

# Its region losses take images only; its focal losses any shape.
images = pytest.mark.parametrize("situation", [s for s, (shape, _) in SITUATIONS.items() if len(shape) == 4])
situations = pytest.mark.parametrize("situation", SITUATIONS)
gammas = pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
ignored = pytest.mark.parametrize("index", [-100, 255, 0])
EPS = 1e-5


class BySample:
    """The mean over the samples of a loss of each of them: kornia's mean over classes is within a sample."""

    def __init__(self, loss):
        self.loss = loss

    def value_and_grad(self, x, y):
        each = [self.loss.value_and_grad(x[n : n + 1], y[n : n + 1]) for n in range(len(x))]
        return np.mean([v for v, _ in each]), np.concatenate([g for _, g in each]) / len(x)


def marked(y, index):
    return y if index == -100 else ignoring(y, index)


@images
@ignored
@pytest.mark.parametrize("weighted", [False, True])
def test_micro_dice(situation, index, weighted, backend):
    x, y = data(situation)
    y, w = marked(y, index), weights(x.shape[1]) if weighted else None
    loss = fl.GeneralizedDiceLoss(weighting="uniform", smooth=(0, EPS), class_weight=w, ignore_index=index)
    weight = torch.tensor(w, dtype=torch.float64) if weighted else None
    compare(loss, kornia.DiceLoss("micro", eps=EPS, weight=weight, ignore_index=index), x, y, y)


@images
@ignored
@pytest.mark.parametrize("peer", ["dice", "weighted dice", "tversky"])
def test_macro_dice_and_tversky_leave_absent_classes_out(situation, index, peer, backend):
    x, y = data(situation)
    C = x.shape[1]
    y, own = marked(y, index), {"smooth": (0, EPS), "absent": "skip", "ignore_index": index}
    if np.isin(y, index).all():
        return  # the next test
    if peer == "tversky":
        theirs = kornia.TverskyLoss(alpha=0.3, beta=0.8, eps=EPS, ignore_index=index)
        loss = fl.TverskyLoss(alpha=0.3, beta=0.8, **own)
    else:
        w = [0.5, 2.0, 0.25, 1.25][:C] if peer == "weighted dice" else [1.0] * C
        theirs = kornia.DiceLoss("macro", EPS, torch.tensor(w, dtype=torch.float64), ignore_index=index)
        loss = fl.DiceLoss(class_weight=w, **own)
    compare(BySample(loss), theirs, x, y, y)
    present = [len(set(labels[labels != index])) for labels in y]
    if peer != "weighted dice" and len(set(present)) == 1:  # then a mean over all is that of the samples' means
        compare(loss, theirs, x, y, y)
    # The same, of the values by sample and class.
    if peer == "dice":
        each = fl.dice_loss(x, y, smooth=(0, EPS), absent="nan", ignore_index=index, reduction="none")
        want = theirs(torch.tensor(x), torch.tensor(y)).item()
        assert np.nanmean(each, axis=1).mean() == pytest.approx(want, rel=EXACT)


def test_a_sample_without_a_target(backend):
    """Its pixels are all ignored: kornia counts the sample with a loss of 1, ours with absent="skip" not at all."""
    x, y = data("one sample")
    several = np.concatenate([x, x])
    target = np.stack([y[0], np.full_like(y[0], 255)])
    theirs = kornia.DiceLoss("macro", eps=EPS, ignore_index=255)(torch.tensor(several), torch.tensor(target)).item()
    ours = fl.dice_loss(several, target, smooth=(0, EPS), absent="skip", ignore_index=255)
    assert theirs == pytest.approx((ours + 1) / 2, rel=EXACT)


@situations
@gammas
@ignored
def test_softmax_focal(situation, gamma, index, backend):
    """As MONAI's softmax form: a map with zeros for the other classes, which its mean counts, as it counts the ignored
    pixels."""
    if situation == "confident" and gamma < 1:
        return  # 1 - p of a sure pixel, which theirs takes from p, is 0 or an eps: its root is off by 1e-8
    x, y = data(situation)
    C = x.shape[1]
    tolerance = 1e-10  # 1 - exp(log p) loses the digits of a small 1 - p
    y = marked(y, index)
    own = {"gamma": gamma, "ignore_index": index}

    def peer(reduction, **k):
        return lambda t, y: kornia.focal_loss(t, y, gamma=gamma, ignore_index=index, reduction=reduction, **k)

    loss = 1 / x.size * fl.FocalLoss(reduction="sum", **own)
    compare(loss, peer("mean", alpha=None), x, y, y, tolerance)
    if index == -100:
        compare(1 / C * fl.FocalLoss(**own), peer("mean", alpha=None), x, y, y, tolerance)
    total = peer("none", alpha=None)
    compare(fl.FocalLoss(reduction="none", **own), lambda t, y: total(t, y).sum(1), x, y, y, tolerance)
    loss = fl.FocalLoss(alpha=[0.75, *[0.25] * (C - 1)], reduction="sum", **own)
    compare(loss, peer("sum", alpha=0.25), x, y, y, tolerance)
    w = weights(C)
    peer_of_weights = peer("sum", alpha=None, weight=torch.tensor(w, dtype=torch.float64))
    compare(fl.FocalLoss(alpha=w, reduction="sum", **own), peer_of_weights, x, y, y, tolerance)


@situations
@gammas
@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_focal(situation, gamma, alpha, reduction, backend):
    """Soft targets too: each log has a factor of its own in both."""
    x = data(situation)[0]
    loss = fl.BinaryFocalLoss(gamma=gamma, alpha=alpha, reduction=reduction)
    options = {"alpha": alpha, "gamma": gamma, "reduction": reduction}
    hard = (softmax(np.flip(x, axis=-1)) > 0.3).astype(float)
    for target in (hard, softmax(np.flip(x, axis=-1))):
        compare(loss, lambda t, y: kornia.binary_focal_loss_with_logits(t, y, **options), x, target, target)
    if reduction == "mean":  # an ignored element counts in its mean, as 0
        off = np.random.default_rng(0).random(x.shape) < 0.2
        total = fl.BinaryFocalLoss(gamma=gamma, alpha=alpha, reduction="sum")
        peer = lambda t, y: kornia.binary_focal_loss_with_logits(t, y, **options)  # noqa: E731
        compare(1 / x.size * total, peer, x, hard, np.where(off, -100.0, hard), pixel_weight=~off)
