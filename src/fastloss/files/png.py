"""Reads PNG files: masks with a palette or one grey channel, or with colours that a label map turns into classes."""

from __future__ import annotations

from io import BufferedReader
from typing import Any

import numpy as np

from .stored import Array, Reader, Source, Stored, whole_file

MODES = {"1": np.uint8, "L": np.uint8, "P": np.uint8, "I": np.int32, "I;16": np.uint16, "I;16B": np.uint16}
COLOURS = {"RGB": 3}


def _open(source: Source) -> Stored:
    image = _picture(source.file)
    mode, shape = image.mode, (image.height, image.width)
    if mode in COLOURS:
        return _coloured(source, shape)
    if mode not in MODES:
        raise ValueError(f"expected labels, got a picture of mode {mode}; save it with a palette or one grey channel")
    spread = _grey_spread(source.file, mode)

    def load() -> Array:
        with _picture(source.file) as image:
            values: Array = np.asarray(image.convert("L") if mode == "1" else image)
        return values // np.uint8(spread) if spread > 1 else values

    return Stored(
        path=source.path,
        shape=shape,
        dtype=np.dtype(MODES[mode]),
        packed=source.size,
        read=whole_file(load),
        axes=("y", "x"),
    )


def _coloured(source: Source, shape: tuple[int, int]) -> Stored:
    def load() -> Array:
        with _picture(source.file) as image:
            return np.asarray(image)

    return Stored(
        path=source.path,
        shape=(*shape, 3),
        dtype=np.dtype(np.uint8),
        packed=source.size,
        read=whole_file(load),
        axes=("y", "x", "rgb"),
    )


def _picture(handle: BufferedReader) -> Any:
    """Open a PNG of any size: `Image.open` would refuse large ones. The caller checks the shape before it unpacks."""
    from PIL.PngImagePlugin import PngImageFile

    handle.seek(0)
    try:
        return PngImageFile(handle)
    except SyntaxError:
        raise ValueError("expected a PNG file, got another format") from None  # Pillow's message shows a Python object


def _grey_spread(handle: BufferedReader, mode: str) -> int:
    """Return the factor by which Pillow spreads grey values of 1, 2 or 4 bits over 0..255, changing the labels."""
    handle.seek(0)
    depth, colour = handle.read(26)[24:26]  # IHDR, always the first chunk
    return {1: 255, 2: 85, 4: 17}.get(depth, 1) if mode in ("1", "L") and colour == 0 else 1


READERS = (Reader(suffixes=(".png",), open=_open, extra="images", modules=("PIL",)),)
