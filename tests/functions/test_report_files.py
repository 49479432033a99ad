"""Tests that `Report.save` and `Report.load` keep every bit, and that a hostile file is refused."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from cases import MERGING_CASES, images
from record_changes import changed

import fastloss as fl
from fastloss.report.facts import Failed

C = 3
SHAPE = (2, C, 6, 7)


def arrays(report):
    """All numbers of a report, as bytes with their shapes."""
    found = [report._numbers[name] for name in report] + [report.per_image[name] for name in report]
    found += [one for name in report for one in report._class_numbers[name]]
    return [(one.shape, one.dtype, one.tobytes()) for one in found]


def same(one, other):
    assert type(one) is type(other)
    assert (one.losses, repr(one.losses)) == (other.losses, repr(other.losses))
    assert list(one) == list(other)
    assert (one.classes, one.images, one._images) == (other.classes, other.images, other._images)
    assert arrays(one) == arrays(other)
    assert repr(dict(one)) == repr(dict(other))


def saved(report, path):
    report.save(path)
    return fl.Report.load(path)


@pytest.mark.parametrize("case", MERGING_CASES, ids=str)
def test_every_bit_comes_back(case, tmp_path):
    loss = case.make(C)
    x, y, w = images(case, loss, SHAPE)
    report = fl.evaluate({"one": loss, "ein Verlust \n\x1b[31m": loss * 0.5}, x, y, pixel_weight=w)
    loaded = saved(report, tmp_path / "r")
    same(loaded, report)
    same(loaded + report, report + report)
    assert repr(loaded.per_class) == repr(report.per_class)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e-310, 3e38])
def test_values_that_json_does_not_have(value, tmp_path):
    x = np.random.default_rng(0).normal(size=SHAPE)
    x[0, 0, 0, 0] = value
    losses = {"mse": fl.MSELoss(), "l1": fl.L1Loss(reduction="sum"), "nan": fl.DiceLoss(activation=None, absent="nan")}
    with np.errstate(all="ignore"):
        report = fl.evaluate(losses, x, np.zeros(SHAPE))
        same(saved(report, tmp_path / "r"), report)


@pytest.mark.parametrize(
    "loss",
    [
        fl.TopKLoss(fl.FocalLoss(gamma=(0.0, 1.0, 2.0)), k=5, per_image=True),
        fl.LovaszSoftmaxLoss(classes=[1, 2], per_image=True),
        fl.AsymmetricUnifiedFocalLoss(delta=0.7),
        fl.DiceCELoss(ce=0.5, smooth=(0.0, 1.0), class_weight=np.arange(3.0)),
        fl.DiceCELoss(activation="sigmoid") + 2 * fl.DiceLoss(classes=range(1, 3)),
        fl.BoundaryLoss(spacing=(1.5, 0.1)),
        fl.CrossEntropyLoss(ignore_index=[255, 0]),
    ],
    ids=repr,
)
def test_options_of_several_numbers(loss, tmp_path):
    x = np.random.default_rng(0).normal(size=SHAPE)
    report = fl.evaluate({"loss": loss}, x, np.ones((2, 6, 7), np.int64))
    same(saved(report, tmp_path / "r"), report)


def test_many_merged_images(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, *SHAPE[1:])) * 10.0 ** rng.integers(-9, 9, (50, 1, 1, 1))
    y = rng.integers(0, C, (50, 6, 7))
    losses = {"l1": fl.CrossEntropyLoss(reduction="sum"), "dice": fl.DiceLoss()}
    parts = [fl.evaluate(losses, x[k : k + 1], y[k : k + 1]) for k in range(50)]
    assert fl.Report.sum(parts)._numbers["l1"].shape[0] > 1  # an expansion
    same(fl.Report.sum(saved(part, tmp_path / "r") for part in parts), fl.Report.sum(parts))


@dataclass(frozen=True, kw_only=True, repr=False)
class MyLoss(fl.DiceLoss):
    """A user's own loss."""


@dataclass(frozen=True, kw_only=True, repr=False)
class DiceLoss(fl.DiceLoss):
    """A user's own loss with the name of ours."""


@pytest.mark.parametrize("loss", [MyLoss(), DiceLoss(), fl.DiceLoss() + MyLoss()], ids=["own", "same-name", "sum"])
def test_own_losses_are_refused_on_saving(loss, tmp_path):
    report = fl.evaluate({"a": loss}, [[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]])
    with pytest.raises(TypeError, match=r"losses: expected losses of fastloss, .* got test_report_files\."):
        report.save(tmp_path / "r")
    assert not list(tmp_path.iterdir())


