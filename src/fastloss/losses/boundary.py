"""Losses of distances to the target's boundary: probabilities weighed with distance maps.

The maps are data, made here from the target (and for Hausdorff from the prediction) by distance.py, image by image;
csrc/elements.h has the formulas, `product` and `squared_error`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .._backend import ACTIVATIONS, Term
from .._batch import Array, Batch, real_dtype
from ..distance import MOST_DIMS, as_spacing, distance_to, signed_distance_to, spacing_array
from ..numerics import softmax
from ._checks import freeze, number
from ._shared import shared
from .base import MapsLoss, SumLoss
from .region import chosen_classes, class_numbers


class DistanceLoss(MapsLoss, SumLoss):
    """What the two share: options, and the loop over images and classes."""

    takes_binary = True
    activations = ACTIVATIONS
    activation: str | None
    spacing: float | Sequence[float] | None
    classes: Sequence[int] | None

    def __post_init__(self) -> None:
        if self.spacing is not None:
            steps = spacing_array(self.spacing)
            freeze(self, spacing=tuple(steps.tolist()) if steps.ndim else float(steps))
        freeze(self, classes=class_numbers(self.classes))
        super().__post_init__()

    def map_maker(self) -> MapsLoss | None:
        return self

    def by_sample(self) -> bool:
        return True

    def _term(self, name: str) -> Term:
        """A pixel's value is the mean over the classes that count; the maps of the others are 0."""
        share = None if self.classes is None else 1 / len(self.classes)
        return Term(name, "pixel", ACTIVATIONS.index(self.activation), None, (share,))

    def own_maps(self, batch: Batch, maps: Array) -> Array:
        chosen = chosen_classes(self.classes, batch.classes)
        if self.classes is None:
            return maps
        own = np.zeros_like(maps)
        own[:, chosen] = maps[:, chosen]
        return own

    def _each(self, batch: Batch, fill: Callable[[int, int, tuple[float, ...], Array], None]) -> Array:
        """Maps of the input's shape from fill(sample, class, spacing, map), which writes one."""
        pixels = batch.input.shape[2:]
        if len(pixels) > MOST_DIMS:
            raise ValueError(f"input: expected at most {MOST_DIMS} pixel dimensions, got shape {batch.shape}")
        chosen = chosen_classes(self.classes, batch.classes)
        maps = np.zeros(batch.input.shape, np.float32)
        if not pixels:  # a lone pixel has no boundary
            return maps
        steps = as_spacing(self.spacing, len(pixels))
        for n in range(batch.samples):
            for c in chosen:
                fill(n, c, steps, maps[n, c])
        return maps


def target_mask(batch: Batch, n: int, c: int) -> tuple[Array, int, bool]:
    """The target of a class as `distance_to` takes it: values, a number, and whether the mask is where they differ."""
    assert batch.target is not None
    if batch.labels:
        label = c + batch.label_base
        return batch.target[n], -1 if label in batch.ignored else label, False  # -1: no pixel has it, then
    return batch.target[n, c] > 0.5, 0, True


