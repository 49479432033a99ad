"""Report: the mergeable result of `evaluate`, per image, per class and of all images."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ._arrays import Array
from ._engine.exact_sum import exact_sum
from ._engine.measure import Measure
from ._engine.partial import Partial
from ._engine.passes import OpenSums, Passes
from ._shows_itself import ShowsItself

MERGED_AT_ONCE = 256


class Report(ShowsItself):
    """The result of `evaluate`: each loss and metric over all data so far, per image and per class.

    `report[name]` is the value of all images together. It is computed from merged sums and is not a mean of the images'
    values. A report is a mapping, so `dict(report)` holds the values of all losses. `a + b` and `Report.sum(many)`
    merge reports of the same losses. The result has the same bits in any grouping.

    Parameters
    ----------
    losses : mapping of name to loss or metric
        The losses and metrics that were computed.
    classes : int
        The number of classes.
    images : sequence of str or None
        The name of each image. None: the image has no name, and its number takes the place of one.
    numbers : dict of name to array
        The mergeable sums of each loss; see `partial`.
    class_numbers : dict of name to list of arrays
        The mergeable sums of each loss per class: one array for each summand of the loss.
    per_image : dict of name to array, shape (images,)
        The loss of each image, in the order of the data.

    Attributes
    ----------
    images : tuple of str
        The name of each image, in the order of the data. Images of arrays are called "0", "1" and so on.
    per_class : dict of name to array, shape (classes,)
        The loss of each class. For a region loss, it is the value of the class. For a pixel loss, it is the mean over
        the pixels with that label, or nan if the target is dense. A loss with `reduction="sum"` has sums instead of
        means. A class without a value has nan.

    See Also
    --------
    evaluate : Makes a report.

    Examples
    --------
    >>> import fastloss as fl
    >>> dice, x = {"dice": fl.DiceLoss()}, [[[2.0, 0.0], [0.0, 1.0]]]
    >>> first, second = fl.evaluate(dice, x, [[0, 1]]), fl.evaluate(dice, x, [[1, 1]])
    >>> (first + second).images
    ('0', '1')
    """

    def __init__(
        self,
        losses: Mapping[str, Measure],
        classes: int,
        images: Sequence[str | None],
        numbers: dict[str, Array],
        class_numbers: dict[str, list[Array]],
        per_image: dict[str, Array],
    ) -> None:
        self.losses, self.classes, self._images = dict(losses), classes, tuple(images)
        self._numbers, self._class_numbers, self.per_image = numbers, class_numbers, per_image

    def __getitem__(self, name: str) -> float:
        return self.losses[name].value_of(self._numbers[name][0], self.classes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.losses)

    def __len__(self) -> int:
        return len(self.losses)

    @functools.cached_property
    def images(self) -> tuple[str, ...]:
        """Name the images.

        Returns
        -------
        tuple of str
            The names; see the attribute `images` of `Report`.
        """
        return tuple(str(i) if name is None else name for i, name in enumerate(self._images))

    @property
    def per_class(self) -> dict[str, Array]:
        """Compute the loss of each class.

        Returns
        -------
        dict of name to array, shape (classes,)
            The values; see the attribute `per_class` of `Report`.
        """
        return {name: _per_class(loss, self._class_numbers[name], self.classes) for name, loss in self.losses.items()}

    def partial(self, name: str) -> Partial:
        """Return the mergeable sums of one of the losses.

        Parameters
        ----------
        name : str
            The name of the loss.

        Returns
        -------
        Partial
            The sums. The loss's `finalize` turns them into the value.

        Raises
        ------
        KeyError
            If no loss has this name.
        """
        return Partial(repr(self.losses[name]), self.classes, len(self._images), self._numbers[name])

    def class_partials(self, name: str) -> list[Array]:
        """Return the mergeable sums per class of one of the losses.

        Parameters
        ----------
        name : str
            The name of the loss.

        Returns
        -------
        list of array
            The sums of each summand of the loss.
        """
        return self._class_numbers[name]

    def to_arrow(self, scope: str = "image") -> Any:
        """Return a table of the values for Apache Arrow.

        Parameters
        ----------
        scope : {"image", "class", "all"}, default "image"
            One row per image or per class, with one column per loss, or one row per loss.

        Returns
        -------
        pyarrow.Table
            The names as text, and the values as float64.

        Raises
        ------
        ValueError
            If the scope is unknown, or a loss is called as another column.
        ImportError
            If pyarrow is not installed.

        See Also
        --------
        Report.to_pandas
        """
        columns = self._columns(scope)
        return _imported("pyarrow").table(columns)

    def to_pandas(self, scope: str = "image") -> Any:
        """Return a table of the values for pandas.

        Parameters
        ----------
        scope : {"image", "class", "all"}, default "image"
            One row per image or per class, with one column per loss, or one row per loss.

        Returns
        -------
        pandas.DataFrame
            The names and the values.

        Raises
        ------
        ValueError
            If the scope is unknown, or a loss is called as another column.
        ImportError
            If pandas is not installed.

        See Also
        --------
        Report.to_arrow
        """
        columns = self._columns(scope)
        return _imported("pandas").DataFrame(columns)

    def _columns(self, scope: str) -> dict[str, Any]:
        """Return the columns of a table."""
        if scope == "all":
            return {"loss": list(self), "value": [float(value) for value in self.values()]}
        if scope not in ("image", "class"):
            raise ValueError(f"scope: expected 'image', 'class' or 'all', got {scope!r}")
        columns = self._image_facts() if scope == "image" else {"class": self._class_names()}
        taken = sorted(columns.keys() & self.losses.keys())
        if taken:
            raise ValueError(f"losses: expected no loss with the name of a column, got {taken[0]!r}")
        return columns | dict(self.per_image if scope == "image" else self.per_class)

    def _image_facts(self) -> dict[str, Any]:
        return {"image": list(self.images)}

    def _class_names(self) -> list[str]:
        return [str(k) for k in range(self.classes)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file, from which `Report.load` returns it with the same bits.

        The file is JSON. It holds the losses, the mergeable sums, and what a report of files knows about them.
        docs/formats.md describes it. The file appears complete or not at all.

        Parameters
        ----------
        path : path
            The file. Any name will do.

        Raises
        ------
        FileError
            If the file cannot be written.
        TypeError
            If a loss is not one of fastloss, but of a class of your own.

        See Also
        --------
        Report.load : Reads the file.

        Examples
        --------
        >>> import tempfile, pathlib, fastloss as fl
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "report.fastloss"
        >>> report = fl.evaluate({"dice": fl.DiceLoss()}, [[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]])
        >>> report.save(path)
        >>> dict(fl.Report.load(path)) == dict(report)
        True
        """
        _records().write_record(path, _records().REPORT, self._record())

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Report:
        """Read a report that `save` wrote.

        The file may come from anybody: it is checked, and it cannot run code.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        Report
            The report. If it was one of files, it is again a report of files.

        Raises
        ------
        FileError
            If the file cannot be read, is damaged, or is no report.

        See Also
        --------
        Report.save : Writes the file.
        """
        records = _records()
        record = records.read_record(path, records.REPORT)
        with records.decoding(records.shown(path)):
            report = Report(*records.report_arguments(record))
            if "files" not in record:
                return report
            # This layer knows the one above only by its name.
            files: Any = importlib.import_module(".report.files_report", __package__)
            loaded: Report = files.FilesReport._of(report, record["files"])
            return loaded

    def _record(self) -> dict[str, Any]:
        """Return what `save` writes."""
        record: dict[str, Any] = _records().report_record(self)
        return record

    def __repr__(self) -> str:
        values = ", ".join(f"{name}: {value:.6g}" for name, value in self.items())
        return f"<Report of {len(self._images)} images, {self.classes} classes: {values}>"

    def __add__(self, other: Report) -> Report:
        return self.sum([self, other]) if isinstance(other, Report) else NotImplemented

    def __radd__(self, other: object) -> Report:
        return self if other == 0 else NotImplemented

    @staticmethod
    def sum(reports: Iterable[Report]) -> Report:
        """Merge reports of the same losses.

        Parameters
        ----------
        reports : iterable of Report
            At least one report. All have the same losses and the same number of classes.

        Returns
        -------
        Report
            The report of all images, in the order of the reports.

        Raises
        ------
        TypeError
            If one is not a `Report`.
        ValueError
            If there is no report, or the losses or the numbers of classes differ.
        """
        rest = iter(reports)
        some = list(islice(rest, MERGED_AT_ONCE))
        if not some:
            raise ValueError("reports: expected at least one, got none")
        total = _merged(some)
        while some := list(islice(rest, MERGED_AT_ONCE)):  # neither keeps them all nor copies each often
            total = _merged([total, *some])
        return total


