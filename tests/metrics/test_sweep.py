"""Tests sweeps: each value is that of the loss or metric at that threshold or temperature."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from layouts import DTYPES

import fastloss as fl
from fastloss.metrics import Sweep

OF_CLASSES = ["IoU", "DiceScore", "Precision", "Recall", "Specificity"]
COUNTED = [*((name, C) for name in OF_CLASSES for C in (1, 3)), ("Accuracy", 1), ("MCC", 1)]
RANDOM = np.random.default_rng(5).random(60).tolist()
THRESHOLDS = {
    "one": [0.5],
    "even": np.linspace(0.01, 0.99, 101).tolist(),
    "random, some twice": [*RANDOM, *RANDOM[:9]],
    "in a cluster": [0.02, *np.geomspace(1e-7, 1e-5, 40).tolist(), 0.9],
}


def scores(C, dtype=np.float32, shape=(3, 19, 23), probabilities=False):
    rng = np.random.default_rng(C)
    x = 3 * rng.normal(size=(shape[0], C, *shape[1:]))
    x[rng.random(x.shape) < 0.1] = 0.0
    if probabilities:
        x = 1 / (1 + np.exp(-x))
        x.flat[:6] = 0, 1, 0.5, 0.25, 1e-6, 0.02
    return x.astype(dtype), rng.random((shape[0], C, *shape[1:])) < 0.4


@pytest.mark.parametrize(("name", "C"), COUNTED)
@pytest.mark.parametrize("activation", ["sigmoid", None])
@pytest.mark.parametrize("thresholds", THRESHOLDS)
def test_values_are_those_of_the_metric(name, activation, C, thresholds, backend):
    x, y = scores(C, probabilities=activation is None)
    metric = getattr(fl.metrics, name)(activation=activation)
    wanted = [dataclasses.replace(metric, threshold=t)(x, y) for t in THRESHOLDS[thresholds]]
    np.testing.assert_array_equal(Sweep(metric, threshold=THRESHOLDS[thresholds])(x, y), wanted)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_thresholds_of_every_dtype(dtype, activation, backend):
    x, y = scores(2, dtype, probabilities=activation is None)
    w = np.random.default_rng(0).random(y[:, 0].shape) < 0.7
    thresholds = [0.25, 0.5, 0.1, 0.02] + ([0.0, 1.0] if activation is None else [])
    metric = fl.metrics.IoU(activation=activation)
    got = Sweep(metric, threshold=thresholds)(np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1), y, pixel_weight=w)
    assert got.tolist() == [dataclasses.replace(metric, threshold=t)(x, y, pixel_weight=w) for t in thresholds]


LOSSES = {
    "ce": (fl.CrossEntropyLoss(class_weight=[1, 2, 0.5], ignore_index=9), 3),
    "dice": (fl.DiceLoss(), 3),
    "sum": (0.5 * fl.DiceLoss(batch=True) + fl.FocalLoss(gamma=1.5), 3),
    "focal": (fl.BinaryFocalLoss(), 1),
    "bce": (fl.BCEWithLogitsLoss(), 1),
    "ece": (fl.metrics.ExpectedCalibrationError(), 3),
    "brier": (fl.metrics.BrierScore(activation="sigmoid"), 1),
}
TEMPERATURES = [1.0, 0.25, 3.0, 10.0]


def logits(C, dtype=np.float32):
    rng = np.random.default_rng(C)
    y = rng.integers(0, max(2, C), (3, 19, 23))
    y[0, :2] = 9 if C > 1 else 0
    return (3 * rng.normal(size=(3, C, 19, 23))).astype(dtype), y


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_are_those_of_divided_logits(name, dtype, backend):
    measure, C = LOSSES[name]
    x, y = logits(C, dtype)
    y = np.where(y == 9, 0, y) if name != "ce" else y
    y = y[:, None].astype(dtype) if measure.kind == "element" else y
    got = Sweep(measure, temperature=TEMPERATURES)(x, y)
    # The sums of a report's images are exact, and a call may cut tiles across images.
    np.testing.assert_allclose(
        got, [measure(x / dtype(t), y) for t in TEMPERATURES], rtol=1e-6 if dtype == np.float32 else 1e-13
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_reports_have_the_best_values(weighted, tmp_path, backend):
    x, y = logits(3)
    y[y == 9] = 0
    w = np.random.default_rng(0).random(y.shape) < 0.5 if weighted else None
    measures = {
        "ce": fl.CrossEntropyLoss(),
        "sum": LOSSES["sum"][0],
        "ece": fl.metrics.ExpectedCalibrationError(by_class=True),
    }
    sweeps = {name: Sweep(m, temperature=TEMPERATURES) for name, m in measures.items()}
    report = fl.evaluate(sweeps | {"alone": measures["ce"]}, x, y, pixel_weight=w)
    points = [fl.evaluate(measures, x / np.float32(t), y, pixel_weight=w) for t in TEMPERATURES]
    for name, sweep in sweeps.items():
        np.testing.assert_allclose(sweep.finalize(report.partial(name)), [p[name] for p in points], rtol=1e-12)
        assert report[name] == pytest.approx(min(p[name] for p in points), rel=1e-12)
        for of in ("per_image", "per_class"):
            best = np.min([getattr(p, of)[name] for p in points], axis=0)
            np.testing.assert_allclose(getattr(report, of)[name], best, rtol=1e-12)
    assert report["alone"] == points[0]["ce"]
    report.save(tmp_path / "a")
    loaded = fl.Report.load(tmp_path / "a")
    assert loaded.losses == report.losses
    assert dict(loaded) == dict(report)
    one = [
        fl.evaluate(sweeps, x[n : n + 1], y[n : n + 1], pixel_weight=None if w is None else w[n : n + 1])
        for n in range(3)
    ]
    merged = fl.Report.sum(pickle.loads(pickle.dumps(one)))
    assert dict(merged) == {name: report[name] for name in sweeps}


def test_thresholds_in_reports_and_tiles(backend):
    x, y = scores(2)
    sweep = Sweep(fl.metrics.DiceScore(activation="sigmoid"), threshold=THRESHOLDS["even"])
    report = fl.evaluate({"dice": sweep}, x, y)
    points = [fl.evaluate({"dice": dataclasses.replace(sweep.measure, threshold=t)}, x, y) for t in sweep.threshold]
    assert report["dice"] == max(p["dice"] for p in points)
    for of in ("per_image", "per_class"):
        np.testing.assert_array_equal(
            getattr(report, of)["dice"], np.max([getattr(p, of)["dice"] for p in points], axis=0)
        )
    tiles = fl.Tiles({"dice": sweep})
    for rows in (slice(11, 19), slice(0, 11)):
        tiles.add(x[:, :, rows], y[:, :, rows])
    assert tiles.close().partial("dice") == report.partial("dice")


@pytest.mark.extended
def test_lazy_arrays(backend):
    dask = pytest.importorskip("dask.array")
    x, y = logits(3)
    y[y == 9] = 0
    sweep = Sweep(fl.metrics.ExpectedCalibrationError(), temperature=TEMPERATURES)
    lazy = dask.from_array(x, chunks=(2, 3, 7, 23)), dask.from_array(y, chunks=(2, 7, 23))
    np.testing.assert_array_equal(sweep(*lazy), sweep(x, y))
