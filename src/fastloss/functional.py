"""The losses as functions, with torch's names: each makes its loss object and calls it.

Their docstrings are the objects'; tests hold names, defaults and values of the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ._batch import Array
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, DiceLoss, JaccardLoss, Loss, TverskyLoss


def _documented(loss: type[Loss]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function its loss's docstring, the class's example aside, which calls the class."""

    def document(function: Callable[..., Any]) -> Callable[..., Any]:
        body, _, rest = (loss.__doc__ or "").partition("    >>> ")
        _, _, see_also = rest.partition("\n\n")
        own = function.__doc__ or ""
        object_form = f"    The object form, for gradients and partials: `{loss.__name__}`."
        function.__doc__ = f"{body}    {own.strip()}\n\n{object_form}\n{see_also}"
        return function

    return document


def _call(loss: type[Loss], arguments: dict[str, Any]) -> float | Array:
    """Make the loss from a function's own arguments and call it."""
    input, target, pixel_weight = (arguments.pop(name) for name in ("input", "target", "pixel_weight"))
    return loss(**arguments)(input, target, pixel_weight=pixel_weight)


@_documented(CrossEntropyLoss)
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
    return _call(CrossEntropyLoss, locals())


@_documented(BCEWithLogitsLoss)
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
    return _call(BCEWithLogitsLoss, locals())


@_documented(DiceLoss)
def dice_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    smooth: float | tuple[float, float] = 1e-5,
    squared: bool = False,
    class_weight: Sequence[float] | Array | None = None,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "keep",
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Array:
    """
    >>> import fastloss as fl
    >>> fl.dice_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.25062531
    """
    return _call(DiceLoss, locals())


@_documented(JaccardLoss)
def jaccard_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    smooth: float | tuple[float, float] = 1e-5,
    class_weight: Sequence[float] | Array | None = None,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "keep",
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Array:
    """
    >>> import fastloss as fl
    >>> fl.jaccard_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], activation=None)
    0.40063781
    """
    return _call(JaccardLoss, locals())


@_documented(TverskyLoss)
def tversky_loss(
    input: Any,
    target: Any,
    /,
    *,
    activation: str | None = "softmax",
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float | tuple[float, float] = 1e-5,
    class_weight: Sequence[float] | Array | None = None,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "keep",
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Array:
    """
    >>> import fastloss as fl
    >>> fl.tversky_loss([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]], alpha=0.3, beta=0.7, activation=None)
    0.25082322
    """
    return _call(TverskyLoss, locals())
