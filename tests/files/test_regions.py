"""Tests regions of labels: what the text means, where its errors point, and the masks against a slow loop."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_layouts import LAYOUTS

from fastloss.files import FileError
from fastloss.files.regions import LONGEST, Regions, parse_regions

FILE = Path("mask.nii.gz")
RNG = np.random.default_rng(22)
BRATS = Regions(("wt", "tc", "et"), (frozenset({1, 2, 3}), frozenset({2, 3}), frozenset({3})))


@pytest.mark.parametrize(
    "given_regions",
    [
        "wt=1+2+3,tc=2+3,et=3",
        " wt = 1 + 2 + 3 , tc = 3+2 , et = 3 ",
        {"wt": [1, 2, 3], "tc": (2, 3), "et": [np.uint8(3)]},
        {" wt": range(1, 4), "tc ": [3, 2], "et": [3]},
    ],
)
def test_meaning(given_regions):
    assert parse_regions(given_regions) == BRATS


def test_names_and_labels_of_all_kinds():
    found = parse_regions("whole tumour=0+-1,größe=07+-9223372036854775808")
    assert found == Regions(("whole tumour", "größe"), (frozenset({0, -1}), frozenset({7, -(2**63)})))


@pytest.mark.parametrize(
    ("text", "message", "marked"),
    [
        ("", "expected a region such as wt=1+2+3", ""),
        ("  ", "expected a region such as wt=1+2+3", "  "),
        ("wt", "expected a region such as wt=1+2+3", "wt"),
        ("wt=1, tc", "expected a region such as wt=1+2+3", "tc"),
        ("wt=1,,et=3", "expected a region such as wt=1+2+3", ","),
        ("wt=1,", "expected a region such as wt=1+2+3", ""),
        ("=1", "expected the name of a region before =", "="),
        ("wt=1,  =1", "expected the name of a region before =", "  "),
        ("w\x1b[2Jt=1", "expected the name of a region before =", r"w\x1b[2Jt"),
        ("wt=1,tc=2, wt =3", "expected each region once, got wt twice", "wt"),
        ("wt=", "expected an integer label in region wt", ""),
        ("wt=1+", "expected an integer label in region wt", ""),
        ("wt=1++2", "expected an integer label in region wt", "+"),
        ("wt=1+ two ,tc=2", "expected an integer label in region wt", "two"),
        ("wt=1.0", "expected an integer label in region wt", "1.0"),
        ("wt=1=2", "expected an integer label in region wt", "1=2"),
        ("wt=1-2", "expected an integer label in region wt", "1-2"),
        ("wt=1 2", "expected an integer label in region wt", "1 2"),
        ("wt=--1", "expected an integer label in region wt", "--1"),
        ("wt=１", "expected an integer label in region wt", "１"),
        ("wt=\x07+1", "expected an integer label in region wt", r"\x07"),
        ("wt=1\n,tc=\n", "expected an integer label in region tc", r"\n"),
        (f"wt=1+{'9' * 20}", "expected an integer label in region wt", "9" * 20),
        (f"wt=-{'9' * 19}", "expected an integer label in region wt", f"-{'9' * 19}"),
        ("wt=1+2+01", "expected each label once in region wt", "01"),
    ],
)  # fmt: skip
def test_errors_point_at_the_place(text, message, marked):
    with pytest.raises(FileError) as caught:
        parse_regions(text)
    first, shown, marks = str(caught.value).split("\n")
    assert first == f"`regions=`: {message}"
    assert shown.isprintable()
    assert shown[marks.index("^") : len(marks)] == marked
    assert marks.strip(" ^") == ""


@pytest.mark.parametrize(
    ("text", "start"),
    [("wt=1,,et=3", 5), ("wt=1,", 5), ("=1", 0), ("wt=", 3), ("wt=1+", 5), ("wt=1++2", 5), ("a=1,b=2+x", 8)],
)
def test_a_part_that_is_missing_has_a_place(text, start):
    with pytest.raises(FileError) as caught:
        parse_regions(text)
    assert str(caught.value).split("\n")[2].index("^") == start + 4


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "expected at least one region, got none"),
        ({"": [1]}, "expected the name of a region, got ''"),
        ({1: [1]}, "expected the name of a region, got 1"),
        ({"a\x1b": [1]}, r"expected the name of a region, got 'a\x1b'"),
        ({"wt": [1], " wt": [2]}, "expected each region once, got wt twice"),
        ({"wt": []}, "expected labels such as [1, 2, 3] for wt, got []"),
        ({"wt": 1}, "expected labels such as [1, 2, 3] for wt, got 1"),
        ({"wt": "12"}, "expected labels such as [1, 2, 3] for wt, got '12'"),
        ({"wt": {1, 2}}, "expected labels such as [1, 2, 3] for wt, got {1, 2}"),
        ({"wt": [1, 2.0]}, "expected integer labels for wt, got 2.0"),
        ({"wt": [True]}, "expected integer labels for wt, got True"),
        ({"wt": [None]}, "expected integer labels for wt, got None"),
        ({"wt": [2**64]}, "expected integer labels for wt, got 18446744073709551616"),
        ({"wt": [1, 2, 1]}, "expected each label once for wt, got [1, 2, 1]"),
    ],
)
def test_mappings_that_are_refused(mapping, message):
    with pytest.raises(FileError) as caught:
        parse_regions(mapping)
    assert str(caught.value) == f"`regions=`: {message}"


def test_a_text_has_a_bounded_length():
    parse_regions("a=" + "1".rjust(LONGEST - 2))
    with pytest.raises(FileError, match=f"expected at most {LONGEST} characters, got {LONGEST + 1}"):
        parse_regions("a=" + "1".rjust(LONGEST - 1))


@given(st.text("wt=+-,12 \x1b\n", max_size=30) | st.text())
def test_any_text_is_regions_or_an_error_of_printable_lines(text):
    error = found = None
    try:
        found = parse_regions(text)
    except FileError as caught:
        error = str(caught)
    if found is None:
        assert all(line.isprintable() for line in error.split("\n"))
        assert len(error.split("\n")) == 3
    else:
        again = ",".join(
            f"{name}={'+'.join(map(str, members))}" for name, members in zip(found.names, found.members, strict=True)
        )
        assert parse_regions(again) == found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">i2", "<u4", ">i4", "<i8", ">u8", "?"])
def test_a_pixel_is_in_the_regions_that_name_its_label(dtype, layout):
    dtype = np.dtype(dtype)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    regions = parse_regions({"all": sorted({0, 1, low, high}), "one": [1], "end": [high]})
    labels = LAYOUTS[layout](RNG.choice(np.array([0, 1, low, high], dtype), (24, 30)).astype(dtype))
    found = regions.apply(labels, (), FILE)
    assert found.dtype == np.bool_
    assert found.shape == (3, *labels.shape)
    for mask, members in zip(found, regions.members, strict=True):
        assert np.ravel(mask).tolist() == [int(v) in members for v in labels.ravel()]


def test_background_and_ignored_labels():
    labels = np.array([0, 1, 3, 255, -100], np.int16)
    assert BRATS.apply(labels, {255, -100}, FILE).tolist() == [
        [False, True, True, False, False],
        [False, False, True, False, False],
        [False, False, True, False, False],
    ]
    with_background = parse_regions("background=0,rest=1+3,void=255")
    assert with_background.apply(labels, {255, -100}, FILE).tolist() == [
        [True, False, False, False, False],
        [False, True, True, False, False],
        [False, False, False, True, False],
    ]


@pytest.mark.parametrize("layout", ["C", "F", "transposed", "reversed", "strided", "4 axes"])
def test_the_first_unknown_label_is_reported(layout):
    labels = LAYOUTS[layout](np.zeros((24, 30), ">i4"))
    labels[..., -1, 3] = 4
    at = tuple(int(k) for k in np.argwhere(labels)[0])
    with pytest.raises(FileError) as caught:
        BRATS.apply(labels, {-100, 9}, FILE)
    assert str(caught.value) == (
        f"mask.nii.gz: expected labels of the regions (-100, 0..3, 9), got 4 at {at}; name it in `regions=`, or ignore "
        "it with `ignore_index=4`"
    )


@pytest.mark.parametrize("dtype", ["f4", "c8", "S1"])
def test_only_integers_are_labels(dtype):
    with pytest.raises(FileError, match=r"^mask.nii.gz: expected integer labels, got "):
        BRATS.apply(np.zeros((2, 2), dtype), (), FILE)


def test_many_regions():
    regions = parse_regions({str(k): [k, k + 1] for k in range(100)})
    labels = RNG.integers(0, 101, (50, 40))
    found = regions.apply(labels, (), FILE)
    for k in range(100):
        np.testing.assert_array_equal(found[k], (labels == k) | (labels == k + 1))


def test_memory_is_the_result_the_codes_and_a_few_blocks():
    labels = np.ones((2000, 2000), np.int64).T
    tracemalloc.start()
    found = BRATS.apply(labels, (), FILE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < found.nbytes + 2 * labels.size + 4 * 2**20  # 8 blocks of 65536 int64 are 4 MiB
