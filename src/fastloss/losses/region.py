"""What all region losses share: everything but their formulas, which are in overlap.py. No C is needed to add one.

The sums of a sample and class (of the whole batch for `batch=True`) are I = sum w p y, A = sum w p, B = sum w y,
W = sum w and, for `squared`, A2 and B2; csrc/region.h computes them and turns d(loss)/dI, dA, dA2 into the gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, ParamSpec, TypeVar

import numpy as np

from .._backend import ACTIVATIONS, Term
from .._batch import Array, Batch, real_dtype
from ._checks import choice, freeze, integer, number
from .base import Loss

ABSENT = ("keep", "zero", "skip", "nan")
Slopes = Callable[[], tuple[Array, Array, Array]]  # each of (groups, C)
P = ParamSpec("P")
T = TypeVar("T")


def silent(function: Callable[P, T]) -> Callable[P, T]:
    """Without NumPy's warnings: an input of inf or nan makes the loss so, too, and that is no error."""

    @functools.wraps(function)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> T:
        with np.errstate(all="ignore"):  # made anew, for it holds a state of the thread
            return function(*args, **kwargs)

    return quiet


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of (groups, C)."""

    I: Array
    A: Array
    B: Array
    A2: Array
    B2: Array
    W: Array

    @classmethod
    def of(cls, sums: Array) -> Sums:
        return cls(*sums.reshape(len(sums), 6, sums.shape[1] // 6).transpose(1, 0, 2))


def class_numbers(value: Any) -> tuple[int, ...] | None:
    """classes, checked: None or distinct integers."""
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"classes: expected a sequence of integers, got {value!r}")
    numbers = tuple(integer(c, "classes") for c in value)
    if not numbers or len(set(numbers)) != len(numbers):
        raise ValueError(f"classes: expected distinct class numbers, at least one, got {list(numbers)}")
    return numbers


def chosen_classes(wanted: Sequence[int] | None, classes: int) -> list[int]:
    """The numbers of the classes that count, checked against how many there are."""
    chosen = list(range(classes) if wanted is None else wanted)
    if not all(0 <= c < classes for c in chosen):
        raise ValueError(f"classes: expected numbers in [0, {classes}), got {chosen}")
    return chosen


def smooth_option(value: Any) -> float | tuple[float, float]:
    """smooth, checked: one number for both, or (numerator, denominator)."""
    if not isinstance(value, (tuple, list)):
        return number(value, "smooth", 0)
    if len(value) != 2:
        raise ValueError(f"smooth: expected a number or (numerator, denominator), got {value!r}")
    return number(value[0], "smooth", 0), number(value[1], "smooth", 0)


def smooth_pair(value: float | tuple[float, float]) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


@dataclass(frozen=True, kw_only=True, repr=False)
class RegionLoss(Loss):
    """Base of the region losses: everything but the formula, which is `formula`."""

    takes_binary = True
    activations = ACTIVATIONS
    by_class: ClassVar[tuple[str, ...]] = ("class_weight",)  # the options that may be vectors of one number a class

    activation: str | None = "softmax"
    class_weight: Sequence[float] | Array | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    ignore_index: int = -100
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(self.absent, "absent", ABSENT)
        choice(self.batch, "batch", (True, False))
        freeze(self, batch=bool(self.batch), classes=class_numbers(self.classes))

    # ---- what a region loss says

    def formula(self, s: Sums) -> tuple[Array, Slopes]:
        """The loss from the sums of (groups, C), and a function that makes its derivatives in I, A and A2."""
        raise NotImplementedError

    def wants_squares(self) -> bool:
        return False

    # ---- the rest. A loss has K values a group: C, or 1 if it takes the classes together (overlap.py has one)

    def terms(self) -> tuple[Term, ...]:
        return (Term("region", "region", ACTIVATIONS.index(self.activation), None, (float(self.wants_squares()),)),)

    def by_sample(self) -> bool:
        return not self.batch

    def is_linear(self) -> bool:
        return False

    def _chosen(self, classes: int) -> list[int]:
        """The classes that count; the place where the configuration meets the number of classes."""
        for name in self.by_class:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != classes:
                raise ValueError(f"{name}: expected shape ({classes},), got ({len(value)},)")
        return chosen_classes(self.classes, classes)

    def _entering(self, s: Sums) -> Array:
        """1 where a class enters, (groups, C): it is chosen, and not skipped; else 0."""
        chosen = self._chosen(s.B.shape[1])
        if self.classes is None:
            entering = np.ones(s.B.shape)
        else:
            entering = np.zeros(s.B.shape)
            entering[:, chosen] = 1
        return np.where(s.B == 0, 0, entering) if self.absent == "skip" else entering

    def _weighted(self, entering: Array) -> Array:
        return entering if self.class_weight is None else entering * np.array(self.class_weight)

    def _values(self, s: Sums) -> tuple[Array, Array, Array, Slopes]:
        """Loss, whether it counts, and its weight in the mean, of (groups, K); and what makes the derivatives."""
        keep = self._entering(s)  # first: it checks what the formula relies on
        value, slopes = self.formula(s)
        if self.absent in ("zero", "nan"):
            value = np.where(s.B == 0, 0.0 if self.absent == "zero" else np.nan, value)
        return value, keep, self._weighted(keep), slopes

    def values_a_group(self, classes: int) -> int:
        """K."""
        return classes

    @silent
    def rows(self, sums: list[Array]) -> Array:
        if self.batch:
            self._chosen(sums[0].shape[1] // 6)
            return sums[0]
        return self._row(Sums.of(sums[0]))

    def _row(self, s: Sums) -> Array:
        value, _, w, _ = self._values(s)
        return np.concatenate([np.where(w > 0, w * value, 0), w], axis=1)

    def row_size(self, classes: int) -> int:
        return 6 * classes if self.batch else 2 * self.values_a_group(classes)

    @silent
    def total(self, numbers: Array, classes: int) -> float:
        value, w = (self._row(Sums.of(numbers[None]))[0] if self.batch else numbers).reshape(2, -1)
        weight = w.sum() if self.reduction == "mean" else 1.0
        return float(value.sum() / weight) if weight else float("nan")

    @silent
    def slopes(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        s = Sums.of(numbers[None] if self.batch else sums[0])
        _, _, w, slopes = self._values(s)
        derivatives = np.array(slopes())
        if self.absent != "keep":
            derivatives = np.where(s.B == 0, 0, derivatives)
        weight = w.sum() if self.reduction == "mean" else 1.0
        coefs = derivatives * w / weight if weight else np.zeros_like(derivatives)
        coefs = coefs.transpose(1, 0, 2).reshape(len(w), 3 * classes)
        return [coefs.repeat(len(sums[0]) if self.batch else 1, axis=0)]

    @silent
    def class_rows(self, sums: list[Array]) -> Array:
        if self.batch:
            return sums[0]
        value, keep, _, _ = self._values(Sums.of(sums[0]))
        return np.hstack([np.where(keep > 0, value, 0), keep])

    @silent
    def class_total(self, numbers: Array, classes: int) -> Array:
        if self.batch:
            value, keep = (a[0] for a in self._values(Sums.of(numbers[None]))[:2])
        else:
            value, keep = numbers.reshape(2, classes)
        by = np.ones_like(keep) if self.reduction == "sum" else keep
        result: Array = np.divide(value, by, out=np.full_like(value, np.nan), where=keep > 0)
        return result

    @silent
    def value_map(self, batch: Batch) -> Array:
        sums = self.sums(batch)[0]
        if self.batch:
            sums = self.numbers([sums])[:1]
        value, keep, w, _ = self._values(Sums.of(sums))
        value = self._shown(np.where(keep > 0, value * w, np.nan)).astype(real_dtype(batch.input.dtype))
        return value.reshape(value.shape[1:]) if self.batch or len(batch.shape) == 1 else value

    def _shown(self, values: Array) -> Array:
        """What reduction="none" gives of the values of (groups, K)."""
        return values[:, self._chosen(values.shape[1])]
