"""The options of `fastloss evaluate`, as typer reads and checks them. `app.py` uses them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fastloss.files.layouts import LAYOUTS


class Activation(StrEnum):
    softmax = "softmax"
    sigmoid = "sigmoid"
    none = "none"


class RawType(StrEnum):
    bfloat16 = "bfloat16"


class Engine(StrEnum):
    dask = "dask"


class Hash(StrEnum):
    stat = "stat"
    content = "content"


class OnError(StrEnum):
    stop = "raise"
    skip = "skip"


class NoData(StrEnum):
    ignore = "ignore"
    label = "label"


def layout_name(name: str | None) -> str | None:
    """Check the name of a layout while the options are parsed, before any other work."""
    if name is not None and name not in LAYOUTS:
        raise typer.BadParameter(f"expected one of {', '.join(LAYOUTS)}, got {name!r}")
    return name


FILES, VALUES, SPACE = "Which files", "What the values mean", "Axes and space"
RUN, RESULTS = "How to run", "Results"
"""The panels of the help."""

Predictions = Annotated[
    Path, typer.Argument(metavar="PREDICTIONS", help="Scores or label maps: a file, or a folder of files.")
]

Targets = Annotated[Path, typer.Argument(metavar="TARGETS", help="Masks: a file, or a folder of files.")]

Loss = Annotated[
    list[str] | None,
    typer.Option(
        help='A loss, e.g. dice, "tversky(alpha=0.3, beta=0.7)", "0.5*dice + 0.5*cross_entropy". May be repeated.'
    ),
]

Metric = Annotated[
    list[str] | None,
    typer.Option(help='A metric, e.g. iou, "fbeta(beta=2)", or all. May be repeated.'),
]

Match = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="PATTERN PATTERN",
        rich_help_panel=FILES,
        help='Files that belong together: "{id}_pred.npy" "{id}_gt.png".',
    ),
]

Layout = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(LAYOUTS),
        callback=layout_name,
        rich_help_panel=FILES,
        help="The layout of the folders, with its labels.",
    ),
]

ActivationOption = Annotated[
    Activation | None,
    typer.Option(rich_help_panel=VALUES, help="Turns predictions into probabilities; none if they are probabilities."),
]

Axis = Annotated[
    int | None, typer.Option(rich_help_panel=SPACE, help="The axis of a prediction that holds the classes.")
]

Axes = Annotated[str | None, typer.Option(rich_help_panel=SPACE, help="The names of a prediction's axes, e.g. czyx.")]

TargetAxes = Annotated[str | None, typer.Option(rich_help_panel=SPACE, help="The names of a mask's axes, e.g. xyz.")]

Labels = Annotated[
    str | None,
    typer.Option(rich_help_panel=VALUES, help="Labels or colours to classes: a JSON file, or cityscapes, ade20k, voc."),
]

PredictionLabels = Annotated[
    str | None,
    typer.Option(rich_help_panel=VALUES, help="The same for label maps as predictions; classes if they hold classes."),
]

Regions = Annotated[
    str | None, typer.Option(rich_help_panel=VALUES, help='Regions of labels, e.g. "wt=1+2+3,tc=2+3,et=3".')
]

NumClasses = Annotated[
    int | None, typer.Option(rich_help_panel=VALUES, help="The number of classes of predicted label maps.")
]

IgnoreIndex = Annotated[
    list[int] | None,
    typer.Option(rich_help_panel=VALUES, help="The label of pixels to leave out, e.g. 255. May be repeated."),
]

RoundLabels = Annotated[
    float | None,
    typer.Option(rich_help_panel=VALUES, help="Round labels that are at most this far from whole numbers."),
]

NodataOption = Annotated[
    NoData | None,
    typer.Option(
        rich_help_panel=VALUES,
        help="Ignore or count pixels that a mask's header calls nodata, if that label is also a class.",
    ),
]

IgnoreGeometry = Annotated[
    bool,
    typer.Option("--ignore-geometry", rich_help_panel=SPACE, help="Compare pixel by pixel, whatever the affines say."),
]

ClassNames = Annotated[
    Path | None, typer.Option(rich_help_panel=VALUES, help="Text file with one class name per line.")
]

Key = Annotated[
    str | None,
    typer.Option(rich_help_panel=FILES, help="The name of the array in a prediction's file that holds several."),
]

TargetKey = Annotated[str | None, typer.Option(rich_help_panel=FILES, help="The name of the array in a mask's file.")]

Dtype = Annotated[RawType | None, typer.Option(rich_help_panel=VALUES, help="The true dtype of |V2 or uint16 numbers.")]

Scale = Annotated[
    float | None, typer.Option(rich_help_panel=VALUES, help="Divide integer predictions by this number, e.g. 255.")
]

Output = Annotated[
    list[Path] | None,
    typer.Option(
        rich_help_panel=RESULTS,
        help="Write all results to an .html, .json, .csv or .parquet file, or nnU-Net's summary.json. May be repeated.",
    ),
]

Images = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        rich_help_panel=RESULTS,
        help='Pictures for an .html file: a folder, or a folder and a pattern, e.g. "photos/{id}.jpg".',
    ),
]

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", rich_help_panel=RESULTS, help="Print no progress and no summary of the speed.")
]

Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=RESULTS, help="Print the results as JSON, not as tables.")
]

Workers = Annotated[
    int | None,
    typer.Option(min=1, rich_help_panel=RUN, help="Number of processes that evaluate; without it, this one does."),
]

EngineOption = Annotated[
    Engine | None, typer.Option(rich_help_panel=RUN, help="The cluster that evaluates, at --scheduler.")
]

Scheduler = Annotated[
    str | None, typer.Option(rich_help_panel=RUN, help="The address of the scheduler: tcp://host:8786.")
]

Threads = Annotated[
    int | None,
    typer.Option(min=1, rich_help_panel=RUN, help="Number of threads that compute; in each worker, 1 by default."),
]

ReadThreads = Annotated[
    int | None,
    typer.Option(min=1, rich_help_panel=RUN, help="Number of threads that read and decode: 2, or 1 in each worker."),
]

Worst = Annotated[int, typer.Option(min=0, rich_help_panel=RESULTS, help="Number of worst images to show.")]

State = Annotated[
    Path | None,
    typer.Option(metavar="DIR", rich_help_panel=RUN, help="Keep the result of each finished image in this folder."),
]

Resume = Annotated[
    bool,
    typer.Option("--resume", rich_help_panel=RUN, help="Evaluate only what is missing in --state, or has changed."),
]

HashOption = Annotated[
    Hash,
    typer.Option(
        rich_help_panel=RUN, help="How --state knows that a file has changed: by size and time, or by content."
    ),
]

OnErrorOption = Annotated[
    OnError,
    typer.Option(rich_help_panel=RUN, help="Stop at an image that cannot be evaluated, or skip it and exit with 1."),
]
