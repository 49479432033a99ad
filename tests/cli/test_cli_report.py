"""Tests that `fastloss evaluate` reports the library's values, as tables, JSON and CSV."""

import csv
import json
import math
import os
import re
import stat

import numpy as np
import pytest
from commandline import CLASSES, evaluated, left, load, refused, run

import fastloss as fl
from fastloss.report.facts import Facts
from fastloss.report.files_report import FilesReport
from fastloss.report.words import averaging

LOSSES = {
    "dice": fl.DiceLoss(),
    "dice(batch=True)": fl.DiceLoss(batch=True),
    "tversky(alpha=0.3, beta=0.7)": fl.TverskyLoss(alpha=0.3, beta=0.7),
    "0.5*dice + 0.5*cross_entropy": 0.5 * fl.DiceLoss() + 0.5 * fl.CrossEntropyLoss(),
}


def library(scene):
    names = sorted(path.stem for path in (scene / "p").iterdir())
    arrays = [(np.load(scene / "p" / f"{name}.npy")[None], load(scene / "m" / f"{name}.png")[None]) for name in names]
    return names, fl.Report.sum(fl.evaluate(LOSSES, x, y) for x, y in arrays)


def test_report_json_is_the_librarys(scene, capsys):
    names, expected = library(scene)
    found = evaluated(capsys, scene / "p", scene / "m", losses=LOSSES)
    assert found["images"] == 3
    assert found["classes"] == ["0", "1", "2"]
    assert found["fastloss"] == fl.config()["version"]
    assert [image["image"] for image in found["per_image"]] == names
    assert list(found["losses"]) == list(LOSSES)
    for name, loss in LOSSES.items():
        entry = found["losses"][name]
        assert entry["loss"] == repr(loss)
        assert entry["value"] == expected[name]
        assert list(entry["per_class"].values()) == list(expected.per_class[name])
        assert [image["losses"][name] for image in found["per_image"]] == list(expected.per_image[name])
    assert found["per_image"][1]["prediction"].endswith("b.npy")
    assert found["per_image"][1]["target"].endswith("b.png")


def test_report_csv_is_the_librarys(scene, capsys):
    names, expected = library(scene)
    output = scene / "report.csv"
    options = [f"--loss={name}" for name in LOSSES]
    assert run(capsys, "evaluate", scene / "p", scene / "m", *options, "--output", output)[0] == 0
    with output.open(newline="") as handle:
        rows = {(row["scope"], row["name"], row["loss"]): float(row["value"]) for row in csv.DictReader(handle)}
    assert len(rows) == len(LOSSES) * (1 + CLASSES + 3)
    for name in LOSSES:
        assert rows["all", "", name] == expected[name]
        assert [rows["class", str(i), name] for i in range(CLASSES)] == list(expected.per_class[name])
        assert [rows["image", image, name] for image in names] == list(expected.per_image[name])


def test_set_value_is_of_all_pixels_not_a_mean_of_means(scene, capsys):
    found = evaluated(capsys, scene / "p", scene / "m", losses=["cross_entropy"])
    pairs = [(np.load(scene / "p" / f"{n}.npy"), load(scene / "m" / f"{n}.png")) for n in "abc"]
    logits = np.concatenate([x.reshape(CLASSES, -1) for x, _ in pairs], axis=1)[None]
    labels = np.concatenate([y.ravel() for _, y in pairs])[None]
    whole = fl.cross_entropy(logits, labels)
    # Four neighbouring pixels share a log in float32, and other pixels are neighbours here.
    assert found["losses"]["cross_entropy"]["value"] == pytest.approx(whole, rel=1e-8)
    means = np.mean([image["losses"]["cross_entropy"] for image in found["per_image"]])
    assert abs(means - whole) > 1e-6


def test_tables(scene, capsys):
    (scene / "names.txt").write_text("sky\nroad [grey]\ncar\n")
    names = scene / "names.txt"
    losses = ["--loss", "dice", "--loss", "dice(classes=[1, 2], batch=True)", "--class-names", names, "--worst", 2]
    code, out, err = run(capsys, "evaluate", scene / "p", scene / "m", *losses)
    assert code == 0
    whole, classes, worst = out.split("\n\n")
    assert "merged partial sums" in whole
    assert "not a mean of per-file means" in whole
    assert re.search(r"^dice +0\.\d+ +mean over images and classes$", whole, re.M)
    assert re.search(
        r"^dice\(classes=\[1, 2\], batch=True\) +0\.\d+ +pixels of all images pooled, then mean", whole, re.M
    )
    assert re.search(r"^road \[grey\] +0\.\d+ +0\.\d+$", classes, re.M)
    assert re.search(r"^sky +0\.\d+ +-$", classes, re.M)  # left out by classes=
    assert worst.startswith("Worst 2 of 3 by dice (the first loss)")
    _, expected = library(scene)
    order = np.argsort(-expected.per_image["dice"])[:2]
    assert [line.split()[0] for line in worst.splitlines()[2:]] == ["abc"[i] for i in order]
    assert "\x1b" not in out + err
    assert re.fullmatch(r"3 images, .* images/s, .* GB/s \(.*\)\n", err)


def test_same_image_twice_is_one_row_each_and_the_same_expression_counts_once(scene, capsys):
    found = evaluated(capsys, scene / "p" / "a.npy", scene / "m" / "a.png", losses=["dice", " dice "])
    assert list(found["losses"]) == ["dice"]
    assert found["losses"]["dice"]["value"] == found["per_image"][0]["losses"]["dice"]


