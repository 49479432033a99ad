"""Reads windows of a TIFF: decodes the strips and tiles that a window touches, and no others.

`tiff.py` calls it, with the series that tifffile found. tifffile decodes each segment (a strip or a tile); this module
knows where the segments are, and refuses a segment before it is decoded if its promised size is not plausible.

The series is an array of shape (page, ..., sample, depth, length, width, channel), without its axes of length 1.
tifffile calls the last five axes `shaped`. Planar samples are at the front, and samples of one pixel at the end.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BufferedReader
from typing import Any, Literal

import numpy as np

from . import stored, tiff_frames
from .stored import Array, Window

JPEG = {7, 33007, 34892}
BOUNDED = {
    *(2, 3, 4),  # CCITT
    5,  # LZW
    *(8, 32946, 50013),  # deflate
    32773,  # PackBits
    34925,  # LZMA
    *(50000, 34926),  # zstd
}
"""The codecs that get the size of their output from the caller and write no more."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Where the segments of a page are in the file."""

    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    tables: bytes | None  # of JPEG


@dataclass(frozen=True, kw_only=True)
class Segments:
    """The segments of a series of equal pages, and the windows that are read from them."""

    handle: BufferedReader
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    byteorder: Literal["<", ">"]
    pages: tuple[Page, ...]
    shaped: tuple[int, ...]  # sample, depth, length, width, channel
    segment: tuple[int, ...]  # the shape of a segment along these axes
    places: tuple[int | None, ...]  # of each axis of `shape`, the axis of `shaped`; None: an axis over pages
    compression: int
    final: bool  # whether each page is one uncompressed block
    header: bytes | None  # of JPEG
    decode: Callable[..., Any]
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def chunks(self) -> tuple[int, ...]:
        """The shape of a segment in the axes of the array."""
        return tuple(
            1 if at is None else min(n, self.segment[at]) for n, at in zip(self.shape, self.places, strict=True)
        )

    @property
    def start(self) -> int | None:
        """The offset of the data if the whole array is one uncompressed block."""
        if not self.final:
            return None
        size = math.prod(self.shaped) * self.dtype.itemsize
        first = self.pages[0].offsets[0]
        return first if all(page.offsets[0] == first + k * size for k, page in enumerate(self.pages)) else None

    def read(self, window: Window) -> Array:
        """Return the values of a window. Several threads may call it at once."""
        out = np.empty([s.stop - s.start for s in window], self.dtype)
        if out.size == 0:
            return out
        over = [k for k, at in enumerate(self.places) if at is None]
        box = [slice(0, 1)] * 5
        for k, at in enumerate(self.places):
            if at is not None:
                box[at] = window[k]
        counts = [self.shape[k] for k in over]
        block = out.reshape([out.shape[k] for k in over] + [s.stop - s.start for s in box])
        for index in np.ndindex(block.shape[: len(over)]):
            page = sum(
                (window[k].start + i) * math.prod(counts[n + 1 :])
                for n, (k, i) in enumerate(zip(over, index, strict=True))
            )
            if self.final:
                block[index] = self._mapped(self.pages[page])[tuple(box)]
            else:
                self._fill(self.pages[page], box, block[index])
        return out

    def _mapped(self, page: Page) -> Array:
        stored_type = self.dtype.newbyteorder(self.byteorder)
        with self.lock:  # memmap moves the position in the file
            return np.memmap(self.handle, stored_type, "r", page.offsets[0], self.shaped)

    def _fill(self, page: Page, box: list[slice], out: Array) -> None:
        for number, origin in self._touched(box):
            values = self._decoded(page, number)
            parts = [
                (max(wanted.start, at), min(wanted.stop, at + n))
                for wanted, at, n in zip(box, origin, (1, *values.shape), strict=True)
            ]
            here = tuple(
                slice(lo - wanted.start, hi - wanted.start) for (lo, hi), wanted in zip(parts, box, strict=True)
            )
            there = tuple(slice(lo - at, hi - at) for (lo, hi), at in zip(parts, origin, strict=True))
            out[here] = values[None][there]

    def _touched(self, box: list[slice]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield the number of each segment that the box touches, and the indices of its first value."""
        grid = [-(-n // of) for n, of in zip(self.shaped, self.segment, strict=True)]
        ranges = [range(s.start // of, -(-s.stop // of)) for s, of in zip(box, self.segment, strict=True)]
        for index in np.ndindex(*[len(r) for r in ranges]):
            cell = [r[i] for r, i in zip(ranges, index, strict=True)]
            yield int(np.ravel_multi_index(cell, grid)), tuple(k * n for k, n in zip(cell, self.segment, strict=True))

    def _decoded(self, page: Page, number: int) -> Array:
        promised = math.prod(self.segment) * self.dtype.itemsize
        at, count = page.offsets[number], page.counts[number]
        if promised > stored.BOMB_BYTES and promised > stored.BOMB_RATIO * count:
            raise ValueError(
                f"expected strips or tiles that unpack to at most {stored.BOMB_BYTES} bytes, got an archive bomb "
                f"of {count} bytes that unpack to {promised}"
            )
        if self.compression == 1:
            count = min(count, promised)
        data = self._bytes(at, count)
        options = {}
        if self.compression in JPEG:
            options = {"jpegtables": page.tables, "jpegheader": self.header}
        if self.compression not in BOUNDED and self.compression != 1:
            tiff_frames.check(self.compression, (self.header or b"") + data, self.segment)
        values: Array | None = self.decode(data, number, **options)[0]
        if values is None or values.ndim != 4 or values.dtype != self.dtype:
            got = "nothing" if values is None else f"{values.dtype} of shape {values.shape}"
            raise ValueError(f"expected a strip or tile of {self.dtype}, got {got}")
        return values

    def _bytes(self, at: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            data = os.pread(self.handle.fileno(), count, at)
        else:  # Windows
            with self.lock:
                self.handle.seek(at)
                data = self.handle.read(count)
        if len(data) != count:
            raise ValueError(f"truncated: expected {count} bytes of a strip or tile, got {len(data)}")
        return data


def find_segments(series: Any, handle: BufferedReader, size: int, byteorder: Literal["<", ">"]) -> Segments:
    """Return the segments of a series. They are checked: each of them is inside the file."""
    key = series.keyframe
    compression = int(key.compression)
    _check_codec(compression, int(key.predictor), int(key.fillorder))
    if 0 in key.shaped:
        raise ValueError(f"expected an image, got one of shape {series.shape}")
    if key.is_tiled:
        extent = (key.tiledepth, key.tilelength, key.tilewidth)
    else:
        extent = (1, key.rowsperstrip, key.imagewidth)
    segment = (1, *extent, key.shaped[4])
    if min(segment) < 1:
        raise ValueError(f"expected strips or tiles of at least one pixel, got {extent}")
    if not key.is_tiled:
        segment = (1, 1, min(key.rowsperstrip, key.shaped[2]), key.shaped[3], key.shaped[4])
    number = math.prod(-(-n // of) for n, of in zip(key.shaped, segment, strict=True))
    if key.is_final:  # one block, of which the first offset is enough
        number = 1
        if len(series) * math.prod(key.shaped) * key.dtype.itemsize > size:  # tifffile would make up a page for each
            raise ValueError(f"truncated: expected {len(series)} pages of data, got a file of {size} bytes")
    pages = []
    for page in series:
        if page is None or page.keyframe.hash != key.hash:
            raise ValueError("expected pages of one size and type, got different ones")
        pages.append(_page(page, number, size, compression))
    places = _places(series.shape, key.shaped)
    expected = math.prod(n for n, at in zip(series.shape, places, strict=True) if at is None)
    final = bool(key.is_final) and all(_is_block(page) for page in pages)
    if len(pages) != expected:
        raise ValueError(f"truncated: expected {expected} pages, got {len(pages)}")
    if final and any(p.offsets[0] + math.prod(key.shaped) * key.dtype.itemsize > size for p in pages):
        raise ValueError("truncated: expected every page inside the file, got one that ends after it")
    return Segments(
        handle=handle,
        shape=series.shape,
        dtype=series.dtype,
        byteorder=byteorder,
        pages=tuple(pages),
        shaped=key.shaped,
        segment=segment,
        places=places,
        compression=compression,
        final=final,
        header=key.jpegheader if compression in JPEG else None,
        decode=key.decode,
    )


def _check_codec(compression: int, predictor: int, fillorder: int) -> None:
    if compression not in {1} | BOUNDED | JPEG | set(tiff_frames.SIZES):
        raise ValueError(
            f"expected a known compression (deflate, LZW, zstd, PackBits, LZMA, CCITT, JPEG, JPEG 2000, PNG or WebP), "
            f"got number {compression}; save it with deflate"
        )
    if (compression, predictor, fillorder) != (1, 1, 1) and find_spec("imagecodecs") is None:
        raise ValueError('compressed: needs imagecodecs, which is not installed; run: pip install "fastloss[images]"')


def _page(page: Any, number: int, size: int, compression: int) -> Page:
    offsets, counts = tuple(page.dataoffsets), tuple(page.databytecounts)
    if min(len(offsets), len(counts)) < number:
        raise ValueError(f"expected {number} strips or tiles, got {min(len(offsets), len(counts))}")
    for at, count in zip(offsets, counts, strict=False):
        if at <= 0 or count <= 0:
            raise ValueError("expected every strip or tile inside the file, got one that is missing")
        if at + count > size:
            raise ValueError("truncated: expected every strip or tile inside the file, got one that ends after it")
    return Page(offsets=offsets, counts=counts, tables=page.jpegtables if compression in JPEG else None)


def _is_block(page: Page) -> bool:
    ends = [at + count for at, count in zip(page.offsets, page.counts, strict=False)]
    return ends[:-1] == list(page.offsets[1:])


def _places(shape: tuple[int, ...], shaped: tuple[int, ...]) -> tuple[int | None, ...]:
    """Return for each axis of the array the page's axis, or None if it is an axis over pages. Both end alike."""
    places: list[int | None] = [None] * len(shape)
    at = len(shaped) - 1
    for k in reversed(range(len(shape))):
        while at >= 0 and shaped[at] == 1 and shape[k] != 1:
            at -= 1
        if at < 0:
            break
        if shape[k] == shaped[at]:
            places[k] = at
            at -= 1
        elif shape[k] != 1:
            raise ValueError(f"expected an array of whole pages, got shape {shape} with pages of shape {shaped}")
    if any(n != 1 for n in shaped[: at + 1]):
        raise ValueError(f"expected an array of whole pages, got shape {shape} with pages of shape {shaped}")
    return tuple(places)
