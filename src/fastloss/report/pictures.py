"""Draws examples as the images of a page: class maps, loss maps with a scale of colours, and pictures, as data URIs."""

from __future__ import annotations

import base64
import colorsys
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._arrays import Array
from .examples import NO_CLASS, NOT_COUNTED, Example, Plane

ANCHORS = ("000004", "1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4")
"""Ten colours of matplotlib's scale "inferno", whose lightness rises evenly. Colours between them are interpolated."""

LEVELS = 254
"""The colours of a loss map. Two more colours of its palette show pixels without a number."""

INFINITE, UNCOUNTED = (0, 229, 255), (128, 128, 128)

CLASSES = (
    *("2b2f36", "e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7", "a6cee3", "b2df8a"),
    *("fb9a99", "6a3d9a", "b15928", "fdbf6f", "1f9e89", "c51b8a", "8dd3c7", "bebada", "fccde5", "ccebc5"),
)
"""The colours of the first classes: Okabe and Ito's after a dark one for the class 0, which is often the background."""

MOST_COLOURS = 250
"""Classes beyond these have the colours of the first ones again."""

NOTHING = (16, 17, 20)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The images of a plane, as data URIs.

    Attributes
    ----------
    plane : Plane
        The plane.
    width, height : int
        The size of each image in pixels.
    picture : str or None
        The picture, if there is one.
    target, prediction, loss : str
        The class maps and the loss map.
    """

    plane: Plane
    width: int
    height: int
    picture: str | None
    target: str
    prediction: str
    loss: str

    @property
    def nbytes(self) -> int:
        """The size of the images in a page."""
        return sum(len(uri) for uri in (self.picture or "", self.target, self.prediction, self.loss))


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The range of the losses that the colours of an example show.

    Attributes
    ----------
    low, high : float
        The losses of the first and of the last colour.
    infinite : bool
        Whether some losses are not finite numbers.
    uncounted : bool
        Whether some pixels do not count.
    """

    low: float
    high: float
    infinite: bool
    uncounted: bool

    def levels(self, loss: Array) -> Array:
        """Return the number of the colour of each loss, which is at most half a step of the scale away."""
        span = self.high - self.low
        with np.errstate(invalid="ignore"):
            levels = np.rint((loss.astype(float) - self.low) / (span if span > 0 else 1.0) * (LEVELS - 1))
        found = np.nan_to_num(levels, nan=LEVELS + 1, posinf=LEVELS).astype(np.uint8)
        return np.where(np.isposinf(loss), LEVELS, found).astype(np.uint8)


def scale_of(example: Example) -> Scale:
    """Return the range of the losses of an example, from 0 or less."""
    losses = np.concatenate([plane.loss.ravel() for plane in example.planes])
    finite = losses[np.isfinite(losses)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return Scale(
        low=min(low, 0.0),
        high=max(high, 0.0),
        infinite=bool(np.isposinf(losses).any()),
        uncounted=bool(np.isnan(losses).any()),
    )


def scale_colours() -> list[tuple[int, int, int]]:
    """Return the colours of a loss map, from the smallest to the largest loss."""
    anchors = np.array([_rgb(text) for text in ANCHORS], float)
    places = np.linspace(0, len(anchors) - 1, LEVELS)
    table = [np.interp(places, range(len(anchors)), anchors[:, k]) for k in range(3)]
    return [(int(r), int(g), int(b)) for r, g, b in np.rint(np.array(table).T)]


def class_colours(count: int) -> list[tuple[int, int, int]]:
    """Return the colour of each class. Up to MOST_COLOURS are distinct. Later hues are the golden angle apart."""
    found = [_rgb(text) for text in CLASSES]
    taken = {*found, NOTHING, UNCOUNTED}
    for k in range(len(found), min(count, MOST_COLOURS)):
        parts = colorsys.hls_to_rgb(k * (math.sqrt(5) - 1) / 2 % 1, (0.42, 0.58, 0.72)[k % 3], 0.65)
        red, green, blue = (round(part * 255) for part in parts)
        while (red, green, blue) in taken:
            blue = (blue + 1) % 256
        taken.add((red, green, blue))
        found.append((red, green, blue))
    return [found[k % MOST_COLOURS] for k in range(count)]


def drawn(example: Example, scale: Scale, classes: int) -> list[Drawn]:
    """Draw the planes of an example.

    Parameters
    ----------
    example : Example
        The example.
    scale : Scale
        The range of its losses.
    classes : int
        The number of classes.

    Returns
    -------
    list of Drawn
        The images of each plane.
    """
    heat = [*scale_colours(), INFINITE, UNCOUNTED]
    colours = class_colours(min(max(classes, 1), MOST_COLOURS))
    colours += [NOTHING] * (MOST_COLOURS - len(colours)) + [NOTHING, UNCOUNTED]
    found = []
    for plane in example.planes:
        height, width = plane.loss.shape
        found.append(
            Drawn(
                plane=plane,
                width=width,
                height=height,
                picture=None if plane.picture is None else _jpeg(plane.picture),
                target=_png(_class_levels(plane.target), colours),
                prediction=_png(_class_levels(plane.prediction), colours),
                loss=_png(scale.levels(plane.loss), heat),
            )
        )
    return found


def _class_levels(labels: Array) -> Array:
    levels = labels % MOST_COLOURS
    levels = np.where(labels == NO_CLASS, MOST_COLOURS, levels)
    return np.where(labels == NOT_COUNTED, MOST_COLOURS + 1, levels).astype(np.uint8)


def _rgb(text: str) -> tuple[int, int, int]:
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)


def _png(levels: Array, colours: Sequence[tuple[int, int, int]]) -> str:
    from PIL import Image

    image = Image.fromarray(levels)
    image.putpalette([part for colour in colours for part in colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _jpeg(picture: Array) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
