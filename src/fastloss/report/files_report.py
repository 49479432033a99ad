"""FilesReport: the result of `evaluate_files`, a `Report` that also knows its files."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..files.errors import FileError, shown, well_formed
from ..files.writing import check_ending, check_writable, write_file
from ..results import Report
from . import nnunet
from .examples import Example
from .facts import Facts, facts_of, facts_record
from .formats import WRITERS
from .rendering import missing_library

__all__ = ["FilesReport"]


class FilesReport(Report):
    """The result of `evaluate_files`: a `Report` that also knows its files.

    The sum of two is a plain `Report`.

    Parameters
    ----------
    report : Report
        The values.
    facts : Facts
        The attributes below, and what the methods need.

    Attributes
    ----------
    pairs : tuple of Pair
        The files of each image, in the order of `images`.
    class_names : tuple of str
        The name of each class.
    spacings : tuple of tuple of float or None
        The spacing that the headers of each image give, along the axes of the prediction. Losses of distances use it,
        unless they have a spacing of their own. None: no header gives one, and distances are in pixels.
    notes : tuple of str
        The decisions about the files, and doubts about their values, one sentence each.
    failures : tuple of Failed
        The images that could not be evaluated and are not in the report, with `name` and `message`. Without
        `on_error="skip"`, there are none.
    nbytes : int
        The size of the predictions and masks in memory, in bytes.
    seconds : float
        The time of the evaluation, with reading.
    resumed : int
        The number of images that were not evaluated but taken from a ledger.
    per_image_class : dict of name to array, shape (images, classes)
        The loss of each class in each image; nan where a class has no value. Empty, unless the evaluation kept them.
    options : tuple of pairs of str
        The options of the evaluation that differ from their defaults, as name and value.
    examples : tuple of Example
        The pictures of the worst images, if the evaluation kept any. `save` leaves them out.
    """

    def __init__(self, report: Report, facts: Facts) -> None:
        self.__dict__.update(report.__dict__)
        self._facts = facts
        self.pairs, self.class_names, self.spacings = facts.pairs, facts.class_names, facts.spacings
        self.notes, self.failures = facts.notes, facts.failures
        self.nbytes, self.seconds, self.resumed = facts.nbytes, facts.seconds, facts.resumed
        self.per_image_class = dict(facts.class_values)
        self.options, self.examples = facts.options, facts.examples

    @classmethod
    def _of(cls, report: Report, record: Any) -> FilesReport:
        """Return the report of files that `_record` describes."""
        return cls(report, facts_of(record, report.images, report.classes, list(report)))

    def _record(self) -> dict[str, Any]:
        return {**super()._record(), "files": facts_record(self._facts)}

    def _with_examples(self, examples: Sequence[Example]) -> FilesReport:
        return FilesReport(self, dataclasses.replace(self._facts, examples=tuple(examples)))

    @property
    def counted(self) -> bool:
        """Return whether the evaluation counted the hard scores for nnU-Net's `summary.json`.

        Returns
        -------
        bool
            Whether `write_nnunet_summary` can be called.
        """
        return bool(self._facts.cases)

    @property
    def nan_images(self) -> tuple[str, ...]:
        """Name the images that have a nan loss although some pixels count.

        Returns
        -------
        tuple of str
            The names.
        """
        names = self.images
        return tuple(names[index] for index in self._facts.nan)

    def _image_facts(self) -> dict[str, Any]:
        return {
            "image": [well_formed(name) for name in self.images],
            "prediction": [well_formed(pair.prediction) for pair in self.pairs],
            "target": [well_formed(pair.target) for pair in self.pairs],
            "spacing": [None if spacing is None else list(spacing) for spacing in self.spacings],
        }

    def _class_names(self) -> list[str]:
        return list(self.class_names)

    @property
    def ranked_by(self) -> str:
        """Name the loss or metric by which `worst` ranks the images.

        Returns
        -------
        str
            The first that is good or bad. A confusion matrix is neither.
        """
        names = (name for name, loss in self.losses.items() if loss.higher_is_better is not None)
        return next(names, next(iter(self.losses)))

    def worst(self, count: int) -> list[int]:
        """Return the images with the worst values of the first loss or metric, worst first.

        The worst values of a loss are the largest, and those of most metrics the smallest. The images in `nan_images`
        come before all others. An image without a value is left out.

        Parameters
        ----------
        count : int
            The most images to return.

        Returns
        -------
        list of int
            The positions of the images in `images`.
        """
        name = self.ranked_by
        sign = 1 if self.losses[name].higher_is_better else -1
        values = self.per_image[name]
        keys = {index: sign * value for index, value in enumerate(values.tolist()) if not math.isnan(value)}
        first = set(self._facts.nan)
        keys |= dict.fromkeys(first, 0.0)
        return sorted(keys, key=lambda index: (index not in first, keys[index], index))[:count]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write all results to a file: everything or nothing.

        Parameters
        ----------
        path : path
            A name that ends in `.json`, `.csv`, `.parquet` or `.html`. docs/cli.md describes the formats.

        Raises
        ------
        FileError
            If the name ends otherwise, or the file cannot be written.
        """
        check_output(path)
        write_file(Path(path), WRITERS[Path(path).suffix.lower()](self))

    def write_nnunet_summary(self, path: str | os.PathLike[str]) -> None:
        """Write the hard scores of an evaluation with `nnunet_summary=True` as nnU-Net's `summary.json`.

        Parameters
        ----------
        path : path
            The file.

        Raises
        ------
        FileError
            If the evaluation did not count, or the file cannot be written.
        """
        if not self._facts.cases:
            raise FileError("`nnunet_summary=`: expected True in the call of evaluate_files, got False")
        check_writable(Path(path))
        write_file(Path(path), nnunet.summary(self._facts.cases))


def check_output(path: str | os.PathLike[str]) -> None:
    """Refuse an output that could not be written, before any work is done.

    Parameters
    ----------
    path : path
        The output of `FilesReport.write`.

    Raises
    ------
    FileError
        If the name has no known ending, or the file cannot be written.
    """
    check_ending(Path(path), WRITERS)
    if Path(path).suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise FileError(f'{shown(path)}: needs pyarrow, which is not installed; run: pip install "fastloss[table]"')
    if Path(path).suffix.lower() == ".html" and (missing := missing_library()):
        raise FileError(f"{shown(path)}: {missing}")
    check_writable(Path(path))
