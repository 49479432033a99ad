"""Weighted sums of losses: `0.5 * DiceLoss() + 0.5 * CrossEntropyLoss()` is a loss, with one pass for all its terms.

And the pair that everybody uses, by name: `DiceCELoss`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .._backend import Term
from .._batch import Array, Batch
from ._checks import choice, freeze, number
from .base import Loss, MapsLoss
from .binary import bce_term
from .class_axis import CrossEntropyLoss
from .overlap import DiceLoss


@dataclass(frozen=True, repr=False)
class Composed(MapsLoss):
    """A weighted sum of losses over the same input and target; made by `+` and `*`.

    >>> import fastloss as fl
    >>> loss = 0.5 * fl.DiceLoss() + 0.5 * fl.CrossEntropyLoss()
    >>> loss
    0.5 * DiceLoss() + 0.5 * CrossEntropyLoss()
    >>> loss([[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]])
    0.20763001
    """

    parts: tuple[tuple[float, Loss], ...]
    _terms: tuple[Term, ...] = field(init=False, compare=False)  # of all parts, each once
    _places: tuple[tuple[int, ...], ...] = field(init=False, compare=False)  # where each part's terms are among them

    reduction = "mean"

    def __post_init__(self) -> None:
        for _, loss in self.parts:
            if loss.reduction == "none":
                raise ValueError(f"reduction: expected 'mean' or 'sum' in a sum of losses, got 'none' in {loss!r}")
        axes = [p.element_axis() if p.kind == "element" else p.axis for _, p in self.parts]
        for name, all_of in (("axis", axes), ("ignore_index", [p.ignore_index for _, p in self.parts])):
            known = [value for value in all_of if value is not None]
            if any(value != known[0] for value in known):
                raise ValueError(f"{name}: expected the same in all terms of a sum, got {known} in {self!r}")
            object.__setattr__(self, name, known[0] if known else None)
        if len(self._makers()) > 1:
            raise ValueError(f"losses: expected at most one of distances in a sum, got {self._makers()}")
        kind = "element" if all(p.kind == "element" for _, p in self.parts) else "class"
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "takes_binary", all(p.takes_binary for _, p in self.parts))
        terms = tuple(dict.fromkeys(t for _, p in self.parts for t in p.terms()))
        object.__setattr__(self, "_terms", terms)
        places = tuple(tuple(terms.index(t) for t in p.terms()) for _, p in self.parts)
        object.__setattr__(self, "_places", places)

    def __repr__(self) -> str:
        alone = len(self.parts) == 1
        return " + ".join(repr(p) if w == 1 and not alone else f"{w!r} * {p!r}" for w, p in self.parts)

    def leaves(self) -> list[tuple[float, Loss]]:
        return [(w * v, leaf) for w, p in self.parts for v, leaf in p.leaves()]

    def ignoring(self, ignore_index: int | Sequence[int]) -> Loss:
        return Composed(tuple((w, p.ignoring(ignore_index)) for w, p in self.parts))

    def map_maker(self) -> MapsLoss | None:
        return self._makers()[0] if self._makers() else None

    def _makers(self) -> list[MapsLoss]:
        makers = (p.map_maker() for _, p in self.parts)
        return list(dict.fromkeys(m for m in makers if m is not None))

    def make_batch(self, input: Any, target: Any, pixel_weight: Any, distance_maps: Any = None) -> Batch:
        batch = super().make_batch(input, target, pixel_weight, distance_maps)
        check_targets(batch, [leaf for _, leaf in self.leaves()])
        return batch

    def element_axis(self) -> int | None:
        axes = [p.element_axis() for _, p in self.parts]
        return next((a for a in axes if a is not None), None)

    def terms(self) -> tuple[Term, ...]:
        return self._terms

    def by_sample(self) -> bool:
        return any(p.by_sample() for _, p in self.parts)

    def is_linear(self) -> bool:
        return all(p.is_linear() for _, p in self.parts)

    def _plain_sums(self, input: Any, target: Any) -> list[Array] | None:
        by_class = all(p.kind == "class" for _, p in self.parts)
        return super()._plain_sums(input, target) if by_class else None

    def rows(self, sums: list[Array]) -> Array:
        own = ([sums[k] for k in places] for places in self._places)
        return np.concatenate([p.rows(s) for (_, p), s in zip(self.parts, own, strict=True)], axis=1)

    def row_size(self, classes: int) -> int:
        return sum(p.row_size(classes) for _, p in self.parts)

    def _split(self, numbers: Array, classes: int) -> Iterator[Array]:
        """The numbers of each loss."""
        first = 0
        for _, p in self.parts:
            last = first + p.row_size(classes)
            yield numbers[first:last]
            first = last

    def total(self, numbers: Array, classes: int) -> float:
        own = self._split(numbers, classes)
        return float(sum(w * p.total(n, classes) for (w, p), n in zip(self.parts, own, strict=True)))

    def totals(self, rows: Array, classes: int) -> Array:
        own = self._split(rows.T, classes)
        values: Array = np.zeros(len(rows))
        for (w, p), numbers in zip(self.parts, own, strict=True):
            values = values + w * p.totals(numbers.T, classes)
        return values

    def slopes(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        slopes: list[Any] = [0.0] * len(self._terms)
        for (w, p), n, places in zip(self.parts, self._split(numbers, classes), self._places, strict=True):
            for k, slope in zip(places, p.slopes([sums[k] for k in places], n, classes), strict=True):
                slopes[k] = slopes[k] + w * slope
        return slopes


def check_targets(batch: Batch, losses: Sequence[Loss]) -> None:
    """Element-wise losses see labels only as those of a single channel, if 0 and 1 are what they mean by them; and what
    one loss takes as a binary channel is not the only class of another."""
    binary = batch.classes == 1 and any(loss.takes_binary for loss in losses)
    for loss in losses:
        loss.check_channels(batch)
        if binary and loss.exclusive:
            raise ValueError(
                f"input: expected two channels or more for {loss!r} next to a loss that takes one as binary, got shape "
                f"{batch.shape}: use BCEWithLogitsLoss() instead, or DiceCELoss(activation='sigmoid')"
            )
        if loss.kind == "element" and loss.by_sample() and len(batch.shape) < 2:  # alone, it says what a sample is
            raise ValueError(f"input: expected two dimensions or more for {loss!r} beside others, got {batch.shape}")
        if loss.kind == "element" and batch.labels and not (loss.takes_binary and batch.label_base == 1):
            single = " or a single channel with labels {0, 1}" if loss.takes_binary else ""
            raise ValueError(
                f"target: expected a dense target of shape {batch.shape}{single} for {loss!r}, got labels of shape "
                f"{batch.target.shape if batch.target is not None else None}"
            )


def composed(parts: Sequence[tuple[Any, Loss]]) -> Composed:
    """The sum, with nested sums flattened."""
    flat: list[tuple[float, Loss]] = []
    for weight, loss in parts:
        factor = number(weight, "factor")
        own = loss.parts if type(loss) is Composed else ((1.0, loss),)
        flat += [(number(factor * w, "factor"), p) for w, p in own]
    return Composed(tuple(flat))


class ChannelCrossEntropy(CrossEntropyLoss):
    """The cross entropy of `DiceCELoss`; of one channel, which the Dice loss takes as binary, BCE with logits."""

    takes_binary = True
    exclusive = False

    def terms(self) -> tuple[Term, ...]:
        (many,) = super().terms()
        return (many._replace(single=bce_term("sigmoid", self.class_weight, 1.0, self.label_smoothing)),)


@dataclass(frozen=True, kw_only=True, repr=False)
class DiceCELoss(Composed):
    r"""Dice loss and cross entropy of logits, weighted and added: `dice * DiceLoss(...) + ce * CrossEntropyLoss(...)`.

    One pass and one softmax serve both. The defaults are those of MONAI's `DiceCELoss` with `softmax=True,
    to_onehot_y=True`.

    Parameters
    ----------
    dice, ce : float, default 1.0
        The weights of the two.
    activation : "softmax" or "sigmoid", default "softmax"
        What makes the Dice loss's probabilities. The cross entropy is that of a softmax, except for a single channel
        with "sigmoid": there it is `BCEWithLogitsLoss`, as in MONAI. A single channel with "softmax" is an error.
    smooth, squared, classes, batch, absent
        The Dice loss's: see `DiceLoss`.
    label_smoothing : float, default 0.0
        The cross entropy's.
    class_weight : (C,) array, optional
        Of both: it weighs the classes' Dice losses in their mean, and the pixels by their labels. For a single channel
        it is the `pos_weight` of the cross entropy.
    ignore_index, reduction, axis
        Of both. `reduction` is "mean" or "sum"; there is no map of the two.

    The call takes `input`, logits of shape `(N, C, *S)`, and `target`, labels `(N, *S)` or a dense target of the
    input's shape; `pixel_weight` broadcasts to `(N, *S)` (dense: also to `(N, C, *S)`). It raises what the two raise.

    >>> import fastloss as fl
    >>> fl.DiceCELoss(ce=0.5)([[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]])
    0.30521259
    >>> fl.DiceCELoss(activation="sigmoid")([[[2.0, -1.0]]], [[1, 0]])
    0.40064822

    See also: `DiceLoss`, `CrossEntropyLoss`.
    """

    parts: tuple[tuple[float, Loss], ...] = field(init=False, compare=False)
    dice: float = 1.0
    ce: float = 1.0
    activation: str = "softmax"
    smooth: float | tuple[float, float] = 1e-5
    squared: bool = False
    class_weight: Sequence[float] | Array | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    label_smoothing: float = 0.0
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        choice(self.activation, "activation", ("softmax", "sigmoid"))
        freeze(self, dice=number(self.dice, "dice"), ce=number(self.ce, "ce"))
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        region = DiceLoss(**{f.name: given[f.name] for f in fields(DiceLoss)})
        cross = CrossEntropyLoss if self.activation == "softmax" else ChannelCrossEntropy
        pixel = cross(**{f.name: given[f.name] for f in fields(CrossEntropyLoss)})
        checked = {f.name: getattr(loss, f.name) for loss in (region, pixel) for f in fields(loss)}
        freeze(self, **checked, parts=((self.dice, region), (self.ce, pixel)))
        super().__post_init__()

    __repr__ = Loss.__repr__
    ignoring = Loss.ignoring
