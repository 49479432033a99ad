"""Counts the pixels of labels or regions for nnU-Net's `summary.json`, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..files.label_maps import IGNORED
from ..files.regions import Regions
from ..files.stored import Array
from ..report.nnunet import Counts, Label, counts
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

        `label_map`: the prediction is a label map, as one-hot channels.
        """
        if self.regions is None:
            predicted, reference = arrays.input[0].argmax(axis=0), arrays.target[0]
            if arrays.weight is not None:  # pixels without data in the prediction
                reference = np.where(arrays.weight[0] > 0, reference.astype(np.int64), IGNORED)
            return counts(predicted, reference, range(1, classes), (*self.ignored, IGNORED))
        kept: Array = np.array(True) if arrays.weight is None else arrays.weight[0, 0] > 0
        masks = self._region_masks(arrays.input[0], label_map)
        keys = [tuple(sorted(members)) for members in self.regions.members]
        return {
            key if len(key) > 1 else key[0]: _counts(predicted & kept, reference & kept, kept)
            for key, predicted, reference in zip(keys, masks, arrays.target[0], strict=True)
        }

    def _region_masks(self, scores: Array, label_map: bool) -> Array:
        """Return each region's mask.

        nnU-Net paints the regions over each other and scores the label map that results.
        """
        masks: Array = scores > 0.5
        if label_map or self.class_order is None or self.regions is None:
            return masks
        painted = np.zeros(masks.shape[1:], np.int64)
        for mask, label in zip(masks, self.class_order, strict=True):
            painted[mask] = label
        return np.stack([np.isin(painted, list(members)) for members in self.regions.members])


def _counts(predicted: Array, reference: Array, kept: Array) -> Counts:
    tp = int(np.count_nonzero(predicted & reference))
    fp, fn = int(np.count_nonzero(predicted)) - tp, int(np.count_nonzero(reference)) - tp
    total = predicted.size if kept.ndim == 0 else int(np.count_nonzero(kept))
    return Counts(tp=tp, fp=fp, fn=fn, tn=total - tp - fp - fn)
