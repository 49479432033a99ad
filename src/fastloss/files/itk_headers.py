"""Parses the text headers of NRRD and MetaImage files, and finds the file that holds the data.

`itk.py` calls this module. A header can name any file as its data. Only the file itself and a file in the same folder
are accepted, so that a hostile header cannot make anybody read another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Literal

import numpy as np

from .errors import printable

HEADER_BYTES = 2**20
"""The most bytes of a header. Slicer's headers name every segment and need tens of kilobytes."""

Compression = Literal["", "gzip", "zlib"]


@dataclass(frozen=True, kw_only=True)
class Header:
    """The facts that a header promises. Axes are in the order of the file, the fastest one first."""

    sizes: tuple[int, ...]
    dtype: np.dtype[np.generic]
    components: int | None  # the axis of the components of each pixel
    colours: bool = False  # the components are colours
    time: int | None = None  # the axis of time
    spaced: bool  # the header has a spacing
    oriented: bool  # the header states where the image lies in a patient
    data: str | None  # the name of the file with the data, or None for the file with the header
    start: int  # the byte at which the data start; -1 if they are the last bytes of the file
    compression: Compression


# ---- NRRD

_NRRD_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DOMAIN = ("domain", "space", "time", "none", "???")
_COLOURS = ("rgb-color", "rgba-color")
_COMPONENTS = ("list", "vector", "covariant-vector", "2-vector", "3-vector", "4-vector", *_COLOURS)
_ANATOMICAL = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "lps", "ras", "las")


def nrrd_header(handle: BufferedReader) -> Header:
    """Return what the header of an NRRD file promises (https://teem.sourceforge.net/nrrd/format.html)."""
    start, lines = _nrrd_lines(handle)
    fields: dict[str, str] = {}
    layers = False
    for line in lines:
        key, _, value = line.partition(":")
        key = key.lower().replace(" ", "").replace("\t", "")
        if value.startswith("=") and key != "datafile":  # a key of a program
            layers = layers or key.endswith("_layer")
        elif key in fields:
            raise ValueError(f"expected each field once, got `{printable(key)}` twice")
        else:
            fields[key] = value.strip()

    sizes = _whole_numbers(fields, "sizes")
    if _integer(fields, "dimension") != len(sizes):
        raise ValueError(f"expected as many sizes as `dimension`, got {len(sizes)}")
    kinds = fields.get("kinds", "none " * len(sizes)).lower().split()
    if len(kinds) != len(sizes):
        raise ValueError(f"expected one kind per axis ({len(sizes)}), got {len(kinds)}")
    parts = [axis for axis, kind in enumerate(kinds) if kind not in _DOMAIN]
    if len(parts) > 1 or not {kinds[axis] for axis in parts} <= set(_COMPONENTS):
        got = printable(", ".join(kinds[axis] for axis in parts))
        raise ValueError(f"expected axes in space, and at most one list, vector or colour, got {got}")
    times = [axis for axis, kind in enumerate(kinds) if kind == "time"]
    if len(times) > 1:
        raise ValueError("expected one axis of time at most, got several")
    if layers and parts and sizes[parts[0]] > 1:
        raise ValueError("expected labels, got layers of segments that overlap; save it with one layer")
    compression = _nrrd_compression(fields)
    return Header(
        sizes=sizes,
        dtype=_nrrd_dtype(fields),
        components=parts[0] if parts else None,
        colours=bool(parts) and kinds[parts[0]] in _COLOURS,
        time=times[0] if times else None,
        spaced="spacings" in fields or "spacedirections" in fields,
        oriented="spacedirections" in fields
        and (fields.get("space", "").lower() in _ANATOMICAL or fields.get("spacedimension") == "2"),  # a plane of ITK
        data=_plain_name(fields["datafile"]) if "datafile" in fields else None,
        start=_nrrd_start(fields, 0 if "datafile" in fields else start, compression),
        compression=compression,
    )


