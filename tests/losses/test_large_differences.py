"""Tests losses of logits where a class's logit exceeds the label's by far, by infinity or by NaN.

The kernels subtract the label's logit and take one pass. Where the sum of the exps would be too large, a tile of 256
pixels takes two passes. Both must give the same values, also side by side in one image.
"""

from __future__ import annotations

import numpy as np
import pytest
from compare import real
from layouts import DTYPES

import fastloss as fl

PIXELS = 600  # two whole tiles and a part of one
FAR = [0, 1e-3, 20.7, 20.9, 30, 42, 43, 44, 60, 69, 70, 80, 87, 89, 104, 200, 700, 720, 3e4]


def data(classes, far, dtype):
    """Logits in which a few pixels have a class whose logit exceeds the label's by `far`."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, classes, PIXELS)).astype(dtype)
    y = rng.integers(0, classes, (1, PIXELS))
    for pixel in (0, 5, 255, 599):
        other = (y[0, pixel] + 1 + pixel % (classes - 1)) % classes
        x[0, other, pixel] = x[0, y[0, pixel], pixel] + np.asarray(far, dtype)
    return x, y


def expected(x, y):
    """The loss of each pixel and the gradient of their sum, in longdouble."""
    x = x.astype(np.longdouble)
    d = x - np.take_along_axis(x, y[:, None], 1)
    top = d.max(axis=1, keepdims=True)
    log_s = top + np.log(np.exp(d - top).sum(axis=1, keepdims=True))
    p = np.exp(d - log_s)
    gradient = p.copy()
    others = np.where(np.arange(x.shape[1])[None, :, None] == y[:, None], 0, p).sum(axis=1, keepdims=True)
    np.put_along_axis(gradient, y[:, None], -others, 1)  # p - 1, without cancellation
    return log_s[:, 0], gradient


@pytest.mark.parametrize("classes", [2, 3, 9, 19])
@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_cross_entropy_of_a_wrong_confident_pixel(classes, far, dtype, backend):
    x, y = data(classes, far, dtype)
    values, slopes = expected(x, y)
    eps = float(np.finfo(real(dtype)).eps)
    loss = fl.CrossEntropyLoss(reduction="sum")
    assert loss(x, y) == pytest.approx(float(values.sum()), rel=8 * eps)
    np.testing.assert_allclose(fl.CrossEntropyLoss(reduction="none")(x, y), values.astype(float), rtol=8 * eps)
    value, gradient = loss.value_and_grad(x, y)
    assert value == loss(x, y)
    own = np.finfo(dtype).eps if np.dtype(dtype).kind == "f" else 2.0**-7  # bfloat16
    np.testing.assert_allclose(
        gradient.astype(float), slopes.astype(float), rtol=16 * eps + 2 * own, atol=1e-7 if own > 1e-4 else 1e-30
    )


@pytest.mark.parametrize("classes", [2, 5, 19])
@pytest.mark.parametrize("far", FAR)
def test_binary_cross_entropy_of_a_wrong_confident_pixel(classes, far, backend):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, classes, PIXELS)).astype(np.float32)
    y = rng.integers(0, 2, x.shape).astype(np.float32)
    x[0, 0, [0, 5, 255, 599]] = far * (1 - 2 * y[0, 0, [0, 5, 255, 599]])
    z = x.astype(np.longdouble)
    values = np.maximum(z, 0) - z * y + np.log1p(np.exp(-abs(z)))
    loss = fl.BCEWithLogitsLoss(reduction="sum")
    assert loss(x, y) == pytest.approx(float(values.sum()), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 5, 19])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at_label", [False, True])
def test_a_logit_that_is_no_number(classes, bad, at_label, backend):
    """The native value is that of the reference: inf, NaN, or as if the class did not exist."""
    x, y = data(classes, 1, np.float32)
    pixel = 300
    x[0, y[0, pixel] if at_label else (y[0, pixel] + 1) % classes, pixel] = bad
    with np.errstate(invalid="ignore"):
        values = fl.CrossEntropyLoss(reduction="none")(x, y)[0]
        total, gradient = fl.CrossEntropyLoss(reduction="sum").value_and_grad(x, y)
        others = np.delete(values, pixel)
    wanted = np.nan if np.isnan(bad) or bad == np.inf else np.inf if at_label else None
    if wanted is None:
        assert np.isfinite(values[pixel])
        assert np.isfinite(total)
    else:
        np.testing.assert_equal([values[pixel], total], [wanted, wanted])
    assert np.isfinite(others).all()
    assert np.isfinite(np.delete(gradient, pixel, axis=2)).all()
