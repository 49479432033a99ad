"""Region losses against MONAI 1.6.1 and segmentation_models_pytorch 0.6.0: values, and gradients by autograd.

Each row of the tables is a row of docs/peers.md: the peer's arguments, and the call of ours that equals it, over all
situations. Where nothing of ours equals a peer, a test with numbers worked out by hand shows by how much.
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import numpy as np
import pytest

import fastloss as fl

torch = pytest.importorskip("torch")
monai = pytest.importorskip("monai.losses", reason="make test installs it: pip install --no-deps monai==1.6.1")


def smp_losses():
    """smp's folder of losses, by itself: the package around it wants its models' libraries."""
    found = importlib.util.find_spec("segmentation_models_pytorch")
    if found is None:
        pytest.skip("make test installs it: pip install --no-deps segmentation-models-pytorch==0.6.0", True)
    folder = pathlib.Path(found.submodule_search_locations[0]) / "losses"
    spec = importlib.util.spec_from_file_location(
        "smp_losses", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    sys.modules["smp_losses"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


smp = smp_losses()

# ---- situations: logits' shape (N, C, *S), and which labels occur

SITUATIONS = {
    "1-D": ((3, 4, 50), lambda y: y),
    "2-D": ((2, 3, 9, 11), lambda y: y),
    "3-D": ((2, 5, 4, 5, 6), lambda y: y),
    "one pixel": ((2, 3, 1), lambda y: y),
    "one sample": ((1, 4, 8, 8), lambda y: y),
    "all background": ((2, 3, 7, 5), lambda y: 0 * y),
    "all of one class": ((2, 4, 20), lambda y: 0 * y + 2),
    "a class absent everywhere, one in places": (
        (3, 4, 6, 6),
        lambda y: np.where((y == 2) | ((y == 3) & (np.arange(3)[:, None, None] > 0)), 1, y),
    ),
    "confident": ((2, 3, 40), lambda y: y),
}
situations = pytest.mark.parametrize("situation", SITUATIONS)


def data(situation):
    """Logits and labels, in which the sharp logits are right as often as wrong."""
    shape, labels = SITUATIONS[situation]
    rng = np.random.default_rng(len(situation))
    x = (40 if situation == "confident" else 2) * rng.standard_normal(shape)
    return x, labels(rng.integers(0, shape[1], shape[:1] + shape[2:]))


def ignoring(y, index=255):
    """Every fifth pixel ignored, but the first."""
    y = y.copy()
    y.reshape(-1)[5::5] = index
    return y


def softmax(x):
    return fl.softmax(x, axis=1)


def one_hot(y, C):
    return np.moveaxis(np.eye(C)[y], -1, 1)


def soft(x):
    """A soft target that has nothing to do with x."""
    return softmax(np.flip(x, axis=-1) - x)


def weights(C):
    """Numbers that a float32 holds, one of them 0."""
    return [0.5, 2.0, 0.0, 1.25, 3.0][:C]


# Both are in float64 and add a few hundred numbers, each in its own order: some hundred eps. A gradient is a sum of
# terms as large as the largest of its array, which cancel.
EXACT = 1e-12
# MONAI's weights 1 / B**2, its one-hot of labels and so the root of their count, are float32: 6e-8 off, in the
# numerator and in the denominator.
FLOAT32 = 1e-6


def compare(loss, peer, x, y, peer_target, tolerance=EXACT, **arguments):
    """`loss` has the peer's value (or values) and gradient."""
    assert x.dtype == np.float64
    t = torch.tensor(x, requires_grad=True)
    want = peer(t, torch.tensor(peer_target))
    want.sum().backward()
    value, gradient = loss.value_and_grad(x, y, **arguments)
    want = want.detach().numpy().reshape(np.shape(value))
    np.testing.assert_allclose(value, want, rtol=tolerance, atol=tolerance)
    # Where all is cancelled, EXACT of 1e-3 is less than a difference that anyone could see.
    largest = max(np.abs(t.grad.numpy()).max(), 1e-3)
    np.testing.assert_allclose(gradient, t.grad.numpy(), rtol=tolerance, atol=tolerance * largest)


# ---- MONAI: (its arguments, ours of C classes)

ACTIVATIONS = {
    "softmax": ({"softmax": True}, {}),
    "sigmoid": ({"sigmoid": True}, {"activation": "sigmoid"}),
    "probabilities": ({}, {"activation": None}),
}
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
activations = pytest.mark.parametrize("activation", ACTIVATIONS)


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


ONE_CHANNEL = {
    "some": lambda y: y,
    "none": lambda y: 0 * y,
    "all": lambda y: 0 * y + 1,
    "one pixel": lambda y: y[:, :1],
    "one sample": lambda y: y[:1],
}


def one_channel(situation, shape=(3, 40), seed=0):
    """Logits (N, 1, P) and labels {0, 1} (N, P)."""
    rng = np.random.default_rng(seed)
    y = ONE_CHANNEL[situation](rng.integers(0, 2, shape))
    return 2 * rng.standard_normal((len(y), 1, *y.shape[1:])), y


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


# ---- MONAI's masks

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


# ---- MONAI's metric


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


# ---- smp: sums over the batch, an absent class counts as 0, no smoothing: so these of ours

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