def _nrrd_lines(handle: BufferedReader) -> tuple[int, list[str]]:
    """Return where the header ends, and its lines. It ends with an empty line, or with the file."""
    head = _head(handle)
    if not re.match(rb"NRRD000[1-6]\r?\n", head):
        raise ValueError("expected an NRRD file, got another format")
    end = re.search(rb"\n\r?\n", head)
    if end is None and len(head) == HEADER_BYTES:
        raise ValueError(f"expected a header of at most {HEADER_BYTES} bytes, got a longer one")
    text = head if end is None else head[: end.start()]
    lines = [line.removesuffix("\r") for line in _text(text).split("\n")[1:]]
    return len(head) if end is None else end.end(), [line for line in lines if line.strip() and line[0] != "#"]


def _nrrd_dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    name = " ".join(_need(fields, "type").lower().split())
    code = next((code for code, names in _NRRD_TYPES.items() if name in names), None)
    if code is None:
        raise ValueError(f"expected a type of integers or floats, got {printable(name)}")
    endian = fields.get("endian", "little" if code[1] == "1" else "none").lower()
    if endian not in ("little", "big"):
        raise ValueError(f"expected `endian` little or big, got {printable(endian)}")
    return np.dtype(code).newbyteorder("<" if endian == "little" else ">")


def _nrrd_compression(fields: dict[str, str]) -> Compression:
    encoding = _need(fields, "encoding").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise ValueError(f"expected the encoding raw or gzip, got {printable(encoding)}")
    return "" if encoding == "raw" else "gzip"


def _nrrd_start(fields: dict[str, str], start: int, compression: Compression) -> int:
    lines, skip = (_integer(fields, key, "0") for key in ("lineskip", "byteskip"))
    if lines or skip < -1 or (skip and compression):
        raise ValueError("expected `line skip` 0, and `byte skip` 0 or, for raw data, at least -1, got another number")
    return -1 if skip == -1 else start + skip


# ---- MetaImage

