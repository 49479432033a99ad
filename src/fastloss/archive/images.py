"""One image of the work list: its two open files, what they mean, and the windows in which it is read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from ..files.fitting import AxisOptions, Fitted, fit
from ..files.pairing import Pair
from ..files.registry import open_stored
from ..files.stored import Window
from .meaning import Arrays, Decoder, Meaning

WINDOW_BYTES = 16 * 2**20
"""The size of a window that is read at one time, unless a single block of the file is larger. With windows of 4 to 64
MiB, a tiled TIFF of 285 MB took the same time."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the files of all pairs are read."""

    axes: AxisOptions = field(default_factory=AxisOptions)
    key: str | None = None
    target_key: str | None = None
    meaning: Meaning = field(default_factory=Meaning)


@dataclass(frozen=True, kw_only=True)
class Image:
    """A pair of open files."""

    index: int
    pair: Pair
    decoder: Decoder
    windows: tuple[Window, ...]
    stack: ExitStack

    @property
    def fitted(self) -> Fitted:
        """The axes of both files."""
        return self.decoder.fitted

    def nbytes(self, window: Window) -> int:
        """The size of a window in memory."""
        pixels: int = math.prod(part.stop - part.start for part in window)
        return pixels * _pixel_bytes(self.decoder)

    def read(self, window: Window) -> Arrays:
        """Read a window."""
        return self.decoder.read(window)


def open_image(index: int, pair: Pair, how: Reading, *, whole: bool) -> Image:
    """Open both files of a pair and decide what they hold. `whole`: the image must be read in one window."""
    with ExitStack() as stack:
        prediction = open_stored(pair.prediction, how.key, stack)
        target = open_stored(pair.target, how.target_key, stack)
        meaning = how.meaning
        fitted = fit(
            prediction,
            target,
            how.axes,
            label_maps=meaning.takes_label_maps(),
            classes=meaning.outputs(),
        )
        decoder = Decoder(fitted, meaning)
        windows = _windows(decoder, whole)
        return Image(index=index, pair=pair, decoder=decoder, windows=windows, stack=stack.pop_all())


def _pixel_bytes(decoder: Decoder) -> int:
    size = 4 if decoder.holds_labels or decoder.meaning.scale is not None else decoder.prediction.dtype.itemsize
    return int(decoder.classes * size + decoder.target.dtype.itemsize)


def _windows(decoder: Decoder, whole: bool) -> tuple[Window, ...]:
    """Cut the pixels along the blocks of the prediction's file, or freely if the arrays are made from it anyway."""
    pixels = decoder.pixels
    grid = _grid(decoder)
    if whole or grid is None:
        return (tuple(slice(0, n) for n in pixels),)
    size = list(pixels)
    for axis, block in enumerate(grid):
        rest = math.prod(size) // max(1, size[axis]) * _pixel_bytes(decoder)
        blocks = max(1, WINDOW_BYTES // max(1, rest * block))
        size[axis] = min(size[axis], blocks * block)
        if size[axis] > block:
            break
    cuts = [_cuts(n, step) for n, step in zip(pixels, size, strict=True)]
    return tuple(itertools.product(*cuts))


def _cuts(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, max(length, 1), max(step, 1)))


def _grid(decoder: Decoder) -> tuple[int, ...] | None:
    """Return the blocks in which reading costs no more than reading the whole, or None."""
    view = decoder.fitted.prediction
    if view.chunks is not None:
        start = int(decoder.fitted.channels)
        return view.chunks[start : start + len(decoder.pixels)]
    made = decoder.holds_labels or (view.stored.mapped and decoder.meaning.scale is not None)
    return (1,) * len(decoder.pixels) if made else None
