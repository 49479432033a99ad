"""Fits a prediction and its mask together: the class axis, the pixel axes of both, and the spacing.

Everything is decided from the two headers, before anything large is read. `geometry.py` matches the pixel axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from .errors import FileError, shown
from .geometry import Axes, match_axes, spacing_of
from .padding import completed
from .stored import SPATIAL, Array, Stored, Window
from .views import View

LETTERS = "cxyzt"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class AxisOptions:
    """The axes of the files, as the user or a layout names them."""

    axis: int | None = None  # the class axis of predictions
    axes: str | None = None  # the names of a prediction's axes, such as "czyx"
    target_axes: str | None = None  # the names of a mask's axes
    ignore_geometry: bool = False
    usual: str | None = None  # the names in a layout, for predictions with as many axes and no other names


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A prediction and its mask in one order of axes, the prediction's.

    Attributes
    ----------
    prediction, target : View
        The files. A class axis comes first. The colours of a coloured mask come last.
    channels : bool
        Whether the prediction has a class axis.
    dense : bool
        Whether the mask has a class axis.
    coloured : tuple of bool
        Whether the prediction and the mask hold RGB colours.
    spacing : tuple of float or None
        The distance between neighbouring pixels, from the mask's header or the prediction's.
    note : str
        What was put right, or nothing.
    """

    prediction: View
    target: View
    channels: bool
    dense: bool
    coloured: tuple[bool, bool]
    spacing: tuple[float, ...] | None
    note: str


def fit(prediction: Stored, target: Stored, how: AxisOptions, *, label_maps: bool, classes: int | None) -> Fitted:
    """Decide what the axes of both files are.

    With `label_maps`, a prediction of integers is a label map. `classes` is the number of classes, if it is
    known.
    """
    prediction = _named(prediction, _axes_of(prediction, how), "axes")
    target = _colours_last(_named(target, how.target_axes, "target_axes"))
    prediction = _colours_last(prediction) if label_maps else _colours_as_classes(prediction)
    own, pixels = _uncoloured(prediction), _uncoloured(target)
    target_class = _axis_named(target, "c")
    class_axis = _class_axis(prediction, target, own, pixels, target_class, how, label_maps, classes)
    if how.axes is None and class_axis is not None and prediction.axes and prediction.axes[class_axis] in ("x", "y"):
        prediction = replace(prediction, axes=None, affine=None, spacing=None)  # an array that is no image of space
    coloured = len(own) < len(prediction.shape), len(pixels) < len(target.shape)
    if class_axis is not None and target_class is None and _sizes(target, pixels) == prediction.shape:
        target_class = class_axis  # a dense mask, whose axes are those of the prediction
    if class_axis is not None and target_class is not None and prediction.shape[class_axis] == 1:
        target_class = None  # one channel: its mask of 0 and 1 is a label map
    a, b = _squeezed(prediction, _without(own, class_axis), target, _without(pixels, target_class))
    if not how.ignore_geometry:
        target, prediction = completed(target, b, prediction, a), completed(prediction, a, target, b)
    match = match_axes(prediction, a, target, b, how.ignore_geometry)
    front = () if class_axis is None else (class_axis,)
    target_front = () if target_class is None else (target_class,)
    flipped = tuple(len(target_front) + k for k, flip in enumerate(match.flipped) if flip)
    return Fitted(
        prediction=View(stored=prediction, order=front + a + _colours(prediction, coloured[0])),
        target=View(stored=target, order=target_front + match.order + _colours(target, coloured[1]), flipped=flipped),
        channels=class_axis is not None,
        dense=target_class is not None,
        coloured=coloured,
        spacing=_spacing(prediction, a, target, match.order, how.ignore_geometry),
        note=match.note,
    )


def _colours_last(stored: Stored) -> Stored:
    """Return the file with the axis of RGB colours as the last."""
    at = _axis_named(stored, "rgb")
    if at is None or stored.axes is None or at == len(stored.shape) - 1:
        return stored

    def moved(values: tuple[T, ...]) -> tuple[T, ...]:
        return (*values[:at], *values[at + 1 :], values[at])

    def read(window: Window) -> Array:
        return np.moveaxis(stored.read((*window[:at], window[-1], *window[at:-1])), at, -1)

    return replace(
        stored,
        shape=moved(stored.shape),
        axes=moved(stored.axes),
        chunks=None if stored.chunks is None else moved(stored.chunks),
        read=read,
    )


