"""Gradients and Hessians of a loss in the scaling of boosting libraries, and its value and base score.

The scaling is that of the libraries' own objectives: a sum over rows. A leaf's step is -sum(gradient) / sum(Hessian).
So every Hessian must be positive, and not so small that a step explodes. The rules are:

    convex losses of logits     their own Hessian, as the library scales it for softmax
    losses of d = x - y         gradient / d, the curvature of the parabola that touches the loss and lies above it
    all others                  the larger of the Hessian's bound and |gradient|, so that no step is longer than 1

The third rule serves losses that are not convex, such as focal, and region losses, whose Hessian is not diagonal.
libraries.py calls this file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import losses as fl
from .._arrays import Array
from .._backend import has_hessian
from .._engine.loss import Loss, MapsLoss
from .._engine.partial import Partial
from .._engine.sums import SumLoss
from .rows import Rows

LEAST_HESSIAN = 1e-16  # XGBoost's own limit

CONVEX = (
    fl.CrossEntropyLoss,
    fl.BCEWithLogitsLoss,
    fl.BalancedBCELoss,
    fl.SoftMarginLoss,
    fl.MultiLabelSoftMarginLoss,
)
REGRESSION = (fl.MSELoss, fl.L1Loss, fl.HuberLoss, fl.SmoothL1Loss, fl.LogCoshLoss, fl.PseudoHuberLoss)
OF_SCORES = (*CONVEX, *REGRESSION, fl.PerceptronLoss, fl.PolyLoss)  # the losses without an activation that take scores


def check_loss(loss: Any) -> list[tuple[float, Loss]]:
    """The summands of a loss for boosting, and their factors. Each is a sum over rows, or a mean over groups."""
    if not isinstance(loss, Loss):
        raise TypeError(f"loss: expected a loss of one input, got {type(loss).__name__}")
    parts = []
    for factor, part in loss.summands():
        if factor <= 0:
            raise ValueError(f"loss: expected factors > 0, got {factor!r} * {part!r}")
        if part.reduction not in ("mean", "sum"):
            raise ValueError(f"reduction: expected 'mean' or 'sum', got {part.reduction!r} in {part!r}")
        if isinstance(part, MapsLoss):
            raise ValueError(f"loss: expected a loss that needs no distances between pixels, got {part!r}")
        if getattr(part, "activation", None) is None and not isinstance(part, OF_SCORES):
            raise ValueError(
                f"loss: expected a loss of raw scores, got {part!r}; use one with activation='sigmoid' or 'softmax', "
                "CrossEntropyLoss or BCEWithLogitsLoss"
            )
        if getattr(part, "axis", None) not in (None, 1):
            raise ValueError(f"axis: expected 1 (the default), because rows have no axes, got {part!r}")
        summed = "sum" if isinstance(part, SumLoss) else "mean"
        parts.append((factor, dataclasses.replace(part, reduction=summed)))  # type: ignore[type-var]
    return parts


def is_regression(parts: list[tuple[float, Loss]]) -> bool:
    """Whether the targets are numbers, not classes or probabilities."""
    return any(isinstance(part, REGRESSION) for _, part in parts)


def is_exclusive(parts: list[tuple[float, Loss]]) -> bool:
    """Whether the scores of a row become probabilities by a softmax."""
    return any(part.exclusive or getattr(part, "activation", None) == "softmax" for _, part in parts)


def check_range(parts: list[tuple[float, Loss]], rows: Rows) -> Rows:
    """Refuse targets that are no probabilities, or for a soft margin not -1 and 1. Kernels check labels of classes."""
    for _, part in parts:
        if isinstance(part, fl.SoftMarginLoss):
            wrong, expected = np.abs(rows.target) != 1, "-1 or 1"
        elif isinstance(part, REGRESSION) or (rows.target.ndim == 1 and rows.scores.shape[1] > 1):
            continue
        else:
            wrong, expected = ~((rows.target >= 0) & (rows.target <= 1)), "numbers in [0, 1]"
        if wrong.any():
            raise ValueError(f"label: expected {expected} for {part!r}, got {rows.target[wrong][0]}")
    return rows


def derivatives(parts: list[tuple[float, Loss]], rows: Rows, softmax: float | None) -> tuple[Array, Array]:
    """The gradient and the Hessian of all summands together, of shape (n, K), in the dtype of the scores.

    softmax: cross entropy's Hessian is this number times its diagonal. None: it is the upper bound of the Hessian.
    """
    total: list[Array] = []
    for factor, part in parts:
        scale = factor if isinstance(part, SumLoss) else factor * rows.total_weight / len(rows.groups(part))
        for where, *both in _of_part(part, rows, softmax):
            if not total and where == slice(0, len(rows.scores)):
                total = both if scale == 1 else [np.multiply(scale, own, out=own) for own in both]
                continue
            total = total or [np.zeros(rows.scores.shape, own.dtype) for own in both]
            for whole, own in zip(total, both, strict=True):
                whole[where] += scale * own
    gradient, hessian = total
    return gradient, np.clip(hessian, LEAST_HESSIAN, 1 / LEAST_HESSIAN, out=hessian)


def _of_part(part: Loss, rows: Rows, softmax: float | None) -> Iterator[tuple[slice, Array, Array]]:
    """Yield the rows of each group with their gradient and Hessian, of shape (rows, K). Both are new arrays."""
    kind = "bound" if softmax is None or not isinstance(part, fl.CrossEntropyLoss) else "diagonal"
    known = has_hessian(part.kernel_terms)
    for where, x, y, w in rows.batches(part):
        results = part.value_and_grad(x, y, pixel_weight=w, hessian=kind if known else None)
        g, h = results[1], results[2] if known else np.abs(results[1])
        if isinstance(part, REGRESSION):
            d = x - y.astype(x.dtype)
            h = np.divide(g, d, out=h, where=d != 0)
        elif kind == "diagonal" and softmax is not None:
            h *= softmax
        elif known and not isinstance(part, CONVEX):
            h = np.maximum(h, np.abs(g), out=h)
        yield where, g[0].T, h[0].T


def value(loss: Loss, rows: Rows) -> float:
    """The loss of all rows. Its groups are its samples."""
    partials = (loss.partial(x, y, pixel_weight=w) for _, x, y, w in rows.batches(loss))
    return loss.finalize(Partial.sum(partials))


def base_score(parts: list[tuple[float, Loss]], rows: Rows) -> Any:
    """The scores of a constant prediction: a float, or one per class."""
    classes, target = rows.scores.shape[1], rows.target
    for _, part in parts:
        rows.target_of(part)  # raises an error if the targets do not fit the loss
    if target.ndim == 1 and classes > 1:
        known = target[:, None] == np.arange(classes)
        if not known.any(axis=1).all():
            raise ValueError(f"label: expected labels in [0, {classes}), got {target[~known.any(axis=1)][0]}")
        target = known
    mean = np.average(target.astype(np.float64), axis=0, weights=rows.weight)
    if not is_regression(parts):
        share = np.clip(mean, 1e-6, 1 - 1e-6)
        mean = np.log(share) if is_exclusive(parts) else np.log(share) - np.log1p(-share)
    return mean.tolist()