_META_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_META_KEY = re.compile(r"(?!.*ElementDataFile)[^:]{1,200}", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?", re.ASCII)
_META_NUMBERS: dict[str, int] = (  # each has NDims ** value numbers; MetaIO prints to stderr if one has not
    dict.fromkeys(("TransformMatrix", "Rotation", "Orientation"), 2)
    | dict.fromkeys(("Offset", "Position", "Origin", "CenterOfRotation", "ElementSpacing", "ElementSize"), 1)
    | dict.fromkeys(("DimSize", "SequenceID"), 1)
    | dict.fromkeys(("ID", "ParentID", "CompressedDataSize", "HeaderSize", "ElementNBits"), 0)
    | dict.fromkeys(("ElementNumberOfChannels", "ElementMin", "ElementMax"), 0)
    | dict.fromkeys(("ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset"), 0)
)


def meta_header(handle: BufferedReader) -> Header:
    """Return what the header of a MetaImage promises (https://itk.org/Wiki/ITK/MetaIO/Documentation)."""
    head = _head(handle)
    end = re.search(rb"^ElementDataFile[ \t]*=([^\n]*)(\n|\Z)", head, re.MULTILINE)
    if end is None:
        raise ValueError(f"expected a MetaImage with `ElementDataFile` in {HEADER_BYTES} bytes, got another format")
    fields: dict[str, str] = {}
    for line in _text(head[: end.start()]).split("\n"):
        key, equals, value = (part.strip() for part in line.removesuffix("\r").partition("="))
        if not key and not equals:
            continue
        # MetaIO would also split a line at a colon.
        if not equals or not _META_KEY.fullmatch(key) or key in fields or len(value) > 4000:
            raise ValueError(f"expected lines of the form `key = value`, each key once, got {printable(line[:80])!r}")
        fields[key] = value

    dimensions, sizes = _integer(fields, "NDims"), _whole_numbers(fields, "DimSize")
    if fields.get("ObjectType", "Image") != "Image" or dimensions != len(sizes):
        raise ValueError("expected an Image with `NDims` sizes, got another object or another number of sizes")
    numbers = [key for key in fields if key in _META_NUMBERS]
    if any(_META_NUMBERS[key] and list(fields).index(key) < list(fields).index("NDims") for key in numbers):
        raise ValueError("expected `NDims` before the fields that have as many numbers, got it after one")
    for key in numbers:
        count = dimensions ** _META_NUMBERS[key]
        if [bool(_NUMBER.fullmatch(number)) for number in fields[key].split()] != [True] * count:
            raise ValueError(f"expected {count} finite numbers in `{key}`, got {printable(fields[key])[:80]!r}")
    channels = _integer(fields, "ElementNumberOfChannels", "1")
    if channels < 1:
        raise ValueError(f"expected at least one channel, got {channels}")
    compressed, skip = _true(fields, "CompressedData", False), _integer(fields, "HeaderSize", "0")
    if not _true(fields, "BinaryData", True):
        raise ValueError("expected binary data, got text")
    if skip < -1 or (skip and compressed):
        raise ValueError(f"expected `HeaderSize` 0 or, for raw data, at least -1, got {skip}")
    target = _text(end[1]).strip()
    local = target.lower() == "local"
    start = end.end() if local and skip == 0 else skip
    return Header(
        sizes=(channels, *sizes) if channels > 1 else sizes,
        dtype=_meta_dtype(fields),
        components=0 if channels > 1 else None,
        spaced=not {"ElementSpacing", "ElementSize"}.isdisjoint(fields),
        oriented=not {"TransformMatrix", "Rotation", "Orientation"}.isdisjoint(fields),
        data=None if local else _plain_name(target),
        start=start,
        compression="zlib" if compressed else "",
    )


def _meta_dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    code = _META_TYPES.get(_need(fields, "ElementType"))
    if code is None:
        raise ValueError(f"expected an ElementType of {', '.join(_META_TYPES)}, got {printable(fields['ElementType'])}")
    orders = {_true(fields, key, False) for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if key in fields}
    if len(orders) == 2:
        raise ValueError("expected one byte order, got two that differ")
    return np.dtype(code).newbyteorder(">" if True in orders else "<")


def _true(fields: dict[str, str], key: str, default: bool) -> bool:
    value = fields.get(key, str(default)).lower()
    if value not in ("true", "false", "1", "0"):
        raise ValueError(f"expected `{key}` True or False, got {printable(value)}")
    return value in ("true", "1")


# ---- both


def _head(handle: BufferedReader) -> bytes:
    handle.seek(0)
    return handle.read(HEADER_BYTES)


def _text(raw: bytes) -> str:
    """Decode a part of a header. Control characters are refused: libraries differ in what they do with them."""
    if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|\Z)", raw):
        raise ValueError("expected a header of text, got control characters")
    return raw.decode("utf-8", "surrogateescape")


def _need(fields: dict[str, str], key: str) -> str:
    if key not in fields:
        raise ValueError(f"expected the field `{key}` in the header, got none")
    return fields[key]


def _integer(fields: dict[str, str], key: str, default: str | None = None) -> int:
    text = _need(fields if default is None else {key: default} | fields, key)
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError(f"expected a whole number in `{key}`, got {printable(text)[:80]!r}")
    return int(text)


def _whole_numbers(fields: dict[str, str], key: str) -> tuple[int, ...]:
    texts = _need(fields, key).split()
    if not texts or not all(re.fullmatch(r"[0-9]{1,18}", text) and int(text) > 0 for text in texts):
        raise ValueError(f"expected positive whole numbers in `{key}`, got {printable(fields[key])[:80]!r}")
    return tuple(int(text) for text in texts)


def _plain_name(name: str) -> str:
    """Return the name of the file with the data. A list, a pattern or the path to another folder is refused."""
    if not name or name in (".", "..", "-") or re.search(r"[/\\%:]", name) or name.upper().startswith("LIST"):
        raise ValueError(
            "expected data in this file or in one file of the same folder, which the header names without a folder, "
            f"got {printable(name)[:80]!r}"
        )
    return name


def data_path(path: Path, name: str) -> Path:
    """Return the path of the file with the data. A link that leaves the folder is refused."""
    data = path.with_name(name)
    folders = (path.parent.resolve(), path.resolve().parent)
    if data.is_symlink() and data.resolve().parent not in folders:
        raise ValueError(f"expected data in the same folder, got {printable(name)}, a link to another folder")
    return data
