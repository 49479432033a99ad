"""Terms, the kernels that a loss asks for, and the modes of a run. Every layer above uses it; it imports none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

ACTIVATIONS = (None, "sigmoid", "softmax")  # enum fl_activation in csrc/fastloss.h
BINARY_ACTIVATIONS = (None, "sigmoid")


class Mode:
    """Flags of a run (enum fl_mode in csrc/fastloss.h). They are integers: | of an IntFlag takes 0.5 microseconds."""

    WEIGH = 1
    FORWARD = 2
    GRADIENT = 4
    MAP = 8
    BY_CLASS = 16


class Term(NamedTuple):
    """One kernel and its parameters, each one number or one per class. `kind` decides how many sums it has."""

    name: str
    kind: str  # "pixel", "element", "region" or "transform"
    activation: int = 0  # index into ACTIVATIONS
    class_weight: tuple[float, ...] | None = None
    params: tuple[float | tuple[float, ...] | None, ...] = ()  # None: 1 / C
    names: tuple[str, ...] = ()  # the options that its params come from, to name one of the wrong length
    single: Term | None = None  # the term that replaces this one for a single class, with as many sums

    def size(self, classes: int, mode: int) -> int:
        if self.kind == "region":  # params: whether squares and the weight are needed
            return (3 + 2 * bool(self.params[0]) + bool(self.params[1])) * classes
        return 0 if self.kind == "transform" else 2 + (2 * classes if mode & Mode.BY_CLASS else 0)


class Terms(tuple[Term, ...]):
    """The terms of one run, with the plans that _backend.py makes of them, one per number of classes."""

    plans: dict[int, Any]

    def __new__(cls, terms: Iterable[Term]) -> Terms:
        made = super().__new__(cls, terms)
        made.plans = {}
        return made

    def __reduce__(self) -> tuple[Any, ...]:  # the plans are made anew
        return Terms, (tuple(self),)
