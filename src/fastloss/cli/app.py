"""The commands. They take options and return an exit code; the other modules of this package do the work.

`fastloss.cli.main` calls `run`; `app` is the typer application.
"""

import inspect
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import fastloss
from fastloss.files.writing import check_ending, write_file
from fastloss.losses import LOSSES, MULTI_INPUT_LOSSES, Loss
from fastloss.metrics import METRICS, Measure
from fastloss.report.files_report import FilesReport, check_output
from fastloss.report.formats import json_text

from . import auditing, comparing, expression, options, tables
from .errors import FileError, UserError, printable, shown, spelled
from .messages import counted, note_activation, say_failures, say_speed, who_computes
from .names import class_names as read_names
from .options import Activation, Hash, OnError
from .progress import shown_progress
from .streams import CLOSED_PIPE, discard, say

app = typer.Typer(
    name="fastloss",
    help="Compute losses and metrics of segmentation predictions on the CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

USAGE_ERROR: Any = typer.BadParameter.__bases__[0]  # newer versions of typer define the class, older ones use click's
HEADER = ["loss", "class", "description", "parameters and defaults"]


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
        with command.make_context("fastloss", arguments, obj=shlex.join(["fastloss", *arguments])) as context:
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
    context: typer.Context,
    predictions: options.Predictions,
    targets: options.Targets,
    loss: options.Loss = None,
    metric: options.Metric = None,
    match: options.Match = None,
    layout: options.Layout = None,
    activation: options.ActivationOption = None,
    axis: options.Axis = None,
    axes: options.Axes = None,
    target_axes: options.TargetAxes = None,
    labels: options.Labels = None,
    prediction_labels: options.PredictionLabels = None,
    regions: options.Regions = None,
    num_classes: options.NumClasses = None,
    ignore_index: options.IgnoreIndex = None,
    round_labels: options.RoundLabels = None,
    nodata: options.NodataOption = None,
    ignore_geometry: options.IgnoreGeometry = False,
    class_names: options.ClassNames = None,
    key: options.Key = None,
    target_key: options.TargetKey = None,
    dtype: options.Dtype = None,
    scale: options.Scale = None,
    output: options.Output = None,
    images: options.Images = None,
    workers: options.Workers = None,
    engine: options.EngineOption = None,
    scheduler: options.Scheduler = None,
    threads: options.Threads = None,
    read_threads: options.ReadThreads = None,
    worst: options.Worst = 10,
    state: options.State = None,
    resume: options.Resume = False,
    hash: options.HashOption = Hash.stat,
    on_error: options.OnErrorOption = OnError.stop,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Compute losses and metrics of saved predictions against masks: of the whole set, per class, and of the worst
    images.

    Give two files, or two folders whose files are matched by their paths without extension. A prediction has the shape
    (classes, *pixels) unless the file or an option states otherwise, and its mask has (*pixels).
    """
    notes = list[str]()
    losses = _losses(loss or (), metric or (), activation, notes)
    summaries = [path for path in output or () if layout == "nnunet" and path.name == "summary.json"]
    for path in output or ():
        with _output(path):
            check_output(path)
    page = _has_page(output)
    if images is not None and not page:
        raise UserError("--images: expected an .html file as --output, which shows the pictures, got none")
    names = None if class_names is None else read_names(class_names)
    elsewhere = workers is not None or engine is not None
    if threads is not None and not elsewhere:
        fastloss.set_num_threads(threads)
    note_activation(losses, scale, activation)
    with shown_progress("evaluating", quiet) as progress:
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
            workers=workers,
            engine=engine and engine.value,
            scheduler=scheduler,
            worker_threads=threads if elsewhere else None,
            read_threads=read_threads,
            progress=progress,
            state=state,
            resume=resume,
            hash=hash.value,
            on_error=on_error.value,
            per_image_class=page,
            examples=worst if page else 0,
            images=images if worst else None,
        )
    _write(report, notes, output or (), summaries, worst, json, context.obj)
    if not quiet:
        say_speed(report, who_computes(workers, engine, threads or 1))
    say_failures(report)


app.command()(auditing.audit)


@app.command()
def merge(
    context: typer.Context,
    ledgers: Annotated[list[Path], typer.Argument(metavar="LEDGER...", help="Folders that were given as --state.")],
    output: Annotated[
        list[Path] | None,
        typer.Option(help="Write all results to a .html, .json, .csv or .parquet file. May be repeated."),
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="Number of worst images to show.")] = 10,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Join the ledgers of runs with the same options, as of several machines, into one report."""
    for path in output or ():
        with _output(path):
            check_output(path)
    with shown_progress("merging", quiet) as progress:
        report = fastloss.merge_ledgers(ledgers, per_image_class=_has_page(output), progress=progress)
    summaries = [path for path in output or () if report.counted and path.name == "summary.json"]
    _write(report, [], output or (), summaries, worst, json, context.obj)
    if not quiet:
        say(f"{counted(report)} of {len(ledgers)} ledger{'s' * (len(ledgers) != 1)}")


@app.command()
def compare(
    context: typer.Context,
    first: Annotated[Path, typer.Argument(metavar="LEDGER", help="The --state folder of the first run.")],
    second: Annotated[Path, typer.Argument(metavar="LEDGER", help="That of the second run, over the same images.")],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help='Exit with 1 if this holds for the difference, e.g. "dice > 0.01". May be repeated.'),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Number of bootstrap samples for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Write all differences to a .html or .json file.")] = None,
    worst: Annotated[int, typer.Option(min=0, help="Number of images with the largest increase to show.")] = 10,
    json: options.Json = False,
) -> None:
    """Compare two runs over the same images: the second minus the first, per loss, class and image."""
    wanted = comparing.conditions(fail_if or ())
    if output is not None:
        with _output(output):
            check_ending(output, (".html", ".json"))
            check_output(output)
    found = fastloss.compare_ledgers(first, second, samples=samples, seed=seed)
    comparing.check_names(wanted, found)
    names = [str(first), str(second)]
    for name, only in zip(names, found.only, strict=True):
        if only:
            say(f"note: {len(only)} images are only in {shown(name)} and do not count")
    if output is not None:
        with _output(output):
            page = output.suffix.lower() == ".html"
            write_file(output, found.to_html(command=context.obj) if page else comparing.as_json(found, names))
    if json:
        sys.stdout.write(comparing.as_json(found, names))
    else:
        comparing.tables_of(found, names, worst)
    sys.stdout.flush()
    failed = [condition.text for condition in wanted if condition.holds(found)]
    if failed:
        say("\n".join(f"failed: {text}" for text in failed))
        raise typer.Exit(1)


