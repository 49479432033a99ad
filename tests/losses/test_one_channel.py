"""Tests softmax losses of one channel, where the softmax is always 1: refused alone and in sums with binary losses."""

import dataclasses

import numpy as np
import pytest

import fastloss as fl
from fastloss.losses import LOSSES

X = np.random.default_rng(0).standard_normal((2, 1, 5, 4))
Y = np.random.default_rng(1).integers(0, 2, (2, 5, 4))
DENSE = Y[:, None].astype(float)
SOFTMAX = [name for name, cls in LOSSES.items() if "softmax" in cls.activations]
REFUSED = r"^activation: expected 'sigmoid' or None for one channel, whose softmax is always 1, got 'softmax'"


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.parametrize("target", [0 * Y, DENSE], ids=["labels", "dense"])
def test_every_loss_of_a_softmax_refuses_one_channel(name, target, backend):
    cls = LOSSES[name]
    options = {"per_image": True} if cls is fl.LovaszSoftmaxLoss else {}  # else it has no partial
    loss = cls(activation="softmax", **options)
    for call in (loss, loss.value_and_grad, loss.partial, loss + 2 * loss if loss.weight_maker() is None else 2 * loss):
        with pytest.raises(ValueError, match=REFUSED):
            call(X, target)
    with pytest.raises(ValueError, match=REFUSED):
        fl.evaluate({"a": loss}, X, target)
    for other in ("sigmoid", None):
        assert np.isfinite(cls(activation=other)(0.5 + 0.1 * np.tanh(X), target))


def test_the_list_has_those_of_the_catalogue():
    assert len(SOFTMAX) == 14
    assert {n for n, c in LOSSES.items() if getattr(c, "activation", None) == "softmax"} <= set(SOFTMAX)


def test_cross_entropy_by_itself_keeps_torchs_value(backend):
    assert fl.cross_entropy(X, 0 * Y) == 0.0
    value, gradient = fl.NLLLoss().value_and_grad(-np.abs(X), 0 * Y)
    assert value == pytest.approx(np.abs(X).mean())
    np.testing.assert_allclose(gradient, -1 / X.size)


@pytest.mark.parametrize("cross", [fl.CrossEntropyLoss, fl.NLLLoss, fl.CategoricalCrossEntropyLoss, fl.PerceptronLoss])
@pytest.mark.parametrize(
    "binary", [fl.DiceLoss(activation="sigmoid"), fl.TverskyLoss(activation=None), fl.BCEWithLogitsLoss()]
)
def test_a_sum_does_not_take_a_channel_in_two_ways(cross, binary, backend):
    loss = binary + cross()
    for call in (loss, loss.value_and_grad, loss.partial):
        with pytest.raises(
            ValueError, match=r"^input: expected two or more channels for .*DiceCELoss\(activation='sigmoid'\)"
        ):
            call(X, DENSE)
    with pytest.raises(ValueError, match=r"^input: expected two or more channels for "):
        fl.evaluate({"a": binary, "b": cross()}, X, DENSE)


@pytest.mark.parametrize(
    "target", [Y, Y[:, None], Y > 0, DENSE, 0.25 + DENSE / 2], ids=["labels", "axis", "bool", "dense", "soft"]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.1},
        {"dice": 0.3, "ce": 2.0, "batch": True},
        {"reduction": "sum"},
        {"class_weight": [3.0]},
    ],
    ids=str,
)
def test_dice_and_cross_entropy_of_one_channel_is_dice_and_bce(target, options, backend):
    loss = fl.DiceCELoss(activation="sigmoid", **options)
    own = dict(options)
    dice, ce = own.pop("dice", 1.0), own.pop("ce", 1.0)
    batch, smoothing, weight = own.pop("batch", False), own.pop("label_smoothing", 0.0), own.pop("class_weight", None)
    want = dice * fl.DiceLoss(activation="sigmoid", batch=batch, **own) + ce * fl.BCEWithLogitsLoss(
        label_smoothing=smoothing, pos_weight=weight, **own
    )
    w = np.random.default_rng(2).choice([0.0, 0.5, 1.0], Y.shape)
    for given in ({}, {"pixel_weight": w}):
        value, gradient = loss.value_and_grad(X, target, **given)
        right, right_gradient = want.value_and_grad(X, target, **given)
        # A vector of pos_weight makes the classes matter, which cuts the tiles of BCE by itself elsewhere.
        assert value == pytest.approx(right, rel=1e-15)
        assert value == loss(X, target, **given)
        np.testing.assert_allclose(gradient, right_gradient, rtol=1e-15, atol=1e-18)
        assert loss.finalize(loss.partial(X, target, **given)) == value
        assert fl.evaluate({"a": loss}, X, target, **given)["a"] == pytest.approx(value, rel=1e-14)
    assert 2 * loss + fl.DiceLoss(activation="sigmoid") == 2 * loss + fl.DiceLoss(activation="sigmoid")
    assert eval(repr(2 * loss), vars(fl).copy()) == 2 * loss


def test_dice_and_cross_entropy_of_several_channels_keep_the_softmax(backend):
    x, y = np.random.default_rng(3).standard_normal((2, 3, 30)), np.random.default_rng(4).integers(0, 3, (2, 30))
    assert fl.dice_ce_loss(x, y, activation="sigmoid") == (fl.DiceLoss(activation="sigmoid") + fl.CrossEntropyLoss())(
        x, y
    )


@pytest.mark.extended
def test_monais_dice_and_cross_entropy_of_one_channel(backend, torch):
    monai = pytest.importorskip("monai.losses")
    x, y = torch.tensor(X, requires_grad=True), torch.tensor(DENSE)
    for weight in (None, [2.5]):
        theirs = monai.DiceCELoss(
            sigmoid=True, weight=None if weight is None else torch.tensor(weight, dtype=torch.float64)
        )
        want = theirs(x, y)
        (want_gradient,) = torch.autograd.grad(want, x)
        value, gradient = fl.DiceCELoss(activation="sigmoid", class_weight=weight).value_and_grad(X, DENSE)
        assert value == pytest.approx(want.item(), rel=1e-12)
        np.testing.assert_allclose(gradient, want_gradient.numpy(), rtol=1e-9, atol=1e-12)


def test_the_fields_are_checked_as_the_parts_check_them():
    loss = fl.DiceCELoss(smooth=1, classes=range(1, 3), class_weight=np.ones(3), ignore_index=[255, 0])
    assert (loss.smooth, loss.classes, loss.class_weight, loss.ignore_index) == (1.0, (1, 2), (1.0, 1.0, 1.0), (0, 255))
    assert {f.name for f in dataclasses.fields(loss) if f.init} >= {"dice", "ce", "activation", "label_smoothing"}
    assert repr(fl.DiceCELoss(ce=0.5)) == "DiceCELoss(ce=0.5)"
