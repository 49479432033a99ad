"""Writes a report of files as JSON, CSV, Parquet or HTML."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._backend import config
from ..files.errors import well_formed
from ..metrics import ConfusionMatrix
from .words import averaging

if TYPE_CHECKING:
    from .files_report import FilesReport


def json_text(report: FilesReport) -> str:
    """Return the report as JSON."""
    names, how = list(report), config()
    data = {
        "fastloss": how["version"],
        "backend": how["backend"],
        "images": len(report.pairs),
        "nan_images": [well_formed(name) for name in report.nan_images],
        "notes": list(report.notes),
        "failures": [{**_named("image", one.name), "message": one.message} for one in report.failures],
        "classes": list(report.class_names),
        "losses": {
            name: {
                "loss": repr(loss),
                "value": _finite(report[name]),
                "averaged_over": averaging(loss),
                "per_class": dict(zip(report.class_names, map(_finite, report.per_class[name]), strict=True)),
                **({"matrix": matrix_of(report, name)} if isinstance(loss, ConfusionMatrix) else {}),
            }
            for name, loss in report.losses.items()
        },
        "per_image": [
            {
                **_named("image", pair.name),
                **_named("prediction", pair.prediction),
                **_named("target", pair.target),
                "spacing": None if report.spacings[index] is None else list(report.spacings[index] or ()),
                "losses": {name: _finite(report.per_image[name][index]) for name in names},
            }
            for index, pair in enumerate(report.pairs)
        ],
    }
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def matrix_of(report: FilesReport, name: str) -> Any:
    """Return the rows of a confusion matrix, one per class of the target."""
    return np.asarray(report.losses[name].finalize(report.partial(name))).tolist()


def _named(key: str, path: str | os.PathLike[str]) -> dict[str, str]:
    """Return a name for JSON, which escapes control characters itself. If it is not UTF-8, add its bytes."""
    text, exact = well_formed(path), os.fsencode(path)
    return {key: text} if text.encode() == exact else {key: text, f"{key}_bytes": exact.hex()}


def _finite(value: float) -> float | None:
    """Return the number, or None for nan and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def _csv(report: FilesReport) -> str:
    return _csv_text(["scope", "name", "loss", "value"], _csv_rows(report))


def _csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    usual = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    usual.writerow(header)
    for row in rows:
        (quoted if "\r" in "".join(row) else usual).writerow(row)  # Python 3.11 does not quote a carriage return
    return text.getvalue()


def _csv_rows(report: FilesReport) -> Iterator[tuple[str, str, str, str]]:
    names = list(report)
    for name in names:
        yield "all", "", _text_cell(name), repr(float(report[name]))
    columns = report.per_class
    for index, label in enumerate(report.class_names):
        for name in names:
            yield "class", _text_cell(label), _text_cell(name), repr(float(columns[name][index]))
    for index, pair in enumerate(report.pairs):
        for name in names:
            yield (
                "image",
                _text_cell(well_formed(pair.name)),
                _text_cell(name),
                repr(float(report.per_image[name][index])),
            )


def _text_cell(name: str) -> str:
    """Return the name as a cell that a spreadsheet reads as text, whatever the name begins with."""
    return f"'{name}" if name.startswith(FORMULA) else name


FORMULA = tuple("=+-@\t\r\n\0＝＋－＠'")
"""The characters that begin a formula, from OWASP's page on CSV injection and its ASVS 1.2.10. The quote is one of
them, so a reader who drops one quote gets the name back."""


def _parquet(report: FilesReport) -> bytes:
    """Return a Parquet file with the table of the images."""
    table = report.to_arrow()
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


WRITERS: dict[str, Callable[[FilesReport], str | bytes]] = {
    ".json": json_text,
    ".csv": _csv,
    ".parquet": _parquet,
    ".html": lambda report: report.to_html(),
}
