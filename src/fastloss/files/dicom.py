"""Reads DICOM SEG (`.dcm`), the segmentations of DICOM, by pydicom and highdicom.

Writers leave out empty frames, and store frames in any order. So each frame is put where its plane position is, and
frames that are missing are zeros. Slices that are missing at either end cannot be known: the array ends there.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from threading import Lock
from typing import Any

import numpy as np

from .errors import printable
from .stored import Array, Reader, Source, Stored, whole_file

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # the second holds label maps
UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")  # little endian
RLE = "1.2.840.10008.1.2.5"
MOST_SLICES = 2**16
"""Two hostile positions can be any distance apart. A CT of a whole body has some 2000 slices."""

PIXEL_TAGS = ["Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel",
              "PixelRepresentation", "PhotometricInterpretation", "PixelData"]  # fmt: skip
TAGS = [*PIXEL_TAGS[:-1], "SOPClassUID", "Modality", "SegmentationType", "MaximumFractionalValue", "SegmentSequence",
        "PixelPaddingValue", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
        "TotalPixelMatrixRows"]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Where the frames belong."""

    segments: tuple[int, ...]  # the index of the segment, per frame
    slices: tuple[int, ...]  # the index of the slice, per frame
    depth: int  # the number of slices
    affine: Array | None


def _open(source: Source) -> Stored:
    with _quiet():  # pydicom converts an element, and warns, when it is first used
        return _stored(source)


def _stored(source: Source) -> Stored:
    syntax = _transfer_syntax(source)
    header = _dataset(source, TAGS, stop_before_pixels=True)
    if header.get("SOPClassUID") not in SEGMENTATIONS:
        got = printable(str(header.get("Modality", "another kind")))[:40]
        raise ValueError(f"expected a DICOM SEG, which holds segmentations, got {got}; DICOM images are not read")
    if syntax not in (*UNCOMPRESSED, RLE):
        raise ValueError(f"expected uncompressed or RLE data in little endian, got {printable(_name(syntax))}")
    kind, bits = str(_need(header, "SegmentationType")), int(_need(header, "BitsAllocated"))
    rows, columns = int(_need(header, "Rows")), int(_need(header, "Columns"))
    count = int(header.get("NumberOfFrames") or 1)
    _check_pixels(header, kind, bits, syntax)
    if min(rows, columns, count) < 1:
        raise ValueError(f"expected at least one frame, row and column, got {count}, {rows} and {columns}")
    promised = (count * rows * columns * bits + 7) // 8
    if syntax != RLE and promised > source.size:
        raise ValueError(f"truncated: expected {promised} bytes of data, got a file of {source.size}")

    labels = _segments(header)
    frames = _frames(header, kind, list(labels), count)
    many = kind != "LABELMAP" and len(labels) > 1
    shape = (*((len(labels),) if many else ()), frames.depth, rows, columns)
    dtype = np.dtype({"BINARY": np.uint8, "FRACTIONAL": np.float32}.get(kind, np.uint8 if bits == 8 else np.uint16))
    most = int(_need(header, "MaximumFractionalValue")) if kind == "FRACTIONAL" else 0
    if kind == "FRACTIONAL" and not 1 <= most <= 255:
        raise ValueError(f"expected MaximumFractionalValue from 1 to 255, got {most}")

    def load() -> Array:
        values = np.zeros(shape, dtype)
        volumes = values if many else values[np.newaxis]
        with _quiet():  # one thread at a time, because all move the same file's position
            pixels = _dataset(source, PIXEL_TAGS)
            for frame, segment, at in zip(
                _pixels(pixels, syntax, promised), frames.segments, frames.slices, strict=True
            ):
                if kind == "FRACTIONAL" and frame.max() > most:
                    raise ValueError(f"expected values up to MaximumFractionalValue ({most}), got {frame.max()}")
                # NumPy 1 would divide uint8 by a scalar of float32 in float16.
                volumes[segment, at] = frame.astype(np.float32) / np.float32(most) if kind == "FRACTIONAL" else frame
        return values

    return Stored(
        path=source.path,
        shape=shape,
        dtype=dtype,
        packed=source.size,
        read=whole_file(load),
        axes=(*(("c",) if many else ()), "z", "y", "x"),
        affine=frames.affine,
        sparse=True,
        ordered=frames.depth == 1,  # highdicom orders slices against the normal, others along it
        probabilities=kind == "FRACTIONAL",
        names=tuple(labels.values()) if many else None,
    )


