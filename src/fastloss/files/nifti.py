"""Reads the formats of nibabel: NIfTI, one file or a pair, Analyze 7.5, and FreeSurfer's MGH.

nibabel gets the header as bytes, never the file's name. So it reads no extension, whatever length one claims, and it
opens no other file. Nothing is unpacked before `read`.
"""

from __future__ import annotations

import gzip
import logging
import math
from io import BufferedReader
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from .errors import FileError, printable, shown
from .gunzip import gunzipped
from .opening import opened
from .stored import BOMB_BYTES, Array, Reader, Source, Stored, Window, whole_file

HEADER_BYTES = 540  # of NIfTI-2, the longest header
REST_BYTES = 2**16  # read after the data of a .gz, because its checksum comes at the very end

Unpacked = BufferedReader | gzip.GzipFile


def _open_nifti(source: Source) -> Stored:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    header = _header(source.path, source.file, (Nifti1Header, Nifti2Header))
    if header is None:
        raise ValueError("expected a NIfTI file, got no NIfTI header")
    if not header["magic"].item().startswith(b"n+"):
        raise ValueError(
            "expected the data in the same file, got the header of a pair; name it .hdr, and its data .img"
        )
    return _stored(source, header, source.file, *_nifti_space(header))


def _open_pair(source: Source) -> Stored:
    """Read a pair, given either file. The other one has the same stem and is in the same folder."""
    from nibabel.nifti1 import Nifti1PairHeader
    from nibabel.nifti2 import Nifti2PairHeader
    from nibabel.spm2analyze import Spm2AnalyzeHeader  # Analyze 7.5; SPM's own fields are zeros in other files

    partner = _partner(source.path)
    try:
        other = source.stack.enter_context(opened(partner))
    except FileError as error:
        raise FileError(f"{shown(source.path)}: cannot be read without its other half: {error}") from error
    is_header = _end(source.path) == ".hdr"
    head, image = (source.file, other) if is_header else (other, source.file)
    header = _header(source.path, head, (Nifti1PairHeader, Nifti2PairHeader, Spm2AnalyzeHeader))
    if header is None:
        where = source.path if is_header else partner
        raise ValueError(f"expected the header of NIfTI or Analyze in {printable(where.name)}, got another format")
    if isinstance(
        header, Spm2AnalyzeHeader
    ):  # it has no affine, and whether its x axis points left or right is not known
        return _stored(source, header, image, None, _spacing(header))
    if not header["magic"].item().startswith(b"ni"):
        raise ValueError("expected the header of a pair, got that of a single file; rename it to .nii")
    return _stored(source, header, image, *_nifti_space(header))


def _open_mgh(source: Source) -> Stored:
    from nibabel.freesurfer.mghformat import MGHHeader

    first = _unpacked(source.path, source.file).read(MGHHeader.template_dtype.itemsize)[:_MGH_HEADER]
    if len(first) < _MGH_HEADER:
        raise ValueError(f"truncated: expected a header of {_MGH_HEADER} bytes, got {len(first)}")
    fields = np.frombuffer(first, MGHHeader._hdrdtype)[0]
    header: Any = _checked(MGHHeader(first, check=False))  # type: ignore[no-untyped-call]
    if int(fields["type"]) not in header._data_type_codes.code:
        raise ValueError(f"expected a data type of integers or floats, got the code {int(fields['type'])}")
    if not fields["goodRASFlag"]:  # nibabel fills in a default
        return _stored(source, header, source.file, None, None)
    return _stored(source, header, source.file, header.get_affine(), None)


_MGH_HEADER = 90  # the bytes of the fields before the data; zeros follow up to byte 284


def _header(path: Path, file: BufferedReader, kinds: tuple[Any, ...]) -> Any | None:
    """Return the header as the first of nibabel's classes that knows it, or None. Extensions are not read."""
    first = _unpacked(path, file).read(HEADER_BYTES)
    kind = next((kind for kind in kinds if kind.may_contain_header(first)), None)
    return None if kind is None else _checked(kind(first[: kind.template_dtype.itemsize], check=False))