# ---- reports of files


def archive(folder, names=("a", "b", "c")):
    rng = np.random.default_rng(3)
    for sub in ("p", "m"):
        (folder / sub).mkdir()
    for name in names:
        np.save(folder / "p" / f"{name}.npy", rng.normal(size=(C, 6, 7)).astype(np.float32))
        np.save(folder / "m" / f"{name}.npy", rng.integers(0, C, (6, 7), np.uint8))
    return folder / "p", folder / "m"


def same_files(one, other, folder):
    same(one, other)
    assert {k: repr(v) for k, v in vars(one).items()} == {k: repr(v) for k, v in vars(other).items()}
    texts = []
    for report in (one, other):
        for name in ("r.json", "r.csv", *(["summary.json"] if report._facts.cases else [])):
            report.write_nnunet_summary(folder / name) if name == "summary.json" else report.write(folder / name)
            texts.append((folder / name).read_bytes())
    assert texts[: len(texts) // 2] == texts[len(texts) // 2 :]


def test_reports_of_files_keep_their_facts(tmp_path):
    p, m = archive(tmp_path)
    bad = np.full((C, 6, 7), np.inf, np.float32)
    np.save(p / "b.npy", bad)
    (p / "c.npy").write_bytes(b"")
    report = fl.evaluate_files(
        {"dice": fl.DiceLoss()},
        p,
        m,
        nnunet_summary=True,
        on_error="skip",
        class_names=["x", "y\x1b", "ü"],
        per_image_class=True,
    )
    assert report.nan_images == ("b",)
    (failed,) = report.failures
    assert isinstance(failed, Failed)
    assert failed.name == "c"
    same_files(saved(report, tmp_path / "r"), report, tmp_path)
    same(report + saved(report, tmp_path / "r"), report + report)


@pytest.mark.skipif(os.name == "nt", reason="names of bytes")
def test_names_that_are_not_utf8(tmp_path):
    p, m = archive(tmp_path, [os.fsdecode(b"\xff\x1b\n"), "ü"])
    report = fl.evaluate_files({"dice": fl.DiceLoss()}, p, m)
    same_files(saved(report, tmp_path / "r"), report, tmp_path)
    assert (tmp_path / "r").read_bytes().isascii()


def test_spacings(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    p, m = archive(tmp_path)
    for path in [*p.iterdir(), *m.iterdir()]:
        values = np.moveaxis(np.load(path), 0, -1)[:, :, None] if path.parent == p else np.load(path).T[..., None]
        values = values.transpose(0, 1, 2, 3) if values.ndim == 4 else values.transpose(1, 0, 2)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([0.3, 0.7, 1, 1])), path.with_suffix(".nii"))
        path.unlink()
    report = fl.evaluate_files({"dice": fl.DiceLoss()}, p, m, axis=-1)
    assert report.spacings[0] is not None
    same_files(saved(report, tmp_path / "r"), report, tmp_path)


NUMBERS = {"shape": [3, 3], "float64": "AAAAAAAAAAA" * 9}
FACTS = {
    "other-losses": (changed("files", "class_values", 0, 0, to="ce"), "class_values: expected an array for each loss"),
    "more-losses": (changed("files", "class_values", to=[["dice", NUMBERS]] * 2), "class_values: expected base64"),
    "other-shape": (
        changed("files", "class_values", 0, 1, "shape", to=[9, 1]),
        "class_values: expected one number per",
    ),
    "other-axes": (changed("files", "class_values", 0, 1, "shape", to=[9]), "class_values: expected 2 axes"),
    "class-values": (changed("files", "class_values", to=["dice"]), "class_values: expected a list"),
    "options": (changed("files", "options", to=[["a", "b", "c"]]), "options: expected pairs of a name and a value"),
    "option-of-number": (changed("files", "options", to=[["a", 1]]), "options: expected a text"),
    "failures": (changed("files", "failures", to=[["a"]]), "failures: expected pairs of a name and a value"),
}


@pytest.mark.parametrize("name", FACTS)
def test_hostile_facts_are_refused(name, tmp_path):
    change, message = FACTS[name]
    fl.evaluate_files({"dice": fl.DiceLoss()}, *archive(tmp_path), per_image_class=True).save(tmp_path / "r")
    record = json.loads((tmp_path / "r").read_text().split("\n")[1])
    change(record)
    refused(forged(tmp_path / "r", record), message)


