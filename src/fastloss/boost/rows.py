"""The rows of a boosting library as batches of losses: scores, targets, weights and groups.

A row is a pixel or voxel. libraries.py reads these arrays from the data sets of each library, and derivatives.py gives
the batches to losses. Nothing here knows a library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, as_array
from .._engine.loss import Loss

MOST_ROWS = 1 << 24  # the most row numbers that a float32 label holds exactly


@dataclass(frozen=True, slots=True)
class Rows:
    """Scores and targets of n rows, in the order of the library."""

    scores: Array  # (n, K)
    target: Array  # (n,), labels or numbers, or (n, K)
    weight: Array | None  # (n,)
    sizes: Array | None  # the number of rows of each group, if there are groups

    @staticmethod
    def of(scores: Any, labels: Any, weight: Any, sizes: Any, targets: Array | None) -> Rows:
        """Check the arrays that a library gave. targets: the caller's table of targets, or None."""
        scores = as_array(scores, "scores")
        scores = scores if scores.ndim > 1 else scores[:, None]
        labels = as_array(labels, "label")
        if len(labels) != len(scores):
            raise ValueError(f"label: expected one per row, {len(scores)}, got {len(labels)}")
        if not np.isfinite(labels).all():
            raise ValueError(f"label: expected finite numbers, got {labels[~np.isfinite(labels)][0]}")
        if sizes is not None and sizes.sum() != len(scores):
            raise ValueError(f"group: expected sizes that add up to {len(scores)} rows, got {sizes.sum()}")
        if weight is not None and sizes is not None and len(weight) == len(sizes) != len(scores):
            weight = np.repeat(weight, sizes)  # XGBoost has one weight per group
        return Rows(scores, labels if targets is None else chosen(targets, labels), weight, sizes)

    @property
    def total_weight(self) -> float:
        return float(len(self.scores) if self.weight is None else self.weight.sum(dtype=np.float64))

    def groups(self, loss: Loss) -> list[slice]:
        """The rows of each group, if the loss is one of whole samples; otherwise all rows at once."""
        if self.sizes is None or not loss.by_sample():
            return [slice(0, len(self.scores))]
        ends = np.cumsum(self.sizes)
        return [slice(int(a), int(b)) for a, b in zip(ends - self.sizes, ends, strict=True) if b > a]

    def batches(self, loss: Loss) -> Iterator[tuple[slice, Array, Array, Array | None]]:
        """Yield the rows of each group, and its input (1, K, n), target and pixel weights as `loss` takes them."""
        target = self.target_of(loss)
        for rows in self.groups(loss):
            weight = None if self.weight is None else self.weight[None, rows]
            if weight is not None and loss.kind == "element":
                weight = weight[:, None]
            own = target[rows]
            dense = own.T[None] if own.ndim == 2 else own[None, None] if loss.kind == "element" else own[None]
            yield rows, self.scores[rows].T[None], dense, weight

    def target_of(self, loss: Loss) -> Array:
        """The targets as labels (n,), as numbers (n,) for a loss of elements, or dense, (n, K)."""
        K, target = self.scores.shape[1], self.target
        if target.ndim == 2:
            if target.shape[1] != K:
                raise ValueError(f"targets: expected {K} columns, one per score of a row, got {target.shape[1]}")
            return target
        if K == 1 and loss.kind == "pixel" and not loss.takes_binary:
            raise ValueError(
                f"scores: expected two or more per row for {loss!r}, got one; set the number of classes, or use "
                "BCEWithLogitsLoss or BinaryFocalLoss"
            )
        if loss.kind == "element":
            if K > 1:
                raise ValueError(f"targets: expected an array of {K} columns for {loss!r} of {K} scores, got none")
            return target
        labels: Array = target.astype(np.int64)
        wrong = labels != target
        if not wrong.any():
            return labels
        if K > 1:
            raise ValueError(
                f"label: expected whole numbers for {loss!r}, got {target[wrong][0]}; give soft targets by targets="
            )
        return target[:, None]


def chosen(targets: Array, labels: Array) -> Array:
    """The rows of `targets` that the labels number."""
    index = labels.astype(np.int64)
    wrong = (index != labels) | (index < 0) | (index >= len(targets)) | (labels.ndim != 1)
    if wrong.any():
        raise ValueError(
            f"label: expected row numbers of targets, in [0, {len(targets)}), got {labels[wrong].ravel()[0]}"
        )
    rows: Array = targets[index]
    return rows


def check_targets(targets: Any) -> Array | None:
    """The checked table of targets: an array (rows,) or (rows, K)."""
    if targets is None:
        return None
    table = as_array(targets, "targets")
    if table.ndim not in (1, 2):
        raise ValueError(f"targets: expected shape (rows,) or (rows, scores per row), got {table.shape}")
    if len(table) > MOST_ROWS:
        raise ValueError(f"targets: expected at most {MOST_ROWS} rows, the most that float32 numbers, got {len(table)}")
    return table
