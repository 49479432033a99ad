"""Checks of what all images of an evaluation must have in common, and of the losses for their kind of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._engine.measure import Measure
from ..files.errors import FileError, shown
from ..files.label_maps import IGNORED
from ..files.pairing import Pair
from ..losses import LOSSES, TopKLoss
from ..metrics import METRICS


@dataclass(frozen=True)
class Kind:
    """The kind of numbers in a pair of files. It must be the same for all pairs of one report."""

    certain: bool  # whether the prediction is known to hold probabilities, or a label map
    dense: bool  # whether the target has one channel per class

    def __str__(self) -> str:
        scores = "probabilities or a label map" if self.certain else "scores of unknown kind"
        return f"{scores} and {'one mask per class' if self.dense else 'label maps as masks'}"


def check_classes(file: str, found: int, expected: int, given_by: str, where: str = "", hint: str = "") -> None:
    """Check the number of classes of an image against that of the others."""
    if found != expected:
        raise FileError(f"{file}: expected {expected} classes{where}, as in {given_by}, got {found}{hint}")


def check_kind(pair: Pair, found: Kind, expected: Kind, given_by: str) -> None:
    """Check the kind of numbers of an image against that of the others."""
    if found != expected:
        raise FileError(
            f"{shown(pair.prediction)} with {shown(pair.target)}: expected {expected}, as in {given_by}, got {found}; "
            "evaluate them apart, or choose files with `match=`"
        )


def check_channels(losses: Mapping[str, Measure], file: str, found: int, dense: bool) -> None:
    """Check the number of channels. Some losses take only one. A softmax needs more, as it is 1 over one."""
    for leaf in (leaf for loss in losses.values() for leaf in leaves(loss)):
        name = loss_name(leaf)
        if found > 1 and leaf.kind == "element" and not dense:
            raise FileError(f"{file}: expected one channel and labels 0 and 1 for {name}, got {found} channels")
        if found == 1 and not leaf.takes_binary:
            raise FileError(f"{file}: expected two or more classes for {name}, got one channel")
        if found == 1 and getattr(leaf, "activation", None) == "softmax":
            hint = "give `activation=sigmoid`, or `activation=None` if it holds probabilities"
            raise FileError(f"{file}: expected two or more classes for the softmax of {name}, got one; {hint}")


def check_no_own_labels(losses: Mapping[str, Measure]) -> None:
    """Refuse a loss with its own ignored labels next to a label map, after which the labels are classes."""
    for leaf in (leaf for loss in losses.values() for leaf in leaves(loss)):
        if leaf.ignore_index not in (None, IGNORED):
            raise FileError(
                f"`labels=`: expected no ignore_index in {loss_name(leaf)}, got {leaf.ignore_index}; the label map "
                f"decides, and `ignore_index={leaf.ignore_index}` adds a label of the files"
            )


def leaves(loss: Measure) -> list[Measure]:
    """Return the losses that read the input: the terms of a sum, and the loss that a top-k loss holds."""
    return [leaf.loss if isinstance(leaf, TopKLoss) else leaf for _, leaf in loss.summands()]


def loss_name(loss: Measure) -> str:
    """Return the name in expressions: the name of the loss, or of the public loss from which it derives."""
    known: dict[type, str] = {cls: name for name, cls in (LOSSES | METRICS).items()}
    return next((known[cls] for cls in type(loss).__mro__ if cls in known), repr(loss)).removesuffix("_loss")
