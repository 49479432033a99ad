"""Keras and optax, which the suite does not install: what they printed for the small arrays below, next to our values.

Each entry of the tables is a row of docs/peers.md. It holds the peer's expression, the value that the peer printed, the
derivative of that value along DIRECTION, and our call. To ask another version, in an environment that has it and
fastloss (Keras with torch, optax with jax):

    python tests/test_peers_printed.py keras
    python tests/test_peers_printed.py optax

The numbers are from Keras 3.15.1 with torch 2.13.0, and from optax 0.2.8 with jax 0.10.2. Keras 3.5.0, 3.8.0, 3.10.0
and 3.12.4 print the same numbers. Two arguments came after 3.5: Tversky's `axis` with 3.8, and the reduction
"mean_with_sample_weight" with 3.7.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import fastloss as fl

# Logits of two images of three pixels and three classes, which are the last axis; the second image lacks class 2.
X = np.array(
    [
        [[1.5, -0.5, 0.25], [-1.0, 2.0, 0.5], [0.75, 0.0, -1.25]],
        [[0.5, 1.0, -2.0], [-0.25, 0.5, 1.75], [2.5, -1.5, 0.0]],
    ]
)
LABELS = np.array([[0, 1, 2], [1, 1, 0]])
IGNORED = np.array([[0, 255, 2], [1, 1, 255]])
Y = np.eye(3)[LABELS]
P = np.exp(X) / np.exp(X).sum(axis=-1, keepdims=True)
LOG_P = np.log(P)
SOFT = P[::-1, ::-1]  # a soft target that has nothing to do with X
BITS = np.array([[[1.0, 0, 0], [0, 1, 1], [0, 0, 1]], [[0, 1, 0], [1, 1, 0], [0, 0, 0]]])
SIGNS = 2 * BITS - 1
Q = 1 / (1 + np.exp(-X))
REALS = 1.5 * X[::-1, ::-1] - 0.25  # differences on both sides of Huber's kinks
WEIGHT = np.array([[1.0, 0.5, 0.0], [2.0, 0.25, 1.0]])
CLASS_WEIGHT = [0.5, 2.0, 1.25]
# It keeps the sum over classes, so that a peer that divides probabilities by their sum has the same derivative.
DIRECTION = np.cos(np.arange(18.0)).reshape(X.shape)
DIRECTION -= DIRECTION.mean(axis=-1, keepdims=True)

Ours = Callable[[Any], tuple[float, Any]]


class Row(NamedTuple):
    theirs: str  # the peer's expression of x, and of the arrays above
    at: np.ndarray  # the x at which it was asked
    value: float
    slope: float
    ours: Ours  # value and gradient


def same(loss: fl.Loss, target: Any, **arguments: Any) -> Ours:
    return lambda x: loss.value_and_grad(x, target, **arguments)


def two_classes(x: Any, margin: float) -> tuple[float, Any]:
    """A score is the second of two logits, of which the first is 0."""
    hit = (SIGNS > 0).astype(int)
    logits = np.stack([0 * x, x], axis=-1) + margin * (1 - np.eye(2)[hit])
    value, gradient = fl.PerceptronLoss(axis=-1).value_and_grad(logits, hit)
    return value, gradient[..., 1]


def first_channel(x: Any) -> tuple[float, Any]:
    loss = fl.DiceLoss(smooth=2, activation="sigmoid", axis=-1)
    value, gradient = loss.value_and_grad(x[..., :1], BITS[..., :1])
    return value, gradient * [1, 0, 0]


def with_a_class_of_score_1(x: Any) -> tuple[float, Any]:
    """Keras' hinge starts its largest wrong score at 0, to which it adds the margin."""
    scores = np.concatenate([x + 1 - Y, np.ones((2, 3, 1))], axis=-1)
    value, gradient = fl.PerceptronLoss(axis=-1).value_and_grad(scores, LABELS)
    return value, gradient[..., :3]


def of_probabilities(p: Any) -> tuple[float, Any]:
    value, gradient = (3 * fl.KLDivLoss()).value_and_grad(np.log(p), SOFT)
    return value, gradient / p