def test_a_report_of_an_earlier_version_lacks_values_per_image_and_class(tmp_path):
    report = fl.evaluate_files({"dice": fl.DiceLoss()}, *archive(tmp_path))
    report.save(tmp_path / "r")
    record = json.loads((tmp_path / "r").read_text().split("\n")[1])
    del record["files"]["class_values"], record["files"]["options"]
    loaded = fl.Report.load(forged(tmp_path / "r", record))
    same(loaded, report)
    assert (loaded.per_image_class, loaded.options) == ({}, ())


# ---- the file


def small():
    x, y = np.random.default_rng(0).normal(size=(1, 2, 3)), np.array([[0, 1, 1]])
    return fl.evaluate({"ce": fl.CrossEntropyLoss()}, x, y)


def test_a_file_is_complete_or_not_there(tmp_path):
    path = tmp_path / "r"
    small().save(path)
    before = path.read_bytes()
    with pytest.raises(fl.FileError, match="existing folder"):
        small().save(tmp_path / "none" / "r")
    with pytest.raises(fl.FileError, match="got a folder"):
        small().save(tmp_path)
    small().save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["r"]


def test_truncated_or_changed_at_any_byte(tmp_path):
    path = tmp_path / "r"
    small().save(path)
    data = path.read_bytes()
    for at in range(len(data)):
        for text in (data[:at], data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]):
            path.write_bytes(text)
            with pytest.raises(fl.FileError, match=r"r: "):
                fl.Report.load(path)
    path.write_bytes(data + b"\n")
    with pytest.raises(fl.FileError, match="checksum"):
        fl.Report.load(path)


def forged(path, body, **head):
    """Write a file whose checksum is right."""
    text = (body if isinstance(body, str) else json.dumps(body)) + "\n"
    head = {"format": "fastloss-report", "version": 1, "sha256": hashlib.sha256(text.encode()).hexdigest()} | head
    path.write_text(json.dumps(head) + "\n" + text)
    return path


