"""Compares our values with what Keras 3.15.1 with torch 2.13.0 printed for the arrays of printed.py.

Keras 3.5.0, 3.8.0, 3.10.0 and 3.12.4 print the same numbers. Two arguments are newer than 3.5: Tversky's `axis` came
with 3.8, and the reduction "mean_with_sample_weight" with 3.7.
"""

from __future__ import annotations

import numpy as np
import pytest
from printed import (
    BITS,
    CLASS_WEIGHT,
    IGNORED,
    LABELS,
    REALS,
    SOFT,
    WEIGHT,
    P,
    Q,
    Row,
    X,
    Y,
    agree,
    ask_again,
    ask_keras,
    keras_region,
    last,
    of_one_channel,
    of_probabilities,
    probabilities,
    same,
    two_classes,
    with_a_class_of_score_1,
)

import fastloss as fl

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


# Keras 3.15 divides a sum by a float32, whatever the dtype: a few of its eps.
TOLERANCE = 5e-7


@pytest.mark.parametrize("row", KERAS, ids=lambda row: row.theirs)
def test_ours_is_what_keras_printed(row, backend):
    agree(row, TOLERANCE)


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


if __name__ == "__main__":
    ask_again(KERAS, ask_keras, TOLERANCE)
