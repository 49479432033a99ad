"""Tests the drawings of a page: colours, axes, outlines, confusion matrices and reliability curves."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest

from fastloss.report.charts import axis_of, rows_of
from fastloss.report.pictures import LEVELS, NOTHING, UNCOUNTED, class_colours, scale_colours
from fastloss.report.sections import confusions, reliabilities


def test_colours_are_distinct():
    assert len(set(scale_colours())) == LEVELS
    assert len({*class_colours(250), NOTHING, UNCOUNTED}) == 252
    assert class_colours(300)[250:] == class_colours(50)


@pytest.mark.parametrize(
    "values", [[0.0], [1.0, 1.0], [-3.0, 5.0], [1e-9, 2e-9], [1e6, 1e6 + 1], [math.nan, math.inf], []]
)
def test_an_axis_holds_its_values_and_round_ticks(values):
    axis = axis_of(np.array(values))
    finite = [v for v in values if math.isfinite(v)]
    assert all(axis.low < v < axis.high for v in finite)
    assert 2 <= len(axis.ticks) <= 7
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)


def test_an_outline_has_the_height_of_the_counts():
    values = np.concatenate([np.zeros(90), np.ones(10)])
    _, (row,) = rows_of(["a"], [values], dots=False)
    upper = [12 - float(y) for y in re.findall(r"V([\d.]+)h8", row.outline)]
    lower = [float(y) - 12 for y in re.findall(r"V([\d.]+)h-8", row.outline)]
    assert len(upper) == 50
    assert upper == pytest.approx(lower[::-1])
    assert sorted(set(np.round(upper, 1))) == [0, 1.2, 11]
    assert row.count == 100


class Matrix:
    higher_is_better = None

    def __init__(self, value):
        self.value = value

    def finalize(self, partial):
        return self.value


class Held:
    """A report that holds a metric."""

    def __init__(self, value):
        self.losses = {"metric": Matrix(value)}

    def partial(self, name):
        return None


def test_a_confusion_matrix_has_the_shares_of_its_rows():
    matrix = np.array([[8, 2, 0], [1, 1, 0], [0, 0, 0]])
    (found,) = confusions(Held(matrix), ["a", "b", "c"])
    assert [[cell["text"] for cell in row["cells"]] for row in found["rows"]] == [
        ["80.0%", "20.0%", "0.0%"],
        ["50.0%", "50.0%", "0.0%"],
        ["-", "-", "-"],
    ]
    assert [row["total"] for row in found["rows"]] == [10, 2, 0]
    (found,) = confusions(Held(matrix[:2, :2]), ["car"])
    assert found["names"] == ["not car", "car"]
    large = np.diag(np.full(40, 5))
    large[3, 7], large[9, 1] = 2, 5
    (found,) = confusions(Held(large), [f"c{k}" for k in range(40)])
    assert found["rows"] == []
    assert found["largest"] == [["c9", "c1", "5", "50.0%"], ["c3", "c7", "2", "28.6%"]]
    assert confusions(Held(0.5), ["a"]) == reliabilities(Held(0.5)) == []


def test_a_reliability_curve_has_the_bins_with_pixels():
    curve = SimpleNamespace(
        edges=np.array([0.0, 0.5, 0.75, 1.0]),
        counts=np.array([0, 3, 5]),
        confidence=np.array([np.nan, 0.625, 0.875]),
        accuracy=np.array([np.nan, 1 / 3, 0.8]),
    )
    (found,) = reliabilities(Held(curve))
    assert found["rows"] == [
        ["0.5 to 0.75", "3", "0.625", "0.333333", "-0.291667"],
        ["0.75 to 1", "5", "0.875", "0.8", "-0.075"],
    ]
    assert [(point["x"], point["y"]) for point in found["points"]] == [(62.5, pytest.approx(200 / 3)), (87.5, 20.0)]
    assert confusions(Held(curve), ["a"]) == []


def test_the_page_has_the_sections_of_the_metrics():
    metrics = pytest.importorskip("fastloss.metrics")
    pytest.importorskip("jinja2")
    from reading import Page

    import fastloss as fl

    if not hasattr(metrics, "ConfusionMatrix"):
        pytest.skip("needs the confusion matrix")
    x = np.random.default_rng(0).standard_normal((4, 3, 6, 7))
    y = np.random.default_rng(1).integers(0, 3, (4, 6, 7))
    report = fl.evaluate({"iou": metrics.IoU(), "matrix": metrics.ConfusionMatrix()}, x, y)
    page = Page(report.to_html())
    rows = page.table("matrix")[1:]
    matrix = metrics.confusion_matrix(x, y)
    assert [row[1:] for row in rows] == [
        [str(row.sum()), *(f"{count / row.sum():.1%}" for count in row)] for row in matrix
    ]
    worst = [row[0] for row in page.table("Worst images")[1:]]
    assert worst == [str(k) for k in np.argsort(report.per_image["iou"], kind="stable")]


def test_a_metric_of_label_maps_has_a_map_of_errors(tmp_path):
    metrics = pytest.importorskip("fastloss.metrics")
    import fastloss as fl

    x, y = np.random.default_rng(2).integers(0, 3, (2, 6, 7))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    metric = {"iou": metrics.IoU()}
    report = fl.evaluate_files(metric, tmp_path / "x.npy", tmp_path / "y.npy", num_classes=3, examples=1)
    (plane,) = report.examples[0].planes
    np.testing.assert_array_equal(plane.loss, x != y)
    np.testing.assert_array_equal(plane.prediction, x)
