"""Tests the HTML page of a comparison without a browser: its numbers, and its words about them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jinja2")

from reading import Page

import fastloss as fl
from fastloss.report.words import number

RNG = np.random.default_rng(21)
LOSSES = {"dice <b>": fl.DiceLoss(absent="nan"), "ce": fl.CrossEntropyLoss()}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The second run is better in class 0 and has an image more, and class 2 is absent."""
    folder = tmp_path_factory.mktemp("runs")
    for sub in ("p", "q", "m"):
        (folder / sub).mkdir()
    for k in range(9):
        y = RNG.integers(0, 2, (8, 9))
        x = RNG.standard_normal((3, 8, 9))
        better = x.copy()
        better[0] += np.where(y == 0, 3.0, 0.0)
        for sub, array in (("p", x), ("q", better), ("m", y)):
            np.save(folder / sub / f"{k}.npy", array)
    fl.evaluate_files(LOSSES, folder / "q", folder / "m", state=folder / "<second>", class_names=["a", "b", "c"])
    (folder / "p" / "8.npy").unlink()
    (folder / "m" / "8.npy").unlink()
    fl.evaluate_files(LOSSES, folder / "p", folder / "m", state=folder / "first", class_names=["a", "b", "c"])
    return fl.compare_ledgers(folder / "first", folder / "<second>", samples=200)


def test_the_tables_hold_the_numbers_of_the_comparison(found):
    page = Page(found.to_html(title="A <title>", command="fastloss compare"))
    rows = page.table("All images")[1:]
    for row, (name, one) in zip(rows, found.differences.items(), strict=True):
        expected = [number(value, "nan") for value in (*one.values, one.difference)]
        bounds = " to ".join(number(value, "nan") for value in one.interval)
        assert row[:5] == [name, *expected, bounds]
        low, high = one.interval
        verdict = "better" if high < 0 else "worse" if low > 0 else "not clear" if low <= high else "no value"
        assert row[6] == verdict
    classes = page.table("dice <b>")
    one = found.differences["dice <b>"]
    assert [row[:2] for row in classes[1:]] == [
        [name, number(value, "-")] for name, value in zip("abc", one.per_class, strict=True)
    ]
    assert classes[1][4] == "better"
    assert classes[3][1:5] == ["-", "nan to nan", "", "no value"]
    assert "A <title>" in page.text("h1")
    assert "8" in next(text for text in page.texts["li"] if "do not count" in text)
    assert page.texts["dd"][0] == "8"


def test_images_are_in_the_order_of_their_changes(found):
    rows = Page(found.to_html()).table("Images")
    one = found.differences["dice <b>"]
    assert len(rows) == 9
    assert rows[0][1:4] == [f"dice <b>: {run}" for run in (*found.runs, "difference")]
    for row in rows[1:]:
        k = found.images.index(row[0])
        values = (*one.image_values[:, k], one.per_image[k])
        assert row[1:4] == [number(value, "-") for value in values]
    changes = [abs(one.per_image[found.images.index(row[0])]) for row in rows[1:]]
    known = [change for change in changes if not np.isnan(change)]
    assert known == sorted(known, reverse=True)
    np.testing.assert_array_equal(one.per_image, one.image_values[1] - one.image_values[0])


def test_the_counts_of_images_add_up(found):
    page = Page(found.to_html())
    row = next(table.rows[1] for table in page.tables if "Equal" in table.rows[0] and table.rows[1][0] == "ce")
    change = found.differences["ce"].per_image
    assert row[2:5] == [str(int(n)) for n in ((change < 0).sum(), (change == 0).sum(), (change > 0).sum())]
