"""Tests `ignore_index` with one label or several, without labels (an error), and for all losses of `evaluate`."""

import dataclasses

import numpy as np
import pytest
from cases import CASES, images

import fastloss as fl

SHAPE = (2, 5, 7, 9)
WAYS_OUT = r"^ignore_index: expected -100 \(the default\) without integer labels, got .*labels, or give .*weight of 0"


def ignoring(case, ignore_index, **options):
    return case.make(SHAPE[1], ignore_index=ignore_index, **options)


LABELLED = [c for c in CASES if c.target == "labels"]
DENSE = [c for c in CASES if c.target == "dense" and "ignore_index" in {f.name for f in dataclasses.fields(c.make(3))}]


def test_the_tables_have_every_loss_with_the_option():
    option = {cls for cls in fl.losses.LOSSES.values() if "ignore_index" in {f.name for f in dataclasses.fields(cls)}}
    assert {type(c.make(3)) for c in LABELLED} >= option


@pytest.mark.parametrize("case", LABELLED, ids=str)
def test_several_ignored_labels_are_pixels_of_weight_0(case, backend):
    x, y, w = images(case, case.make(SHAPE[1]), SHAPE)
    y[0, 0, :4], y[1, 2, :3] = 255, -7
    several = ignoring(case, [255, -7, -100, 255])
    kept = np.isin(y, [255, -7, -100], invert=True)
    masked = {"pixel_weight": w * kept}
    # The same pixels out, by weight: their labels may then be anything (but masks of distances see no weight).
    one = ignoring(case, -100)
    value, gradient = several.value_and_grad(x, y, pixel_weight=w)
    want, want_gradient = one.value_and_grad(x, np.where(kept, y, -100), **masked)
    assert value == pytest.approx(want, rel=1e-12, nan_ok=True)
    np.testing.assert_array_equal(gradient, want_gradient)
    assert (gradient.transpose(0, 2, 3, 1)[~kept] == 0).all()
    assert several(x, y, pixel_weight=w) == pytest.approx(value, rel=1e-15, nan_ok=True)
    if not case.merges:
        return
    assert several.finalize(several.partial(x, y, pixel_weight=w)) == pytest.approx(value, rel=1e-15, nan_ok=True)
    report = fl.evaluate({"a": several}, x, y, pixel_weight=w)
    assert report["a"] == pytest.approx(value, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("case", LABELLED, ids=str)
@pytest.mark.parametrize("junk", [5, -1, 255, 2**40])
def test_a_label_out_of_range_at_weight_0_is_not_looked_at(case, junk, backend):
    loss = case.make(SHAPE[1])
    x, y, w = images(case, loss, SHAPE)
    w[0, 0, :4] = 0
    y[0, 0, :4] = loss.ignore_index  # of no class, as the junk: masks of distances see no weight
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    y[0, 0, :4] = junk
    again, same = loss.value_and_grad(x, y, pixel_weight=w)
    assert np.float64(again).tobytes() == np.float64(value).tobytes()
    np.testing.assert_array_equal(same, gradient)
    y[1, 1, 2], w[1, 1, 2] = 77, 1.0  # the one that counts is named, not the first
    with pytest.raises(fl.LabelError, match=r"got 77 at \(1, 1, 2\)"):
        loss(x, y, pixel_weight=w)


def test_a_label_that_counts_is_named_where_the_caller_has_it(backend):
    x, y, w = np.zeros((2, 1, 3)), np.array([[[0, 9, 1]], [[7, 1, 0]]]), np.array([[1.0, 0, 1], [1, 1, 1]])
    for target, weight, where in ((y, w, "(1, 0, 0)"), (y[:, 0], w, "(1, 0)"), (y, w[:, None], "(1, 0, 0)")):
        with pytest.raises(fl.LabelError) as caught:
            fl.dice_loss(x, target, activation="sigmoid", pixel_weight=weight)
        assert str(caught.value).endswith(f"got 7 at {where}")


@pytest.mark.parametrize("order", "<>")
def test_several_among_labels_of_64_bits(order, backend):
    x = np.zeros((1, 3, 4))
    y = np.array([[0, 2**63 + 5, 1, 2**64 - 1]], f"{order}u8")
    with pytest.raises(fl.LabelError, match=str(2**63 + 5)):
        fl.cross_entropy(x, y, ignore_index=[-1, 2**63 - 1])
    y[0, 1], y[0, 3] = 2**63 - 1, 2
    assert fl.cross_entropy(x, y, ignore_index=[-1, 2**63 - 1]) == pytest.approx(np.log(3))


def test_an_ignored_class(backend):
    """Ignoring a label that is a class leaves its pixels out, in whatever order the labels are given."""
    x, y = np.random.default_rng(0).standard_normal((2, 3, 50)), np.tile(np.arange(3), (2, 17))[:, :50]
    want = fl.cross_entropy(x, y, pixel_weight=y == 1)
    assert fl.cross_entropy(x, y, ignore_index=[2, 0]) == fl.cross_entropy(x, y, ignore_index=(0, 2)) == want
    assert fl.CrossEntropyLoss(ignore_index=[2, 0]) == fl.CrossEntropyLoss(ignore_index=np.array([0, 2, 2]))
    assert fl.CrossEntropyLoss(ignore_index=[7]) == fl.CrossEntropyLoss(ignore_index=7)


# ---- without labels


@pytest.mark.parametrize("case", DENSE, ids=str)
@pytest.mark.parametrize("ignore_index", [255, 1, [0, 255]], ids=str)
def test_a_dense_target_has_no_label_to_ignore(case, ignore_index, backend):
    loss = ignoring(case, ignore_index)
    x, y, _ = images(case, loss, SHAPE)
    for target in (y, y.astype(np.float16), y > 0.3):
        for call in (
            loss,
            loss.value_and_grad,
            loss.partial,
            (1.0 * loss),
            lambda a, b: fl.evaluate({"a": loss}, a, b),
        ):
            with pytest.raises(ValueError, match=WAYS_OUT):
                call(x, target)
    assert np.isfinite(ignoring(case, -100)(x, y))


@pytest.mark.parametrize(
    "name", ["dice_loss", "jaccard_loss", "generalized_dice_loss", "dice_ce_loss", "boundary_loss"]
)
def test_a_float_mask_of_one_channel_is_dense(name, backend):
    x, y = np.zeros((1, 1, 4)), np.array([[0, 1, 255, 1]])
    function = getattr(fl, name)
    assert np.isfinite(function(x, y, activation="sigmoid", ignore_index=255))
    with pytest.raises(ValueError, match=WAYS_OUT):
        function(x, y[:, None].astype(float), activation="sigmoid", ignore_index=255)


def test_neither_maps_alone_nor_elements_have_labels(backend):
    x = np.zeros((1, 2, 4))
    with pytest.raises(ValueError, match=WAYS_OUT):
        fl.boundary_loss(x, None, distance_maps=x, ignore_index=255)
    with pytest.raises(ValueError, match=WAYS_OUT):
        fl.js_div(x, x, binary=True, ignore_index=255)


# ---- evaluate


def test_evaluate_ignores_for_every_loss_without_a_label_of_its_own(backend):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3, 40)), rng.integers(0, 3, (2, 40))
    losses = {
        "ce": fl.CrossEntropyLoss(label_smoothing=0.1),
        "own": fl.FocalLoss(ignore_index=1),
        "sum": 2 * fl.DiceLoss() + fl.JaccardLoss(),
        "pair": fl.DiceCELoss(ce=0.5),
        "boundary": fl.BoundaryLoss(),
    }
    y[0, :9], y[1, 5:9] = 255, 77
    with pytest.raises(fl.LabelError, match="got 255"):
        fl.evaluate(losses, x, y)
    with pytest.raises(fl.LabelError, match="got 255"):  # own has only its own
        fl.evaluate(losses, x, y, ignore_index=[255, 77])
    del losses["own"]
    report = fl.evaluate(losses, x, y, ignore_index=[255, 77])
    for name, loss in report.losses.items():
        assert report[name] == pytest.approx(loss(x, y), rel=1e-14)
        assert loss.finalize(report.partial(name)) == report[name]
    assert report.losses["ce"] == fl.CrossEntropyLoss(label_smoothing=0.1, ignore_index=[255, 77])
    assert report.losses["pair"] == fl.DiceCELoss(ce=0.5, ignore_index=(77, 255))
    assert report.losses["sum"] == 2 * fl.DiceLoss(ignore_index=(77, 255)) + fl.JaccardLoss(ignore_index=(77, 255))
    y[y == 77] = 255
    both = fl.evaluate(losses | {"own": fl.FocalLoss(ignore_index=255)}, x, y, ignore_index=255)
    assert both["own"] == pytest.approx(fl.focal_loss(x, y, ignore_index=255), rel=1e-14)
    with pytest.raises(ValueError, match=r"^reports: expected the same losses"):
        both + fl.evaluate(losses, x, y, ignore_index=[255, 3])


