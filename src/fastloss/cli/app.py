"""The commands: options in, exit code out. All the work is done by the other modules of this package.

`run` is called by `fastloss.cli.main`; `app` is the typer application, which the tests call too.
"""

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import fastloss
from fastloss.losses import JOINT_LOSSES, LOSSES, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MultiLabelSoftMarginLoss

from . import expression, report
from .errors import UserError, shown
from .files import Pair, Reading, pairs
from .measure import Measured, measure

app = typer.Typer(
    name="fastloss",
    help="Losses of segmentation predictions on the CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

TAKE_LOGITS = (
    (CrossEntropyLoss, "cross_entropy", "categorical_cross_entropy"),
    (BCEWithLogitsLoss, "binary_cross_entropy_with_logits", "binary_cross_entropy"),
    (MultiLabelSoftMarginLoss, "multilabel_soft_margin", "binary_cross_entropy"),
)
HEADER = ["loss", "class", "what it is", "parameters and defaults"]


class Activation(StrEnum):
    softmax = "softmax"
    sigmoid = "sigmoid"
    none = "none"


class RawType(StrEnum):
    bfloat16 = "bfloat16"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the application and return the exit code instead of leaving the process."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name the terminal cannot show is no reason to stop
    try:
        app(None if arguments is None else list(arguments), prog_name="fastloss")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


@contextmanager
def user_errors() -> Iterator[None]:
    """What the user can put right goes to stderr and exits 2; Ctrl-C exits 130. Anything else is a bug and is shown."""
    try:
        yield
        sys.stdout.flush()
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise  # whoever read has enough: typer ends quietly
    except OSError as error:  # of files it would be a UserError
        typer.echo(f"error: standard output: {error.strerror or error}", err=True)
        raise typer.Exit(2) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(fastloss.__version__)
        raise typer.Exit


@app.command()
def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="File or folder: .npy, .npz, .tif, .nii, .nii.gz.")
    ],
    targets: Annotated[
        Path, typer.Argument(metavar="TARGETS", help="Masks, file or folder: .png, .tif, .npy, .nii, .nii.gz.")
    ],
    loss: Annotated[
        list[str],
        typer.Option(help='A loss, e.g. dice, "tversky(alpha=0.3, beta=0.7)", "0.5*dice + 0.5*cross_entropy". Repeat.'),
    ],
    activation: Annotated[
        Activation | None, typer.Option(help="What turns predictions into probabilities; none: they are some.")
    ] = None,
    axis: Annotated[int, typer.Option(help="The axis of a prediction that holds the classes.")] = 0,
    ignore_index: Annotated[int | None, typer.Option(help="The label of pixels to leave out, e.g. 255.")] = None,
    class_names: Annotated[Path | None, typer.Option(help="Text file, one class a line.")] = None,
    key: Annotated[str | None, typer.Option(help="Which array of an .npz.")] = None,
    dtype: Annotated[RawType | None, typer.Option(help="What |V2 or uint16 numbers really are.")] = None,
    scale: Annotated[float | None, typer.Option(help="Divide integer predictions by this, e.g. 255.")] = None,
    output: Annotated[list[Path] | None, typer.Option(help="Write everything to a .json or .csv file. Repeat.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads to compute with.")] = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the worst images to show.")] = 10,
) -> None:
    """Losses of saved predictions against masks: over the whole set, per class, and the worst images.

    Two files, or two folders whose files are matched by name without extension. A prediction is one array
    (classes, *pixels), a mask (*pixels).
    """
    with user_errors():
        losses = _losses(loss, activation, ignore_index)
        _check_scale(scale, dtype)
        for path in output or ():
            report.check_output(path)
        names = None if class_names is None else _class_names(class_names)
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
        _say_speed(measured, len(found))


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """What stands before a command."""


@app.command("losses")
def list_losses() -> None:
    """The losses there are, with their parameters and defaults."""
    others = {name: cls for name, cls in (LOSSES | JOINT_LOSSES).items() if name not in expression.TAKEN}
    with user_errors():
        title = "Losses that evaluate takes; in --loss a trailing _loss may be dropped"
        report.catalogue(title, HEADER, _catalogue_rows(expression.TAKEN))
        typer.echo()
        title = "Losses that evaluate does not take: of several inputs, or of targets -1 and 1"
        report.catalogue(title, HEADER, _catalogue_rows(others))


