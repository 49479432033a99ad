"""Tests the text of nnU-Net's summary.json. tests/metrics/test_metric_files.py has tests of its counts."""

import json
import math

import pytest

from fastloss.report.nnunet import Case, Counts, summary

EXPECTED = """{
    "foreground_mean": {
        "Dice": 0.5,
        "FN": 1.5,
        "FP": 0.5,
        "IoU": 0.35,
        "TN": 5.5,
        "TP": 1.5,
        "n_pred": 2.0,
        "n_ref": 3.0
    },
    "mean": {
        "(1, 2)": {
            "Dice": 0.5,
            "FN": 1.5,
            "FP": 0.5,
            "IoU": 0.35,
            "TN": 5.5,
            "TP": 1.5,
            "n_pred": 2.0,
            "n_ref": 3.0
        }
    },
    "metric_per_case": [
        {
            "metrics": {
                "(1, 2)": {
                    "Dice": 0.75,
                    "FN": 1,
                    "FP": 1,
                    "IoU": 0.6,
                    "TN": 4,
                    "TP": 3,
                    "n_pred": 4,
                    "n_ref": 4
                }
            },
            "prediction_file": "p/a.nii.gz",
            "reference_file": "t/a.nii.gz"
        },
        {
            "metrics": {
                "(1, 2)": {
                    "Dice": 0.25,
                    "FN": 2,
                    "FP": 0,
                    "IoU": 0.1,
                    "TN": 7,
                    "TP": 0,
                    "n_pred": 0,
                    "n_ref": 2
                }
            },
            "prediction_file": "p/b.nii.gz",
            "reference_file": "t/b.nii.gz"
        }
    ]
}"""


def case(name, counted):
    return Case(prediction=f"p/{name}.nii.gz", reference=f"t/{name}.nii.gz", counts=counted)


def test_the_text_is_that_of_nnunet():
    """`recursive_fix_for_json_export` keeps counts of a case as whole numbers, and their means as real numbers."""
    text = summary(
        [
            case("a", {(1, 2): Counts(tp=3, fp=1, fn=1, tn=4)}),
            case("b", {(1, 2): Counts(tp=0, fp=0, fn=2, tn=7)}),
        ]
    )
    # b's scores are 0. The text of the test has 0.25 and 0.1 for them, so that no two numbers are equal.
    expected = EXPECTED.replace('"Dice": 0.25', '"Dice": 0.0').replace('"IoU": 0.1', '"IoU": 0.0')
    expected = expected.replace('"Dice": 0.5', '"Dice": 0.375').replace('"IoU": 0.35', '"IoU": 0.3')
    assert text == expected


def test_an_absent_label_is_nan_and_does_not_enter_the_mean_over_cases():
    absent, there = Counts(tp=0, fp=0, fn=0, tn=9), Counts(tp=1, fp=1, fn=1, tn=6)
    cases = [
        case("a", {0: there, 1: absent, 2: absent, 10: there}),
        case("b", {0: there, 1: there, 2: absent, 10: there}),
    ]
    text = summary(cases)
    assert '"Dice": NaN' in text  # as nnU-Net writes it
    held = json.loads(text)
    assert list(held["mean"]) == ["0", "1", "10", "2"]  # sorted as text
    assert held["mean"]["1"]["Dice"] == 0.5
    assert held["mean"]["1"]["TN"] == 7.5
    assert math.isnan(held["mean"]["2"]["Dice"])
    # nnU-Net takes the mean over the labels with np.mean, so one nan makes it nan.
    assert math.isnan(held["foreground_mean"]["Dice"])
    assert held["foreground_mean"]["TP"] == pytest.approx((0.5 + 0 + 1) / 3, rel=1e-15)


def test_background_is_not_in_the_foreground():
    held = json.loads(summary([case("a", {0: Counts(tp=9, fp=0, fn=0, tn=0), 1: Counts(tp=1, fp=1, fn=1, tn=6)})]))
    assert held["foreground_mean"]["Dice"] == 0.5
    only = json.loads(summary([case("a", {0: Counts(tp=9, fp=0, fn=0, tn=0)})]))
    assert math.isnan(only["foreground_mean"]["Dice"])


def test_a_path_that_is_not_utf8_stays_readable_json():
    text = summary([case("\udcff\x1b", {1: Counts(tp=1, fp=0, fn=0, tn=0)})])
    assert text.isascii()
    assert json.loads(text)["metric_per_case"][0]["prediction_file"] == "p/\udcff\x1b.nii.gz"


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([], "at least one case"),
        ([case("a", {})], "at least one label"),
        ([case("a", {1: Counts(tp=1, fp=0, fn=0, tn=0)}), case("b", {})], r"the labels \[1\] in every case, got \[\]"),
    ],
)
def test_summary_refuses(cases, message):
    with pytest.raises(ValueError, match=message):
        summary(cases)
