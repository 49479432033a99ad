"""The table of all tests: every loss in its interesting configurations, data for them, and layouts of arrays.

A new loss needs a row in CASES here, and nothing else.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import fastloss as fl

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [np.dtype(np.float16), BFLOAT16, np.dtype(np.float32), np.dtype(np.float64)]
LABEL_DTYPES = [np.dtype(c) for c in "?bBhHiIqQ"]


@dataclass(frozen=True)
class Case:
    """A loss for C classes, `make(C, **options)`, and what it is called with."""

    name: str
    target: str  # "labels", "dense" (a distribution) or "element" (any numbers in [0, 1])
    make: Callable[..., fl.Loss]
    cancels: int = 1  # how many times larger than the whole its terms are: so many times the rounding errors

    def __str__(self) -> str:
        return self.name

    @property
    def takes_one_channel(self) -> bool:
        """Whether the loss means something of a single channel: it has no softmax of one, alone or in a sum."""
        leaves = [leaf for _, leaf in self.make(1).summands()]
        softmax = any(getattr(leaf, "activation", None) == "softmax" for leaf in leaves)
        return not softmax and not (any(p.takes_binary for p in leaves) and any(p.exclusive for p in leaves))


def class_weight(C: int) -> list[float]:
    """Weights of which one is 0, if there are three classes or more."""
    return [0.0 if C > 2 and c == C // 2 else 0.5 + c % 3 for c in range(C)]


def of(loss: type[fl.Loss], **fixed: Any) -> Callable[..., fl.Loss]:
    """The loss with these options (functions of C are called), and those of `axis` and `reduction` that it has."""
    names = {f.name for f in dataclasses.fields(loss)}

    def make(C: int, **options: Any) -> fl.Loss:
        own = {name: value(C) if callable(value) else value for name, value in fixed.items()}
        return loss(**own | {name: value for name, value in options.items() if name in names})

    return make


def gammas(C: int) -> list[float]:
    return [0.5 * (c % 5) for c in range(C)]


CASES = [
    Case("ce", "labels", lambda C, **k: fl.CrossEntropyLoss(**k)),
    Case("ce-weight", "labels", lambda C, **k: fl.CrossEntropyLoss(class_weight=class_weight(C), **k)),
    Case("ce-smooth", "labels", lambda C, **k: fl.CrossEntropyLoss(label_smoothing=0.1, **k)),
    Case(
        "ce-weight-smooth-255",
        "labels",
        lambda C, **k: fl.CrossEntropyLoss(
            class_weight=class_weight(C), label_smoothing=0.3, **{"ignore_index": 255} | k
        ),
    ),
    Case("ce-dense", "dense", lambda C, **k: fl.CrossEntropyLoss(**k)),
    Case(
        "ce-dense-weight-smooth",
        "dense",
        lambda C, **k: fl.CrossEntropyLoss(class_weight=class_weight(C), label_smoothing=0.3, **k),
    ),
    Case("bce", "element", lambda C, **k: fl.BCEWithLogitsLoss(**k)),
    Case("bce-pos", "element", lambda C, **k: fl.BCEWithLogitsLoss(pos_weight=2.5, **k)),
    Case(
        "bce-pos-vector-smooth",
        "element",
        lambda C, **k: fl.BCEWithLogitsLoss(pos_weight=class_weight(C), label_smoothing=0.2, **k),
    ),
    Case("nll", "labels", of(fl.NLLLoss)),
    Case("nll-weight-255", "labels", of(fl.NLLLoss, class_weight=class_weight, ignore_index=255)),
    Case("nll-dense-weight", "dense", of(fl.NLLLoss, class_weight=class_weight)),
    Case("cce-none", "labels", of(fl.CategoricalCrossEntropyLoss)),
    Case(
        "cce-none-weight-smooth",
        "labels",
        of(fl.CategoricalCrossEntropyLoss, class_weight=class_weight, label_smoothing=0.2),
    ),
    Case("cce-none-dense", "dense", of(fl.CategoricalCrossEntropyLoss, class_weight=class_weight)),
    Case("focal", "labels", of(fl.FocalLoss)),
    Case("focal-classes", "labels", of(fl.FocalLoss, gamma=gammas, alpha=class_weight)),
    Case("focal-sigmoid-classes", "labels", of(fl.FocalLoss, gamma=gammas, alpha=class_weight, activation="sigmoid")),
    Case("focal-none", "labels", of(fl.FocalLoss, gamma=1.5, activation=None)),
    Case("focal-dense", "dense", of(fl.FocalLoss, gamma=gammas, alpha=class_weight)),
    Case("focal-dense-sigmoid", "dense", of(fl.FocalLoss, activation="sigmoid")),
    Case("focal-dense-none", "dense", of(fl.FocalLoss, gamma=0.5, activation=None)),
    Case("perceptron", "labels", of(fl.PerceptronLoss)),
    Case("perceptron-dense-weight", "dense", of(fl.PerceptronLoss, class_weight=class_weight)),
    Case("kl", "element", of(fl.KLDivLoss)),
    Case("kl-log", "element", of(fl.KLDivLoss, log_target=True)),
    Case("bce-none", "element", of(fl.BCELoss)),
    Case("bce-none-pos-vector", "element", of(fl.BCELoss, pos_weight=class_weight)),
    Case("balanced", "element", of(fl.BalancedBCELoss)),
    Case("balanced-none", "element", of(fl.BalancedBCELoss, activation=None)),
    Case("binary-focal", "element", of(fl.BinaryFocalLoss)),
    Case("binary-focal-none", "element", of(fl.BinaryFocalLoss, gamma=0.5, alpha=None, activation=None)),
    Case("binary-kl-none", "element", of(fl.BinaryKLDivLoss)),
    Case("binary-kl-sigmoid-alpha", "element", of(fl.BinaryKLDivLoss, alpha=0.3, activation="sigmoid")),
    Case("binary-kl-sigmoid", "element", of(fl.BinaryKLDivLoss, activation="sigmoid")),
    Case("js-none", "dense", of(fl.JSDivLoss), 512),
    Case("js-softmax-alpha", "dense", of(fl.JSDivLoss, alpha=0.8, activation="softmax"), 32),
    Case("js-sigmoid-jeffreys", "dense", of(fl.JSDivLoss, alpha=1.0, activation="sigmoid"), 32),
    Case("js-softmax-labels", "labels", of(fl.JSDivLoss, activation="softmax"), 32),
    Case("js-binary-none", "element", of(fl.JSDivLoss, binary=True), 32),
    Case("js-binary-sigmoid", "element", of(fl.JSDivLoss, binary=True, alpha=1.0, activation="sigmoid"), 32),
    Case("soft-margin", "element", of(fl.SoftMarginLoss)),
    Case("multilabel", "dense", of(fl.MultiLabelSoftMarginLoss)),
    Case("multilabel-weight", "dense", of(fl.MultiLabelSoftMarginLoss, class_weight=class_weight)),
    Case("mse", "element", of(fl.MSELoss)),
    Case("l1", "element", of(fl.L1Loss)),
    Case("huber", "element", of(fl.HuberLoss, delta=1.5)),
    Case("smooth-l1", "element", of(fl.SmoothL1Loss, beta=0.7)),
    Case("smooth-l1-zero", "element", of(fl.SmoothL1Loss, beta=0.0)),
    Case("log-cosh", "element", of(fl.LogCoshLoss)),
    Case("pseudo-huber", "element", of(fl.PseudoHuberLoss, delta=0.8)),
    Case("dice", "labels", lambda C, **k: fl.DiceLoss(**k)),
    Case("dice-sigmoid", "labels", lambda C, **k: fl.DiceLoss(activation="sigmoid", **k)),
    Case("dice-none", "labels", lambda C, **k: fl.DiceLoss(activation=None, **k)),
    Case("dice-dense", "dense", lambda C, **k: fl.DiceLoss(**k)),
    Case("dice-squared-batch", "dense", lambda C, **k: fl.DiceLoss(squared=True, batch=True, **k)),
    Case("dice-skip", "labels", lambda C, **k: fl.DiceLoss(absent="skip", class_weight=class_weight(C), **k)),
    Case("dice-zero", "labels", lambda C, **k: fl.DiceLoss(absent="zero", smooth=(0.0, 1.0), **k)),
    Case("dice-nan", "labels", lambda C, **k: fl.DiceLoss(absent="nan", **k)),
    Case("dice-unsmoothed-none", "dense", lambda C, **k: fl.DiceLoss(activation=None, smooth=0.0, **k)),
    Case(
        "dice-foreground-255",
        "labels",
        lambda C, **k: fl.DiceLoss(classes=range(min(1, C - 1), C), **{"ignore_index": 255} | k),
    ),
    Case("jaccard", "labels", lambda C, **k: fl.JaccardLoss(**k)),
    Case("jaccard-sigmoid-batch", "dense", lambda C, **k: fl.JaccardLoss(activation="sigmoid", batch=True, **k)),
    Case("tversky", "labels", lambda C, **k: fl.TverskyLoss(alpha=0.3, beta=0.7, **k)),
    Case(
        "tversky-none-skip-batch",
        "labels",
        lambda C, **k: fl.TverskyLoss(alpha=0.3, beta=0.9, activation=None, absent="skip", batch=True, **k),
    ),
    Case("focal-tversky", "labels", lambda C, **k: fl.FocalTverskyLoss(alpha=0.3, beta=0.7, **k)),
    Case(
        "focal-tversky-by-class",
        "labels",
        lambda C, **k: fl.FocalTverskyLoss(
            gamma=[0.5 + 0.5 * (c % 4) for c in range(C)], class_alpha=class_weight(C)[::-1], **k
        ),
    ),
    Case("focal-tversky-dense-batch", "dense", lambda C, **k: fl.FocalTverskyLoss(gamma=2.0, batch=True, **k)),
    Case(
        "focal-tversky-none-skip",
        "labels",
        lambda C, **k: fl.FocalTverskyLoss(
            gamma=1.5, activation=None, absent="skip", class_weight=class_weight(C), smooth=1.0, **k
        ),
    ),
    Case("sensitivity-specificity", "labels", lambda C, **k: fl.SensitivitySpecificityLoss(**k), 32),
    Case(
        "sensitivity-specificity-sigmoid-batch",
        "dense",
        lambda C, **k: fl.SensitivitySpecificityLoss(b=0.9, activation="sigmoid", batch=True, smooth=1.0, **k),
        32,
    ),
    Case(
        "sensitivity-specificity-zero-255",
        "labels",
        lambda C, **k: fl.SensitivitySpecificityLoss(b=0.2, absent="zero", **{"ignore_index": 255} | k),
        32,
    ),
    Case("generalized-dice", "labels", lambda C, **k: fl.GeneralizedDiceLoss(**k)),
    Case(
        "generalized-dice-simple-skip",
        "labels",
        lambda C, **k: fl.GeneralizedDiceLoss(
            weighting="simple", absent="skip", classes=range(min(1, C - 1), C), class_weight=class_weight(C), **k
        ),
    ),
    Case(
        "generalized-dice-none-uniform",
        "dense",
        lambda C, **k: fl.GeneralizedDiceLoss(weighting="uniform", activation=None, smooth=0.0, **k),
    ),
    Case(
        "generalized-dice-sigmoid-batch",
        "dense",
        lambda C, **k: fl.GeneralizedDiceLoss(activation="sigmoid", batch=True, **k),
    ),
    Case("boundary", "labels", of(fl.BoundaryLoss)),
    Case("boundary-sigmoid-classes", "labels", of(fl.BoundaryLoss, activation="sigmoid", classes=lambda C: [C - 1])),
    Case("boundary-none-dense", "dense", of(fl.BoundaryLoss, activation=None, spacing=0.5)),
    Case("hausdorff", "labels", of(fl.HausdorffDTLoss)),
    Case("hausdorff-none-dense", "dense", of(fl.HausdorffDTLoss, activation=None, alpha=1.0)),
    Case(
        "hausdorff-sigmoid-255",
        "labels",
        of(fl.HausdorffDTLoss, activation="sigmoid", alpha=0.5, classes=lambda C: range(C), ignore_index=255),
    ),
    Case(
        "dice+boundary",
        "labels",
        lambda C, **k: of(fl.DiceLoss)(C, **k) + 0.01 * of(fl.BoundaryLoss, classes=lambda C: [C - 1])(C, **k),
    ),
    Case(
        "dice+ce",
        "labels",
        lambda C, **k: (
            0.5 * fl.DiceLoss(**{"ignore_index": 255} | k) + 0.25 * fl.CrossEntropyLoss(**{"ignore_index": 255} | k)
        ),
    ),
    Case(
        "jaccard+bce",
        "dense",
        lambda C, **k: fl.JaccardLoss(activation="sigmoid", **k) + 2 * fl.BCEWithLogitsLoss(pos_weight=1.5, **k),
    ),
    Case(
        "generalized-dice+focal-tversky+ce",
        "labels",
        lambda C, **k: fl.GeneralizedDiceLoss(**k) + 0.5 * fl.FocalTverskyLoss(**k) + fl.CrossEntropyLoss(**k),
    ),
    Case(
        "ce+ce", "labels", lambda C, **k: fl.CrossEntropyLoss(**k) + fl.CrossEntropyLoss(label_smoothing=0.5, **k) * 3
    ),
    Case(
        "focal+perceptron+js",
        "labels",
        lambda C, **k: (
            fl.FocalLoss(gamma=1.0, **k) + 0.5 * fl.PerceptronLoss(**k) + of(fl.JSDivLoss, activation="softmax")(C, **k)
        ),
    ),
    Case(
        "balanced+mse+kl",
        "element",
        lambda C, **k: 2 * of(fl.BalancedBCELoss)(C, **k) + of(fl.MSELoss)(C, **k) + of(fl.KLDivLoss)(C, **k),
    ),
    Case("batchmean+", "element", lambda C, **k: 2 * fl.KLDivLoss(reduction="batchmean")),
    Case(
        "bce+bce",
        "element",
        lambda C, **k: fl.BCEWithLogitsLoss(**k) + fl.BCEWithLogitsLoss(pos_weight=class_weight(C), **k),
    ),
]
BY_NAME = {case.name: case for case in CASES}
REGION = ("dice", "jaccard", "tversky", "focal-tversky", "sensitivity", "generalized")
SUM_CASES = [c for c in CASES if "+" not in c.name and not c.name.startswith(REGION)]  # a value a pixel or element
SINGLE_CASES = [c for c in CASES if "+" not in c.name]  # those with reduction="none"

# (N, C, *S): S of 0 to 3 dimensions, tiles of every width (C to 128, 256, more), and class blocks (C > 512).
SHAPES = [(3, 5), (2, 5, 300), (2, 2, 33, 21), (2, 3, 5, 6, 7), (2, 1, 40), (1, 130, 37), (2, 300, 70), (1, 600, 65)]
EMPTY_SHAPES = [(0, 5, 4, 4), (2, 5, 0, 3), (0, 2), (0, 1, 0)]


def images(case: Case, loss: fl.Loss, shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> Any:
    """(input, target, pixel_weight) of `shape` (N, C, *S); all is a little of everything, ignored pixels included."""
    rng = np.random.default_rng(seed)
    pixel_shape = shape[:1] + shape[2:]
    x = 3 * rng.standard_normal(shape)
    if "none" in case.name:  # probabilities, not so near to 0 and 1 that the slope of a log overflows a float16
        x = 0.02 + 0.95 * np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    if case.name.startswith(("nll", "kl")):  # log-probabilities
        x = -np.abs(x)
    x = x.astype(dtype)
    w = rng.choice([0.0, 0.5, 1.0, 1.7], shape if case.target == "element" else pixel_shape)
    if case.target == "element":
        return x, rng.random(shape) * rng.integers(0, 2, shape), w
    if case.target == "dense":
        y = rng.random(shape)
        return x, y / y.sum(axis=1, keepdims=True), w
    return x, labels(loss, shape, rng), w


def labels(loss: fl.Loss, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any = np.int64) -> np.ndarray:
    """Labels of an input of `shape`, in which the first sample lacks the last class, and some are ignore_index."""
    C, pixel_shape = shape[1], shape[:1] + shape[2:]
    count = 2 if C == 1 and loss.takes_binary else C
    y = rng.integers(0, count, pixel_shape)
    if count > 2:
        y[:1][y[:1] == count - 1] = 0
    ignore = -100 if loss.ignore_index is None else loss.ignore_index
    if dtype == np.bool_:
        return y.astype(bool)
    if np.iinfo(dtype).min <= ignore <= np.iinfo(dtype).max and not 0 <= ignore < count:
        y[rng.random(pixel_shape) < 0.1] = ignore
    return y.astype(dtype)


# ---- layouts: functions from an array to an equal one, laid out differently


def c_order(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="C")


def fortran(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="F")


def reversed_axes(a: np.ndarray) -> np.ndarray:
    """Negative strides."""
    return np.flip(np.flip(a).copy())


def first_axis_inside(a: np.ndarray) -> np.ndarray:
    """The axis of strides other than C's or Fortran's: the second one innermost, as channels last."""
    return a if a.ndim < 2 else np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1)


def every_second(a: np.ndarray) -> np.ndarray:
    if a.ndim == 0:
        return a
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def misaligned(a: np.ndarray) -> np.ndarray:
    """One byte off."""
    b = np.ndarray(a.shape, a.dtype, np.empty(a.nbytes + 1, np.uint8), offset=1)
    b[...] = a
    return b


def byte_swapped(a: np.ndarray) -> np.ndarray:
    return a if a.dtype == BFLOAT16 else a.astype(a.dtype.newbyteorder())


def read_only(a: np.ndarray) -> np.ndarray:
    b = a.copy()
    b.flags.writeable = False
    return b


def memory_mapped(a: np.ndarray) -> np.ndarray:
    if a.size == 0:
        return a
    with tempfile.TemporaryFile() as file:
        b = np.memmap(file, a.dtype, "w+", shape=a.shape)
    b[...] = a
    return b


LAYOUTS = [
    c_order,
    fortran,
    reversed_axes,
    first_axis_inside,
    every_second,
    misaligned,
    byte_swapped,
    read_only,
    memory_mapped,
]


# ---- comparisons


def bits(a: Any) -> bytes:
    """The bits of a value or array, whatever its layout and byte order."""
    a = np.asarray(a)
    return a.astype(a.dtype.newbyteorder("="), order="C").tobytes() + str(a.shape).encode()


def same_bits(a: Any, b: Any) -> bool:
    return bits(a) == bits(b)


def eps(dtype: Any) -> float:
    """The distance of 1 to the next number."""
    return float(ml_dtypes.finfo(dtype).eps)


def real(dtype: Any) -> np.dtype:
    """The dtype of the arithmetic."""
    return np.dtype(np.float64 if np.dtype(dtype) == np.float64 else np.float32)


def assert_close(
    got: Any, want: Any, dtype: Any, factor: float | None = None, cancels: int = 1, rounded: bool = False
) -> None:
    """Equal to a float64 reference, up to the arithmetic and the rounding to `dtype`.

    The arithmetic has some ten roundings a number (exp and log of 2 ulp among them), and terms cancel: `factor` eps of
    the largest number in the array; 16 in float32. In float64 the reference has them as well, and its sums over up to a
    thousand tiles are no longer exact in comparison: 64. The result is then rounded to its dtype: half an eps of
    itself, and at most the least subnormal number; twice that if `want` is rounded, too.
    """
    factor = cancels * (factor or (64 if real(dtype) == np.float64 else 16))
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    stored = got.dtype
    got = got.astype(np.float64)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.where(finite, 0, got), np.where(finite, 0, want))
    largest = np.abs(want[finite]).max(initial=0)
    bound = factor * eps(real(dtype)) * largest
    if stored != np.float64:
        storing = 0.51 * eps(stored) * np.abs(want) + float(ml_dtypes.finfo(stored).smallest_subnormal)
        bound = bound + (1 + rounded) * storing
    with np.errstate(invalid="ignore"):  # inf - inf
        wrong = finite & ~(np.abs(got - want) <= bound)
    assert not wrong.any(), f"{got[wrong][:3]} against {want[wrong][:3]}, {np.argwhere(wrong)[:3].tolist()}"
