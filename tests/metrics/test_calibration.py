"""Tests the calibration error, the reliability curve and the Brier score: formulas, peers, edges, layouts, merging."""

from __future__ import annotations

import numpy as np
import pytest
from compare import same_bits
from layouts import DTYPES, LABEL_DTYPES, c_order, every_second, first_axis_inside, fortran, reversed_axes

import fastloss as fl
from fastloss.metrics import BrierScore, ExpectedCalibrationError, ReliabilityCurve

BINS = 15
LAYOUTS = [c_order, fortran, reversed_axes, first_axis_inside, every_second]
KINDS = [("softmax", 5, False), ("softmax", 5, True), (None, 5, False), ("sigmoid", 3, True), ("sigmoid", 1, False)]
kinds = pytest.mark.parametrize(("activation", "C", "by_class"), KINDS, ids=str)


def probabilities(x, activation):
    x = x.astype(np.float64)
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-x))
    if activation is None:
        return x
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def data(activation, C, dtype=np.float32, shape=(3, 23, 17), seed=0):
    """Return an input, labels or a dense target, and weights of 0 where a rounding error may change the bin."""
    rng = np.random.default_rng(seed)
    x = 2 * rng.normal(size=(shape[0], C, *shape[1:]))
    x = (probabilities(x, "softmax") if activation is None else x).astype(dtype)
    y = rng.integers(0, max(2, C), shape)
    if activation == "sigmoid" and C > 1:
        y = rng.random(x.shape) < 0.4
    p = probabilities(x, activation)
    near = np.abs(p * BINS - np.round(p * BINS)).min(axis=1) < 1e-4
    w = (~near & (rng.random(shape) < 0.9)).astype(np.float32)
    return x, y, w


def literal(p, hit, bins=BINS):
    """The formula of Guo et al., as netcal has it: a loop over right-closed bins."""
    total = 0.0
    for k in range(bins):
        inside = (p > k / bins) & (p <= (k + 1) / bins) if k else p <= 1 / bins
        if inside.any():
            total += inside.mean() * abs(hit[inside].mean() - p[inside].mean())
    return total


def expected_error(x, y, keep, activation, by_class):
    """The expected value of the metric, in float64."""
    p = np.moveaxis(probabilities(x, activation), 1, 0)
    hits = (
        y.swapaxes(0, 1)
        if y.ndim == x.ndim
        else y == np.arange(1 if len(p) == 1 else 0, max(2, len(p)))[:, None, None, None]
    )
    if by_class or len(p) == 1:
        return np.mean([literal(a[keep], b[keep]) for a, b in zip(p, hits, strict=True)])
    return literal(p.max(axis=0)[keep], (p.argmax(axis=0) == y)[keep])


@kinds
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_error_is_that_of_the_formula(activation, C, by_class, dtype, layout, backend):
    x, y, w = data(activation, C, dtype)
    keep = w > 0
    if y.ndim < x.ndim:
        y = y.astype(LABEL_DTYPES[LAYOUTS.index(layout) + 1])
        y[1, :4] = 99
        keep[1, :4] = False
    ignored = {"ignore_index": 99} if y.ndim < x.ndim else {}
    metric = ExpectedCalibrationError(activation=activation, by_class=by_class, **ignored)
    got = metric(layout(x), layout(y), pixel_weight=layout(w))
    assert got == pytest.approx(expected_error(x, y, keep, activation, by_class), rel=2e-6, abs=1e-8)


@pytest.mark.extended
def test_monai(backend):
    torch, monai = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    x, y, _ = data("softmax", 4, np.float64)
    p = torch.tensor(probabilities(x, "softmax"))
    one_hot = torch.tensor(y[:, None] == np.arange(4)[None, :, None, None])
    error = monai.CalibrationErrorMetric(num_bins=20, calibration_reduction="expected", metric_reduction="none")
    theirs = error(p, one_hot.double()).numpy()
    for n in range(len(x)):
        ours = ExpectedCalibrationError(bins=20, by_class=True)(x[n : n + 1], y[n : n + 1])
        assert ours == pytest.approx(theirs[n].mean(), rel=1e-5)  # theirs is float32
    mean_p, accuracy, counts = monai.calibration.calibration_binning(p, one_hot, num_bins=20)
    curve = fl.metrics.reliability_curve(x[:1], y[:1], bins=20, by_class=True)
    np.testing.assert_array_equal(curve.counts, counts[0])
    np.testing.assert_allclose(curve.confidence, mean_p[0], rtol=1e-5)
    np.testing.assert_allclose(curve.accuracy, accuracy[0], rtol=1e-5)


