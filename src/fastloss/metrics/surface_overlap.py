"""The surface Dice score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import _surface
from .._batch import Batch
from .._engine.functions import function_of, loss_of
from .._engine.surfaces import Statistic, SurfaceMetric
from .._options import freeze, number_or_vector

__all__ = ["SurfaceDice", "surface_dice"]


@dataclass(frozen=True, kw_only=True, repr=False)
class SurfaceDice(SurfaceMetric):
    r"""Surface Dice: the share of both surfaces that is within a tolerance of the other (normalised surface distance).

    Per image and class, it is the number of elements of both surfaces whose distance to the other surface is at most
    `tolerance`, divided by the number of all elements. With surface="area", each element counts with its area. It is
    from 0 to 1. The value is the mean over images and classes.

    Parameters
    ----------
    tolerance : float or sequence of float
        The greatest distance within the tolerance, >= 0, in the unit of `spacing`: one number, or one number per class.
        Like the distances, it is rounded to float32.
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
    absent : {"nan", "zero", "one", "skip"}, default "nan"
        The score of a class that is 0 / 0 in an image, as of a class in neither prediction nor target. "nan" leaves it
        out of the mean, "zero" and "one" count it as 0 and 1. "skip" leaves out every class without a target pixel,
        whatever the prediction.
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
    surface_dice : The same metric as a function; its docstring describes the arrays.
    HausdorffDistance
    DiceScore : Counts pixels instead of elements of surfaces.

    Notes
    -----
    Pixels that do not count are in no mask. Nothing outside of the image is in a mask, so a mask has a border at the
    edge of the image. Images have 1 to 3 axes. The distances are float32. The metric needs whole images, so `Tiles`
    refuses it. docs/metrics-surface.md shows which options give the values of MONAI, MedPy, surface-distance and
    SimpleITK.

    References
    ----------
    Nikolov et al. 2021, J Med Internet Res 23, e26151, arXiv:1809.04430.

    Examples
    --------
    >>> import fastloss as fl
    >>> dice = fl.metrics.SurfaceDice(tolerance=1.0, classes=[1])
    >>> dice([[0, 1, 1, 0, 0, 0]], [[0, 1, 1, 1, 1, 0]], num_classes=2)
    0.75
    """

    tolerance: float | Sequence[float]
    surface: str = "border"
    connectivity: int = 1
    spacing: float | Sequence[float] | None = None
    activation: str | None = "softmax"
    threshold: float = 0.5
    classes: Sequence[int] | None = None
    absent: str = "nan"
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, tolerance=number_or_vector(self.tolerance, "tolerance"))

    def statistic(self) -> Statistic:
        tolerance = self.tolerance if isinstance(self.tolerance, float) else tuple(self.tolerance)
        return Statistic(_surface.surface_dice, (tolerance,))

    def check_batch(self, batch: Batch) -> None:
        super().check_batch(batch)
        if not isinstance(self.tolerance, float) and len(self.tolerance) != batch.classes:
            raise ValueError(f"tolerance: expected shape ({batch.classes},), got ({len(self.tolerance)},)")


@function_of(SurfaceDice)
def surface_dice(
    input: Any,
    target: Any,
    /,
    *,
    tolerance: float | Sequence[float],
    surface: str = "border",
    connectivity: int = 1,
    spacing: float | Sequence[float] | None = None,
    activation: str | None = "softmax",
    threshold: float = 0.5,
    classes: Sequence[int] | None = None,
    absent: str = "nan",
    ignore_index: int | Sequence[int] = -100,
    axis: int = 1,
    pixel_weight: Any = None,
    num_classes: int | None = None,
) -> float | Any:
    r"""Surface Dice: the share of both surfaces that is within a tolerance of the other (normalised surface distance).

    Per image and class, it is the number of elements of both surfaces whose distance to the other surface is at most
    `tolerance`, divided by the number of all elements. With surface="area", each element counts with its area. It is
    from 0 to 1. The value is the mean over images and classes.

    Parameters
    ----------
    input : array, shape (N, C, *S) or (N, *S)
        Scores of dtype float16, bfloat16, float32 or float64, with the classes on `axis`; or a label map of the
        target's shape, of any integer or bool dtype.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape that holds 0
        and 1. A single channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S).
    tolerance : float or sequence of float
        The greatest distance within the tolerance, >= 0, in the unit of `spacing`: one number, or one number per class.
        Like the distances, it is rounded to float32.
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
    absent : {"nan", "zero", "one", "skip"}, default "nan"
        The score of a class that is 0 / 0 in an image, as of a class in neither prediction nor target. "nan" leaves it
        out of the mean, "zero" and "one" count it as 0 and 1. "skip" leaves out every class without a target pixel,
        whatever the prediction.
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
        The score. nan if no score is defined.

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
    SurfaceDice : The same metric as an object, for `evaluate` and with partials.
    HausdorffDistance
    DiceScore : Counts pixels instead of elements of surfaces.

    Notes
    -----
    Pixels that do not count are in no mask. Nothing outside of the image is in a mask, so a mask has a border at the
    edge of the image. Images have 1 to 3 axes. The distances are float32. The metric needs whole images, so `Tiles`
    refuses it. docs/metrics-surface.md shows which options give the values of MONAI, MedPy, surface-distance and
    SimpleITK.

    References
    ----------
    Nikolov et al. 2021, J Med Internet Res 23, e26151, arXiv:1809.04430.

    Examples
    --------
    >>> import fastloss as fl
    >>> prediction, target = [[0, 1, 1, 0, 0, 0]], [[0, 1, 1, 1, 1, 0]]
    >>> fl.metrics.surface_dice(prediction, target, tolerance=1.0, classes=[1], num_classes=2)
    0.75
    """
    options = (
        tolerance,
        surface,
        connectivity,
        spacing,
        activation,
        threshold,
        classes,
        absent,
        ignore_index,
        axis,
    )
    metric = loss_of(SurfaceDice, *options)
    return metric(input, target, pixel_weight=pixel_weight, num_classes=num_classes)
