"""Tests the tables of a report: Arrow, pandas and Parquet hold the very numbers of the report."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import fastloss as fl

RNG = np.random.default_rng(4)
LOSSES = {"ce": fl.CrossEntropyLoss(), "dice": fl.DiceLoss(absent="nan")}


@pytest.fixture
def report(tmp_path):
    for folder in ("p", "m"):
        (tmp_path / folder).mkdir()
    for k in range(3):
        np.save(tmp_path / "p" / f"{k}.npy", RNG.standard_normal((3, 5, 7)))
        np.save(tmp_path / "m" / f"{k}.npy", RNG.integers(0, 2, (5, 7)))  # class 2 is absent
    return fl.evaluate_files(LOSSES, tmp_path / "p", tmp_path / "m", class_names=["a", "b", "c"])


def same(column, expected):
    np.testing.assert_array_equal(np.array(column, float), expected)


@pytest.mark.parametrize("kind", ["pyarrow", "pandas"])
def test_each_scope_holds_the_numbers_of_the_report(report, kind):
    pytest.importorskip(kind)

    def columns(scope):
        if kind == "pyarrow":
            return report.to_arrow(scope).to_pydict()
        return report.to_pandas(scope).to_dict("list")

    found = columns("image")
    assert list(found) == ["image", "prediction", "target", "spacing", "ce", "dice"]
    assert found["image"] == ["0", "1", "2"]
    assert found["prediction"] == [str(pair.prediction) for pair in report.pairs]
    assert found["spacing"] == [None] * 3
    for name in LOSSES:
        same(found[name], report.per_image[name])
    found = columns("class")
    assert found["class"] == ["a", "b", "c"]
    same(found["dice"], report.per_class["dice"])
    assert np.isnan(found["dice"][2])
    found = columns("all")
    assert found["loss"] == ["ce", "dice"]
    same(found["value"], list(report.values()))


def test_a_report_of_arrays_has_numbers_for_names():
    pytest.importorskip("pandas")
    x, y = RNG.standard_normal((2, 3, 4)), RNG.integers(0, 3, (2, 4))
    table = fl.evaluate(LOSSES, x, y).to_pandas()
    assert list(table.columns) == ["image", "ce", "dice"]
    assert list(table["image"]) == ["0", "1"]


def test_parquet(report, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    report.write(tmp_path / "r.parquet")
    found, expected = parquet.read_table(tmp_path / "r.parquet"), report.to_arrow()
    assert found.schema.equals(expected.schema)
    for name in expected.column_names:
        assert str(found[name].to_pylist()) == str(expected[name].to_pylist())  # nan is not equal to itself


@pytest.mark.parametrize("scope", ["images", "", None])
def test_other_scopes_are_refused(report, scope):
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match=r"^scope: expected 'image', 'class' or 'all', got "):
        report.to_pandas(scope)


def test_a_loss_with_the_name_of_a_column_is_refused():
    pytest.importorskip("pandas")
    report = fl.evaluate({"image": fl.CrossEntropyLoss()}, np.zeros((1, 2, 3)), np.zeros((1, 3), int))
    with pytest.raises(ValueError, match=r"^losses: expected no loss with the name of a column, got 'image'"):
        report.to_pandas()
    assert list(report.to_pandas("class").columns) == ["class", "image"]


MISSING = """
import sys
sys.modules["pyarrow"] = sys.modules["pandas"] = None
import numpy as np, fastloss as fl
report = fl.evaluate({"ce": fl.CrossEntropyLoss()}, np.zeros((1, 2, 3)), np.zeros((1, 3), int))
for make in (report.to_arrow, report.to_pandas):
    try:
        make()
    except ImportError as error:
        print(error)
"""


def test_a_missing_library_is_one_line():
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [
        "pyarrow is not installed; run: pip install fastloss[table]",
        "pandas is not installed; run: pip install pandas",
    ]