def generalized_dice_of_optax(x: Any) -> tuple[float, Any]:
    """A mean of the classes' Dice losses, by weights from the pixels of the whole batch."""
    w = 1 / (Y.sum(axis=(0, 1)) ** 2 + 1e-7)
    return fl.DiceLoss(smooth=0.2, class_weight=w, axis=-1).value_and_grad(x, LABELS)


def of_one_channel(loss: fl.Loss) -> Ours:
    def ours(p: Any) -> tuple[float, Any]:
        value, gradient = loss.value_and_grad(p.reshape(1, 1, -1), Y.reshape(1, 1, -1))
        return value, gradient.reshape(p.shape)

    return ours


last = {"axis": -1}
probabilities = {"axis": -1, "activation": None}
keras_region = {"axis": -1, "activation": None, "smooth": (0, 1e-7)}

KERAS = [
    # Regions. Their order is target, prediction.
    Row(
        "Dice()(Y, x)",
        P,
        0.452149671,
        0.05299300646,
        same(fl.GeneralizedDiceLoss(weighting="uniform", batch=True, **keras_region), Y),
    ),
    Row("Dice(axis=1)(Y, x)", P, 0.538294971, 0.1089133189, same(fl.DiceLoss(**keras_region), Y)),
    Row("Dice(axis=1)(SOFT, x)", P, 0.6011256576, -0.2097793887, same(fl.DiceLoss(**keras_region), SOFT)),
    Row(
        "Dice(axis=1, reduction='sum')(Y, x)",
        P,
        3.229769669,
        0.6534798941,
        same(fl.DiceLoss(reduction="sum", **keras_region), Y),
    ),
    Row("Dice(axis=(0, 1))(Y, x)", P, 0.536010623, 0.1550031513, same(fl.DiceLoss(batch=True, **keras_region), Y)),
    Row(
        "Dice(axis=(1, 2))(Y, x)",
        P,
        0.4521496892,
        0.05299300601,
        same(fl.GeneralizedDiceLoss(weighting="uniform", **keras_region), Y),
    ),
    Row(
        "Tversky(alpha=0.25, beta=1)(Y, x)",
        P,
        0.5077880427,
        0.05346985917,
        of_one_channel(fl.TverskyLoss(alpha=1, beta=0.25, **keras_region | {"axis": 1})),
    ),
    Row(
        "Tversky(alpha=0.25, beta=1, axis=1)(Y, x)",
        P,
        0.5630774498,
        0.1062348542,
        same(fl.TverskyLoss(alpha=1, beta=0.25, **keras_region), Y),
    ),
    Row(
        "Tversky(alpha=0.25, beta=1, axis=1)(SOFT, x)",
        P,
        0.6436926723,
        -0.2342273292,
        same(fl.TverskyLoss(alpha=1, beta=0.25, **keras_region), SOFT),
    ),
    Row(
        "Tversky(alpha=0.25, beta=1, axis=(0, 1))(Y, x)",
        P,
        0.5657224059,
        0.1201840782,
        same(fl.TverskyLoss(alpha=1, beta=0.25, batch=True, **keras_region), Y),
    ),
    # Classes
    Row(
        "CategoricalCrossentropy()(SOFT, x)",
        P,
        1.084754586,
        -0.6571939154,
        same(fl.CategoricalCrossEntropyLoss(**last), SOFT),
    ),
    Row(
        "CategoricalCrossentropy(label_smoothing=0.1)(Y, x)",
        P,
        0.9561597705,
        1.018065907,
        same(fl.CategoricalCrossEntropyLoss(label_smoothing=0.1, **last), Y),
    ),
    Row(
        "CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(Y, x)",
        X,
        0.9561597705,
        0.03765652942,
        same(fl.CrossEntropyLoss(label_smoothing=0.1, **last), Y),
    ),
    Row(
        "SparseCategoricalCrossentropy(from_logits=True)(LABELS, x)",
        X,
        0.8783819675,
        0.04295583027,
        same(fl.CrossEntropyLoss(**last), LABELS),
    ),
    Row(
        "SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)(IGNORED, x)",
        X,
        1.233326554,
        0.01843537616,
        same(fl.CrossEntropyLoss(ignore_index=255, **last), IGNORED),
    ),
    Row(
        "CategoricalCrossentropy(from_logits=True)(Y, x, sample_weight=WEIGHT)",
        X,
        0.3296605945,
        -0.05996395079,
        same(1 / 6 * fl.CrossEntropyLoss(reduction="sum", **last), LABELS, pixel_weight=WEIGHT),
    ),
    Row(
        "CategoricalCrossentropy(from_logits=True, reduction='mean_with_sample_weight')(Y, x, sample_weight=WEIGHT)",
        X,
        0.4164133966,
        -0.07574393615,
        same(fl.CrossEntropyLoss(**last), LABELS, pixel_weight=WEIGHT),
    ),
    Row(
        "CategoricalFocalCrossentropy(alpha=0.75, gamma=1.5)(Y, x)",
        P,
        0.440169245,
        0.9652766524,
        same(fl.FocalLoss(alpha=0.75, gamma=1.5, **probabilities), Y),
    ),
    Row(
        "CategoricalFocalCrossentropy(alpha=CLASS_WEIGHT, from_logits=True)(SOFT, x)",
        X,
        0.9453095794,
        -0.2940655464,
        same(fl.FocalLoss(alpha=CLASS_WEIGHT, **last), SOFT),
    ),
    Row("KLDivergence()(SOFT, x)", P, 0.3847354949, -0.6571939154, of_probabilities),
    # Of probabilities that do not sum to 1.
    Row(
        "CategoricalCrossentropy()(Y, 1.5 * x)",
        P,
        0.8783819675,
        1.076085873,
        same(fl.CategoricalCrossEntropyLoss(**last), Y),
    ),
    Row("CategoricalHinge()(Y, x)", X - 2, 1.958333373, 0.05299300848, with_a_class_of_score_1),
    # Elements
    Row("BinaryCrossentropy()(BITS, x)", Q, 0.7692000866, -0.2293441016, same(fl.BCELoss(), BITS)),
    Row(
        "BinaryCrossentropy(from_logits=True, label_smoothing=0.1)(SOFT, x)",
        X,
        0.7276396751,
        -0.04957281372,
        same(fl.BCEWithLogitsLoss(label_smoothing=0.1), SOFT),
    ),
    Row(
        "BinaryCrossentropy(from_logits=True, reduction='sum')(BITS, x)",
        X,
        4.615200371,
        -0.2070809005,
        same(1 / 3 * fl.BCEWithLogitsLoss(reduction="sum"), BITS),
    ),
    Row(
        "BinaryFocalCrossentropy(gamma=1.5)(BITS, x)",
        Q,
        0.4212638438,
        -0.1874170737,
        same(fl.BinaryFocalLoss(gamma=1.5, alpha=None, activation=None), BITS),
    ),
    Row(
        "BinaryFocalCrossentropy(alpha=0.75, apply_class_balancing=True, from_logits=True)(BITS, x)",
        X,
        0.1277991086,
        0.006042859421,
        same(fl.BinaryFocalLoss(alpha=0.75), BITS),
    ),
    Row("Hinge()(SIGNS, x)", X + 0.1, 1.013888955, -0.08795301825, lambda x: two_classes(x, 1)),
    Row("Huber(delta=0.5)(REALS, x)", X, 0.4305555522, -0.07736806471, same(fl.HuberLoss(delta=0.5), REALS)),
    Row("LogCosh()(REALS, x)", X, 0.6061344743, -0.1507659033, same(fl.LogCoshLoss(), REALS)),
    Row("MeanSquaredError()(REALS, x)", X, 1.716145873, -0.5895724544, same(fl.MSELoss(), REALS)),
    Row("MeanAbsoluteError()(REALS, x)", X, 1.090277791, -0.1223398682, same(fl.L1Loss(), REALS)),
]

