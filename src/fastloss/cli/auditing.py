"""`fastloss audit`: ranks images by the quality of their labels. `app.py` registers the command."""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

import fastloss
from fastloss.report.label_audit import LabelAudit, audit_json, check_audit_output

from . import options, tables
from .errors import FileError, UserError, shown, spelled
from .names import class_names as read_names
from .options import Activation
from .progress import shown_progress
from .streams import say

Output = Annotated[
    list[Path] | None,
    typer.Option(rich_help_panel=options.RESULTS, help="Write the ranking to a .json or .csv file. May be repeated."),
]

MapsFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=options.RESULTS,
        help="Write maps of all images into this new folder: .npy files, or a group if it ends in .zarr.",
    ),
]


def audit(
    predictions: options.Predictions,
    targets: options.Targets,
    match: options.Match = None,
    layout: options.Layout = None,
    activation: options.ActivationOption = Activation.softmax,
    axis: options.Axis = None,
    axes: options.Axes = None,
    target_axes: options.TargetAxes = None,
    labels: options.Labels = None,
    ignore_index: options.IgnoreIndex = None,
    round_labels: options.RoundLabels = None,
    nodata: options.NodataOption = None,
    ignore_geometry: options.IgnoreGeometry = False,
    class_names: options.ClassNames = None,
    key: options.Key = None,
    target_key: options.TargetKey = None,
    dtype: options.Dtype = None,
    scale: options.Scale = None,
    output: Output = None,
    maps: MapsFolder = None,
    threads: options.Threads = None,
    read_threads: options.ReadThreads = None,
    worst: options.Worst = 10,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Find labels that a model contradicts: per image, per class, and the images to look at first.

    The predictions are logits or probabilities of a model that has not seen these labels, as in cross-validation.
    """
    for path in output or ():
        try:
            check_audit_output(path)
        except FileError as error:
            raise UserError(f"--output {error}") from error
    names = None if class_names is None else read_names(class_names)
    if threads is not None:
        fastloss.set_num_threads(threads)
    with shown_progress("auditing", quiet) as progress:
        found = fastloss.audit_files(
            predictions,
            targets,
            activation=None if activation in (None, Activation.none) else activation.value,
            match=match,
            layout=layout,
            axis=axis,
            axes=axes,
            target_axes=target_axes,
            key=key,
            target_key=target_key,
            dtype=dtype and dtype.value,
            scale=scale,
            labels=labels,
            class_names=names,
            ignore_index=ignore_index or None,
            round_labels=round_labels,
            nodata=nodata and nodata.value,
            ignore_geometry=ignore_geometry,
            maps=maps,
            read_threads=2 if read_threads is None else read_threads,
            progress=progress,
        )
    for note in found.notes:
        say(f"note: {spelled(note)}")
    for path in output or ():
        found.write(path)
    if json:
        sys.stdout.write(audit_json(found))
    else:
        _tables(found, worst)
    sys.stdout.flush()
    if quiet:
        return
    count = len(found.images)
    say(f"{count} image{'s' * (count != 1)}, {found.nbytes / 1e9:.3g} GB read twice in {found.seconds:.3g} s")


def _tables(audit: LabelAudit, worst: int) -> None:
    """Print the tables of the classes and of the images with the lowest quality."""
    out, pixels, wrong = tables.console(), int(audit.pixels.sum()), int(audit.contradicted.sum())
    share = f" ({wrong / pixels:.3%})" if pixels else ""
    title = f"The model contradicts {wrong} of {pixels} labels{share}"
    tables.table(out, title, CLASS_HEADER, [_class_row(audit, k) for k in range(len(audit.class_names))])
    ranked = audit.worst(worst)
    if ranked:
        print()
        rows = [
            [shown(audit.images[k]), _number(audit.quality[k]), str(audit.contradicted[k]), str(audit.pixels[k])]
            for k in ranked
        ]
        title = f"Lowest label quality, {len(ranked)} of {len(audit.images)} images"
        tables.table(out, title, ["image", "quality", "contradicted", "pixels"], rows)


CLASS_HEADER = ["label", "threshold", "pixels", "contradicted", "most often by"]


def _class_row(audit: LabelAudit, k: int) -> list[str]:
    row = audit.suggestions[k]
    by = audit.class_names[int(row.argmax())] if row.any() else "-"
    return [audit.class_names[k], _number(audit.thresholds[k]), str(audit.class_pixels[k]), str(row.sum()), by]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.6g}"
