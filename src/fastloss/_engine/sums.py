"""Losses that are the weighted sum of one kernel's values: all pixel and element losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _backend
from .._arrays import Array, real_dtype
from .._batch import LARGE_SAMPLE, Batch, pixel_shape
from .._terms import ACTIVATIONS, Mode, Term
from .loss import Loss


class SumLoss(Loss):
    """A loss that is the weighted sum of one kernel's values."""

    def partial_of(self, sums: list[Array]) -> Array:
        return sums[0][:, :2]

    def partial_size(self, classes: int) -> int:
        return 2

    def value_of(self, numbers: Array, classes: int) -> float:
        value, weight = numbers.tolist()
        if self.reduction == "sum":
            return float(value)
        return float(value / weight) if weight else float("nan")

    def values_of(self, rows: Array, classes: int) -> Array:
        value, weight = rows[:, 0] + 0.0, rows[:, 1]  # no -0.0
        if self.reduction == "sum":
            return value
        quotients: Array = np.divide(value, weight, out=np.full_like(value, np.nan), where=weight != 0)
        return quotients

    def coefficients(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        return [np.full((len(sums[0]), 1), self.coefficient(numbers))]

    def coefficient(self, numbers: Array) -> float:
        """d(value)/d(sum of values), the same for all groups."""
        weight = 1.0 if self.reduction in ("sum", "none") else float(numbers[1])
        return 1 / weight if weight else 0.0

    def class_partial_of(self, sums: list[Array]) -> Array:
        return sums[0][:, 2:]

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        value, weight = numbers.reshape(2, classes)
        by = np.ones_like(weight) if self.reduction == "sum" else weight
        result: Array = np.divide(value, by, out=np.full_like(value, np.nan), where=weight > 0)
        return result

    def value_map(self, batch: Batch) -> Array:
        if self.kind == "element":
            out = np.empty(batch.shape, real_dtype(batch.input.dtype))
            self._fill_map(batch, batch.kernel_view(out))
            return out
        out = self.pixel_values(batch)
        return out.reshape(out.shape[1:]) if len(batch.shape) == 1 else out

    def pixel_values(self, batch: Batch) -> Array:
        """The weighted values before any reduction, in the kernels' axes: (N, *S); for an element loss (N, C, *S)."""
        shape = batch.input.shape if self.kind == "element" else pixel_shape(batch.input)
        out = np.empty(shape, real_dtype(batch.input.dtype))
        self._fill_map(batch, out)
        return out

    def _fill_map(self, batch: Batch, out: Array) -> None:
        _backend.run(batch, self.kernel_terms, Mode.MAP, by_sample=batch.pixels >= LARGE_SAMPLE, output=out)


class LabelLoss(SumLoss):
    """A loss with one value per pixel, weighted by the class of the pixel's label."""

    exclusive = True
    class_weight: Sequence[float] | Array | None  # declared by each loss, in the order of its function's signature

    def term(self, name: str, *params: float) -> tuple[Term, ...]:
        weights = None if self.class_weight is None else tuple(self.class_weight)
        return (Term(name, "pixel", 0, weights, params),)


class ElementLoss(SumLoss):
    """A loss with one value per element. Input and target have the same shape."""

    kind = "element"
    takes_binary = True

    def element_axis(self) -> int | None:
        by_class = any(isinstance(p, tuple) for t in self.kernel_terms for p in t.params)
        return self.axis if by_class else None


def as_param(value: Any, default: float = 1.0) -> float | tuple[float, ...]:
    """A checked option as a parameter of a term. The option is a number, one number per class, or None (`default`)."""
    return default if value is None else value if isinstance(value, float) else tuple(value)


def bce_term(activation: str | None, pos: Any, neg: float = 1.0, eps: float = 0.0) -> Term:
    """The term -(pos t log p + neg (1 - t) log(1 - p)), with smoothed targets t = (1 - eps) y + eps / 2."""
    params = as_param(pos), neg, eps
    return Term("bce", "element", ACTIVATIONS.index(activation), None, params, ("pos_weight", "", ""))
