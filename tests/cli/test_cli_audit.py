"""Tests `fastloss audit`: tables, outputs and maps, as the Python function has them."""

from __future__ import annotations

import json

import numpy as np
from commandline import refused, run

import fastloss as fl


def save_scans(folder):
    """Three images of two classes; the k-th has k wrong labels, and some ignored pixels."""
    rng = np.random.default_rng(0)
    for name in ("p", "m"):
        (folder / name).mkdir()
    for k in range(3):
        labels = rng.integers(0, 2, (8, 9)).astype(np.uint8)
        scores = np.stack([3.0 * (labels == 0), 3.0 * (labels == 1)]) + rng.normal(0, 0.1, (2, 8, 9))
        labels.flat[:k] ^= 1
        labels[-1] = 255
        np.save(folder / f"p/scan{k}.npy", scores)
        np.save(folder / f"m/scan{k}.npy", labels)
    return folder / "p", folder / "m"


def test_audit_prints_writes_and_maps(tmp_path, capsys):
    files = save_scans(tmp_path)
    output, names = tmp_path / "audit.json", tmp_path / "names.txt"
    names.write_text("no\nyes\n")
    options = ["--ignore-index", 255, "--class-names", names, "--output", output, "--maps", tmp_path / "maps"]
    code, out, err = run(capsys, "audit", *files, *options)
    assert code == 0, err
    assert "The model contradicts 3 of 189 labels (1.587%)" in out
    ranking = out.partition("Lowest label quality, 3 of 3 images")[2].split()
    assert [word for word in ranking if word.startswith("scan")] == ["scan2", "scan1", "scan0"]
    assert "3 images, " in err
    assert "read twice" in err
    audit = fl.audit_files(*files, ignore_index=255)
    report = json.loads(output.read_text())
    assert [row["quality"] for row in report["per_image"]] == sorted(audit.quality)
    assert [one["class"] for one in report["classes"]] == ["no", "yes"]
    suggested = np.load(tmp_path / "maps/scan2.suggested.npy")
    assert np.argwhere(suggested >= 0).tolist() == [[0, 0], [0, 1]]


def test_options_are_checked_first(tmp_path, capsys):
    files = save_scans(tmp_path)
    assert "--output" in refused(capsys, "audit", *files, "--output", tmp_path / "audit.pdf")
    assert "give --ignore-index 255" in refused(capsys, "audit", *files)
    assert "--maps" in refused(capsys, "audit", *files, "--ignore-index", 255, "--maps", tmp_path / "p")


def test_activation_none_takes_probabilities(tmp_path, capsys):
    files = save_scans(tmp_path)
    for path in files[0].iterdir():
        np.save(path, fl.softmax(np.load(path), axis=0))
    code, out, err = run(capsys, "audit", *files, "--ignore-index", 255, "--activation", "none")
    assert (code, "note:" in err) == (0, False), err
    assert "The model contradicts 3 of 189 labels" in out
