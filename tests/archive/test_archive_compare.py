"""Tests the comparison of two runs: differences and bootstrap intervals against a slow computation from the arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ledgers import archive

import fastloss as fl
from fastloss.cli import main

LOSSES = {
    "dice": fl.DiceLoss(),
    "pooled": fl.DiceLoss(batch=True),
    "ce": fl.CrossEntropyLoss(),
    "sum": fl.DiceLoss() + 0.5 * fl.CrossEntropyLoss(),
}
COUNT = 6


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two models over the same masks, and the arrays of both."""
    folder = tmp_path_factory.mktemp("runs")
    p, m = archive(folder, COUNT)
    (folder / "q").mkdir()
    rng = np.random.default_rng(8)
    for path in sorted(p.iterdir()):
        scores = np.load(path)
        np.save(folder / "q" / path.name, scores + rng.normal(0.2, 0.5, scores.shape))
    arrays = {}
    for name, scores in (("a", p), ("b", folder / "q")):
        fl.evaluate_files(LOSSES, scores, m, state=folder / name, class_names=["x", "y", "z"])
        arrays[name] = [np.stack([np.load(f) for f in sorted(one.iterdir())]) for one in (scores, m)]
    return folder, arrays


def test_differences_are_those_of_the_arrays(runs):
    folder, arrays = runs
    found = fl.compare_ledgers(folder / "a", folder / "b")
    assert found.images == tuple(f"{k:04}" for k in range(COUNT))
    assert found.only == ((), ())
    assert found.class_names == ("x", "y", "z")
    first, second = (fl.evaluate(LOSSES, *arrays[name]) for name in "ab")
    for name, difference in found.differences.items():
        assert difference.values == pytest.approx((first[name], second[name]), rel=1e-12)
        assert difference.difference == pytest.approx(second[name] - first[name], abs=1e-12)
        per_class = second.per_class[name] - first.per_class[name]
        np.testing.assert_allclose(difference.per_class, per_class, rtol=0, atol=1e-12)
        per_image = second.per_image[name] - first.per_image[name]
        np.testing.assert_allclose(difference.per_image, per_image, rtol=0, atol=1e-12)


def test_intervals_are_those_of_a_paired_bootstrap_of_the_images(runs):
    """The slow way evaluates the drawn images anew."""
    folder, arrays = runs
    found = fl.compare_ledgers(folder / "a", folder / "b", samples=40, seed=3)
    drawn = np.random.default_rng(3).multinomial(COUNT, np.full(COUNT, 1 / COUNT), size=40)
    values, classes = {name: [] for name in LOSSES}, {name: [] for name in LOSSES}
    for counts in drawn:
        index = np.repeat(np.arange(COUNT), counts)
        first, second = (fl.evaluate(LOSSES, x[index], y[index]) for x, y in arrays.values())
        for name in LOSSES:
            values[name].append(second[name] - first[name])
            classes[name].append(second.per_class[name] - first.per_class[name])
    for name, difference in found.differences.items():
        expected = np.percentile(values[name], [2.5, 97.5])
        np.testing.assert_allclose(difference.interval, expected, rtol=0, atol=1e-12)
        expected = np.percentile(classes[name], [2.5, 97.5], axis=0).T
        np.testing.assert_allclose(difference.class_intervals, expected, rtol=0, atol=1e-12)


def test_a_run_does_not_differ_from_itself(runs):
    folder, _ = runs
    for difference in fl.compare_ledgers(folder / "a", folder / "a").differences.values():
        assert (difference.difference, difference.interval) == (0, (0, 0))
        assert not difference.per_class.any()


def test_images_of_one_run_only_do_not_count(runs, tmp_path):
    folder, _ = runs
    for sub in ("p", "m"):
        (tmp_path / sub).mkdir()
        for k in (1, 3):
            (tmp_path / sub / f"{k:04}.npy").write_bytes((folder / sub / f"{k:04}.npy").read_bytes())
    fl.evaluate_files(LOSSES, tmp_path / "p", tmp_path / "m", state=tmp_path / "few")
    found = fl.compare_ledgers(folder / "b", tmp_path / "few")
    assert found.images == ("0001", "0003")
    assert found.only == (("0000", "0002", "0004", "0005"), ())


@pytest.mark.parametrize(
    ("losses", "words"),
    [({"dice": fl.DiceLoss()}, "expected the losses"), ({**LOSSES, "ce": fl.FocalLoss()}, "expected the losses")],
)
def test_other_losses_are_refused(runs, tmp_path, losses, words):
    folder, _ = runs
    fl.evaluate_files(losses, folder / "p", folder / "m", state=tmp_path / "other")
    with pytest.raises(fl.FileError, match=words):
        fl.compare_ledgers(folder / "a", tmp_path / "other")


def test_what_is_no_ledger_is_refused(runs, tmp_path):
    folder, _ = runs
    with pytest.raises(fl.FileError, match="expected a ledger"):
        fl.compare_ledgers(folder / "a", tmp_path)
    with pytest.raises(fl.FileError, match=r"`samples=`: expected at least 1, got 0"):
        fl.compare_ledgers(folder / "a", folder / "b", samples=0)


def command(capsys, *arguments):
    return main(["compare", *map(str, arguments)]), capsys.readouterr()


@pytest.mark.parametrize(
    ("condition", "code"), [("ce > 0", 1), ("ce < 0", 0), ("ce>=1e3", 0), (" dice <= 10 ", 1), ("pooled > -10", 1)]
)
def test_fail_if(runs, capsys, condition, code):
    folder, _ = runs
    assert fl.compare_ledgers(folder / "a", folder / "b").differences["ce"].difference > 0
    found, (out, err) = command(capsys, folder / "a", folder / "b", "--fail-if", condition)
    assert found == code, err
    assert ("failed: " in err) == bool(code)
    assert "95 % interval" in out


@pytest.mark.parametrize("condition", ["ce", "ce = 1", "ce > x", "> 1", "ce > 1e", "other > 1"])
def test_a_wrong_condition_is_refused(runs, capsys, condition):
    folder, _ = runs
    code, (out, err) = command(capsys, folder / "a", folder / "b", "--fail-if", condition)
    assert (code, out) == (2, "")
    assert err.startswith("error: --fail-if: expected ")


def test_json(runs, capsys, tmp_path):
    folder, _ = runs
    code, _ = command(capsys, folder / "a", folder / "b", "--output", tmp_path / "c.json", "--seed", 5)
    assert code == 0
    data = json.loads((tmp_path / "c.json").read_text())
    found = fl.compare_ledgers(folder / "a", folder / "b", seed=5)
    for name, difference in found.differences.items():
        entry = data["losses"][name]
        assert tuple(entry["interval"]) == difference.interval
        assert entry["per_class"] == difference.per_class.tolist()
        assert [row["differences"][name] for row in data["per_image"]] == difference.per_image.tolist()
    code, (_, err) = command(capsys, folder / "a", folder / "b", "--output", tmp_path / "c.csv")
    assert code == 2
    assert "c.csv: expected a name ending in .html or .json" in err
