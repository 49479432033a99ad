"""The commands. They take options and return an exit code; the other modules of this package do the work.

`fastloss.cli.main` calls `run`; `app` is the typer application.
"""

import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import fastloss
from fastloss.losses import (
    LOSSES,
    MULTI_INPUT_LOSSES,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Loss,
    MultiLabelSoftMarginLoss,
)

from . import expression, report
from .errors import UserError, shown
from .loading import Reading
from .measure import Measured, measure
from .names import class_names as read_names
from .pairing import Pair, pairs
from .streams import CLOSED_PIPE, discard, say

app = typer.Typer(
    name="fastloss",
    help="Compute losses of segmentation predictions on the CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

TAKE_LOGITS = (
    (CrossEntropyLoss, "cross_entropy", "categorical_cross_entropy"),
    (BCEWithLogitsLoss, "binary_cross_entropy_with_logits", "binary_cross_entropy"),
    (MultiLabelSoftMarginLoss, "multilabel_soft_margin", "binary_cross_entropy"),
)
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]  # newer versions of typer define the class, older ones use click's
HEADER = ["loss", "class", "description", "parameters and defaults"]


class Activation(StrEnum):
    softmax = "softmax"
    sigmoid = "sigmoid"
    none = "none"


class RawType(StrEnum):
    bfloat16 = "bfloat16"


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
    except UserError as error:
        say(f"error: {error}")
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
        Path,
        typer.Argument(metavar="PREDICTIONS", help="Arrays, file or folder: .npy, .npz, .tif, .nii, .nii.gz."),
    ],
    targets: Annotated[
        Path, typer.Argument(metavar="TARGETS", help="Masks, file or folder: .png, .tif, .npy, .nii, .nii.gz.")
    ],
    loss: Annotated[
        list[str],
        typer.Option(
            help='A loss, e.g. dice, "tversky(alpha=0.3, beta=0.7)", "0.5*dice + 0.5*cross_entropy". May be repeated.'
        ),
    ],
    activation: Annotated[
        Activation | None, typer.Option(help="Turns predictions into probabilities; none if they are probabilities.")
    ] = None,
    axis: Annotated[int, typer.Option(help="The axis of a prediction that holds the classes.")] = 0,
    ignore_index: Annotated[int | None, typer.Option(help="The label of pixels to leave out, e.g. 255.")] = None,
    class_names: Annotated[Path | None, typer.Option(help="Text file with one class name per line.")] = None,
    key: Annotated[str | None, typer.Option(help="The name of the array in an .npz file.")] = None,
    dtype: Annotated[RawType | None, typer.Option(help="The true dtype of |V2 or uint16 numbers.")] = None,
    scale: Annotated[float | None, typer.Option(help="Divide integer predictions by this number, e.g. 255.")] = None,
    output: Annotated[
        list[Path] | None, typer.Option(help="Write all results to a .json or .csv file. May be repeated.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Number of threads.")] = None,
    worst: Annotated[int, typer.Option(min=0, help="Number of worst images to show.")] = 10,
) -> None:
    """Compute losses of saved predictions against masks: of the whole set, per class, and of the worst images.

    Give two files, or two folders whose files are matched by name without extension. A prediction is one array
    (classes, *pixels), its mask (*pixels).
    """
    losses = _losses(loss, activation, ignore_index)
    _check_scale(scale, dtype)
    for path in output or ():
        report.check_output(path)
    names = None if class_names is None else read_names(class_names)
    found = pairs(predictions, targets)
    if threads is not None:
        fastloss.set_num_threads(threads)
    _note_activation(losses, scale, activation)
    how = Reading(axis=axis, key=key, bfloat16=dtype is RawType.bfloat16, scale=scale)
    named = None if names is None else len(names)
    measured = measure(found, losses, how, ignore_index=ignore_index, names=named)
    classes = names or [str(index) for index in range(measured.classes)]
    findings = report.Findings(report=measured.report, pairs=found, classes=classes, nan=measured.nan)
    _note_images(found, measured)
    for path in output or ():
        report.write(findings, path)
    report.tables(findings, worst)
    sys.stdout.flush()  # if the tables are lost, the speed is not printed either
    _say_speed(measured, len(found))


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
    report.catalogue(title, HEADER, _catalogue_rows(expression.TAKEN))
    print()
    title = "Losses that evaluate does not take: they need several inputs, or targets -1 and 1"
    report.catalogue(title, HEADER, _catalogue_rows(others))


