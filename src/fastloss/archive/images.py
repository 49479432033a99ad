"""One image of the work list: its two open files, what they mean, and the windows in which it is read."""

from __future__ import annotations

import itertools
import math
from contextlib import ExitStack
from dataclasses import dataclass, field

from .._windows import cuts_along_chunks
from ..files.fitting import AxisOptions, Fitted, fit
from ..files.pairing import Pair
from ..files.registry import open_stored
from ..files.stored import Window
from .meaning import Arrays, Decoder, Meaning


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


def open_image(pair: Pair, how: Reading, *, whole: bool) -> Image:
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
        return Image(pair=pair, decoder=decoder, windows=windows, stack=stack.pop_all())


def _pixel_bytes(decoder: Decoder) -> int:
    if decoder.stays_label_map:
        return int(decoder.prediction.dtype.itemsize + decoder.target.dtype.itemsize)
    size = 4 if decoder.holds_labels or decoder.meaning.scale is not None else decoder.prediction.dtype.itemsize
    return int(decoder.classes * size + decoder.target.dtype.itemsize)


def _windows(decoder: Decoder, whole: bool) -> tuple[Window, ...]:
    """Cut the pixels along the blocks of the prediction's file, or freely if the arrays are made from it anyway."""
    pixels = decoder.pixels
    grid = _grid(decoder)
    if whole or grid is None:
        return (tuple(slice(0, n) for n in pixels),)
    return tuple(itertools.product(*cuts_along_chunks(pixels, grid, _pixel_bytes(decoder))))


def _grid(decoder: Decoder) -> tuple[int, ...] | None:
    """Return the blocks in which reading costs no more than reading the whole, or None."""
    view = decoder.fitted.prediction
    if view.chunks is not None:
        start = int(decoder.fitted.channels)
        return view.chunks[start : start + len(decoder.pixels)]
    made = decoder.holds_labels or (view.stored.mapped and decoder.meaning.scale is not None)
    return (1,) * len(decoder.pixels) if made else None