def test_evaluate_ignores_for_element_losses_of_a_single_channel(backend):
    x, y = np.random.default_rng(0).standard_normal((2, 1, 30)), np.tile([0, 1, 255], (2, 10))
    report = fl.evaluate(
        {"bce": fl.BCEWithLogitsLoss(), "js": fl.JSDivLoss(binary=True, activation="sigmoid")}, x, y, ignore_index=255
    )
    keep = (y != 255)[:, None]
    want = fl.binary_cross_entropy_with_logits(x, np.where(keep, y[:, None], 0).astype(float), pixel_weight=keep)
    assert report["bce"] == pytest.approx(want, rel=1e-14)
    with pytest.raises(ValueError, match=WAYS_OUT):
        fl.evaluate({"bce": fl.BCEWithLogitsLoss()}, x, y[:, None].astype(float), ignore_index=255)


def test_labels_of_one_hot_and_class_weights(backend):
    y = np.array([[0, 1, 255, 7, 1]])
    hot = fl.one_hot(y, 2, ignore_index=[255, 7])
    np.testing.assert_array_equal(hot.sum(axis=1), [[1, 1, 0, 0, 1]])
    np.testing.assert_array_equal(fl.class_weights(y, 2, "inverse", ignore_index=(7, 255)), [3, 1.5])
    with pytest.raises(fl.LabelError, match="got 7"):
        fl.one_hot(y, 2, ignore_index=255)