# ---- the header


class _Bounded:
    """A file whose `read` never allocates more than the file has, whatever length an element claims."""

    def __init__(self, handle: BufferedReader, size: int) -> None:
        self.seek, self.tell, self._read, self._size = handle.seek, handle.tell, handle.read, size

    def read(self, size: int = -1) -> bytes:
        return self._read(min(size, self._size) if size >= 0 else -1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore the warnings of pydicom, which would print to the terminal what the file contains."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_ONE_AT_A_TIME = Lock()  # the filters of warnings belong to all threads


def _transfer_syntax(source: Source) -> str:
    """Return how the rest of the file is encoded. It is checked first: pydicom would inflate a deflated file whole."""
    from pydicom.filereader import read_dataset

    file = source.file
    file.seek(0)
    if file.read(132)[128:] != b"DICM":
        raise ValueError("expected a DICOM file, got another format")
    bounded: Any = _Bounded(file, source.size)
    meta = read_dataset(bounded, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax.endswith(".99"):
        raise ValueError("expected uncompressed or RLE data, got a deflated file")
    return syntax


def _dataset(source: Source, tags: list[str], stop_before_pixels: bool = False) -> Any:
    from pydicom import dcmread

    source.file.seek(0)
    bounded: Any = _Bounded(source.file, source.size)
    return dcmread(bounded, specific_tags=list(tags), stop_before_pixels=stop_before_pixels)


def _need(dataset: Any, name: str) -> Any:
    value = dataset.get(name)
    if value is None:
        raise ValueError(f"expected {name} in the file, got none")
    return value


def _name(syntax: str) -> str:
    from pydicom.uid import UID

    return UID(syntax).name if syntax else "none"


def _check_pixels(header: Any, kind: str, bits: int, syntax: str) -> None:
    allowed = {"BINARY": (1,), "FRACTIONAL": (8,), "LABELMAP": (8, 16)}.get(kind, ())
    if bits not in allowed or (header.get("SamplesPerPixel"), header.get("PixelRepresentation")) != (1, 0):
        raise ValueError(f"expected a segmentation of 1 bit, 8 bits or labels, got {printable(kind)} of {bits} bits")
    if kind == "BINARY" and syntax == RLE:
        raise ValueError("expected uncompressed data of 1 bit, got RLE, which DICOM does not define for them")
    if kind == "LABELMAP" and header.get("PixelPaddingValue", 0) != 0:
        raise ValueError(f"expected the background 0, got {int(header.PixelPaddingValue)}")
    if "TotalPixelMatrixRows" in header:
        raise ValueError("expected slices, got tiles of a microscope's slide")


def _segments(header: Any) -> dict[int, str]:
    """Return the labels by the segments' numbers, in order."""
    items = _need(header, "SegmentSequence")
    found = [(int(_need(item, "SegmentNumber")), printable(str(item.get("SegmentLabel", "")))) for item in items]
    if not found or len(dict(found)) < len(found):
        raise ValueError("expected segments, each with a number of its own, got none or a number twice")
    return dict(sorted(found))


# ---- where the frames belong


def _frames(header: Any, kind: str, numbers: list[int], count: int) -> Frames:
    shared: Any = next(iter(header.get("SharedFunctionalGroupsSequence") or ()), {})
    groups: list[Any] = list(header.get("PerFrameFunctionalGroupsSequence") or ({},) * (count == 1))
    if len(groups) != count:
        raise ValueError(f"expected the positions of {count} frames, got {len(groups)}")

    def facts(sequence: str, name: str) -> list[Any]:
        """Return a fact per frame, or None. It is in the group of the frame, or in the one that all share."""
        items = [group.get(sequence) or shared.get(sequence) for group in groups]
        return [item[0].get(name) if item else None for item in items]

    def common(sequence: str, name: str, length: int) -> tuple[float, ...] | None:
        """Return a fact that all frames share, or None."""
        found = {None if fact is None else _numbers(fact, length) for fact in facts(sequence, name)}
        if len(found) > 1:
            raise ValueError(f"expected one {name}, got several")
        return found.pop()

    if kind == "LABELMAP":
        segments = [0] * count
    else:
        named = facts("SegmentIdentificationSequence", "ReferencedSegmentNumber")
        if not set(named) <= set(numbers):
            raise ValueError(f"expected frames of the segments {numbers[:10]}, got one of another segment, or of none")
        segments = [numbers.index(n) for n in named]
    positions = [_numbers(fact, 3) for fact in facts("PlanePositionSequence", "ImagePositionPatient") if fact]
    orientation = common("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    pixels = common("PixelMeasuresSequence", "PixelSpacing", 2)
    step = common("PixelMeasuresSequence", "SpacingBetweenSlices", 1)
    thickness = common("PixelMeasuresSequence", "SliceThickness", 1)
    if orientation is None or pixels is None or len(positions) < count:
        raise ValueError("expected ImagePositionPatient, ImageOrientationPatient and PixelSpacing, got none")
    slices, affine = _stacked(positions, orientation, pixels, step, thickness, (int(header.Rows), int(header.Columns)))
    if len(set(zip(segments, slices, strict=True))) < count:
        raise ValueError("expected one frame per segment and position, got several")
    return Frames(segments=tuple(segments), slices=tuple(slices), depth=max(slices) + 1, affine=affine)


def _stacked(
    positions: list[tuple[float, ...]],
    orientation: tuple[float, ...],
    pixels: tuple[float, ...],
    step: tuple[float, ...] | None,
    thickness: tuple[float, ...] | None,
    size: tuple[int, int],
) -> tuple[list[int], Array | None]:
    """Return the slice of each frame, and the affine of the axes z, y and x.

    Without SpacingBetweenSlices, no slice may be missing, because the smallest distance may be that of two slices with
    a gap between them.
    """
    from highdicom import VolumeGeometry
    from highdicom.spatial import get_volume_positions

    hint = abs(step[0]) if step and step[0] else None
    spacing, slices = get_volume_positions(
        positions,
        orientation,
        allow_missing_positions=hint is not None,
        allow_duplicate_positions=True,
        spacing_hint=hint,
    )
    if slices is None or spacing is None or max(slices) >= MOST_SLICES:
        raise ValueError("expected parallel frames at regular distances, got others, or no SpacingBetweenSlices")
    if len(set(slices)) == 1 and hint is None:
        if not thickness or thickness[0] <= 0:
            return slices, None
        spacing = thickness[0]
    affine = VolumeGeometry.from_attributes(
        image_position=positions[slices.index(0)],
        image_orientation=orientation,
        rows=size[0],
        columns=size[1],
        pixel_spacing=pixels,
        number_of_frames=max(slices) + 1,
        spacing_between_slices=spacing,
        coordinate_system="PATIENT",
    ).affine
    return slices, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # DICOM's space is (left, posterior, superior)


def _numbers(fact: Any, length: int) -> tuple[float, ...]:
    found = tuple(float(number) for number in (fact if length > 1 else (fact,)))
    if len(found) != length or not all(math.isfinite(number) for number in found):
        raise ValueError(f"expected {length} finite numbers for a position, orientation or spacing, got others")
    return found


# ---- the pixels


def _pixels(dataset: Any, syntax: str, promised: int) -> Iterator[Array]:
    """Return the frames one by one."""
    if syntax == RLE:
        from pydicom.pixels import get_decoder  # type: ignore[attr-defined]

        try:
            yield from (frame for frame, _ in get_decoder(RLE).iter_array(dataset))
        except RuntimeError as error:  # the message lists what each decoder raised
            raise ValueError(" ".join(str(error).rpartition("pydicom: ")[2].split())) from None
        return
    data = np.frombuffer(_need(dataset, "PixelData"), np.uint8)
    if data.size < promised:
        raise ValueError(f"truncated: expected {promised} bytes of data, got {data.size}")
    rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
    for start in range(0, int(dataset.get("NumberOfFrames") or 1) * rows * columns, rows * columns):
        stop = start + rows * columns
        if bits == 1:  # a frame may start within a byte
            unpacked = np.unpackbits(data[start // 8 : (stop + 7) // 8], bitorder="little")
            frame = unpacked[start % 8 : start % 8 + rows * columns]
        else:
            frame = data[start * bits // 8 : stop * bits // 8].view(f"<u{bits // 8}")
        yield frame.reshape(rows, columns)


READERS = (Reader(suffixes=(".dcm",), open=_open, extra="medical", modules=("pydicom", "highdicom")),)
