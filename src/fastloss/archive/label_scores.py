"""Scores of labels by confident learning: how probable the model takes each label, and which labels it contradicts.

The definitions are those of cleanlab 2.9 for segmentation. `p` are the probabilities of a pixel and `y` its label.

- The score of a pixel is p_y. The quality of an image is the softmin of its pixels' scores, sum(p_y w) / sum(w) with
  w = exp(-p_y / 0.1), which is close to the smallest scores (Lad, Mueller 2023, arXiv:2307.05080).
- The threshold of class k is the mean of p_k over the pixels with label k (Northcutt, Jiang, Chuang 2021,
  arXiv:1911.00068).
- A label is contradicted if the most probable class k is more probable than it, and p_k reaches the threshold of k.

The thresholds need all images, so there are two passes. Nothing here knows files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._arrays import Array
from ..losses import CategoricalCrossEntropyLoss, CrossEntropyLoss, Loss, PerceptronLoss

TEMPERATURE = 0.1
"""The temperature of the softmin, cleanlab's default."""

ROUNDING = 1e-6
"""How far a probability may be below its threshold, as in cleanlab: the mean of equal numbers may be above them."""


def log_loss(activation: str | None) -> Loss:
    """Return the loss whose values are -log p_y, of logits or of probabilities."""
    return CategoricalCrossEntropyLoss(reduction="none") if activation is None else CrossEntropyLoss(reduction="none")


def two_channels(input: Array, activation: str | None) -> Array:
    """Return one channel, of the foreground, as two. A sigmoid is the softmax of a logit and 0."""
    other = np.zeros_like(input) if activation else 1 - input
    return np.concatenate([other, input], axis=1)


@dataclass(frozen=True)
class Scored:
    """The pixels of a window.

    Attributes
    ----------
    quality : array, shape (*S)
        p_y, or nan where a pixel does not count.
    labels, kept : array, shape (*S)
        The labels, and which pixels count.
    """

    quality: Array
    labels: Array
    kept: Array


def scored(loss: Loss, input: Array, target: Array, weight: Array | None, ignored: Sequence[int]) -> Scored:
    """Score the pixels of a window, from arrays with a sample axis of length 1.

    Raises
    ------
    LabelError
        If a label is neither a class nor ignored.
    """
    kept = ~np.isin(target, ignored)
    if weight is not None:
        kept &= weight > 0
    quality = np.exp(-np.asarray(loss(input, target, pixel_weight=kept.astype(np.float32))))
    return Scored(np.where(kept, quality, np.nan)[0], target[0], kept[0])


@dataclass(frozen=True)
class Rivals:
    """The pixels of a window for which another class is more probable than the label.

    Attributes
    ----------
    where : array of bool, shape (*S)
        Which pixels these are. The other arrays have one element for each, in this order.
    suggested, confidence : array, shape (n,)
        The most probable class, and its probability.
    """

    where: Array
    suggested: Array
    confidence: Array


def rivals(loss: Loss, input: Array, window: Scored) -> Rivals:
    """Find the rivals of the labels. Of equal classes, the label is the most probable one."""
    margin = PerceptronLoss(reduction="none")(input, window.labels[None], pixel_weight=window.kept[None])
    where = np.asarray(margin)[0] > 0
    few = input[:, :, where]
    suggested = np.argmax(few, axis=1)
    confidence = np.exp(-np.asarray(loss(few, suggested)))
    return Rivals(where, suggested[0], confidence[0])


class ClassScores:
    """The first pass: the sums of p_y and the numbers of pixels, by label."""

    def __init__(self, classes: int) -> None:
        self.sums: Array = np.zeros(classes)
        self.pixels: Array = np.zeros(classes, np.int64)

    def add(self, window: Scored) -> None:
        """Add a window."""
        labels = window.labels[window.kept].astype(np.int64)
        quality = window.quality[window.kept].astype(np.float64)
        self.sums = self.sums + np.bincount(labels, quality, len(self.sums))
        self.pixels += np.bincount(labels, minlength=len(self.sums))

    def same(self, other: ClassScores) -> bool:
        """Return whether both have seen the same numbers in the same order."""
        return np.array_equal(self.sums, other.sums, equal_nan=True) and np.array_equal(self.pixels, other.pixels)

    def thresholds(self) -> Array:
        """Return the threshold of each class. A class that no pixel has gets nan and is never suggested."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums / self.pixels)


class ImageScores:
    """The second pass: the scores of an image, window by window."""

    def __init__(self, thresholds: Array) -> None:
        self.thresholds = thresholds
        self.pixels, self.contradicted = 0, 0
        self._weighted, self._weights = 0.0, 0.0

    def add(self, window: Scored, rivals: Rivals) -> Array:
        """Add a window, and return the class that contradicts each label, or -1."""
        quality = window.quality[window.kept].astype(np.float64)
        weights = np.exp(quality / -TEMPERATURE)
        self._weighted += float(np.sum(quality * weights))
        self._weights += float(np.sum(weights))
        self.pixels += quality.size
        reached = rivals.confidence >= self.thresholds[rivals.suggested] - ROUNDING
        self.contradicted += int(np.count_nonzero(reached))
        suggested = np.full(window.labels.shape, -1)
        suggested[rivals.where] = np.where(reached, rivals.suggested, -1)
        return suggested

    @property
    def quality(self) -> float:
        """The softmin of the scores, or nan if no pixel counts."""
        return self._weighted / self._weights if self.pixels else float("nan")


def pairs_of(window: Scored, suggested: Array, classes: int) -> Array:
    """Return the number of contradicted pixels by label (row) and suggested class (column)."""
    contradicted = suggested >= 0
    pairs = window.labels[contradicted].astype(np.int64) * classes + suggested[contradicted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
