"""Run: evaluates one image after the other, and collects the facts about the files for the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from .._engine.passes import OpenSums, Passes
from .._faults import LabelError
from ..evaluate import Report, closed
from ..files.errors import FileError, printable, shown, well_formed
from ..files.label_maps import IGNORED
from ..files.pairing import Pair
from ..files.stored import Window
from ..losses import LOSSES, Loss
from ..report.nnunet import Case, Counts, Label
from .ahead import Work, read_ahead
from .hard_counts import HardCounts, added
from .images import Image, Reading, open_image
from .look import look, taking_probabilities
from .meaning import Arrays

Progress = Callable[[int, int, int], None]
Part = tuple[Image, Window, Arrays]
Counting = Callable[[int], HardCounts]

MERGED_AT_ONCE = 256
LOOKED_AT = 3
"""The number of images whose values are looked at."""


@dataclass(frozen=True)
class Kind:
    """The kind of numbers in a pair of files. It must be the same for all pairs of one report."""

    certain: bool  # whether the prediction is known to hold probabilities, or a label map
    dense: bool  # whether the target has one channel per class

    def __str__(self) -> str:
        scores = "probabilities or a label map" if self.certain else "scores of unknown kind"
        return f"{scores} and {'one mask per class' if self.dense else 'label maps as masks'}"


class Run:
    """The state of one evaluation: what all images have in common, and what is noted about some of them."""

    def __init__(
        self,
        losses: Mapping[str, Loss],
        pairs: Sequence[Pair],
        how: Reading,
        names: tuple[str, ...] | None,
        counting: Counting | None = None,
    ) -> None:
        self.passes = Passes(losses, None)  # checks the losses, before any file is opened
        self.losses, self.pairs, self.how, self.names = dict(losses), pairs, how, names
        self.classes, self.given_by = None if names is None else len(names), "`class_names=`"
        self.kind: Kind | None = None
        self.nbytes, self._looked_doubtful = 0, False
        self.spacings, self.nan = list[tuple[float, ...] | None](), list[int]()
        self._noted: dict[str, list[str]] = {}
        self.cases, self._counting = list[Case](), counting
        self._counter: HardCounts | None = None
        self._counts: dict[Label, Counts] | None = None
        self._left_out = 0  # the pixels without data in this image's prediction

    def report(self, threads: int, progress: Progress | None) -> Report:
        """Evaluate every pair."""
        reports = self._reports(threads, progress)
        total = [next(reports)]
        while some := list(islice(reports, MERGED_AT_ONCE)):  # neither keeps them all nor copies each often
            total = [Report.sum(total + some)]
        return total[0]

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes, or their numbers."""
        return self.names or tuple(str(k) for k in range(self.classes or 0))

    def notes(self) -> list[str]:
        """Return each note once, with the images that it is about."""
        notes = [f"{_listed(names)}{text}" for text, names in self._noted.items()]
        if self.nan:
            names = [self.pairs[index].name for index in self.nan]
            why = "the prediction holds nan, or values that a loss does not take, such as logits for probabilities"
            notes.append(f"a loss is nan for {_listed(names)}{why}")
        return notes

    def _note(self, text: str, image: str = "") -> None:
        names = self._noted.setdefault(text, [])
        if image:
            names.append(image)

    # ---- images

    def _reports(self, threads: int, progress: Progress | None) -> Iterator[Report]:
        files: dict[int, ExitStack] = {}  # of the images that are open
        with _closing_all(files), closing(read_ahead(self._works(files), threads)) as windows:
            for image, window, arrays in windows:
                if image.index < LOOKED_AT and not image.decoder.holds_labels:
                    self._look(image, arrays)
                sums = self._evaluated(image, window, arrays)
                for _ in image.windows[1:]:
                    _, window, arrays = next(windows)
                    sums = sums + self._evaluated(image, window, arrays)
                files.pop(image.index).close()
                yield self._closed(image, sums)
                if progress is not None:
                    progress(image.index + 1, len(self.pairs), self.nbytes)

    def _works(self, files: dict[int, ExitStack]) -> Iterator[Work[Part]]:
        """Open the images one by one, and yield their windows as work for the threads that read.

        `files` gets the open files of each image.
        """
        for index, pair in enumerate(self.pairs):
            image = open_image(index, pair, self.how, whole=self.passes.needs_whole_images)
            files[index] = image.stack
            self._check(image)
            for window in image.windows:
                yield Work(partial(_read, image, window), image.nbytes(window))

    def _check(self, image: Image) -> None:
        """Check what all images must have in common. The first image decides it."""
        decoder, file = image.decoder, shown(image.pair.prediction)
        if self.classes is None:
            self.classes, self.given_by = decoder.classes, file
            self.names = next((n for n in (decoder.target.names, decoder.prediction.names) if n is not None), None)
        if decoder.classes != self.classes:
            where = f" on axis {decoder.fitted.prediction.order[0]}" if decoder.fitted.channels else ""
            hint = "" if decoder.fitted.channels else "; for a label map of floating-point numbers, give `num_classes=`"
            raise FileError(
                f"{file}: expected {self.classes} classes{where}, as in {self.given_by}, got {decoder.classes}{hint}"
            )
        kind = Kind(
            certain=decoder.holds_labels or decoder.prediction.probabilities,
            dense=decoder.fitted.dense or self.how.meaning.regions is not None,
        )
        if self.kind is None:
            self.kind = kind
            self._plan(image, kind)
        if kind != self.kind:
            raise FileError(
                f"{file} with {shown(image.pair.target)}: expected {self.kind}, as in "
                f"{shown(self.pairs[0].prediction)}, got {kind}; evaluate them apart, or choose files with `match=`"
            )

    def _plan(self, image: Image, kind: Kind) -> None:
        """Plan the passes, now that the kind of the data is known."""
        decoder, file, losses = image.decoder, shown(image.pair.prediction), self.losses
        if kind.certain:
            losses = {name: taking_probabilities(printable(name), loss, file) for name, loss in losses.items()}
            if losses != self.losses:
                what = "are label maps" if decoder.holds_labels else "hold probabilities"
                self._note(f"the predictions {what}; the losses are computed without a softmax or sigmoid")
        check_channels(losses, file, decoder.classes, kind.dense)
        meaning = self.how.meaning
        if meaning.labels is not None:
            _check_no_own_labels(losses)
        ignored = meaning.ignored if meaning.labels is None else ()
        self.passes = Passes(losses, None if kind.dense else ignored or IGNORED)
        if self._counting is not None:
            self._counter = self._counting(decoder.classes)

    def _look(self, image: Image, arrays: Arrays) -> None:
        """Look at the values. The same note about the next image is not news."""
        exclusive = self.kind is not None and not self.kind.dense
        values = arrays.input[0]
        if arrays.left_out and arrays.weight is not None:  # pixels without data may hold -9999
            values = np.where(arrays.weight[0] > 0, values, np.nan)
        notes = list(look(values, exclusive, self.passes.losses, shown(image.pair.prediction)))
        if not self._looked_doubtful:
            for note in notes:
                self._note(note)
        self._looked_doubtful |= bool(notes)

    def _evaluated(self, image: Image, window: Window, arrays: Arrays) -> OpenSums:
        self.nbytes += arrays.nbytes
        self._left_out += arrays.left_out
        if self._counter is not None:
            self._counts = added(self._counts, self._counter.of(arrays, image.decoder.holds_labels))
        with _naming(image, window):
            return self.passes.sums(arrays.input, arrays.target, arrays.weight, image.fitted.spacing)

    def _closed(self, image: Image, sums: OpenSums) -> Report:
        with _naming(image, image.windows[0]):
            report = closed(self.passes, sums, [image.pair.name])
        self.spacings.append(image.fitted.spacing)
        if image.fitted.note:
            self._note(image.fitted.note, image.pair.name)
        if self._counts is not None:
            prediction, reference = well_formed(image.pair.prediction), well_formed(image.pair.target)
            self.cases.append(Case(prediction=prediction, reference=reference, counts=self._counts))
            self._counts = None
        if self._left_out:
            text = "pixels without data in the prediction are left out"
            self._note(text, f"{image.pair.name} ({self._left_out})")
            self._left_out = 0
        if image.decoder.nodata is not None:
            self._note(f"label {image.decoder.nodata} means no data in the mask's header; its pixels are left out")
        if _has_nan(report):
            self.nan.append(image.index)
        return report


