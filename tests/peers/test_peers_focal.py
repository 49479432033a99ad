"""Tests focal and smoothed losses against MONAI 1.6.1, segmentation_models_pytorch 0.6.0 and torchvision's formula.

Each test is a row of docs/peers.md, and uses the data of situations.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from situations import FLOAT32, compare, data, ignoring, monai, one_hot, situations, smp, soft

import fastloss as fl

torch = pytest.importorskip("torch")
F = torch.nn.functional

pytestmark = pytest.mark.extended

gammas = pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
# MONAI casts to float32: of logits up to 100, eps of them, and of gamma log p.
MONAI = 1e-4


def sigmoid_focal_loss(x, y, alpha, gamma, reduction):
    """torchvision.ops.sigmoid_focal_loss, as its source has it (torchvision/ops/focal_loss.py)."""
    p = torch.sigmoid(x)
    p_t = p * y + (1 - p) * (1 - y)
    loss = F.binary_cross_entropy_with_logits(x, y, reduction="none") * (1 - p_t) ** gamma
    if alpha >= 0:
        loss = (alpha * y + (1 - alpha) * (1 - y)) * loss
    return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]


@pytest.mark.parametrize("shape", [(), (1,), (9,), (3, 4), (2, 3, 50), (2, 3, 4, 5), (2, 2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("alpha", [-1, 0.0, 0.25, 1.0])
@gammas
@reductions
def test_torchvision(shape, alpha, gamma, reduction, backend):
    """Its alpha = -1 is None here."""
    rng = np.random.default_rng(0)
    x, y = 4 * rng.standard_normal(shape), np.array(rng.integers(0, 2, shape), float)
    loss = fl.BinaryFocalLoss(gamma=gamma, alpha=None if alpha < 0 else alpha, reduction=reduction)
    compare(loss, lambda t, y: sigmoid_focal_loss(t, y, alpha, gamma, reduction), np.asarray(x), y, y)


def test_torchvision_of_soft_targets(backend):
    """x = log 3 (p = 3/4), y = 1/4: p_t = 3/16 + 3/16 = 3/8, and theirs weighs both logs with (1 - p_t)^2; ours weighs
    log p with (1 - p)^2 and log (1 - p) with p^2."""
    y = torch.tensor([0.25], dtype=torch.float64)
    theirs = sigmoid_focal_loss(torch.log(torch.tensor([3.0], dtype=torch.float64)), y, -1, 2.0, "sum").item()
    log_p, log_q = np.log(0.75), np.log(0.25)
    assert theirs == pytest.approx(-((5 / 8) ** 2) * (0.25 * log_p + 0.75 * log_q), rel=1e-14)
    ours = fl.binary_focal_loss([np.log(3.0)], [0.25], alpha=None, reduction="sum")
    assert ours == pytest.approx(-(0.25**2 * 0.25 * log_p + 0.75**2 * 0.75 * log_q), rel=1e-14)


# ---- MONAI


@situations
@gammas
@pytest.mark.parametrize("background", [True, False])
def test_monai_sigmoid(situation, gamma, background, backend):
    x, y = data(situation)
    C = x.shape[1]
    dense = one_hot(y, C)
    w = np.ones(x.shape)
    w[:, : 0 if background else 1] = 0
    peer = monai.FocalLoss(to_onehot_y=True, gamma=gamma, include_background=background)
    compare(fl.BinaryFocalLoss(gamma=gamma, alpha=None), peer, x, dense, y[:, None], MONAI, pixel_weight=w)
    peer = monai.FocalLoss(to_onehot_y=True, gamma=gamma, include_background=background, alpha=0.25)
    compare(fl.BinaryFocalLoss(gamma=gamma, alpha=0.25), peer, x, dense, y[:, None], MONAI, pixel_weight=w)
    weight = [0.5, 2.0, 0.0, 1.25, 3.0][: C if background else C - 1]
    v = w.copy()
    v[:, 0 if background else 1 :] *= np.reshape(weight, (-1, *[1] * (x.ndim - 2)))
    peer = monai.FocalLoss(
        to_onehot_y=True, gamma=gamma, include_background=background, weight=weight, reduction="none"
    )
    total = lambda t, y: peer(t, y).sum()  # noqa: E731
    loss = fl.BinaryFocalLoss(gamma=gamma, alpha=None, reduction="sum")
    compare(loss, total, x, dense, y[:, None], MONAI, pixel_weight=v)


@situations
@gammas
def test_monai_softmax(situation, gamma, backend):
    """Its map has a zero for each class that is not the target's, which its mean counts: C times less than ours."""
    if situation == "confident" and gamma < 1:
        return  # the next test
    x, y = data(situation)
    C = x.shape[1]
    options = {"to_onehot_y": True, "use_softmax": True, "gamma": gamma}
    compare(1 / C * fl.FocalLoss(gamma=gamma), monai.FocalLoss(**options), x, y, y[:, None], MONAI)
    whole = lambda **k: lambda t, y: monai.FocalLoss(**options, reduction="none", **k)(t, y).sum(1)  # noqa: E731
    compare(fl.FocalLoss(gamma=gamma, reduction="none"), whole(), x, y, y[:, None], MONAI)
    weight = [0.5, 2.0, 0.0, 1.25, 3.0][:C]
    for name in ("alpha", "weight"):
        loss = fl.FocalLoss(gamma=gamma, alpha=weight, reduction="none")
        compare(loss, whole(**{name: weight}), x, y, y[:, None], MONAI)
    # A number weighs the background with 1 - alpha, the others with alpha.
    loss = fl.FocalLoss(gamma=gamma, alpha=[0.75, *[0.25] * (C - 1)], reduction="none")
    compare(loss, whole(alpha=0.25), x, y, y[:, None], MONAI)
    # Without background: of a softmax over what is left.
    if C > 2:
        kept = np.where(y == 0, -100, y - 1)
        loss = fl.FocalLoss(gamma=gamma, reduction="sum")
        value, gradient = loss.value_and_grad(x[:, 1:], kept)
        t = torch.tensor(x, requires_grad=True)
        want = whole(include_background=False)(t, torch.tensor(y[:, None])).sum()
        want.backward()
        assert value == pytest.approx(want.item(), rel=MONAI, abs=MONAI)
        np.testing.assert_allclose(gradient, t.grad.numpy()[:, 1:], rtol=MONAI, atol=MONAI)
        assert not t.grad[:, 0].any()


