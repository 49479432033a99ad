"""Tests `on_error="skip"`: images that cannot be evaluated are left out and listed."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from ledgers import archive, evaluate, names, records, results

import fastloss as fl


def test_images_that_cannot_be_evaluated_are_skipped(tmp_path):
    p, m = archive(tmp_path, 5)
    good = np.load(p / "0003.npy")
    (p / "0001.npy").write_bytes(b"\x93NUMPY")
    np.save(p / "0003.npy", np.zeros((4, 8, 9), np.float32))  # another number of classes
    state = tmp_path / "s"
    with pytest.raises(fl.FileError, match=r"0001\.npy: "):
        evaluate(p, m)
    report = evaluate(p, m, state=state, on_error="skip")
    assert report.images == ("0000", "0002", "0004")
    assert [one.name for one in report.failures] == ["0001", "0003"]
    assert "0001.npy: cannot be read" in report.failures[0].message
    assert "expected 3 classes" in report.failures[1].message
    assert "0001, 0003: cannot be evaluated and are left out" in report.notes
    report.write(tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())["failures"]
    assert found == [{"image": one.name, "message": one.message} for one in report.failures]
    assert names(records(state)) == ["0000", "0002", "0004"]

    again = evaluate(p, m, state=state, on_error="skip", resume=True)
    assert again.resumed == 3
    assert results(again, tmp_path)[1:] == results(report, tmp_path)[1:]
    assert [one.name for one in again.failures] == ["0001", "0003"]

    np.save(p / "0003.npy", good)
    np.save(p / "0001.npy", good)
    fixed = evaluate(p, m, state=state, resume=True)
    assert fixed.resumed == 3
    assert not fixed.failures
    assert results(fixed, tmp_path) == results(evaluate(p, m), tmp_path)


def test_no_image_can_be_evaluated(tmp_path):
    p, m = archive(tmp_path, 3)
    for path in p.iterdir():
        path.write_bytes(b"")
    with pytest.raises(fl.FileError, match=r"an image that can be evaluated, got 3 failures; the first: .*0000"):
        evaluate(p, m, on_error="skip")
    with pytest.raises(fl.FileError, match="`on_error=`: expected raise or skip, got 'no'"):
        evaluate(p, m, on_error="no")


def test_failures_on_the_command_line(tmp_path):
    p, m = archive(tmp_path, 3)
    (p / "0001.npy").write_bytes(b"")
    arguments = ["evaluate", p, m, "--loss=dice", "--on-error=skip", "--output", tmp_path / "r.json"]
    done = subprocess.run(
        [sys.executable, "-m", "fastloss.cli", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "all 2 images" in done.stdout
    assert f"failed: 0001: {p / '0001.npy'}: cannot be read" in done.stderr
    assert len(json.loads((tmp_path / "r.json").read_text())["failures"]) == 1
