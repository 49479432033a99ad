"""A look at the values of the first images: do they agree with what each loss expects?

Probabilities that pass a softmax again, or logits that are taken for probabilities, give a wrong number and no error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from .._engine.loss import Composed, composed
from .._engine.measure import Measure
from .._engine.metric import Metric
from ..files.errors import FileError
from ..files.stored import Array
from ..losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CategoricalCrossEntropyLoss,
    CrossEntropyLoss,
    Loss,
    LovaszHingeLoss,
    MultiLabelSoftMarginLoss,
    NLLLoss,
    PolyLoss,
    TopKLoss,
)
from .checks import leaves

SAMPLE = 2**16
"""The number of pixels to look at in each image."""

ROUNDING = 1e-3
"""How far probabilities may lie outside [0, 1] by rounding. float16 has 3 digits."""

FAR = 0.5
"""Values this far outside [0, 1] are no probabilities. The overshoot of resampled probabilities is smaller."""

TAKE_LOGITS = {
    CrossEntropyLoss: ("cross_entropy", "categorical_cross_entropy"),
    BCEWithLogitsLoss: ("binary_cross_entropy_with_logits", "binary_cross_entropy"),
    MultiLabelSoftMarginLoss: ("multilabel_soft_margin", "binary_cross_entropy"),
    PolyLoss: ("poly", "categorical_cross_entropy"),
    LovaszHingeLoss: ("lovasz_hinge", "lovasz_softmax"),
}
"""The losses that take logits whatever their options, with their names, and the loss that takes probabilities."""

OF_PROBABILITIES = {
    BCELoss: "binary_cross_entropy_with_logits",
    CategoricalCrossEntropyLoss: "cross_entropy",
}
"""The losses that take probabilities whatever their options, and the loss that takes logits."""


def expects(loss: Measure) -> str:
    """Return what a loss or metric expects: "logits", "probabilities", "log-probabilities", or "" for anything."""
    if (
        isinstance(loss, Metric) and not loss.of_scale and loss.activation == "softmax"
    ):  # the largest logit has the largest probability
        return ""
    if isinstance(loss, tuple(TAKE_LOGITS)):
        return "logits"
    if isinstance(loss, NLLLoss):
        return "log-probabilities"
    if isinstance(loss, tuple(OF_PROBABILITIES)):
        return "probabilities"
    if not hasattr(loss, "activation"):
        return ""
    return "logits" if loss.activation else "probabilities"


def taking_probabilities(name: str, loss: Measure, path: str, *, one_hot: bool = False) -> Measure:
    """Return the loss or metric for an input that is known to hold probabilities, or one-hot label maps."""
    if isinstance(loss, Metric):
        return loss.of_probabilities(one_hot=one_hot)
    assert isinstance(loss, Loss)
    return _loss_of_probabilities(name, loss, path)


def _loss_of_probabilities(name: str, loss: Loss, path: str) -> Loss:
    for kind, (own, other) in TAKE_LOGITS.items():
        if any(isinstance(leaf, kind) for leaf in leaves(loss)):
            raise FileError(f"{path} holds probabilities or labels, but {own} takes logits; use {other} in {name}")
    if isinstance(loss, Composed) and not hasattr(loss, "activation"):
        return composed([(weight, _loss_of_probabilities(name, leaf, path)) for weight, leaf in loss.summands()])
    if isinstance(loss, TopKLoss):
        return dataclasses.replace(loss, loss=_loss_of_probabilities(name, loss.loss, path))  # type: ignore[arg-type]
    if getattr(loss, "activation", None) is None:
        return loss
    changed: Loss = dataclasses.replace(loss, activation=None)  # type: ignore[type-var]
    return changed


def look(values: Array, exclusive: bool, losses: Mapping[str, Measure], path: str) -> Iterable[str]:
    """Yield notes about values of shape (C, *S) that do not look like what a loss expects.

    With `exclusive`, the classes of the target exclude each other. Values that cannot be right are an error.
    """
    seen = _Seen(values)
    for name, loss in losses.items():
        for expected in dict.fromkeys(expects(leaf) for leaf in leaves(loss)):
            note = seen.note(expected, loss, name, exclusive, path)
            if note:
                yield note


class _Seen:
    """The range of a sample of the values, and of their sums over the channels."""

    def __init__(self, values: Array) -> None:
        flat = values.reshape(len(values), -1) if values.flags.c_contiguous else values
        step = int(np.prod(values.shape[1:])) // SAMPLE | 1  # odd, so that it does not keep to a few columns
        sample = flat[:, ::step] if flat.ndim == 2 else _thinned(values)
        sample = np.asarray(sample, np.float32).reshape(len(values), -1)
        sample = sample[:, np.isfinite(sample).all(axis=0)]
        self.channels, self.empty = len(sample), sample.size == 0
        if not self.empty:
            self.low, self.high = float(sample.min()), float(sample.max())
            self.whole = bool((sample == np.rint(sample)).all())
            sums = sample.sum(axis=0)
            self.sums = float(sums.min()), float(sums.max())

    @property
    def inside(self) -> bool:
        return self.low >= -ROUNDING and self.high <= 1 + ROUNDING

    @property
    def sum_to_one(self) -> bool:
        return self.sums[0] >= 0.99 and self.sums[1] <= 1.01

    def note(self, expected: str, loss: Measure, name: str, exclusive: bool, path: str) -> str:
        if self.empty:
            return ""
        span = f"values from {self.low:.4g} to {self.high:.4g}"
        if self.channels == 1 and self.whole and self.high > 1 and expected:
            raise FileError(
                f"{path}: expected {expected} for {name}, got whole numbers up to {self.high:g} in one channel, which "
                "seem to be a label map; give `num_classes=`"
            )
        if expected == "logits" and self.inside and self.high > self.low:
            return self._second_activation(loss, name, path)
        if expected == "log-probabilities" and self.high > ROUNDING:
            raise FileError(
                f"{path}: expected log-probabilities, at most 0, for {name}, got {span}; cross_entropy takes logits, "
                "categorical_cross_entropy takes probabilities"
            )
        if expected != "probabilities":
            return ""
        if self.low < -FAR or self.high > 1 + FAR:
            raise FileError(f"{path}: expected probabilities for {name}, got {span}; {_way_out(loss)}")
        if not self.inside:
            return f"{name} takes probabilities, but {path} holds {span}"
        if exclusive and self.channels > 1 and not self.sum_to_one:
            low, high = self.sums
            return (
                f"the channels of {path} sum to between {low:.4g} and {high:.4g}, not to 1; {name} takes them as "
                "probabilities of classes that exclude each other"
            )
        return ""

    def _second_activation(self, loss: Measure, name: str, path: str) -> str:
        """Return the note about values in [0, 1] that a softmax or a sigmoid would turn into probabilities again."""
        sums = " that sum to 1" if self.channels > 1 and self.sum_to_one else ""
        what = f"{path} seems to hold probabilities, values in [0, 1]{sums}"
        for kind, (own, other) in TAKE_LOGITS.items():
            if any(isinstance(leaf, kind) for leaf in leaves(loss)):
                return f"{what}, but {own} takes logits; for probabilities, use {other}"
        activation = next(a for leaf in leaves(loss) if (a := getattr(leaf, "activation", None)))
        return f"{what}, but {name} applies a {activation}; if they are probabilities, give `activation=None`"


def _way_out(loss: Measure) -> str:
    for kind, own in OF_PROBABILITIES.items():
        if any(isinstance(leaf, kind) for leaf in leaves(loss)):
            return f"if they are logits, use {own}"
    return "if they are logits, give `activation=softmax` or `activation=sigmoid`"


def _thinned(values: Array) -> Array:
    """Return every k-th pixel along each axis, without a copy of the whole array."""
    pixels = int(np.prod(values.shape[1:]))
    step = max(1, int(np.ceil((pixels / SAMPLE) ** (1 / max(1, values.ndim - 1)))))
    return values[(slice(None), *[slice(None, None, step)] * (values.ndim - 1))]