@situations
@pytest.mark.parametrize("softmax", [True, False])
def test_monai_sum_is_of_means_over_pixels(situation, softmax, backend):
    x, y = data(situation)
    loss = fl.FocalLoss(reduction="sum") if softmax else fl.BinaryFocalLoss(alpha=None, reduction="sum")
    target = y if softmax else one_hot(y, x.shape[1])
    peer = monai.FocalLoss(to_onehot_y=True, use_softmax=softmax, reduction="sum")
    compare(1 / y[0].size * loss, peer, x, target, y[:, None], MONAI)


@situations
@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("some", [True, False])
def test_monai_ignore_index_makes_its_mean_one_of_pixels(situation, softmax, some, backend):
    """With `ignore_index` it divides by the pixels kept, without by pixels and classes: C times as much, even if no
    pixel is ignored."""
    x, y = data(situation)
    marked = ignoring(y) if some else y
    peer = monai.FocalLoss(to_onehot_y=True, use_softmax=softmax, ignore_index=255)
    if softmax:
        compare(fl.FocalLoss(ignore_index=255), peer, x, marked, marked[:, None], MONAI)
    else:
        C = x.shape[1]
        w = np.broadcast_to((marked != 255)[:, None], x.shape)
        loss = C * fl.BinaryFocalLoss(alpha=None)
        compare(loss, peer, x, one_hot(y, C), marked[:, None], MONAI, pixel_weight=w)


