"""Reads one dataset of an HDF5 file with h5py, through the file that is already open.

HDF5 can refer to other files: by external links, external storage and virtual datasets. All of them are refused, and
so are filters that HDF5 would load as plugins. An uncompressed dataset is mapped. The chunks of a compressed one are
unpacked here, each to exactly its size, because HDF5 unpacks to whatever a chunk claims, and one chunk at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import Any

import numpy as np

from . import stored, zarr_codecs
from .stored import Array, Reader, Source, Stored, Window
from .zarr_chunks import touched, values_of

DEFLATE, SHUFFLE, FLETCHER32, LZF = 1, 2, 3, 32000
MOST_CHUNKS = 2**20
MOST_NODES, MOST_DEPTH = 1000, 10


def _open(source: Source) -> Stored:
    import h5py

    source.file.seek(0)
    file = source.stack.enter_context(h5py.File(source.file, "r"))
    dataset = _dataset(file, source.key)
    dtype = _plain_type(dataset)
    layout = dataset.id.get_create_plist()
    if dataset.is_virtual or layout.get_external_count():
        raise ValueError("expected the values in the file itself, got a dataset whose values are in other files")
    if dataset.shape is None:
        raise ValueError("expected an array, got an empty dataset")
    if dataset.chunks is not None:
        return _chunked(source, dataset, layout, dtype)
    packed = int(dataset.id.get_storage_size())
    size = int(np.prod(dataset.shape, dtype=object)) * dtype.itemsize
    at = dataset.id.get_offset()
    if packed < size or (at is not None and at + size > source.size):
        raise ValueError(f"truncated: expected {size} bytes of data, got {packed} in a file of {source.size} bytes")

    def read(window: Window) -> Array:
        bits = dtype if dtype.kind != "b" else np.dtype(np.uint8)
        values: Array = np.memmap(source.file, bits, "r", at or 0, dataset.shape)[window]
        return values if dtype.kind != "b" else values != 0

    def small(window: Window) -> Array:  # in the header of the dataset
        values: Array = dataset[window]
        return values

    return Stored(
        path=source.path,
        shape=dataset.shape,
        dtype=dtype,
        packed=packed,
        read=small if at is None else read,
        mapped=at is not None and dtype.kind != "b",
    )


def _dataset(file: Any, key: str | None) -> Any:
    """Return the only dataset of the file, or the named one."""
    import h5py

    if key is None:
        found = list(_datasets(file, set(), 0))
        if len(found) != 1:
            raise ValueError(f"expected one array, got {', '.join(found) or 'none'}; name one with `key=`")
        key = found[0]
    node = file
    for part in key.strip("/").split("/"):
        named = part not in ("", ".", "..") and "\0" not in part
        link = node.get(part, getlink=True) if named and isinstance(node, h5py.Group) else None
        if link is None:
            held = ", ".join(_datasets(file, set(), 0)) or "no array"
            raise ValueError(f"`key=`: expected the name of an array ({held}), got {key}")
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{key}: expected the array itself, got a link to another place or file")
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        held = ", ".join(_datasets(file, set(), 0)) or "no array"
        raise ValueError(f"`key=`: expected the name of an array ({held}), got {key}, which is a group")
    return node


def _datasets(group: Any, seen: set[Any], depth: int) -> Iterator[str]:
    """Yield the names of all datasets, following no links. A group may contain itself."""
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        node = group[name]
        place = h5py.h5o.get_info(node.id).addr
        if place in seen:
            continue
        seen.add(place)
        if len(seen) > MOST_NODES or depth > MOST_DEPTH:
            raise ValueError(f"expected at most {MOST_NODES} names and {MOST_DEPTH} levels; name an array with `key=`")
        if isinstance(node, h5py.Dataset):
            yield name
        elif isinstance(node, h5py.Group):
            for below in _datasets(node, seen, depth + 1):
                yield f"{name}/{below}"


def _plain_type(dataset: Any) -> np.dtype[Any]:
    """Return the type of the values, whose bytes in the file must be those that NumPy has in memory."""
    import h5py

    dtype: np.dtype[Any] = np.dtype(dataset.dtype)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError(f"expected numbers, got the type {dtype}; save an array of numbers")
    dtype = np.dtype(dtype.str)  # without the names of an enumeration
    if dataset.id.get_type() != h5py.h5t.py_create(dataset.dtype, logical=True):
        raise ValueError(f"expected {dtype} as NumPy stores it, got a type of other bits; save it as {dtype}")
    return dtype


def _chunked(source: Source, dataset: Any, layout: Any, dtype: np.dtype[Any]) -> Stored:
    filters = tuple(int(layout.get_filter(k)[0]) for k in range(layout.get_nfilters()))
    unknown = [number for number in filters if number not in (DEFLATE, SHUFFLE, FLETCHER32, LZF)]
    if unknown or len(set(filters)) != len(filters):
        raise ValueError(
            f"expected gzip, lzf, shuffle or fletcher32, each once, got the filters {', '.join(map(str, filters))}; "
            "save it with compression='gzip'"
        )
    number = int(np.prod([-(-n // of) for n, of in zip(dataset.shape, dataset.chunks, strict=True)], dtype=object))
    if number > MOST_CHUNKS:
        raise ValueError(f"expected at most {MOST_CHUNKS} chunks, got {number}; save it with larger chunks")
    held = int(dataset.id.get_num_chunks())
    if held < number and dtype.kind == "f":
        raise ValueError(
            f"expected every chunk, got {number - held} of {number} missing, as in a file that was not written to its "
            "end; if they hold zeros, write the zeros"
        )
    file = source.stack.enter_context(mmap(source.file.fileno(), 0, access=ACCESS_READ))
    chunks = _Chunks(dataset=dataset, dtype=dtype, filters=filters, file=file)
    return Stored(
        path=source.path,
        shape=dataset.shape,
        dtype=dtype,
        packed=int(dataset.id.get_storage_size()),
        read=chunks.read,
        chunks=tuple(max(1, min(n, of)) for n, of in zip(dataset.shape, dataset.chunks, strict=True)),
    )


@dataclass(frozen=True, kw_only=True)
class _Chunks:
    """The chunks of a dataset. h5py reads their bytes under its lock; several threads can unpack them at once."""

    dataset: Any
    dtype: np.dtype[Any]
    filters: tuple[int, ...]
    file: mmap

    def read(self, window: Window) -> Array:
        """Return the values of a window."""
        out = np.empty([s.stop - s.start for s in window], self.dtype)
        if out.size:
            shape = self.dataset.chunks
            for index, here, there in touched(shape, window):
                values = self._chunk(tuple(k * n for k, n in zip(index, shape, strict=True)))
                out[here] = self.dataset.fillvalue if values is None else values[there]
        return out

    def _chunk(self, at: tuple[int, ...]) -> Array | None:
        """Return the values of the chunk that begins at these indices, or None if it is missing."""
        shape = self.dataset.chunks
        unpacked = int(np.prod(shape, dtype=object)) * self.dtype.itemsize
        place = self.dataset.id.get_chunk_info_by_coord(at)
        if place.byte_offset is None or place.size == 0:
            if self.dtype.kind == "f":
                raise ValueError(f"expected every chunk of the array, got none at {at}")
            return None
        if place.byte_offset + place.size > len(self.file) or place.size > 2 * unpacked + 2**20:
            raise ValueError(f"truncated: expected every chunk inside the file, got one of {place.size} bytes")
        if unpacked > stored.BOMB_BYTES and unpacked > stored.BOMB_RATIO * place.size:
            raise ValueError(
                f"expected chunks that unpack to at most {stored.BOMB_BYTES} bytes, got an archive bomb of "
                f"{place.size} bytes that unpack to {unpacked}"
            )
        data = self._bytes(place.byte_offset, place.size)
        for k in reversed(range(len(self.filters))):
            if not place.filter_mask >> k & 1:
                data = self._undo(self.filters[k], data, unpacked + 4 * (FLETCHER32 in self.filters[:k]))
        if len(data) != unpacked:
            raise ValueError(f"expected a chunk of {unpacked} bytes, got {len(data)}")
        return values_of(data, self.dtype).reshape(shape)

    def _bytes(self, at: int, size: int) -> bytes:
        """Read from the file itself. HDF5 2.0 writes past its buffer if the sizes in the file contradict each other.

        The file is mapped, because HDF5 moves the position in it while other threads read.
        """
        return self.file[at : at + size]

    def _undo(self, number: int, data: bytes, size: int) -> bytes:
        if number == DEFLATE:
            return zarr_codecs.unpack("zlib", data, size)
        if number == LZF:
            return zarr_codecs.unpack("lzf", data, size)
        if number == FLETCHER32:
            return _without_fletcher32(data)
        whole = len(data) // self.dtype.itemsize * self.dtype.itemsize  # what follows is not shuffled
        shuffled = np.frombuffer(data, np.uint8, whole).reshape(self.dtype.itemsize, -1)
        return shuffled.T.tobytes() + data[whole:]


def _without_fletcher32(data: bytes) -> bytes:
    """Return data without their checksum, which must fit. HDF5 sums big-endian words of 16 bits."""
    body = data[:-4]
    words = np.frombuffer(body + b"\0" * (len(body) % 2), ">u2")
    first = second = 0
    for start in range(0, len(words), 2**14):
        part = words[start : start + 2**14].astype(np.uint64)
        weights = np.arange(len(part), 0, -1, dtype=np.uint64)
        second = (second + len(part) * first + int((part * weights).sum())) % 65535
        first = (first + int(part.sum())) % 65535
    # HDF5 before 1.6.3 stored the sums with swapped bytes. A sum of 65535 is 0 as well.
    stored_sums = [np.frombuffer(data[-4:], order) for order in ("<u2", ">u2")] if len(data) >= 4 else []
    if not any((int(low) % 65535, int(high) % 65535) == (first, second) for low, high in stored_sums):
        raise ValueError("expected a chunk that fits its checksum (fletcher32), got another one")
    return body


READERS = (Reader(suffixes=(".h5", ".hdf5"), open=_open, extra="zarr", modules=("h5py",)),)
