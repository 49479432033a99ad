"""Worker: evaluates images one after the other, and returns a result for each.

A worker keeps nothing about the images it has done but what the first one decided: the number of classes and the kind
of numbers. `collector.py` merges the results, of one worker or of many.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .._engine.measure import Measure
from .._engine.passes import OpenTotal, Passes
from ..files.errors import FileError, printable, shown, well_formed
from ..files.label_maps import IGNORED
from ..files.pairing import Pair
from ..losses import Loss
from ..report.nnunet import Case, Counts, Label
from ..results import Report, closed
from .checks import Kind, check_channels, check_classes, check_kind, check_no_own_labels
from .hard_counts import Counter
from .images import Image, Reading
from .look import look, taking_probabilities
from .meaning import Arrays
from .parts import Part, Parts, naming, open_checked

LOOKED_AT = 3
"""The number of images whose values are looked at."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an evaluated image leaves: its report, and the facts for the report of all.

    Attributes
    ----------
    index : int
        The position of the image in the work list.
    report : Report
        The report of this image.
    kind : Kind
        The kind of numbers.
    class_names : tuple of str or None
        The names of the classes, if the files have them.
    notes : tuple of (str, str)
        Notes, each with the name of the image that it is about, or with nothing.
    doubts : tuple of str
        Notes about values that look doubtful.
    spacing : tuple of float or None
        The spacing in the headers.
    nbytes : int
        The bytes of the prediction and the mask in memory.
    nan : bool
        Whether a loss is nan although some pixels count.
    case : Case or None
        The hard counts for nnU-Net's summary.
    """

    index: int
    report: Report
    kind: Kind
    class_names: tuple[str, ...] | None
    notes: tuple[tuple[str, str], ...]
    doubts: tuple[str, ...]
    spacing: tuple[float, ...] | None
    nbytes: int
    nan: bool
    case: Case | None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An image that could not be evaluated, and the message of its error."""

    index: int
    name: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """The facts that a worker needs to evaluate any pair. A task can be pickled.

    Attributes
    ----------
    losses : mapping of name to loss or metric
        The losses and metrics.
    how : Reading
        How the files are read.
    classes : int or None
        The number of classes, if an option gives it.
    counter : Counter or None
        How to count for nnU-Net's summary. None: not.
    read_threads : int
        The number of threads that read.
    skip : bool
        Whether an image that cannot be evaluated is a `Failure` and not an error.
    """

    losses: Mapping[str, Measure]
    how: Reading
    classes: int | None
    counter: Counter | None
    read_threads: int
    skip: bool = False


