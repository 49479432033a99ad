"""Unpacks the chunks of Zarr and HDF5 files, each to exactly the promised size and never to more.

The codecs of the `zarr` library unpack whatever a chunk claims. Here each codec knows the size that it must reach.
Only the codecs of UNPACKERS are ever called: none of them runs code from the file, as pickle does.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable

from .stored import BOMB_BYTES

TRUNCATED = "truncated: expected the end of the compressed data"


def crc32c(data: bytes) -> int:
    """Return the checksum (Castagnoli) of the data."""
    import google_crc32c

    return int(google_crc32c.value(data))


def inflate(data: bytes, size: int, bits: int = zlib.MAX_WBITS) -> bytes:
    """Unpack zlib, or gzip with `bits` = 31, which may consist of several members."""
    unpacked = b""
    while data and len(unpacked) <= size:
        unpacker = zlib.decompressobj(bits)
        part = unpacker.decompress(data, size + 1 - len(unpacked))
        if len(part) + len(unpacked) <= size and not unpacker.eof:
            raise ValueError(TRUNCATED)
        unpacked, data = unpacked + part if unpacked else part, unpacker.unused_data if bits == 31 else b""
    return unpacked


def _bz2(data: bytes, size: int) -> bytes:
    return _to_the_end(bz2.BZ2Decompressor(), data, size)


def _lzma(data: bytes, size: int) -> bytes:
    return _to_the_end(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=BOMB_BYTES), data, size)


def _to_the_end(unpacker: bz2.BZ2Decompressor | lzma.LZMADecompressor, data: bytes, size: int) -> bytes:
    unpacked = unpacker.decompress(data, size + 1)
    if len(unpacked) <= size and not unpacker.eof:
        raise ValueError(TRUNCATED)
    return unpacked


def _lz4(data: bytes, size: int) -> bytes:
    from numcodecs import lz4

    _check_promise(size, *struct.unpack_from("<i", data))
    return bytes(lz4.decompress(data))


def _blosc(data: bytes, size: int) -> bytes:
    from numcodecs import blosc

    unpacked, packed = struct.unpack_from("<I4xI", data, 4)
    _check_promise(size, unpacked)
    if packed > len(data):
        raise ValueError(f"truncated: expected {packed} bytes of a chunk, got {len(data)}")
    return bytes(blosc.decompress(data))


def _zstd(data: bytes, size: int) -> bytes:
    from numcodecs import zstd

    claimed = _zstd_size(data)
    if claimed is not None:
        _check_promise(size, claimed)
    elif _zstd_most(data) > max(BOMB_BYTES, 2 * size):
        raise ValueError(f"expected a chunk of {size} bytes, got an archive bomb")
    return bytes(zstd.decompress(data))


def _zstd_header(data: bytes) -> tuple[int, int, int]:
    """Return where the field of the content's size begins, its length, and where the blocks begin (RFC 8878)."""
    if data[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("expected zstd data, got no frame")
    flags = data[4]
    single, start = bool(flags & 32), 5
    start += (not single) + (0, 1, 2, 4)[flags & 3]  # the size of the window, and a dictionary's number
    length = (int(single), 2, 4, 8)[flags >> 6]
    return start, length, start + length


def _zstd_size(data: bytes) -> int | None:
    start, length, _ = _zstd_header(data)
    if length == 0:
        return None
    return int.from_bytes(data[start : start + length], "little") + (256 if length == 2 else 0)


def _zstd_most(data: bytes) -> int:
    """Return the most bytes to which a frame of unknown size can unpack: 128 KiB per compressed block."""
    at, most, last = _zstd_header(data)[2], 0, False
    while not last:
        if at + 3 > len(data):
            raise ValueError("truncated: expected another block of zstd data")
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, length = bool(head & 1), head >> 1 & 3, head >> 3
        most += 2**17 if kind == 2 else length
        at += 3 + (1 if kind == 1 else length)  # one byte that is repeated
    return most


def _check_promise(size: int, claimed: int) -> None:
    if claimed != size:
        raise ValueError(f"expected a chunk that unpacks to {size} bytes, got one that claims {claimed}")


def _lzf(data: bytes, size: int) -> bytes:
    """Unpack LZF, as h5py packs it: runs of up to 32 bytes, and references back to bytes before."""
    unpacked, at = bytearray(), 0
    while at < len(data) and len(unpacked) <= size:
        head = data[at]
        if head < 32:
            unpacked += data[at + 1 : at + head + 2]
            at += head + 2
            continue
        length, at = head >> 5, at + 1
        if length == 7:
            length, at = length + data[at], at + 1
        back, at, length = ((head & 31) << 8 | data[at]) + 1, at + 1, length + 2
        if back > len(unpacked):
            raise ValueError("expected LZF data, got a reference to before their beginning")
        part = bytes(unpacked[-back:][:length])
        unpacked += (part * -(-length // len(part)))[:length]  # it may refer to the bytes that it makes
    if at > len(data):
        raise ValueError(TRUNCATED)
    return bytes(unpacked)


UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "zlib": inflate,
    "gzip": lambda data, size: inflate(data, size, 31),
    "bz2": _bz2,
    "lzma": _lzma,
    "lz4": _lz4,
    "lzf": _lzf,
    "blosc": _blosc,
    "zstd": _zstd,
}


def unpack(codec: str, data: bytes, size: int) -> bytes:
    """Unpack data to exactly this size, or refuse them."""
    unpacked = UNPACKERS[codec](data, size)
    if len(unpacked) != size:
        raise ValueError(
            f"expected a chunk that unpacks to {size} bytes, got {'more' if len(unpacked) > size else len(unpacked)}"
        )
    return unpacked


def checked(data: bytes) -> bytes:
    """Return data without the checksum at their end, which must fit."""
    if len(data) < 4 or crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ValueError("expected a chunk that fits its checksum (crc32c), got another one")
    return data[:-4]
