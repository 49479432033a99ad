"""MultiInputLoss: a weighted sum of losses, each with its own input and target, for detectors and GANs.

A subclass defines the weighted losses (`terms`), and how the arrays of a call become the input and target of each loss
(`parts`). This file derives value, gradients and partials. The losses are in gan.py, detection.py and mask_rcnn.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from .._arrays import Array
from .._faults import LabelError
from .._safe_text import ShowsOptions
from .._terms import Term
from .exact_sum import exact_sum
from .loss import composed
from .partial import Partial
from .sums import SumLoss


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Mean(SumLoss):
    """The mean of an element loss. It divides by `count`, or by the sum of the weights if `count` is None.

    If the divisor is 0, the value is `empty`.
    """

    loss: SumLoss
    count: float | None = None
    empty: float = float("nan")

    kind = "element"
    axis: ClassVar[int] = 1  # type: ignore[misc]
    reduction: ClassVar[str] = "mean"  # type: ignore[misc]

    def terms(self) -> tuple[Term, ...]:
        return self.loss.terms()

    def partial_of(self, sums: list[Array]) -> Array:
        rows = super().partial_of(sums)
        if self.count is not None and len(rows):
            rows = rows.copy()
            rows[:, 1] = 0
            rows[0, 1] = self.count
        return rows

    def value_of(self, numbers: Array, classes: int) -> float:
        return super().value_of(numbers, classes) if numbers[1] else self.empty


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The input and the target that a call has for one term."""

    names: tuple[str, str]  # the arguments that input and target come from, for errors
    input: Any
    target: Any
    pixel_weight: Any = None
    loss: SumLoss | None = None  # replaces the term's loss, if the loss depends on the call
    widen: Callable[[Array], Array] | None = None  # turns the gradient of `input` into that of the argument


@contextmanager
def named(input: str, target: str) -> Iterator[None]:
    """Let errors about `input` and `target` name the loss's own arguments instead."""
    names = {"input": input, "target": target}
    try:
        yield
    except LabelError as error:
        error.name = names[error.name]
        raise
    except (TypeError, ValueError) as error:
        name, colon, rest = str(error).partition(":")
        if name in names:
            error.args = (names[name] + colon + rest.replace("(the input's)", f"({input}'s)"),)
        raise


class MultiInputLoss(ShowsOptions):
    """Base of the losses with several inputs. See `GANDiscriminatorLoss` or `MaskRCNNLoss`."""

    # ---- what a subclass defines

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        """The weighted losses that are summed."""
        raise NotImplementedError

    def parts(self, *arguments: Any, **named_arguments: Any) -> list[Part]:
        """The parts of a call, one per term. Terms and predicted arguments have the same order."""
        raise NotImplementedError

    # ---- what every loss then has

    def __call__(self, *arguments: Any, **named_arguments: Any) -> float:
        """The loss, a float."""
        return self.finalize(self.partial(*arguments, **named_arguments))

    def value_and_grad(self, *arguments: Any, **named_arguments: Any) -> tuple[float, tuple[Array, ...]]:
        """The loss and its exact gradients, one per predicted argument, in the order of the arguments.

        Each gradient has the argument's dtype and shape.
        """
        value, gradients = 0.0, []
        for (factor, loss), part in zip(self.terms(), self.parts(*arguments, **named_arguments), strict=True):
            weighted = composed([(factor, part.loss or loss)])
            with named(*part.names):
                own, gradient = weighted.value_and_grad(part.input, part.target, pixel_weight=part.pixel_weight)
            value += float(own)
            gradients.append(gradient if part.widen is None else part.widen(gradient))
        return value, tuple(gradients)

    def partial(self, *arguments: Any, **named_arguments: Any) -> Partial:
        """The mergeable sums of these samples: the sums of all terms, side by side. See `Partial`."""
        partials = []
        for (_, loss), part in zip(self.terms(), self.parts(*arguments, **named_arguments), strict=True):
            with named(*part.names):
                own = (part.loss or loss).partial(part.input, part.target, pixel_weight=part.pixel_weight)
            partials.append(own)
        numbers = np.zeros((max(len(p.numbers) for p in partials), 2 * len(partials)))
        for k, p in enumerate(partials):
            numbers[: len(p.numbers), 2 * k : 2 * k + 2] = p.numbers
        return Partial(repr(self), partials[0].classes, partials[0].samples, exact_sum([numbers]))

    def finalize(self, partial: Partial, /) -> float:
        """The loss of all samples that went into `partial`."""
        if not isinstance(partial, Partial):
            raise TypeError(f"partial: expected a Partial, got {type(partial).__name__}")
        if partial.loss != repr(self):
            raise ValueError(f"partial: expected a partial of {self!r}, got {partial!r}")
        numbers = partial.numbers[0].reshape(-1, 2)
        return float(sum(w * t.value_of(n, partial.classes) for (w, t), n in zip(self.terms(), numbers, strict=True)))

    def __repr__(self) -> str:
        """The call that makes this loss, with only those options that differ from their defaults."""
        given = ((f, getattr(self, f.name)) for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={v!r}' for f, v in given if v != f.default)})"