OPTAX = [
    Row(
        "softmax_cross_entropy(x, SOFT).mean()", X, 1.084754622, -0.1952450274, same(fl.CrossEntropyLoss(**last), SOFT)
    ),
    Row(
        "softmax_cross_entropy(x, smooth_labels(Y, 0.1)).mean()",
        X,
        0.9561597751,
        0.0376565283,
        same(fl.CrossEntropyLoss(label_smoothing=0.1, **last), LABELS),
    ),
    Row(
        "softmax_cross_entropy_with_integer_labels(x, LABELS).mean()",
        X,
        0.8783819974,
        0.04295582899,
        same(fl.CrossEntropyLoss(**last), LABELS),
    ),
    Row(
        "sigmoid_binary_cross_entropy(x, SOFT).mean()",
        X,
        0.7129909338,
        -0.05574640833,
        same(fl.BCEWithLogitsLoss(), SOFT),
    ),
    Row(
        "sigmoid_focal_loss(x, BITS, gamma=1.5).mean()",
        X,
        0.4212638309,
        -0.01961006217,
        same(fl.BinaryFocalLoss(gamma=1.5, alpha=None), BITS),
    ),
    Row(
        "sigmoid_focal_loss(x, BITS, alpha=0.25).mean()",
        X,
        0.2350860319,
        -0.02195064928,
        same(fl.BinaryFocalLoss(), BITS),
    ),
    Row("kl_divergence(x, SOFT).mean()", LOG_P, 0.3847355133, -0.1852078495, same(3 * fl.KLDivLoss(), SOFT)),
    Row(
        "kl_divergence_with_log_targets(x, np.log(SOFT)).mean()",
        LOG_P,
        0.3847355133,
        -0.1852078495,
        same(3 * fl.KLDivLoss(log_target=True), np.log(SOFT)),
    ),
    Row("dice_loss(x, Y).mean()", X, 0.2338170542, -0.008246883081, same(fl.DiceLoss(smooth=2, **last), LABELS)),
    Row(
        "dice_loss(x, SOFT, smooth=0.1, alpha=0.3, beta=0.8).mean()",
        X,
        0.5571125797,
        -0.0416082632,
        same(fl.TverskyLoss(alpha=0.3, beta=0.8, smooth=0.1, **last), SOFT),
    ),
    Row(
        "dice_loss(x, Y, ignore_background=True).mean()",
        X,
        0.264248196,
        -0.002551519688,
        same(fl.DiceLoss(smooth=2, classes=[1, 2], **last), LABELS),
    ),
    Row(
        "dice_loss(x, Y, axis=(0, 1)).mean()",
        X,
        0.3252422102,
        -0.006918066899,
        same(fl.DiceLoss(smooth=2, batch=True, **last), LABELS),
    ),
    Row(
        "dice_loss(x, Y, class_weights=np.array(CLASS_WEIGHT)).mean()",
        X,
        0.2985037078,
        -0.00572123849,
        same(1.25 * fl.DiceLoss(smooth=2, class_weight=CLASS_WEIGHT, **last), LABELS),
    ),
    Row(
        "multiclass_generalized_dice_loss(x, Y, smooth=0.1)", X, 0.6611183419, 0.01274402771, generalized_dice_of_optax
    ),
    Row("binary_dice_loss(x[..., :1], BITS[..., :1]).mean()", X, 0.3301496096, -0.02532571535, first_channel),
    Row(
        "multiclass_perceptron_loss(x, LABELS).mean()",
        X,
        0.5416666667,
        0.05582679287,
        same(fl.PerceptronLoss(**last), LABELS),
    ),
    Row(
        "multiclass_hinge_loss(x, LABELS).mean()",
        X,
        0.9583333333,
        0.04381700407,
        lambda x: fl.PerceptronLoss(**last).value_and_grad(x + 1 - Y, LABELS),
    ),
    Row("perceptron_loss(x, SIGNS).mean()", X + 0.1, 0.4305555556, -0.01094348086, lambda x: two_classes(x, 0)),
    Row("hinge_loss(x, SIGNS).mean()", X + 0.1, 1.013888889, -0.08795301759, lambda x: two_classes(x, 1)),
    Row("squared_error(x, REALS).mean()", X, 1.716145833, -0.58957245, same(fl.MSELoss(), REALS)),
    Row("l2_loss(x, REALS).mean()", X, 0.8580729167, -0.294786225, same(0.5 * fl.MSELoss(), REALS)),
    Row(
        "huber_loss(x, REALS, delta=0.5).mean()", X, 0.4305555556, -0.07736806414, same(fl.HuberLoss(delta=0.5), REALS)
    ),
    Row("log_cosh(x, REALS).mean()", X, 0.6061344749, -0.1507659022, same(fl.LogCoshLoss(), REALS)),
]

