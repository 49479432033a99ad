"""Compares our values with what optax 0.2.8 with jax 0.10.2 printed for the arrays of printed.py."""

from __future__ import annotations

import numpy as np
import pytest
from printed import (
    BITS,
    CLASS_WEIGHT,
    LABELS,
    LOG_P,
    REALS,
    SOFT,
    Row,
    X,
    Y,
    agree,
    ask_again,
    ask_optax,
    first_channel,
    generalized_dice_of_optax,
    last,
    same,
    two_classes,
)

import fastloss as fl

OPTAX = [
    Row(
        "softmax_cross_entropy(x, SOFT).mean()", X, 1.084754622, -0.1952450274, same(fl.CrossEntropyLoss(**last), SOFT)
    ),
    Row(
        "poly_loss_cross_entropy(x, SOFT).mean()",
        X,
        2.185580947,
        -0.3022272305,
        same(fl.PolyLoss(epsilon=2.0, **last), SOFT),
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


TOLERANCE = 1e-9  # of numbers printed with ten digits


@pytest.mark.parametrize("row", OPTAX, ids=lambda row: row.theirs)
def test_ours_is_what_optax_printed(row, backend):
    agree(row, TOLERANCE)


def test_a_masked_class(backend):
    """optax 0.2.8 prints nan for `softmax_cross_entropy(x, y)`, and 1.3132616875182228 for the safe one."""
    x, y = np.array([[0.0, 1.0, -np.inf]]), np.array([[1.0, 0, 0]])
    assert fl.cross_entropy(x, y) == pytest.approx(1.3132616875182228, rel=1e-15)


if __name__ == "__main__":
    ask_again(OPTAX, ask_optax, TOLERANCE)
