"""The losses of distances as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..losses import BoundaryLoss, HausdorffDTLoss
from ._call import call, function_of


@function_of(BoundaryLoss)
def boundary_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    spacing: float | Sequence[float] | None = None,
    classes: Sequence[int] | None = None,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
    distance_maps: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.boundary_loss([[[2.0, 1.0, -3.0], [-2.0, -1.0, 3.0]]], [[0, 0, 1]])
    -0.61411734
    """
    return call(BoundaryLoss, locals())


@function_of(HausdorffDTLoss)
def hausdorff_dt_loss(
    input: Any,
    target: Any,
    /,
    *,
    alpha: float = 2.0,
    activation: str | None = "softmax",
    spacing: float | Sequence[float] | None = None,
    classes: Sequence[int] | None = None,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
    distance_maps: Any = None,
) -> float | Any:
    """
    >>> import fastloss as fl
    >>> fl.hausdorff_dt_loss([[[2.0, 1.0, -3.0], [-2.0, -1.0, 3.0]]], [[0, 0, 1]])
    0.010339644
    """
    return call(HausdorffDTLoss, locals())
