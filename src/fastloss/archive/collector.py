"""Collector: merges the results of images, in the order of the work list, and collects the notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .._arrays import Array
from ..files.errors import FileError, shown
from ..files.pairing import Pair
from ..report.facts import Facts, Failed
from ..report.files_report import FilesReport
from ..report.nnunet import Case
from ..results import MERGED_AT_ONCE, Report
from .checks import Kind, check_classes, check_kind
from .worker import Failure, Result


class Collector:
    """The merged results so far. `add` takes them in the order of the work list.

    With `skip`, an image that does not go with the first one is a failure and not an error. With `by_class`, the losses
    of each image and class are kept.
    """

    def __init__(
        self, pairs: Sequence[Pair], names: tuple[str, ...] | None, *, skip: bool = False, by_class: bool = False
    ) -> None:
        self.pairs, self.names, self.skip, self.by_class = pairs, names, skip, by_class
        self.done = list[Pair]()  # the pairs of the report, without those that failed
        self.failures = list[Failure]()
        self.kind: Kind | None = None
        self.classes = 0
        self.first = ""
        self.nbytes = 0
        self.spacings, self.nan, self.cases = list[tuple[float, ...] | None](), list[int](), list[Case]()
        self.class_values: dict[str, list[Array]] = {}
        self._reports = list[Report]()
        self._noted: dict[str, list[str]] = {}
        self._doubts: tuple[str, ...] = ()

    def add(self, result: Result | Failure) -> None:
        """Take the next result."""
        if isinstance(result, Failure):
            self.failures.append(result)
            return
        pair = self.pairs[result.index]
        file = shown(pair.prediction)
        if self.kind is None:
            self.kind, self.classes, self.first = result.kind, result.report.classes, file
            self.names = self.names or result.class_names
        try:
            check_classes(file, result.report.classes, self.classes, self.first)
            check_kind(pair, result.kind, self.kind, self.first)
        except FileError as error:
            if not self.skip:
                raise
            self.failures.append(Failure(index=result.index, name=pair.name, message=str(error)))
            return
        for loss, values in result.report.per_class.items() if self.by_class else ():
            self.class_values.setdefault(loss, []).append(values)
        self._reports.append(result.report)
        if len(self._reports) > MERGED_AT_ONCE:
            self._reports = [Report.sum(self._reports)]
        if result.nan:
            self.nan.append(len(self.done))
        self.done.append(pair)
        self.nbytes += result.nbytes
        self.spacings.append(result.spacing)
        self.cases += [result.case] if result.case is not None else []
        self._doubts = self._doubts or result.doubts  # the same doubt about the next image is not news
        for text, image in result.notes:
            names = self._noted.setdefault(text, [])
            if image:
                names.append(image)

    def files_report(
        self, *, notes: Iterable[str], seconds: float, resumed: int, options: Sequence[tuple[str, str]] = ()
    ) -> FilesReport:
        """Return the report of all images with the facts about their files. `notes` come before all others."""
        facts = Facts(
            pairs=tuple(self.done),
            class_names=self.class_names(),
            spacings=tuple(self.spacings),
            notes=(*notes, *self.notes()),
            nan=tuple(self.nan),
            failures=tuple(Failed(name=one.name, message=one.message) for one in self.failures),
            nbytes=self.nbytes,
            cases=tuple(self.cases),
            seconds=seconds,
            resumed=resumed,
            class_values={loss: np.array(values) for loss, values in self.class_values.items()},
            options=tuple(options),
        )
        return FilesReport(self.report(), facts)

    def report(self) -> Report:
        """Return the report of all images."""
        if not self._reports:
            count, first = len(self.failures), self.failures[0].message
            raise FileError(f"expected an image that can be evaluated, got {count} failures; the first: {first}")
        return Report.sum(self._reports)

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes, or their numbers."""
        return self.names or tuple(str(k) for k in range(self.classes))

    def notes(self) -> list[str]:
        """Return each note once, with the images that it is about."""
        notes = [*self._doubts, *(f"{listed(names)}{text}" for text, names in self._noted.items())]
        if self.nan:
            names = [self.done[index].name for index in self.nan]
            why = "the prediction holds nan, or values that a loss does not take, such as logits for probabilities"
            notes.append(f"a loss is nan for {listed(names)}{why}")
        if self.failures:
            failed = [failure.name for failure in self.failures]
            notes.append(f"{listed(failed)}cannot be evaluated and {'is' if len(failed) == 1 else 'are'} left out")
        return notes


def listed(names: Sequence[str]) -> str:
    """Return the names of the images that a note is about, to put before its text."""
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(shown(name) for name in names[:5])}{more}: "
