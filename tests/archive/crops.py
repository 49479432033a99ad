"""Crops that the tests of workers evaluate, and the facts of a report that compare bit by bit."""

import numpy as np
from writing import blobs, folders, logits

import fastloss as fl

CROPS = 200
SHAPE = (13, 11)
LOSSES = {"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss(), "both": 0.3 * fl.FocalLoss() + fl.JaccardLoss()}


def save_crops(root, count, values=logits):
    """Write crops of different classes and shapes: `p/000.npy` and `m/000.npy`."""
    p, m = folders(root, "p", "m")
    for k in range(count):
        labels = blobs((SHAPE[0] + k % 3, SHAPE[1]), 3, seed=k)
        np.save(p / f"{k:03}.npy", values(labels, 3, seed=k))
        np.save(m / f"{k:03}.npy", labels)
    return root


def facts(report):
    """Everything that a report holds, except for the time, in a form that compares bit by bit."""
    return {
        "sums": {k: (report.partial(k).numbers.tobytes(), report.partial(k).samples) for k in report},
        "sums per class": {k: [n.tobytes() for n in rows] for k, rows in report._class_numbers.items()},
        "per image": {k: v.tobytes() for k, v in report.per_image.items()},
        "per class": {k: v.tobytes() for k, v in report.per_class.items()},
        "losses": report.losses,
        "images": (report.images, report.nan_images, report.pairs, report.class_names),
        "files": (report.spacings, report.notes, report.nbytes),
        "cases": report._facts.cases,
    }
