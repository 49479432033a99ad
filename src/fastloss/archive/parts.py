"""Parts: the windows of the images of a work list, read ahead in a few threads, in order.

The worker that evaluates takes images from here, and so does the audit of labels. An error comes in its turn, as a
part like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from .._ahead import Work, read_ahead
from .._faults import LabelError
from ..files.errors import FileError, shown
from ..files.pairing import Pair
from ..files.stored import Window
from .images import Image, Reading, open_image
from .meaning import Arrays, bad_prediction


@dataclass(frozen=True)
class Part:
    """A window of an image that was read, or the error in its place."""

    image: Image | None
    window: Window
    arrays: Arrays | FileError
    last: bool  # whether it is the image's last part

    def read(self) -> tuple[Image, Arrays]:
        """Return the image and the arrays, or raise the error."""
        if self.image is None or isinstance(self.arrays, FileError):
            assert isinstance(self.arrays, FileError)
            raise self.arrays
        return self.image, self.arrays


def open_checked(pair: Pair, how: Reading, check: Callable[[Image], None], *, whole: bool) -> Image:
    """Open an image and check it. One that is refused is closed again."""
    image = open_image(pair, how, whole=whole)
    try:
        check(image)
    except FileError:
        image.stack.close()
        raise
    return image


class Parts:
    """The parts of all images, and their open files. The end of a `with` block closes what is still open."""

    def __init__(self, work: Sequence[tuple[int, Pair]], opened: Callable[[Pair], Image], threads: int):
        """Take the pairs with their positions in the work list.

        `opened` opens an image and checks it.
        """
        self._files: dict[int, ExitStack] = {}
        self._parts: Generator[Part, None, None] = read_ahead(self._works(work, opened), threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._parts.close()
        for index in list(self._files):
            self.close(index)

    def of_next_image(self) -> Iterator[Part]:
        """Yield all parts of the next image."""
        for part in self._parts:
            yield part
            if part.last:
                return

    def close(self, index: int) -> None:
        """Close the files of an image."""
        if index in self._files:
            self._files.pop(index).close()

    def _works(self, work: Sequence[tuple[int, Pair]], opened: Callable[[Pair], Image]) -> Iterator[Work[Part]]:
        """Open the images one by one, and yield their windows as work for the threads that read."""
        for index, pair in work:
            try:
                image = opened(pair)
                self._files[index] = image.stack
            except FileError as error:
                yield Work(partial(_failed, error), 0)
                continue
            for k, window in enumerate(image.windows, 1):
                yield Work(partial(_read, image, window, k == len(image.windows)), image.nbytes(window))


def _read(image: Image, window: Window, last: bool) -> Part:
    try:
        return Part(image, window, image.read(window), last)
    except FileError as error:
        return Part(image, window, error, last)


def _failed(error: FileError) -> Part:
    return Part(None, (), error, True)


@contextmanager
def naming(image: Image, window: Window) -> Iterator[None]:
    """Name the files in an error of the library about their arrays."""
    try:
        yield
    except LabelError as error:
        raise FileError(_bad_label(image, window, error)) from error
    except FileError:
        raise
    except (ValueError, TypeError) as error:
        files = f"{shown(image.pair.prediction)} with {shown(image.pair.target)}"
        starts = tuple(part.start for part in window)
        where = f"; positions are those in the window from {starts} on" if any(starts) else ""
        raise FileError(f"{files}: {error}{where}") from error


def _bad_label(image: Image, window: Window, error: LabelError) -> str:
    if error.name == "input":
        place = image.fitted.prediction.place(error.position[1:], window)
        return bad_prediction(shown(image.pair.prediction), error.classes, error.label, place)
    place = image.fitted.target.place(error.position[1:], window)  # leave out the sample axis, which the file lacks
    binary = "; if it is the foreground, save it as 1" if error.classes == 2 and error.label > 0 else ""
    return (
        f"{shown(image.pair.target)}: expected labels in 0..{error.classes - 1}, got {error.label} at {place}; "
        f"if it marks pixels to leave out, give `ignore_index={error.label}`{binary}"
    )