class Worker:
    """Evaluates images that have the same kind of numbers."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.passes = Passes(task.losses, None)  # checks the losses, before any file is opened
        self.classes, self.given_by = task.classes, "`class_names=`"
        self.kind: Kind | None = None
        self.first, self.note = "", ""  # the file that decided the kind, and the note about it

    def decide(self, work: Sequence[tuple[int, Pair]]) -> None:
        """Decide the number of classes and the kind of numbers from headers, as `results` does with its first image.

        The pickled worker carries the decision to other processes, so that all expect the same.
        """
        for _, pair in work:
            try:
                self._opened(pair).stack.close()
                return
            except FileError:
                if not self.task.skip:
                    raise

    def results(self, work: Sequence[tuple[int, Pair]]) -> Generator[Result | Failure, None, None]:
        """Evaluate pairs, each with its position in the work list."""
        with Parts(work, self._opened, self.task.read_threads) as parts:
            for index, pair in work:
                one = _OneImage(self, index, pair)
                try:
                    one.evaluate(parts.of_next_image())
                    result = one.result()
                except FileError as error:
                    if not self.task.skip:
                        raise
                    yield Failure(index=index, name=pair.name, message=str(error))
                else:
                    yield result
                finally:
                    parts.close(index)

    def _opened(self, pair: Pair) -> Image:
        return open_checked(pair, self.task.how, self._check, whole=self.passes.needs_whole_images)

    def _check(self, image: Image) -> None:
        """Check what all images must have in common. The first image decides it."""
        decoder, file = image.decoder, shown(image.pair.prediction)
        if self.classes is None:
            self.classes, self.given_by = decoder.classes, file
        where = f" on axis {decoder.fitted.prediction.order[0]}" if decoder.fitted.channels else ""
        hint = "" if decoder.fitted.channels else "; for a label map of floating-point numbers, give `num_classes=`"
        check_classes(file, decoder.classes, self.classes, self.given_by, where, hint)
        kind = Kind(
            certain=decoder.holds_labels or decoder.prediction.probabilities,
            dense=decoder.fitted.dense or self.task.how.meaning.regions is not None,
        )
        if self.kind is None:
            self._plan(image, kind)
            self.kind, self.first = kind, file
        check_kind(image.pair, kind, self.kind, self.first)

    def _plan(self, image: Image, kind: Kind) -> None:
        """Plan the passes, now that the kind of the data is known."""
        decoder, file, losses = image.decoder, shown(image.pair.prediction), self.task.losses
        if kind.certain and not decoder.stays_label_map:
            one_hot = decoder.holds_labels
            losses = {
                name: taking_probabilities(printable(name), loss, file, one_hot=one_hot)
                for name, loss in losses.items()
            }
            if losses != self.task.losses:
                what = "are label maps" if decoder.holds_labels else "hold probabilities"
                whose = "losses" if any(isinstance(loss, Loss) for loss in losses.values()) else "metrics"
                self.note = f"the predictions {what}; the {whose} are computed without a softmax or sigmoid"
        check_channels(losses, file, decoder.classes, kind.dense)
        meaning = self.task.how.meaning
        if meaning.labels is not None:
            check_no_own_labels(losses)
        ignored = meaning.ignored if meaning.labels is None else ()
        self.passes = Passes(
            losses,
            None if kind.dense else ignored or IGNORED,
            num_classes=decoder.classes if decoder.stays_label_map else None,
        )


class _OneImage:
    """The evaluation of one image, window by window."""

    def __init__(self, worker: Worker, index: int, pair: Pair) -> None:
        self.worker, self.index, self.pair = worker, index, pair
        self.image: Image | None = None
        self.total = OpenTotal()
        self.counts: dict[Label, Counts] = {}
        self.doubts: tuple[str, ...] = ()
        self.nbytes, self.left_out = 0, 0

    def evaluate(self, parts: Iterator[Part]) -> None:
        """Add up the windows of this image. All its parts are taken, also after an error."""
        failed: FileError | None = None
        for part in parts:
            try:
                self._add(part)
            except FileError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _add(self, part: Part) -> None:
        image, arrays = part.read()
        first = self.image is None
        self.image = image
        label_map = image.decoder.holds_labels
        if first and self.index < LOOKED_AT and not label_map:
            self.doubts = self._looked(image, arrays)
        self.nbytes += arrays.nbytes
        self.left_out += arrays.left_out
        with naming(image, part.window):
            if self.worker.task.counter is not None:
                for label, counts in self.worker.task.counter.of(arrays, image.decoder.classes, label_map).items():
                    self.counts[label] = self.counts[label] + counts if label in self.counts else counts
            self.total.add(self.worker.passes.sums(arrays.input, arrays.target, arrays.weight, image.fitted.spacing))

    def _looked(self, image: Image, arrays: Arrays) -> tuple[str, ...]:
        exclusive = self.worker.kind is not None and not self.worker.kind.dense
        values = arrays.input[0]
        if arrays.left_out and arrays.weight is not None:  # pixels without data may hold -9999
            values = np.where(arrays.weight[0] > 0, values, np.nan)
        return tuple(look(values, exclusive, self.worker.passes.losses, shown(image.pair.prediction)))

    def result(self) -> Result:
        """Close the sums, and collect the facts about the image."""
        image, kind = self.image, self.worker.kind
        assert image is not None
        assert kind is not None
        with naming(image, image.windows[0]):
            report = closed(self.worker.passes, self.total.take(), [self.pair.name])
        decoder = image.decoder
        return Result(
            index=self.index,
            report=report,
            kind=kind,
            class_names=decoder.target.names if decoder.target.names is not None else decoder.prediction.names,
            notes=tuple(self._notes(image)),
            doubts=self.doubts,
            spacing=image.fitted.spacing,
            nbytes=self.nbytes,
            nan=_has_nan(report),
            case=self._case(),
        )

    def _notes(self, image: Image) -> Iterator[tuple[str, str]]:
        name = self.pair.name
        if self.worker.note:
            yield self.worker.note, ""
        if image.fitted.note:
            yield image.fitted.note, name
        if self.left_out:
            yield "pixels without data in the prediction are left out", f"{name} ({self.left_out})"
        if image.decoder.nodata is not None:
            yield f"label {image.decoder.nodata} means no data in the mask's header; its pixels are left out", ""

    def _case(self) -> Case | None:
        if self.worker.task.counter is None:
            return None
        prediction, reference = well_formed(self.pair.prediction), well_formed(self.pair.target)
        return Case(prediction=prediction, reference=reference, counts=self.counts)


def _has_nan(report: Report) -> bool:
    """Return whether a sum is nan without `absent="nan"`. If no pixel counts, the sums are 0 and not nan."""
    return any(
        np.isnan(report.partial(name).numbers).any()
        for name, loss in report.losses.items()
        if all(getattr(leaf, "absent", None) != "nan" for _, leaf in loss.summands())
    )
