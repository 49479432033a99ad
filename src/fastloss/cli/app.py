"""The commands. They take options and return an exit code; the other modules of this package do the work.

`fastloss.cli.main` calls `run`; `app` is the typer application.
"""

import inspect
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import fastloss
from fastloss.archive.look import TAKE_LOGITS
from fastloss.files.layouts import LAYOUTS
from fastloss.losses import LOSSES, MULTI_INPUT_LOSSES, Loss
from fastloss.report.files_report import FilesReport, check_output

from . import expression, tables
from .errors import FileError, UserError, spelled
from .names import class_names as read_names
from .streams import CLOSED_PIPE, discard, say

app = typer.Typer(
    name="fastloss",
    help="Compute losses of segmentation predictions on the CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

USAGE_ERROR: Any = typer.BadParameter.__bases__[0]  # newer versions of typer define the class, older ones use click's
HEADER = ["loss", "class", "description", "parameters and defaults"]


class Activation(StrEnum):
    softmax = "softmax"
    sigmoid = "sigmoid"
    none = "none"


class RawType(StrEnum):
    bfloat16 = "bfloat16"


class NoData(StrEnum):
    ignore = "ignore"
    label = "label"


def _layout(name: str | None) -> str | None:
    """Check the name of a layout while the options are parsed, before any other work."""
    if name is not None and name not in LAYOUTS:
        raise typer.BadParameter(f"expected one of {', '.join(LAYOUTS)}, got {name!r}")
    return name


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the application and return the exit code instead of leaving the process.

    An error that the user can correct goes to stderr, with exit code 2. Any other exception is a bug and shows its
    traceback. An OSError here comes from standard output. The modules that read or write files turn an OSError into a
    UserError that names the file.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error
    try:
        return _run(sys.argv[1:] if arguments is None else list(arguments))
    except (UserError, FileError) as error:
        say(f"error: {spelled(str(error))}")
        return 2
    except USAGE_ERROR as error:
        _say_usage(error)
        return 2
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except (BrokenPipeError, SystemExit):  # rich turns a broken pipe into SystemExit
        discard(sys.stdout)
        return CLOSED_PIPE
    except OSError as error:
        say(f"error: standard output: {error.strerror or error}")
        discard(sys.stdout)
        return 2


def _run(arguments: list[str]) -> int:
    if sys.stdout is None:
        raise UserError("standard output is closed; redirect it to a file, or to /dev/null")
    command = typer.main.get_command(app)
    try:
        # Do not call app(): it prints usage errors itself and fails if standard error is full.
        with command.make_context("fastloss", arguments) as context:
            command.invoke(context)
    except typer.Exit as stop:
        code = stop.exit_code
    else:
        code = 0
    sys.stdout.flush()
    return code


def _say_usage(error: Any) -> None:
    message = error.format_message()
    if message:  # empty if there were no arguments; typer has then printed the help
        command = error.ctx.command_path if error.ctx else "fastloss"
        say(f"error: {message}\nRun {command} --help for the arguments and options.")


def _version(wanted: bool) -> None:
    if wanted:
        print(fastloss.__version__)
        raise typer.Exit


@app.command()
def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="Scores or label maps: a file, or a folder of files.")
    ],
    targets: Annotated[Path, typer.Argument(metavar="TARGETS", help="Masks: a file, or a folder of files.")],
    loss: Annotated[
        list[str],
        typer.Option(
            help='A loss, e.g. dice, "tversky(alpha=0.3, beta=0.7)", "0.5*dice + 0.5*cross_entropy". May be repeated.'
        ),
    ],
    match: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="PATTERN PATTERN", help='Files that belong together: "{id}_pred.npy" "{id}_gt.png".'),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(metavar="|".join(LAYOUTS), callback=_layout, help="The layout of the folders, with its labels."),
    ] = None,
    activation: Annotated[
        Activation | None, typer.Option(help="Turns predictions into probabilities; none if they are probabilities.")
    ] = None,
    axis: Annotated[int | None, typer.Option(help="The axis of a prediction that holds the classes.")] = None,
    axes: Annotated[str | None, typer.Option(help="The names of a prediction's axes, e.g. czyx.")] = None,
    target_axes: Annotated[str | None, typer.Option(help="The names of a mask's axes, e.g. xyz.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="Labels or colours to classes: a JSON file, or cityscapes, ade20k, voc.")
    ] = None,
    prediction_labels: Annotated[
        str | None, typer.Option(help="The same for label maps as predictions; classes if they hold classes.")
    ] = None,
    regions: Annotated[str | None, typer.Option(help='Regions of labels, e.g. "wt=1+2+3,tc=2+3,et=3".')] = None,
    num_classes: Annotated[int | None, typer.Option(help="The number of classes of predicted label maps.")] = None,
    ignore_index: Annotated[
        list[int] | None, typer.Option(help="The label of pixels to leave out, e.g. 255. May be repeated.")
    ] = None,
    round_labels: Annotated[
        float | None, typer.Option(help="Round labels that are at most this far from whole numbers.")
    ] = None,
    nodata: Annotated[
        NoData | None,
        typer.Option(help="Ignore or count pixels that a mask's header calls nodata, if that label is also a class."),
    ] = None,
    ignore_geometry: Annotated[
        bool, typer.Option("--ignore-geometry", help="Compare pixel by pixel, whatever the affines say.")
    ] = False,
    class_names: Annotated[Path | None, typer.Option(help="Text file with one class name per line.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The name of the array in a prediction's file that holds several.")
    ] = None,
    target_key: Annotated[str | None, typer.Option(help="The name of the array in a mask's file.")] = None,
    dtype: Annotated[RawType | None, typer.Option(help="The true dtype of |V2 or uint16 numbers.")] = None,
    scale: Annotated[float | None, typer.Option(help="Divide integer predictions by this number, e.g. 255.")] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(help="Write all results to a .json or .csv file. May be repeated."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Number of threads that compute.")] = None,
    read_threads: Annotated[int, typer.Option(min=1, help="Number of threads that read and decode.")] = 2,
    worst: Annotated[int, typer.Option(min=0, help="Number of worst images to show.")] = 10,
) -> None:
    """Compute losses of saved predictions against masks: of the whole set, per class, and of the worst images.

    Give two files, or two folders whose files are matched by their paths without extension. A prediction is one array
    (classes, *pixels), its mask (*pixels).
    """
    notes = list[str]()
    losses = _losses(loss, activation, notes)
    summaries = [path for path in output or () if layout == "nnunet" and path.name == "summary.json"]
    for path in output or ():
        with _output(path):
            check_output(path)
    names = None if class_names is None else read_names(class_names)
    if threads is not None:
        fastloss.set_num_threads(threads)
    _note_activation(losses, scale, activation)
    with _progress() as progress:
        report = fastloss.evaluate_files(
            losses,
            predictions,
            targets,
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
            prediction_labels=prediction_labels,
            regions=regions,
            num_classes=num_classes,
            class_names=names,
            ignore_index=ignore_index or None,
            round_labels=round_labels,
            nodata=nodata and nodata.value,
            ignore_geometry=ignore_geometry,
            nnunet_summary=bool(summaries),
            read_threads=read_threads,
            progress=progress,
        )
    for note in (*notes, *report.notes):
        say(f"note: {spelled(note)}")
    for path in output or ():
        with _output(path):
            report.write_nnunet_summary(path) if path in summaries else report.write(path)
    tables.tables(report, worst)
    sys.stdout.flush()  # if the tables are lost, the speed is not printed either
    _say_speed(report)


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that precede a command."""


@app.command("losses")
def list_losses() -> None:
    """List the losses with their parameters and defaults."""
    others = {name: cls for name, cls in (LOSSES | MULTI_INPUT_LOSSES).items() if name not in expression.TAKEN}
    title = "Losses that evaluate takes; --loss also takes a name without its trailing _loss"
    tables.catalogue(title, HEADER, _catalogue_rows(expression.TAKEN))
    print()
    title = "Losses that evaluate does not take: they need several inputs, or targets -1 and 1"
    tables.catalogue(title, HEADER, _catalogue_rows(others))


@app.command()
def info() -> None:
    """Show the version, the backend, the instruction set and the threads."""
    fastloss.show_config()


def _losses(texts: Sequence[str], activation: Activation | None, notes: list[str]) -> dict[str, Loss]:
    """Map each expression to its loss, in the given order. An expression that is given twice counts once."""
    defaults: dict[str, object] = {}
    if activation is not None:
        defaults["activation"] = None if activation is Activation.none else activation.value
    return {text.strip(): expression.parse(text, defaults, notes) for text in texts}


@contextmanager
def _output(path: Path) -> Iterator[None]:
    """Name the option in an error about the file that it names."""
    try:
        yield
    except FileError as error:
        raise UserError(f"--output {error}") from error


def _note_activation(losses: dict[str, Loss], scale: float | None, activation: Activation | None) -> None:
    """Warn on stderr if a softmax or sigmoid is applied to probabilities, which is legal but rarely intended."""
    leaves = [leaf for loss in losses.values() for _, leaf in loss.summands()]
    if scale is not None and activation is None and any(getattr(leaf, "activation", None) for leaf in leaves):
        say("note: --scale makes probabilities, but a loss applies an activation to them; give --activation none")
    if scale is None and activation is not Activation.none:
        return
    for kind, (name, other) in TAKE_LOGITS.items():
        if any(type(leaf) is kind for leaf in leaves):
            say(f"note: {name} takes logits, whatever the options; for probabilities, use {other}")


@contextmanager
def _progress() -> Iterator[Callable[[int, int, int], None]]:
    """Show a progress bar on stderr, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    bar = Progress(*columns, TimeRemainingColumn(), console=console)
    with bar if console.is_terminal else nullcontext():  # outside its context, the bar prints nothing
        task = bar.add_task("", total=None, speed="")
        start = time.perf_counter()

        def progress(done: int, total: int, nbytes: int) -> None:
            seconds = max(time.perf_counter() - start, 1e-9)
            speed = f"{done / seconds:.3g} images/s {nbytes / seconds / 1e9:.3g} GB/s"
            bar.update(task, completed=done, total=total, speed=speed)

        yield progress


def _catalogue_rows(losses: Mapping[str, Callable[..., object]]) -> list[list[str]]:
    return [[name, make.__name__, _first_line(make), _signature(make)] for name, make in sorted(losses.items())]


def _signature(make: Callable[..., object]) -> str:
    missing = inspect.Parameter.empty
    given = expression.parameters(make).items()
    return ", ".join(name if value is missing else f"{name}={value!r}" for name, value in given)


def _first_line(make: Callable[..., object]) -> str:
    return (inspect.getdoc(make) or "").partition("\n")[0]


def _say_speed(report: FilesReport) -> None:
    """Print the speed on stderr, so that standard output is the same at every speed. It includes reading."""
    config, images = fastloss.config(), len(report.images)
    how = f"{config['backend']} backend, {config['threads']} thread{'s' * (config['threads'] != 1)}"
    what = f"{images} image{'s' * (images != 1)}, {report.nbytes / 1e9:.3g} GB in {report.seconds:.3g} s"
    seconds = max(report.seconds, 1e-9)
    speed = f"{images / seconds:.3g} images/s, {report.nbytes / seconds / 1e9:.3g} GB/s"
    say(f"{what}: {speed} ({how})")