@app.command()
def info() -> None:
    """Show the version, the backend, the instruction set and the threads."""
    fastloss.show_config()


def _losses(texts: Sequence[str], activation: Activation | None, ignore_index: int | None) -> dict[str, Loss]:
    """Map each expression to its loss, in the given order. An expression that is given twice counts once."""
    defaults: dict[str, object] = {}
    if activation is not None:
        defaults["activation"] = None if activation is Activation.none else activation.value
    if ignore_index is not None:
        defaults["ignore_index"] = ignore_index
    return {text.strip(): expression.parse(text, defaults) for text in texts}


def _check_scale(scale: float | None, dtype: RawType | None) -> None:
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise UserError(f"--scale: expected a finite number > 0, got {scale}")
    if scale is not None and dtype is not None:
        raise UserError(f"--scale: expected integer predictions, got --dtype {dtype.value}; give only one of the two")


def _note_activation(losses: dict[str, Loss], scale: float | None, activation: Activation | None) -> None:
    """Warn on stderr if a softmax or sigmoid is applied to probabilities, which is legal but rarely intended."""
    leaves = [leaf for loss in losses.values() for _, leaf in loss.summands()]
    if scale is not None and activation is None and any(getattr(leaf, "activation", None) for leaf in leaves):
        say("note: --scale makes probabilities, but a loss applies an activation to them; give --activation none")
    if scale is None and activation is not Activation.none:
        return
    for kind, name, other in TAKE_LOGITS:
        if any(type(leaf) is kind for leaf in leaves):
            say(f"note: {name} takes logits, whatever the options; for probabilities, use {other}")


def _note_images(pairs: Sequence[Pair], measured: Measured) -> None:
    """Warn on stderr about images whose values are doubtful."""

    def named(images: list[int]) -> str:
        more = f" and {len(images) - 5} more" if len(images) > 5 else ""
        return f"{', '.join(shown(pairs[index].name) for index in images[:5])}{more}"

    if measured.nan:
        why = "the prediction holds nan, or values that a loss does not take, such as logits in place of probabilities"
        say(f"note: a loss is nan for {named(measured.nan)}: {why}")
    if measured.moved:
        what = "prediction and mask differ in their affines; they are compared voxel by voxel without regard to them"
        say(f"note: {named(measured.moved)}: {what}")


def _catalogue_rows(losses: Mapping[str, Callable[..., object]]) -> list[list[str]]:
    return [[name, make.__name__, _first_line(make), _signature(make)] for name, make in sorted(losses.items())]


def _signature(make: Callable[..., object]) -> str:
    missing = inspect.Parameter.empty
    given = expression.parameters(make).items()
    return ", ".join(name if value is missing else f"{name}={value!r}" for name, value in given)


def _first_line(make: Callable[..., object]) -> str:
    return (inspect.getdoc(make) or "").partition("\n")[0]


def _say_speed(measured: Measured, images: int) -> None:
    """Print the speed on stderr, so that standard output is the same at every speed."""
    config = fastloss.config()
    how = f"{config['backend']} backend, {config['threads']} thread{'s' * (config['threads'] != 1)}"
    what = f"{images} image{'s' * (images != 1)}, {measured.nbytes / 1e9:.3g} GB in {measured.seconds:.3g} s"
    say(f"{what}: {measured.speed(images)} ({how})")
