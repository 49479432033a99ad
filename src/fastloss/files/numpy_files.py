"""Reads NumPy's own formats: `.npy`, which is mapped, and `.npz`."""

from __future__ import annotations

import io
import math
import zipfile
from typing import IO, Any, Literal

import numpy as np

from .stored import Array, Reader, Source, Stored, Window, whole_file

Order = Literal["C", "F"]

HEADER_BYTES = 2**14
"""The number of bytes that are read for a file's header. NumPy's longest header has 10000 bytes."""

SMALL = 2**20
"""Arrays of at most so many bytes are read, not mapped. To map and unmap a file of 64 KiB takes longer than to read it,
and unmapping holds up all threads."""

NNUNET_KEYS = ("probabilities", "softmax")
"""The names that nnU-Net (versions 2 and 1) gives to the array of an `.npz`. Its axes are (classes, z, y, x)."""


def _header(handle: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], Order, int]:
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


def _npy(source: Source) -> Stored:
    handle = source.file
    shape, dtype, order, start = _header(handle)
    held = source.size - start
    promised = math.prod(shape) * dtype.itemsize
    if held < promised:
        raise ValueError(f"truncated: expected {promised} bytes of data after the header, got {held}")

    def read(window: Window) -> Array:
        if mapped:
            return np.memmap(handle, dtype, "r", start, shape, order)[window]
        handle.seek(start)
        data = handle.read(promised)
        if len(data) < promised:
            raise ValueError(f"truncated: expected {promised} bytes of data after the header, got {len(data)}")
        values: Array = np.ndarray(shape, dtype, data, order=order)
        return values[window]

    mapped = promised > SMALL
    return Stored(path=source.path, shape=shape, dtype=dtype, packed=promised, read=read, mapped=mapped)


def _npz(source: Source) -> Stored:
    handle = source.file
    with zipfile.ZipFile(handle) as archive:
        key = _key(archive, source.key)
        member = archive.getinfo(key + ".npy")
        with archive.open(member) as packed:
            shape, dtype, _, start = _header(packed)
    held = member.file_size - start
    promised = math.prod(shape) * dtype.itemsize
    if held != promised:
        raise ValueError(f"{member.filename}: expected {promised} bytes of data after the header, got {held}")

    def load() -> Array:
        with zipfile.ZipFile(handle) as archive, archive.open(member) as packed:
            values: Array = np.lib.format.read_array(packed, allow_pickle=False)
            return values

    nnunet = key in NNUNET_KEYS and len(shape) == 4 and dtype.kind == "f"
    return Stored(
        path=source.path,
        shape=shape,
        dtype=dtype,
        packed=member.compress_size,
        read=whole_file(load),
        axes=("c", "z", "y", "x") if nnunet else None,
        probabilities=nnunet,
    )


def _key(archive: zipfile.ZipFile, key: str | None) -> str:
    keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if key is None and len(keys) == 1:
        return keys[0]
    if key in keys:
        return key
    held = ", ".join(keys) or "no array"
    if key:
        raise ValueError(f"`key=`: expected the name of an array in the archive ({held}), got {key}")
    raise ValueError(f"expected an archive of one array, got {held}; name one with `key=`")


READERS = (Reader(suffixes=(".npy",), open=_npy), Reader(suffixes=(".npz",), open=_npz))
