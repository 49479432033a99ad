"""Reads NRRD (`.nrrd`, `.nhdr`) and MetaImage (`.mha`, `.mhd`): the header by SimpleITK, the values from the open file.

SimpleITK takes a path and opens whatever the header names. It also returns memory that nobody wrote if compressed data
are damaged (2.5), and ITK's MetaIO prints to stderr. So `itk_headers.py` parses the header first, SimpleITK gives the
geometry, both must agree, and this module reads the data from the files that it holds open.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from .errors import FileError, shown
from .gunzip import gunzipped
from .itk_headers import Header, data_path, meta_header, nrrd_header
from .opening import opened
from .stored import Array, Reader, Source, Stored, Window, whole_file

CHUNK_BYTES = 2**20
_TYPES = {f"{8 * np.dtype(code).itemsize}-bit {name}": code for name, codes in {
    "signed integer": "bhiq", "unsigned integer": "BHIQ", "float": "fd"}.items() for code in codes}  # fmt: skip


def _open_nrrd(source: Source) -> Stored:
    return _stored(source, nrrd_header(source.file), "NrrdImageIO")


def _open_meta(source: Source) -> Stored:
    return _stored(source, meta_header(source.file), "MetaImageIO")


def _stored(source: Source, header: Header, kind: str) -> Stored:
    file = _data_file(source, header)
    held = Source(path=source.path, handle=file).size
    promised = math.prod(header.sizes) * header.dtype.itemsize
    start = max(0, held - promised) if header.start == -1 else header.start
    if held - start < (1 if header.compression else promised):
        raise ValueError(f"truncated: expected {promised} bytes of data from byte {start}, got {max(0, held - start)}")
    lengths = tuple(size for axis, size in enumerate(header.sizes) if axis != header.components)
    if not 2 <= len(lengths) <= 4:
        raise ValueError(f"expected 2 to 4 axes next to the components, got {len(lengths)}")
    image = _information(source.path, kind)
    _check_same(header, lengths, image)

    last = None if header.components is None else len(header.sizes) - 1 - header.components
    lock = Lock()

    def load() -> Array:
        if header.compression:
            with lock:
                values = _unpacked(file, start, header.compression, promised).view(header.dtype)
            values = values.reshape(header.sizes[::-1])
        else:
            values = np.memmap(file, header.dtype, "r", start, header.sizes[::-1])
        return values if last is None else np.moveaxis(values, last, -1)

    def read(window: Window) -> Array:
        return load()[window]

    parts = () if header.components is None else (header.sizes[header.components],)
    names = _names(header, len(lengths))
    return Stored(
        path=source.path,
        shape=(*lengths[::-1], *parts),
        dtype=header.dtype,
        packed=held - start,
        read=whole_file(load) if header.compression else read,
        mapped=not header.compression,
        axes=(*names, *(("rgb" if header.colours else "c",) if parts else ())),
        spacing=_spacing(header, names, image),
        affine=_affine(image) if header.oriented and None not in names and "t" not in names else None,
    )


def _data_file(source: Source, header: Header) -> BufferedReader:
    if header.data is None:
        return source.file
    try:
        return source.stack.enter_context(opened(data_path(source.path, header.data)))
    except FileError as error:
        raise FileError(f"{shown(source.path)}: cannot be read without its data: {error}") from error


def _simpleitk() -> Any:  # its functions have no types
    import SimpleITK

    return SimpleITK


def _information(path: Path, kind: str) -> Any:
    """Return SimpleITK's reader after it has read the header. It opens the path anew, so `_check_same` compares."""
    try:
        str(path).encode()
    except UnicodeEncodeError:  # SimpleITK would abort the process
        raise ValueError("expected a path in UTF-8, got other bytes; rename the file") from None
    sitk = _simpleitk()
    reader = sitk.ImageFileReader()
    with _ONE_AT_A_TIME:
        warns = sitk.ProcessObject_GetGlobalWarningDisplay()
        sitk.ProcessObject_SetGlobalWarningDisplay(False)  # C++ would print to the terminal what the file contains
        try:
            reader.SetImageIO(kind)
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise ValueError(_plain(str(error))) from None
        finally:
            sitk.ProcessObject_SetGlobalWarningDisplay(warns)
    return reader


_ONE_AT_A_TIME = Lock()  # SimpleITK has one switch for the warnings of all threads


