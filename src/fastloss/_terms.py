"""Terms, the kernels that a loss asks for, and the modes of a run. All layers import this file; it imports none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

ACTIVATIONS = (None, "sigmoid", "softmax")  # enum fl_activation in csrc/fastloss.h
BINARY_ACTIVATIONS = (None, "sigmoid")


class Mode:
    """Flags of a run (enum fl_mode in csrc/fastloss.h): integers, since `|` of two IntFlags takes 0.5 microseconds."""

    WEIGH = 1
    FORWARD = 2
    GRADIENT = 4
    MAP = 8
    BY_CLASS = 16
    HESSIAN = 64  # with GRADIENT: the diagonal of the Hessian in place of the gradient
    BOUND = 128  # with HESSIAN: an upper bound of the Hessian


class Background(NamedTuple):
    """A parameter per class: `first` for class 0, the background, and `others` for all others.

    mean: whether both are divided by the number of classes, which makes a sum over the classes a mean.
    """

    first: float
    others: float
    mean: bool = False

    def by_class(self, classes: int) -> tuple[float, ...]:
        by = classes if self.mean else 1
        return (self.first / by, *[self.others / by] * (classes - 1))


class Term(NamedTuple):
    """One kernel and its parameters. A parameter is one number, or one per class. `kind` sets how many sums it has."""

    name: str
    kind: str  # "pixel", "element", "region", "bins" or "transform"
    activation: int = 0  # index into ACTIVATIONS
    class_weight: tuple[float, ...] | None = None
    params: tuple[float | tuple[float, ...] | Background | None, ...] = ()  # None: 1 / C
    names: tuple[str, ...] = ()  # the option each param comes from, for an error about its length
    single: Term | None = None  # replaces this term if there is one class; it has as many sums
    temperature: float = 1.0  # the input is divided by it first
    edges: tuple[float, ...] = ()  # increasing; they cut the numbers into the intervals of bins

    def size(self, classes: int, mode: int) -> int:
        if self.kind == "region":  # the params tell whether squares and the sum of weights are needed
            return (3 + 2 * bool(self.params[0]) + bool(self.params[1])) * classes
        if self.kind == "bins":  # the params tell the sums per interval, and whether every class has intervals
            return (len(self.edges) + 1) * int(self.params[0]) * (classes if self.params[1] else 1)  # type: ignore[arg-type]
        return 0 if self.kind == "transform" else 2 + (2 * classes if mode & Mode.BY_CLASS else 0)


class Terms(tuple[Term, ...]):
    """The terms of one run. They keep the plans that _backend.py makes of them, one per number of classes."""

    plans: dict[int, Any]

    def __new__(cls, terms: Iterable[Term]) -> Terms:
        made = super().__new__(cls, terms)
        made.plans = {}
        return made

    def __reduce__(self) -> tuple[Any, ...]:  # the plans are made anew
        return Terms, (tuple(self),)


class Rule:
    """How the input becomes one class per pixel, or a mask per channel (enum fl_rule in csrc/fastloss.h)."""

    ARGMAX = 0  # the class with the largest score, the first if several have it
    ABOVE = 1  # the channels whose value is above a level
    LABELS = 2  # the input is a label map


BY_CLASS = 4
"""The counts per class: pixels of the class in both, in the prediction, in the target, and all pixels that count."""
