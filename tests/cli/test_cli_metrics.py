"""Tests metrics on the command line: names, parameters, tables, and errors that point at the place."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastloss as fl
from fastloss.cli import main
from fastloss.cli.errors import UserError
from fastloss.cli.expression import all_metrics, parse_metric


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(3, 3, 8, 8)).astype(np.float32), rng.integers(0, 3, (3, 8, 8)).astype(np.uint8)
    for name, arrays in (("scores", x), ("labels", x.argmax(axis=1).astype(np.uint8)), ("masks", y)):
        (tmp_path / name).mkdir()
        for k, array in enumerate(arrays):
            np.save(tmp_path / name / f"{k}.npy", array)
    return tmp_path, x, y


def test_metrics_next_to_losses(folders, capsys):
    folder, x, y = folders
    options = ["--loss", "dice", "--metric", "dice", "--metric", "fbeta(beta=2)", "--output", str(folder / "o.json")]
    assert main(["evaluate", str(folder / "scores"), str(folder / "masks"), *options]) == 0
    held = json.loads((folder / "o.json").read_text())["losses"]
    assert list(held) == ["dice", "dice (metric)", "fbeta(beta=2)"]
    assert held["dice (metric)"]["value"] == fl.metrics.dice_score(x, y)
    assert held["fbeta(beta=2)"]["value"] == fl.metrics.fbeta(x, y, beta=2)
    out = capsys.readouterr().out
    assert out.startswith("Loss or metric of all 3 images, from merged partial sums: the loss or metric of all images")
    assert "Worst 3 of 3 by dice (the first loss)" in out


def test_all_metrics_of_label_maps(folders, capsys):
    folder, x, y = folders
    options = ["--metric", "all", "--num-classes", "3", "--output", str(folder / "o.csv")]
    assert main(["evaluate", str(folder / "labels"), str(folder / "masks"), *options]) == 0
    rows = [line.split(",") for line in (folder / "o.csv").read_text().splitlines()]
    values = {row[2]: float(row[3]) for row in rows if row[0] == "all"}
    expected = fl.evaluate({name: cls() for name, cls in fl.metrics.METRICS.items() if name in all_metrics()}, x, y)
    assert values == dict(expected)
    out = capsys.readouterr().out
    assert out.startswith("Metric of all 3 images")
    first = all_metrics()[0]
    assert f"Worst 3 of 3 by {first} (the first metric, lowest first)" in out
    worst = [line.split()[0] for line in out.splitlines()[-3:]]
    assert worst == [str(k) for k in np.argsort(expected.per_image[first])]


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("iou", fl.metrics.IoU()),
        (" IoU ", fl.metrics.IoU()),
        ("jaccard_index", fl.metrics.IoU()),
        ("f1", fl.metrics.DiceScore()),
        ("Sensitivity(batch=True, classes=[1, 2])", fl.metrics.Recall(batch=True, classes=[1, 2])),
        ("kappa", fl.metrics.CohenKappa()),
        ("mcc(activation=None)", fl.metrics.MCC(activation=None)),
        ("fbeta(beta=0.5, absent='one')", fl.metrics.FBeta(beta=0.5, absent="one")),
    ],
)
def test_names(text, metric):
    assert parse_metric(text) == metric


def test_the_activation_option_is_a_default():
    assert parse_metric("iou", {"activation": None}) == fl.metrics.IoU(activation=None)
    assert parse_metric("iou(activation='sigmoid')", {"activation": None}) == fl.metrics.IoU(activation="sigmoid")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iuo", 'unknown metric "iuo"; did you mean "iou"? (fastloss metrics lists them)\n    iuo\n    ^^^'),
        ("miou", 'unknown metric "miou"; did you mean "iou(batch=True)"? (fastloss metrics lists them)'),
        ("kapa", 'unknown metric "kapa"; did you mean "kappa"?'),
        ("dice + iou", "expected the name of a metric, maybe with parameters, for example fbeta(beta=2)"),
        ("2", "expected the name of a metric"),
        ("iou(1)", "expected parameters by name, for example fbeta(beta=2)\n    iou(1)\n        ^"),
        ("fbeta(beeta=2)", 'fbeta has no parameter "beeta"; did you mean "beta"?'),
        ("fbeta(beta=0)", "beta: expected a finite number > 0, got 0"),
        ("iou(axis=2)", "expected no axis here; --axis sets the class axis of every metric"),
        ("iou(", "not an expression:"),
        ("", "expected an expression on one line, got ''"),
        ("i" * 1001, "expected an expression of at most 1000 characters, got 1001"),
    ],
)
def test_errors(text, message):
    with pytest.raises(UserError) as caught:
        parse_metric(text)
    assert str(caught.value).startswith(f"--metric: {message}")


def test_neither_loss_nor_metric(folders, capsys):
    folder, _, _ = folders
    assert main(["evaluate", str(folder / "scores"), str(folder / "masks")]) == 2
    assert capsys.readouterr().err == (
        "error: expected --loss or --metric, for example --loss dice --metric iou, got neither\n"
    )


def test_the_list_of_metrics(capsys):
    assert main(["metrics"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name} " in out for name in fl.metrics.METRICS)


def test_a_comparison_of_metrics(folders, capsys):
    folder, _, _ = folders
    for run, kind in (("a", "scores"), ("b", "labels")):
        options = [
            "--metric",
            "iou",
            "--state",
            str(folder / run),
            *(["--num-classes", "3"] if kind == "labels" else []),
        ]
        assert main(["evaluate", str(folder / kind), str(folder / "masks"), *options]) == 0
    capsys.readouterr()
    assert main(["compare", str(folder / "a"), str(folder / "b"), "--fail-if", "iou < 0"]) == 0
    assert "The 3 images with the largest decrease of iou (the first metric)" in capsys.readouterr().out