ARRAY = {"shape": [1, 2], "float64": "AAAAAAAAAAAAAAAAAAAAAA=="}
LOSS = ("losses", 0, 1)
HOSTILE = {
    "huge-shape": (changed("numbers", 0, "shape", to=[2**30, 2**30]), "numbers: expected 2 axes"),
    "negative-shape": (changed("numbers", 0, "shape", to=[-1, -2]), "numbers: expected 2 axes"),
    "empty-shape": (changed("numbers", 0, to={"shape": [0, 2], "float64": ""}), "numbers: expected the sums"),
    "empty-and-huge": (changed("numbers", 0, to={"shape": [0, 2**30], "float64": ""}), "numbers: expected the sums"),
    "more-axes": (changed("numbers", 0, "shape", to=[1] * 60 + [2]), "numbers: expected 2 axes"),
    "shape-of-floats": (changed("numbers", 0, "shape", to=[1.0, 2]), "numbers: expected an integer"),
    "no-base64": (changed("numbers", 0, "float64", to="~~~"), "numbers: expected base64"),
    "other-sums": (changed("numbers", 0, to={"shape": [2, 1], "float64": ARRAY["float64"]}), "numbers: expected the"),
    "other-class-sums": (changed("class_numbers", 0, 0, to=ARRAY), "numbers: expected the sums"),
    "no-class-sums": (changed("class_numbers", 0, to=[]), "numbers: expected the sums"),
    "one-array-more": (changed("numbers", to=[ARRAY, ARRAY]), "losses: expected .* one entry per loss"),
    "per-image": (changed("per_image", 0, to={"shape": [2], "float64": ARRAY["float64"]}), "per_image: expected one"),
    "many-classes": (changed("classes", to=2**40), "classes: expected an integer from 1"),
    "other-classes": (changed("classes", to=3), "numbers: expected the sums"),
    "no-classes": (changed("classes", to=0), "classes: expected an integer from 1"),
    "classes-of-bool": (changed("classes", to=True), "classes: expected an integer"),
    "classes-of-text": (changed("classes", to="2"), "classes: expected an integer"),
    "code": (changed(*LOSS, "loss", to="__import__('os').system"), "loss: expected a loss of fastloss"),
    "base-class": (changed(*LOSS, "loss", to="Loss"), "loss: expected a loss of fastloss"),
    "function": (changed(*LOSS, "loss", to="dice_loss"), "loss: expected a loss of fastloss"),
    "several-inputs": (changed(*LOSS, "loss", to="MaskRCNNLoss"), "loss: expected a loss of fastloss"),
    "unknown-option": (changed(*LOSS, "options", to={"parts": 1}), "loss: expected options of CrossEntropyLoss"),
    "wrong-option": (changed(*LOSS, "options", to={"axis": "x"}), "loss: expected options of CrossEntropyLoss"),
    "object-as-option": (changed(*LOSS, "options", to={"axis": {}}), "axis: expected a number"),
    "lists-as-option": (changed(*LOSS, "options", to={"class_weight": [[1]]}), "class_weight: expected numbers"),
    "infinite-option": (changed(*LOSS, "options", to={"label_smoothing": 10**400}), "label_smoothing"),
    "map": (changed(*LOSS, "options", to={"reduction": "none"}), "losses: expected reduction"),
    "empty-sum": (changed(*LOSS, to={"sum": []}), "sum: expected a list"),
    "weights": (changed(*LOSS, to={"sum": [["1", {"loss": "DiceLoss", "options": {}}]]}), "sum: expected finite"),
    "pairs": (changed("losses", 0, to=["ce"]), "losses: expected pairs"),
    "names": (changed("images", to=[7]), "images: expected a text"),
    "names-in-hex": (changed("images", to=[{"bytes": "xy"}]), "images: expected bytes in hexadecimal"),
    "no-list": (changed("images", to="a"), "images: expected a list"),
    "no-facts": (changed("files", to={}), "predictions: expected a list"),
    "facts-of-text": (changed("files", to="x"), "predictions: expected a list"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_are_refused(name, tmp_path):
    change, message = HOSTILE[name]
    small().save(tmp_path / "r")
    record = json.loads((tmp_path / "r").read_text().split("\n")[1])
    change(record)
    refused(forged(tmp_path / "r", record), message)


def refused(path, message):
    tracemalloc.start()
    try:
        with pytest.raises(fl.FileError, match=message):
            fl.Report.load(path)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


DEEP = 100_000
TEXTS = {
    "deep-list": ("[" * DEEP, "nested too deeply|expected JSON"),
    "deep-closed": ("[" * DEEP + "]" * DEEP, "nested too deeply"),
    "deep-object": ('{"a":' * DEEP + "1" + "}" * DEEP, "nested too deeply"),
    "list": ("[]", "losses: expected a list"),
    "number": ("1", "losses: expected a list"),
    "null": ("null", "losses: expected a list"),
    "nan": ('{"losses": NaN}', "no number of JSON"),
    "long-integer": ('{"losses": ' + "1" * 10_000 + "}", "expected JSON"),
    "nothing": ("", "expected JSON"),
    "pickle": ("cos\nsystem\n(S'true'\ntR.", "expected JSON"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_other_texts_are_refused(name, tmp_path):
    text, message = TEXTS[name]
    refused(forged(tmp_path / "r", text), message)


def test_deep_sums_are_refused(tmp_path):
    loss = {"loss": "DiceLoss", "options": {}}
    for _ in range(50):
        loss = {"sum": [[1.0, loss]]}
    small().save(tmp_path / "r")
    record = json.loads((tmp_path / "r").read_text().split("\n")[1])
    record["losses"][0][1] = loss
    refused(forged(tmp_path / "r", record), "sum: expected a list")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"version": 2}, "expected version 1 of fastloss-report, got 2"),
        ({"version": "1"}, "version: expected an integer"),
        ({"format": "fastloss-ledger"}, "expected a file of the format fastloss-report, got 'fastloss-ledger'"),
        ({"format": "\x1b[31m" * 50}, r"got '\\x1b"),
        ({"sha256": None}, "sha256: expected a text"),
        ({"more": "x" * 2000}, "expected a file of the format fastloss-report"),
    ],
)
def test_other_first_lines_are_refused(head, message, tmp_path):
    refused(forged(tmp_path / "r", {}, **head), message)


@pytest.mark.skipif(os.name == "nt", reason="pipes and devices of POSIX")
def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(fl.FileError, match=r"expected a regular file|cannot be read"):
            fl.Report.load(path)
    with pytest.raises(fl.FileError, match="none: cannot be read"):
        fl.Report.load(tmp_path / "none")
