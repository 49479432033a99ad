"""Tests the HTML page of a report without a browser: its numbers, its escapes, and that it loads nothing."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("jinja2")

from reading import Page

import fastloss as fl
from fastloss.files.pairing import Pair
from fastloss.report.examples import Example, Plane
from fastloss.report.facts import Facts, Failed
from fastloss.report.files_report import FilesReport
from fastloss.report.pictures import LEVELS, class_colours, scale_colours
from fastloss.report.words import number

RNG = np.random.default_rng(5)
LOSSES = {"dice": fl.DiceLoss(absent="nan"), "ce": fl.CrossEntropyLoss()}
HOSTILE = [
    "<script>alert(1)</script>\"'&",
    "a\x1b[31m\u202eb",
    "</style><img src=//evil.test/x onerror=alert(1)>",
    "\udcff",
]


def files_report(count, classes=3, names=None, class_names=None, **facts):
    x, y = RNG.standard_normal((count, classes, 4, 5)), RNG.integers(0, classes, (count, 4, 5))
    plain = fl.evaluate(LOSSES, x, y)
    names = names or [f"image{k:05}" for k in range(count)]
    report = fl.Report(plain.losses, classes, names, plain._numbers, plain._class_numbers, plain.per_image)
    given = {
        "pairs": tuple(Pair(name=n, prediction=f"p/{n}.npy", target=f"m/{n}.png") for n in names),
        "class_names": tuple(class_names or [f"class {k}" for k in range(classes)]),
        "spacings": (None,) * count,
        "notes": (),
        "nan": (),
        "nbytes": 10**9,
        "seconds": 2.0,
        "class_values": {name: RNG.random((count, classes)) for name in LOSSES},
    }
    return FilesReport(report, Facts(**given | facts))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of files, with pictures."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("files")
    for sub in "pmi":
        (folder / sub).mkdir()
    for k in range(4):
        np.save(folder / "p" / f"{k}.npy", RNG.standard_normal((3, 12, 17)).astype(np.float32))
        np.save(folder / "m" / f"{k}.npy", RNG.integers(0, 2, (12, 17)))  # class 2 is absent
        image.fromarray(RNG.integers(0, 256, (12, 17, 3), np.uint8)).save(folder / "i" / f"{k}.png")
    return fl.evaluate_files(
        {**LOSSES, "dice": fl.DiceLoss(absent="skip")},
        folder / "p",
        folder / "m",
        class_names=["sky", "road", "car"],
        per_image_class=True,
        examples=2,
        images=folder / "i",
    )


def test_the_tables_hold_the_numbers_of_the_report(report):
    page = Page(report.to_html())
    assert [row[:2] for row in page.table("All images")[1:]] == [[n, number(v, "-")] for n, v in report.items()]
    classes = page.table("Classes")
    assert classes[0] == ["Class", "dice", "ce"]
    for k, name in enumerate(report.class_names):
        assert classes[k + 1] == [name, *(number(report.per_class[loss][k], "-") for loss in report)]
    assert classes[3][2] == "-"
    images = page.table("Images")[1:]
    assert images == [
        [name, *(number(report.per_image[loss][k], "-") for loss in report)] for k, name in enumerate(report.images)
    ]
    worst = page.table("Worst images")[1:]
    assert [row[0] for row in worst] == [report.images[k] for k in report.worst(10)]
    chart = page.table("dice")
    assert [row[0] for row in chart[1:]] == ["all classes", *report.class_names]
    values = report.per_image_class["dice"][:, 0]
    assert chart[2][2:] == [
        str(np.isfinite(values).sum()),
        *(number(v, "-") for v in np.percentile(values, [0, 25, 50, 75, 100])),
    ]
    assert page.table("ce")[4][2:] == ["0", "-", "-", "-", "-", "-"]


def test_the_page_states_what_was_evaluated_and_how(report):
    page = Page(report.to_html(title="Run <1>", command="fastloss evaluate p m"))
    assert "Run <1>" in page.text("h1")
    how = dict(zip(page.texts["dt"], page.texts["dd"], strict=True))
    assert how["Command"] == "fastloss evaluate p m"
    assert how["Predictions"] == str(report.pairs[0].prediction.parent)
    assert how["class_names"] == "sky, road, car"
    assert how["fastloss"].startswith(fl.config()["version"])
    assert how["Images"] == "4"
    assert "mean over images and classes" in str(page.table("All images"))


def test_options_are_stated_in_words(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 4, 5)))
    np.save(tmp_path / "y.npy", np.zeros((4, 5), np.uint8))
    report = fl.evaluate_files(
        LOSSES,
        tmp_path / "x.npy",
        tmp_path / "y.npy",
        ignore_index=np.array([7, 255]),
        on_error="raise",
        read_threads=1,
    )
    stated = {"predictions": str(tmp_path / "x.npy"), "targets": str(tmp_path / "y.npy"), "ignore_index": "7, 255"}
    assert dict(report.options) == stated | {"read_threads": "1"}


def test_notes_failures_and_nan_are_shown():
    report = files_report(
        3, nan=(1,), notes=("a <b>note</b>",), failures=(Failed(name="x<y", message="x.npy: expected <this>"),)
    )
    report.per_image["dice"][1] = math.nan
    page = Page(report.to_html())
    assert "a <b>note</b>" in page.text("li")
    assert page.table("Images that could not be evaluated")[1] == ["x<y", "x.npy: expected <this>"]
    assert page.table("Worst images")[1][:2] == ["image00001", "nan"]


def references(page):
    return [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "poster", "srcset", "background")
    ]


def check_safe(text):
    """Check that the page loads nothing, and that its policy allows its script only."""
    page = Page(text)
    for reference in references(page):
        assert reference.startswith(("data:", "#")), reference
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    (script,) = page.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"script-src 'sha256-{digest}'" in policy
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert len(page.all("style")) == 1
    assert "url(" not in page.text("style")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", text)
    return page


def test_the_page_loads_nothing(report):
    page = check_safe(report.to_html())
    anchors = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {r[1:] for r in references(page) if r.startswith("#")} <= anchors
    assert len(anchors) == len([1 for _, attributes in page.elements if "id" in attributes])
    assert len(page.all("img")) == 8
    assert all(image["alt"] for image in page.all("img"))


def test_hostile_names_are_text():
    names = [f"{k}{name}" for k, name in enumerate(HOSTILE)]
    report = files_report(
        4,
        4,
        names,
        HOSTILE,
        notes=tuple(HOSTILE),
        failures=tuple(Failed(name=name, message=name) for name in HOSTILE),
        options=tuple(zip(HOSTILE, HOSTILE, strict=True)),
    )
    report = FilesReport(
        fl.Report(
            {HOSTILE[0]: report.losses["dice"], HOSTILE[2]: report.losses["ce"]},
            4,
            names,
            dict(zip((HOSTILE[0], HOSTILE[2]), report._numbers.values(), strict=True)),
            dict(zip((HOSTILE[0], HOSTILE[2]), report._class_numbers.values(), strict=True)),
            dict(zip((HOSTILE[0], HOSTILE[2]), report.per_image.values(), strict=True)),
        ),
        report._facts,
    )
    text = report.to_html(title=HOSTILE[0], command=HOSTILE[2])
    page = check_safe(text)
    shown = [row[0] for row in page.table("Images")[1:]]
    assert shown == ["0" + HOSTILE[0], "1a\\x1b[31m\\u202eb", "2" + HOSTILE[2], "3\\xff"]
    assert [row[0] for row in page.table("Classes")[1:]] == [HOSTILE[0], "a\\x1b[31m\\u202eb", HOSTILE[2], "\\udcff"]


@pytest.mark.parametrize(("count", "classes"), [(1, 1), (2, 2), (61, 3)])
def test_any_number_of_images_and_classes(count, classes):
    if classes == 1:
        x, y = RNG.standard_normal((count, 1, 4, 5)), RNG.integers(0, 2, (count, 4, 5))
        report = fl.evaluate({"bce": fl.BCEWithLogitsLoss()}, x, y, ignore_index=255)
    else:
        report = files_report(count, classes)
    page = check_safe(report.to_html())
    dots = [a for a in page.all("path") if a.get("class") == "dot"]
    outlines = [a for a in page.all("path") if a.get("class") == "outline"]
    assert bool(dots) == (count <= 60)
    assert bool(outlines) == (count > 60)


def test_many_classes_have_outlines_instead_of_dots():
    text = files_report(60, 150).to_html()
    assert 'class="dot"' not in text
    assert len(text) < 1_000_000


def test_no_value_at_all():
    report = fl.evaluate({"ce": fl.CrossEntropyLoss()}, np.zeros((1, 2, 3)), np.full((1, 3), 255), ignore_index=255)
    page = check_safe(report.to_html())
    assert page.table("All images")[1][:2] == ["ce", "-"]
    assert page.table("Worst images") == [["Image", "ce"]]


def test_ten_thousand_images_take_less_than_5_mb():
    report = files_report(10_000, 19)
    size = len(report.to_html().encode())
    assert size < 3_000_000  # pictures take the rest
    rows = Page(report.to_html()).table("Images")
    assert len(rows) == 10_001


def noise(index, classes, side=280):
    maps = RNG.integers(0, classes, (2, side, side)).astype(np.int16)
    plane = Plane(
        title="",
        axes=("y", "x"),
        step=1,
        aspect=1.0,
        flipped=False,
        picture=RNG.integers(0, 256, (side, side, 3), np.uint8),
        target=maps[0],
        prediction=maps[1],
        loss=RNG.random((side, side)).astype(np.float32),
    )
    return Example(index=index, loss="noise", planes=(plane,))


def test_pictures_of_noise_are_left_out_at_some_size_and_the_page_states_it():
    report = files_report(20, 260, examples=tuple(noise(k, 260) for k in range(20)))
    text = report.to_html()
    assert len(text) < 5_000_000
    page = Page(text)
    assert 0 < len(page.all("img")) < 80
    assert page.text("p").count("its pictures are left out") == 20 - len(page.all("img")) // 4
    legend = [attributes["data-colour"] for attributes in page.all("li") if "data-colour" in attributes]
    assert len(set(legend)) == len(legend) == 250
    assert "class 0 or class 250" in page.text("li")


def test_a_hundred_thousand_images_show_the_worst(monkeypatch):
    monkeypatch.setattr("fastloss.report.page.MOST_CELLS", 40)
    report = files_report(50)
    rows = Page(report.to_html()).table("Images")[1:]
    assert [row[0] for row in rows] == [report.images[k] for k in report.worst(10)]


def test_a_loss_map_has_the_colours_of_its_values(report):
    image = pytest.importorskip("PIL.Image")
    import io

    page = Page(report.to_html())
    example = report.examples[0]
    plane = example.planes[0]
    source = next(a["src"] for a in page.all("img") if a["class"] == "loss")
    pixels = np.asarray(image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB"))
    assert pixels.shape == (12, 17, 3)
    x, y = (np.load(path) for path in (report.pairs[example.index].prediction, report.pairs[example.index].target))
    expected = fl.cross_entropy(x[None], y[None], reduction="none")[0]
    np.testing.assert_array_equal(plane.loss, expected)
    levels = np.rint(expected / expected.max() * (LEVELS - 1)).astype(int)
    np.testing.assert_array_equal(pixels, np.array(scale_colours())[levels])
    mask = next(a["src"] for a in page.all("img") if a["class"] == "mask")
    pixels = np.asarray(image.open(io.BytesIO(base64.b64decode(mask.partition(",")[2]))).convert("RGB"))
    np.testing.assert_array_equal(pixels, np.array(class_colours(3))[y])


MISSING = """
import sys
sys.modules["jinja2"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "jinja2" else find(name, *a)
import numpy as np, fastloss as fl
report = fl.evaluate({"ce": fl.CrossEntropyLoss()}, np.zeros((1, 2, 3)), np.zeros((1, 3), int))
try:
    report.to_html()
except ImportError as error:
    print(error)
"""


def test_a_missing_library_is_one_line():
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == 'an HTML page needs jinja2, which is not installed; run: pip install "fastloss[report]"\n'


def test_a_loaded_report_has_the_same_page_without_pictures(report, tmp_path):
    report.save(tmp_path / "r.fastloss")
    loaded = fl.Report.load(tmp_path / "r.fastloss")
    assert loaded.options == report.options
    for name in LOSSES:
        np.testing.assert_array_equal(loaded.per_image_class[name], report.per_image_class[name])
    page, other = Page(report.to_html()), Page(loaded.to_html())
    assert [table.rows for table in page.tables] == [table.rows for table in other.tables]
    assert other.all("img") == []


def test_values_per_image_and_class_are_those_of_the_images(report):
    for k, pair in enumerate(report.pairs):
        own = fl.evaluate(report.losses, np.load(pair.prediction)[None], np.load(pair.target)[None])
        for name in LOSSES:
            np.testing.assert_array_equal(report.per_image_class[name][k], own.per_class[name])
