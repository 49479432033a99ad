"""Examples: reads the worst images of a report again, and keeps small pictures of them for a page.

`evaluate_files` calls this module after the evaluation. It reads images window by window, as the evaluation does.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._batch import ignored_labels
from .._engine.loss import Loss
from .._engine.measure import Measure
from .._engine.passes import Passes
from .._engine.region import RegionLoss
from .._windows import WINDOW_BYTES, Window, finer_cuts
from ..files.errors import FileError
from ..files.geometry import frame_of
from ..files.label_maps import IGNORED
from ..files.pairing import Pair
from ..files.views import View
from ..numerics import sigmoid, softmax
from ..report.examples import NO_CLASS, NOT_COUNTED, Example, Plane
from ..report.files_report import FilesReport
from .blocks import Blocks
from .images import Image, Reading, open_image
from .look import expects
from .pictures import open_picture, read_picture

Array = np.ndarray[Any, np.dtype[Any]]

MOST_PIXELS = 1_200_000
"""The most pixels of all pictures of one kind. In a page, a pixel takes about 3 bytes at most, with all kinds."""

SIDES = 96, 512
"""The shortest and the longest side of a picture that is made smaller."""


def with_examples(report: FilesReport, how: Reading, count: int, pictures: Mapping[str, Path]) -> FilesReport:
    """Return the report with pictures of its worst images.

    Parameters
    ----------
    report : FilesReport
        The report.
    how : Reading
        How its files were read.
    count : int
        The number of images.
    pictures : mapping of str to Path
        The pictures of images, by name.

    Returns
    -------
    FilesReport
        The report with examples.
    """
    worst = report.worst(count)
    # Pictures are made of scores, also if the metrics took label maps as they are.
    how = dataclasses.replace(how, meaning=dataclasses.replace(how.meaning, one_hot=True))
    reader = _Reader(report.losses, how, len(worst), pictures)
    return report._with_examples([reader.example(index, report.pairs[index]) for index in worst])


@dataclass(frozen=True)
class _Pixels:
    """The loss and the classes of the pixels of a window."""

    loss: Array
    target: Array
    prediction: Array


class _Reader:
    """Reads images for their pictures."""

    def __init__(self, losses: Mapping[str, Measure], how: Reading, count: int, pictures: Mapping[str, Path]) -> None:
        self.how, self.count, self.pictures = how, count, pictures
        leaves = [leaf for loss in losses.values() for _, leaf in loss.summands()]
        known = (expects(leaf) for leaf in leaves)
        self.logits = next((kind for kind in known if kind), "probabilities") == "logits"
        stated = (getattr(leaf, "activation", None) for leaf in leaves)
        self.activation = next((activation for activation in stated if activation), None)
        of_losses = [leaf for leaf in leaves if isinstance(leaf, Loss)]
        self.loss = next((leaf for leaf in of_losses if _has_map(leaf)), None)
        self.hard = not of_losses  # metrics do not tell whether scores are logits
        unmapped = "pixels of another class" if self.hard else "absolute error of the probabilities"
        self.words = unmapped if self.loss is None else repr(self.loss)
        own = how.meaning.ignored if how.meaning.labels is None else ()
        stated = (leaf.ignore_index for leaf in leaves)
        self.ignored = ignored_labels(next((one for one in stated if one is not None), own or IGNORED))

    def example(self, index: int, pair: Pair) -> Example:
        """Read the pictures of an image. If that fails, the example has the reason, and the report is not lost."""
        try:
            image = open_image(pair, self.how, whole=False)
            with image.stack:
                return self._example(index, image)
        except (ValueError, OSError) as error:
            return Example(index=index, loss=self.words, planes=(), note=str(error))

    def _example(self, index: int, image: Image) -> Example:
        shape = image.decoder.pixels
        if len(shape) not in (2, 3) or 0 in shape:
            note = f"pictures show images of two or three axes, and this one has the shape {shape}"
            return Example(index=index, loss=self.words, planes=(), note=note)
        picture, note = self._picture(image)
        cuts: list[tuple[int, int] | None] = [None]
        if len(shape) == 3:
            flat = [axis for axis, n in enumerate(shape) if n == 1][:1]
            largest = self._largest(image)
            cuts = [(axis, largest[axis]) for axis in flat or range(3)]
        side = min(max(math.isqrt(MOST_PIXELS // (self.count * len(cuts))), SIDES[0]), SIDES[1])
        try:
            planes = tuple(self._plane(image, cut, picture, side) for cut in cuts)
        except FileError as error:
            if picture is None:
                raise
            note = str(error)
            planes = tuple(self._plane(image, cut, None, side) for cut in cuts)
        return Example(index=index, loss=self.words, planes=planes, note=note)

    def _picture(self, image: Image) -> tuple[View | None, str]:
        path = self.pictures.get(image.pair.name)
        if path is None:
            return None, "no picture has the name of this image" if self.pictures else ""
        try:
            return open_picture(path, image.fitted, self.how.axes.ignore_geometry, image.stack), ""
        except FileError as error:
            return None, str(error)

    def _largest(self, image: Image) -> list[int]:
        """Return, for each axis, the slice whose pixels have the largest sum of losses."""
        sums = [np.zeros(n) for n in image.decoder.pixels]
        for window in _windows(image):
            loss = np.nan_to_num(self._pixels(image, window).loss.astype(float), nan=0.0, posinf=np.inf)
            for axis, part in enumerate(window):
                sums[axis][part] += loss.sum(axis=tuple(k for k in range(3) if k != axis))
        return [int(np.argmax(own)) for own in sums]

    def _pixels(self, image: Image, window: Window) -> _Pixels:
        """Return the loss and the classes of the pixels of a window. A loss that is not a number is inf."""
        arrays = image.read(window)
        exclusive = arrays.target.ndim < arrays.input.ndim
        target, values = arrays.target[0], arrays.input[0]
        counted = np.ones(values.shape[1:], bool)
        if arrays.weight is not None:
            some = arrays.weight[0] > 0
            counted &= some.any(axis=0) if some.ndim > counted.ndim else some
        if exclusive:
            counted &= ~np.isin(target, self.ignored)
        certain = image.decoder.holds_labels or image.decoder.prediction.probabilities
        single = exclusive and len(values) == 1
        on = values > (0.0 if self.logits and not certain else 0.5)
        own = np.argmax(values, axis=0) if exclusive and not single else _last(on)
        mask = _last(target[None] == 1) if single else target if exclusive else _last(target > 0.5)
        loss = own != mask if self.hard else self._loss(arrays.input, arrays.target, arrays.weight, certain)
        loss = np.where(np.isfinite(loss), loss, np.inf)
        return _Pixels(
            loss=np.where(counted, loss, np.nan).astype(np.float32),
            target=np.where(counted, mask, NOT_COUNTED).astype(np.int16),
            prediction=own.astype(np.int16),
        )

    def _loss(self, input: Array, target: Array, weight: Array | None, certain: bool) -> Array:
        """Return the loss of each pixel, the mean over the classes if it has one value per class.

        certain: whether the input is known to hold probabilities.
        """
        if self.loss is not None:
            dense = target.ndim == input.ndim
            batch = Passes({"map": self.loss}, None if dense else self.ignored).batch(input, target, weight)
            each: Loss = dataclasses.replace(self.loss, reduction="none")  # type: ignore[type-var]
            values: Array = each.value_map(batch).reshape(-1, *input.shape[2:])
            mean: Array = values[0] if len(values) == 1 else values.mean(axis=0)
            return mean
        p = input[0] if certain else self._probabilities(input[0])
        if target.ndim == input.ndim:
            error: Array = np.abs(p - target[0]).mean(axis=0)
        elif len(p) == 1:
            error = np.abs(p[0] - target[0])
        else:
            label = np.clip(target[0], 0, len(p) - 1).astype(np.intp)  # of pixels that do not count, it may be any
            error = 1 - np.take_along_axis(p, label[None], axis=0)[0]
        return error

    def _probabilities(self, values: Array) -> Array:
        values = values.astype(np.float64 if values.dtype == np.float64 else np.float32)
        if self.activation == "softmax":
            return np.asarray(softmax(values, axis=0))
        return np.asarray(sigmoid(values)) if self.activation == "sigmoid" else values

    def _plane(self, image: Image, cut: tuple[int, int] | None, picture: View | None, side: int) -> Plane:
        """Read an image of two axes, or a slice of one of three."""
        shape = image.decoder.pixels
        axes = [axis for axis in range(len(shape)) if cut is None or axis != cut[0]]
        sizes = [shape[axis] for axis in axes]
        step = max(1, math.ceil(max(sizes) / side))
        blocks = Blocks(sizes, step)
        loss = np.full(blocks.shape, np.nan, np.float32)
        target, prediction = np.zeros(blocks.shape, np.int16), np.zeros(blocks.shape, np.int16)
        colours, count = None, np.zeros(blocks.shape)
        for window in _windows_of(image, cut):
            pixels, flat = self._pixels(image, window), tuple(window[axis] for axis in axes)
            lengths = [part.stop - part.start for part in flat]
            blocks.combine(loss, pixels.loss.reshape(lengths), flat, np.fmax)
            blocks.take(target, pixels.target.reshape(lengths), flat)
            blocks.take(prediction, pixels.prediction.reshape(lengths), flat)
            if picture is not None:
                values = read_picture(picture, window).astype(np.float64)
                values = values.reshape(*lengths, *values.shape[len(shape) :])
                if colours is None:
                    colours = np.zeros((*blocks.shape, *values.shape[2:]))
                blocks.combine(colours, values, flat, np.add)
                blocks.combine(count, np.ones(lengths), flat, np.add)
        names, turned, flipped = _orientation(image, axes)
        view = (slice(None, None, -1 if flipped else 1),)

        def seen(array: Array) -> Array:
            return np.ascontiguousarray((array.swapaxes(0, 1) if turned else array)[view])

        steps = image.fitted.spacing
        spacing = (1.0, 1.0) if steps is None else (steps[axes[0]], steps[axes[1]])
        return Plane(
            title="" if cut is None else f"{_axis_name(image, cut[0])} = {cut[1]}",
            axes=names[::-1] if turned else names,
            step=step,
            aspect=spacing[1] / spacing[0] if turned else spacing[0] / spacing[1],
            flipped=flipped,
            picture=None if colours is None else _bytes(seen(colours), seen(count), picture),
            target=seen(target),
            prediction=seen(prediction),
            loss=seen(loss),
        )


def _has_map(loss: Loss) -> bool:
    """Whether a loss has a value per pixel that needs no other pixels."""
    return "none" in loss.reductions and not loss.makes_weights and not isinstance(loss, RegionLoss)


def _last(on: Array) -> Array:
    """Return the last class that is on. Of nested regions, it is the innermost."""
    last = len(on) - 1 - np.argmax(on[::-1], axis=0)
    return np.where(on.any(axis=0), last, NO_CLASS)


def _windows(image: Image) -> Iterator[Window]:
    """Yield the windows of an image. One that is read in a single window is cut, since the maps take more memory."""
    if image.fitted.prediction.chunks is not None:
        yield from image.windows
        return
    pixel_bytes = 4 * image.decoder.classes + 32
    for window in image.windows:
        yield from itertools.product(*finer_cuts([[part] for part in window], pixel_bytes, WINDOW_BYTES))


def _windows_of(image: Image, cut: tuple[int, int] | None) -> Iterator[Window]:
    """Yield the windows of a slice, or all windows."""
    for window in _windows(image):
        if cut is None:
            yield window
        elif window[cut[0]].start <= cut[1] < window[cut[0]].stop:
            yield (*window[: cut[0]], slice(cut[1], cut[1] + 1), *window[cut[0] + 1 :])


def _axis_name(image: Image, axis: int) -> str:
    """Return the name of an axis in the header of the prediction, or else of the mask."""
    fitted = image.fitted
    for view, first in ((fitted.prediction, fitted.channels), (fitted.target, fitted.dense)):
        if view.stored.axes is not None and (name := view.stored.axes[view.order[axis + int(first)]]):
            return name
    return f"axis {axis}"


def _orientation(image: Image, axes: list[int]) -> tuple[tuple[str, str], bool, bool]:
    """Return the names of the axes, whether to exchange them, and whether to flip the rows.

    x runs to the right, and z upwards. In the space of a patient, the front and the head are at the top.
    """
    names = _axis_name(image, axes[0]), _axis_name(image, axes[1])
    turned = set(names) <= {"x", "y", "z"} and names[0] < names[1]
    view, channels = image.fitted.prediction, int(image.fitted.channels)
    frame = frame_of(view.stored, view.order[channels : channels + len(image.decoder.pixels)])
    if frame is None or view.stored.space is not None or len(image.decoder.pixels) != 3:
        return names, turned, False
    column = frame[:, axes[1] if turned else axes[0]]
    return names, turned, bool(column[np.argmax(np.abs(column))] > 0)


def _bytes(sums: Array, count: Array, picture: View | None) -> Array:
    """Return the means of the blocks as bytes. Other values than bytes are stretched: 1 % at each end are cut off."""
    means = sums / count.reshape(*count.shape, *[1] * (sums.ndim - 2))
    finite = means[np.isfinite(means)]
    low, high = (0.0, 255.0)
    if picture is None or picture.stored.dtype != np.uint8:
        low, high = np.percentile(finite, (1, 99)).tolist() if finite.size else (0.0, 1.0)
    scaled = np.nan_to_num((means - low) / max(high - low, 1e-30) * 255)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
