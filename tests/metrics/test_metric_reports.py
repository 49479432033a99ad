"""Tests metrics wherever losses go: evaluate, tiles, lazy arrays, partials, merged reports, files of results."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from compare import same_bits
from made import ALL

import fastloss as fl
from fastloss import metrics as m
from fastloss._engine import passes
from fastloss._engine.confusion import ConfusionTally
from fastloss._engine.passes import Passes

RNG = np.random.default_rng(11)
X = RNG.normal(size=(4, 3, 12, 10)).astype(np.float32)
Y = RNG.integers(0, 3, (4, 12, 10)).astype(np.int16)
Y[0][Y[0] == 1] = 2
Y[:, 0] = 255
W = (RNG.random((4, 12, 10)) < 0.8).astype(np.float32)
MORE = ALL | {"pooled": m.IoU(batch=True, classes=[1, 2]), "zero": m.Precision(absent="zero")}
COUNTED = {name: metric for name, metric in MORE.items() if not metric.needs_whole_images}
LOSSES = {
    "ce": fl.CrossEntropyLoss(),
    "dice": fl.DiceLoss(),
    "boundary": fl.BoundaryLoss(),
    "hinge": fl.PerceptronLoss(),
}


def same(one, other):
    """Check that two reports have equal values, with equal bits."""
    assert dict(one) == pytest.approx(dict(other), rel=0, nan_ok=True)
    for name in one:
        assert same_bits(one.per_image[name], other.per_image[name])
        assert same_bits(one.per_class[name], other.per_class[name])
        assert same_bits(one.partial(name).numbers, other.partial(name).numbers)


def test_a_metric_does_not_depend_on_what_else_is_in_the_call(backend):
    together = fl.evaluate(LOSSES | MORE, X, Y, pixel_weight=W, ignore_index=255)
    apart = fl.evaluate(MORE, X, Y, pixel_weight=W, ignore_index=255)
    losses = fl.evaluate(LOSSES, X, Y, pixel_weight=W, ignore_index=255)
    assert list(together) == [*LOSSES, *MORE]
    for name, metric in MORE.items():
        own = metric.ignoring(255)
        assert together.losses[name] == own
        assert together[name] == apart[name]
        partial = own.partial(X, Y, pixel_weight=W)
        assert partial == together.partial(name)
        if name != "confusion_matrix":
            assert together[name] == own(X, Y, pixel_weight=W) == own.finalize(partial)
    for name in LOSSES:
        assert together[name] == losses[name]


def test_metrics_of_every_kind_share_a_call(backend):
    """Counts, surfaces and sums of kernels, in any order."""
    kinds = {
        "ece": m.ExpectedCalibrationError(),
        "brier": m.BrierScore(),
        "curve": m.ReliabilityCurve(),
        "sweep": m.Sweep(fl.CrossEntropyLoss(), temperature=[1.0, 2.0]),
        "surface": m.SurfaceDice(tolerance=1.0),
        "region": m.AverageSurfaceDistance(surface="region"),
        "iou": m.IoU(),
        "matrix": m.ConfusionMatrix(),
    }
    apart = {name: fl.evaluate({name: metric}, X, Y, ignore_index=255) for name, metric in kinds.items()}
    for names in (kinds, reversed(kinds), sorted(kinds)):
        together = fl.evaluate(LOSSES | {name: kinds[name] for name in names}, X, Y, ignore_index=255)
        for name, alone in apart.items():
            assert together.partial(name) == alone.partial(name)
            assert same_bits(together.per_image[name], alone.per_image[name])


def test_the_tallies_are_counted_once():
    planned = Passes(COUNTED, None)
    assert [p.tallies for p in planned._passes] == [[m.ConfusionMatrix().tally()]]
    without = {name: metric for name, metric in COUNTED.items() if name != "confusion_matrix"}
    assert [p.tallies for p in Passes(without, None)._passes] == [[m.IoU().tally()]]
    assert len(Passes({"a": m.IoU(), "b": m.IoU(threshold=0.3), "c": m.IoU(axis=2)}, None)._passes) == 2


def test_label_maps_give_what_scores_give(backend):
    scores = fl.evaluate(MORE, X, Y, pixel_weight=W, ignore_index=255)
    for dtype in (np.uint8, np.int64):
        same(
            fl.evaluate(MORE, X.argmax(axis=1).astype(dtype), Y, pixel_weight=W, ignore_index=255, num_classes=3),
            scores,
        )
    binary = {"iou": m.IoU(classes=[1])}
    expected = fl.evaluate({"iou": m.IoU(activation="sigmoid")}, X[:, :1], Y == 1)["iou"]
    assert fl.evaluate(binary, X[:, 0] > 0, Y == 1, num_classes=2)["iou"] == expected


def test_channels_last_and_probabilities(backend):
    expected = fl.evaluate(MORE, X, Y, ignore_index=255)
    last = {name: type(metric)(**options(metric, axis=-1)) for name, metric in MORE.items()}
    found = fl.evaluate(last, np.moveaxis(X, 1, -1), Y, ignore_index=255)
    given = {name: type(metric)(**options(metric, activation=None)) for name, metric in MORE.items()}
    p = fl.softmax(X.astype(np.float64), axis=1)
    for name in MORE:
        assert found[name] == expected[name]
        assert fl.evaluate(given, p, Y, ignore_index=255)[name] == expected[name]


def options(metric, **changed):
    return {f.name: getattr(metric, f.name) for f in dataclasses.fields(metric)} | changed


def test_overlapping_channels(backend):
    """With a dense target, each channel is a mask of its own, and two may hold a pixel."""
    target = RNG.random(X.shape) < 0.5
    found = fl.evaluate({"a": m.DiceScore(activation="sigmoid"), "b": m.Specificity(activation=None)}, X, target)
    for name, level, (top, below) in (
        ("a", 0.0, (lambda p, t: 2 * (p & t).sum(), lambda p, t: p.sum() + t.sum())),
        ("b", 0.5, (lambda p, t: (~p & ~t).sum(), lambda p, t: (~t).sum())),
    ):
        pairs = [(X[k, c] > level, target[k, c]) for k in range(4) for c in range(3)]
        assert found[name] == pytest.approx(np.mean([top(p, t) / below(p, t) for p, t in pairs]))
    soft = np.where(target, 0.5, 0.0)
    with pytest.raises(ValueError, match=r"target: expected 0 or 1 in a mask, got 0.5"):
        m.dice_score(X, soft, activation="sigmoid")


def test_tiles_have_the_counts_of_the_image(backend):
    for x, classes in ((X, None), (X.argmax(axis=1), 3)):
        whole = fl.evaluate(COUNTED, x, Y, pixel_weight=W, ignore_index=255, num_classes=classes)
        with fl.Tiles(COUNTED, ignore_index=255, num_classes=classes, image=list("abcd")) as tiles:
            for rows in (slice(5), slice(5, 12)):
                for columns in (slice(7), slice(7, 10)):
                    cut = (..., rows, columns)
                    tiles.add(x[cut], Y[cut], pixel_weight=W[cut])
        same(tiles.report, whole)


@pytest.mark.parametrize("chunks", [(1, 3, 12, 10), (3, 2, 5, 4)])
def test_lazy_arrays(chunks, backend):
    da = pytest.importorskip("dask.array")
    whole = fl.evaluate(MORE | {"ce": fl.CrossEntropyLoss()}, X, Y, ignore_index=255)
    found = fl.evaluate(MORE | {"ce": fl.CrossEntropyLoss()}, da.from_array(X, chunks=chunks), Y, ignore_index=255)
    for name in MORE:
        assert found[name] == whole[name]
    labels = da.from_array(X.argmax(axis=1), chunks=(chunks[0], *chunks[2:]))
    same(
        fl.evaluate(MORE, labels, da.from_array(Y, chunks=(4, 6, 10)), ignore_index=255, num_classes=3),
        fl.evaluate(MORE, X, Y, ignore_index=255),
    )
    metric = m.IoU(ignore_index=255)
    assert metric(labels, Y, num_classes=3) == metric(da.from_array(X, chunks=chunks), Y) == metric(X, Y)
    with pytest.raises(TypeError, match="input: expected float16, bfloat16, float32 or float64, got int64"):
        fl.evaluate({"ce": fl.CrossEntropyLoss()}, labels, Y)


def test_reports_and_partials_merge(tmp_path):
    whole = fl.evaluate(MORE, X, Y, ignore_index=255)
    parts = [fl.evaluate(MORE, X[k : k + 1], Y[k : k + 1], ignore_index=255) for k in range(4)]
    same(fl.Report.sum(parts), whole)
    same((parts[0] + parts[1]) + (parts[2] + parts[3]), whole)
    whole.save(tmp_path / "report.fastloss")
    loaded = fl.Report.load(tmp_path / "report.fastloss")
    assert loaded.losses == whole.losses
    same(loaded, whole)
    same(pickle.loads(pickle.dumps(whole)), whole)
    matrix = m.ConfusionMatrix(ignore_index=255)
    partial = matrix.partial(X[:1], Y[:1]) + matrix.partial(X[1:], Y[1:])
    np.testing.assert_array_equal(matrix.finalize(partial), matrix(X, Y))
    np.testing.assert_array_equal(
        loaded.losses["confusion_matrix"].finalize(loaded.partial("confusion_matrix")), matrix(X, Y)
    )
    assert whole["confusion_matrix"] == matrix(X, Y).sum()
    np.testing.assert_array_equal(whole.per_class["confusion_matrix"], matrix(X, Y).sum(axis=1))


def test_many_images_are_computed_in_parts(monkeypatch):
    """The sums of all images at one time may be larger than the images."""
    everything = MORE | LOSSES
    whole = fl.evaluate(everything, X, Y, pixel_weight=W, ignore_index=255)
    monkeypatch.setattr(passes, "PART_BYTES", 1)
    same(fl.evaluate(everything, X, Y, pixel_weight=W, ignore_index=255), whole)
    wrong = Y.copy()
    wrong[3, 2, 1] = 7
    with pytest.raises(fl.LabelError, match=r"got 7 at \(3, 2, 1\)"):
        fl.evaluate(MORE, X, wrong, ignore_index=255)
    nan = X.copy()
    nan[2, 1, 3, 4] = np.nan
    with pytest.raises(ValueError, match=r"got nan at \(2, 1, 3, 4\)"):
        fl.evaluate(MORE, nan, Y, ignore_index=255)


def test_one_image_without_a_sample_axis():
    assert m.accuracy([0.0, 1.0], 1) == 1
    assert m.accuracy(np.array(1), np.array(1), num_classes=2) == 1


def test_a_metric_is_a_frozen_value():
    assert m.IoU() == m.IoU(classes=None)
    assert hash(m.FBeta(beta=2)) == hash(m.FBeta(beta=2.0))
    assert repr(m.FBeta(beta=2, classes=range(1, 3))) == "FBeta(beta=2.0, classes=(1, 2))"
    assert isinstance(hash(ConfusionTally(m.IoU().tally().prediction)), int)
    with pytest.raises(AttributeError):
        m.IoU().batch = True