@contextmanager
def _closing_all(files: dict[int, ExitStack]) -> Iterator[None]:
    """Close the files of the images that are still open at the end, which an error leaves behind."""
    try:
        yield
    finally:
        for stack in files.values():
            stack.close()


def _read(image: Image, window: Window) -> Part:
    return image, window, image.read(window)


@contextmanager
def _naming(image: Image, window: Window) -> Iterator[None]:
    """Name the files in an error of the library about their arrays."""
    try:
        yield
    except LabelError as error:
        raise FileError(_bad_label(image, window, error)) from error
    except FileError:
        raise
    except (ValueError, TypeError) as error:
        files = f"{shown(image.pair.prediction)} with {shown(image.pair.target)}"
        raise FileError(f"{files}: {error}") from error


def check_channels(losses: Mapping[str, Loss], file: str, found: int, dense: bool) -> None:
    """Check the number of channels. Some losses take only one. A softmax needs more, as it is 1 over one."""
    for leaf in (leaf for loss in losses.values() for _, leaf in loss.summands()):
        name = loss_name(leaf)
        if found > 1 and leaf.kind == "element" and not dense:
            raise FileError(f"{file}: expected one channel and labels 0 and 1 for {name}, got {found} channels")
        if found == 1 and not leaf.takes_binary:
            raise FileError(f"{file}: expected two or more classes for {name}, got one channel")
        if found == 1 and getattr(leaf, "activation", None) == "softmax":
            hint = "give `activation=sigmoid`, or `activation=None` if it holds probabilities"
            raise FileError(f"{file}: expected two or more classes for the softmax of {name}, got one; {hint}")