def _colours_as_classes(stored: Stored) -> Stored:
    """Return the file with the channels of colours as classes, because a scale turns them into scores."""
    axes = None if stored.axes is None else tuple("c" if name == "rgb" else name for name in stored.axes)
    return replace(stored, axes=axes)


def _uncoloured(stored: Stored) -> Axes:
    """Return the axes without that of the RGB colours."""
    return tuple(k for k in range(len(stored.shape)) if stored.axes is None or stored.axes[k] != "rgb")


def _colours(stored: Stored, coloured: bool) -> Axes:
    return (len(stored.shape) - 1,) if coloured else ()


def _axes_of(prediction: Stored, how: AxisOptions) -> str | None:
    """Return the names that the user or the layout gives to the axes of a prediction."""
    if how.axes is not None or how.axis is not None or how.usual is None or "c" in (prediction.axes or ()):
        return how.axes
    return how.usual if len(how.usual) == len(prediction.shape) else None


def _named(stored: Stored, axes: str | None, option: str) -> Stored:
    """Return the file with the names that the user gives to its axes."""
    if axes is None:
        return stored
    if len(axes) != len(stored.shape):
        raise FileError(
            f"{shown(stored.path)}: expected {len(axes)} axes, as in `{option}={axes}`, got shape {stored.shape}"
        )
    renamed = tuple(axes)
    spatial = [name for name in stored.axes or () if name in SPATIAL]
    same = spatial == [name for name in renamed if name in SPATIAL]
    return replace(
        stored,
        axes=renamed,
        affine=stored.affine if same else None,
        spacing=stored.spacing if same else None,
    )


def check_axes(axes: str | None, option: str) -> None:
    """Check the names of axes that the user gives."""
    if axes is not None and (not axes or set(axes) - set(LETTERS) or len(set(axes)) != len(axes)):
        raise FileError(f"`{option}=`: expected different letters of {', '.join(LETTERS)}, such as czyx, got {axes!r}")


def _axis_named(stored: Stored, name: str) -> int | None:
    return stored.axes.index(name) if stored.axes is not None and name in stored.axes else None


def _without(axes: Axes, axis: int | None) -> Axes:
    return tuple(k for k in axes if k != axis)


def _sizes(stored: Stored, axes: Axes) -> tuple[int, ...]:
    return tuple(stored.shape[k] for k in axes)


def _class_axis(
    prediction: Stored,
    target: Stored,
    own: Axes,
    pixels: Axes,
    target_class: int | None,
    how: AxisOptions,
    label_maps: bool,
    classes: int | None,
) -> int | None:
    """Return the class axis of the prediction, or None if it has none."""
    shape = prediction.shape
    if len(own) < len(shape):  # a picture in colours: a label map
        return None
    if how.axis is not None:
        if not -len(shape) <= how.axis < len(shape):
            raise FileError(f"{shown(prediction.path)}: expected an array with axis {how.axis}, got shape {shape}")
        return how.axis % len(shape)
    named = _axis_named(prediction, "c")
    if named is not None:
        return named
    expected = _sizes(target, _without(pixels, target_class))
    if label_maps and prediction.dtype.kind in "bui" and _without_ones(shape) == _without_ones(expected):
        return None
    if how.axes is not None or (_spatial_only(prediction) and len(shape) == len(expected)):
        return None
    if shape == _sizes(target, pixels) and target_class is None:
        return _of_equal_shapes(prediction, target, classes)
    if shape[:1] == (1,) and len(shape) == len(expected) + 2:  # a batch of one image
        return 1
    others = [k for k in range(1, len(shape)) if _in_order(prediction, k, expected)]
    first = _in_order(prediction, 0, expected) or (not others and _fits(prediction, 0, expected))
    if first or target_class is not None:
        _check_first_axis(prediction, expected)
        return 0
    return _hinted(prediction, target, expected)


def _spatial_only(stored: Stored) -> bool:
    return stored.axes is not None and all(name in SPATIAL for name in stored.axes)


