"""Reads GeoTIFF and COG files with rasterio, by windows of their blocks. `tiff.py` finds out which files these are.

GDAL opens paths, and reads files next to them. So it gets no driver but GTiff, no listing of the folder, no network,
and only the path of the regular file that is already open.

`Stored.affine` maps indices of pixels to coordinates of their centres in the file's coordinate system: its first column
belongs to y, the second to x. There is no turn to right, anterior, superior, because a map has no patient.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np

from .stored import BOMB_BYTES, BOMB_RATIO, Array, Source, Stored, Window

NODATA = 42113
TAGS = (34735, 33550, 34264, NODATA)
"""GeoKeyDirectory, ModelPixelScale, ModelTransformation and GDAL_NODATA. A file with one of these is a GeoTIFF."""

OPTIONS: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no .aux.xml, .ovr, .msk, .tfw or .prj
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_CACHEMAX": 64,  # MB
    "GDAL_NUM_THREADS": 1,  # the caller reads windows in its own threads
    "CPL_DEBUG": "OFF",
}

_OPENING = threading.Lock()  # filters of warnings are of the process, not of the thread


def open_geotiff(source: Source, page: Any) -> Stored:
    """Open a GeoTIFF. `page` is tifffile's first page of it."""
    if find_spec("rasterio") is None:
        raise ValueError('GeoTIFF: needs rasterio, which is not installed; run: pip install "fastloss[geo]"')
    _check_segments(page, source.size)
    _check_nodata_text(page)
    files = _Datasets(source)
    with files.environment():
        dataset = files.dataset()
        _check_scales(dataset)
        count, (bh, bw) = dataset.count, dataset.block_shapes[0]
        shape = (dataset.height, dataset.width) if count == 1 else (count, dataset.height, dataset.width)
        together = count if dataset.profile.get("interleave") == "pixel" else 1
        affine, spacing = _affine(dataset.transform)
        colours = _has_colours(dataset)
        nodata = _nodata(dataset.nodatavals)
        space = dataset.crs.to_string() if dataset.crs else None
        dtype = np.dtype(dataset.dtypes[0])
    first = "c" if not colours else ("rgb" if count == 3 else None)
    return Stored(
        path=source.path,
        shape=shape,
        dtype=dtype,
        packed=source.size,
        read=files.read,
        axes=("y", "x") if count == 1 else (first, "y", "x"),
        spacing=spacing,
        affine=affine,
        space=space,
        nodata=nodata,
        chunks=(min(bh, shape[-2]), min(bw, shape[-1]))
        if count == 1
        else (together, min(bh, shape[-2]), min(bw, shape[-1])),
    )


class _Datasets:
    """One open dataset per thread, because GDAL's datasets must not be shared by threads."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.local = threading.local()

    def environment(self) -> Any:
        import rasterio

        return rasterio.Env(**OPTIONS)

    def dataset(self) -> Any:
        """Return this thread's dataset, within `environment`."""
        import rasterio

        if not hasattr(self.local, "dataset"):
            path = os.path.abspath(self.source.path)
            if path.startswith("/vsi"):
                raise ValueError("expected a file outside a folder whose name begins with /vsi, which GDAL interprets")
            with _OPENING, warnings.catch_warnings():
                warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)  # only nodata is given
                dataset = rasterio.open(_Path(path), driver="GTiff", sharing=False)
            self.source.stack.callback(dataset.close)
            # GDAL opened the path anew. It must still be the file that was opened and checked before.
            if not os.path.samestat(os.stat(path), os.fstat(self.source.file.fileno())):
                raise ValueError("expected the same file as before, got another one in its place")
            self.local.dataset = dataset
        return self.local.dataset

    def read(self, window: Window) -> Array:
        """Return the values of a window."""
        from rasterio.windows import Window as Rectangle

        rows, columns = window[-2:]
        with self.environment():
            dataset = self.dataset()
            bands = range(dataset.count)[window[0]] if len(window) == 3 else range(1)
            shape = (len(bands), rows.stop - rows.start, columns.stop - columns.start)
            if 0 in shape:
                values = np.empty(shape, dataset.dtypes[0])
            else:
                part = Rectangle(columns.start, rows.start, shape[2], shape[1])
                values = dataset.read([band + 1 for band in bands], window=part)
        return values if len(window) == 3 else values[0]


class _Path(os.PathLike[str]):
    """A path that rasterio passes to GDAL as it is. It would read a scheme or an archive into a text."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return self.path


def _check_segments(page: Any, size: int) -> None:
    """Refuse missing blocks, which GDAL would fill, and archive bombs."""
    if page.dtype is None:
        raise ValueError("expected samples of one type, got mixed types")
    promised = math.prod(page.chunks) * page.dtype.itemsize
    sparse = NODATA in page.tags
    for at, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if at + count > size:
            raise ValueError("truncated: expected every strip or tile inside the file, got one that ends after it")
        if not count and not sparse:
            raise ValueError(
                "expected every strip or tile inside the file, got one that is missing, and no nodata value"
            )
        if promised > BOMB_BYTES and promised > BOMB_RATIO * count:
            raise ValueError(
                f"expected strips or tiles that unpack to at most {BOMB_BYTES} bytes, got an archive bomb of {count} "
                f"bytes that unpack to {promised}"
            )


def _check_nodata_text(page: Any) -> None:
    """Refuse a value without data that is no number. GDAL would take it for 0, which is a class."""
    if NODATA not in page.tags:
        return
    text = str(page.tags[NODATA].value).strip().strip("\0")
    try:
        float(text)
    except ValueError:
        raise ValueError(f"expected a number as the nodata value (tag GDAL_NODATA), got {text!r:.50}") from None


def _check_scales(dataset: Any) -> None:
    for band, scale, offset in zip(dataset.indexes, dataset.scales, dataset.offsets, strict=True):
        if (scale, offset) != (1.0, 0.0):
            raise ValueError(
                f"expected values without a scale, got scale {scale} and offset {offset} of band {band}; save the "
                "values that are meant, without scale and offset"
            )


def _nodata(values: tuple[float | None, ...]) -> float | None:
    if len({str(value) for value in values}) > 1:
        raise ValueError(f"expected one nodata value, got a different one per band: {', '.join(map(str, values))}")
    return None if values[0] is None else float(values[0])


def _affine(transform: Any) -> tuple[Array | None, tuple[float, float] | None]:
    """Return the map from (y, x, 0) to coordinates of pixel centres, and the spacing if the image is not rotated."""
    a, b, c, d, e, f = transform[:6]
    if (a, b, c, d, e, f) == (1, 0, 0, 0, 1, 0):  # not georeferenced
        return None, None
    affine = np.eye(4)
    affine[:2, 0], affine[:2, 1] = (b, e), (a, d)
    affine[:2, 3] = c + (a + b) / 2, f + (d + e) / 2
    return affine, (abs(e), abs(a)) if b == d == 0 else None


def _has_colours(dataset: Any) -> bool:
    """Return whether the bands are 8-bit colours. GDAL also writes any three or four bands of this type so."""
    colours = [meaning.name for meaning in dataset.colorinterp[:3]] == ["red", "green", "blue"]
    return colours and dataset.dtypes[0] == "uint8"
