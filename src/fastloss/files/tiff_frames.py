"""Checks the sizes in the headers of JPEG, JPEG 2000, PNG and WebP pictures, which TIFF can contain as strips or tiles.

Their decoders allocate what the picture's own header claims, whatever the TIFF promises. `tiff_segments.py` calls
`check` before it decodes one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

MOST_COMPONENTS = 4
"""JPEG 2000 may claim 16384 components per pixel."""


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2  # after the start of the image
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of a frame
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        at += 2
        if not (marker == 0x01 or 0xD0 <= marker <= 0xD8):  # these have no length
            at += int(struct.unpack_from(">H", data, at)[0])
    raise ValueError("no start of a frame")


def _jpeg2000(data: bytes) -> tuple[int, int]:
    at = 0
    if data[:4] != b"\xff\x4f\xff\x51":  # not a bare codestream, but one in a box of a JP2 file
        while data[at + 4 : at + 8] != b"jp2c":
            at += max(int(struct.unpack_from(">I", data, at)[0]), 8)
        at += 8
    if data[at : at + 4] != b"\xff\x4f\xff\x51" or struct.unpack_from(">H", data, at + 40)[0] > MOST_COMPONENTS:
        raise ValueError("no codestream")
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    return bottom - top, right - left


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)  # IHDR, always the first chunk
    return height, width


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    else:
        width, height = (n & 0x3FFF for n in struct.unpack_from("<HH", data, 26))
    return height, width


SIZES: dict[int, Callable[[bytes], tuple[int, int]]] = {
    **dict.fromkeys((7, 33007, 34892), _jpeg),
    **dict.fromkeys((33003, 33004, 33005, 34712), _jpeg2000),
    34933: _png,
    50001: _webp,
}


def check(compression: int, data: bytes, segment: tuple[int, ...]) -> None:
    """Refuse a picture that is larger than the strip or tile that it fills."""
    try:
        height, width = SIZES[compression](data)
    except (ValueError, IndexError, struct.error):
        raise ValueError("expected a picture in each strip or tile, got one without a size in its header") from None
    if not (0 < height <= segment[2] and 0 < width <= segment[3]):
        raise ValueError(
            f"expected a strip or tile of at most {segment[2]} x {segment[3]} pixels, got a picture of "
            f"{height} x {width}"
        )
