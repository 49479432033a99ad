"""The binary and multi-label losses as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._batch import Array
from ..losses import BCEWithLogitsLoss
from ._call import call, documented


@documented(BCEWithLogitsLoss)
def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    /,
    *,
    pos_weight: float | Sequence[float] | Array | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Array:
    """
    >>> import fastloss as fl
    >>> fl.binary_cross_entropy_with_logits([0.5, -1.0], [1.0, 0.0])
    0.39366935
    """
    return call(BCEWithLogitsLoss, locals())
