"""Tests what a notebook shows of losses, partials and reports: tables with their values, and every text escaped."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
from cases import CASES

import fastloss as fl

X, Y = np.random.default_rng(0).standard_normal((2, 3, 4)), np.array([[0, 1, 2, 1], [0, 0, 1, 2]])


class Cells(HTMLParser):
    """The rows of all tables."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.tags[-1] in ("th", "td"):
            self.rows[-1][-1] += data


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_loss_shows_its_options(case):
    loss = case.make(3)
    rows = Cells(loss._repr_html_()).rows
    if isinstance(loss, type(fl.DiceLoss() + fl.CrossEntropyLoss())):
        assert rows[1:] == [[f"{weight:g}", repr(part)] for weight, part in loss.parts]
        return
    shown = {name: value for name, value, _ in rows[1:]}
    given = {name for name, _, changed in rows[1:] if changed}
    assert all(value == repr(getattr(loss, name)) for name, value in shown.items())
    assert all(f"{name}={shown[name]}" in repr(loss) for name in given)
    assert repr(loss).count("=") >= len(given)


def test_a_loss_of_several_inputs_and_a_partial():
    assert ["lambda_", "2.5", "set"] in Cells(fl.MaskRCNNLoss(lambda_=2.5)._repr_html_()).rows
    partial = fl.DiceLoss(smooth=1.0).partial(X, Y)
    rows = Cells(partial._repr_html_()).rows
    assert ["loss", "DiceLoss(smooth=1.0)"] in rows
    assert ["samples", "2"] in rows


def test_a_report_shows_its_values_and_escapes_names():
    name = "<img src=x>\x1b"
    report = fl.evaluate({name: fl.DiceLoss(), "ce": fl.CrossEntropyLoss()}, X, Y)
    cells = Cells(report._repr_html_())
    assert "img" not in cells.tags
    assert ["<img src=x>\\x1b", f"{report[name]:.6g}"] in cells.rows
    for k in range(3):
        assert [str(k), *(f"{report.per_class[loss][k]:.6g}" for loss in report)] in cells.rows


def test_a_report_of_many_classes_shows_the_first():
    report = fl.evaluate({"ce": fl.CrossEntropyLoss()}, np.zeros((1, 200, 4)), np.zeros((1, 4), int))
    text = report._repr_html_()
    assert "the first 50" in text
    assert len(Cells(text).rows) == 2 + 51
