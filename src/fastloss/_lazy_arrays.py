"""Reads the lazy arrays of a call window by window. No library of lazy arrays is imported.

`_engine` imports this module on use, because most programs have no lazy arrays, and threads take long to import.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ._ahead import Work, read_ahead
from ._arrays import Array, as_array, as_input
from ._faults import LabelError
from ._lazy import NAMES, is_lazy, is_xarray
from ._windows import WINDOW_BYTES, Chunks, Window, cuts_along_chunks, finer_cuts

LARGE_BYTES = 3 * WINDOW_BYTES
"""The size of the window at work together with those that are read ahead.

It is also the largest window that consists of one chunk for each of several groups of classes. A larger one is cut
inside the chunks, so that each chunk is read several times. A window of more than WINDOW_BYTES is not read ahead: it
takes much memory while it is decoded, and half as large windows would read each chunk twice as often."""
READ_THREADS = 1  # two take as long, because zarr decodes in threads of its own, and need the memory of more windows
DASK_GROUPS = 8


class _Source:
    """One argument of a call: an array in memory, or a lazy array with its chunks."""

    def __init__(self, value: Any, name: str) -> None:
        self.name, self.lazy = name, is_lazy(value)
        self.chunks: tuple[Chunks, ...] | None = None
        if not self.lazy:
            self.value = as_array(value, name)
        elif is_xarray(value) and value.chunks is not None:
            self.value = value.data
        else:
            self.value = value
        self.shape, self.dtype = tuple(self.value.shape), np.dtype(self.value.dtype)
        if not all(isinstance(n, (int, np.integer)) for n in self.shape):
            raise ValueError(
                f"{name}: expected an array of known shape, got {self.shape}; call its compute_chunk_sizes() first"
            )
        if self.lazy:
            self.chunks = _chunks_of(self.value, len(self.shape))

    def stand_in(self) -> Array:
        """An array of the same shape and dtype that takes no memory."""
        return np.broadcast_to(np.zeros((), self.dtype), self.shape)

    def chunk_bytes(self) -> int:
        chunks = self.chunks or ()
        return math.prod(c if isinstance(c, int) else max(c, default=0) for c in chunks) * self.dtype.itemsize

    def load_if_small(self) -> None:
        """Read a small array at once: its chunks may be larger than the windows, which would each read them again."""
        if self.lazy and math.prod(self.shape) * self.dtype.itemsize <= WINDOW_BYTES:
            self.value, self.lazy, self.chunks = self.read(tuple(slice(0, n) for n in self.shape)), False, None

    def read(self, index: Window) -> Array:
        part: Any = self.value[index]
        if self.lazy and hasattr(part, "__dask_graph__"):
            part = part.compute(**_scheduler())
        return as_array(part, self.name)

    def read_by_class(self, index: Window, axis: int) -> Array:
        """Read a window that lies inside of the chunks. Its classes are read in groups of whole chunks.

        Otherwise, zarr would hold the chunks of many classes at one time. dask slices each chunk that it has computed,
        and takes 10 ms per call, so its groups are larger.
        """
        classes = self.shape[axis]
        chunk = classes if self.chunks is None else self.chunks[axis]
        step = chunk if isinstance(chunk, int) else max(chunk)
        if hasattr(self.value, "__dask_graph__"):
            step *= max(1, classes // (DASK_GROUPS * step))
        shape = [classes if k == axis else s.stop - s.start for k, s in enumerate(index)]
        if step >= classes:
            return self.read(index)
        out = np.empty(shape, self.dtype)
        for start in range(0, classes, step):
            own = slice(start, min(start + step, classes))
            out[_at(axis, own, len(shape))] = self.read(_replaced(index, axis, own))
        return out


def _at(axis: int, own: slice, ndim: int) -> Window:
    return tuple(own if k == axis else slice(None) for k in range(ndim))


def _replaced(index: Window, axis: int, own: slice) -> Window:
    return (*index[:axis], own, *index[axis + 1 :])


def _scheduler() -> dict[str, str]:
    """Compute dask's chunks in the thread that reads, unless the caller chose a scheduler or a cluster."""
    base = sys.modules.get("dask.base")
    chosen = base is not None and base.get_scheduler() is not None
    return {} if chosen else {"scheduler": "synchronous"}