def counts(batch: Batch, n: int) -> Array:
    """Where the pixels of an image count, (*S) or (C, *S)."""
    kept: Array = np.ones(batch.input.shape[2:], np.bool_)
    if batch.labels and batch.target is not None:
        for label in batch.ignored:
            kept &= batch.target[n] != label
    if batch.weight is not None:
        kept = kept & (batch.weight[n] > 0)
    return kept


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class BoundaryLoss(DistanceLoss):
    r"""Boundary loss: the probabilities weighed with the signed distance to the target's boundary.

    A pixel's value is the mean over classes of $p_c \phi_c$, where $\phi_c$ is `signed_distance` of the target's class
    $c$: positive outside of it, negative inside. It grows with the distance of what is wrong, where an overlap does
    not, and is negative for a good prediction. Usually it is added to a region loss, with a small weight.

    Parameters
    ----------
    activation : "softmax", "sigmoid" or None
        What turns `input` into probabilities; None: it holds probabilities already.
    spacing : float or one per axis, optional
        Distance of neighbouring pixels along each axis; 1 by default.
    classes : sequence of int, optional
        The classes that count.
    {class_options}

    {class_call}

    There are at most 3 pixel dimensions; a dense target is the mask of what is above 1/2. A class that is nowhere or
    everywhere has no boundary, and its map is 0. `distance_maps` takes the maps ready-made, of the input's shape (the
    target may then be None): they depend on the target alone. A single channel takes labels {0, 1}.

    Source: Kervadec et al. 2019, arXiv:1812.07032; their code and MONAI's shift the inside by one pixel.

    >>> import fastloss as fl
    >>> fl.BoundaryLoss(activation=None, classes=[1])([[[0.8, 0.6, 0.1, 0.0], [0.2, 0.4, 0.9, 1.0]]], [[0, 0, 1, 1]])
    -0.525

    See also: `HausdorffDTLoss`, `DiceLoss`.
    """

    activation: str | None = "softmax"
    spacing: float | Sequence[float] | None = None
    classes: Sequence[int] | None = None
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    target_optional = True

    def terms(self) -> tuple[Term, ...]:
        return (self._term("boundary"),)

    def make_maps(self, batch: Batch) -> Array:
        def fill(n: int, c: int, spacing: tuple[float, ...], out: Array) -> None:
            signed_distance_to(*target_mask(batch, n, c), spacing, out)

        return self._each(batch, fill)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class HausdorffDTLoss(DistanceLoss):
    r"""Hausdorff distance loss by distance transforms: squared errors weighed with the distance to both boundaries.

    A pixel's value is the mean over classes of $(p_c - y_c)^2 (D_p^\alpha + D_y^\alpha)$, where $D$ is the distance to
    a mask's boundary, `distance_transform(mask)` plus that of its complement: $D_y$ of the target's class, $D_p$ of
    where $p_c > 1/2$ and the pixel counts. The distances are data, not differentiated.

    Parameters
    ----------
    alpha : float
        $\alpha$, >= 0: how much far errors outweigh near ones.
    activation : "softmax", "sigmoid" or None
        What turns `input` into probabilities; None: it holds probabilities already.
    spacing : float or one per axis, optional
        Distance of neighbouring pixels along each axis; 1 by default.
    classes : sequence of int, optional
        The classes that count.
    {class_options}

    {class_call}

    There are at most 3 pixel dimensions; a dense target's mask is what is above 1/2. A mask that is empty or full has
    no boundary, and its $D$ is 0, as in MONAI. `distance_maps` takes $D_p^\alpha + D_y^\alpha$ ready-made, of the
    input's shape. A single channel takes labels {0, 1}.

    Source: Karimi and Salcudean 2019, arXiv:1904.10030; `monai.losses.HausdorffDTLoss`.

    >>> import fastloss as fl
    >>> fl.HausdorffDTLoss(activation=None)([[[0.8, 0.6, 0.1, 0.0], [0.2, 0.4, 0.9, 1.0]]], [[0, 0, 1, 1]])
    0.165

    See also: `BoundaryLoss`; `hausdorff_distance`, the distance itself.
    """

    alpha: float = 2.0
    activation: str | None = "softmax"
    spacing: float | Sequence[float] | None = None
    classes: Sequence[int] | None = None
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        freeze(self, alpha=number(self.alpha, "alpha", 0))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (self._term("hausdorff"),)

    def make_maps(self, batch: Batch) -> Array:
        predicted = [self._predicted(x) & counts(batch, n) for n, x in enumerate(batch.input)]

        def fill(n: int, c: int, spacing: tuple[float, ...], out: Array) -> None:
            out[...] = self._field(target_mask(batch, n, c), spacing)
            out += self._field((predicted[n][c], 0, True), spacing)

        return self._each(batch, fill)

    def _predicted(self, x: Array) -> Array:
        """Where p > 1/2, of one image, (C, *S)."""
        if self.activation == "sigmoid":
            with np.errstate(invalid="ignore"):  # a bfloat16's NaN
                mask: Array = x > 0
            return mask
        mask = (x if self.activation is None else softmax(x.astype(real_dtype(x.dtype)), axis=0)) > 0.5
        return mask

    def _field(self, mask: tuple[Array, int, bool], spacing: tuple[float, ...]) -> Array:
        """D^alpha."""
        values, k, inverted = mask
        field = distance_to(values, k, inverted, spacing)
        field += distance_to(values, k, not inverted, spacing)  # one of the two is 0, unless a mask is full: inf
        field[np.isinf(field)] = 0
        with np.errstate(over="ignore", under="ignore"):
            powers = field ** np.float32(self.alpha)
        if np.isinf(powers).any():
            raise ValueError(
                f"alpha: expected distances to the power of alpha within float32, got {self.alpha:g} and a distance of "
                f"{field.max():g}"
            )
        return powers
