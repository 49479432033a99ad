"""Tests that a report of `evaluate` has the same values as each loss gives by itself."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

import numpy as np
import pytest
from cases import MERGING_CASES, class_weight, images
from compare import same_bits

import fastloss as fl
from fastloss._terms import Mode

SHAPE = (4, 5, 17, 19)


def group(target, C=5):
    """All losses of the table for one kind of target, and its data."""
    cases = [c for c in MERGING_CASES if c.target == target]
    x, y, w = images(cases[0], cases[0].make(C), (SHAPE[0], C, *SHAPE[2:]), np.float32)
    if target == "labels":
        y[1, :3] = 255
    x = np.abs(x) / np.abs(x).sum(axis=1, keepdims=True)  # probabilities, for activation=None
    return {c.name: c.make(C, **({"ignore_index": 255} if target == "labels" else {})) for c in cases}, x, y, w


targets = pytest.mark.parametrize("target", ["labels", "dense", "element"])


def data(target):
    losses, x, y, w = group(target)
    if target == "labels":
        y = np.where(y < 0, 255, y)
    return losses, x, y, w


@targets
@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_those_of_the_losses_alone(target, weighted, backend):
    losses, x, y, w = data(target)
    w = w if weighted else None
    report = fl.evaluate(losses, x, y, pixel_weight=w)
    assert list(report) == list(losses)
    for name, loss in losses.items():
        # An element loss by itself may cut its tiles across samples: float32 sums in another order, some eps.
        assert report[name] == pytest.approx(loss(x, y, pixel_weight=w), rel=1e-6, nan_ok=True)
        for n in range(len(x)):
            alone = loss(x[n : n + 1], y[n : n + 1], pixel_weight=None if w is None else w[n : n + 1])
            assert report.per_image[name][n] == pytest.approx(alone, rel=1e-6, nan_ok=True)
        if target != "element":
            assert report.partial(name) == loss.partial(x, y, pixel_weight=w)
        assert loss.finalize(report.partial(name)) == pytest.approx(report[name], rel=0, nan_ok=True)


@pytest.mark.extended
@targets
def test_reports_merge_in_any_grouping(target, backend):
    losses, x, y, w = data(target)
    whole = fl.evaluate(losses, x, y, pixel_weight=w)
    single = [fl.evaluate(losses, x[n : n + 1], y[n : n + 1], pixel_weight=w[n : n + 1]) for n in range(4)]
    merged = [fl.Report.sum(order) for order in itertools.permutations(single)]
    merged += [
        single[0] + single[1] + (single[2] + single[3]),
        sum(single),
        pickle.loads(pickle.dumps(single[0])) + merged[0],
    ]
    extra = merged.pop()
    assert len(extra.images) == 5
    for report in merged:
        assert report.images == ("0", "1", "2", "3")
        for name in losses:
            assert same_bits(report[name], whole[name])
            assert same_bits(report.per_class[name], whole.per_class[name])
    in_order = single[0] + (single[1] + single[2]) + single[3]
    assert all(same_bits(in_order.per_image[name], whole.per_image[name]) for name in losses)


def test_per_class_of_labels_is_that_of_masks(backend):
    _, x, y, w = data("labels")
    losses = {
        "ce": fl.CrossEntropyLoss(ignore_index=255, class_weight=class_weight(5)),
        "plain": fl.CrossEntropyLoss(ignore_index=255),
        "sum": fl.CrossEntropyLoss(ignore_index=255, reduction="sum"),
        "dice": fl.DiceLoss(ignore_index=255),
        "jaccard": fl.JaccardLoss(ignore_index=255, batch=True),
        "skip": fl.DiceLoss(ignore_index=255, absent="skip"),
    }
    losses["both"] = 0.5 * losses["dice"] + 2 * losses["plain"]
    report = fl.evaluate(losses, x, y, pixel_weight=w)
    for c in range(5):
        masked = w * (y == c)
        for name in ("ce", "plain", "sum"):
            want = losses[name](x, y, pixel_weight=masked) if masked.any() else np.nan
            assert report.per_class[name][c] == pytest.approx(want, rel=1e-6, nan_ok=True)
        for name in ("dice", "jaccard", "skip"):
            fields = {"ignore_index": 255, "classes": (c,), "batch": losses[name].batch, "absent": losses[name].absent}
            want = type(losses[name])(**fields)(x, y, pixel_weight=w)
            assert report.per_class[name][c] == pytest.approx(want, rel=1e-12, nan_ok=True)
    np.testing.assert_allclose(
        report.per_class["both"], 0.5 * report.per_class["dice"] + 2 * report.per_class["plain"], rtol=1e-12
    )


def test_per_class_of_elements_and_dense_targets(backend):
    _, x, y, w = data("element")
    report = fl.evaluate({"bce": fl.BCEWithLogitsLoss()}, x, y, pixel_weight=w)
    want = [fl.BCEWithLogitsLoss()(x[:, c], y[:, c], pixel_weight=w[:, c]) for c in range(5)]
    np.testing.assert_allclose(report.per_class["bce"], want, rtol=1e-6)
    _, x, y, w = data("dense")
    assert np.isnan(fl.evaluate({"ce": fl.CrossEntropyLoss()}, x, y, pixel_weight=w).per_class["ce"]).all()


def test_element_and_region_losses_together(backend):
    _, x, y, w = data("dense")
    losses = {"bce": fl.BCEWithLogitsLoss(), "dice": fl.DiceLoss(activation="sigmoid"), "ce": fl.CrossEntropyLoss()}
    report = fl.evaluate(losses, x, y, pixel_weight=w)
    assert report["dice"] == losses["dice"](x, y, pixel_weight=w)
    assert report["ce"] == losses["ce"](x, y, pixel_weight=w)
    full = np.repeat(w[:, None], 5, axis=1)
    assert report["bce"] == pytest.approx(losses["bce"](x, y, pixel_weight=full), rel=1e-6)


def test_different_ignore_index_and_axis(backend):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 5, 20, 5)), rng.integers(0, 5, (2, 20, 5))
    losses = {f"{i}": fl.CrossEntropyLoss(ignore_index=i) for i in (0, 1, -100)}
    losses |= {f"dice{i}": fl.DiceLoss(ignore_index=i) for i in (0, 1, 255)}
    report = fl.evaluate(losses, x, y)
    assert list(report) == list(losses)
    assert dict(report) == pytest.approx({name: loss(x, y) for name, loss in losses.items()}, rel=1e-12)


def test_one_pass_serves_all_losses(monkeypatch):
    from fastloss import _backend

    calls, run = [], _backend.run
    monkeypatch.setattr(_backend, "run", lambda *a, **k: calls.append(a) or run(*a, **k))
    losses, x, y, w = data("labels")
    fl.evaluate(losses, x, y, pixel_weight=w)
    makers = {loss.weight_maker() for loss in losses.values()} - {None}
    # Each set of weights has a pass. The losses that make weights may run other kernels first, in other modes.
    assert sum(c[2] == Mode.FORWARD | Mode.BY_CLASS for c in calls) == max(1, len(makers))


def test_empty(backend):
    report = fl.evaluate(
        {"ce": fl.CrossEntropyLoss(), "dice": fl.DiceLoss()}, np.zeros((0, 3, 4)), np.zeros((0, 4), int)
    )
    assert report.images == ()
    assert np.isnan([report["ce"], report["dice"]]).all()
    assert report.per_image["ce"].shape == (0,)
    more = fl.evaluate(dict(report.losses), np.zeros((1, 3, 4)), np.zeros((1, 4), int))
    assert dict(report + more) == dict(more)


def test_errors():
    x, y = np.zeros((1, 3, 4)), np.zeros((1, 4), int)
    with pytest.raises(ValueError, match=r"^losses: expected at least one"):
        fl.evaluate({}, x, y)
    with pytest.raises(TypeError, match=r"^losses: expected a loss or a metric for 'a', got str"):
        fl.evaluate({"a": "dice"}, x, y)
    with pytest.raises(ValueError, match=r"^losses: expected reduction"):
        fl.evaluate({"a": fl.CrossEntropyLoss(reduction="none")}, x, y)
    with pytest.raises(fl.LabelError):
        fl.evaluate({"a": fl.CrossEntropyLoss()}, x, y + 3)
    a, b = fl.evaluate({"a": fl.DiceLoss()}, x, y), fl.evaluate({"a": fl.JaccardLoss()}, x, y)
    with pytest.raises(ValueError, match=r"^reports: expected the same losses"):
        a + b
    with pytest.raises(ValueError, match=r"^reports: expected at least one"):
        fl.Report.sum([])


# ---- a value is the loss's own, whatever other losses are in the call

ONE = {
    "bce": fl.BCEWithLogitsLoss(),
    "mse": fl.MSELoss(),
    "dice": fl.DiceLoss(activation="sigmoid"),
    "dice0": fl.DiceLoss(activation="sigmoid", ignore_index=0),
    "dice255": fl.DiceLoss(activation="sigmoid", ignore_index=255),
    "sum": fl.BCEWithLogitsLoss() + fl.DiceLoss(activation="sigmoid", ignore_index=0),
}


@pytest.mark.parametrize("ignore", [None, 255, 0])
def test_a_value_does_not_depend_on_the_others(ignore, backend):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((3, 1, 40)).astype(np.float32), rng.integers(0, 2, (3, 40))
    names = list(ONE)
    alone = {n: fl.evaluate({n: ONE[n]}, x, y, ignore_index=ignore)[n] for n in names}
    for order in [names, names[::-1], names[2:] + names[:2]]:
        assert dict(fl.evaluate({n: ONE[n] for n in order}, x, y, ignore_index=ignore)) == {n: alone[n] for n in order}
    kept = None if ignore is None else (y != ignore)[:, None]
    for name in ("bce", "mse"):
        assert alone[name] == pytest.approx(ONE[name](x, y[:, None], pixel_weight=kept), rel=1e-6)


def test_labels_of_one_channel_that_are_left_out(backend):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 1, 50)), rng.integers(0, 2, (2, 50))
    y[0, :9] = 255
    want = fl.BCEWithLogitsLoss()(x, y[:, None] == 1, pixel_weight=(y != 255)[:, None])
    for target in (y, y[:, None]):
        assert fl.evaluate({"b": fl.BCEWithLogitsLoss()}, x, target, ignore_index=255)["b"] == pytest.approx(want)


@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (4, 3, 8, 3)])
def test_classes_of_element_losses_are_those_of_the_others(shape, backend):
    rng = np.random.default_rng(3)
    x, y = rng.random(shape), np.eye(3)[rng.integers(0, 3, shape[:-1])]
    losses = {"ce": fl.CrossEntropyLoss(axis=-1), "bce": fl.BCEWithLogitsLoss(), "mse": fl.MSELoss()}
    last = fl.evaluate(losses, x, y)
    losses["ce"] = fl.CrossEntropyLoss()
    first = fl.evaluate(losses, np.moveaxis(x, -1, 1), np.moveaxis(y, -1, 1))
    for name in losses:
        assert last[name] == pytest.approx(first[name], rel=1e-12)
        np.testing.assert_allclose(last.per_class[name], first.per_class[name], rtol=1e-12)


def test_python_adds_losses_up():
    assert sum([fl.DiceLoss(), fl.CrossEntropyLoss()]) == fl.DiceLoss() + fl.CrossEntropyLoss()
    with pytest.raises(TypeError):
        1 + fl.DiceLoss()


def test_sums_by_class_add_up(backend):
    rng = np.random.default_rng(4)
    x, y = rng.random((4, 3, 50)), rng.integers(0, 3, (4, 50))
    losses = fl.DiceLoss(), fl.TverskyLoss(batch=True), fl.CrossEntropyLoss()
    for loss in (dataclasses.replace(loss, reduction="sum") for loss in losses):
        report = fl.evaluate({"l": loss}, x, y)
        assert report.per_class["l"].sum() == pytest.approx(report["l"], rel=1e-12)
    dense = np.moveaxis(np.eye(3)[y], -1, 1)
    for reduction in ("sum", "batchmean"):
        report = fl.evaluate({"l": fl.KLDivLoss(reduction=reduction)}, x, dense)
        assert report.per_class["l"].sum() == pytest.approx(report["l"], rel=1e-12)
