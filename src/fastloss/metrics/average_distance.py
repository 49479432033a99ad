"""The average distance between surfaces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import _surface
from .._engine.functions import function_of, loss_of
from .._engine.surfaces import Statistic, SurfaceDistance
from .._options import choice, freeze

__all__ = ["AverageSurfaceDistance", "average_surface_distance"]


@dataclass(frozen=True, kw_only=True, repr=False)
class AverageSurfaceDistance(SurfaceDistance):
    r"""Average distance between the surfaces of prediction and target.

    Per image and class, it is the mean distance from the elements of both surfaces to the nearest element of the other.
    The value is the mean over images and classes, in the unit of `spacing`.

    Parameters
    ----------
    symmetric : bool, default True
        Whether the elements of both surfaces count. False: only those of the prediction.
    pooled : bool, default True
        Whether the distances of both directions form one sample. False: the mean of the two averages, which is the mean
        average surface distance (MASD). It has no effect if `symmetric` is False.
    surface : {"border", "area", "region"}, default "border"
        What a surface consists of. "border": the pixels of a mask with a neighbour outside of it. "area": the elements
        of a marching-cubes surface, weighted by their areas. "region": all pixels of a mask.
    connectivity : int, default 1
        The neighbours of a border pixel: 1 are those that share a face, 2 also those that share an edge, 3 also a
        corner.
    spacing : float or sequence of float, default None
        The distance between neighbouring pixels: one number for all axes, or one per axis. None: 1.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        How scores become classes. "softmax": a pixel is of the class with the largest score, the first if several have
        it; logits and probabilities give the same. "sigmoid": logits of channels that may overlap; a pixel is of each
        class whose probability exceeds `threshold`. None: probabilities, of which labels take the largest, and a dense
        target or a single channel take those above `threshold`.
    threshold : float, default 0.5
        The probability that a channel must exceed, in [0, 1]. It has no effect on classes of which the largest counts.
    classes : sequence of int, default None
        The classes that enter the mean; None: all. `range(1, C)` leaves out the background.
    absent : {"nan", "zero", "skip"}, default "nan"
        The distance of a class in neither prediction nor target of an image. "nan" leaves it out of the mean, "zero"
        counts it as 0. "skip" leaves out every class without a target pixel, whatever the prediction.
    missing : float or None, default inf
        The distance of a class that only the prediction or only the target of an image has, such as the diagonal of the
        image. None leaves it out of the mean.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    axis : int, default 1
        The class axis of `input`.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    average_surface_distance : The same metric as a function; its docstring describes the arrays.
    HausdorffDistance
    SurfaceDice

    Notes
    -----
    Pixels that do not count are in no mask. Nothing outside of the image is in a mask, so a mask has a border at the
    edge of the image. Images have 1 to 3 axes. The distances are float32. The metric needs whole images, so `Tiles`
    refuses it. docs/metrics-surface.md shows which options give the values of MONAI, MedPy, surface-distance and
    SimpleITK.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.AverageSurfaceDistance(classes=[1])([[0, 1, 1, 0, 0, 0]], [[0, 1, 1, 1, 1, 0]], num_classes=2)
    0.75
    """

    symmetric: bool = True
    pooled: bool = True
    surface: str = "border"
    connectivity: int = 1
    spacing: float | Sequence[float] | None = None
    activation: str | None = "softmax"
    threshold: float = 0.5
    classes: Sequence[int] | None = None
    absent: str = "nan"
    missing: float | None = math.inf
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("symmetric", "pooled"):
            choice(getattr(self, name), name, (True, False))
            freeze(self, **{name: bool(getattr(self, name))})

    def statistic(self) -> Statistic:
        return Statistic(_surface.average, (self.pooled, not self.symmetric))


@function_of(AverageSurfaceDistance)
def average_surface_distance(
    input: Any,
    target: Any,
    /,
    *,
    symmetric: bool = True,
    pooled: bool = True,
    surface: str = "border",
    connectivity: int = 1,
    spacing: float | Sequence[float] | None = None,
    activation: str | None = "softmax",
    threshold: float = 0.5,
    classes: Sequence[int] | None = None,
    absent: str = "nan",
    missing: float | None = math.inf,
    ignore_index: int | Sequence[int] = -100,
    axis: int = 1,
    pixel_weight: Any = None,
    num_classes: int | None = None,
) -> float | Any:
    r"""Average distance between the surfaces of prediction and target.

    Per image and class, it is the mean distance from the elements of both surfaces to the nearest element of the other.
    The value is the mean over images and classes, in the unit of `spacing`.

    Parameters
    ----------
    input : array, shape (N, C, *S) or (N, *S)
        Scores of dtype float16, bfloat16, float32 or float64, with the classes on `axis`; or a label map of the
        target's shape, of any integer or bool dtype.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape that holds 0
        and 1. A single channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S).
    symmetric : bool, default True
        Whether the elements of both surfaces count. False: only those of the prediction.
    pooled : bool, default True
        Whether the distances of both directions form one sample. False: the mean of the two averages, which is the mean
        average surface distance (MASD). It has no effect if `symmetric` is False.
    surface : {"border", "area", "region"}, default "border"
        What a surface consists of. "border": the pixels of a mask with a neighbour outside of it. "area": the elements
        of a marching-cubes surface, weighted by their areas. "region": all pixels of a mask.
    connectivity : int, default 1
        The neighbours of a border pixel: 1 are those that share a face, 2 also those that share an edge, 3 also a
        corner.
    spacing : float or sequence of float, default None
        The distance between neighbouring pixels: one number for all axes, or one per axis. None: 1.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        How scores become classes. "softmax": a pixel is of the class with the largest score, the first if several have
        it; logits and probabilities give the same. "sigmoid": logits of channels that may overlap; a pixel is of each
        class whose probability exceeds `threshold`. None: probabilities, of which labels take the largest, and a dense
        target or a single channel take those above `threshold`.
    threshold : float, default 0.5
        The probability that a channel must exceed, in [0, 1]. It has no effect on classes of which the largest counts.
    classes : sequence of int, default None
        The classes that enter the mean; None: all. `range(1, C)` leaves out the background.
    absent : {"nan", "zero", "skip"}, default "nan"
        The distance of a class in neither prediction nor target of an image. "nan" leaves it out of the mean, "zero"
        counts it as 0. "skip" leaves out every class without a target pixel, whatever the prediction.
    missing : float or None, default inf
        The distance of a class that only the prediction or only the target of an image has, such as the diagonal of the
        image. None leaves it out of the mean.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    axis : int, default 1
        The class axis of `input`.
    pixel_weight : array, default None
        0 for pixels that do not count, 1 for all others. The shape broadcasts to (N, *S); with a dense target, it may
        also broadcast to (N, C, *S).
    num_classes : int, default None
        The number of classes, if `input` is a label map.

    Returns
    -------
    float
        The distance. nan if no distance is defined, inf if a class is missing.

    Raises
    ------
    LabelError
        If a label that counts is no class.
    ValueError
        If a shape, a weight or an option is wrong, or a score that counts is nan.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    AverageSurfaceDistance : The same metric as an object, for `evaluate` and with partials.
    HausdorffDistance
    SurfaceDice

    Notes
    -----
    Pixels that do not count are in no mask. Nothing outside of the image is in a mask, so a mask has a border at the
    edge of the image. Images have 1 to 3 axes. The distances are float32. The metric needs whole images, so `Tiles`
    refuses it. docs/metrics-surface.md shows which options give the values of MONAI, MedPy, surface-distance and
    SimpleITK.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.metrics.average_surface_distance([[0, 1, 1, 0, 0, 0]], [[0, 1, 1, 1, 1, 0]], classes=[1], num_classes=2)
    0.75
    """
    options = (
        symmetric,
        pooled,
        surface,
        connectivity,
        spacing,
        activation,
        threshold,
        classes,
        absent,
        missing,
        ignore_index,
        axis,
    )
    metric = loss_of(AverageSurfaceDistance, *options)
    return metric(input, target, pixel_weight=pixel_weight, num_classes=num_classes)