@pytest.mark.extended
def test_scikit_learn(backend):
    metrics, calibration = pytest.importorskip("sklearn.metrics"), pytest.importorskip("sklearn.calibration")
    x, y, _ = data("softmax", 4, np.float64)
    flat = np.moveaxis(probabilities(x, "softmax"), 1, -1).reshape(-1, 4)
    theirs = metrics.brier_score_loss(y.ravel(), flat, scale_by_half=False, labels=range(4))
    assert BrierScore()(x, y) == pytest.approx(theirs, rel=1e-12)
    x, y, _ = data("sigmoid", 1, np.float64)
    p = probabilities(x, "sigmoid")
    assert BrierScore(activation="sigmoid")(x, y) == pytest.approx(
        metrics.brier_score_loss(y.ravel(), p.ravel()), rel=1e-12
    )
    accuracy, mean_p = calibration.calibration_curve(y.ravel(), p.ravel(), n_bins=10)
    curve = ReliabilityCurve(bins=10, activation="sigmoid")(x, y)
    np.testing.assert_allclose(curve.accuracy[curve.counts > 0], accuracy, rtol=1e-12)
    np.testing.assert_allclose(curve.confidence[curve.counts > 0], mean_p, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("target", ["labels", "dense"])
@pytest.mark.parametrize(("activation", "C"), [("softmax", 3), ("sigmoid", 3), (None, 3), (None, 1), ("sigmoid", 1)])
def test_brier_score_is_that_of_the_formula(activation, C, target, dtype, backend):
    x, y, w = data(activation if C > 1 else "sigmoid", C, dtype)
    if activation is None and C == 1:
        x = probabilities(x, "sigmoid").astype(dtype)
    dense = y if y.ndim == x.ndim else (y[:, None] if C == 1 else y[:, None] == np.arange(C)[None, :, None, None])
    errors = (probabilities(x, activation) - dense) ** 2
    of_pixel = errors.mean(axis=1) if activation == "sigmoid" else errors.sum(axis=1)
    labels = y if y.ndim < x.ndim and target == "labels" else dense.astype(np.float64)
    score = BrierScore(activation=activation)(x, labels, pixel_weight=w)
    assert score == pytest.approx(of_pixel[w > 0].mean(), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_edge_belongs_to_the_bin_below(dtype, backend):
    edges = np.array([0, *(k / BINS for k in range(1, BINS + 1))], dtype)
    x = edges[None, None]
    curve = ReliabilityCurve(activation=None)(x, np.ones((1, BINS + 1), int))
    assert curve.counts.tolist() == [2] + [1] * (BINS - 1)
    above = np.nextafter(edges[1:-1], dtype(2))[None, None]
    assert ReliabilityCurve(activation=None)(above, np.ones((1, BINS - 1), int)).counts.tolist() == [0] + [1] * (
        BINS - 1
    )
    assert ReliabilityCurve()(np.array([[[2000.0], [0.0]]], dtype), [[0]]).counts[-1] == 1  # a softmax of exactly 1


@pytest.mark.parametrize("bins", [1, 2, 7, 100, 1000])
def test_counts_are_those_of_numpy(bins, backend):
    """With probabilities as input, the counts are exact. Large samples, and small ones that share a tile."""
    rng = np.random.default_rng(bins)
    for shape in [(2, 1, 5000), (300, 1, 3)]:
        x = np.round(rng.random(shape), 2)
        curve = ReliabilityCurve(bins=bins, activation=None)(x, np.zeros(x[:, 0].shape, int))
        inside = np.searchsorted([k / bins for k in range(1, bins)], x.ravel())
        np.testing.assert_array_equal(curve.counts, np.bincount(inside, minlength=bins))
        totals = np.bincount(inside, weights=x.ravel(), minlength=bins)
        some = curve.counts > 0
        np.testing.assert_allclose(curve.confidence[some], totals[some] / curve.counts[some], rtol=1e-13)
        assert np.isnan(curve.confidence[~some]).all()


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_tiles_and_threads(activation, C, by_class, dtype, backend):
    x, y, w = data(activation, C, dtype, (2, 61, 53))
    metrics = {"curve": ReliabilityCurve(activation=activation, by_class=by_class)}
    whole = fl.evaluate(metrics, x, y, pixel_weight=w).partial("curve")
    for threads in (1, 3):
        with fl.num_threads(threads):
            assert fl.evaluate(metrics, x, y, pixel_weight=w).partial("curve") == whole
    tiles = fl.Tiles(metrics)
    for rows in (slice(40, 61), slice(0, 7), slice(7, 40)):
        tiles.add(x[..., rows, :], y[..., rows, :], pixel_weight=w[..., rows, :])
    assert same_bits(np.sum(tiles.close().partial("curve").numbers, axis=0), np.sum(whole.numbers, axis=0))
    images = [fl.evaluate(metrics, x[n : n + 1], y[n : n + 1], pixel_weight=w[n : n + 1]) for n in (1, 0)]
    assert fl.Report.sum(images).partial("curve") == whole


def test_reports(tmp_path, backend):
    x, y, _ = data("softmax", 5)
    metrics = {
        "ece": ExpectedCalibrationError(),
        "by class": ExpectedCalibrationError(by_class=True),
        "brier": BrierScore(),
        "curve": ReliabilityCurve(by_class=True),
    }
    report = fl.evaluate(metrics, x, y)
    assert {name: metric.finalize(report.partial(name)) for name, metric in metrics.items() if name != "curve"} == {
        name: report[name] for name in metrics if name != "curve"
    }
    curve = metrics["curve"].finalize(report.partial("curve"))
    assert curve.counts.shape == curve.accuracy.shape == (5, BINS)
    assert report["curve"] == report["by class"] == pytest.approx(report.per_class["by class"].mean())
    assert np.isnan(report.per_class["ece"]).all()
    for n in range(3):
        for name in ("ece", "by class", "brier"):
            assert report.per_image[name][n] == metrics[name](x[n : n + 1], y[n : n + 1])
    for c in range(5):
        assert report.per_class["brier"][c] == pytest.approx(BrierScore()(x, y, pixel_weight=y == c))
    report.save(tmp_path / "a")
    assert dict(fl.Report.load(tmp_path / "a")) == dict(report)


def test_both_backends_agree():
    for activation, C, by_class in KINDS:
        x, y, w = data(activation, C)
        curves = []
        for name in ("native", "numpy"):
            with fl.backend(name):
                curves.append(ReliabilityCurve(activation=activation, by_class=by_class)(x, y, pixel_weight=w))
        np.testing.assert_array_equal(curves[0].counts, curves[1].counts)
        np.testing.assert_array_equal(curves[0].accuracy, curves[1].accuracy)
        np.testing.assert_allclose(curves[0].confidence, curves[1].confidence, rtol=1e-6)


def test_no_pixel_and_many_classes(backend):
    x = np.zeros((2, 3, 4))
    assert np.isnan(ExpectedCalibrationError()(x, np.full((2, 4), -100)))
    assert np.isnan(BrierScore()(x[:0], np.zeros((0, 4), int)))
    x, y, _ = data("softmax", 300, np.float64, (2, 5, 9))  # several blocks of classes
    assert ExpectedCalibrationError()(x, y) == pytest.approx(expected_error(x, y, y >= 0, "softmax", False), rel=1e-12)
    assert ExpectedCalibrationError(by_class=True)(x, y) == pytest.approx(expected_error(x, y, y >= 0, "softmax", True))