TABLES = {"keras": KERAS, "optax": OPTAX}
# Keras 3.15 divides a sum by a float32, whatever the dtype: a few of its eps. optax's numbers have ten digits.
TOLERANCE = {"keras": 5e-7, "optax": 1e-9}


@pytest.mark.parametrize(
    ("peer", "row"), [(k, r) for k, rows in TABLES.items() for r in rows], ids=lambda v: getattr(v, "theirs", v)
)
def test_ours_is_what_the_peer_printed(peer, row, backend):
    value, gradient = row.ours(row.at)
    assert value == pytest.approx(row.value, rel=TOLERANCE[peer])
    # A sum of 18 terms of either sign, of which the largest are about 1.
    assert (gradient * DIRECTION).sum() == pytest.approx(row.slope, rel=TOLERANCE[peer], abs=TOLERANCE[peer])


# ---- where they differ


def test_alpha_of_keras_tversky_weighs_false_negatives(backend):
    """y = (1, 1, 0, 0), p = (1/2, 1/4, 1/8, 0): TP = 3/4, FP = 1/8, FN = 5/4.

    `Tversky(alpha=0.25, beta=1.0)(y, p)` is 0.36842113733291626 in float32, by Keras 3.4.1, 3.5.0, 3.8.0, 3.10.0,
    3.12.4, 3.13.2, 3.14.1, 3.15.0 and 3.15.1. Its docstring says that alpha weighs false positives."""
    p, y = np.array([[[0.5, 0.25, 0.125, 0]]]), np.array([[[1.0, 1, 0, 0]]])
    printed = pytest.approx(0.36842113733291626, rel=1e-6)  # float32
    assert printed == 1 - 0.75 / (0.75 + 0.25 * 1.25 + 1.0 * 0.125)
    options = {"activation": None, "smooth": (0, 1e-7)}
    assert fl.tversky_loss(p, y, alpha=1.0, beta=0.25, **options) == printed
    ours = fl.tversky_loss(p, y, alpha=0.25, beta=1.0, **options)
    assert ours == pytest.approx(1 - 0.75 / (0.75 + 0.25 * 0.125 + 1.0 * 1.25), rel=1e-6)


