"""The work of `fastloss evaluate`: one image after the other into one `Report`, with a progress bar.

Memory stays bounded by one image: a pair is loaded, evaluated and dropped; what remains of it are its partial sums
and one value a loss. Called by `app.py`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import fastloss
from fastloss.losses import Loss

from .errors import UserError, shown
from .files import Array, Pair, Reading, load_pair


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All images together, and what it took."""

    report: fastloss.Report
    classes: int
    nbytes: int
    seconds: float

    def speed(self, images: int) -> str:
        """`12.3 images/s, 4.56 GB/s`: reading the files included."""
        seconds = max(self.seconds, 1e-9)
        return f"{images / seconds:.3g} images/s, {self.nbytes / seconds / 1e9:.3g} GB/s"


def measure(pairs: Sequence[Pair], losses: Mapping[str, Loss], how: Reading, names: int | None = None) -> Measured:
    """Evaluate every pair; `names` is how many classes the user has named, if any."""
    counted = _Counted(losses, how, names)
    start = time.perf_counter()
    report = fastloss.Report.sum(_reports(pairs, counted))
    seconds = time.perf_counter() - start
    return Measured(report=report, classes=counted.classes or 0, nbytes=counted.nbytes, seconds=seconds)


class _Counted:
    """One image's report, counting bytes and holding all images to one number of classes."""

    def __init__(self, losses: Mapping[str, Loss], how: Reading, names: int | None) -> None:
        self.losses, self.how, self.nbytes = losses, how, 0
        self.classes, self.given_by = names, "--class-names"

    def report(self, pair: Pair) -> fastloss.Report:
        values, labels = load_pair(pair, self.how)
        self._check_classes(pair, values.shape[1])
        self.nbytes += values.nbytes + labels.nbytes
        return self._evaluated(pair, values, labels)

    def _check_classes(self, pair: Pair, found: int) -> None:
        name = shown(pair.prediction)
        if self.classes is None:
            self.classes, self.given_by = found, name
        if found != self.classes:
            raise UserError(f"{name}: {found} classes on axis {self.how.axis}, but {self.classes} in {self.given_by}")

    def _evaluated(self, pair: Pair, values: Array, labels: Array) -> fastloss.Report:
        try:
            return fastloss.evaluate(self.losses, values, labels)
        except fastloss.LabelError as error:
            raise UserError(_bad_label(pair, error)) from error
        except (ValueError, TypeError) as error:
            raise UserError(f"{shown(pair.prediction)} with {shown(pair.target)}: {error}") from error


def _bad_label(pair: Pair, error: fastloss.LabelError) -> str:
    position = tuple(int(i) for i in error.position[1:])  # without the sample axis, which the file does not have
    return (
        f"{shown(pair.target)}: label {error.label} at {position} is not in 0..{error.classes - 1}; "
        f"if it marks pixels to leave out, give --ignore-index {error.label}"
    )


def _reports(pairs: Sequence[Pair], counted: _Counted) -> Iterator[fastloss.Report]:
    """The reports one by one, the bar moving on stderr when that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(pairs), speed="")
        start = time.perf_counter()
        for done, pair in enumerate(pairs, 1):
            report = counted.report(pair)
            seconds = max(time.perf_counter() - start, 1e-9)
            speed = f"{done / seconds:.3g} images/s {counted.nbytes / seconds / 1e9:.3g} GB/s"
            progress.update(task, advance=1, speed=speed)
            yield report
