"""Tests that small results keep their digits: log-sum-exps, log-probabilities and losses near 0, and tiny smoothing."""

import mpmath as mp
import numpy as np
import pytest

import fastloss as fl

EPS = {np.float32: 2.0**-24, np.float64: 2.0**-53}


def lse(row):
    with mp.workdps(60):
        return mp.log(mp.fsum(mp.exp(mp.mpf(float(v))) for v in row))


ROWS = {
    "one far below": [0.0, -40.0],
    "order": [-40.0, 0.0],
    "many below": [-30.0, -35.0, 0.0, -28.0],
    "two maxima": [-1.0, 0.0, -30.0, 0.0],
    "all alike": [0.0] * 7,
    "masked": [-np.inf, 0.0, -20.0],
    "near 0 by accident": [-0.5, -0.9326, -4.0],
    "thousand classes": [-25.0] * 700 + [0.0] + [-24.0] * 700,
    "late maximum": [-60.0] * 600 + [-5.0] * 600 + [0.0],
    "same maximum in two blocks": [0.0] + [-50.0] * 600 + [0.0],
}


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("name", ROWS)
def test_logsumexp_and_log_softmax(name, dtype, backend):
    row = np.array(ROWS[name], dtype)
    total = lse(row)
    # The errors of exp, log1p and the sum of exps, which grows with their number (to 512, the classes of a block).
    size = max(abs(float(total)), float(abs(row[np.isfinite(row)]).min() if name == "near 0 by accident" else 0))
    error = (40 + min(len(row), 512) / 8) * EPS[dtype]
    bound = error * size
    assert float(fl.logsumexp(row)) == pytest.approx(float(total), rel=0, abs=bound)
    assert float(fl.logsumexp(row[None], axis=1)[0]) == pytest.approx(float(total), rel=0, abs=bound)
    assert float(fl.logsumexp(row, b=np.ones_like(row))) == pytest.approx(float(total), rel=0, abs=bound)
    for shape, axis in (((1, -1), 1), ((-1, 1), (0, 1)), ((1, -1), (0, 1)), ((1, -1), None)):
        logs = fl.log_softmax(row.reshape(shape), axis=axis).ravel()
        for got, value in zip(logs, row, strict=True):
            if np.isfinite(value):
                want = float(mp.mpf(float(value)) - total)
                assert float(got) == pytest.approx(
                    want, rel=0, abs=error * max(abs(want), abs(float(total)) if value else 0)
                )


def test_the_reported_values(backend):
    assert fl.logsumexp([0.0, -40.0]) == pytest.approx(4.248354255291589e-18, rel=1e-14)
    x = np.array([[0.0, -30.0], [-33.0, -35.0]])
    want = float(-lse(x.ravel()))
    assert fl.log_softmax(x, axis=(0, 1))[0, 0] == pytest.approx(want, rel=1e-14)
    assert fl.log_softmax(x + 5, axis=None)[0, 0] == pytest.approx(want, rel=1e-14)


@pytest.mark.parametrize(
    "b", [[1, 1], [0.5, 0.5], [1, -1], [3, 1e-20], [2, -1.5], [0, 1], [-1, 0.5], [1e-20, 0]], ids=str
)
@pytest.mark.parametrize("a", [[0.0, -40.0], [0.0, 0.0], [-3.0, 800.0]], ids=str)
def test_weighted_logsumexp(a, b, backend):
    with mp.workdps(60):
        total = mp.fsum(mp.mpf(w) * mp.exp(mp.mpf(v)) for v, w in zip(a, b, strict=True))
        want = float(mp.log(total)) if total > 0 else -np.inf if total == 0 else np.nan
    got = fl.logsumexp(a, b=b)
    near = max(abs(v) for v, w in zip(a, b, strict=True) if w) if abs(want) > 1e-8 else 0
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15 * near)


@pytest.mark.parametrize("dtype", EPS)
def test_cross_entropy_of_a_confident_pixel_with_a_dense_target(dtype, backend):
    x = np.array([[0.0, -18.0, -19.0]], dtype)
    value = fl.cross_entropy(x, np.array([[1.0, 0, 0]], dtype))
    assert value == pytest.approx(float(lse(x[0])), rel=10 * EPS[dtype])
    assert value == pytest.approx(fl.cross_entropy(x, [0]), rel=10 * EPS[dtype])


# ---- smoothing


REGION = [loss for loss in fl.losses.LOSSES.values() if issubclass(loss, fl._engine.region.RegionLoss)]


@pytest.mark.parametrize("loss", REGION, ids=lambda c: c.__name__)
@pytest.mark.parametrize("smooth", [1e-30, 1e-12, 1e-8, 9e-8, 1e-6, 1.0])
@pytest.mark.parametrize("batch", [False, True])
def test_an_empty_class_is_perfect_however_small_the_smoothing(loss, smooth, batch, backend):
    nothing = np.zeros((1, 2, 4))
    value, gradient = loss(activation=None, smooth=smooth, batch=batch).value_and_grad(nothing, nothing)
    assert value == pytest.approx(0, abs=1e-15)  # s / s
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("smooth", [1e-12, 1e-8, 1e-3])
def test_small_sums_are_compared_with_the_smoothing_they_have(smooth, backend):
    p, y = np.full((1, 1, 4), 1e-9), np.zeros((1, 4), int)
    total, s = 4e-9, smooth
    rights = {
        fl.DiceLoss: 1 - s / (total + s),
        fl.JaccardLoss: 1 - s / (total + s),
        fl.TverskyLoss: 1 - s / (0.5 * total + s),
        fl.SensitivitySpecificityLoss: 1 - 0.5 * (1 + (4 - total + s) / (4 + s)),
    }
    for loss, right in rights.items():
        assert loss(activation=None, smooth=smooth)(p, y) == pytest.approx(right, rel=1e-9, abs=1e-15)
    _, gradient = fl.DiceLoss(activation=None, smooth=smooth).value_and_grad(p, y)
    np.testing.assert_allclose(gradient, s / (total + s) ** 2, rtol=1e-12)
    w = np.full((1, 4), 1e-9)
    got = fl.dice_loss(np.full((1, 1, 4), 0.5), y + 1, activation=None, smooth=smooth, pixel_weight=w)
    assert got == pytest.approx(1 - (4e-9 + s) / (6e-9 + s), rel=1e-12)


def test_without_smoothing_the_floor_stays(backend):
    value, gradient = fl.DiceLoss(activation=None, smooth=0).value_and_grad(np.zeros((1, 2, 4)), np.zeros((1, 2, 4)))
    assert value == 1.0
    assert np.isfinite(gradient).all()
    assert fl.generalized_dice_loss(np.ones((1, 2, 4)), np.zeros((1, 2, 4)), activation=None, smooth=1e-8) == 0
