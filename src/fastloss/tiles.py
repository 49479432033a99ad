"""Tiles: the losses and metrics of images that come in tiles, equal to those of the whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from ._engine.loss import Loss
from ._engine.measure import Measure
from ._engine.passes import OpenSums, OpenTotal, Passes
from ._lazy import any_lazy
from .results import Report, closed


class Tiles:
    """Compute many losses and metrics of an image from its tiles.

    The sums of the image stay open until the `with` block ends or `close` is called. So a loss per image, such as
    `DiceLoss`, gets the value of the whole image, and not a mean over tiles. Tiles may have any shapes and come in any
    order. The values have the same bits in any order. They equal those of the whole image to 1e-12 for float64 and to
    1e-6 for float32.

    Every pixel must be in one tile. A pixel in two tiles counts twice: crop overlapping tiles, or give the pixels that
    another tile contains a `pixel_weight` of 0.

    Parameters
    ----------
    losses : mapping of name to loss or metric
        The losses, each with reduction "mean" or "sum", and metrics. One that needs a whole image, such as
        `BoundaryLoss`, is refused.
    image : str or sequence of str, default None
        The name of the image, or the names of the images if a tile has several samples. None: they have no names.
    ignore_index : int or sequence of int, default None
        The label, or labels, whose pixels do not count; see `evaluate`.
    num_classes : int, default None
        The number of classes, if the tiles of the input are label maps.

    Raises
    ------
    ValueError
        If there is no loss, a loss has reduction "none", or a loss needs whole images.
    TypeError
        If `losses` is not a mapping of names to losses, or `image` does not consist of names.

    See Also
    --------
    evaluate : Computes the losses of whole images.
    Report : The result, which merges with `+`.

    Examples
    --------
    >>> import fastloss as fl, numpy as np
    >>> x = np.array([[[2.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    >>> y = np.array([[0, 1, 1]])
    >>> with fl.Tiles({"dice": fl.DiceLoss()}, image="scene7") as tiles:
    ...     tiles.add(x[:, :, :2], y[:, :2])
    ...     tiles.add(x[:, :, 2:], y[:, 2:])
    >>> tiles.report.images
    ('scene7',)
    >>> bool(np.isclose(tiles.report["dice"], fl.DiceLoss()(x, y), rtol=1e-12))
    True
    """

    def __init__(
        self,
        losses: Mapping[str, Measure],
        image: str | Sequence[str] | None = None,
        *,
        ignore_index: int | Sequence[int] | None = None,
        num_classes: int | None = None,
    ) -> None:
        _refuse_whole(losses)
        self._passes = Passes(losses, ignore_index, num_classes)
        self._names = _names(image)
        self._total = OpenTotal()
        self._first: OpenSums | None = None
        self._report: Report | None = None
        self._failed = False

    def add(self, input: Any, target: Any, /, *, pixel_weight: Any = None) -> None:
        """Add a tile.

        If a check fails, the tile does not count, and further tiles may follow.

        Parameters
        ----------
        input : array, shape (N, C, *S) or (N, *S)
            The input of the losses in this tile, or for metrics a label map. N is the number of images, and the same
            for all tiles.
        target : array, shape (N, *S) or (N, C, *S)
            The labels or the dense target of this tile.
        pixel_weight : array, default None
            The weights of the pixels of this tile; see `evaluate`.

        Raises
        ------
        LabelError
            If a label is neither a class nor ignored.
        ValueError
            If a shape does not fit, the number of images or classes differs from that of the first tile, or the tiles
            are closed.
        TypeError
            If an array has the wrong dtype.
        """
        if self._report is not None or self._failed:
            raise ValueError("tiles: expected open tiles, got closed ones; make new Tiles for the next image")
        sums = self._sums(input, target, pixel_weight)
        if self._names is not None and sums.samples != len(self._names):
            raise ValueError(f"input: expected one image per name, got {sums.samples} for {_shown(self._names)}")
        first = self._first or sums
        for what, expected, got in (
            ("images", first.samples, sums.samples),
            ("classes", first.classes, sums.classes),
        ):
            if got != expected:
                raise ValueError(f"input: expected as many {what} as in the first tile, {expected}, got {got}")
        self._first = first
        self._total.add(sums)

    def _sums(self, input: Any, target: Any, pixel_weight: Any) -> OpenSums:
        if any_lazy(input, target, pixel_weight):
            return OpenSums.joined(list(self._passes.sums_of_lazy(input, target, pixel_weight)))
        return self._passes.sums(input, target, pixel_weight)

    def close(self) -> Report:
        """Close the image. The end of a `with` block also closes it.

        Returns
        -------
        Report
            The report of the image. A second call returns the same report.

        Raises
        ------
        ValueError
            If there is no tile, or an error ended the `with` block.
        """
        if self._failed:
            raise ValueError("tiles: expected a report of all tiles, but an error ended the `with` block")
        if self._report is None:
            if self._first is None:
                raise ValueError("tiles: expected at least one tile, got none")
            self._report = closed(self._passes, self._total.take(), self._names)
        return self._report

    @property
    def report(self) -> Report:
        """Return the report of the closed image.

        Returns
        -------
        Report
            The report. Reports of several images can be added with `+`.

        Raises
        ------
        ValueError
            If the tiles are not closed yet, or an error ended the `with` block.
        """
        if self._report is None and not self._failed:
            raise ValueError("tiles: expected closed tiles, got open ones; end the `with` block or call close() first")
        return self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:  # a report of some of the tiles would be wrong
            self._failed = self._report is None


def _refuse_whole(losses: Any) -> None:
    """Refuse what needs a whole image. `Passes` refuses anything that is no mapping to losses and metrics."""
    for name, loss in losses.items() if isinstance(losses, Mapping) else ():
        if isinstance(loss, Measure) and loss.needs_whole_images:
            what = "makes weights from" if isinstance(loss, Loss) else "is computed from"
            raise ValueError(
                f"losses: expected losses whose sums add up over tiles, got {loss!r} for {name!r}, which {what} the "
                "whole image; pass whole images to evaluate, or leave it out"
            )


def _shown(names: tuple[str, ...]) -> str:
    return repr(list(names[:5]))[:-1] + (", ...]" if len(names) > 5 else "]")


def _names(image: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if image is None:
        return None
    names = (image,) if isinstance(image, str) else image
    if not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"image: expected a name, or one name per image, got {image!r}")
    return tuple(names)
