"""Writes the maps of an audit while its windows come: files of NumPy, or arrays of a Zarr group.

Each image has two maps with the pixel axes of its prediction: `NAME.quality`, float32, and `NAME.suggested`, int16.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..files.errors import FileError, shown
from ..files.stored import Array, Window
from ..files.writing import writing

KINDS: dict[str, np.dtype[Any]] = {"quality": np.dtype(np.float32), "suggested": np.dtype(np.int16)}

Writer = Callable[[Window, dict[str, Array]], None]


class Maps:
    """The maps of all images, in a folder of `.npy` files, or in a group if the name ends in `.zarr`.

    Parameters
    ----------
    path : Path
        The folder. It is made, or it is empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise FileError(f"`maps=`: expected a folder that is new or empty, got {shown(path)}")
            path.mkdir(parents=True, exist_ok=True)
            self._group = _zarr_group(path) if path.suffix == ".zarr" else None

    @contextmanager
    def of_image(self, name: str, shape: tuple[int, ...], first: Window) -> Iterator[Writer]:
        """Make the maps of an image, whose first window decides the chunks of Zarr.

        Files of NumPy get their names at the end of the block. If an error ends it, they are removed.
        """
        with writing(self.path):
            if self._group is None:
                with _numpy_files(self.path, name, shape) as arrays:
                    yield _writer(arrays)
            else:
                yield _writer(_zarr_arrays(self._group, name, shape, first))


def _writer(arrays: dict[str, Any]) -> Writer:
    def write(window: Window, values: dict[str, Array]) -> None:
        for kind, array in arrays.items():
            array[window] = values[kind]

    return write


@contextmanager
def _numpy_files(folder: Path, name: str, shape: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Map files under other names, and give them their own at the end."""
    files = {kind: folder / f"{name}.{kind}.npy" for kind in KINDS}
    hidden = {kind: file.parent / f".fastloss-{secrets.token_hex(8)}.npy" for kind, file in files.items()}
    try:
        arrays: dict[str, Any] = {}
        for kind, dtype in KINDS.items():
            hidden[kind].parent.mkdir(parents=True, exist_ok=True)
            arrays[kind] = np.lib.format.open_memmap(hidden[kind], mode="w+", dtype=dtype, shape=shape)
        yield arrays
        for kind, array in arrays.items():
            array.flush()
            os.replace(hidden[kind], files[kind])
    finally:
        for path in hidden.values():
            with suppress(FileNotFoundError):
                path.unlink()


def _zarr_group(path: Path) -> Any:
    try:
        import zarr
    except ModuleNotFoundError:
        raise FileError(
            f'{shown(path)}: needs zarr, which is not installed; run: pip install "fastloss[zarr]"'
        ) from None
    return zarr.open_group(path, mode="w")


def _zarr_arrays(group: Any, name: str, shape: tuple[int, ...], first: Window) -> dict[str, Any]:
    chunks = tuple(part.stop - part.start for part in first)
    return {
        kind: group.create_array(f"{name}.{kind}", shape=shape, dtype=dtype, chunks=chunks)
        for kind, dtype in KINDS.items()
    }
