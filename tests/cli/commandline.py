"""Runs the command line for the tests, in this process or in a separate one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import fastloss as fl
from fastloss.cli import main

CLASSES, HEIGHT, WIDTH = 3, 20, 30


def run(capsys, *arguments):
    """Exit code, stdout, stderr of the command line run in this process; without colours, which typer makes in CI."""
    code = main([str(argument) for argument in arguments])
    return code, *(re.sub(r"\x1b\[[0-9;]*m", "", text) for text in capsys.readouterr())


def evaluated(capsys, predictions, targets, *more, losses=("dice", "cross_entropy")):
    """The JSON report of a run that must succeed."""
    output = Path(predictions).parent / "report.json"
    options = [f"--loss={loss}" for loss in losses]
    code, _, err = run(capsys, "evaluate", predictions, targets, *options, "--output", output, *more)
    assert code == 0, err
    return json.loads(output.read_text())


def refused(capsys, *arguments):
    """The error message of a run, which must exit with 2, print only on stderr, and show no traceback."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, ""), err
    assert "Traceback" not in err
    return err


def process(*arguments, code="from fastloss.cli import main; import sys; sys.exit(main())", **options):
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 100} | options
    return subprocess.run(command, check=False, **options)


def save_pair(folder, name="a"):
    """A prediction of three classes and its mask of one class: `p/a.npy` and `m/a.npy`."""
    for sub, array in (("p", np.zeros((3, 4, 5), np.float32)), ("m", np.zeros((4, 5), np.uint8))):
        (folder / sub).mkdir(exist_ok=True)
        np.save(folder / sub / f"{name}.npy", array)
    return folder / "p" / f"{name}.npy", folder / "m" / f"{name}.npy"


def save_palette(path, labels):
    image = Image.fromarray(labels)
    image.putpalette([7, 8, 9] * 256)
    assert image.mode == "P"
    image.save(path)


def load(path):
    return np.asarray(Image.open(path)) if path.suffix == ".png" else np.load(path)


def expected_values(logits, labels, **losses):
    losses = losses or {"dice": fl.DiceLoss(), "cross_entropy": fl.CrossEntropyLoss()}
    result = fl.evaluate(losses, logits[None], labels[None])
    return {name: result[name] for name in losses}


def values(found):
    return {name: entry["value"] for name, entry in found["losses"].items()}


def left(folder):
    return sorted(path.name for path in folder.iterdir())
