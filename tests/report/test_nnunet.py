"""Tests nnU-Net's summary.json: the counts against masks compared one by one, and the text against nnU-Net's form."""

import json
import math

import numpy as np
import pytest

from fastloss.report.nnunet import LARGEST_SPAN, Case, Counts, counts, summary

rng = np.random.default_rng(5)


def by_masks(prediction, reference, label, ignored):
    """The formulas of nnunetv2 2.6.2, `region_or_label_to_mask` and `compute_tp_fp_fn_tn`."""
    members = label if isinstance(label, tuple) else (label,)
    in_prediction, in_reference = np.isin(prediction, members), np.isin(reference, members)
    used = ~np.isin(reference, ignored)
    return Counts(
        tp=np.sum(in_reference & in_prediction & used),
        fp=np.sum(~in_reference & in_prediction & used),
        fn=np.sum(in_reference & ~in_prediction & used),
        tn=np.sum(~in_reference & ~in_prediction & used),
    )


@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (40, 50, 60)])
@pytest.mark.parametrize("dtypes", [("u1", "i2"), ("bool", "u8"), (">i4", "i8"), ("i1", "u2")])
@pytest.mark.parametrize(
    ("labels", "ignored"),
    [
        ([0, 1, 2], []),
        ([1, 2], [3]),
        ([(1, 2, 3), (2, 3), 3], []),
        ([(1, 3), 2], [4, -1]),
        ([7], [255]),
        ([5, 1], [5]),
    ],
)
def test_counts_are_those_of_the_masks(shape, dtypes, labels, ignored):
    prediction, reference = (np.asarray(rng.integers(0, 6, shape)).astype(dtype) for dtype in dtypes)
    expected = {label: by_masks(prediction, reference, label, ignored) for label in labels}
    assert counts(prediction, reference, labels, ignored) == expected
    if prediction.ndim == 3:
        turned = prediction.T[::-1], np.asfortranarray(reference.T)[::-1]
        assert counts(*turned, labels, ignored) == expected


@pytest.mark.parametrize("dtype", ["u1", "u8", "i8"])
def test_labels_outside_count_as_none(dtype):
    """The extremes of each dtype must not become another label by wrapping around."""
    info = np.iinfo(dtype)
    prediction = np.array([info.min, info.max, 1, info.max], dtype)
    reference = np.array([1, 1, 1, 0], dtype)
    for labels in ([1], [1, -1], [(1, -1)]):
        assert counts(prediction, reference, labels)[labels[0]] == Counts(tp=1, fp=0, fn=2, tn=1)


@pytest.mark.parametrize(
    ("prediction", "reference", "labels", "message"),
    [
        (np.zeros(2, int), np.zeros(3, int), [1], r"same shape, got \(2,\) and \(3,\)"),
        (np.zeros(2), np.zeros(2, int), [1], "integer dtype, got float64"),
        (np.zeros(2, int), np.zeros(2, int), [0, LARGEST_SPAN], f"within {LARGEST_SPAN}"),
    ],
)
def test_counts_refuses(prediction, reference, labels, message):
    with pytest.raises(ValueError, match=message):
        counts(prediction, reference, labels)


def test_no_labels():
    assert counts(np.zeros(2, int), np.zeros(2, int), []) == {}


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
