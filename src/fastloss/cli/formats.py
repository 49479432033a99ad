"""Readers of the file formats: `.npy`, `.npz`, TIFF, NIfTI and PNG.

`open_array` reads only the header of an open file and returns a `Stored`, so shape and dtype are known before anything
large is unpacked. The readers may raise any exception, and `opening.reading` turns it into a `UserError`. `loading.py`
and `pairing.py` call this module, which knows nothing about losses.
"""

import gzip
import io
import logging
import lzma
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from .opening import reading

Array = np.ndarray[Any, np.dtype[Any]]
Order = Literal["C", "F"]

BOMB_BYTES = 256 * 2**20
BOMB_RATIO = 500
"""A file is refused if it unpacks to more than BOMB_BYTES and to more than BOMB_RATIO times its size. A saved
prediction compresses by a small factor, whereas deflate reaches 1032 at most, on zeros."""

HEADER_BYTES = 2**14
"""The number of bytes that are read for a file's header. NumPy's longest header has 10000 bytes."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An array in an open file: the facts in its header, and a function that reads the values."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    packed: int  # bytes in the file
    load: Callable[[], Array]
    affine: Array | None = None  # maps voxels to space, if the format has an affine

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


Opener = Callable[[Path, BufferedReader, str | None], Stored]


def suffix(path: Path) -> str:
    """Return the extension in lower case. The extension of `a.nii.gz` is `.nii.gz`."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def open_array(path: Path, handle: BufferedReader, readers: Mapping[str, Opener], key: str | None = None) -> Stored:
    """Read the header of an array. The values can be loaded as long as the file is open."""
    with reading(path):
        return readers[suffix(path)](path, handle, key)


def _size(handle: BufferedReader) -> int:
    return os.fstat(handle.fileno()).st_size


def _npy_header(handle: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], Order, int]:
    """Return shape, dtype, order and the offset of the data.

    NumPy gets only the first HEADER_BYTES, because it would read a header of any length before it refuses one.
    """
    head = io.BytesIO(handle.read(HEADER_BYTES))
    version = np.lib.format.read_magic(head)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"expected npy format 1.0 or 2.0, got {version}, which holds structured data, not numbers")
    shape, fortran_order, dtype = read(head)
    if dtype.hasobject:
        raise ValueError(
            "expected numbers, got pickled Python objects, which are never loaded; save an array of numbers"
        )
    return shape, dtype, "F" if fortran_order else "C", head.tell()


def _open_npy(path: Path, handle: BufferedReader, key: str | None) -> Stored:
    shape, dtype, order, start = _npy_header(handle)
    held = _size(handle) - start
    promised = math.prod(shape) * dtype.itemsize
    if held < promised:
        raise ValueError(f"truncated: expected {promised} bytes of data after the header, got {held}")

    def load() -> Array:
        return np.memmap(handle, dtype, "r", start, shape, order)

    return Stored(path=path, shape=shape, dtype=dtype, packed=promised, load=load)


def _open_npz(path: Path, handle: BufferedReader, key: str | None) -> Stored:
    with zipfile.ZipFile(handle) as archive:
        member = archive.getinfo(_npz_key(archive, key) + ".npy")
        with archive.open(member) as packed:
            shape, dtype, _, start = _npy_header(packed)
    held = member.file_size - start
    promised = math.prod(shape) * dtype.itemsize
    if held != promised:
        raise ValueError(f"{member.filename}: expected {promised} bytes of data after the header, got {held}")

    def load() -> Array:
        with zipfile.ZipFile(handle) as archive, archive.open(member) as packed:
            values: Array = np.lib.format.read_array(packed, allow_pickle=False)
            return values

    return Stored(path=path, shape=shape, dtype=dtype, packed=member.compress_size, load=load)


def _npz_key(archive: zipfile.ZipFile, key: str | None) -> str:
    keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if key is None and len(keys) == 1:
        return keys[0]
    if key in keys:
        return key
    held = ", ".join(keys) or "no array"
    if key:
        raise ValueError(f"--key: expected the name of an array in the archive ({held}), got {key}")
    raise ValueError(f"expected an archive of one array, got {held}; name one with --key")


def _open_tif(path: Path, handle: BufferedReader, key: str | None) -> Stored:
    with _tiff(handle) as tif:
        if len(tif.series) != 1:
            raise ValueError(f"expected one array (series), got {len(tif.series)}; save each as a file of its own")
        series = tif.series[0]
        if series.dtype is None:
            raise ValueError("expected samples of one type, got mixed types")
        if tif.is_ome and any(page is None for page in series):  # tifffile would fill in zeros
            raise ValueError("expected the whole array, got a part, with the rest in other files; save it as one file")
        shape, dtype = series.shape, series.dtype

    def load() -> Array:
        with _tiff(handle) as tif:
            start = tif.series[0].dataoffset  # None if the data are compressed, tiled, or in several pieces
            if start is not None and start + math.prod(shape) * dtype.itemsize <= _size(handle):
                return np.memmap(handle, dtype.newbyteorder(tif.byteorder), "r", start, shape)
            _check_segments(tif)
            values: Array = tif.series[0].asarray()
            return values

    return Stored(path=path, shape=shape, dtype=dtype, packed=_size(handle), load=load)