@app.command()
def info() -> None:
    """Version, backend, instruction set and threads."""
    with user_errors():
        fastloss.show_config()


def _losses(texts: Sequence[str], activation: Activation | None, ignore_index: int | None) -> dict[str, Loss]:
    """Expression -> loss, in the order given; the same one twice counts once."""
    defaults: dict[str, object] = {}
    if activation is not None:
        defaults["activation"] = None if activation is Activation.none else activation.value
    if ignore_index is not None:
        defaults["ignore_index"] = ignore_index
    return {text.strip(): expression.parse(text, defaults) for text in texts}


def _check_scale(scale: float | None, dtype: RawType | None) -> None:
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise UserError(f"--scale: expected a number above 0, got {scale}")
    if scale is not None and dtype is not None:
        raise UserError(f"--scale: it is for integers, not for --dtype {dtype.value}")


def _note_activation(losses: dict[str, Loss], scale: float | None, activation: Activation | None) -> None:
    """Of probabilities, a second softmax is legal but hardly meant."""
    leaves = [leaf for loss in losses.values() for _, leaf in loss.leaves()]
    if scale is not None and activation is None and any(getattr(leaf, "activation", None) for leaf in leaves):
        typer.echo("note: --scale means probabilities, yet an activation is applied; give --activation none", err=True)
    if scale is None and activation is not Activation.none:
        return
    for kind, name, other in TAKE_LOGITS:
        if any(type(leaf) is kind for leaf in leaves):
            typer.echo(f"note: {name} takes logits whatever is said here; of probabilities it is {other}", err=True)


def _note_images(pairs: Sequence[Pair], measured: Measured) -> None:
    """What makes values doubtful, on stderr."""

    def named(images: list[int]) -> str:
        more = f" and {len(images) - 5} more" if len(images) > 5 else ""
        return f"{', '.join(pairs[index].name for index in images[:5])}{more}"

    if measured.nan:
        why = "not a number in the prediction, or one that this loss does not take, as logits are no probabilities"
        typer.echo(f"note: a loss is nan for {named(measured.nan)}: {why}", err=True)
    if measured.moved:
        what = "prediction and mask differ in their affine, and are compared voxel by voxel all the same"
        typer.echo(f"note: {named(measured.moved)}: {what}", err=True)


def _class_names(path: Path) -> list[str]:
    try:
        names = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--class-names {shown(path)}: cannot be read: {error}") from error
    names = [name.strip() for name in names]
    if not all(names):
        raise UserError(f"--class-names {shown(path)}: line {names.index('') + 1} is empty")
    twice = [name for name in names if names.count(name) > 1]
    if twice or not names:
        raise UserError(f"--class-names {shown(path)}: {f'{twice[0]} is there twice' if twice else 'no name in it'}")
    return names


def _catalogue_rows(losses: Mapping[str, Callable[..., object]]) -> list[list[str]]:
    return [[name, make.__name__, _first_line(make), _signature(make)] for name, make in sorted(losses.items())]


def _signature(make: Callable[..., object]) -> str:
    missing = inspect.Parameter.empty
    given = expression.parameters(make).items()
    return ", ".join(name if value is missing else f"{name}={value!r}" for name, value in given)


def _first_line(make: Callable[..., object]) -> str:
    return (inspect.getdoc(make) or "").partition("\n")[0]


def _say_speed(measured: Measured, images: int) -> None:
    """One line on stderr, so that standard output holds the same tables at every speed."""
    config = fastloss.config()
    how = f"{config['backend']} backend, {config['threads']} thread{'s' * (config['threads'] != 1)}"
    what = f"{images} image{'s' * (images != 1)}, {measured.nbytes / 1e9:.3g} GB in {measured.seconds:.3g} s"
    typer.echo(f"{what}: {measured.speed(images)} ({how})", err=True)
