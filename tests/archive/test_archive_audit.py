"""Tests the audit of labels: scores, thresholds, contradictions and maps against confident learning in NumPy, and
against cleanlab where it is installed."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from writing import blobs, logits, softmax

import fastloss as fl
from fastloss.archive import audit as audit_module
from fastloss.files.errors import FileError

SHAPE, CLASSES, IMAGES = (13, 17), 3, 4
TOLERANCE = {"float16": 1e-5, "float32": 1e-6, "float64": 1e-12}  # probabilities of at most 1, from logits of the dtype


@dataclass
class Case:
    """How the scores of a model are stored, and the options that the audit needs."""

    options: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    stored: Any = lambda x: x  # of logits (C, *S)
    channels: int = CLASSES
    ignored: bool = False


CASES = {
    "float64": Case(),
    "float32": Case(dtype="float32"),
    "float16": Case(dtype="float16"),
    "probabilities": Case({"activation": None}, stored=softmax),
    "channels-last": Case({"axis": -1}, stored=lambda x: np.moveaxis(x, 0, -1)),
    "ignored": Case({"ignore_index": 255}, ignored=True),
    "one-channel": Case({"activation": "sigmoid"}, stored=lambda x: x[1:] - x[:1], channels=2),
    "one-probability": Case({"activation": None}, stored=lambda x: softmax(x)[1:], channels=2),
}


def data(case):
    """Return logits (images, C, *S), and labels of which some are wrong and some are ignored."""
    rng = np.random.default_rng(0)
    true = np.stack([blobs(SHAPE, case.channels, seed) for seed in range(IMAGES)])
    x = np.stack([logits(y, case.channels, seed) for seed, y in enumerate(true)]).astype(case.dtype)
    labels = np.where(rng.random(true.shape) < 0.1, rng.integers(0, case.channels, true.shape), true).astype(np.uint8)
    if case.ignored:
        labels[:, :3] = 255
    return x, labels


def saved(folder, case, x, labels):
    for name in ("p", "m"):
        (folder / name).mkdir()
    for k in range(len(x)):
        np.save(folder / f"p/{k}.npy", case.stored(x[k]).astype(case.dtype))
        np.save(folder / f"m/{k}.npy", labels[k])
    return folder / "p", folder / "m"


def confident(x, labels):
    """Return the scores, the quality of the images, the thresholds and the contradictions, by their definitions."""
    p = np.stack([softmax(one) for one in x])
    kept = labels < p.shape[1]
    score = np.take_along_axis(p, np.where(kept, labels, 0)[:, None].astype(int), axis=1)[:, 0]
    weights = [np.exp((1 - s[k]) / 0.1) for s, k in zip(score, kept, strict=True)]
    quality = [np.sum(s[k] * w) / np.sum(w) for s, k, w in zip(score, kept, weights, strict=True)]
    thresholds = np.array([score[labels == c].mean() for c in range(p.shape[1])])
    best = p.argmax(axis=1)
    contradicted = kept & (p.max(axis=1) > score) & (p.max(axis=1) >= thresholds[best] - 1e-6)
    return np.where(kept, score, np.nan), np.array(quality), thresholds, np.where(contradicted, best, -1)


@pytest.mark.parametrize("name", CASES)
def test_audit_is_confident_learning(name, tmp_path, backend):
    case = CASES[name]
    x, labels = data(case)
    score, quality, thresholds, suggested = confident(x, labels)
    files = saved(tmp_path, case, x, labels)
    audit = fl.audit_files(*files, maps=tmp_path / "maps", **case.options)
    same = {"rtol": 0, "atol": TOLERANCE[case.dtype]}
    np.testing.assert_allclose(audit.quality, quality, **same)
    np.testing.assert_allclose(audit.thresholds, thresholds, **same)
    for k in range(IMAGES):
        own = np.load(tmp_path / f"maps/{k}.quality.npy")
        np.testing.assert_allclose(own, score[k], rtol=0, atol=max(TOLERANCE[case.dtype], 1e-7))
        np.testing.assert_array_equal(np.load(tmp_path / f"maps/{k}.suggested.npy"), suggested[k])
    wrong = suggested >= 0
    assert audit.contradicted.tolist() == wrong.sum(axis=(1, 2)).tolist()
    assert 0 < wrong.sum() == audit.suggestions.sum()
    assert audit.suggestions[1, 0] == np.sum((labels == 1) & (suggested == 0))
    assert audit.class_pixels.tolist() == [np.sum(labels == c) for c in range(case.channels)]
    assert audit.worst() == np.argsort(quality).tolist()
    assert audit.notes == ()


@pytest.mark.extended
def test_audit_is_cleanlabs(tmp_path):
    """find_label_issues marks as many pixels as the model contradicts: those with the lowest scores."""
    rank = pytest.importorskip("cleanlab.segmentation.rank", reason="make test-all installs cleanlab")
    from cleanlab.segmentation.filter import find_label_issues

    x, labels = data(CASES["float64"])
    p = np.stack([softmax(one) for one in x])
    audit = fl.audit_files(*saved(tmp_path, CASES["float64"], x, labels), maps=tmp_path / "maps")
    quality, scores = rank.get_label_quality_scores(labels.astype(int), p, verbose=False)
    maps = np.stack([np.load(tmp_path / f"maps/{k}.quality.npy") for k in range(IMAGES)])
    np.testing.assert_allclose(audit.quality, quality, rtol=0, atol=1e-6)
    np.testing.assert_allclose(maps, scores, rtol=0, atol=1e-6)

    issues = find_label_issues(labels.astype(int), p, verbose=False, n_jobs=1, batch_size=100)
    count = audit.contradicted.sum()
    lowest = np.sort(maps, axis=None)[count - 1]
    np.testing.assert_array_equal(issues, (maps <= lowest) & (p.argmax(axis=1) != labels))


def test_windows_of_zarr_give_the_same(tmp_path, monkeypatch):
    """Several windows per image, read by any number of threads; and maps as arrays of a group."""
    zarr = pytest.importorskip("zarr")
    monkeypatch.setattr("fastloss._windows.WINDOW_BYTES", 2000)
    case = CASES["float32"]
    x, labels = data(case)
    files = saved(tmp_path, case, x, labels)
    (tmp_path / "z").mkdir()
    for k in range(IMAGES):
        array = zarr.create_array(tmp_path / f"z/{k}.zarr", shape=x[k].shape, chunks=(CLASSES, 5, 6), dtype="float32")
        array[:] = x[k]
    whole = fl.audit_files(*files)
    found = fl.audit_files(tmp_path / "z", files[1], maps=tmp_path / "maps.zarr", read_threads=1)
    np.testing.assert_allclose(found.quality, whole.quality, rtol=1e-12)
    assert found.contradicted.tolist() == whole.contradicted.tolist()
    again = fl.audit_files(tmp_path / "z", files[1], read_threads=3)
    assert again.quality.tolist() == found.quality.tolist()
    group = zarr.open_group(tmp_path / "maps.zarr", mode="r")
    for k in range(IMAGES):
        assert np.sum(group[f"{k}.suggested"][:] >= 0) == whole.contradicted[k]
        np.testing.assert_allclose(np.nanmean(group[f"{k}.quality"][:]), softmax_mean(x[k], labels[k]), rtol=1e-6)


def softmax_mean(x, labels):
    return np.take_along_axis(softmax(x), labels[None].astype(int), axis=0).mean()


def test_images_with_nan_come_first_and_images_without_pixels_last(tmp_path):
    case = CASES["ignored"]
    x, labels = data(case)
    x[2, 0, 5, 5] = np.nan
    labels[1] = 255
    audit = fl.audit_files(*saved(tmp_path, case, x, labels), ignore_index=255)
    assert audit.worst()[0] == 2
    assert 1 not in audit.worst()
    assert audit.pixels[1] == 0
    assert np.isnan(audit.quality[[1, 2]]).all()


def test_a_class_that_no_label_has_is_not_suggested(tmp_path):
    x, labels = data(CASES["float64"])
    labels[labels == 2] = 0
    audit = fl.audit_files(*saved(tmp_path, CASES["float64"], x, labels))
    assert np.isnan(audit.thresholds[2])
    assert audit.suggestions[:, 2].sum() == 0


def test_by_hand(tmp_path, backend):
    """Pixels: sure and right; two equal classes; -inf for the label; another class. Then one below its threshold."""
    inf, log = np.inf, np.log
    x = np.array([[log(0.9), 0, -inf, log(0.4)], [log(0.1), 0, 0, log(0.6)]])[:, None]
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.array([[0, 1, 0, 0]]))
    audit = fl.audit_files(tmp_path / "x.npy", tmp_path / "y.npy", maps=tmp_path / "maps")
    np.testing.assert_allclose(audit.thresholds, [(0.9 + 0 + 0.4) / 3, 0.5])
    assert np.load(tmp_path / "maps/x.suggested.npy").tolist() == [[-1, -1, 1, 1]]
    w = np.exp(-np.array([0.9, 0.5, 0, 0.4]) / 0.1)
    assert audit.quality[0] == pytest.approx(np.sum([0.9, 0.5, 0, 0.4] * w) / w.sum(), rel=1e-12)
    x[:, 0, 1] = log(0.46), log(0.54)
    np.save(tmp_path / "x.npy", np.concatenate([x, x[:, :, 1:2]], axis=2))
    np.save(tmp_path / "y.npy", np.array([[0, 1, 0, 1, 0]]))
    again = fl.audit_files(tmp_path / "x.npy", tmp_path / "y.npy", maps=tmp_path / "again")
    assert again.thresholds[1] == pytest.approx((0.54 + 0.6) / 2)
    assert np.load(tmp_path / "again/x.suggested.npy").tolist() == [[-1, -1, 1, -1, -1]]


def test_the_ranking_is_written(tmp_path):
    x, labels = data(CASES["float64"])
    files = saved(tmp_path, CASES["float64"], x, labels)
    (files[0] / "0.npy").rename(files[0] / "=1+1.npy")
    (files[1] / "0.npy").rename(files[1] / "=1+1.npy")
    audit = fl.audit_files(*files, class_names=["sky", "road", "tree"])
    for suffix in ("csv", "json"):
        audit.write(tmp_path / f"audit.{suffix}")
    with open(tmp_path / "audit.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    report = json.loads((tmp_path / "audit.json").read_text())
    ranked = [audit.images[k] for k in audit.worst()]
    assert [row["image"].removeprefix("'") for row in rows] == [row["image"] for row in report["per_image"]] == ranked
    assert "'=1+1" in [row["image"] for row in rows]  # a spreadsheet reads it as text
    assert [float(row["quality"]) for row in rows] == sorted(audit.quality)
    assert [one["class"] for one in report["classes"]] == ["sky", "road", "tree"]
    assert sum(sum(one["suggested"].values()) for one in report["classes"]) == report["contradicted"]
    with pytest.raises(FileError, match=r"expected a name ending in \.json or \.csv"):
        audit.write(tmp_path / "audit.txt")


REFUSED = {
    "a label map": ({}, lambda x, y: (y[0].astype(np.uint8), y[0]), "expected logits or probabilities"),
    "a dense mask": (
        {"axis": 0},
        lambda x, y: (x[0], (y[0][None] == np.arange(3).reshape(-1, 1, 1))),
        "expected a label map, got one channel",
    ),
    "one channel": ({}, lambda x, y: (x[0][:1], y[0] > 0), "expected two or more classes for a softmax"),
    "a sigmoid": ({"activation": "sigmoid"}, lambda x, y: (x[0], y[0]), "expected one channel for `activation=sig"),
    "another activation": ({"activation": "relu"}, lambda x, y: (x[0], y[0]), "`activation=`: expected softmax or sig"),
    "a label": ({}, lambda x, y: (x[0], y[0] + 1), "expected labels in 0..2, got 3 at"),
    "a label of two": (
        {"activation": "sigmoid"},
        lambda x, y: (x[0][:1], 2 * (y[0] > 0)),
        "expected labels in 0..1, got 2 at .* if it is the foreground, save it as 1",
    ),
    "too few names": ({"class_names": ["a"]}, lambda x, y: (x[0], y[0]), "expected 1 classes, as in `class_names=`"),
    "no threads": ({"read_threads": 0}, lambda x, y: (x[0], y[0]), "`read_threads=`: expected at least 1"),
    "logits as probabilities": ({"activation": None}, lambda x, y: (x[0], y[0]), "expected probabilities for the aud"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
    options, change, message = REFUSED[name]
    prediction, mask = change(*data(CASES["float32"]))
    np.save(tmp_path / "x.npy", prediction)
    np.save(tmp_path / "y.npy", mask)
    if name == "a label map":
        options = options | {"class_names": ["a", "b", "c"]}
    with pytest.raises(FileError, match=message):
        fl.audit_files(tmp_path / "x.npy", tmp_path / "y.npy", **options)


def test_maps_need_a_new_folder_and_a_failed_audit_leaves_no_files(tmp_path):
    x, labels = data(CASES["float64"])
    files = saved(tmp_path, CASES["float64"], x, labels)
    with pytest.raises(FileError, match=r"`maps=`: expected a folder that is new or empty"):
        fl.audit_files(*files, maps=files[0])
    labels[1, 0, 0] = 9
    np.save(files[1] / "1.npy", labels[1])
    with pytest.raises(FileError, match="got 9 at"):
        fl.audit_files(*files, maps=tmp_path / "maps")
    assert list((tmp_path / "maps").iterdir()) == []


def test_files_that_change_between_the_passes_are_refused(tmp_path):
    x, labels = data(CASES["float64"])
    files = saved(tmp_path, CASES["float64"], x, labels)

    def change(done, total, nbytes):
        if done == IMAGES:
            np.save(files[0] / "0.npy", x[1])

    with pytest.raises(FileError, match="expected the same files in both passes"):
        fl.audit_files(*files, progress=change)


def test_probabilities_that_a_file_names_need_no_option(tmp_path):
    """nnU-Net's .npz holds probabilities. Values that look like some are noted."""
    x, labels = data(CASES["float32"])
    for name in ("p", "m", "q"):
        (tmp_path / name).mkdir()
    p = softmax(x[0]).astype(np.float32)
    np.savez(tmp_path / "p/a.npz", probabilities=p[:, None])
    np.save(tmp_path / "q/a.npy", p)
    np.save(tmp_path / "m/a.npy", labels[0])
    known = fl.audit_files(tmp_path / "p", tmp_path / "m", target_axes="yx")
    given = fl.audit_files(tmp_path / "q", tmp_path / "m", activation=None)
    assert known.quality.tolist() == given.quality.tolist()
    assert known.notes[0] == "the predictions hold probabilities; they are taken without a softmax"
    (note,) = fl.audit_files(tmp_path / "q", tmp_path / "m").notes
    assert note.endswith("but the audit applies a softmax; if they are probabilities, give `activation=None`")


def test_the_first_images_are_looked_at():
    assert audit_module.LOOKED_AT < IMAGES
