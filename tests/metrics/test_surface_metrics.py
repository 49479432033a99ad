"""Tests the metrics of surfaces: the masks that they make of predictions and targets, their means, and their merges.

tests/functions/test_surface.py tests the distances, and tests/peers/test_peers_surfaces.py the values of peers.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
from compare import same_bits

import fastloss as fl
from fastloss import _surface
from fastloss._engine.passes import Passes

M = fl.metrics
SHAPES = [(2, 4, 70), (3, 5, 17, 13), (2, 3, 80, 5, 6), (1, 300, 9, 11)]
METRICS = {
    "hausdorff": (M.HausdorffDistance(), lambda s: _surface.hausdorff(s, 100)),
    "hd95": (M.HausdorffDistance(percentile=95), lambda s: _surface.hausdorff(s, 95)),
    "hd95-pooled-area": (
        M.HausdorffDistance(percentile=95, pooled=True, surface="area"),
        lambda s: _surface.hausdorff(s, 95, pooled=True),
    ),
    "asd": (M.AverageSurfaceDistance(symmetric=False), lambda s: _surface.average(s, directed=True)),
    "assd": (M.AverageSurfaceDistance(), _surface.average),
    "masd": (M.AverageSurfaceDistance(pooled=False, surface="region"), lambda s: _surface.average(s, pooled=False)),
    "nsd": (M.SurfaceDice(tolerance=1.5), lambda s: _surface.surface_dice(s, 1.5)),
    "nsd-area": (M.SurfaceDice(tolerance=0.5, surface="area"), lambda s: _surface.surface_dice(s, 0.5)),
}
SPACING = (0.7, 2.0, 1.1)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
names = pytest.mark.parametrize("name", METRICS)


def smooth(shape, seed, axes):
    noise = np.random.default_rng(seed).standard_normal(shape)
    return scipy.ndimage.gaussian_filter(noise, [2 if k in axes else 0 for k in range(len(shape))])


def images(shape, dtype=np.float32):
    """Logits, and labels that mostly have the largest. The last class is in no target of the first image."""
    x = 5 * smooth(shape, 0, range(2, len(shape)))
    y = (x + smooth(shape, 1, range(2, len(shape)))).argmax(axis=1)
    y[:1][y[:1] == shape[1] - 1] = 0
    return x.astype(dtype), y


def defined(name, predicted, target):
    """The value of two masks, nan if both are empty."""
    metric, statistic = METRICS[name]
    found = _surface.surfaces(predicted, target, SPACING[: predicted.ndim], metric.surface)
    return statistic(found) if any(found.found) else np.nan


def mean(values):
    return np.nanmean(values) if not np.isnan(values).all() else np.nan


@names
@shapes
def test_the_values_are_those_of_the_masks(name, shape, backend):
    x, y = images(shape)
    report = fl.evaluate({"m": METRICS[name][0]}, x, y, spacing=SPACING[: len(shape) - 2])
    top = x.argmax(axis=1)
    each = np.array([[defined(name, top[n] == c, y[n] == c) for c in range(shape[1])] for n in range(shape[0])])
    np.testing.assert_allclose(report["m"], mean(each), rtol=1e-12)
    np.testing.assert_allclose(report.per_image["m"], [mean(row) for row in each], rtol=1e-12)
    np.testing.assert_allclose(report.per_class["m"], [mean(row) for row in each.T], rtol=1e-12)


def predictions(x, y):
    """Inputs that predict the same, with what they need. `axis` is always the last."""
    C, last = x.shape[1], np.moveaxis(x, 1, -1)
    one_hot = np.eye(C)[x.argmax(axis=1)]
    yield "logits", last, y, {}
    yield "probabilities", fl.softmax(last.astype(np.float64), -1), y, {"activation": None}
    yield "half", last.astype(np.float16).astype(np.float32), y, {}
    yield "one-hot, dense target", one_hot, np.eye(C)[y], {"activation": None}
    yield "logits of channels", 8 * one_hot - 4, np.eye(C)[y] > 0, {"activation": "sigmoid"}
    yield "a threshold", 0.3 * one_hot, np.eye(C, dtype=np.float32)[y], {"activation": None, "threshold": 0.25}
    yield "label maps", x.argmax(axis=1).astype(np.uint8), y.astype(np.int16), {}
    yield "strided", last[::-1][::-1], np.asfortranarray(y.astype(">u8")), {}


@pytest.mark.parametrize("kind", range(8))
def test_any_kind_of_prediction_gives_the_same_bits(kind, backend):
    x, y = images((3, 5, 17, 13), np.float16)
    x = x.astype(np.float32)
    want = M.HausdorffDistance(spacing=(0.7, 2.0))(x, y)
    _, given, target, options = list(predictions(x, y))[kind]
    metric = M.HausdorffDistance(spacing=(0.7, 2.0), axis=-1, **options)
    assert metric(given, target, num_classes=5 if given.dtype.kind == "u" else None) == want


@pytest.mark.parametrize("target", ["labels", "bools", "with a channel", "dense"])
def test_one_channel(target, backend):
    x, y = images((2, 2, 12, 14))
    binary = (x[:, 1:] - x[:, :1]).astype(np.float64)
    dense = (y[:, None] == 1).astype(np.float64)
    given = {"labels": y, "bools": y == 1, "with a channel": y[:, None], "dense": dense}[target]
    want = M.AverageSurfaceDistance(classes=[1])(x, y)
    assert M.AverageSurfaceDistance(activation="sigmoid")(binary, given) == want


def test_pixels_that_do_not_count_are_in_no_mask(backend):
    x, y = images((2, 4, 15, 16))
    keep = np.random.default_rng(3).random(y.shape) < 0.8
    top = np.where(keep, x.argmax(axis=1), 9)
    for ignored, inputs in ((255, x), (-(2**40), np.where(keep[:, None], x, np.nan))):
        labels = np.where(keep, y, ignored)
        metric = M.HausdorffDistance(ignore_index=ignored)
        masks = [(top[n] == c, (labels[n] == c) & keep[n]) for n in range(2) for c in range(4)]
        found = [_surface.surfaces(a, b, (1.0, 1.0)) for a, b in masks]
        want = np.mean([_surface.hausdorff(s, 100) for s in found if any(s.found)])
        assert metric(inputs, labels) == pytest.approx(want, rel=1e-12)
        assert M.HausdorffDistance()(inputs, y, pixel_weight=keep) == metric(inputs, labels)
    by_class = np.broadcast_to(keep[:, None], x.shape)
    dense = np.eye(4)[y].transpose(0, 3, 1, 2)
    assert M.HausdorffDistance()(x, dense, pixel_weight=by_class) == M.HausdorffDistance()(x, y, pixel_weight=keep)


# ---- means


TWO = (
    np.array([[[0, 1, 1, 0, 0, 0, 0, 0]], [[0, 0, 0, 0, 0, 0, 2, 2]]])[:, 0],
    np.array([[0, 1, 1, 1, 1, 0, 0, 0], [0] * 8]),
)
"""Two images: class 1 is in both masks of the first (distance 2), class 2 in the prediction of the second only."""


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        (M.HausdorffDistance(classes=[1, 2]), [[2, np.nan], [np.nan, np.inf]]),
        (M.HausdorffDistance(classes=[1, 2], missing=9), [[2, np.nan], [np.nan, 9]]),
        (M.HausdorffDistance(classes=[1, 2], missing=None), [[2, np.nan], [np.nan, np.nan]]),
        (M.HausdorffDistance(classes=[1, 2], absent="zero", missing=9), [[2, 0], [0, 9]]),
        (M.HausdorffDistance(classes=[1, 2], absent="zero", missing=None), [[2, 0], [0, np.nan]]),
        (M.HausdorffDistance(classes=[1, 2], absent="skip"), [[2, np.nan], [np.nan, np.nan]]),
        (M.AverageSurfaceDistance(classes=[1, 2], missing=9), [[0.75, np.nan], [np.nan, 9]]),
        (M.SurfaceDice(classes=[1, 2], tolerance=1.0), [[0.75, np.nan], [np.nan, 0]]),
        (M.SurfaceDice(classes=[1, 2], tolerance=[0.0, 2.0, 5.0]), [[1, np.nan], [np.nan, 0]]),
        (M.SurfaceDice(classes=[1, 2], tolerance=1.0, absent="one"), [[0.75, 1], [1, 0]]),
        (M.SurfaceDice(classes=[1, 2], tolerance=1.0, absent="skip"), [[0.75, np.nan], [np.nan, np.nan]]),
        (M.VolumeDifference(classes=[1, 2]), [[0.5, np.nan], [np.nan, np.inf]]),
        (M.VolumeDifference(classes=[1, 2], signed=True), [[-0.5, np.nan], [np.nan, np.inf]]),
        (M.VolumeDifference(classes=[1, 2], relative_to="mean"), [[2 / 3, np.nan], [np.nan, 2]]),
        (M.VolumeDifference(classes=[1, 2], relative_to="mean", batch=True), [[2 / 3, 2]]),
    ],
    ids=repr,
)
def test_absent_and_missing_classes_by_hand(metric, values, backend):
    values = np.array(values)
    report = fl.evaluate({"m": metric}, *TWO, num_classes=3)
    np.testing.assert_allclose(report["m"], mean(values), rtol=1e-12)
    np.testing.assert_allclose(report.per_class["m"], [np.nan, *(mean(column) for column in values.T)], rtol=1e-12)
    if len(values) == 2:
        np.testing.assert_allclose(report.per_image["m"], [mean(row) for row in values], rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 0), (2, 3, 5, 0), (2, 3, 0, 5), (2, 3, 4, 0, 2)], ids=str)
def test_images_without_pixels(shape, backend):
    x, y = np.zeros(shape), np.zeros(shape[:1] + shape[2:], int)
    for metric, _ in METRICS.values():
        report = fl.evaluate({"m": metric}, x, y)
        assert np.isnan([report["m"], *report.per_image["m"], *report.per_class["m"]]).all()


def test_volumes_are_of_pixels_that_count(backend):
    x, y = images((2, 4, 15, 16))
    keep = np.random.default_rng(3).random(y.shape) < 0.8
    top = x.argmax(axis=1)
    volumes = [[[np.sum((m == c) & keep, axis=(1, 2))] for c in range(4)] for m in (top, y)]
    predicted, target = np.array(volumes)[:, :, 0]
    with np.errstate(all="ignore"):
        want = np.abs(predicted - target) / target
    assert M.VolumeDifference()(x, y, pixel_weight=keep) == pytest.approx(mean(want), rel=1e-12)


# ---- one pass, merges, files


def test_metrics_of_one_kind_of_surface_share_a_tally():
    metrics = {f"{name}-{c}": dataclasses.replace(m, classes=[c]) for name, (m, _) in METRICS.items() for c in (1, 2)}
    metrics["volume"], metrics["dice"] = M.VolumeDifference(), M.DiceScore()  # they need the counts of a surface tally
    passes = Passes(metrics, None)
    (one,) = passes._passes
    assert sorted(t.surface for t in one.tallies) == ["area", "border", "region"]
    x, y = images((2, 4, 15, 16))
    report = fl.evaluate(metrics, x, y)
    for name, metric in metrics.items():
        assert same_bits(np.float64(report[name]), np.float64(metric(x, y))), name


def test_reports_and_partials_merge_to_the_same_bits(backend):
    x, y = images((3, 4, 15, 16))
    metrics = {name: metric for name, (metric, _) in METRICS.items()} | {"volume": M.VolumeDifference()}
    whole = fl.evaluate(metrics, x, y)
    merged = fl.Report.sum(fl.evaluate(metrics, x[n : n + 1], y[n : n + 1]) for n in (0, 1, 2))
    assert dict(merged) == dict(whole)
    for name, metric in metrics.items():
        assert same_bits(merged.per_image[name], whole.per_image[name])
        assert same_bits(merged.per_class[name], whole.per_class[name])
        partials = [metric.partial(x[n : n + 1], y[n : n + 1]) for n in (2, 0, 1)]
        assert metric.finalize(partials[0] + partials[1] + partials[2]) == whole[name]


def test_any_number_of_threads_gives_the_same_bits():
    x, y = images((1, 3, 40, 50, 30))
    values = []
    for threads in (1, 2, 3):
        with fl.num_threads(threads):
            values.append([metric(x, y) for metric, _ in METRICS.values()])
    assert values[0] == values[1] == values[2]


def test_the_spacing_of_the_call_and_of_the_metric(backend):
    x, y = images((2, 4, 15, 16))
    own, other = M.HausdorffDistance(spacing=(3.0, 0.5)), M.HausdorffDistance()
    report = fl.evaluate({"own": own, "other": other}, x, y, spacing=(2.0, 1.0))
    assert report["own"] == own(x, y)
    assert report["other"] == M.HausdorffDistance(spacing=(2.0, 1.0))(x, y)
    assert report.losses["other"] == other  # so that reports of other spacings merge
    assert M.HausdorffDistance(spacing=2)(x, y) == pytest.approx(2 * other(x, y), rel=1e-6)


def test_a_report_is_saved_and_loaded(tmp_path):
    x, y = images((2, 4, 15, 16))
    metrics = {name: metric for name, (metric, _) in METRICS.items()}
    metrics |= {"left out": M.HausdorffDistance(missing=None), "classes": M.SurfaceDice(tolerance=[1, 2, 0, 3])}
    report = fl.evaluate(metrics, x, y)
    report.save(tmp_path / "report")
    loaded = fl.Report.load(tmp_path / "report")
    assert dict(loaded) == dict(report)
    assert {name: repr(m) for name, m in loaded.losses.items()} == {name: repr(m) for name, m in metrics.items()}


def test_tiles_are_refused():
    with pytest.raises(ValueError, match="losses: expected"):
        fl.Tiles({"hd": M.HausdorffDistance()})
    x, y = images((1, 3, 20, 16))
    with fl.Tiles({"volume": M.VolumeDifference()}) as tiles:
        for rows in (slice(0, 7), slice(7, 20)):
            tiles.add(x[:, :, rows], y[:, rows])
    assert tiles.report["volume"] == M.VolumeDifference()(x, y)


@pytest.mark.extended
def test_lazy_arrays_are_read_image_by_image():
    dask = pytest.importorskip("dask.array")
    x, y = images((3, 4, 15, 16))
    lazy = dask.from_array(x, chunks=(1, 2, 5, 16)), dask.from_array(y, chunks=(2, 4, 7))
    for metric, _ in METRICS.values():
        assert metric(*lazy) == metric(x, y)
        assert fl.evaluate({"m": metric}, *lazy)["m"] == metric(x, y)