def _plain(message: str) -> str:
    """Return the message of an ITK exception as one line, without source files and addresses."""
    what = re.split(r"itk::ERROR: |ITK ERROR: ", message)[-1].strip()
    what = re.sub(r"\w*\(0x[0-9a-fA-F]+\): ", "", what.split("[nrrd]")[-1])  # the last line of Teem's has the cause
    return " ".join(what.split())[:400]


def _check_same(header: Header, lengths: tuple[int, ...], image: Any) -> None:
    """Compare what SimpleITK and `itk_headers.py` found. If they differ, one of them misunderstood the file."""
    name = _simpleitk().GetPixelIDValueAsString(image.GetPixelID()).removeprefix("vector of ")
    theirs = image.GetSize(), image.GetNumberOfComponents(), _TYPES.get(name)
    components = 1 if header.components is None else header.sizes[header.components]
    ours = lengths, components, header.dtype.newbyteorder("=").char
    if theirs[:2] != ours[:2] or theirs[2] is None or np.dtype(theirs[2]) != header.dtype.newbyteorder("="):
        raise ValueError(f"expected one meaning of the header, got {ours}, and by SimpleITK {theirs}")


def _unpacked(file: BufferedReader, start: int, compression: str, promised: int) -> Array:
    """Return the bytes that the header promised. The stream must have as many, and its checksum must be right."""
    file.seek(start)
    values, at = np.empty(promised, np.uint8), 0
    for piece in (_gzip_pieces if compression == "gzip" else _zlib_pieces)(file):
        if at + len(piece) > promised:
            raise ValueError(f"expected {promised} bytes of data, got more")
        values[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
    if at < promised:
        raise ValueError(f"truncated: expected {promised} bytes of data, got {at}")
    return values


def _gzip_pieces(file: BufferedReader) -> Iterator[bytes]:
    with gunzipped(file) as stream:
        while piece := stream.read(CHUNK_BYTES):
            yield piece


def _zlib_pieces(file: BufferedReader) -> Iterator[bytes]:
    stream = zlib.decompressobj(47)  # a header of zlib or gzip
    while not stream.eof:
        packed = stream.unconsumed_tail or file.read(CHUNK_BYTES)
        piece = stream.decompress(packed, CHUNK_BYTES)
        if not packed and not piece:
            raise ValueError("truncated: expected a complete zlib stream, got the end of the file")
        yield piece


# ---- geometry


def _names(header: Header, n: int) -> tuple[str | None, ...]:
    """Return the names of the axes next to the components, in the order of the array.

    Of four axes one is time or classes. If the header does not name it, it may be the first or the last.
    """
    if header.time is not None:
        time = header.time - (header.components is not None and header.components < header.time)
        names = iter(("x", "y", "z"))
        return tuple("t" if axis == time else next(names) for axis in range(n))[::-1]
    return (None,) * n if n > 3 else ("x", "y", "z")[:n][::-1]


def _spacing(header: Header, names: tuple[str | None, ...], image: Any) -> tuple[float, ...] | None:
    if not header.spaced:
        return None
    spacing = tuple(float(step) for step in image.GetSpacing()[::-1])
    if not all(0 < step < math.inf for step in spacing):
        raise ValueError(f"expected a positive spacing, got {spacing}")
    found = tuple(step for step, name in zip(spacing, names, strict=True) if name in ("x", "y", "z"))
    return found or None


def _affine(image: Any) -> Array:
    """Return the affine of the axes in the order of the array. ITK's space is (left, posterior, superior)."""
    n = image.GetDimension()
    directions = np.array(image.GetDirection()).reshape(n, n) * image.GetSpacing()
    affine = np.eye(4)
    affine[:n, :n] = directions[:, ::-1]
    affine[:n, 3] = image.GetOrigin()
    affine[:2] *= -1
    if n == 2:
        affine[:2, 2] = 0  # not -0
    if not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        raise ValueError("expected directions that span the space, got directions that do not")
    return affine


_NEEDS: dict[str, Any] = {"extra": "medical", "modules": ("SimpleITK",)}
READERS = (
    Reader(suffixes=(".nrrd",), open=_open_nrrd, **_NEEDS),
    Reader(suffixes=(".nhdr",), open=_open_nrrd, companions=(".raw", ".raw.gz"), **_NEEDS),
    Reader(suffixes=(".mha",), open=_open_meta, **_NEEDS),
    Reader(suffixes=(".mhd",), open=_open_meta, companions=(".raw", ".zraw"), **_NEEDS),
)