def _chunks_of(value: Any, ndim: int) -> tuple[Chunks, ...] | None:
    chunks = value.chunks
    if chunks is None and is_xarray(value):
        preferred = value.encoding.get("preferred_chunks", {})
        chunks = [preferred.get(dim, n) for dim, n in zip(value.dims, value.shape, strict=True)] if preferred else None
    if chunks is None or len(chunks) != ndim:  # stored without chunks, so any part can be read
        return None
    return tuple(max(1, int(c)) if isinstance(c, (int, np.integer)) else tuple(int(n) for n in c) for c in chunks)


@dataclass(frozen=True)
class Part:
    """The arrays of one window, as a call takes them."""

    arrays: tuple[Array | None, ...]
    index: Window  # of the input
    target_index: Window | None
    has_whole_samples: bool  # whether no other window has pixels of these samples
    completes_samples: bool  # whether no later window has pixels of these samples

    @contextmanager
    def located(self) -> Iterator[None]:
        """Let an error state the position in the whole arrays."""
        try:
            yield
        except LabelError as error:
            if self.target_index is not None and len(self.target_index) == len(error.position):
                starts = (s.start or 0 for s in self.target_index)
                moved = tuple(p + start for p, start in zip(error.position, starts, strict=True))
                error.position = moved
                error.args = (error.label, moved, error.classes, error.name, error.ignorable)
            raise
        except (ValueError, TypeError) as error:
            if any(s.start for s in self.index):
                shown = ", ".join(":" if s.start is None else f"{s.start}:{s.stop}" for s in self.index)
                error.add_note(f"The positions are those in input[{shown}].")
            raise


class LazyArrays:
    """The arrays of a call, at least one of which is lazy: input, target, pixel_weight and distance_maps.

    label_map: whether the input may be a label map.
    """

    def __init__(
        self,
        input: Any,
        target: Any,
        pixel_weight: Any = None,
        distance_maps: Any = None,
        *,
        label_map: bool = False,
    ) -> None:
        given = (input, target, pixel_weight, distance_maps)
        self._sources = [None if v is None else _Source(v, name) for v, name in zip(given, NAMES, strict=True)]
        if self._sources[0] is None:
            as_array(input, "input")  # raises
        (as_array if label_map else as_input)(self.stand_ins()[0], "input")

    @property
    def has_maps(self) -> bool:
        """Whether the call has ready-made distance_maps."""
        return self._sources[3] is not None

    def stand_ins(self) -> list[Array | None]:
        """Arrays with the shapes and dtypes of the call that take no memory, for its checks."""
        return [None if s is None else s.stand_in() for s in self._sources]

    def parts(self, class_axes: Sequence[int | None], *, elements: bool, whole: bool) -> Generator[Part, None, None]:
        """Read one window after the other, and a few ahead. The windows of the same samples follow each other.

        Parameters
        ----------
        class_axes : sequence of int or None
            The axes of the input that windows contain whole. None: there are no classes.
        elements : bool
            Whether the loss is one of elements, so that target and weight have the input's axes.
        whole : bool
            Whether a window must contain whole samples.

        Yields
        ------
        Part
            The arrays of a window.
        """
        windows = _Windows(self._sources, class_axes, elements=elements, whole=whole)
        most = LARGE_BYTES if windows.largest <= WINDOW_BYTES else 0
        with closing(read_ahead(windows.works(), READ_THREADS, most)) as parts:
            yield from parts


