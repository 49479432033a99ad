"""Tests arrays with more elements than 32 bits can count."""

from __future__ import annotations

import numpy as np
import pytest

import fastloss as fl

LARGE = {
    "cross_entropy": fl.CrossEntropyLoss(),
    "focal": fl.FocalLoss(),
    "dice": fl.DiceLoss(smooth=0),
    "tversky": fl.TverskyLoss(alpha=0.3, beta=0.7, smooth=0),
    "mse": fl.MSELoss(),
    "bce_with_logits": fl.BCEWithLogitsLoss(),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LARGE)
def test_more_than_2_to_the_31_elements(name):
    """A thousand pixels again and again, which need no memory: float32 keeps seven digits of float64's value."""
    loss, rows = LARGE[name], 1_100_000  # 2.2e9 elements, 1.1e9 pixels
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 2, 1, 1000)).astype(np.float32)
    y = rng.random(x.shape).astype(np.float32) if loss.kind == "element" else rng.integers(0, 2, (1, 1, 1000))
    with fl.backend("native"):
        value = loss(np.broadcast_to(x, (1, 2, rows, 1000)), np.broadcast_to(y, (*y.shape[:-2], rows, 1000)))
        want = loss(x.astype(np.float64), y.astype(np.float64) if y.dtype == np.float32 else y)
    assert value == pytest.approx(want, rel=1e-7)
