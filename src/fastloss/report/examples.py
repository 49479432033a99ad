"""Examples: pictures of an image of a report. `archive/` reads them, and `pictures.py` draws them for a page."""

from __future__ import annotations

from dataclasses import dataclass

from .._arrays import Array

NO_CLASS, NOT_COUNTED = -1, -2
"""The labels of pixels without a class, and of pixels that do not count."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """An image of two axes, or a slice of one of three axes. All arrays have the shape (rows, columns).

    Attributes
    ----------
    title : str
        The name and the position of the slice, such as "z = 12". Empty: the image has two axes.
    axes : tuple of two str
        The names of the axes of the rows and of the columns.
    step : int
        The number of pixels of the image, along each axis, per pixel of the arrays.
    aspect : float
        The height of a pixel divided by its width.
    flipped : bool
        Whether the rows run against the image.
    picture : array of uint8, shape (rows, columns) or (rows, columns, 3), or None
        The picture, if there is one.
    target, prediction : array of int16
        The class of each pixel, `NO_CLASS` or `NOT_COUNTED`. In a larger image, that of the pixel in the middle of each
        block of step x step pixels.
    loss : array of float32
        The loss of each pixel: nan if it does not count, and inf if the loss is not a finite number. In a larger image,
        the largest value of each block.
    """

    title: str
    axes: tuple[str, str]
    step: int
    aspect: float
    flipped: bool
    picture: Array | None
    target: Array
    prediction: Array
    loss: Array


@dataclass(frozen=True, kw_only=True)
class Example:
    """The pictures of an image.

    Attributes
    ----------
    index : int
        The position of the image in `images`.
    loss : str
        The loss of each pixel that the map shows, in words.
    planes : tuple of Plane
        The image itself, or three slices of it. Empty: `note` states the reason.
    note : str
        The reason why something is missing, or nothing.
    """

    index: int
    loss: str
    planes: tuple[Plane, ...]
    note: str = ""