def _check_no_own_labels(losses: Mapping[str, Loss]) -> None:
    """Refuse a loss with its own ignored labels next to a label map, after which the labels are classes."""
    for leaf in (leaf for loss in losses.values() for _, leaf in loss.summands()):
        if leaf.ignore_index not in (None, IGNORED):
            raise FileError(
                f"`labels=`: expected no ignore_index in {loss_name(leaf)}, got {leaf.ignore_index}; the label map "
                f"decides, and `ignore_index={leaf.ignore_index}` adds a label of the files"
            )


def loss_name(loss: Loss) -> str:
    """Return the name in expressions: the name of the loss, or of the public loss from which it derives."""
    known = {cls: name for name, cls in LOSSES.items()}
    return next(known[cls] for cls in type(loss).__mro__ if cls in known).removesuffix("_loss")


def _has_nan(report: Report) -> bool:
    """Return whether a sum is nan without `absent="nan"`. If no pixel counts, the sums are 0 and not nan."""
    return any(
        np.isnan(report.partial(name).numbers).any()
        for name, loss in report.losses.items()
        if all(getattr(leaf, "absent", None) != "nan" for _, leaf in loss.summands())
    )


def _bad_label(image: Image, window: Window, error: LabelError) -> str:
    place = image.fitted.target.place(error.position[1:], window)  # leave out the sample axis, which the file lacks
    binary = "; if it is the foreground, save it as 1" if error.classes == 2 and error.label > 0 else ""
    return (
        f"{shown(image.pair.target)}: expected labels in 0..{error.classes - 1}, got {error.label} at {place}; "
        f"if it marks pixels to leave out, give `ignore_index={error.label}`{binary}"
    )


def _listed(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(shown(name) for name in names[:5])}{more}: "
