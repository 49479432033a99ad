"""The HTML page of a report. `Report.to_html` calls `report_page`; the templates decide what the page looks like.

Every name goes through `shown` or `printable`, so no control character reaches the page, and the templates escape it.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._arrays import Array
from .._backend import config
from .._safe_text import counted
from ..files.errors import printable, shown
from ..results import Report
from .charts import Row, rows_of, shows_dots
from .examples import NO_CLASS, NOT_COUNTED, Example
from .files_report import FilesReport
from .pictures import (
    ANCHORS,
    INFINITE,
    NOTHING,
    UNCOUNTED,
    class_colours,
    drawn,
    scale_colours,
    scale_of,
)
from .rendering import rendered
from .sections import confusions, reliabilities
from .words import averaging, number, spacing_line

MOST_CELLS = 60_000
"""The most cells of the table of images, which take half of the 5 MB that a page may have. The worst come first."""

MOST_PICTURE_BYTES = 3_200_000
"""The most bytes of all pictures. Real data need a fifth of it; only maps of noise need more."""

WORST = 10


def report_page(report: Report, *, title: str | None = None, command: str | None = None) -> str:
    """Return the page of a report.

    Parameters
    ----------
    report : Report
        The report.
    title : str, default None
        The heading. None: the number of images and classes.
    command : str, default None
        The command line that made the report.

    Returns
    -------
    str
        The page.
    """
    return rendered("report.html", _Page(report).context(title, command))


class _Page:
    """Collects the texts of a page."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.files = report if isinstance(report, FilesReport) else None
        self.names = [printable(name) for name in report]
        self.keys = report.images
        self.images = [shown(name) for name in self.keys]
        self.classes = [printable(name) for name in report._class_names()]
        self.nan = set(self.files.nan_images) if self.files else set[str]()
        by_class = 1 + report.classes * bool(self.files and self.files.per_image_class)
        self.dots = shows_dots(len(self.images), len(self.names) * by_class)
        self.picture_bytes = 0
        self.ranked_by = getattr(report, "ranked_by", next(iter(report)))
        self.worst = self.files.worst(len(self.images)) if self.files else self._worst()

    def _worst(self) -> list[int]:
        """Return the images of arrays with the worst values, worst first, as `FilesReport.worst` does."""
        best = getattr(self.report.losses[self.ranked_by], "higher_is_better", False)
        values = self.report.per_image[self.ranked_by]
        known = np.flatnonzero(~np.isnan(values))
        found: list[int] = known[np.argsort(values[known] if best else -values[known], kind="stable")].tolist()
        return found

    def context(self, title: str | None, command: str | None) -> dict[str, Any]:
        report, files, images = self.report, self.files, counted(len(self.images), "image")
        failures = [(shown(one.name), printable(one.message)) for one in files.failures] if files else []
        examples = [self._example(one) for one in files.examples] if files else []
        shown_rows = self.worst[: max(WORST, len(examples))]
        some = self._table_images()
        which = "all" if len(some) == len(self.images) else "the worst"
        matrices, curves = confusions(report, self.classes), reliabilities(report)
        lowest = getattr(report.losses[self.ranked_by], "higher_is_better", False)
        sections = [
            *(("set", "All images"), ("classes-set", "Classes"), ("distribution", "Distribution")),
            *([("confusion", "Confusion")] if matrices else []),
            *([("reliability", "Reliability")] if curves else []),
            *(("worst", "Worst images"), ("images", "Images")),
            *([("failures", "Failures")] if failures else []),
            ("how", "How it was computed"),
        ]
        return {
            "title": printable(title) if title else f"{images}, {counted(report.classes, 'class', 'classes')}",
            "facts": list(self._facts()),
            "sections": sections,
            "notes": [printable(note) for note in files.notes] if files else [],
            "losses": [
                {
                    "name": name,
                    "value": number(report[key], self._absent()),
                    "over": averaging(report.losses[key]),
                    "computed": printable(repr(report.losses[key])),
                }
                for name, key in zip(self.names, report, strict=True)
            ],
            "spacing": spacing_line(report.losses.values(), files.spacings) if files else "",
            "class_header": ["Class", *self.names],
            "class_rows": list(self._class_rows()),
            "dots": self.dots,
            "charts": list(self._charts()),
            "matrices": matrices,
            "curves": curves,
            "worst_caption": f"{counted(len(shown_rows), 'image')} with the {'lowest' if lowest else 'largest'} "
            f"{printable(self.ranked_by)}",
            "image_header": ["Image", *self.names],
            "worst_rows": [self._image_row(k) for k in shown_rows],
            "images_summary": f"The values of {which} {counted(len(some), 'image')}",
            "image_rows": [self._image_row(k) for k in some],
            "examples": examples,
            "legend": self._legend() if examples else [],
            "scale_colours": " ".join(_hex(colour) for colour in scale_colours()),
            "gradient": f"linear-gradient(to right, {', '.join(f'#{text}' for text in ANCHORS)})",
            "infinite": _hex(INFINITE),
            "uncounted": _hex(UNCOUNTED),
            "failures": failures,
            "how": list(self._how(command)),
        }

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "Images", str(len(self.images))
        yield "Classes", str(self.report.classes)
        if self.files is None:
            return
        if self.files.failures:
            yield "Failed", str(len(self.files.failures))
        yield "Data in memory", f"{self.files.nbytes / 1e9:.3g} GB"
        yield "Time", f"{self.files.seconds:.3g} s"

    def _absent(self) -> str:
        return "nan" if self.nan else "-"

    def _class_rows(self) -> Iterator[list[str]]:
        columns = self.report.per_class
        for k, name in enumerate(self.classes):
            yield [name, *(number(columns[key][k], self._absent()) for key in self.report)]

    def _image_row(self, k: int) -> list[str]:
        absent = "nan" if self.keys[k] in self.nan else "-"
        return [self.images[k], *(number(values[k], absent) for values in self.report.per_image.values())]

    def _table_images(self) -> list[int]:
        """Return the images of the long table: all in their order, or the worst if there are too many."""
        most = MOST_CELLS // (2 + len(self.names))
        count = len(self.images)
        return list(range(count)) if count <= most else self.worst[:most]

    def _charts(self) -> Iterator[dict[str, Any]]:
        by_class = self.files.per_image_class if self.files else {}
        for name, key in zip(self.names, self.report, strict=True):
            if getattr(self.report.losses[key], "higher_is_better", False) is None:
                continue  # the number of pixels, of a confusion matrix
            columns = [self.report.per_image[key], *(by_class[key].T if key in by_class else ())]
            axis, rows = rows_of(["all classes", *self.classes][: len(columns)], columns, self.dots)
            what = "Class" if len(columns) > 1 else "Values"
            yield {
                "name": name,
                "what": what,
                "axis": axis,
                "rows": [self._chart_row(row, column) for row, column in zip(rows, columns, strict=True)],
            }

    def _chart_row(self, row: Row, values: Array) -> dict[str, Any]:
        texts = [number(value, "-") for value in row.quartiles]
        dots = {k: {"title": f"{self.images[k]}: {number(values[k], '-')}"} for _, _, k in row.dots}
        label = f"{row.name}: no value"
        if row.count:
            label = f"{row.name}: median {texts[2]}, middle half from {texts[1]} to {texts[3]}, {row.count} images"
        return {"shape": row, "quartiles": texts, "dots": dots, "label": label}

    def _example(self, example: Example) -> dict[str, Any]:
        values = zip(self.names, self._image_row(example.index)[1:], strict=True)
        found: dict[str, Any] = {
            "name": self.images[example.index],
            "summary": ", ".join(f"{name}: {value}" for name, value in values),
            "note": printable(example.note),
            "loss": printable(example.loss),
            "drawn": [],
        }
        if not example.planes:
            return found
        scale = scale_of(example)
        images = drawn(example, scale, self.report.classes)
        self.picture_bytes += sum(one.nbytes for one in images)
        if self.picture_bytes > MOST_PICTURE_BYTES:
            return found | {"note": "its pictures are left out, because the page would become too large"}
        low, high = f"{scale.low:.4g}", f"{scale.high:.4g}"
        return found | {"scale": scale, "low": low, "high": high, "drawn": images}

    def _legend(self) -> list[dict[str, str]]:
        """Return the colours of the classes in the pictures. Among many classes, some share a colour."""
        assert self.files is not None
        planes = [plane for one in self.files.examples for plane in one.planes]
        labels = {int(k) for plane in planes for one in (plane.target, plane.prediction) for k in np.unique(one)}
        names: dict[str, list[str]] = {}
        for k, colour in enumerate(class_colours(self.report.classes)):
            if k in labels:
                names.setdefault(_hex(colour), []).append(self.classes[k])
        found = [{"colour": colour, "name": " or ".join(some)} for colour, some in names.items()]
        others = ((NO_CLASS, NOTHING, "no class"), (NOT_COUNTED, UNCOUNTED, "not counted"))
        return found + [{"colour": _hex(colour), "name": name} for k, colour, name in others if k in labels]

    def _how(self, command: str | None) -> Iterator[tuple[str, str]]:
        if command:
            yield "Command", printable(command)
        if self.files is not None:
            for name, value in self.files.options:
                yield OPTIONS.get(name, printable(name)), shown(value)
            if self.files.resumed:
                yield "Finished before", f"{self.files.resumed} images, taken from a ledger"
        how = config()
        threads = f"{how['threads']} thread{'s' * (how['threads'] != 1)}"
        yield "fastloss", f"{how['version']}, {how['backend']} backend, level {how['level']}, {threads}"
        yield "Python", f"{platform.python_version()}, NumPy {np.__version__}, {sys.platform} {platform.machine()}"


OPTIONS = {"predictions": "Predictions", "targets": "Masks"}


def _hex(colour: Sequence[int]) -> str:
    return "".join(f"{part:02x}" for part in colour)
