"""RegionLoss: everything that the region losses share. Each loss adds its formula, in losses/; none needs its own C.

The sums per sample and class (per class with `batch=True`) are I = sum w p y, A = sum w p, B = sum w y and W = sum w.
Losses with squares also have A2 = sum w p^2 and B2 = sum w y^2. The C kernels compute the sums, and turn d(loss)/dI, dA
and dA2 into the gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, ParamSpec, TypeVar

import numpy as np

from .._arrays import Array, real_dtype
from .._batch import Batch
from .._options import choice, chosen_classes, class_numbers, freeze, number
from .._terms import ACTIVATIONS, Term
from .loss import Loss

ABSENT = ("keep", "zero", "skip", "nan")
Derivatives = Callable[[], tuple[Array, ...]]  # derivatives with respect to I, A and, if squared, A2; each (groups, C)
P = ParamSpec("P")
T = TypeVar("T")


def without_warnings(function: Callable[P, T]) -> Callable[P, T]:
    """Suppress NumPy's warnings. An input with inf or nan gives a loss of inf or nan, which is not an error."""

    @functools.wraps(function)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> T:
        with np.errstate(all="ignore"):  # made anew per call, since it holds thread state
            return function(*args, **kwargs)

    return quiet


BLOCK = 1 << 14  # values per array in a block of groups; with so few, a formula's temporaries stay in the L2 cache
NOTHING = np.zeros((0, 0))


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums, each of shape (groups, C). A2, B2 and W are empty for a loss that does not need them."""

    I: Array
    A: Array
    B: Array
    A2: Array
    B2: Array
    W: Array


EPS = 1e-7  # the least denominator without smoothing, as in smp; it matters only when a class is empty
# The least base of a power whose slope is infinite at 0. Any other 1 - T is at least 1e-16, so this changes no other
# value. With float64's smallest number instead, the slope would overflow float32, and the gradient would be nan.
LEAST_BASE = float(np.finfo(np.float32).smallest_normal)


def overlap_score(
    s: Sums, k: float, a: float, b: float, smooth: tuple[float, float], squared: bool
) -> tuple[Array, Derivatives]:
    """(k I + num) / floored(k (I + a FP + b FN) + den), and minus its derivatives with respect to I, A and A2."""
    A, B = (s.A2, s.B2) if squared else (s.A, s.B)
    cI, cA, cB = k * (1 - a - b), k * a, k * b
    below = _times(cA, A) + _times(cB, B)
    if cI:
        below = below + cI * s.I
    below = below + smooth[1]
    bottom = np.maximum(below, smooth[1] or EPS)  # `below` includes the smoothing
    score = (_times(k, s.I) + smooth[0]) / bottom

    def derivatives() -> tuple[Array, ...]:
        inverse = 1 / bottom
        fall = (
            score * inverse if smooth[1] else np.where(below >= EPS, score * inverse, 0)
        )  # 0 where the denominator is clamped
        dI = cI * fall - k * inverse if cI else -k * inverse
        dA = cA * fall
        return (dI, np.zeros_like(dA), dA) if squared else (dI, dA)

    return score, derivatives


def overlap(
    s: Sums, k: float, a: float, b: float, smooth: tuple[float, float], squared: bool
) -> tuple[Array, Derivatives]:
    """1 - `overlap_score`, and its derivatives."""
    score, derivatives = overlap_score(s, k, a, b, smooth, squared)
    return 1 - score, derivatives


def _times(factor: float, sums: Array) -> Array:
    return sums if factor == 1 else factor * sums


def in_blocks(function: Callable[[Array], Array], sums: Array, columns: int) -> Array:
    """Compute function(sums), an array of shape (groups, columns), one block of groups at a time."""
    groups, step = len(sums), max(1, BLOCK // max(1, columns))
    if groups <= step:
        return function(sums)
    out = np.empty((columns, groups)).T  # in the kernels' layout, with contiguous columns
    for first in range(0, groups, step):
        out[first : first + step] = function(sums[first : first + step])
    return out


def smooth_option(value: Any) -> float | tuple[float, float]:
    """The checked value of the option `smooth`: one number for both, or (numerator, denominator)."""
    if not isinstance(value, (tuple, list)):
        return number(value, "smooth", 0)
    if len(value) != 2:
        raise ValueError(f"smooth: expected a number or (numerator, denominator), got {value!r}")
    return number(value[0], "smooth", 0), number(value[1], "smooth", 0)


def smooth_pair(value: float | tuple[float, float]) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


class RegionLoss(Loss):
    """Base of the region losses: everything except the formula, which each loss defines as `formula`."""

    takes_binary = True
    activations = ACTIVATIONS
    by_class: ClassVar[tuple[str, ...]] = ("class_weight",)  # the options that may be vectors, one number per class
    wants_weight: ClassVar[bool] = False  # whether the formula needs W

    # Every region loss has these fields. It declares them in the order of its function's signature.
    activation: str | None
    class_weight: Sequence[float] | Array | None
    classes: Sequence[int] | None
    batch: bool
    absent: str

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(self.absent, "absent", ABSENT)
        choice(self.batch, "batch", (True, False))
        freeze(self, batch=bool(self.batch), classes=class_numbers(self.classes))

    # ---- what a region loss defines

    def formula(self, s: Sums) -> tuple[Array, Derivatives]:
        """The loss, from sums of shape (groups, C), and a function for its derivatives with respect to I, A and A2."""
        raise NotImplementedError

    def wants_squares(self) -> bool:
        return False

    # ---- the rest. A loss has K values per group. K is C, or 1 for a loss that merges classes: GeneralizedDiceLoss

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
        """The indices of the chosen classes. This also checks the options against the number of classes."""
        for name in self.by_class:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != classes:
                raise ValueError(f"{name}: expected shape ({classes},), got ({len(value)},)")
        return chosen_classes(self.classes, classes)

    def _entering(self, s: Sums) -> Array:
        """1 where a class is chosen and not skipped, else 0, of shape (groups, C)."""
        chosen = self._chosen(s.B.shape[1])
        if self.classes is None:
            entering = np.ones_like(s.B)  # with the memory order of B: NumPy takes ten times as long with mixed orders
        else:
            entering = np.zeros_like(s.B)
            entering[:, chosen] = 1
        return np.where(s.B == 0, 0, entering) if self.absent == "skip" else entering

    def _all_count(self) -> bool:
        """Whether every value enters the mean with weight 1."""
        return self.classes is None and self.class_weight is None and self.absent == "keep"

    def _weighted(self, entering: Array) -> Array:
        return entering if self.class_weight is None else entering * np.array(self.class_weight)

    def _values(self, s: Sums) -> tuple[Array, Array, Array, Derivatives]:
        """Three arrays of shape (groups, K), and a function for the derivatives.

        The arrays are the value, 1 where the value counts and else 0, and the value's weight in the mean.
        """
        keep = self._entering(s)  # called first, since it checks what the formula relies on
        value, derivatives = self.formula(s)
        if self.absent in ("zero", "nan"):
            value = np.where(s.B == 0, 0.0 if self.absent == "zero" else np.nan, value)
        return value, keep, self._weighted(keep), derivatives

    def values_per_group(self, classes: int) -> int:
        """K, the number of values per group."""
        return classes

    @without_warnings
    def partial_of(self, sums: list[Array]) -> Array:
        classes = sums[0].shape[1] // self._kinds()
        if self.batch:
            self._chosen(classes)
            return sums[0]
        return in_blocks(self._group_numbers, sums[0], self.partial_size(classes))

    def _group_numbers(self, sums: Array) -> Array:
        s = self._sums(sums)
        value, _, w, _ = self._values(s)
        weighted = value if self._all_count() else np.where(w > 0, w * value, 0)
        return np.concatenate([weighted, w], axis=1)

    def partial_size(self, classes: int) -> int:
        return self._kinds() * classes if self.batch else 2 * self.values_per_group(classes)

    def value_of(self, numbers: Array, classes: int) -> float:
        return float(self.values_of(numbers[None], classes)[0])

    @without_warnings
    def values_of(self, numbers: Array, classes: int) -> Array:
        if self.batch:
            numbers = in_blocks(self._group_numbers, numbers, 2 * self.values_per_group(classes))
        K = numbers.shape[1] // 2
        # In a contiguous layout, the sum of a row does not depend on the other rows.
        value = np.ascontiguousarray(numbers[:, :K]).sum(axis=1)
        by = np.ascontiguousarray(numbers[:, K:]).sum(axis=1) if self.reduction == "mean" else 1.0
        return np.where(by == 0, np.nan, value / by)

    def _merged(self, numbers: Array) -> Array:
        """The values and weights, of shape (2, K), that the merged numbers of shape (k,) stand for."""
        return (self._group_numbers(numbers[None])[0] if self.batch else numbers).reshape(2, -1)

    @without_warnings
    def coefficients(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        weight = self._merged(numbers)[1].sum() if self.reduction == "mean" else 1.0

        def of_block(sums: Array) -> Array:
            s = self._sums(sums)
            _, _, w, derivatives = self._values(s)
            if self._all_count():
                parts = [d * (1 / weight) for d in derivatives()]
            else:
                factor = w / weight if weight else np.zeros_like(w)
                if self.absent != "keep":
                    factor = np.where(s.B == 0, 0, factor)
                parts = [np.where(factor > 0, factor * d, 0) for d in derivatives()]
            return np.concatenate(parts, axis=1)

        columns = (2 + self.wants_squares()) * classes
        if self.batch:
            return [np.broadcast_to(of_block(numbers[None]), (len(sums[0]), columns))]
        return [in_blocks(of_block, sums[0], columns)]

    @without_warnings
    def class_partial_of(self, sums: list[Array]) -> Array:
        return (
            sums[0] if self.batch else in_blocks(self._class_numbers, sums[0], 2 * (sums[0].shape[1] // self._kinds()))
        )

    def _class_numbers(self, sums: Array) -> Array:
        value, keep, _, _ = self._values(self._sums(sums))
        return np.concatenate([np.where(keep > 0, value, 0), keep], axis=1)

    @without_warnings
    def class_values_of(self, numbers: Array, classes: int) -> Array:
        value, keep = (self._class_numbers(numbers[None])[0] if self.batch else numbers).reshape(2, classes)
        by = np.ones_like(keep) if self.reduction == "sum" else keep
        result: Array = np.divide(value, by, out=np.full_like(value, np.nan), where=keep > 0)
        return result

    @without_warnings
    def value_map(self, batch: Batch) -> Array:
        sums = self.sums(batch)[0]
        if self.batch:
            sums = self.merged([sums])[:1]
        value, keep, w, _ = self._values(self._sums(sums))
        value = self._shown(np.where(keep > 0, value * w, np.nan)).astype(real_dtype(batch.input.dtype))
        return value.reshape(value.shape[1:]) if self.batch or len(batch.shape) == 1 else value

    def _shown(self, values: Array) -> Array:
        """The columns of values, of shape (groups, K), that reduction="none" returns."""
        return values[:, self._chosen(values.shape[1])]