def test_class_names_in_the_report(scene, capsys):
    path = scene / "names.txt"
    path.write_text("\ufeffHimmel\nStraße\nroad, old\n", encoding="utf-8")
    found = evaluated(capsys, scene / "p", scene / "m", "--class-names", path)
    assert found["classes"] == ["Himmel", "Straße", "road, old"]
    assert list(found["losses"]["dice"]["per_class"]) == found["classes"]


def test_output_is_checked_before_any_work(scene, capsys):
    arguments = ("evaluate", scene / "nowhere", scene / "m", "--loss", "dice", "--output")
    assert "ending in .json or .csv" in refused(capsys, *arguments, scene / "report.txt")
    assert "expected an existing folder" in refused(capsys, *arguments, scene / "deep" / "report.json")
    (scene / "folder.json").mkdir()
    assert "expected a file, got a folder" in refused(capsys, *arguments, scene / "folder.json")
    if os.name == "posix":
        os.mkfifo(scene / "pipe.json")
        assert "expected a file that may be written" in refused(capsys, *arguments, scene / "pipe.json")


def test_two_reports(scene, capsys):
    outputs = ("--output", scene / "r.json", "--output", scene / "r.csv")
    assert run(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", *outputs)[0] == 0
    value = json.loads((scene / "r.json").read_text())["losses"]["dice"]["value"]
    assert f"all,,dice,{value}" in (scene / "r.csv").read_text()


def test_no_number_is_null_in_json(tmp_path, capsys):
    """All pixels left out: no value; strict JSON all the same."""
    np.save(tmp_path / "x.npy", np.zeros((2, 4, 4), np.float32))
    np.save(tmp_path / "y.npy", np.full((4, 4), 255, np.uint8))
    arguments = ("--ignore-index", "255")
    found = evaluated(capsys, tmp_path / "x.npy", tmp_path / "y.npy", *arguments, losses=["cross_entropy"])
    assert "NaN" not in (tmp_path / "report.json").read_text()
    assert found["losses"]["cross_entropy"]["value"] is None
    assert found["per_image"][0]["losses"]["cross_entropy"] is None
    assert found["losses"]["cross_entropy"]["per_class"] == {"0": None, "1": None}
    output = tmp_path / "report.csv"
    code, out, _ = run(
        capsys,
        "evaluate",
        tmp_path / "x.npy",
        tmp_path / "y.npy",
        *arguments,
        "--loss=cross_entropy",
        "--output",
        output,
    )
    assert code == 0
    assert "all,,cross_entropy,nan" in output.read_text()
    assert re.search(r"^cross_entropy +- ", out, re.M)
    assert "Worst" not in out


def test_a_failed_write_leaves_what_was_there(scene, capsys, monkeypatch):
    output = scene / "report.json"
    output.write_text("old")
    before = left(scene)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    code, _, err = run(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", "--output", output)
    assert code == 2
    assert "report.json: cannot be written: No space left on device" in err
    assert output.read_text() == "old"
    assert left(scene) == before


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_report_has_ordinary_permissions_and_a_link_stays_one(scene, capsys):
    umask = os.umask(0o022)
    try:
        evaluated(capsys, scene / "p", scene / "m")
        assert stat.S_IMODE((scene / "report.json").stat().st_mode) == 0o644
        (scene / "report.json").chmod(0o640)
        (scene / "elsewhere").mkdir()
        (scene / "report.json").rename(scene / "elsewhere" / "real.json")
        (scene / "report.json").symlink_to(scene / "elsewhere" / "real.json")
        evaluated(capsys, scene / "p", scene / "m")
        assert (scene / "report.json").is_symlink()
        assert stat.S_IMODE((scene / "elsewhere" / "real.json").stat().st_mode) == 0o640
    finally:
        os.umask(umask)


def test_worst_ranks_without_the_images_that_have_no_value():
    values = {"ce": np.array([1.0, math.nan, math.inf, 1.0])}
    losses = {"ce": fl.CrossEntropyLoss()}
    plain = fl.Report(losses, 2, "abcd", {}, {}, values)
    facts = {"pairs": (), "class_names": (), "spacings": (), "notes": (), "nbytes": 0, "seconds": 0.0}
    found = FilesReport(plain, Facts(**facts, nan=()))
    assert found.worst(10) == [2, 0, 3]
    assert found.worst(1) == [2]
    found = FilesReport(plain, Facts(**facts, nan=(1,)))
    assert found.nan_images == ("b",)
    assert found.worst(10) == [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (fl.CrossEntropyLoss(), "mean over the pixels of all images"),
        (fl.CrossEntropyLoss(class_weight=[1, 2]), "weighted mean over the pixels of all images"),
        (fl.CrossEntropyLoss(reduction="sum"), "the sum, not an average"),
        (fl.DiceLoss(), "mean over images and classes"),
        (fl.DiceLoss(absent="skip"), "mean over images and classes, without classes absent from the mask"),
        (fl.TverskyLoss(batch=True), "pixels of all images pooled, then mean over classes"),
        (fl.GeneralizedDiceLoss(class_weight=[1, 2]), "mean over images"),
        (fl.GeneralizedDiceLoss(batch=True), "pixels of all images pooled"),
        (fl.LovaszSoftmaxLoss(per_image=True), "mean over the classes of each image, then over images"),
        (
            fl.TopKLoss(fl.CrossEntropyLoss(class_weight=[1, 2])),
            "weighted mean over the hardest pixels of all images",
        ),
        (
            0.5 * fl.DiceLoss() + fl.BoundaryLoss(),
            "0.5 x (mean over images and classes) + 1 x (mean over the pixels of all images)",
        ),
    ],
    ids=repr,
)
def test_what_a_value_averages_over(loss, words):
    assert averaging(loss) == words
