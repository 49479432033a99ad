"""The table that all tests use: every loss in its interesting configurations, and data for them.

A new loss needs a row in CASES here, and nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import fastloss as fl


@dataclass(frozen=True)
class Case:
    """A loss for C classes, made by `make(C, **options)`, and the kind of data that it is called with."""

    name: str
    make: Callable[..., fl.Loss]
    family: str  # "pixel" (all classes of a pixel), "element", "region", "distance" or "composed" (a sum or a multiple)
    target: str = "labels"  # or "dense" (a distribution), or "element" (any numbers in [0, 1])
    input: str = "logits"  # or "probabilities", or "log_probabilities"
    cancels: int = 1  # how many times larger the terms are than their sum; rounding errors grow by this factor
    image_weights: bool = False  # the weights are made from the image, so a pixel's value depends on the other pixels
    nan_if_absent: bool = False  # the value is nan if a class is absent

    def __str__(self) -> str:
        return self.name

    @property
    def merges(self) -> bool:
        """Whether the loss has partials: its weights, if any, are made image by image."""
        maker = self.make(2).weight_maker()
        return maker is None or maker.per_image

    @property
    def takes_one_channel(self) -> bool:
        """Whether the loss makes sense with a single channel: neither it nor a summand has a softmax."""
        leaves = [getattr(leaf, "loss", leaf) for _, leaf in self.make(1).summands()]  # `loss`: of a top-k loss
        softmax = any(getattr(leaf, "activation", None) == "softmax" for leaf in leaves)
        return not softmax and not (any(p.takes_binary for p in leaves) and any(p.exclusive for p in leaves))


def class_weight(C: int) -> list[float]:
    """Return one weight per class. With three classes or more, one of the weights is 0."""
    return [0.0 if C > 2 and c == C // 2 else 0.5 + c % 3 for c in range(C)]


def of(loss: type[fl.Loss], **fixed: Any) -> Callable[..., fl.Loss]:
    """Return `make` for this loss and these options. Options that are functions are called with C."""
    names = {f.name for f in dataclasses.fields(loss)}

    def make(C: int, **options: Any) -> fl.Loss:
        own = {name: value(C) if callable(value) else value for name, value in fixed.items()}
        return loss(**own | {name: value for name, value in options.items() if name in names})

    return make


def top_k(loss: type[fl.Loss], **fixed: Any) -> Callable[..., fl.Loss]:
    """Return `make` for a top-k loss. Options that are not its own are those of `loss`."""
    names = {f.name for f in dataclasses.fields(fl.TopKLoss)}
    own = {name: value for name, value in fixed.items() if name in names}
    inner = of(loss, **{name: value for name, value in fixed.items() if name not in names})
    return lambda C, **options: fl.TopKLoss(inner(C, **options), **own)


def gammas(C: int) -> list[float]:
    return [0.5 * (c % 5) for c in range(C)]


def foreground(C: int) -> range:
    """Return all classes except the first, or the only class."""
    return range(min(1, C - 1), C)


def last_class(C: int) -> list[int]:
    return [C - 1]


pixel = partial(Case, family="pixel")
element = partial(Case, family="element", target="element")
region = partial(Case, family="region")
distance = partial(Case, family="distance", image_weights=True)
composed = partial(Case, family="composed")

CASES = [
    pixel("ce", of(fl.CrossEntropyLoss)),
    pixel("ce-weight", of(fl.CrossEntropyLoss, class_weight=class_weight)),
    pixel("ce-smooth", of(fl.CrossEntropyLoss, label_smoothing=0.1)),
    pixel(
        "ce-weight-smooth-255",
        of(fl.CrossEntropyLoss, class_weight=class_weight, label_smoothing=0.3, ignore_index=255),
    ),
    pixel("ce-dense", of(fl.CrossEntropyLoss), target="dense"),
    pixel(
        "ce-dense-weight-smooth",
        of(fl.CrossEntropyLoss, class_weight=class_weight, label_smoothing=0.3),
        target="dense",
    ),
    element("bce", of(fl.BCEWithLogitsLoss)),
    element("bce-pos", of(fl.BCEWithLogitsLoss, pos_weight=2.5)),
    element("bce-pos-vector-smooth", of(fl.BCEWithLogitsLoss, pos_weight=class_weight, label_smoothing=0.2)),
    pixel("nll", of(fl.NLLLoss), input="log_probabilities"),
    pixel("nll-weight-255", of(fl.NLLLoss, class_weight=class_weight, ignore_index=255), input="log_probabilities"),
    pixel("nll-dense-weight", of(fl.NLLLoss, class_weight=class_weight), target="dense", input="log_probabilities"),
    pixel("cce-none", of(fl.CategoricalCrossEntropyLoss), input="probabilities"),
    pixel(
        "cce-none-weight-smooth",
        of(fl.CategoricalCrossEntropyLoss, class_weight=class_weight, label_smoothing=0.2),
        input="probabilities",
    ),
    pixel(
        "cce-none-dense",
        of(fl.CategoricalCrossEntropyLoss, class_weight=class_weight),
        target="dense",
        input="probabilities",
    ),
    pixel("focal", of(fl.FocalLoss)),
    pixel("focal-classes", of(fl.FocalLoss, gamma=gammas, alpha=class_weight)),
    pixel("focal-sigmoid-classes", of(fl.FocalLoss, gamma=gammas, alpha=class_weight, activation="sigmoid")),
    pixel("focal-none", of(fl.FocalLoss, gamma=1.5, activation=None), input="probabilities"),
    pixel("focal-dense", of(fl.FocalLoss, gamma=gammas, alpha=class_weight), target="dense"),
    pixel("focal-dense-sigmoid", of(fl.FocalLoss, activation="sigmoid"), target="dense"),
    pixel("focal-dense-none", of(fl.FocalLoss, gamma=0.5, activation=None), target="dense", input="probabilities"),
    pixel("poly", of(fl.PolyLoss)),
    pixel("poly-negative-255", of(fl.PolyLoss, epsilon=-0.75, ignore_index=255)),
    pixel("poly-dense", of(fl.PolyLoss, epsilon=2.0), target="dense"),
    pixel("top-k", top_k(fl.CrossEntropyLoss, k=0.3), image_weights=True),
    pixel("top-k-per-image", top_k(fl.FocalLoss, k=7, per_image=True), cancels=2, image_weights=True),
    pixel(
        "top-k-threshold",
        top_k(fl.CrossEntropyLoss, threshold=0.3, min_kept=5, per_image=True, ignore_index=255),
        image_weights=True,
    ),
    pixel(
        "top-k-dense", top_k(fl.JSDivLoss, k=0.3, activation="softmax"), target="dense", cancels=32, image_weights=True
    ),
    element("top-k-bce", top_k(fl.BCEWithLogitsLoss, k=0.3, per_image=True), image_weights=True),
    pixel("perceptron", of(fl.PerceptronLoss)),
    pixel("perceptron-dense-weight", of(fl.PerceptronLoss, class_weight=class_weight), target="dense"),
    element("kl", of(fl.KLDivLoss), input="log_probabilities"),
    element("kl-log", of(fl.KLDivLoss, log_target=True), input="log_probabilities"),
    element("bce-none", of(fl.BCELoss), input="probabilities"),
    element("bce-none-pos-vector", of(fl.BCELoss, pos_weight=class_weight), input="probabilities"),
    element("balanced", of(fl.BalancedBCELoss), image_weights=True),
    element("balanced-none", of(fl.BalancedBCELoss, activation=None), input="probabilities", image_weights=True),
    element("binary-focal", of(fl.BinaryFocalLoss)),
    element("binary-focal-none", of(fl.BinaryFocalLoss, gamma=0.5, alpha=None, activation=None), input="probabilities"),
    element("binary-kl-none", of(fl.BinaryKLDivLoss), input="probabilities"),
    element("binary-kl-sigmoid-alpha", of(fl.BinaryKLDivLoss, alpha=0.3, activation="sigmoid")),
    element("binary-kl-sigmoid", of(fl.BinaryKLDivLoss, activation="sigmoid")),
    pixel("js-none", of(fl.JSDivLoss), target="dense", input="probabilities", cancels=512),
    pixel("js-softmax-alpha", of(fl.JSDivLoss, alpha=0.8, activation="softmax"), target="dense", cancels=32),
    pixel("js-sigmoid-jeffreys", of(fl.JSDivLoss, alpha=1.0, activation="sigmoid"), target="dense", cancels=32),
    pixel("js-softmax-labels", of(fl.JSDivLoss, activation="softmax"), cancels=32),
    element("js-binary-none", of(fl.JSDivLoss, binary=True), input="probabilities", cancels=32),
    element("js-binary-sigmoid", of(fl.JSDivLoss, binary=True, alpha=1.0, activation="sigmoid"), cancels=32),
    element("soft-margin", of(fl.SoftMarginLoss)),
    pixel("multilabel", of(fl.MultiLabelSoftMarginLoss), target="dense"),
    pixel("multilabel-weight", of(fl.MultiLabelSoftMarginLoss, class_weight=class_weight), target="dense"),
    element("mse", of(fl.MSELoss)),
    element("l1", of(fl.L1Loss)),
    element("huber", of(fl.HuberLoss, delta=1.5)),
    element("smooth-l1", of(fl.SmoothL1Loss, beta=0.7)),
    element("smooth-l1-zero", of(fl.SmoothL1Loss, beta=0.0)),
    element("log-cosh", of(fl.LogCoshLoss)),
    element("pseudo-huber", of(fl.PseudoHuberLoss, delta=0.8)),
    region("dice", of(fl.DiceLoss)),
    region("dice-sigmoid", of(fl.DiceLoss, activation="sigmoid")),
    region("dice-none", of(fl.DiceLoss, activation=None), input="probabilities"),
    region("dice-dense", of(fl.DiceLoss), target="dense"),
    region("dice-squared", of(fl.DiceLoss, squared=True)),
    region("dice-squared-batch", of(fl.DiceLoss, squared=True, batch=True), target="dense"),
    region("dice-skip", of(fl.DiceLoss, absent="skip", class_weight=class_weight)),
    region("dice-zero", of(fl.DiceLoss, absent="zero", smooth=(0.0, 1.0))),
    region("dice-nan", of(fl.DiceLoss, absent="nan"), nan_if_absent=True),
    region("dice-unsmoothed-none", of(fl.DiceLoss, activation=None, smooth=0.0), target="dense", input="probabilities"),
    region("dice-foreground-255", of(fl.DiceLoss, classes=foreground, ignore_index=255)),
    region("jaccard", of(fl.JaccardLoss)),
    region("jaccard-sigmoid-batch", of(fl.JaccardLoss, activation="sigmoid", batch=True), target="dense"),
    region("tversky", of(fl.TverskyLoss, alpha=0.3, beta=0.7)),
    region(
        "tversky-none-skip-batch",
        of(fl.TverskyLoss, alpha=0.3, beta=0.9, activation=None, absent="skip", batch=True),
        input="probabilities",
    ),
    region("focal-tversky", of(fl.FocalTverskyLoss, alpha=0.3, beta=0.7)),
    region(
        "focal-tversky-by-class",
        of(
            fl.FocalTverskyLoss,
            gamma=lambda C: [0.5 + 0.5 * (c % 4) for c in range(C)],
            class_alpha=lambda C: class_weight(C)[::-1],
        ),
    ),
    region("focal-tversky-dense-batch", of(fl.FocalTverskyLoss, gamma=2.0, batch=True), target="dense"),
    region(
        "focal-tversky-none-skip",
        of(fl.FocalTverskyLoss, gamma=1.5, activation=None, absent="skip", class_weight=class_weight, smooth=1.0),
        input="probabilities",
    ),
    region("sensitivity-specificity", of(fl.SensitivitySpecificityLoss), cancels=32),
    region(
        "sensitivity-specificity-sigmoid-batch",
        of(fl.SensitivitySpecificityLoss, b=0.9, activation="sigmoid", batch=True, smooth=1.0),
        target="dense",
        cancels=32,
    ),
    region(
        "sensitivity-specificity-zero-255",
        of(fl.SensitivitySpecificityLoss, b=0.2, absent="zero", ignore_index=255),
        cancels=32,
    ),
    region("log-dice", of(fl.LogDiceLoss)),
    region("log-dice-zero-batch", of(fl.LogDiceLoss, absent="zero", smooth=0.0, batch=True), target="dense"),
    region("log-cosh-dice-sigmoid", of(fl.LogCoshDiceLoss, activation="sigmoid", squared=True)),
    region("mcc", of(fl.MCCLoss), cancels=32),
    region(
        "mcc-sigmoid-batch", of(fl.MCCLoss, activation="sigmoid", batch=True, smooth=1.0), target="dense", cancels=32
    ),
    region("mcc-none-skip", of(fl.MCCLoss, activation=None, absent="skip"), input="probabilities", cancels=32),
    region("lovasz-softmax", of(fl.LovaszSoftmaxLoss), cancels=32, image_weights=True),
    region(
        "lovasz-softmax-per-image-255",
        of(fl.LovaszSoftmaxLoss, per_image=True, classes="all", ignore_index=255),
        cancels=32,
        image_weights=True,
    ),
    region(
        "lovasz-softmax-none-foreground",
        of(fl.LovaszSoftmaxLoss, per_image=True, classes=foreground, activation=None),
        input="probabilities",
        cancels=32,
        image_weights=True,
    ),
    region("lovasz-sigmoid", of(fl.LovaszSoftmaxLoss, activation="sigmoid"), cancels=32, image_weights=True),
    region("lovasz-hinge", of(fl.LovaszHingeLoss), cancels=32, image_weights=True),
    region("lovasz-hinge-per-image", of(fl.LovaszHingeLoss, per_image=True), cancels=32, image_weights=True),
    region("generalized-dice", of(fl.GeneralizedDiceLoss)),
    region(
        "generalized-dice-simple-skip",
        of(fl.GeneralizedDiceLoss, weighting="simple", absent="skip", classes=foreground, class_weight=class_weight),
    ),
    region(
        "generalized-dice-none-uniform",
        of(fl.GeneralizedDiceLoss, weighting="uniform", activation=None, smooth=0.0),
        target="dense",
        input="probabilities",
    ),
    region(
        "generalized-dice-sigmoid-batch", of(fl.GeneralizedDiceLoss, activation="sigmoid", batch=True), target="dense"
    ),
    distance("boundary", of(fl.BoundaryLoss)),
    distance("boundary-sigmoid-classes", of(fl.BoundaryLoss, activation="sigmoid", classes=last_class)),
    distance(
        "boundary-none-dense", of(fl.BoundaryLoss, activation=None, spacing=0.5), target="dense", input="probabilities"
    ),
    distance("hausdorff", of(fl.HausdorffDTLoss)),
    distance(
        "hausdorff-none-dense",
        of(fl.HausdorffDTLoss, activation=None, alpha=1.0),
        target="dense",
        input="probabilities",
    ),
    distance(
        "hausdorff-sigmoid-255",
        of(fl.HausdorffDTLoss, activation="sigmoid", alpha=0.5, classes=range, ignore_index=255),
    ),
    composed(
        "dice+boundary",
        lambda C, **k: of(fl.DiceLoss)(C, **k) + 0.01 * of(fl.BoundaryLoss, classes=last_class)(C, **k),
        image_weights=True,
    ),
    composed(
        "ce+lovasz",
        lambda C, **k: fl.CrossEntropyLoss(**k) + 0.5 * of(fl.LovaszSoftmaxLoss, per_image=True)(C, **k),
        cancels=32,
        image_weights=True,
    ),
    composed("unified-focal", of(fl.AsymmetricUnifiedFocalLoss)),
    composed(
        "unified-focal-dense-sigmoid",
        of(fl.AsymmetricUnifiedFocalLoss, weight=0.3, gamma=0.2, delta=0.7, activation="sigmoid"),
        target="dense",
    ),
    composed(
        "dice+ce",
        lambda C, **k: (
            0.5 * of(fl.DiceLoss, ignore_index=255)(C, **k) + 0.25 * of(fl.CrossEntropyLoss, ignore_index=255)(C, **k)
        ),
    ),
    composed(
        "jaccard+bce",
        lambda C, **k: fl.JaccardLoss(activation="sigmoid", **k) + 2 * fl.BCEWithLogitsLoss(pos_weight=1.5, **k),
        target="dense",
    ),
    composed(
        "generalized-dice+focal-tversky+ce",
        lambda C, **k: fl.GeneralizedDiceLoss(**k) + 0.5 * fl.FocalTverskyLoss(**k) + fl.CrossEntropyLoss(**k),
    ),
    composed(
        "ce+ce",
        lambda C, **k: fl.CrossEntropyLoss(**k) + fl.CrossEntropyLoss(label_smoothing=0.5, **k) * 3,
    ),
    composed(
        "focal+perceptron+js",
        lambda C, **k: (
            fl.FocalLoss(gamma=1.0, **k) + 0.5 * fl.PerceptronLoss(**k) + of(fl.JSDivLoss, activation="softmax")(C, **k)
        ),
    ),
    composed(
        "balanced+mse+kl",
        lambda C, **k: 2 * of(fl.BalancedBCELoss)(C, **k) + of(fl.MSELoss)(C, **k) + of(fl.KLDivLoss)(C, **k),
        target="element",
        image_weights=True,
    ),
    composed("batchmean+", lambda C, **k: 2 * fl.KLDivLoss(reduction="batchmean"), target="element"),
    composed(
        "bce+bce",
        lambda C, **k: fl.BCEWithLogitsLoss(**k) + fl.BCEWithLogitsLoss(pos_weight=class_weight(C), **k),
        target="element",
    ),
]
BY_NAME = {case.name: case for case in CASES}
MERGING_CASES = [c for c in CASES if c.merges]
SINGLE_CASES = [c for c in CASES if c.family != "composed"]  # the losses that have reduction="none"
SUM_CASES = [c for c in SINGLE_CASES if c.family != "region"]  # the losses with one value per pixel or element

# Shapes (N, C, *S), where S has 0 to 3 dimensions. C gives tiles of every width (up to 128 classes, up to 256, more),
# and class blocks (more than 512 classes).
SHAPES = [(3, 5), (2, 5, 300), (2, 2, 33, 21), (2, 3, 5, 6, 7), (2, 1, 40), (1, 130, 37), (2, 300, 70), (1, 600, 65)]
SHAPE = (2, 5, 17, 19)  # more pixels than a tile of 256, and not a multiple of 16
EMPTY_SHAPES = [(0, 5, 4, 4), (2, 5, 0, 3), (0, 2), (0, 1, 0)]


def images(case: Case, loss: fl.Loss, shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> Any:
    """Return (input, target, pixel_weight) for `shape` (N, C, *S). Values vary, and some pixels do not count."""
    rng = np.random.default_rng(seed)
    pixel_shape = shape[:1] + shape[2:]
    x = 3 * rng.standard_normal(shape)
    if case.input == "probabilities":  # far enough from 0 and 1 that the slope of a log does not overflow float16
        x = 0.02 + 0.95 * np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    if case.input == "log_probabilities":
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
    """Return labels for an input of `shape`. The first sample lacks the last class; some labels are ignore_index."""
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
