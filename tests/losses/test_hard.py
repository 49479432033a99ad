"""Tests value and gradient of losses of one element on hard inputs.

REFERENCES has each loss's formula in mpmath, its derivative, and grids of inputs up to the limits of float32 and
float64. test_hard_pixels.py tests losses over a class axis, test_hard_region.py tests region losses, and
test_by_hand.py has values worked out by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
import pytest
from formulas import (
    POWER,
    bce,
    bernoulli,
    check,
    focal,
    given,
    half_js,
    half_kl,
    huber,
    kl,
    kl_log,
    log_cosh,
    of_logit,
    pseudo_huber,
    regression,
    soft_margin,
)

import fastloss as fl

INF, NAN = np.inf, np.nan
SUM = {"reduction": "sum"}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True)
def precision():
    """1 - p of the smallest p has 1080 bits."""
    with mp.workprec(1200):
        yield


LOGITS = [0.0, 1.0, -1.0, 1e-30, 17.5, -17.5, 40.0, -40.0, 86.0, -86.0, 1e4, -1e4, 3e38, -3e38, INF, -INF]
CHANCES = [0.0, 1.0, 0.5, 0.25, 1e-40, 1e-38, 1e-20, 1e-10, 1e-7, 1 - 2.0**-24, 1 - 2.0**-20]
LOG_CHANCES = [0.0, -1e-30, -1.0, -88.0, -1e4, -3e38, -INF]
DISTANCES = [0.0, 1e-40, 1e-30, -1e-10, 1e-4, -0.25, 0.5, -1.0, 1.5, 20.0, -1e4, 1e18, 1e30, -1e30, 3e38, INF, -INF]
HARD = [0.0, 1.0]
SOFT = [0.0, 1.0, 0.5, 1e-40, 1e-10]


class Reference(NamedTuple):
    loss: fl.Loss
    formula: Callable[..., Any]
    inputs: list[float]
    targets: list[float]
    power: bool = False  # it raises to a power of gamma
    value_terms: float = 0.0  # the size of what cancels in the value,
    slope_terms: float = 0.0  # and in the slope


REFERENCES = {
    "bce": Reference(fl.BCELoss(**SUM), bce(given), CHANCES, SOFT),
    "bce, pos_weight": Reference(fl.BCELoss(pos_weight=2.5, **SUM), bce(given, 2.5), CHANCES, SOFT),
    "bce, pos_weight 0": Reference(fl.BCELoss(pos_weight=0.0, **SUM), bce(given, 0), CHANCES, SOFT),
    "bce of logits": Reference(fl.BCEWithLogitsLoss(**SUM), bce(of_logit), LOGITS, SOFT, slope_terms=1),
    "bce of logits, pos_weight": Reference(
        fl.BCEWithLogitsLoss(pos_weight=2.5, **SUM), bce(of_logit, 2.5), LOGITS, SOFT, slope_terms=1
    ),
    "bce of logits, smoothed": Reference(
        fl.BCEWithLogitsLoss(label_smoothing=0.25, **SUM),
        bce(of_logit, eps=0.25),
        LOGITS,
        SOFT,
        slope_terms=1,
    ),
    "bce of logits, all smooth": Reference(
        fl.BCEWithLogitsLoss(label_smoothing=1, **SUM), bce(of_logit, eps=1), LOGITS, HARD, slope_terms=1
    ),
    **{
        f"binary focal of {name}, {g}": Reference(
            fl.BinaryFocalLoss(gamma=g, alpha=None, activation=activation, **SUM),
            focal(chance, g),
            inputs,
            HARD,
            power=True,
        )
        for name, activation, chance, inputs in (
            ("logits", "sigmoid", of_logit, LOGITS),
            ("probabilities", None, given, CHANCES),
        )
        for g in (0, 0.01, 0.5, 1, 2, 5)
    },
    "binary focal, alpha 0": Reference(
        fl.BinaryFocalLoss(alpha=0, **SUM), focal(of_logit, 2, 0, 1), LOGITS, HARD, power=True
    ),
    "binary focal, alpha 1": Reference(
        fl.BinaryFocalLoss(alpha=1, **SUM), focal(of_logit, 2, 1, 0), LOGITS, HARD, power=True
    ),
    **{
        f"{name} of {kind}, {a}": Reference(
            make(alpha=a, activation=activation, **SUM),
            bernoulli(half, chance, a),
            inputs,
            [0.0, 1.0, 0.5, 1e-36, 1e-10],  # a mixture of subnormal numbers has few digits
            value_terms=1,
            slope_terms=1,
        )
        for name, make, half in (
            ("bernoulli kl", fl.BinaryKLDivLoss, half_kl),
            ("bernoulli js", lambda **k: fl.JSDivLoss(binary=True, **k), half_js),
        )
        for kind, activation, chance, inputs in (
            ("logits", "sigmoid", of_logit, LOGITS),
            ("probabilities", None, given, CHANCES),
        )
        for a in (0, 0.25, 0.5, 1)
    },
    "kl": Reference(fl.KLDivLoss(**SUM), kl, LOG_CHANCES, SOFT),
    "kl of logs": Reference(fl.KLDivLoss(log_target=True, **SUM), kl_log, LOG_CHANCES, [0.0, -1.0, -80.0, -INF]),
    "soft margin": Reference(fl.SoftMarginLoss(**SUM), soft_margin, LOGITS, [-1.0, 1.0]),
    "mse": Reference(fl.MSELoss(**SUM), regression(lambda d: d * d, lambda d: 2 * d), DISTANCES, [0.0]),
    "l1": Reference(fl.L1Loss(**SUM), regression(abs, mp.sign), DISTANCES, [0.0, 1.0]),
    "huber": Reference(fl.HuberLoss(delta=1.5, **SUM), huber(1.5), DISTANCES, [0.0]),
    "huber of a small delta": Reference(fl.HuberLoss(delta=2.0**-60, **SUM), huber(2.0**-60), DISTANCES, [0.0]),
    "smooth l1": Reference(fl.SmoothL1Loss(beta=0.5, **SUM), huber(0.5, 2), DISTANCES, [0.0]),
    "smooth l1 of a small beta": Reference(
        fl.SmoothL1Loss(beta=2.0**-99, **SUM), huber(2.0**-99, 2.0**99), DISTANCES, [0.0]
    ),
    "smooth l1 of beta 0": Reference(fl.SmoothL1Loss(beta=0, **SUM), regression(abs, mp.sign), DISTANCES, [0.0]),
    "log cosh": Reference(
        fl.LogCoshLoss(**SUM), regression(log_cosh, lambda d: 2 * of_logit(2 * d)[0] - 1), DISTANCES, [0.0]
    ),
    "pseudo-huber": Reference(fl.PseudoHuberLoss(**SUM), pseudo_huber(1), DISTANCES, [0.0]),
    "pseudo-huber of a small delta": Reference(
        fl.PseudoHuberLoss(delta=2.0**-20, **SUM),
        pseudo_huber(2.0**-20),
        DISTANCES,
        [0.0],
    ),
    "pseudo-huber of a large delta": Reference(
        fl.PseudoHuberLoss(delta=2.0**20, **SUM),
        pseudo_huber(2.0**20),
        DISTANCES,
        [0.0],
    ),
}


@DTYPES
@pytest.mark.parametrize("name", REFERENCES)
def test_elements(name, dtype, backend):
    reference = REFERENCES[name]
    factor = POWER[dtype] if reference.power else 16
    for x, y in itertools.product(reference.inputs, reference.targets):
        x, y = dtype(x), np.float64(dtype(y))
        value, slope = reference.formula(mp.mpf(float(x)), mp.mpf(float(y)))
        got, gradient = reference.loss.value_and_grad(x, y)
        try:
            check(got, value, dtype, factor, reference.value_terms)
            check(gradient.item(), slope, dtype, factor, reference.slope_terms)
        except AssertionError as error:
            raise AssertionError(f"at {x!r}, {y!r}: {error}") from None
