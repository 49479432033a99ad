"""The fit of a temperature: TemperatureFit, the sums that it needs, and `fitted`, which finds the best temperature.

calibrate.py fits to arrays, and archive/calibrate_files.py to files. Both call `fitted` with a function that passes
over the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from .._arrays import Array
from .._batch import Batch
from .._options import freeze, number
from .._terms import ACTIVATIONS, Mode, Term
from .measure import quotient
from .metric import Metric
from .sums import bce_term
from .term_tally import TermTally, tempered

LEAST, MOST = 0.01, 100.0  # the bounds of a temperature
GRID = tuple(10.0 ** (2 * k / 3) for k in range(3, -4, -1))  # falling temperatures, from MOST over 1 to LEAST
PRECISION = 1e-7  # of the temperature; the sums of float32 logits are not more precise
MOST_PASSES = 60  # a bisection alone needs 25
SUMS = 4  # cross entropy, its first and second derivative, and the weight


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature. `calibrate` and `calibrate_files` return it.

    Attributes
    ----------
    temperature : float
        The number by which logits are divided.
    before, after : float
        The mean cross entropy of the logits, and that of the logits divided by the temperature.
    at_bound : bool
        Whether the temperature is the least that is tried, 0.01, because the cross entropy falls down to it. Every
        label then has the largest logit, or nearly so, and no temperature is best.

    Examples
    --------
    >>> import numpy as np, fastloss as fl
    >>> logits = np.array([[[4.0, 4.0, 4.0, 0.0], [0.0, 0.0, 0.0, 4.0]]])  # right in three of four pixels
    >>> found = fl.calibrate(logits, np.array([[0, 0, 1, 1]]))
    >>> float(fl.cross_entropy(logits / found.temperature, np.array([[0, 0, 1, 1]]))) == found.after
    True
    """

    temperature: float
    before: float
    after: float
    at_bound: bool


@dataclass(frozen=True, kw_only=True, repr=False)
class TemperatureFit(Metric):
    """The mean cross entropy at some temperatures, with the sums of its derivatives."""

    temperature: Sequence[float] = (1.0,)
    activation: str | None = "softmax"
    ignore_index: int | Sequence[int] = -100
    axis: int = 1

    higher_is_better = False
    of_scale = True
    activations = ACTIVATIONS[1:]

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, temperature=tuple(number(t, "temperature", LEAST, MOST) for t in self.temperature))

    def __repr__(self) -> str:
        return f"calibrate(activation={self.activation!r})"

    def tally(self) -> TermTally:
        terms: tuple[Term, ...]
        if self.activation == "sigmoid":
            terms = (
                bce_term("sigmoid", None),
                Term("binary_fit_first", "element", 1),
                Term("binary_fit_second", "element", 1),
            )
        else:
            terms = (
                Term("cross_entropy", "pixel", 0, None, (0.0,)),
                Term("fit_first", "pixel", 2),
                Term("fit_second", "pixel", 2),
            )
        every = tuple(t for T in self.temperature for t in tempered(terms, T))
        return TermTally(every, counted=False, mode=Mode.FORWARD)

    def check_batch(self, batch: Batch) -> None:
        if batch.label_map:
            self.refuse_label_map(batch.shape)
        super().check_batch(batch)
        if not batch.labels and self.activation == "softmax":
            raise ValueError(
                f"labels: expected labels for activation='softmax', got a dense target of shape {batch.shape}; if it "
                "is one-hot, pass labels.argmax(axis)"
            )
        if batch.labels and self.activation == "sigmoid" and batch.classes > 1:
            raise ValueError(
                f"labels: expected a dense target for channels that may overlap, got labels with logits of shape "
                f"{batch.shape}; give activation='softmax' if the classes exclude each other"
            )

    def of_probabilities(self, *, one_hot: bool) -> Self:
        got = "label maps" if one_hot else "probabilities"
        raise ValueError(f"logits: expected logits, got {got}; a temperature divides logits")

    def partial_of(self, sums: list[Array]) -> Array:
        """Of each term, the value; of each temperature, the weight."""
        by_term = sums[0].reshape(len(sums[0]), len(self.temperature), SUMS - 1, 2)
        parts = np.concatenate([by_term[..., 0], by_term[:, :, :1, 1]], axis=2)
        return parts.reshape(len(parts), -1)

    def partial_size(self, classes: int) -> int:
        return SUMS * len(self.temperature)

    def class_partial_of(self, sums: list[Array]) -> Array:
        return np.zeros((len(sums[0]), 1))

    def class_values_of(self, numbers: Array, classes: int) -> Array:
        return np.full(classes, np.nan)

    def values_of(self, rows: Array, classes: int) -> Array:
        return quotient(rows[:, 0], rows[:, SUMS - 1])

    def value_of(self, numbers: Array, classes: int) -> float:
        return float(self.values_of(numbers[None], classes)[0])


def fitted(pass_over: Callable[[tuple[float, ...]], Array]) -> Calibration:
    """Find the temperature with the least mean cross entropy.

    The cross entropy is convex in the inverse temperature b, so its derivative has at most one root. A pass over a grid
    of temperatures brackets the root, and Newton's method closes in on it. A step that leaves the bracket, or is longer
    than half the step before, is replaced by a bisection.

    pass_over: returns the numbers of `TemperatureFit` at these temperatures, merged and rounded, of shape (4 k,).
    """

    def look(*temperatures: float) -> Array:
        """The cross entropy, and its derivatives times b and b^2, one row per temperature."""
        *sums, weight = pass_over(temperatures).reshape(-1, SUMS).T
        if weight[0] == 0:
            raise ValueError("labels: expected pixels that count, got none")
        means: Array = np.stack(sums, axis=1) / weight[:, None]
        return means

    grid = look(*GRID)
    before, above = float(grid[GRID.index(1.0), 0]), np.flatnonzero(grid[:, 1] > 0)
    if not grid[:, 2].any() and before > 0:
        raise ValueError("logits: expected logits that differ between the classes, got equal ones at every pixel")
    if not len(above):
        return Calibration(LEAST, before, float(grid[-1, 0]), True)
    if above[0] == 0:
        raise ValueError(
            "logits: expected logits that tell something about the labels, but the cross entropy falls up to a "
            f"temperature of {MOST:g}; check that the channels are in the order of the labels"
        )
    low, high = (math.log(1 / GRID[k]) for k in (above[0] - 1, above[0]))  # the bracket of log b
    nearest = min((above[0] - 1, above[0]), key=lambda k: abs(_newton(grid[k])))
    at, point, step = math.log(1 / GRID[nearest]), grid[nearest], high - low
    for _ in range(MOST_PASSES):
        low, high = (at, high) if point[1] <= 0 else (low, at)
        newton = _newton(point)
        if abs(newton) <= PRECISION or high - low <= PRECISION:
            break
        fits = low < at + newton < high and abs(newton) <= step / 2
        target = at + newton if fits else (low + high) / 2
        step, at = abs(target - at), target
        point = look(math.exp(-at))[0]
    return Calibration(math.exp(-at), before, float(point[0]), False)


def _newton(point: Array) -> float:
    """Newton's step in log b. The step in b is -first / second, relative to b; below -1/2, it is cut off."""
    _, first, second = point.tolist()
    return math.log1p(max(-first / second, -0.5)) if second > 0 else math.copysign(math.inf, -first)
