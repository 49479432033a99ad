"""Messages of `fastloss evaluate` on standard error: speed, notes and failures. `app.py` calls them."""

import typer

import fastloss
from fastloss.archive.look import TAKE_LOGITS
from fastloss.metrics import Measure, Metric
from fastloss.report.files_report import FilesReport

from .errors import shown, spelled
from .options import Activation, Engine
from .streams import say


def say_failures(report: FilesReport) -> None:
    """List the images that could not be evaluated, and leave with exit code 1."""
    if report.failures:
        say("\n".join(f"failed: {shown(one.name)}: {spelled(one.message)}" for one in report.failures))
        raise typer.Exit(1)


def note_activation(losses: dict[str, Measure], scale: float | None, activation: Activation | None) -> None:
    """Warn on stderr if a softmax or sigmoid is applied to probabilities, which is legal but rarely intended."""
    leaves = [leaf for loss in losses.values() for _, leaf in loss.summands()]
    leaves = [leaf for leaf in leaves if not (isinstance(leaf, Metric) and leaf.activation == "softmax")]
    if scale is not None and activation is None and any(getattr(leaf, "activation", None) for leaf in leaves):
        say("note: --scale makes probabilities, but a loss applies an activation to them; give --activation none")
    if scale is None and activation is not Activation.none:
        return
    for kind, (name, other) in TAKE_LOGITS.items():
        if any(type(leaf) is kind for leaf in leaves):
            say(f"note: {name} takes logits, whatever the options; for probabilities, use {other}")


def who_computes(workers: int | None, engine: Engine | None, threads: int) -> str:
    """Return which workers compute, or nothing if this process does."""
    if workers is None and engine is None:
        return ""
    who = f"{workers} worker{'s' * (workers != 1)}" if workers is not None else f"workers of {engine}"
    return f"{who}, {threads} thread{'s' * (threads != 1)} each"


def say_speed(report: FilesReport, elsewhere: str) -> None:
    """Print the speed on stderr, so that standard output is the same at every speed. It includes reading."""
    config = fastloss.config()
    own = f"{config['threads']} thread{'s' * (config['threads'] != 1)}"
    how = f"{config['backend']} backend, {elsewhere or own}"
    if report.resumed:  # the time is not that of all images
        say(f"{counted(report)}, {report.resumed} of them finished before, in {report.seconds:.3g} s ({how})")
        return
    what = f"{counted(report)}, {report.nbytes / 1e9:.3g} GB in {report.seconds:.3g} s"
    seconds = max(report.seconds, 1e-9)
    speed = f"{len(report.images) / seconds:.3g} images/s, {report.nbytes / seconds / 1e9:.3g} GB/s"
    say(f"{what}: {speed} ({how})")


def counted(report: FilesReport) -> str:
    return f"{len(report.images)} image{'s' * (len(report.images) != 1)}"
