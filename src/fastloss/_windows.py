"""Windows: the slices of large arrays that are read one at a time.

The archive cuts the images of files with it, and `_lazy_arrays` cuts lazy arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

WINDOW_BYTES = 16 * 2**20
"""The size of a window that is read at one time, unless a single chunk is larger. With windows of 4 to 64 MiB, a tiled
TIFF of 285 MB took the same time."""

Window = tuple[slice, ...]
"""One slice per axis, with a step of 1 and bounds inside the array."""

Chunks = int | tuple[int, ...]
"""The chunks of one axis: the length that all but the last have, or the length of each."""


def cuts_along_chunks(lengths: Sequence[int], chunks: Sequence[Chunks], pixel_bytes: int) -> list[list[slice]]:
    """Cut the axes into slices of whole chunks, so that a window takes WINDOW_BYTES or consists of one chunk.

    Later axes are cut only if one chunk of the earlier axes is too large, so that windows are contiguous if possible.
    """
    size = list(lengths)
    for axis, own in enumerate(chunks):
        chunk = own if isinstance(own, int) else max(own, default=1)
        rest = math.prod(size) // max(1, size[axis]) * pixel_bytes
        count = max(1, WINDOW_BYTES // max(1, rest * chunk))
        size[axis] = min(size[axis], count * chunk)
        if size[axis] > chunk:
            break
    return [list(_cuts(n, own, step)) for n, own, step in zip(lengths, chunks, size, strict=True)]


def _cuts(length: int, chunks: Chunks, step: int) -> Iterator[slice]:
    if isinstance(chunks, int):
        yield from _even_cuts(0, length, step)
        return
    start = stop = 0
    for chunk in chunks:
        if stop > start and stop + chunk - start > step:
            yield slice(start, stop)
            start = stop
        stop += chunk
    yield slice(start, stop)


def _even_cuts(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(at, min(at + step, stop)) for at in range(start, max(stop, start + 1), max(step, 1)))


def finer_cuts(cuts: Iterable[list[slice]], pixel_bytes: int, most: int) -> list[list[slice]]:
    """Cut the slices of the axes further, also inside of chunks, so that no window takes more than `most` bytes."""
    finer = list(cuts)
    size = [max(s.stop - s.start for s in own) for own in finer]
    for axis, own in enumerate(finer):
        rest = math.prod(size) // max(1, size[axis]) * pixel_bytes
        step = max(1, most // max(1, rest))
        if step < size[axis]:
            finer[axis] = [part for s in own for part in _even_cuts(s.start, s.stop, step)]
            size[axis] = step
    return finer
