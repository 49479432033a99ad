"""The sections of a page about metrics whose value is more than a number: confusion matrices and reliability curves.

A metric is known by what `finalize` returns: a matrix is an array with two axes, and a curve has the attributes
`edges`, `counts`, `confidence` and `accuracy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._arrays import Array
from ..files.errors import printable
from ..results import Report
from .words import number

MOST_CLASSES = 30
"""A matrix of more classes is shown as a list of its largest entries outside of the diagonal."""

MOST_CONFUSIONS = 40


def values_beyond_numbers(report: Report) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of the metrics whose value of all images is more than a number."""
    for name, loss in report.losses.items():
        value = loss.finalize(report.partial(name))
        if not isinstance(value, (int, float, np.number)):
            yield name, value


def confusions(report: Report, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the page shows of each confusion matrix: cells, or the largest confusions."""
    found = []
    for name, value in values_beyond_numbers(report):
        if isinstance(value, np.ndarray) and value.ndim == 2:
            names = list(classes) if len(classes) == len(value) else [f"not {classes[0]}", *classes]
            few = len(value) <= MOST_CLASSES
            found.append(
                {
                    "name": printable(name),
                    "names": names,
                    "rows": list(_cells(value, names)) if few else [],
                    "largest": [] if few else list(_largest(value, names)),
                }
            )
    return found


def _cells(matrix: Array, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for target, row in zip(names, matrix, strict=True):
        total = int(row.sum())
        cells = [
            {
                "share": round(count / total * 100, 1) if total else 0.0,
                "text": f"{count / total:.1%}" if total else "-",
                "title": f"{count} pixels of {target}, predicted as {prediction}",
            }
            for prediction, count in zip(names, row.tolist(), strict=True)
        ]
        yield {"name": target, "total": total, "cells": cells}


def _largest(matrix: Array, names: Sequence[str]) -> Iterator[list[str]]:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    totals = matrix.sum(axis=1)
    for at in np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS].tolist():
        target, prediction = divmod(at, len(names))
        if wrong[target, prediction]:
            count = int(wrong[target, prediction])
            yield [names[target], names[prediction], str(count), f"{count / totals[target]:.1%}"]


def reliabilities(report: Report) -> list[dict[str, Any]]:
    """Return what the page shows of each reliability curve: points in a square of 100 x 100, and their numbers."""
    found = []
    for name, value in values_beyond_numbers(report):
        if not hasattr(value, "confidence"):
            continue
        edges, counts = np.asarray(value.edges), np.asarray(value.counts)
        confidence, accuracy = np.asarray(value.confidence), np.asarray(value.accuracy)
        rows, points = [], []
        for k, count in enumerate(counts.tolist()):
            if not count:
                continue
            texts = [number(float(v), "-") for v in (confidence[k], accuracy[k], accuracy[k] - confidence[k])]
            title = f"{count:.0f} pixels: confidence {texts[0]}, accuracy {texts[1]}"
            points.append({"x": 100 * confidence[k], "y": 100 - 100 * accuracy[k], "title": title})
            rows.append([f"{edges[k]:.4g} to {edges[k + 1]:.4g}", f"{count:.0f}", *texts])
        found.append({"name": printable(name), "points": points, "rows": rows})
    return found
