"""The usual sums of losses as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._batch import Array
from ..losses import DiceCELoss
from ._call import call, function_of


@function_of(DiceCELoss)
def dice_ce_loss(
    input: Any,
    target: Any,
    /,
    *,
    dice: float = 1.0,
    ce: float = 1.0,
    activation: str = "softmax",
    smooth: float | tuple[float, float] = 1e-5,
    squared: bool = False,
    class_weight: Sequence[float] | Array | None = None,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "keep",
    label_smoothing: float = 0.0,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.dice_ce_loss([[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]])
    0.41526002
    """
    return call(DiceCELoss, locals())
