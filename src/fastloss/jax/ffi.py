"""Calls from compiled code of XLA into Python, without a copy of the arrays.

XLA calls a C function with a frame that describes its buffers. Here, ctypes makes that function from a Python one, and
the structures below are those of XLA's `c_api.h`. `jax.pure_callback` copies its arguments and its results instead:
value and gradient of 80 MB of logits then take 6 times as long (335 and 53 ms). A version of XLA
that is unknown here gets that way.
"""

from __future__ import annotations

import ctypes
import functools
import math
import sys
import traceback
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from .._arrays import Array

VERSION = (0, 3)  # the version of the structures below
METADATA = 1  # the type of the extension that asks for the version
INVALID_ARGUMENT = 3
HUGE = 4 << 20  # bytes; NumPy also asks for huge pages from here on
MADV_HUGEPAGE = 14
NAMES = {1: "bool", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "uint8", 7: "uint16", 8: "uint32", 9: "uint64"}
NAMES |= {10: "float16", 11: "float32", 12: "float64", 16: "bfloat16"}

Run = Callable[[str, list[Array], list[Array]], None]  # of a key, the arguments, and the results to fill


def _struct(name: str, **fields: Any) -> Any:
    """A structure of the interface, which begins with its size and a pointer to extensions."""
    return type(name, (ctypes.Structure,), {"_fields_": [("size", c_size_t), ("extension", c_void_p), *fields.items()]})


Version = _struct("Version", major=c_int, minor=c_int)
ErrorArgs = _struct("ErrorArgs", message=c_char_p, code=c_int)
Api = _struct("Api", version=Version, internal=c_void_p, error_create=c_void_p)
Buffer = _struct("Buffer", dtype=c_int, data=c_void_p, rank=c_int64, dims=POINTER(c_int64))
Buffers = _struct("Buffers", count=c_int64, types=c_void_p, items=POINTER(POINTER(Buffer)))
Attributes = _struct("Attributes", count=c_int64, types=c_void_p, names=c_void_p, items=POINTER(c_void_p))
Frame = _struct(
    "Frame", api=POINTER(Api), context=c_void_p, stage=c_int, arguments=Buffers, results=Buffers, attributes=Attributes
)


class Span(ctypes.Structure):
    _fields_ = [("start", c_void_p), ("length", c_size_t)]


class Metadata(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("version", Version)]


class Extension(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("type", c_int), ("next", c_void_p), ("metadata", POINTER(Metadata))]


Handler = ctypes.CFUNCTYPE(c_void_p, POINTER(Frame))
kept: list[Any] = []  # the functions that XLA may call


def _array(buffer: Any) -> Array:
    """An array over the memory of a buffer."""
    dtype = np.dtype(jnp.dtype(NAMES[buffer.dtype]))
    shape = tuple(buffer.dims[k] for k in range(buffer.rank))
    count = math.prod(shape)
    if not count:
        return np.empty(shape, dtype)
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(buffer.data)
    return np.frombuffer(memory, np.uint8).view(dtype).reshape(shape)


@functools.cache
def _madvise() -> Any:
    return getattr(ctypes.CDLL(None), "madvise", None) if sys.platform == "linux" else None


def _on_huge_pages(array: Array) -> None:
    """Ask for huge pages for a result that nothing has touched, as NumPy does.

    Without them, value and gradient of 80 MB of logits take 1.9 times as long (101 and 53 ms).
    """
    madvise = _madvise()
    if array.nbytes >= HUGE and madvise is not None:
        first = -(-array.ctypes.data // 4096) * 4096
        madvise(c_void_p(first), c_size_t(array.ctypes.data + array.nbytes - first), MADV_HUGEPAGE)


def _error(frame: Any, message: str) -> Any:
    create = ctypes.CFUNCTYPE(c_void_p, POINTER(ErrorArgs))(frame.api.contents.error_create)
    arguments = ErrorArgs(ctypes.sizeof(ErrorArgs), None, message.encode(), INVALID_ARGUMENT)
    return create(ctypes.byref(arguments))


def _answer(frame: Any) -> None:
    """Answer the question for the version, which XLA asks before it calls."""
    version = frame.api.contents.version
    known = (version.major, version.minor) == VERSION and frame.size >= ctypes.sizeof(Frame)
    extension = ctypes.cast(frame.extension, POINTER(Extension)).contents
    answered = extension.metadata.contents.version
    answered.major, answered.minor = (version.major, version.minor) if known else (-1, -1)  # -1: XLA refuses this way


def _handler(run: Run) -> Any:
    def handle(pointer: Any) -> Any:
        frame = pointer.contents
        try:
            if frame.extension and ctypes.cast(frame.extension, POINTER(Extension)).contents.type == METADATA:
                _answer(frame)
                return None
            key = ctypes.cast(frame.attributes.items[0], POINTER(Span)).contents
            arguments, results = (
                [_array(b.items[k].contents) for k in range(b.count)] for b in (frame.arguments, frame.results)
            )
            for array in results:
                _on_huge_pages(array)
            run(ctypes.string_at(key.start, key.length).decode(), arguments, results)
        except BaseException as error:  # it may not go through the frames of XLA
            return _error(frame, "".join(traceback.format_exception_only(error)).strip())
        return None

    return Handler(handle)


@functools.cache
def _registered(run: Run) -> str | None:
    """The name under which XLA knows a function, or None if its version is unknown here."""
    handler = _handler(run)
    kept.append(handler)
    name = f"fastloss_{run.__name__}"
    capsule: Any = jax.ffi.pycapsule  # it has no types
    try:
        jax.ffi.register_ffi_target(name, capsule(ctypes.cast(handler, c_void_p).value), platform="cpu")
    except Exception:  # XLA has no error of its own for it
        return None
    return name


def call(run: Run, key: str, results: Sequence[jax.ShapeDtypeStruct], *arguments: Any) -> list[Any]:
    """Call `run(key, arguments, results)` from compiled code. It fills the results. vmap calls it once per element."""
    name = _registered(run)
    if name is not None:
        return list(jax.ffi.ffi_call(name, results, vmap_method="sequential")(*arguments, key=key))

    def callback(*given: Any) -> list[Array]:
        filled = [np.empty(r.shape, r.dtype) for r in results]
        run(key, [np.asarray(a) for a in given], filled)
        return filled

    return list(jax.pure_callback(callback, list(results), *arguments, vmap_method="sequential"))
