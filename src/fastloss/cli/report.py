"""Writes the output of `fastloss evaluate`: tables for people, JSON or CSV for programs.

`Findings` holds all results, and `tables` prints them. `write` puts the file in place in one step, so a stopped run
leaves either the whole file or none. `app.py` calls this module, which does not know how the numbers are computed.
"""

import csv
import io
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

import fastloss
from fastloss._engine.loss import Composed
from fastloss._engine.region import RegionLoss
from fastloss.losses import GeneralizedDiceLoss, Loss

from .errors import UserError, printable, shown, well_formed
from .pairing import Pair


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The merged report, and the names of its images and classes."""

    report: fastloss.Report
    pairs: Sequence[Pair]
    classes: Sequence[str]
    nan: Sequence[int] = ()  # the images that have a nan loss although some pixels count

    @property
    def losses(self) -> dict[str, Loss]:
        return dict(self.report.losses)

    def worst(self, count: int) -> list[int]:
        """Return the images with the largest values of the first loss, largest first.

        The images in `nan` come before all others. An image without a value is left out.
        """
        values = self.report.per_image[next(iter(self.losses))]
        keys = {index: -value for index, value in enumerate(values.tolist()) if not math.isnan(value)}
        first = set(self.nan)
        keys |= dict.fromkeys(first, 0.0)
        return sorted(keys, key=lambda index: (index not in first, keys[index], index))[:count]


def averaging(loss: Loss) -> str:
    """Say in words what the value of a loss over many images is averaged over: pixels, images or classes."""
    if isinstance(loss, Composed):
        return " + ".join(f"{weight:g} x ({averaging(term)})" for weight, term in loss.summands())
    if loss.reduction == "sum":
        return "the sum, not an average"
    weighted = "weighted " if getattr(loss, "class_weight", None) is not None else ""
    if isinstance(loss, GeneralizedDiceLoss):  # one value per image
        return "pixels of all images pooled" if loss.batch else "mean over images"
    if not isinstance(loss, RegionLoss):
        return f"{weighted}mean over the pixels of all images"
    absent = ", without classes absent from the mask" if getattr(loss, "absent", None) == "skip" else ""
    if loss.batch:
        return f"pixels of all images pooled, then {weighted}mean over classes{absent}"
    return f"{weighted}mean over images and classes{absent}"


# Tables


def console() -> Console:
    """Return the console for standard output. It prints text as it is: rich must not read `[1, 2]` as markup."""
    return Console(markup=False, highlight=False, emoji=False)


def table(out: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True) -> None:
    """Print a title line and a table under it. With `numbers`, the columns after the first are aligned to the right."""
    title, header = printable(title), [printable(name) for name in header]
    rows = [[printable(cell) for cell in row] for row in rows]
    if not out.is_terminal:
        print(title, *_aligned([header, *rows], numbers), sep="\n")
        return
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, name in enumerate(header):
        grid.add_column(name, justify="right" if numbers and index else "left", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    out.print(title, style="bold")
    out.print(grid)


def catalogue(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of long texts as a table. If lines must be short, print each row's texts below its first two cells."""
    out = console()
    if not out.is_terminal:
        table(out, title, header, rows, numbers=False)
        return
    out.print(title, style="bold")
    for name, kind, *texts in rows:
        out.print(f"\n{name}  ({kind})", style="bold")
        for text in texts:
            out.print(Padding(text, (0, 0, 0, 4)))


