"""The losses with one value a pixel as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._batch import Array
from ..losses import CrossEntropyLoss
from ._call import call, documented


@documented(CrossEntropyLoss)
def cross_entropy(
    input: Any,
    target: Any,
    /,
    *,
    class_weight: Sequence[float] | Array | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Array:
    """
    >>> import fastloss as fl
    >>> fl.cross_entropy([[2.0, 0.0, -1.0]], [0])
    0.16984602
    """
    return call(CrossEntropyLoss, locals())
