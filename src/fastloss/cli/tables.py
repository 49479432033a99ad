"""Prints the tables of `fastloss evaluate` and `fastloss losses`. `app.py` calls this module."""

from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from fastloss.files.errors import printable, shown
from fastloss.metrics import Metric
from fastloss.report.files_report import FilesReport
from fastloss.report.words import averaging, number, spacing_line


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


def tables(report: FilesReport, worst: int) -> None:
    """Print the tables of the whole set, of the classes and of the worst images."""
    out, names, nan = console(), list(report), set(report.nan_images)
    absent, count = "nan" if nan else "-", len(report.images)
    images = "1 image" if count == 1 else f"all {count} images"
    kinds = {"metric" if isinstance(loss, Metric) else "loss" for loss in report.losses.values()}
    what = " or ".join(sorted(kinds))
    title = (
        f"{what.capitalize()} of {images}, from merged partial sums: the {what} of all images concatenated, not a mean "
        "of per-file means"
    )
    rows = [[name, number(report[name], absent), averaging(loss)] for name, loss in report.losses.items()]
    table(out, title, [what, "value", "averaged over"], rows, numbers=False)
    if line := spacing_line(report.losses.values(), report.spacings):
        print(line)
    print()
    columns = [report.per_class[name] for name in names]
    rows = [
        [label, *(number(value, absent) for value in row)]
        for label, *row in zip(report.class_names, *columns, strict=True)
    ]
    nothing = "" if nan else " ('-': no value for this class)"
    table(out, f"Per class, {images} merged{nothing}", ["class", *names], rows)
    ranked = report.worst(worst)
    if ranked:
        print()
        rows = [_image_row(report, index, nan) for index in ranked]
        first = report.ranked_by
        how = "the first metric, lowest first" if report.losses[first].higher_is_better else "the first loss"
        table(out, f"Worst {len(ranked)} of {count} by {first} ({how})", ["image", *names], rows)


def _image_row(report: FilesReport, index: int, nan: set[str]) -> list[str]:
    name = report.images[index]
    absent = "nan" if name in nan else "-"
    return [shown(name), *(number(report.per_image[loss][index], absent) for loss in report)]
