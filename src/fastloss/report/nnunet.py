"""Writes nnU-Net's `summary.json`: hard scores per case, their means, and the means over the foreground.

The names, the formulas and the form are those of `compute_metrics_on_folder` and `save_summary_json` in nnunetv2 2.6.2
(nnunetv2/evaluation/evaluate_predictions.py), so that nnU-Net's own tools read the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

Label = int | tuple[int, ...]
"""A label, or a region: the labels of which it consists."""

METRICS = ("Dice", "IoU", "FP", "TP", "FN", "TN", "n_pred", "n_ref")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The pixels of one label or region: in both images, in one of them only, in none."""

    tp: int
    fp: int
    fn: int
    tn: int

    def __add__(self, other: Self) -> Self:
        """The counts of both parts of an image."""
        return type(self)(tp=self.tp + other.tp, fp=self.fp + other.fp, fn=self.fn + other.fn, tn=self.tn + other.tn)

    def metrics(self) -> dict[str, float | int]:
        """Return nnU-Net's metrics. The scores are nan if neither image has a pixel of the region."""
        union = self.tp + self.fp + self.fn
        return {
            "Dice": 2 * self.tp / (union + self.tp) if union else math.nan,
            "IoU": self.tp / union if union else math.nan,
            "FP": self.fp,
            "TP": self.tp,
            "FN": self.fn,
            "TN": self.tn,
            "n_pred": self.fp + self.tp,
            "n_ref": self.fn + self.tp,
        }


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image: its two files, and the counts of each label or region.

    Attributes
    ----------
    prediction, reference : str
        The paths, as they are written into the summary.
    counts : mapping from int or tuple of int to Counts
        The counts of each label or region. All cases must have the same.
    """

    prediction: str
    reference: str
    counts: Mapping[Label, Counts]


def summary(cases: Sequence[Case]) -> str:
    """Return the text of nnU-Net's `summary.json`.

    A score that is not defined is written as NaN, which JSON does not have. nnU-Net writes and reads it so.

    Parameters
    ----------
    cases : sequence of Case
        The images, in the order of the summary.

    Returns
    -------
    str
        The text. It is ASCII.

    Raises
    ------
    ValueError
        If there is no case, or the cases differ in their labels or regions.
    """
    labels = list(cases[0].counts) if cases else []
    if not labels:
        raise ValueError("expected at least one case, with counts of at least one label")
    for case in cases:
        if set(case.counts) != set(labels):
            raise ValueError(
                f"expected the labels {labels} in every case, got {list(case.counts)} in {case.prediction}"
            )
    rows = [{label: case.counts[label].metrics() for label in labels} for case in cases]
    mean = {label: {name: _nanmean([row[label][name] for row in rows]) for name in METRICS} for label in labels}
    foreground = [mean[label] for label in labels if label != 0]
    return json.dumps(
        {
            "foreground_mean": {name: _mean([held[name] for held in foreground]) for name in METRICS},
            "mean": {str(label): mean[label] for label in labels},
            "metric_per_case": [
                {
                    "metrics": {str(label): row[label] for label in labels},
                    "prediction_file": case.prediction,
                    "reference_file": case.reference,
                }
                for case, row in zip(cases, rows, strict=True)
            ],
        },
        sort_keys=True,
        indent=4,
    )


# NumPy's own functions give the same last bit as nnU-Net's. They would warn if there is no value.


def _nanmean(values: Sequence[float]) -> float:
    return math.nan if all(map(math.isnan, values)) else float(np.nanmean(values))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