def _merged(many: list[Report]) -> Report:
    first = many[0]
    for r in many:
        if not isinstance(r, Report):
            raise TypeError(f"reports: expected Reports, got {type(r).__name__}")
    for r in many:
        if (r.losses, r.classes) != (first.losses, first.classes):
            raise ValueError(f"reports: expected the same losses and classes in all, got {first!r} and {r!r}")
    return Report(
        first.losses,
        first.classes,
        [name for r in many for name in r._images],
        {k: exact_sum(r._numbers[k] for r in many) for k in first},
        {k: [exact_sum(n) for n in zip(*(r._class_numbers[k] for r in many), strict=True)] for k in first},
        {k: np.concatenate([r.per_image[k] for r in many]) for k in first},
    )


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise ImportError(
            f"{module} is not installed; run: pip install {'fastloss[table]' if module == 'pyarrow' else module}"
        ) from None


def _records() -> Any:
    """Import on request what few programs need."""
    return importlib.import_module("._records", __package__)


def _per_class(loss: Measure, numbers: list[Array], classes: int) -> Array:
    parts = zip(loss.summands(), numbers, strict=True)
    values = [w * p.class_values_of(n[0], classes) for (w, p), n in parts]
    total: Array = np.sum(values, axis=0)
    return total


def closed(passes: Passes, sums: OpenSums, names: Sequence[str | None] | None = None) -> Report:
    """Return the report of images whose sums are complete.

    Parameters
    ----------
    passes : Passes
        The losses.
    sums : OpenSums
        The sums of all pixels of the images.
    names : sequence of str or None, default None
        The names of the images.

    Returns
    -------
    Report
        The report.
    """
    numbers, class_numbers, per_image = {}, {}, {}
    for name, (loss, own) in passes.own_sums(sums).items():
        rows = loss.partial_of([own[source] for source in loss.sources()])
        numbers[name] = exact_sum([rows])
        per_image[name] = loss.values_of(rows, sums.classes)
        summands = [p for _, p in loss.summands()]
        class_numbers[name] = [exact_sum([p.class_partial_of([own[s] for s in p.sources()])]) for p in summands]
    images = [None] * sums.samples if names is None else names
    return Report(passes.losses, sums.classes, images, numbers, class_numbers, per_image)