def _has_page(outputs: Sequence[Path] | None) -> bool:
    return any(path.suffix.lower() == ".html" for path in outputs or ())


def _write(
    report: FilesReport,
    notes: Sequence[str],
    outputs: Sequence[Path],
    summaries: Sequence[Path],
    worst: int,
    json: bool,
    command: str,
) -> None:
    """Print the notes, write the files, and print the tables or the JSON."""
    for note in (*notes, *report.notes):
        say(f"note: {spelled(note)}")
    for path in outputs:
        with _output(path):
            if path in summaries:
                report.write_nnunet_summary(path)
            elif path.suffix.lower() == ".html":
                write_file(path, report.to_html(command=command))
            else:
                report.write(path)
    if json:
        sys.stdout.write(json_text(report))
    else:
        tables.tables(report, worst)
    sys.stdout.flush()  # if the tables are lost, the speed is not printed either


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


@app.command("metrics")
def list_metrics() -> None:
    """List the metrics with their parameters and defaults."""
    header = ["metric", *HEADER[1:]]
    title = "Metrics that evaluate takes; --metric all takes those that need no parameter and no probabilities"
    tables.catalogue(title, header, _catalogue_rows(METRICS))


@app.command()
def info() -> None:
    """Show the version, the backend, the instruction set and the threads."""
    fastloss.show_config()


def _losses(
    losses: Sequence[str], metrics: Sequence[str], activation: Activation | None, notes: list[str]
) -> dict[str, Measure]:
    """Map each expression to its loss or metric, in the given order. An expression that is given twice counts once."""
    if not losses and not metrics:
        raise UserError("expected --loss or --metric, for example --loss dice --metric iou, got neither")
    defaults: dict[str, object] = {}
    if activation is not None:
        defaults["activation"] = None if activation is Activation.none else activation.value
    found: dict[str, Measure] = {
        text.strip(): _mergeable(text, expression.parse(text, defaults, notes)) for text in losses
    }
    for text in (one for given in metrics for one in (expression.all_metrics() if given.strip() == "all" else [given])):
        made = expression.parse_metric(text, defaults)
        name = text.strip()
        if isinstance(found.get(name), Loss):  # such as dice, which is both
            name = f"{name} (metric)"
        found[name] = made
    return found


def _mergeable(text: str, loss: Loss) -> Loss:
    try:
        loss.check_merging()
    except ValueError as error:
        raise UserError(f'--loss "{printable(text)}": {error}') from None
    return loss


@contextmanager
def _output(path: Path) -> Iterator[None]:
    """Name the option in an error about the file that it names."""
    try:
        yield
    except FileError as error:
        raise UserError(f"--output {error}") from error


def _catalogue_rows(losses: Mapping[str, Callable[..., object]]) -> list[list[str]]:
    return [[name, make.__name__, _first_line(make), _signature(make)] for name, make in sorted(losses.items())]


def _signature(make: Callable[..., object]) -> str:
    missing = inspect.Parameter.empty
    given = expression.parameters(make).items()
    return ", ".join(name if value is missing else f"{name}={value!r}" for name, value in given)


def _first_line(make: Callable[..., object]) -> str:
    return (inspect.getdoc(make) or "").partition("\n")[0]
