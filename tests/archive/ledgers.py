"""Makes small archives for the tests of ledgers, and reads what a run leaves."""

from __future__ import annotations

import json
import os

import numpy as np
from writing import blobs, folders, logits

import fastloss as fl

LOSSES = {"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss()}


def archive(folder, count, seed=0):
    """Write small predictions and masks, and return their folders."""
    p, m = folders(folder, "p", "m")
    for k in range(count):
        labels = blobs((8, 9), 3, seed + k)
        np.save(p / f"{k:04}.npy", logits(labels, 3, seed + k))
        np.save(m / f"{k:04}.npy", labels)
    return p, m


def evaluate(p, m, **options):
    return fl.evaluate_files(LOSSES, p, m, **options)


def results(report, folder):
    """Everything in a report but its time, with the bits of the sums."""
    path = folder / "results.json"
    report.write(path)
    numbers = [report.partial(name).numbers.tobytes() for name in report]
    classes = [one.tobytes() for name in report for one in report._class_numbers[name]]
    return path.read_bytes(), numbers, classes, report.spacings, report.nbytes


def records(state):
    return (state / "records.txt").read_bytes().splitlines(keepends=True)


def names(lines):
    return [json.loads(line[65:])["image"] for line in lines]


def later(path):
    """Set the time of modification, which may otherwise be that of the earlier write."""
    times = path.stat()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1_000_000_000))
