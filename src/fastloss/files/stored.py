"""Stored: what a file holds, as its header states it, and a function that reads a part of the values.

Every reader returns a `Stored`. `archive/` decides from it what the axes mean, before anything large is read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from .._windows import Window as Window
from .errors import FileError, shown

Array = np.ndarray[Any, np.dtype[Any]]

BOMB_BYTES = 256 * 2**20
BOMB_RATIO = 500
"""A file is refused if it unpacks to more than BOMB_BYTES and to more than BOMB_RATIO times its size. A saved
prediction compresses by a small factor, whereas deflate reaches 1032 at most, on zeros."""

SPATIAL = ("x", "y", "z")


@dataclass(frozen=True, kw_only=True)
class Source:
    """An open file, as a reader gets it.

    Attributes
    ----------
    path : Path
        The path, for messages and for the files that belong to this one.
    handle : BufferedReader or None
        The open file. None: the path is a folder, and the reader takes folders.
    key : str, default None
        The name of the array, for files that hold several.
    stack : ExitStack
        Whatever the reader opens in addition is entered here. It is closed when the image has been read.
    """

    path: Path
    handle: BufferedReader | None
    key: str | None = None
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def file(self) -> BufferedReader:
        """Return the open file, which only a reader of folders may lack.

        Returns
        -------
        BufferedReader
            The file, opened for reading.
        """
        assert self.handle is not None
        return self.handle

    @property
    def size(self) -> int:
        """Return the size of the open file.

        Returns
        -------
        int
            The size in bytes.
        """
        return os.fstat(self.file.fileno()).st_size


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An array in an open file: the facts in its header, and a function that reads the values.

    Attributes
    ----------
    path : Path
        The file, for messages.
    shape : tuple of int
        The shape of the array as the file has it.
    dtype : dtype
        The type of the values that `read` returns.
    packed : int
        The size of the array in the file, in bytes. A file that unpacks to far more is refused.
    read : callable
        Takes a window, one slice per axis, and returns these values. Several threads may call it at once.
    axes : tuple of str or None, default None
        The name of each axis: "x", "y", "z", "c" for the classes, "t" for time, "rgb" for colours, or None if the
        format does not name it. None: it names no axis.
    spacing : tuple of float, default None
        The distance between neighbouring pixels along each of the axes that are named x, y or z, in their order in
        the array. None: it follows from `affine`, or is not known.
    affine : array, shape (4, 4), default None
        Maps indices to coordinates in space: right, anterior, superior, as in NIfTI, or those of `space`. Column `i`
        belongs to the i-th of the axes that are named x, y or z, in their order in the array.
    space : str, default None
        The name of the coordinate system of `affine`, such as "EPSG:32632". None: the space of a patient, or not known.
    nodata : float, default None
        The value of pixels without data.
    chunks : tuple of int, default None
        The shape of the blocks in which the file can be read. None: each call of `read` reads the whole file, unless it
        is `mapped`.
    sparse : bool, default False
        Whether the format leaves out empty slices at the ends, so that pixels outside of the array are 0.
    ordered : bool, default True
        Whether libraries agree about the order of the slices. If not, only `affine` shows which slice is where.
    mapped : bool, default False
        Whether `read` returns views of the file, without a copy.
    probabilities : bool, default False
        Whether the file is known to hold probabilities.
    names : tuple of str, default None
        The names of the classes, if the file has them.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    packed: int
    read: Callable[[Window], Array]
    axes: tuple[str | None, ...] | None = None
    spacing: tuple[float, ...] | None = None
    affine: Array | None = None
    space: str | None = None
    nodata: float | None = None
    chunks: tuple[int, ...] | None = None
    sparse: bool = False
    ordered: bool = True
    mapped: bool = False
    probabilities: bool = False
    names: tuple[str, ...] | None = None

    @property
    def nbytes(self) -> int:
        """Return the size of the whole array in memory.

        Returns
        -------
        int
            The size in bytes.
        """
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def whole(self) -> Window:
        """Return the window of the whole array.

        Returns
        -------
        tuple of slice
            One slice per axis.
        """
        return tuple(slice(0, n) for n in self.shape)

    def check_bomb(self) -> None:
        """Refuse a file that unpacks to far more than its size.

        Raises
        ------
        FileError
            If the array has more than `BOMB_BYTES`, and more than `BOMB_RATIO` times its size in the file.
        """
        if self.nbytes > BOMB_BYTES and self.nbytes > BOMB_RATIO * self.packed:
            raise FileError(
                f"{shown(self.path)}: expected data that unpack to at most {BOMB_RATIO} times their size, got an "
                f"archive bomb of {self.packed} bytes that unpack to {self.nbytes}; save real data as .npy"
            )


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A family of formats, read by one function. Packages add their own by the entry point `fastloss.readers`.

    Attributes
    ----------
    suffixes : tuple of str
        The ends of the files' names, in lower case, such as ".nii.gz".
    open : callable
        Takes a `Source` and returns a `Stored`. It reads the header only. It may raise any exception; the message then
        follows the name of the file.
    extra : str
        The extra of fastloss that installs the libraries, such as "medical". Empty: none is needed.
    modules : tuple of str
        The modules that must be installed. They are not imported before `open` does so.
    folders : bool
        Whether a folder of such a name is one file, as in Zarr.
    companions : tuple of str
        The ends of the names of files that belong to a file of the same stem, such as ".raw" to ".mhd". They are no
        images of their own.
    """

    suffixes: tuple[str, ...]
    open: Callable[[Source], Stored]
    extra: str = ""
    modules: tuple[str, ...] = ()
    folders: bool = False
    companions: tuple[str, ...] = ()


def whole_file(load: Callable[[], Array]) -> Callable[[Window], Array]:
    """Return the `read` of a format that is read whole.

    The caller reads such a file once per image, and keeps the array.

    Parameters
    ----------
    load : callable
        Returns the whole array.

    Returns
    -------
    callable
        The attribute `read` of a `Stored`.
    """
    return lambda window: load()[window]
