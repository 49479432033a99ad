"""Boundary losses: the probabilities or errors of pixels, weighted by their distance to the target's boundary."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .._arrays import Array
from .._batch import Batch
from .._engine.functions import function_of, loss_of
from .._engine.loss import MapsLoss
from .._engine.sums import SumLoss
from .._options import MOST_DIMS, as_spacing, chosen_classes, class_numbers, freeze, spacing_option
from .._terms import ACTIVATIONS, Term
from ..distance import signed_distance_to

__all__ = ["BoundaryLoss", "boundary_loss"]


class DistanceLoss(MapsLoss, SumLoss):
    """Base of BoundaryLoss and HausdorffDTLoss: the shared options, and the loop over images and classes."""

    takes_binary = True
    weights_in_mean = False  # the kernels read the maps by class and pixel
    activations = ACTIVATIONS
    activation: str | None
    spacing: float | Sequence[float] | None
    classes: Sequence[int] | None

    def __post_init__(self) -> None:
        freeze(self, spacing=spacing_option(self.spacing), classes=class_numbers(self.classes))
        super().__post_init__()

    def spaced(self, spacing: Any) -> Self:
        if spacing is None or self.spacing is not None:
            return self
        changed: Self = dataclasses.replace(self, spacing=spacing)  # type: ignore[type-var]
        return changed

    def by_sample(self) -> bool:
        return True

    def _term(self, name: str) -> Term:
        """A pixel's value is the mean over the chosen classes. The maps of the other classes are 0."""
        share = None if self.classes is None else 1 / len(self.classes)
        return Term(name, "pixel", ACTIVATIONS.index(self.activation), None, (share,))

    def own_maps(self, batch: Batch, maps: Array) -> Array:
        chosen = chosen_classes(self.classes, batch.classes)
        if self.classes is None:
            return maps
        own = np.zeros_like(maps)
        own[:, chosen] = maps[:, chosen]
        return own

    def _each(self, batch: Batch, fill: Callable[[int, int, tuple[float, ...], Array], None]) -> Array:
        """Maps of the input's shape. `fill(sample, class, spacing, map)` writes the map of one sample and class."""
        pixels = batch.input.shape[2:]
        if len(pixels) > MOST_DIMS:
            raise ValueError(f"input: expected at most {MOST_DIMS} pixel dimensions, got shape {batch.shape}")
        chosen = chosen_classes(self.classes, batch.classes)
        maps = np.zeros(batch.input.shape, np.float32)
        if not pixels:  # a single pixel has no boundary
            return maps
        steps = as_spacing(self.spacing, len(pixels))
        for n in range(batch.samples):
            for c in chosen:
                fill(n, c, steps, maps[n, c])
        return maps

    @staticmethod
    def _target_mask(batch: Batch, n: int, c: int) -> tuple[Array, int, bool]:
        """The mask of a class as arguments of `distance_to`: an array, a number, and a bool.

        The mask is where the array equals the number; if the bool is true, it is where they differ.
        """
        assert batch.target is not None
        if batch.labels:
            label = c + batch.label_base
            return batch.target[n], -1 if label in batch.ignored else label, False  # -1: the mask is then empty
        return batch.target[n, c] > 0.5, 0, True


@dataclass(frozen=True, kw_only=True, repr=False)
class BoundaryLoss(DistanceLoss):
    r"""Boundary loss: probabilities weighted by the signed distance to the boundary of the target.

    A pixel's value is the mean over classes of $p_c \phi_c$. Here $\phi_c$ is the `signed_distance` of the target's
    class $c$: positive outside the class, negative inside. Unlike an overlap, the loss grows with the distance of the
    errors from the target. It is negative for a good prediction. It is usually added to a region loss, with a small
    weight.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    spacing : float or sequence of float, default None
        The distance between neighbouring pixels: one number for all axes, or one per axis. None: 1.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per pixel, shape (N, *S).
    axis : int, default 1
        The class axis of `input`.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    boundary_loss : The same loss as a function; its docstring describes the arrays.
    HausdorffDTLoss, DiceLoss

    Notes
    -----
    There are at most 3 pixel dimensions. For a dense target, the mask of a class is where its values exceed 1/2. A mask
    that is empty or full has no boundary, and the map of its class is 0. The maps depend on the target only, so you can
    pass ready-made ones as `distance_maps`, in the input's shape. The target may then be None. A single channel takes
    labels {0, 1}.

    References
    ----------
    Kervadec et al. 2019, arXiv:1812.07032. Their code and MONAI's code shift the distances inside by one pixel.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.BoundaryLoss(activation=None, classes=[1])([[[0.8, 0.6, 0.1, 0.0], [0.2, 0.4, 0.9, 1.0]]], [[0, 0, 1, 1]])
    -0.525
    """

    activation: str | None = "softmax"
    spacing: float | Sequence[float] | None = None
    classes: Sequence[int] | None = None
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    target_optional = True

    def terms(self) -> tuple[Term, ...]:
        return (self._term("boundary"),)

    def make_weights(self, batch: Batch) -> Array:
        def fill(n: int, c: int, spacing: tuple[float, ...], out: Array) -> None:
            signed_distance_to(*self._target_mask(batch, n, c), spacing, out)

        return self._each(batch, fill)


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
    r"""Boundary loss: probabilities weighted by the signed distance to the boundary of the target.

    A pixel's value is the mean over classes of $p_c \phi_c$. Here $\phi_c$ is the `signed_distance` of the target's
    class $c$: positive outside the class, negative inside. Unlike an overlap, the loss grows with the distance of the
    errors from the target. It is negative for a good prediction. It is usually added to a region loss, with a small
    weight.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape. A single
        channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S).
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    spacing : float or sequence of float, default None
        The distance between neighbouring pixels: one number for all axes, or one per axis. None: 1.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights; "none" returns one value per pixel, shape (N, *S).
    axis : int, default 1
        The class axis of `input`.
    pixel_weight : array, default None
        The weights of the pixels: each is 0 or from 1e-30 to 1e30. The shape broadcasts to (N, *S); with a dense
        target, it may also broadcast to (N, C, *S). A pixel with weight 0 does not count.
    distance_maps : array, the input's shape, default None
        Ready-made maps. None: the call computes the maps.

    Returns
    -------
    float, or array if `reduction` is "none"
        The loss. An array has the dtype of the arithmetic: float64 for a float64 input, otherwise float32.

    Raises
    ------
    LabelError
        If a label is neither a class nor ignored.
    ValueError
        If a shape, a weight or an option is wrong.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    BoundaryLoss : The same loss as an object, with gradients and partials.
    HausdorffDTLoss, DiceLoss

    Notes
    -----
    There are at most 3 pixel dimensions. For a dense target, the mask of a class is where its values exceed 1/2. A mask
    that is empty or full has no boundary, and the map of its class is 0. The maps depend on the target only, so you can
    pass ready-made ones as `distance_maps`, in the input's shape. The target may then be None. A single channel takes
    labels {0, 1}.

    References
    ----------
    Kervadec et al. 2019, arXiv:1812.07032. Their code and MONAI's code shift the distances inside by one pixel.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.boundary_loss([[[2.0, 1.0, -3.0], [-2.0, -1.0, 3.0]]], [[0, 0, 1]])
    -0.61411734
    """
    loss = loss_of(BoundaryLoss, activation, spacing, classes, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight, distance_maps=distance_maps)
