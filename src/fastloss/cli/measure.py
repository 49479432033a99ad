"""Evaluates one image after the other into one `Report`, with a progress bar.

Memory stays bounded by one image. Each pair is loaded, evaluated and dropped, and only its partial sums and one value
per loss remain. `app.py` calls this module.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import fastloss
from fastloss.losses import LOSSES, Loss

from .errors import UserError, shown
from .formats import Array
from .loading import Reading, load_pair
from .pairing import Pair

MERGED_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The report of all images, the bytes that were read, and the seconds that this took."""

    report: fastloss.Report
    classes: int
    nbytes: int
    seconds: float
    nan: list[int]  # the images that have a nan loss although some pixels count
    moved: list[int]  # the images whose prediction and mask differ in their affine

    def speed(self, images: int) -> str:
        """Return the speed as `12.3 images/s, 4.56 GB/s`. The time includes reading the files."""
        seconds = max(self.seconds, 1e-9)
        return f"{images / seconds:.3g} images/s, {self.nbytes / seconds / 1e9:.3g} GB/s"


def measure(
    pairs: Sequence[Pair],
    losses: Mapping[str, Loss],
    how: Reading,
    *,
    ignore_index: int | None = None,
    names: int | None = None,
) -> Measured:
    """Evaluate every pair. `names` is the number of class names, if the user gave any."""
    counted = _Counted(losses, how, ignore_index, names)
    start = time.perf_counter()
    report = _merged(_reports(pairs, counted))
    seconds = time.perf_counter() - start
    return Measured(
        report=report,
        classes=report.classes,
        nbytes=counted.nbytes,
        seconds=seconds,
        nan=counted.nan,
        moved=counted.moved,
    )


def _merged(reports: Iterator[fastloss.Report]) -> fastloss.Report:
    """Sum the reports, a few hundred at a time. This neither keeps them all nor copies each often."""
    total = [next(reports)]
    while some := list(islice(reports, MERGED_AT_ONCE)):
        total = [fastloss.Report.sum(total + some)]
    return total[0]


class _Counted:
    """Makes the reports, one image at a time. It counts bytes, checks the classes and notes doubtful images."""

    def __init__(self, losses: Mapping[str, Loss], how: Reading, ignore_index: int | None, names: int | None) -> None:
        self.losses, self.how, self.ignore_index, self.nbytes = losses, how, ignore_index, 0
        self.classes, self.given_by = names, "--class-names"
        self.images, self.nan, self.moved = 0, list[int](), list[int]()

    def report(self, pair: Pair) -> fastloss.Report:
        values, labels, moved = load_pair(pair, self.how)
        self._check_classes(pair, values.shape[1])
        if self.images == 0:  # the other images have as many channels
            self._check_channels(pair, values.shape[1])
        self.nbytes += values.nbytes + labels.nbytes
        report = self._evaluated(pair, values, labels)
        self.nan += [self.images] if _has_nan(report) else []
        self.moved += [self.images] if moved else []
        self.images += 1
        return report

    def _check_classes(self, pair: Pair, found: int) -> None:
        name = shown(pair.prediction)
        if self.classes is None:
            self.classes, self.given_by = found, name
        if found != self.classes:
            expected = f"{self.classes} classes on axis {self.how.axis}, as in {self.given_by}"
            raise UserError(f"{name}: expected {expected}, got {found}")

    def _check_channels(self, pair: Pair, found: int) -> None:
        """Check the number of channels. Some losses take only one. A softmax needs more, as it is 1 over one."""
        file = shown(pair.prediction)
        for leaf in (leaf for loss in self.losses.values() for _, leaf in loss.summands()):
            name = _name(leaf)
            if found > 1 and leaf.kind == "element":
                raise UserError(f"{file}: expected one channel and labels 0 and 1 for {name}, got {found} channels")
            if found == 1 and not leaf.takes_binary:
                raise UserError(f"{file}: expected two or more classes for {name}, got one channel")
            if found == 1 and getattr(leaf, "activation", None) == "softmax":
                hint = "give --activation sigmoid, or none if it holds probabilities"
                raise UserError(f"{file}: expected two or more classes for the softmax of {name}, got one; {hint}")

    def _evaluated(self, pair: Pair, values: Array, labels: Array) -> fastloss.Report:
        try:
            return fastloss.evaluate(self.losses, values, labels, ignore_index=self.ignore_index)
        except fastloss.LabelError as error:
            raise UserError(_bad_label(pair, error)) from error
        except (ValueError, TypeError) as error:
            raise UserError(f"{shown(pair.prediction)} with {shown(pair.target)}: {error}") from error


def _name(loss: Loss) -> str:
    """Return the name in expressions: the name of the loss, or of the public loss from which it derives."""
    known = {cls: name for name, cls in LOSSES.items()}
    return next(known[cls] for cls in type(loss).__mro__ if cls in known).removesuffix("_loss")


def _has_nan(report: fastloss.Report) -> bool:
    """Return whether a sum is nan without `absent="nan"`. If no pixel counts, the sums are 0 and not nan."""
    return any(
        np.isnan(report.partial(name).numbers).any()
        for name, loss in report.losses.items()
        if all(getattr(leaf, "absent", None) != "nan" for _, leaf in loss.summands())
    )


def _bad_label(pair: Pair, error: fastloss.LabelError) -> str:
    position = tuple(int(i) for i in error.position[1:])  # leave out the sample axis, which the file does not have
    binary = "; if it is the foreground, save it as 1" if error.classes == 2 and error.label > 0 else ""
    return (
        f"{shown(pair.target)}: expected labels in 0..{error.classes - 1}, got {error.label} at {position}; "
        f"if it marks pixels to leave out, give --ignore-index {error.label}{binary}"
    )


def _reports(pairs: Sequence[Pair], counted: _Counted) -> Iterator[fastloss.Report]:
    """Yield the reports one by one, with a progress bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    progress = Progress(*columns, TimeRemainingColumn(), console=console)
    with progress if console.is_terminal else nullcontext():  # outside its context, the bar prints nothing
        task = progress.add_task("", total=len(pairs), speed="")
        start = time.perf_counter()
        for done, pair in enumerate(pairs, 1):
            report = counted.report(pair)
            seconds = max(time.perf_counter() - start, 1e-9)
            speed = f"{done / seconds:.3g} images/s {counted.nbytes / seconds / 1e9:.3g} GB/s"
            progress.update(task, advance=1, speed=speed)
            yield report