def _aligned(rows: Sequence[Sequence[str]], numbers: bool) -> list[str]:
    """Return lines of aligned columns without colours or borders, for pipes and files."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        pads = [" " * (width - cell_len(cell)) for width, cell in zip(widths, row, strict=True)]
        cells = [
            pad + cell if numbers and i else cell + pad for i, (cell, pad) in enumerate(zip(row, pads, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def tables(found: Findings, worst: int) -> None:
    """Print the tables of the whole set, of the classes and of the worst images."""
    out, report, names = console(), found.report, list(found.losses)
    absent = "nan" if found.nan else "-"
    images = "1 image" if report.images == 1 else f"all {report.images} images"
    title = (
        f"Loss of {images}, from merged partial sums: the loss of all images concatenated, not a mean of per-file means"
    )
    rows = [[name, number(report[name], absent), averaging(loss)] for name, loss in found.losses.items()]
    table(out, title, ["loss", "value", "averaged over"], rows, numbers=False)
    print()
    columns = [report.per_class[name] for name in names]
    rows = [
        [label, *(number(value, absent) for value in row)] for label, *row in zip(found.classes, *columns, strict=True)
    ]
    nothing = "" if found.nan else " ('-': no value for this class)"
    table(out, f"Per class, {images} merged{nothing}", ["class", *names], rows)
    ranked = found.worst(worst)
    if ranked:
        print()
        rows = [
            [
                shown(found.pairs[i].name),
                *(number(report.per_image[name][i], "nan" if i in found.nan else "-") for name in names),
            ]
            for i in ranked
        ]
        table(out, f"Worst {len(ranked)} of {report.images} by {names[0]} (the first loss)", ["image", *names], rows)


def number(value: float, absent: str) -> str:
    return absent if math.isnan(value) else f"{value:.6g}"


# Files


def check_output(path: Path) -> None:
    """Refuse an output that could not be written, before any work is done."""
    if path.suffix.lower() not in WRITERS:
        raise UserError(f"--output {shown(path)}: expected a name ending in {' or '.join(WRITERS)}")
    with _writing(path):
        final = Path(os.path.realpath(path))  # a link stays a link, and the file that it points to is replaced
        if final.is_dir():
            raise UserError(f"--output {shown(path)}: expected a file, got a folder")
        if final.exists() and not (final.is_file() and os.access(final, os.W_OK)):
            raise UserError(f"--output {shown(path)}: expected a file that may be written, got one that may not")
        folder = final.parent
        if not folder.is_dir():
            raise UserError(f"--output {shown(path)}: expected an existing folder; create {shown(folder)} first")
        if not os.access(folder, os.W_OK):
            raise UserError(f"--output {shown(path)}: expected a writable folder, got {shown(folder)}")


def write(found: Findings, path: Path) -> None:
    """Write everything to `path`, or nothing. A temporary file in the same folder is renamed at the end."""
    text = WRITERS[path.suffix.lower()](found)
    with _writing(path):
        _replace(os.path.realpath(path), text.encode())


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"--output {shown(path)}: cannot be written: {error.strerror or error}") from error


def _replace(final: str, data: bytes) -> None:
    # The name is known before the file exists, so Ctrl-C leaves nothing behind. (tempfile would create the file first.)
    # "x" creates the file or fails: nothing is overwritten and no link is followed.
    name = os.path.join(os.path.dirname(final), f".fastloss-{secrets.token_hex(8)}")
    try:
        with open(name, "xb") as handle:
            handle.write(data)
        if os.path.exists(final):
            shutil.copymode(final, name)
        os.replace(name, final)
    except BaseException:
        with suppress(FileNotFoundError):  # the file was never made, or already has its final name
            os.unlink(name)
        raise


def _json(found: Findings) -> str:
    report, names = found.report, list(found.losses)
    config = fastloss.config()
    data = {
        "fastloss": config["version"],
        "backend": config["backend"],
        "images": int(report.images),
        "nan_images": [well_formed(found.pairs[index].name) for index in found.nan],
        "classes": list(found.classes),
        "losses": {
            name: {
                "loss": repr(loss),
                "value": _finite(report[name]),
                "averaged_over": averaging(loss),
                "per_class": dict(zip(found.classes, map(_finite, report.per_class[name]), strict=True)),
            }
            for name, loss in found.losses.items()
        },
        "per_image": [
            {
                **_named("image", pair.name),
                **_named("prediction", pair.prediction),
                **_named("target", pair.target),
                "losses": {name: _finite(report.per_image[name][index]) for name in names},
            }
            for index, pair in enumerate(found.pairs)
        ],
    }
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def _named(key: str, path: str | os.PathLike[str]) -> dict[str, str]:
    """Return a name for JSON, which escapes control characters itself. If it is not UTF-8, add its bytes."""
    text, exact = well_formed(path), os.fsencode(path)
    return {key: text} if text.encode() == exact else {key: text, f"{key}_bytes": exact.hex()}


def _finite(value: float) -> float | None:
    """Return the number, or None for nan and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def _csv(found: Findings) -> str:
    text = io.StringIO()
    usual = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    usual.writerow(["scope", "name", "loss", "value"])
    for row in _csv_rows(found):
        (quoted if "\r" in "".join(row) else usual).writerow(row)  # Python 3.11 does not quote a carriage return
    return text.getvalue()


def _csv_rows(found: Findings) -> Iterator[tuple[str, str, str, str]]:
    report, names = found.report, list(found.losses)
    for name in names:
        yield "all", "", _text_cell(name), repr(float(report[name]))
    columns = report.per_class
    for index, label in enumerate(found.classes):
        for name in names:
            yield "class", _text_cell(label), _text_cell(name), repr(float(columns[name][index]))
    for index, pair in enumerate(found.pairs):
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

WRITERS: dict[str, Callable[[Findings], str]] = {".json": _json, ".csv": _csv}
