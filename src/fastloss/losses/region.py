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
Slopes = Callable[[], tuple[Array, ...]]  # derivatives in I, A and, for squared, A2; each of (groups, C)
P = ParamSpec("P")
T = TypeVar("T")


def silent(function: Callable[P, T]) -> Callable[P, T]:
    """Without NumPy's warnings: an input of inf or nan makes the loss so, too, and that is no error."""

    @functools.wraps(function)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> T:
        with np.errstate(all="ignore"):  # made anew, for it holds a state of the thread
            return function(*args, **kwargs)

    return quiet


BLOCK = 1 << 14  # numbers of each kind that a formula works on together: its temporaries stay in the L2 cache
NOTHING = np.zeros((0, 0))


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of (groups, C); A2 and B2, and W, are empty for a loss that does not ask for them."""

    I: Array
    A: Array
    B: Array
    A2: Array
    B2: Array
    W: Array


def in_blocks(function: Callable[[Array], Array], sums: Array, columns: int) -> Array:
    """function(sums), of shape (groups, columns), a block of groups at a time."""
    groups, step = len(sums), max(1, BLOCK // max(1, columns))
    if groups <= step:
        return function(sums)
    out = np.empty((columns, groups)).T  # as the kernels have it: a column's numbers lie side by side
    for first in range(0, groups, step):
        out[first : first + step] = function(sums[first : first + step])
    return out


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
    by_class: ClassVar[tuple[str, ...]] = ("class_weight",)  # the options that may be vectors, one number per class
    wants_weight: ClassVar[bool] = False  # whether the formula needs W

    activation: str | None = "softmax"
    class_weight: Sequence[float] | Array | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    ignore_index: int | Sequence[int] = -100
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
        wanted = float(self.wants_squares()), float(self.wants_weight)
        return (Term("region", "region", ACTIVATIONS.index(self.activation), None, wanted),)

    def _kinds(self) -> int:
        """The number of sums per group and class."""
        return 3 + 2 * self.wants_squares() + self.wants_weight

    def _sums(self, sums: Array) -> Sums:
        kinds = self._kinds()
        given = iter(sums.T.reshape(kinds, sums.shape[1] // kinds, len(sums)).transpose(0, 2, 1))
        I, A, B = next(given), next(given), next(given)
        A2, B2 = (next(given), next(given)) if self.wants_squares() else (NOTHING, NOTHING)
        return Sums(I, A, B, A2, B2, next(given) if self.wants_weight else NOTHING)

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
            entering = np.ones_like(s.B)  # in its order, for mixed orders take NumPy ten times as long
        else:
            entering = np.zeros_like(s.B)
            entering[:, chosen] = 1
        return np.where(s.B == 0, 0, entering) if self.absent == "skip" else entering

    def _all_count(self) -> bool:
        """Whether every value of a group and class enters with weight 1."""
        return self.classes is None and self.class_weight is None and self.absent == "keep"

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
        classes = sums[0].shape[1] // self._kinds()
        if self.batch:
            self._chosen(classes)
            return sums[0]
        return in_blocks(self._row, sums[0], self.row_size(classes))

    def _row(self, sums: Array) -> Array:
        s = self._sums(sums)
        value, _, w, _ = self._values(s)
        weighted = value if self._all_count() else np.where(w > 0, w * value, 0)
        return np.concatenate([weighted, w], axis=1)

    def row_size(self, classes: int) -> int:
        return self._kinds() * classes if self.batch else 2 * self.values_a_group(classes)

    def total(self, numbers: Array, classes: int) -> float:
        return float(self.totals(numbers[None], classes)[0])

    @silent
    def totals(self, rows: Array, classes: int) -> Array:
        if self.batch:
            rows = in_blocks(self._row, rows, 2 * self.values_a_group(classes))
        K = rows.shape[1] // 2
        value = np.ascontiguousarray(rows[:, :K]).sum(axis=1)  # in this layout each row is added up as if it were alone
        by = np.ascontiguousarray(rows[:, K:]).sum(axis=1) if self.reduction == "mean" else 1.0
        return np.where(by == 0, np.nan, value / by)

    def _merged(self, numbers: Array) -> Array:
        """Values and weights of the merged numbers (k,), (2, K)."""
        return (self._row(numbers[None])[0] if self.batch else numbers).reshape(2, -1)

    @silent
    def slopes(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        weight = self._merged(numbers)[1].sum() if self.reduction == "mean" else 1.0

        def coefficients(sums: Array) -> Array:
            s = self._sums(sums)
            _, _, w, slopes = self._values(s)
            if self._all_count():
                parts = [d * (1 / weight) for d in slopes()]
            else:
                factor = w / weight if weight else np.zeros_like(w)
                if self.absent != "keep":
                    factor = np.where(s.B == 0, 0, factor)
                parts = [np.where(factor > 0, factor * d, 0) for d in slopes()]
            return np.concatenate(parts, axis=1)

        columns = (2 + self.wants_squares()) * classes
        if self.batch:
            return [np.broadcast_to(coefficients(numbers[None]), (len(sums[0]), columns))]
        return [in_blocks(coefficients, sums[0], columns)]

    @silent
    def class_rows(self, sums: list[Array]) -> Array:
        return sums[0] if self.batch else in_blocks(self._class_row, sums[0], 2 * (sums[0].shape[1] // self._kinds()))

    def _class_row(self, sums: Array) -> Array:
        value, keep, _, _ = self._values(self._sums(sums))
        return np.concatenate([np.where(keep > 0, value, 0), keep], axis=1)

    @silent
    def class_total(self, numbers: Array, classes: int) -> Array:
        value, keep = (self._class_row(numbers[None])[0] if self.batch else numbers).reshape(2, classes)
        by = np.ones_like(keep) if self.reduction == "sum" else keep
        result: Array = np.divide(value, by, out=np.full_like(value, np.nan), where=keep > 0)
        return result

    @silent
    def value_map(self, batch: Batch) -> Array:
        sums = self.sums(batch)[0]
        if self.batch:
            sums = self.numbers([sums])[:1]
        value, keep, w, _ = self._values(self._sums(sums))
        value = self._shown(np.where(keep > 0, value * w, np.nan)).astype(real_dtype(batch.input.dtype))
        return value.reshape(value.shape[1:]) if self.batch or len(batch.shape) == 1 else value

    def _shown(self, values: Array) -> Array:
        """What reduction="none" gives of the values of (groups, K)."""
        return values[:, self._chosen(values.shape[1])]
