"""The chunks of a Zarr array: how metadata of version 2 and 3 describe them, and windows that are read from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import stored, zarr_codecs
from .stored import Array, Window
from .zarr_store import Store

Shape = tuple[int, ...]
MISSING = 2**64 - 1  # the offset and the size of a missing chunk in the index of a shard
TYPES = (
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """How a chunk is packed: its axes are turned, and its bytes are compressed. Several may be parts of a shard."""

    shape: Shape
    dtype: np.dtype[Any]
    turned: tuple[Shape, ...]  # permutations of the axes, one after the other
    packers: tuple[str, ...]  # at most one compressor, and checksums ("crc32c")
    parts: Chunk | None = None  # of a shard
    index_first: bool = False
    index_checked: bool = False

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def unpack(self, data: bytes) -> Array:
        """Return the values of a chunk."""
        if self.nbytes > stored.BOMB_BYTES and self.nbytes > stored.BOMB_RATIO * len(data):
            raise ValueError(
                f"expected chunks that unpack to at most {stored.BOMB_BYTES} bytes, got an archive bomb of "
                f"{len(data)} bytes that unpack to {self.nbytes}"
            )
        for at in reversed(range(len(self.packers))):
            if self.packers[at] == "crc32c":
                data = zarr_codecs.checked(data)
            else:
                data = zarr_codecs.unpack(self.packers[at], data, self.nbytes + 4 * at)  # after checksums only
        if len(data) != self.nbytes:
            raise ValueError(f"expected a chunk of {self.nbytes} bytes, got {len(data)}")
        shape = self.shape
        for order in self.turned:
            shape = tuple(shape[k] for k in order)
        values = values_of(data, self.dtype).reshape(shape)
        for order in reversed(self.turned):
            values = values.transpose(np.argsort(order))
        return values


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """The chunks of an array in a store."""

    store: Store
    shape: Shape
    chunk: Chunk
    key: Callable[[Shape], str]
    fill: int | None  # of missing chunks; None: they are refused

    @property
    def grid(self) -> Shape:
        return tuple(-(-n // of) for n, of in zip(self.shape, self.chunk.shape, strict=True))

    def read(self, window: Window) -> Array:
        """Return the values of a window. Several threads may call it at once."""
        out = np.empty([s.stop - s.start for s in window], self.chunk.dtype)
        if out.size:
            for index, here, there in touched(self.chunk.shape, window):
                key = self.key(index)
                size = self.store.size(key)
                if size is None:
                    out[here] = self._missing(key)
                elif self.chunk.parts is not None:
                    self._read_shard(key, size, there, out[here])
                else:
                    data = self.store.read(key, 2 * self.chunk.nbytes + 2**20)
                    out[here] = self.chunk.unpack(data)[there]
        return out

    def _missing(self, key: str) -> int:
        if self.fill is None:
            raise ValueError(f"expected every chunk of the array, got none with the key {key}")
        return self.fill

    def _read_shard(self, key: str, size: int, window: Window, out: Array) -> None:
        shard, part = self.chunk, self.chunk.parts
        assert part is not None
        grid = tuple(n // of for n, of in zip(shard.shape, part.shape, strict=True))
        length = 16 * math.prod(grid) + 4 * shard.index_checked
        start = 0 if shard.index_first else size - length
        data = self.store.read(key, length, max(start, 0), max(start, 0) + length)
        if shard.index_checked:
            data = zarr_codecs.checked(data)
        places = np.frombuffer(data, "<u8").reshape(*grid, 2)
        for index, here, there in touched(part.shape, window):
            at, count = (int(n) for n in places[index])
            if (at, count) == (MISSING, MISSING):
                out[here] = self._missing(f"{key}, part {index}")
            elif at + count > size or count > 2 * part.nbytes + 2**20:
                raise ValueError(f"{key}: expected every part inside the shard, got one at {at} of {count} bytes")
            else:
                out[here] = part.unpack(self.store.read(key, count, at, at + count))[there]


def values_of(data: bytes, dtype: np.dtype[Any]) -> Array:
    """Return bytes as values. Only 0 and 1 are truth values to NumPy, but a file may hold any byte."""
    return np.frombuffer(data, np.uint8) != 0 if dtype.kind == "b" else np.frombuffer(data, dtype)


def touched(chunk: Shape, window: Window) -> Iterator[tuple[Shape, Window, Window]]:
    """Yield the index of each chunk that the window touches, the part of the window, and the part of the chunk."""
    ranges = [range(s.start // n, -(-s.stop // n)) for s, n in zip(window, chunk, strict=True)]
    for place in np.ndindex(*[len(r) for r in ranges]):
        index = tuple(r[k] for r, k in zip(ranges, place, strict=True))
        ends = [(max(s.start, k * n), min(s.stop, (k + 1) * n)) for s, k, n in zip(window, index, chunk, strict=True)]
        here = tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(ends, window, strict=True))
        there = tuple(slice(a - k * n, b - k * n) for (a, b), k, n in zip(ends, index, chunk, strict=True))
        yield index, here, there


def chunks_of(store: Store, name: str, meta: dict[str, Any]) -> Chunks:
    """Return the chunks of the array with these metadata. Unknown types and codecs are refused."""
    shape = _lengths(meta["shape"], 0)
    before = f"{name}/" if name else ""
    if meta["zarr_format"] == 2:
        chunk = _chunk_2(shape, meta)
        separator = _separator(meta.get("dimension_separator", "."))

        def key(index: Shape) -> str:
            return before + (separator.join(map(str, index)) or "0")
    else:
        grid, names = meta["chunk_grid"], meta["chunk_key_encoding"]
        if grid["name"] != "regular" or names["name"] not in ("default", "v2") or meta.get("storage_transformers"):
            raise ValueError("expected a regular grid of chunks with keys of a known form, without transformers")
        outer = _lengths(grid["configuration"]["chunk_shape"], 1)
        chunk = _chunk_3(outer, _type_3(meta["data_type"]), meta["codecs"])
        default = names["name"] == "default"
        separator = _separator(names.get("configuration", {}).get("separator", "/" if default else "."))

        def key(index: Shape) -> str:
            return before + (separator.join([*["c"] * default, *map(str, index)]) or "0")

    if len(chunk.shape) != len(shape):
        raise ValueError(f"expected chunks with the axes of the array, got {chunk.shape} in {shape}")
    return Chunks(store=store, shape=shape, chunk=chunk, key=key, fill=_fill(chunk.dtype, meta.get("fill_value")))


def _lengths(values: Any, least: int) -> Shape:
    if not isinstance(values, list) or len(values) > 32 or any(type(n) is not int or n < least for n in values):
        raise ValueError(f"expected at most 32 lengths of at least {least}, got {values!r:.100}")
    return tuple(values)


def _separator(value: Any) -> str:
    if value not in (".", "/"):
        raise ValueError(f"expected . or / between the parts of a key, got {value!r:.20}")
    return str(value)


def _fill(dtype: np.dtype[Any], value: Any) -> int | None:
    if dtype.kind == "f" or value is None:
        return None
    if type(value) not in (int, bool) and value not in (0.0, 1.0):
        raise ValueError(f"expected an integer as the fill value, got {value!r:.50}")
    return int(np.array(int(value), dtype))  # numpy raises OverflowError


def _chunk_2(shape: Shape, meta: dict[str, Any]) -> Chunk:
    name = meta["dtype"]
    dtype = np.dtype(name) if isinstance(name, str) and name[1:2] in tuple("biuf") else None
    if dtype is None or dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError(f"expected numbers, got the type {name!r:.50}; save an array of numbers")
    chunk, packer = _lengths(meta["chunks"], 1), meta.get("compressor")
    codecs = [*(meta.get("filters") or []), *([packer] if packer else [])]
    names = tuple(str(codec.get("id")) for codec in codecs)
    _check_codecs(names, zarr_codecs.UNPACKERS)
    if meta.get("order", "C") not in ("C", "F"):
        raise ValueError(f"expected the order C or F, got {meta['order']!r:.20}")
    turned = (tuple(reversed(range(len(chunk)))),) if meta.get("order") == "F" else ()
    return Chunk(shape=chunk, dtype=dtype, turned=turned, packers=names)


def _type_3(name: Any) -> np.dtype[Any]:
    if name not in TYPES:
        raise ValueError(f"expected numbers, got the type {name!r:.50}; save an array of numbers")
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype


def _chunk_3(shape: Shape, dtype: np.dtype[Any], codecs: list[dict[str, Any]], inside: bool = False) -> Chunk:
    names = [str(codec["name"]) for codec in codecs]
    known = {"transpose", "bytes", "sharding_indexed", "crc32c", "gzip", "zstd", "blosc"}
    _check_codecs(tuple(names), known)
    middle = [k for k, name in enumerate(names) if name in ("bytes", "sharding_indexed")]
    if len(middle) != 1 or set(names[: middle[0]]) - {"transpose"} or "transpose" in names[middle[0] :]:
        raise ValueError(f"expected codecs in the order transpose, bytes, compressor, got {', '.join(names)}")
    at = middle[0]
    packers = tuple(names[at + 1 :])
    options = codecs[at].get("configuration") or {}
    turned = tuple(_lengths(codec["configuration"]["order"], 0) for codec in codecs[:at])
    if any(sorted(order) != list(range(len(shape))) for order in turned):
        raise ValueError(f"expected orders of {len(shape)} axes, got {turned}")
    if names[at] == "bytes":
        order = {"big": ">", "little": "<"}[options.get("endian") or "little"]
        if len([name for name in packers if name != "crc32c"]) > 1:
            raise ValueError(f"expected at most one compressor, got {', '.join(packers)}")
        return Chunk(shape=shape, dtype=dtype.newbyteorder(order), turned=turned, packers=packers)  # type: ignore[arg-type]
    if inside or packers or turned:
        raise ValueError("expected shards without further codecs around or in them")
    part = _chunk_3(_lengths(options["chunk_shape"], 1), dtype, options["codecs"], inside=True)
    if len(part.shape) != len(shape) or any(n % of for n, of in zip(shape, part.shape, strict=True)):
        raise ValueError(f"expected shards of whole chunks, got {shape} of {part.shape}")
    index = [str(codec["name"]) for codec in options["index_codecs"]]
    little = (options["index_codecs"][0].get("configuration") or {}).get("endian") == "little"
    if index not in (["bytes"], ["bytes", "crc32c"]) or not little:
        raise ValueError(f"expected an index of little-endian bytes with or without crc32c, got {', '.join(index)}")
    return Chunk(
        shape=shape,
        dtype=part.dtype,
        turned=(),
        packers=(),
        parts=part,
        index_first=options.get("index_location", "end") == "start",
        index_checked=len(index) == 2,
    )


def _check_codecs(names: tuple[str, ...], known: Any) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"expected codecs of {', '.join(sorted(known))}, got {', '.join(unknown)}, which is never run")
