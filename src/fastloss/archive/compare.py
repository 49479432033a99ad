"""`compare_ledgers`: how two runs over the same images differ, with intervals from the stored sums of the images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._engine.measure import Measure
from .._records import decoding, member, texts_of
from ..files.errors import FileError, shown
from ..results import Report
from .ledger_files import RECORDS, Lines, read_options
from .merge_ledgers import places_of
from .result_records import result_of

__all__ = ["Comparison", "Difference", "compare_ledgers"]

Array = np.ndarray[Any, np.dtype[Any]]

SHARE = (2.5, 97.5)
"""The percentiles that bound an interval: 95 % of the samples lie between them."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How one loss differs between two runs. Every difference is the second run minus the first.

    Attributes
    ----------
    values : tuple of two floats
        The loss of all paired images in both runs.
    difference : float
        The second value minus the first.
    interval : tuple of two floats
        The 95 % interval of the difference, from bootstrap samples of the images.
    per_class : array, shape (classes,)
        The difference of each class; nan where a run has no value.
    class_intervals : array, shape (classes, 2)
        The 95 % interval of each class.
    per_image : array, shape (images,)
        The difference of each image.
    image_values : array, shape (2, images)
        The loss of each image in both runs.
    higher_is_better : bool
        Whether a larger value is better: True for most metrics, False for losses.
    """

    values: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    per_class: Array
    class_intervals: Array
    per_image: Array
    image_values: Array
    higher_is_better: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How two runs differ.

    Attributes
    ----------
    runs : tuple of two str
        The ledgers.
    images : tuple of str
        The images that both runs have, sorted.
    only : tuple of two tuples of str
        The images that only the first run has, and those that only the second has. They do not count.
    class_names : tuple of str
        The names of the classes.
    differences : dict of name to Difference
        The difference of each loss and metric. A confusion matrix has none.
    """

    runs: tuple[str, str]
    images: tuple[str, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    class_names: tuple[str, ...]
    differences: dict[str, Difference]

    def to_html(self, *, title: str | None = None, command: str | None = None) -> str:
        """Return a page that shows the comparison in a browser: one file, which loads nothing.

        Parameters
        ----------
        title : str, default None
            The heading. None: the names of the runs.
        command : str, default None
            The command that made the comparison, for the page.

        Returns
        -------
        str
            The HTML, for a file in UTF-8.

        Raises
        ------
        ImportError
            If jinja2 or Pillow is not installed.
        """
        from ..report.comparison import comparison_page

        return comparison_page(self, title=title, command=command)


def compare_ledgers(
    first: str | os.PathLike[str], second: str | os.PathLike[str], /, *, samples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare two runs of `evaluate_files` over the same images, such as those of two models.

    The images are paired by name. The intervals are those of a paired bootstrap: images are drawn with replacement, the
    same for both runs, and the loss of all is computed again from the stored sums of the images.

    Parameters
    ----------
    first, second : path
        The ledgers, the folders that were given as `state=`. They have the same losses and classes.
    samples : int, default 1000
        The number of bootstrap samples.
    seed : int, default 0
        The seed of the samples, so that the same ledgers give the same intervals.

    Returns
    -------
    Comparison
        The differences, the second run minus the first.

    Raises
    ------
    FileError
        If a ledger cannot be read, the losses or classes differ, or no image is in both.

    See Also
    --------
    merge_ledgers : Joins the ledgers of one evaluation.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, fastloss as fl
    >>> folder, loss = pathlib.Path(tempfile.mkdtemp()), {"ce": fl.CrossEntropyLoss()}
    >>> np.save(folder / "y.npy", np.array([[0, 1]]))
    >>> for name, scale in (("a", 1.0), ("b", 2.0)):
    ...     np.save(folder / "x.npy", scale * np.array([[[2.0, 0.0]], [[0.0, 1.0]]]))
    ...     report = fl.evaluate_files(loss, folder / "x.npy", folder / "y.npy", state=folder / name)
    >>> fl.compare_ledgers(folder / "a", folder / "b").differences["ce"].difference
    -0.14755584
    """
    if samples < 1:
        raise FileError(f"`samples=`: expected at least 1, got {samples}")
    folders = Path(first), Path(second)
    runs = [dict(_reports(folder)) for folder in folders]
    names = sorted(runs[0].keys() & runs[1].keys())
    if not names:
        raise FileError(f"{shown(folders[1])}: expected an image of {shown(folders[0])}, found none with the same name")
    model, class_names = runs[0][names[0]]
    options = read_options(folders[0])
    if options.get("class_names") is not None:
        class_names = tuple(texts_of(options, "class_names"))
    for folder, run in zip(folders, runs, strict=True):
        other = run[names[0]][0]
        if (other.losses, other.classes) != (model.losses, model.classes):
            raise FileError(
                f"{shown(folder)}: expected the losses {list(model.losses.values())} of {model.classes} classes, as in "
                f"{shown(folders[0])}, got {list(other.losses.values())} of {other.classes}"
            )
    if all(loss.higher_is_better is None for loss in model.losses.values()):
        raise FileError(f"{shown(folders[0])}: expected a loss, or a metric that is good or bad, got {model!r}")
    counts = _drawn(len(names), samples, seed)
    pairs = [(runs[0][name][0], runs[1][name][0]) for name in names]
    return Comparison(
        runs=(os.fspath(folders[0]), os.fspath(folders[1])),
        images=tuple(names),
        only=(tuple(sorted(runs[0].keys() - runs[1].keys())), tuple(sorted(runs[1].keys() - runs[0].keys()))),
        class_names=class_names or tuple(str(k) for k in range(model.classes)),
        differences={
            name: _difference(name, loss, pairs, counts)
            for name, loss in model.losses.items()
            if loss.higher_is_better is not None
        },
    )


def _reports(folder: Path) -> Iterator[tuple[str, tuple[Report, tuple[str, ...] | None]]]:
    """Yield the name of each image, its report, and the names of the classes."""
    lines = Lines(folder / RECORDS)
    if not lines.path.exists():
        raise FileError(f"{shown(folder)}: expected a ledger with the record of at least one image, got none")
    with lines.open():
        for index, (name, place) in enumerate(places_of(lines).items()):
            record = lines.read(place.position)
            with decoding(f"{shown(lines.path)}: byte {place.position}"):
                result = result_of(member(record, "result", dict), index, name)
            yield name, (result.report, result.class_names)


def _drawn(images: int, samples: int, seed: int) -> Array:
    """Return how often each image is in each sample. The first row has every image once."""
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=samples)
    return np.concatenate([np.ones((1, images), np.int64), drawn])


def _difference(name: str, loss: Measure, pairs: list[tuple[Report, Report]], counts: Array) -> Difference:
    classes = pairs[0][0].classes
    sums = [counts @ np.array([pair[k].partial(name).numbers.sum(axis=0) for pair in pairs]) for k in (0, 1)]
    values = [loss.values_of(one, classes) for one in sums]
    difference = values[1] - values[0]
    image_values = np.array([[pair[k].per_image[name][0] for pair in pairs] for k in (0, 1)])
    by_class = [_class_values(name, loss, [pair[k] for pair in pairs], counts) for k in (0, 1)]
    per_class = by_class[1] - by_class[0]
    return Difference(
        values=(float(values[0][0]), float(values[1][0])),
        difference=float(difference[0]),
        interval=(_bounds(difference[1:])[0].item(), _bounds(difference[1:])[1].item()),
        per_class=per_class[0],
        class_intervals=_bounds(per_class[1:]).T,
        per_image=image_values[1] - image_values[0],
        image_values=image_values,
        higher_is_better=bool(loss.higher_is_better),
    )


def _class_values(name: str, loss: Measure, reports: list[Report], counts: Array) -> Array:
    """Return the value of each class in each sample."""
    total: Any = 0.0
    for k, (weight, summand) in enumerate(loss.summands()):
        rows = np.array([report.class_partials(name)[k].sum(axis=0) for report in reports])
        values = [summand.class_values_of(numbers, reports[0].classes) for numbers in counts @ rows]
        total = total + weight * np.array(values)
    found: Array = total
    return found


def _bounds(samples: Array) -> Array:
    """Return the interval of the samples that have a value, one row per bound."""
    with np.errstate(all="ignore"):
        usable = np.isfinite(samples)
        if samples.ndim == 1:
            return np.percentile(samples[usable], SHARE) if usable.any() else np.full(2, np.nan)
        columns = [_bounds(column) for column in samples.T]
        return np.array(columns).T