def test_monai_weight_of_one_channel(backend):
    """MONAI refuses a sequence; a number multiplies the loss. A pixel weight would not: it leaves the mean as it is."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1, 9, 11)), rng.integers(0, 2, (2, 1, 9, 11))
    with pytest.raises(ValueError, match="single-channel"):
        monai.FocalLoss(weight=[3.0])(torch.tensor(x), torch.tensor(y))
    dense = y.astype(float)
    compare(3 * fl.BinaryFocalLoss(alpha=None), monai.FocalLoss(weight=3.0), x, dense, dense, MONAI)


@pytest.mark.parametrize("gamma", [0.25, 0.5, 0.75])
def test_a_gamma_below_1_at_a_sure_prediction(gamma, backend):
    """MONAI's and smp's gradients are nan: the slope of 0 ** gamma is infinite, times 0."""
    x, y = np.array([[200.0, -200.0]]), np.array([0])
    t = torch.tensor(x, requires_grad=True)
    monai.FocalLoss(to_onehot_y=True, use_softmax=True, gamma=gamma)(t, torch.tensor([[0]])).backward()
    assert torch.isnan(t.grad).any()
    t = torch.tensor(x, requires_grad=True)
    smp.FocalLoss("multiclass", gamma=gamma)(t, torch.tensor(y)).backward()
    assert torch.isnan(t.grad).any()
    for loss, target in ((fl.FocalLoss(gamma=gamma), y), (fl.BinaryFocalLoss(gamma=gamma), np.array([[1.0, 0.0]]))):
        value, gradient = loss.value_and_grad(x, target)
        assert 0 <= value < 1e-80
        assert (np.abs(gradient) < 1e-80).all()


@situations
def test_monai_dice_and_focal(situation, backend):
    """Its focal part is that of sigmoids, whatever the Dice part's activation."""
    x, y = data(situation)
    dense = one_hot(y, x.shape[1])
    peer = monai.DiceFocalLoss(to_onehot_y=True, softmax=True, lambda_dice=0.75, lambda_focal=0.5)
    compare(0.75 * fl.DiceLoss() + 0.5 * fl.BinaryFocalLoss(alpha=None), peer, x, dense, y[:, None], MONAI)
    peer = monai.DiceFocalLoss(to_onehot_y=True, sigmoid=True, alpha=0.25)
    compare(fl.DiceLoss(activation="sigmoid") + fl.BinaryFocalLoss(), peer, x, dense, y[:, None], MONAI)


# ---- smp

# 1 - exp(-loss) of a confident pixel is 0 up to eps: then so is its power.
SMP = 1e-10


@situations
@gammas
@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("index", [None, 255])
def test_smp_multiclass(situation, gamma, alpha, index, backend):
    """One sigmoid a class, the mean over all: a binary focal loss of the one-hot target."""
    if situation == "confident" and gamma < 1:
        return  # above
    x, y = data(situation)
    marked = y if index is None else ignoring(y)
    w = np.broadcast_to((marked != 255)[:, None], x.shape)
    peer = smp.FocalLoss("multiclass", alpha=alpha, gamma=gamma, ignore_index=index)
    loss = fl.BinaryFocalLoss(gamma=gamma, alpha=alpha)
    compare(loss, peer, x, one_hot(y, x.shape[1]), marked, SMP ** (0.5 if gamma < 1 else 1), pixel_weight=w)


@situations
@gammas
def test_smp_multilabel_and_class_weights(situation, gamma, backend):
    if situation == "confident" and gamma < 1:
        return
    x, y = data(situation)
    several = np.maximum(one_hot(y, x.shape[1]), np.roll(one_hot(y, x.shape[1]), 1, axis=-1))
    weight = [0.5, 2.0, 0.25, 1.25, 3.0][: x.shape[1]]
    w = np.broadcast_to(np.reshape(weight, (-1, *[1] * (x.ndim - 2))), x.shape)
    tolerance = SMP ** (0.5 if gamma < 1 else 1)
    loss = fl.BinaryFocalLoss(gamma=gamma, alpha=None)
    compare(loss, smp.FocalLoss("multilabel", gamma=gamma), x, several, several, tolerance)
    peer = smp.FocalLoss("multilabel", gamma=gamma, class_weights=weight)
    compare(loss, peer, x, several, several, FLOAT32 if tolerance < FLOAT32 else tolerance, pixel_weight=w)


