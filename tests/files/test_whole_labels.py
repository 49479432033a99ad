"""Tests labels that a file stores as floating point numbers: whole ones are labels, others are rounded on request."""

from pathlib import Path

import numpy as np
import pytest
from mask_layouts import LAYOUTS

from fastloss.files import FileError
from fastloss.files.label_maps import whole_labels

FILE = Path("mask.nii")
RNG = np.random.default_rng(21)
ROUNDED = "labels within a tolerance are rounded with `round_labels"
INTEGERS = ["u1", ">i2", "<u4", ">i8", "?"]


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "g"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_whole_numbers_are_labels(dtype, layout):
    whole = RNG.integers(-3, 40, (24, 30))
    found = whole_labels(LAYOUTS[layout](whole.astype(dtype)), None, FILE)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, LAYOUTS[layout](whole))


def test_integers_are_returned_as_they_are():
    for dtype in INTEGERS:
        labels = np.ones((2, 3), dtype)
        assert whole_labels(labels, None, FILE) is labels


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8", "g"])
def test_numbers_within_the_tolerance_are_rounded(dtype):
    values = np.array([0.25, 1.875, -0.125, 3.0], dtype)
    assert whole_labels(values, 0.25, FILE).tolist() == [0, 2, 0, 3]
    with pytest.raises(FileError, match=r"got 0.25 at \(0,\)"):
        whole_labels(values, 0.2, FILE)


@pytest.mark.parametrize(
    ("number", "dtype", "message"),
    [
        (0.9999, "f4", f"got 0.9999 at (1, 0, 2) (float32); {ROUNDED}=0.001`"),
        (1 + 1e-9, "f8", f"got 1.000000001 at (1, 0, 2) (float64); {ROUNDED}=1e-08`"),
        (6.99, ">f4", f"got 6.99 at (1, 0, 2) (float32); {ROUNDED}=0.1`"),
        (0.37, "f8", "got 0.37 at (1, 0, 2) (float64)"),
        (np.nan, "f2", "got nan at (1, 0, 2) (float16)"),
        (np.nan, "f8", "got nan at (1, 0, 2) (float64)"),
        (2.0**53 + 2, "f8", "of at most 2**53, got 9007199254740994.0 at (1, 0, 2) (float64)"),
        (-(2.0**63), "f4", "of at most 2**53, got -9.223372e+18 at (1, 0, 2) (float32)"),
        (np.inf, "f4", "of at most 2**53, got inf at (1, 0, 2) (float32)"),
    ],
)  # fmt: skip
def test_numbers_that_are_no_labels(number, dtype, message):
    values = np.ones((2, 3, 4), dtype)
    values[1, 0, 2] = values[1, 2, 3] = number
    for tolerance in (None, 0):
        for given_values in (values, np.asfortranarray(values)):
            with pytest.raises(FileError) as caught:
                whole_labels(given_values, tolerance, FILE)
            comma = "" if "2**53" in message else ","
            assert str(caught.value) == f"mask.nii: expected integer labels{comma} {message}"


def test_the_tolerance_that_is_named_is_enough():
    for dtype in (np.float16, np.float32, np.float64):
        for off in 10.0 ** RNG.uniform(-12, -1.1, 200):
            values = np.array([1 - off], dtype)
            if values[0] == 1:
                continue
            with pytest.raises(FileError, match="round_labels=") as caught:
                whole_labels(values, None, FILE)
            named = float(str(caught.value).split("round_labels=")[1].strip("`"))
            assert whole_labels(values, named, FILE).tolist() == [1]


@pytest.mark.parametrize("tolerance", [-0.1, 0.5, 2, np.nan, np.inf])
def test_a_tolerance_is_below_one_half(tolerance):
    with pytest.raises(FileError, match=f"^`round_labels={tolerance}`: expected a number from 0 to less than 0.5"):
        whole_labels(np.ones(3), tolerance, FILE)


@pytest.mark.parametrize("dtype", ["c8", "S3", "M8[s]"])
def test_other_types_are_no_labels(dtype):
    with pytest.raises(FileError, match=r"^mask.nii: expected integer labels, got "):
        whole_labels(np.zeros(3, dtype), None, FILE)