def _checked(header: Any) -> Any:
    """Check a header, and correct what nibabel corrects. Its own log would print to the terminal."""
    log = logging.Logger("unheard")
    log.addHandler(logging.NullHandler())
    header.check_fix(logger=log)
    return header


def _nifti_space(header: Any) -> tuple[Array | None, tuple[float, ...] | None]:
    """Return the affine, or the spacing if the file has no affine, for which nibabel would make one up."""
    if header["sform_code"] == 0 and header["qform_code"] == 0:
        return None, _spacing(header)
    return header.get_best_affine(), None


def _spacing(header: Any) -> tuple[float, ...] | None:
    """Return the spacing of x, y and z, or None if a header does not give a positive number for each."""
    spacing = tuple(float(zoom) for zoom in header.get_zooms()[:3])
    return spacing if all(0 < step < math.inf for step in spacing) else None


def _stored(
    source: Source, header: Any, file: BufferedReader, affine: Array | None, spacing: tuple[float, ...] | None
) -> Stored:
    from nibabel.arrayproxy import ArrayProxy

    unpacked = _unpacked(source.path, file)
    shape = tuple(int(n) for n in header.get_data_shape())
    offset = int(header.get_data_offset())
    if min(shape, default=0) < 0 or offset < 0:
        raise ValueError(f"expected a shape and an offset of at least 0, got {shape} and {offset}")
    if affine is not None and not np.isfinite(affine).all():
        raise ValueError("expected finite numbers in the affine, got NaN or infinity")
    data: Any = ArrayProxy(unpacked, header, mmap="r")  # type: ignore[no-untyped-call]
    scaled = (data.slope, data.inter) != (1.0, 0.0)
    dtype = np.result_type(data.dtype, np.float64) if scaled else data.dtype
    mapped = unpacked is file and not scaled
    size = Source(path=source.path, handle=file).size
    promised = math.prod(shape) * data.dtype.itemsize
    if unpacked is file and size - offset < promised:
        raise ValueError(
            f"truncated: expected {promised} bytes of data from byte {offset}, got {max(0, size - offset)}"
        )
    if offset > BOMB_BYTES:  # a .gz would be unpacked up to there
        raise ValueError(f"expected data at byte {BOMB_BYTES} at most, got byte {offset}")

    lock = Lock()  # several threads may read, and all move the same file's position

    def load() -> Array:
        if promised == 0:
            return np.zeros(shape, dtype)
        with lock:
            values: Array = np.asarray(data).astype(dtype, copy=False) if scaled else data.get_unscaled()
            unpacked.read(0 if unpacked is file else REST_BYTES)
        return values

    def read(window: Window) -> Array:
        return load()[window]

    return Stored(
        path=source.path,
        shape=shape,
        dtype=dtype,
        packed=size,
        read=read if mapped else whole_file(load),
        mapped=mapped,
        axes=(*("x", "y", "z")[: len(shape)], *[None] * (len(shape) - 3)),
        spacing=spacing,
        affine=affine,
    )


def _unpacked(path: Path, file: BufferedReader) -> Unpacked:
    file.seek(0)
    return gunzipped(file) if path.name.lower().endswith((".gz", ".mgz")) else file


def _end(path: Path) -> str:
    """Return ".img" or ".hdr"."""
    return path.name.lower().removesuffix(".gz")[-4:]


def _partner(path: Path) -> Path:
    at = len(path.name.lower().removesuffix(".gz")) - 4
    name, end, packed = path.name[:at], path.name[at : at + 4], path.name[at + 4 :]
    other = ".img" if end.lower() == ".hdr" else ".hdr"
    return path.with_name(name + (other.upper() if end.isupper() else other) + packed)


_NEEDS: dict[str, Any] = {"extra": "medical", "modules": ("nibabel",)}
READERS = (
    Reader(suffixes=(".nii", ".nii.gz"), open=_open_nifti, **_NEEDS),
    Reader(suffixes=(".img", ".hdr"), open=_open_pair, companions=(".hdr",), **_NEEDS),
    Reader(suffixes=(".img.gz", ".hdr.gz"), open=_open_pair, companions=(".hdr.gz",), **_NEEDS),
    Reader(suffixes=(".mgh", ".mgz"), open=_open_mgh, **_NEEDS),
)
