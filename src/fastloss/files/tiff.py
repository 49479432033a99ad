"""Reads TIFF files with tifffile, by windows of their strips and tiles, which `tiff_segments.py` decodes.

A GeoTIFF is passed to `geo.py`, because tifffile knows neither its coordinates nor its pixels without data.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from . import geo
from .stored import Array, Reader, Source, Stored, Window
from .tiff_segments import find_segments

AXES = {"Z": "z", "Y": "y", "X": "x", "C": "c", "S": "c", "T": "t"}
"""The names of tifffile's axes. S are the samples of a pixel, and a series of pages without a meaning has Q or I."""

RGB, YCBCR = 2, 6  # photometric interpretations of colours


def _open(source: Source) -> Stored:
    with _tiff(source.file) as tif:
        first = tif.pages.first
        if any(tag in first.tags for tag in geo.TAGS):
            return geo.open_geotiff(source, first)
        if first.dtype is None:
            raise ValueError("expected numbers of a known size, got samples of another one")
        if len(tif.series) != 1:
            raise ValueError(f"expected one array (series), got {len(tif.series)}; save each as a file of its own")
        series = tif.series[0]
        if series.dtype is None:
            raise ValueError("expected samples of one type, got mixed types")
        if tif.is_ome and any(page is None for page in series):  # tifffile would fill in zeros
            raise ValueError("expected the whole array, got a part, with the rest in other files; save it as one file")
        if series.transform is not None:
            raise ValueError("expected the values themselves, got values to be scaled (MD Gel); save them as floats")
        segments = find_segments(series, source.file, source.size, tif.byteorder)
        axes = _axes(series)
        spacing = _spacing(tif, axes)
    start, shape = segments.start, segments.shape
    swapped = segments.dtype.newbyteorder(segments.byteorder)

    def mapped(window: Window) -> Array:
        return np.memmap(source.file, swapped, "r", start or 0, shape)[window]

    return Stored(
        path=source.path,
        shape=shape,
        dtype=segments.dtype if start is None else swapped,
        packed=source.size,
        read=segments.read if start is None else mapped,
        axes=axes,
        spacing=spacing,
        chunks=segments.chunks,
        mapped=start is not None,
    )


def _axes(series: Any) -> tuple[str | None, ...]:
    """Return the names of the axes. Colours are not classes, and two axes of classes are none."""
    names = [AXES.get(letter) for letter in series.axes]
    if "S" in series.axes:
        at, key = series.axes.index("S"), series.keyframe
        if "C" in series.axes:
            names = [None if name == "c" else name for name in names]
        elif int(key.photometric) in (RGB, YCBCR) and series.dtype == np.uint8:
            # tifffile also writes any array of shape (3, h, w) or (h, w, 4) and this type so.
            names[at] = "rgb" if series.axes == "YXS" and series.shape[at] == 3 else None
    return tuple(names)


def _spacing(tif: Any, axes: tuple[str | None, ...]) -> tuple[float, ...] | None:
    """Return the distances in OME or ImageJ metadata. Those of a plain TIFF are about print and are not used."""
    spatial = [name for name in axes if name in ("x", "y", "z")]
    found: dict[str, float] = {}
    if tif.is_ome:
        found = _ome_spacing(tif.ome_metadata)
    elif tif.is_imagej:
        found = _imagej_spacing(tif)
    values = tuple(found.get(name, 0.0) for name in spatial if name)
    return values if values and all(0 < value < float("inf") for value in values) else None


def _ome_spacing(text: str) -> dict[str, float]:
    pixels = next((e for e in ElementTree.fromstring(text).iter() if e.tag.endswith("}Pixels")), None)
    given = pixels.attrib if pixels is not None else {}
    sizes = {
        name: float(given[f"PhysicalSize{name.upper()}"]) for name in "xyz" if f"PhysicalSize{name.upper()}" in given
    }
    units = {given.get(f"PhysicalSize{name.upper()}Unit", "µm") for name in sizes}
    return sizes if len(units) == 1 else {}


def _imagej_spacing(tif: Any) -> dict[str, float]:
    meta, tags = tif.imagej_metadata or {}, tif.pages.first.tags
    if "unit" not in meta:
        return {}
    found = {"z": float(meta.get("spacing", 0))}
    for name, code in (("x", 282), ("y", 283)):  # pixels per unit
        above, below = tags.valueof(code, (0, 1))
        found[name] = below / above if above else 0.0
    return found


class _NoDescriptor:
    """A file without a descriptor. With a descriptor, tifffile opens other files that the metadata name."""

    def __init__(self, handle: BufferedReader) -> None:
        self.read, self.readinto, self.seek, self.tell = handle.read, handle.readinto, handle.seek, handle.tell


@contextmanager
def _tiff(handle: BufferedReader) -> Iterator[Any]:
    """Open the TIFF, and raise the errors that tifffile only logs before it fills unreadable parts with zeros."""
    import tifffile

    log, records = logging.getLogger("tifffile"), list[logging.LogRecord]()

    thread = threading.get_ident()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != thread:  # another file, which another thread reads
            return True
        records.append(record)
        return False

    log.addFilter(keep)
    try:
        handle.seek(0)
        with tifffile.TiffFile(_NoDescriptor(handle), name=Path(handle.name).name) as tif:  # type: ignore[arg-type]
            yield tif
    finally:
        log.removeFilter(keep)
    errors = [record.getMessage() for record in records if record.levelno >= logging.ERROR]
    if errors:
        raise ValueError(errors[0])


READERS = (
    Reader(suffixes=(".tif", ".tiff", ".ome.tif", ".ome.tiff"), open=_open, extra="images", modules=("tifffile",)),
)