class _Windows:
    """How the arrays of a call are cut."""

    def __init__(
        self, sources: list[_Source | None], class_axes: Sequence[int | None], *, elements: bool, whole: bool
    ) -> None:
        self.sources, self.elements = sources, elements
        first = sources[0]
        assert first is not None
        self.shape = first.shape
        kept = {axis for axis in class_axes if axis is not None}
        self.class_axis = next(iter(kept), None)
        if whole or len(kept) > 1:  # of two class axes, each is a pixel axis for some of the losses
            kept |= set(range(1, len(self.shape)))
        self.cut = [axis for axis in range(len(self.shape)) if axis not in kept]
        for source in sources[1:]:
            if source is not None and first.lazy:
                source.load_if_small()
        chunks, most = self._chunks()
        lengths = [self.shape[axis] for axis in self.cut]
        pixel_bytes = max(1, sum(map(self._pixel_bytes, sources)))
        along = cuts_along_chunks(lengths, chunks, pixel_bytes)
        self.cuts = finer_cuts(along, pixel_bytes, max(LARGE_BYTES, most))
        self.per_sample = math.prod(len(own) for axis, own in zip(self.cut, self.cuts, strict=True) if axis > 0)
        self.inside = self.cuts != along  # of chunks
        self.pixel_bytes = pixel_bytes
        self.largest = math.prod(max(s.stop - s.start for s in own) for own in self.cuts) * pixel_bytes

    def works(self) -> Iterator[Work[Part]]:
        for number, own in enumerate(itertools.product(*self.cuts), start=1):
            cut = dict(zip(self.cut, own, strict=True))
            index = tuple(cut.get(axis, slice(0, n)) for axis, n in enumerate(self.shape))
            pixels: int = math.prod(s.stop - s.start for s in own)
            completes = number % self.per_sample == 0
            yield Work(partial(self._read, index, completes), pixels * self.pixel_bytes)

    def _chunks(self) -> tuple[list[Chunks], int]:
        """The chunks of the axes that are cut, and the bytes of one chunk: those of the first array that has them."""
        for source in self.sources:
            if source is None or source.chunks is None:
                continue
            axes = list(range(len(self.shape)))
            if source.shape != self.shape:
                axes = self._pixel_axes()
                if source.shape != tuple(self.shape[axis] for axis in axes):  # it is broadcast
                    continue
            by_axis = dict(zip(axes, source.chunks, strict=True))
            return [by_axis[axis] for axis in self.cut], source.chunk_bytes()
        return [1] * len(self.cut), 0

    def _pixel_axes(self) -> list[int]:
        return [axis for axis in range(len(self.shape)) if axis != self.class_axis]

    def _pixel_bytes(self, source: _Source | None) -> int:
        """The bytes of a lazy array that one step on all cut axes holds."""
        if source is None or not source.lazy:
            return 0
        kept: int = math.prod(n for axis, n in enumerate(self.shape) if axis not in self.cut)
        per_class = 1 if self.class_axis is None else max(1, self.shape[self.class_axis])
        return kept // (1 if source.shape == self.shape else per_class) * source.dtype.itemsize

    def _read(self, index: Window, completes: bool) -> Part:
        indices = [self._index_of(source, index) for source in self.sources]
        arrays = tuple(
            None if source is None or own is None else self._array(source, own)
            for source, own in zip(self.sources, indices, strict=True)
        )
        return Part(arrays, index, indices[1], self.per_sample == 1, completes)

    def _array(self, source: _Source, index: Window) -> Array:
        if self.inside and source.lazy and self.class_axis is not None and source.shape == self.shape:
            return source.read_by_class(index, self.class_axis)
        return source.read(index)

    def _index_of(self, source: _Source | None, index: Window) -> Window | None:
        """The index of a window in one array. An axis of length 1 that is broadcast is not cut."""
        if source is None:
            return None
        of_elements = self.elements or len(source.shape) == len(self.shape)
        axes = range(len(self.shape)) if of_elements else self._pixel_axes()
        last = list(axes)[len(axes) - len(source.shape) :]
        return tuple(slice(0, 1) if n == 1 else index[axis] for axis, n in zip(last, source.shape, strict=True))
