"""Counts the pixels of labels or regions for nnU-Net's `summary.json`, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._engine.confusion import ConfusionTally
from .._predictions import Prediction, prediction_batch
from ..files.label_maps import IGNORED
from ..files.regions import Regions
from ..files.stored import Array
from ..report.nnunet import Counts, Label
from .meaning import Arrays


@dataclass(frozen=True, kw_only=True)
class Counter:
    """How hard labels come from the arrays of an image.

    Attributes
    ----------
    regions : Regions or None
        The regions, if the target has one channel for each.
    class_order : sequence of int or None
        The label that each region writes into a label map, one after the other, as nnU-Net does.
    ignored : tuple of int
        The labels whose pixels do not count.
    """

    regions: Regions | None
    class_order: Sequence[int] | None
    ignored: tuple[int, ...]

    def of(self, arrays: Arrays, classes: int, label_map: bool) -> dict[Label, Counts]:
        """Count the pixels of a window, without class 0, which nnU-Net takes for the background and does not score.

        `label_map`: the prediction is a label map, maybe as one-hot channels.
        """
        if self.regions is None and classes < 2:
            return {}
        ignored = (*self.ignored, IGNORED) if self.regions is None else (IGNORED,)
        scores = self._painted(arrays.input, label_map)
        batch = prediction_batch(scores, arrays.target, arrays.weight, 1, ignored, classes)
        tally = ConfusionTally(Prediction("softmax" if self.regions is None else None, 0.5))
        found = [_counts(*row) for row in tally.count(batch).reshape(-1, classes).T.astype(int).tolist()]
        if self.regions is None:
            return dict(list(enumerate(found))[1:])
        keys = [tuple(sorted(members)) for members in self.regions.members]
        return {key if len(key) > 1 else key[0]: counts for key, counts in zip(keys, found, strict=True)}

    def _painted(self, scores: Array, label_map: bool) -> Array:
        """Return the channels that nnU-Net scores.

        nnU-Net paints the regions over each other and scores the label map that results.
        """
        if label_map or self.class_order is None or self.regions is None:
            return scores
        painted = np.zeros(scores.shape[2:], np.int64)
        for mask, label in zip(scores[0] > 0.5, self.class_order, strict=True):
            painted[mask] = label
        return np.stack([np.isin(painted, list(members)) for members in self.regions.members])[None].astype(np.float32)


def _counts(tp: int, predicted: int, target: int, kept: int) -> Counts:
    return Counts(tp=tp, fp=predicted - tp, fn=target - tp, tn=kept - predicted - target + tp)