UNPACKERS: dict[int, Callable[[], Any]] = {
    8: zlib.decompressobj,
    32946: zlib.decompressobj,
    34925: lzma.LZMADecompressor,
}
UNPACKED_RATIO = 8192  # the largest ratio; lzma reaches it on zeros


def _check_segments(tif: Any) -> None:
    """Refuse missing strips and tiles, and archive bombs: tifffile unpacks a whole strip or tile at once."""
    for page in tif.pages:
        unpacker = UNPACKERS.get(int(page.compression))
        for at, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if at + count > tif.filehandle.size:
                raise ValueError("truncated: expected every strip or tile inside the file, got one that ends after it")
            if unpacker is not None and count > BOMB_BYTES // UNPACKED_RATIO:
                tif.filehandle.seek(at)
                if len(unpacker().decompress(tif.filehandle.read(count), BOMB_BYTES + 1)) > BOMB_BYTES:
                    raise ValueError(f"expected at most {BOMB_BYTES} bytes per strip or tile, got an archive bomb")


class _NoDescriptor:
    """A file without a descriptor. With a descriptor, tifffile opens other files that the metadata name."""

    def __init__(self, handle: BufferedReader) -> None:
        self.read, self.readinto, self.seek, self.tell = handle.read, handle.readinto, handle.seek, handle.tell


@contextmanager
def _tiff(handle: BufferedReader) -> Iterator[Any]:
    """Open the TIFF, and raise the errors that tifffile only logs before it fills unreadable parts with zeros."""
    import tifffile

    log, records = logging.getLogger("tifffile"), list[logging.LogRecord]()

    def keep(record: logging.LogRecord) -> bool:
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


def _open_nii(path: Path, handle: BufferedReader, key: str | None) -> Stored:
    return _nifti(path, handle, _size(handle))


def _open_nii_gz(path: Path, handle: BufferedReader, key: str | None) -> Stored:
    return _nifti(path, gzip.GzipFile(fileobj=handle), _size(handle))


def _nifti(path: Path, unpacked: BufferedReader | gzip.GzipFile, packed: int) -> Stored:
    import nibabel

    library: Any = nibabel
    first = unpacked.read(540)
    kinds = [k for k in (library.Nifti1Header, library.Nifti2Header) if k.may_contain_header(first)]
    if not kinds:
        raise ValueError("expected a NIfTI file, got no NIfTI header")
    # Read only the header. nibabel.load would also read extensions, whatever length they claim.
    header = kinds[0](first[: kinds[0].template_dtype.itemsize])
    data = library.arrayproxy.ArrayProxy(unpacked, header)
    scaled = (data.slope, data.inter) != (1.0, 0.0)
    dtype = np.dtype(np.float64) if scaled else data.dtype
    load = (lambda: np.asarray(data)) if scaled else data.get_unscaled  # mapped, unless the file is a .gz
    affine = header.get_best_affine()
    return Stored(path=path, shape=data.shape, dtype=dtype, packed=packed, load=load, affine=affine)


def _open_png(path: Path, handle: BufferedReader, key: str | None) -> Stored:
    with _picture(handle) as image:
        mode, shape = image.mode, (image.height, image.width)
    if mode not in PNG_MODES:
        raise ValueError(f"expected labels, got a picture of mode {mode}; save it with a palette or one grey channel")
    spread = _grey_spread(handle, mode)

    def load() -> Array:
        with _picture(handle) as image:
            values: Array = np.asarray(image.convert("L") if mode == "1" else image)
        return values // np.uint8(spread) if spread > 1 else values

    return Stored(path=path, shape=shape, dtype=np.dtype(PNG_MODES[mode]), packed=_size(handle), load=load)


PNG_MODES = {"1": np.uint8, "L": np.uint8, "P": np.uint8, "I": np.int32, "I;16": np.uint16, "I;16B": np.uint16}


@contextmanager
def _picture(handle: BufferedReader) -> Iterator[Any]:
    """Open a PNG of any size. The caller compares its shape with the prediction's before it is unpacked."""
    from PIL import Image, UnidentifiedImageError

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(handle, formats=["PNG"]) as image:
            yield image
    except UnidentifiedImageError:
        raise ValueError("expected a PNG file, got another format") from None  # Pillow's message shows a Python object
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _grey_spread(handle: BufferedReader, mode: str) -> int:
    """Return the factor by which Pillow spreads grey values of 1, 2 or 4 bits over 0..255, changing the labels."""
    handle.seek(0)
    depth, colour = handle.read(26)[24:26]  # IHDR, always the first chunk
    return {1: 255, 2: 85, 4: 17}.get(depth, 1) if mode in ("1", "L") and colour == 0 else 1


PREDICTIONS: dict[str, Opener] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".tif": _open_tif,
    ".tiff": _open_tif,
    ".nii": _open_nii,
    ".nii.gz": _open_nii_gz,
}
MASKS: dict[str, Opener] = {
    ".png": _open_png,
    ".tif": _open_tif,
    ".tiff": _open_tif,
    ".npy": _open_npy,
    ".nii": _open_nii,
    ".nii.gz": _open_nii_gz,
}
