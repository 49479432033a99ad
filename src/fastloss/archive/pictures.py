"""Pictures: finds the picture of an image in a folder, and reads it in the order of the prediction's axes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..files.errors import FileError, shown
from ..files.fitting import Fitted
from ..files.folders import Found, composed, files_in
from ..files.geometry import match_axes
from ..files.opening import opened, reading
from ..files.patterns import ID, compiled
from ..files.registry import open_stored
from ..files.stored import Array, Stored, Window, whole_file
from ..files.views import View

JPEG = (".jpg", ".jpeg")
"""A format of pictures only: it does not keep the values of a prediction or a mask."""

CONVERTED = ("P", "PA", "LA", "RGBA")
"""The modes of PNG whose values are no grey values and no plain colours."""

FIRST_CHANNEL = "_0000"
"""The end of the names of nnU-Net's pictures."""


def find_pictures(where: str | os.PathLike[str], names: Iterable[str]) -> dict[str, Path]:
    """Return the picture of each image that has one.

    Parameters
    ----------
    where : path
        A folder, whose pictures have the names of the images, also with nnU-Net's `_0000`. Or a folder and a pattern
        below it, such as "leftImg8bit/{id}_leftImg8bit.png".
    names : iterable of str
        The names of the images.

    Returns
    -------
    dict of str to Path
        The pictures.

    Raises
    ------
    FileError
        If Pillow is missing, the folder cannot be read, the pattern is wrong, or no image has a picture.
    """
    if find_spec("PIL") is None:
        raise FileError('`images=`: needs pillow, which is not installed; run: pip install "fastloss[report]"')
    folder, text = _split(os.fspath(where))
    found = [_with_jpeg(file) for file in files_in(folder)]
    if text:
        end = Path(text).suffix.lower()
        pattern = compiled(f"{text[: -len(end)]}.*" if end in JPEG else text, "`images=`")
        ids = {pattern.id_of(file): file.path for file in found if end not in JPEG or file.suffix == end}
        pictures = {name: ids[name] for name in map(composed, names) if name in ids}
    else:
        stems = {file.stem: file.path for file in found if file.suffix}
        either = {name: stems.get(name, stems.get(name + FIRST_CHANNEL)) for name in map(composed, names)}
        pictures = {name: path for name, path in either.items() if path is not None}
    if not pictures:
        expected = shown(text) if text else "as the images"
        raise FileError(f"`images=`: expected pictures named {expected} in {shown(folder)}, found none of any image")
    return pictures


def _split(where: str) -> tuple[Path, str]:
    """Split a path into a folder, which must exist, and a pattern, which is empty if there is none."""
    folder, text = Path(where), ""
    if ID in where:
        parts = folder.parts
        first = next(k for k, part in enumerate(parts) if any(sign in part for sign in "{*?"))
        folder, text = Path(*parts[:first]), "/".join(parts[first:])
    if not folder.is_dir():
        raise FileError(f"`images=`: expected a folder of pictures, got {shown(folder)}")
    return folder, text


def _with_jpeg(file: Found) -> Found:
    end = file.path.suffix.lower()
    return replace(file, suffix=end) if end in JPEG else file


def open_picture(path: Path, fitted: Fitted, ignore_geometry: bool, stack: ExitStack) -> View:
    """Open a picture. Its view has the pixel axes of the prediction, and maybe an axis of channels at the end.

    Parameters
    ----------
    path : Path
        The picture.
    fitted : Fitted
        The prediction and its mask.
    ignore_geometry : bool
        Whether only the shapes must fit.
    stack : ExitStack
        Closes the file.

    Returns
    -------
    View
        The picture.

    Raises
    ------
    FileError
        If the picture cannot be read, or does not fit.
    """
    picture = _open(path, stack)
    picture.check_bomb()
    channels = tuple(k for k, name in enumerate(picture.axes or ()) if name in ("c", "rgb"))
    own = tuple(k for k in range(len(picture.shape)) if k not in channels)
    view = fitted.prediction
    pixels = view.order[int(fitted.channels) : len(view.order) - int(fitted.coloured[0])]
    if len(own) != len(pixels) or len(channels) > 1:
        raise FileError(f"{shown(path)}: expected a picture of {len(pixels)} axes, got shape {picture.shape}")
    match = match_axes(view.stored, pixels, picture, own, ignore_geometry)
    flipped = tuple(k for k, flip in enumerate(match.flipped) if flip)
    return View(stored=picture, order=match.order + channels, flipped=flipped)


def read_picture(view: View, window: Window) -> Array:
    """Read a window of the pixels as grey values, or as colours with a last axis of length 3.

    Parameters
    ----------
    view : View
        The picture.
    window : tuple of slice
        The window of the pixels.

    Returns
    -------
    array
        The values of the picture.
    """
    if len(view.order) == len(window):
        return view.read(window)
    count = view.shape[-1]
    values = view.read((*window, slice(0, 3 if count >= 3 else 1)))
    return values if count >= 3 else values[..., 0]


def _open(path: Path, stack: ExitStack) -> Stored:
    """Open a picture. Colours of a palette and transparent ones become RGB, which masks and predictions do not."""
    end = path.suffix.lower()
    if end not in (*JPEG, ".png"):
        return open_stored(path, None, stack)
    handle = stack.enter_context(opened(path))
    with reading(path):
        from PIL.JpegImagePlugin import JpegImageFile
        from PIL.PngImagePlugin import PngImageFile

        kind: Any = JpegImageFile if end in JPEG else PngImageFile
        try:
            image = kind(handle)
        except SyntaxError:
            raise ValueError("expected a JPEG or PNG file, got another format") from None
    if end == ".png" and image.mode not in CONVERTED:
        return open_stored(path, None, stack)

    def load() -> Array:
        with reading(path):
            return np.asarray(image.convert("RGB"))

    return Stored(
        path=path,
        shape=(image.height, image.width, 3),
        dtype=np.dtype(np.uint8),
        packed=os.fstat(handle.fileno()).st_size,
        read=whole_file(load),
        axes=("y", "x", "rgb"),
    )