def test_keras_clips_probabilities(backend):
    """Keras 3.15.1 prints 16.118095... for a label of probability 0, `CategoricalCrossentropy()(y, p)` and
    `BinaryCrossentropy()(y, p)`: -log 1e-7."""
    assert -np.log(1e-7) == pytest.approx(16.11809539794922, rel=1e-7)
    assert fl.categorical_cross_entropy([[0.0, 1.0, 0.0]], [0]) == 100
    assert fl.binary_cross_entropy([0.0], [1.0]) == 100


def test_a_masked_class(backend):
    """optax 0.2.8 prints nan for `softmax_cross_entropy(x, y)`, and 1.3132616875182228 for the safe one."""
    x, y = np.array([[0.0, 1.0, -np.inf]]), np.array([[1.0, 0, 0]])
    assert fl.cross_entropy(x, y) == pytest.approx(1.3132616875182228, rel=1e-15)


# ---- asking the peers, by hand


def ask_keras(theirs: str, at: np.ndarray) -> tuple[float, float]:
    import functools

    import keras
    import torch

    losses = {k: functools.partial(v, dtype="float64") for k, v in vars(keras.losses).items() if isinstance(v, type)}
    x = torch.tensor(at, requires_grad=True)
    value = eval(theirs, globals() | losses | {"x": x})
    value.backward()
    return value.item(), float((x.grad.numpy() * DIRECTION).sum())


def ask_optax(theirs: str, at: np.ndarray) -> tuple[float, float]:
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    value, gradient = jax.value_and_grad(lambda x: eval(theirs, globals() | vars(optax.losses) | {"x": x}))(at)
    return float(value), float((np.asarray(gradient) * DIRECTION).sum())


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "torch"
    [name] = sys.argv[1:]
    ask = {"keras": ask_keras, "optax": ask_optax}[name]
    for row in TABLES[name]:
        try:
            value, slope = ask(row.theirs, row.at)
        except (TypeError, ValueError) as error:  # an argument that this version lacks
            print(row.theirs, error)
            continue
        close = np.allclose([value, slope], [row.value, row.slope], rtol=TOLERANCE[name], atol=TOLERANCE[name])
        print(f"{value:.10g}, {slope:.10g}", row.theirs, "" if close else "DIFFERS")