def _of_equal_shapes(prediction: Stored, target: Stored, classes: int | None) -> int | None:
    """Decide whether both files have one channel per class, or neither has a class axis."""
    shape = prediction.shape
    if prediction.axes is not None and prediction.axes[0] in SPATIAL:  # NIfTI names x first, y and z, and not the rest
        unnamed = [k for k, name in enumerate(prediction.axes) if name not in SPATIAL]
        if unnamed:
            raise FileError(_which_axis(prediction, unnamed[-1]))
    if len(shape) > 3 or (len(shape) > 1 and shape[0] in (1, classes)):
        return 0
    names = "xyz"[: len(shape)][::-1]
    raise FileError(
        f"{shown(prediction.path)}: expected a class axis besides the mask's axes, got shape {shape}, which is that of "
        f"{shown(target.path)}; if both hold one channel per class, give `axis=0`; if the prediction holds one channel "
        f"and no class axis, give `axes={names}`"
    )


def _in_order(prediction: Stored, axis: int, expected: tuple[int, ...]) -> bool:
    """Whether the shape without an axis is the mask's from the front or from the back."""
    rest = prediction.shape[:axis] + prediction.shape[axis + 1 :]
    return expected in (rest, rest[::-1])


def _fits(prediction: Stored, axis: int, expected: tuple[int, ...]) -> bool:
    """Whether the shape without the class axis is the mask's, in its order or in reverse, apart from ones."""
    shape = prediction.shape
    return _without_ones(shape[:axis] + shape[axis + 1 :]) == _without_ones(expected)


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    """Return the lengths other than 1, in any order of the axes."""
    return sorted(n for n in shape if n != 1)


def _check_first_axis(prediction: Stored, expected: tuple[int, ...]) -> None:
    """Refuse a class axis where the format has a pixel axis, if another axis fits as well."""
    axes = prediction.axes
    if axes is None or axes[0] not in SPATIAL:
        return
    others = [k for k in range(1, len(axes)) if prediction.shape[:k] + prediction.shape[k + 1 :] == expected]
    if others:
        raise FileError(_which_axis(prediction, others[-1]))


def _which_axis(prediction: Stored, other: int) -> str:
    return (
        f"{shown(prediction.path)}: which axis of {prediction.shape} holds the classes is not known; give `axis=0` or "
        f"`axis={other}`"
    )


def _hinted(prediction: Stored, target: Stored, expected: tuple[int, ...]) -> int | None:
    shape, name = prediction.shape, shown(prediction.path)
    if len(shape) == len(expected) and sorted(shape) == sorted(expected):
        names = "".join(str(n) for n in target.axes or ()) or "zyx"[-len(shape) :]
        raise FileError(
            f"{name}: expected a class axis besides the mask's axes, got shape {shape}; if it holds one channel and no "
            f"class axis, name its axes, such as `axes={names}`"
        )
    fits = [k for k in range(len(shape)) if shape[:k] + shape[k + 1 :] == expected]
    fits = fits or [k for k in range(len(shape)) if _fits(prediction, k, expected)]
    hint = f"; `axis={fits[-1]}` would fit, since a file holds one image" if fits else ""
    raise FileError(
        f"{name}: without class axis 0, expected shape {expected} (that of the mask {shown(target.path)}), got "
        f"{shape[1:]} (of {shape}){hint}"
    )


def _squeezed(prediction: Stored, a: Axes, target: Stored, b: Axes) -> tuple[Axes, Axes]:
    """Leave out axes of length 1 until both files have as many pixel axes."""
    return _shortened(prediction, a, len(b)), _shortened(target, b, len(a))


def _shortened(stored: Stored, axes: Axes, wanted: int) -> Axes:
    """Leave out axes of length 1, first those that are no pixel axes by name, then the last."""
    names = stored.axes or (None,) * len(stored.shape)
    ones = sorted((k for k in axes if stored.shape[k] == 1), key=lambda k: (names[k] in SPATIAL, -k))
    dropped = ones[: max(0, len(axes) - wanted)]
    return tuple(k for k in axes if k not in dropped)


def _spacing(prediction: Stored, a: Axes, target: Stored, b: Axes, ignore_geometry: bool) -> tuple[float, ...] | None:
    """Return the spacing of the mask, or else of the prediction. Different spacings are refused."""
    own, masks = spacing_of(prediction, a), spacing_of(target, b)
    if own is None or masks is None:
        return masks or own
    if not ignore_geometry and any(abs(m - n) > 1e-3 * max(m, n) for m, n in zip(own, masks, strict=True)):
        raise FileError(
            f"{shown(prediction.path)}: expected the spacing of {shown(target.path)}, {masks}, got {own}; resample one "
            "of them, or take the mask's spacing with `ignore_geometry=True`"
        )
    return masks
