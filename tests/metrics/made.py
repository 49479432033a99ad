"""Makes random predictions and targets for the tests of metrics, in awkward dtypes and layouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import fastloss as fl

REALS = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
INTEGERS = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64)
SHAPES = ((), (1,), (7,), (48,), (300,), (16, 17), (3, 5, 9), (2100,))
CLASSES = (1, 2, 3, 5, 19, 130, 400)  # 130 has two blocks of classes, and 400 no table of pairs

NEEDED = {"surface_dice": {"tolerance": 1.0}}  # options without a default
ALL = {name: cls(**NEEDED.get(name, {})) for name, cls in fl.metrics.METRICS.items() if not cls.of_scale}


@dataclass(frozen=True)
class Made:
    """One call: its arrays, and whether the input is a label map."""

    input: Any
    target: Any
    weight: Any
    ignored: tuple[int, ...]
    classes: int
    kind: str  # "softmax", "sigmoid", "none" or "map"
    dense: bool

    @property
    def activation(self) -> str | None:
        return self.kind if self.kind in ("softmax", "sigmoid") else None

    @property
    def num_classes(self) -> int | None:
        return self.classes if self.kind == "map" else None

    @property
    def exclusive(self) -> bool:
        return not self.dense and (self.classes == 1 or self.kind != "sigmoid")


def laid_out(a, how):
    """Return equal numbers with another memory layout or byte order."""
    if how == "fortran":
        return np.asfortranarray(a)
    if how == "gaps":
        held = np.zeros(tuple(2 * n for n in a.shape), a.dtype)
        view = held[tuple(slice(None, None, 2) for _ in a.shape)]
        view[...] = a
        return view
    if how == "swapped" and a.dtype.name != "bfloat16":
        return a.astype(a.dtype.newbyteorder())
    if how == "backwards":
        return np.ascontiguousarray(a[..., ::-1])[..., ::-1]
    if how == "last" and a.ndim > 2:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)
    return a


LAYOUTS = ("plain", "fortran", "gaps", "swapped", "backwards", "last")


def made(rng) -> Made:
    """Return the arrays of one random call."""
    classes, shape = int(rng.choice(CLASSES)), SHAPES[rng.integers(len(SHAPES))]
    kind = str(rng.choice(["sigmoid", "none"] if classes == 1 else ["softmax", "sigmoid", "none", "map"]))
    dense = kind != "map" and rng.random() < 0.3
    samples = int(rng.integers(1, 9))
    integers = INTEGERS[rng.integers(8)] if classes < 127 else (np.uint16, np.int64)[rng.integers(2)]
    target = rng.integers(0, max(2, classes), (samples, *shape)).astype(integers)
    ignored = (-100,)
    if not dense and rng.random() < 0.4:
        ignored = ((0, 3), (77,), (0,))[rng.integers(3)]
        target[rng.random(target.shape) < 0.2] = ignored[0]
    if kind == "map":
        x = rng.integers(0, classes, target.shape).astype(integers)
    else:
        x = rng.normal(size=(samples, classes, *shape))
        x = (np.round(2 * x) / 2 if rng.random() < 0.3 else x).astype(REALS[rng.integers(4)])  # with ties
        x[rng.random(x.shape) < rng.choice([0, 0.3])] = -np.inf
    if dense:
        target = (rng.random(x.shape) < 0.4).astype((bool, np.float32, np.float16)[rng.integers(3)])
    weight = None
    if rng.random() < 0.5:
        full = x.shape if dense and rng.random() < 0.5 else (samples, *shape)
        weight = (rng.random(full) < 0.7).astype((bool, np.uint8, np.float32, np.float64)[rng.integers(4)])
    x, target, weight = (None if a is None else laid_out(a, str(rng.choice(LAYOUTS))) for a in (x, target, weight))
    return Made(x, target, weight, ignored, classes, kind, dense)