@pytest.mark.parametrize("situation", ["random", "none", "all"])
@gammas
@pytest.mark.parametrize("index", [None, 255])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_smp_binary(situation, gamma, index, reduction, backend):
    x, y = np.random.default_rng(0).standard_normal((2, 1, 9, 11)), np.random.default_rng(1).integers(0, 2, (2, 9, 11))
    y = {"random": y, "none": 0 * y, "all": 0 * y + 1}[situation]
    marked = y if index is None else ignoring(y)
    peer = smp.FocalLoss("binary", gamma=gamma, ignore_index=index, alpha=0.25, reduction=reduction)
    loss = fl.BinaryFocalLoss(gamma=gamma, reduction=reduction)
    compare(loss, peer, x, y[:, None], marked, SMP, pixel_weight=(marked != 255)[:, None])


@situations
@pytest.mark.parametrize("smooth", [None, 0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("pos_weight", [None, 2.5])
def test_smp_soft_bce(situation, smooth, pos_weight, backend):
    """Its smoothing replaces y by (1 - s) y + s (1 - y): ours with label_smoothing = 2 s, up to s = 1/2."""
    x, y = data(situation)
    dense = one_hot(y, x.shape[1])
    b = None if pos_weight is None else torch.tensor(pos_weight)
    s = smooth or 0.0
    peer = smp.SoftBCEWithLogitsLoss(smooth_factor=smooth, pos_weight=b)
    if s <= 0.5:
        compare(fl.BCEWithLogitsLoss(pos_weight=pos_weight, label_smoothing=2 * s), peer, x, dense, dense)
    compare(fl.BCEWithLogitsLoss(pos_weight=pos_weight), peer, x, (1 - s) * dense + s * (1 - dense), dense)
    # An ignored element counts in its mean, as 0.
    marked = np.where(np.random.default_rng(0).random(x.shape) < 0.2, -100.0, dense)
    ours = fl.BCEWithLogitsLoss(pos_weight=pos_weight, reduction="sum")
    peer = smp.SoftBCEWithLogitsLoss(pos_weight=b)
    compare(1 / x.size * ours, peer, x, dense, marked, pixel_weight=marked != -100)


@situations
@pytest.mark.parametrize("smooth", [0.0, 0.1, 0.5, 1.0])
@reductions
def test_smp_soft_cross_entropy(situation, smooth, reduction, backend):
    """An ignored pixel counts in its mean, as 0."""
    x, y = data(situation)
    whole = smp.SoftCrossEntropyLoss(smooth_factor=smooth, ignore_index=None, reduction=reduction)
    compare(fl.CrossEntropyLoss(label_smoothing=smooth, reduction=reduction), whole, x, y, y)
    if reduction != "none":
        marked = ignoring(y, -100)
        loss = (1 / y.size if reduction == "mean" else 1) * fl.CrossEntropyLoss(label_smoothing=smooth, reduction="sum")
        peer = smp.SoftCrossEntropyLoss(smooth_factor=smooth, reduction=reduction)
        compare(loss, peer, x, marked, marked)


def test_soft_targets_of_the_focal_loss(backend):
    """MONAI's softmax form weighs each class's log by its target, as ours."""
    x, _ = data("2-D")
    y = soft(x)
    peer = monai.FocalLoss(use_softmax=True, reduction="none")
    compare(fl.FocalLoss(reduction="none"), lambda t, y: peer(t, y).sum(1), x, y, y, MONAI)
