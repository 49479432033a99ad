"""Lazy arrays: dask, zarr, xarray and HDF5 arrays as arguments of a call, known by their attributes.

Every call of a loss asks this module, which imports nothing but NumPy. `_lazy_arrays` reads the arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NAMES = ("input", "target", "pixel_weight", "distance_maps")
_ATTRIBUTES = ("shape", "dtype", "chunks", "__getitem__")


def is_lazy(value: Any) -> bool:
    """Whether a value is an array outside of memory, which can be read in parts."""
    if isinstance(value, np.ndarray):
        return False
    if is_xarray(value):  # `chunks` is None for an array in memory, and also for one that a file backs
        return not getattr(value.variable, "_in_memory", True)
    return all(hasattr(value, name) for name in _ATTRIBUTES)


def any_lazy(*values: Any) -> bool:
    """Whether one of the arguments of a call is a lazy array."""
    for value in values:  # noqa: SIM110 (a generator would take longer)
        if type(value) is not np.ndarray and value is not None and is_lazy(value):
            return True
    return False


def refuse_lazy(*values: Any) -> None:
    """Refuse lazy arrays for a gradient, which would be as large as the input."""
    for name, value in zip(NAMES, values, strict=False):
        if type(value) is not np.ndarray and value is not None and is_lazy(value):
            raise TypeError(
                f"{name}: expected an array in memory for a gradient, got a lazy {_kind(value)}; pass "
                f"numpy.asarray({name}), or use dask.array.map_blocks if the loss is a sum over pixels"
            )


def _kind(value: Any) -> str:
    return f"{type(value).__module__.partition('.')[0]} {type(value).__name__}"


def is_xarray(value: Any) -> bool:
    return type(value).__module__.startswith("xarray.") and hasattr(value, "variable")
