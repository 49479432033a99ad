"""Tests `calibrate`: the temperature is that of torch and of mpmath, stays in its bounds, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
from layouts import DTYPES

import fastloss as fl


def data(C, scale=1.0, dtype=np.float32, shape=(2, 30, 31)):
    rng = np.random.default_rng(C)
    y = rng.integers(0, C, shape)
    x = rng.normal(size=(shape[0], C, *shape[1:])) + 2 * (np.arange(C)[None, :, None, None] == y[:, None])
    return (scale * x).astype(dtype), y


def slope(x, y, temperature, w=1.0):
    """The derivative of the mean cross entropy in the inverse temperature, in float64."""
    x = x.astype(np.float64)
    e = np.exp((x - x.max(axis=1, keepdims=True)) / temperature)
    p = e / e.sum(axis=1, keepdims=True)
    own = np.take_along_axis(x, y[:, None], axis=1)[:, 0]
    return np.sum(w * ((p * x).sum(axis=1) - own))


def by_torch(x, y, w):
    torch = pytest.importorskip("torch")
    x, y, w = (torch.tensor(a) for a in (x.astype(np.float64), y, w))
    b = torch.ones(1, dtype=torch.double, requires_grad=True)
    fit = torch.optim.LBFGS(
        [b], max_iter=500, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        fit.zero_grad()
        loss = (w * torch.nn.functional.cross_entropy(x * b, y, reduction="none", ignore_index=255)).sum() / w.sum()
        loss.backward()
        return loss

    fit.step(closure)
    return 1 / b.item()


@pytest.mark.extended
@pytest.mark.parametrize("C", [2, 5, 19])
@pytest.mark.parametrize("scale", [0.3, 4.0, 20.0])
def test_torch(C, scale, backend):
    x, y = data(C, scale)
    y[0, :3] = 255
    w = np.random.default_rng(0).random(y.shape)
    w[y == 255] = 0
    found = fl.calibrate(np.moveaxis(x, 1, -1), y, axis=-1, ignore_index=255, pixel_weight=w)
    assert found.temperature == pytest.approx(by_torch(x, y, w), rel=1e-5)
    assert not found.at_bound
    ce = fl.CrossEntropyLoss(ignore_index=255)
    assert found.before == pytest.approx(ce(x, y, pixel_weight=w), rel=1e-6)
    assert found.after == pytest.approx(ce(x / np.float32(found.temperature), y, pixel_weight=w), rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0])
def test_the_slope_changes_its_sign(dtype, scale, backend):
    x, y = data(4, scale, dtype)
    found = fl.calibrate(x, y)
    assert slope(x, y, found.temperature * (1 + 1e-5)) < 0 < slope(x, y, found.temperature * (1 - 1e-5))


def test_mpmath():
    """Three pixels: the root of the derivative in 40 digits."""
    mpmath = pytest.importorskip("mpmath")
    x = np.array([[[2.0, -1.0, 0.5], [0.25, 3.0, 1.0], [1.0, 0.0, -2.0]]])
    y = np.array([[0, 1, 0]])
    mpmath.mp.dps = 40

    def derivative(b):
        total = mpmath.mpf(0)
        for i in range(3):
            e = [mpmath.exp(b * mpmath.mpf(float(v))) for v in x[0, :, i]]
            total += sum(u * float(v) for u, v in zip(e, x[0, :, i], strict=True)) / sum(e) - float(x[0, y[0, i], i])
        return total

    root = mpmath.findroot(derivative, (0.5, 4), solver="anderson")
    assert fl.calibrate(x, y).temperature == pytest.approx(float(1 / root), rel=1e-6)


@pytest.mark.parametrize("shape", [(3, 1, 40), (3, 2, 40)])
def test_sigmoid_is_a_softmax_of_two_classes(shape, backend):
    rng = np.random.default_rng(1)
    y = rng.random(shape) < 0.5
    x = 3 * (rng.normal(size=shape) + y)
    flat = x.reshape(3, 1, -1)
    pairs = fl.calibrate(np.concatenate([0 * flat, flat], axis=1), y.reshape(3, -1).astype(int))
    found = fl.calibrate(x, y, activation="sigmoid")
    assert (found.temperature, found.before, found.after) == pytest.approx(
        (pairs.temperature, pairs.before, pairs.after), rel=1e-6
    )


@pytest.mark.parametrize("seed", range(12))
def test_awkward_logits_end_in_the_bounds(seed, backend):
    """Sizes over many orders of magnitude, -inf for other classes, few pixels: a root, the bound, or an error."""
    rng = np.random.default_rng(seed)
    C, n = int(rng.integers(2, 6)), int(rng.integers(1, 30))
    y = rng.integers(0, C, (1, n))
    x = rng.normal(size=(1, C, n)) * 10.0 ** rng.uniform(-3, 3, (1, 1, n)) * 10.0 ** rng.uniform(-2, 2)
    own = np.arange(C)[None, :, None] == y[:, None]
    x = np.where(own, x + rng.uniform(0, 2) * np.abs(x), x)
    x = np.where(~own & (rng.random(x.shape) < 0.1), -np.inf, x)
    finite = np.maximum(x, -1e9)
    if slope(finite, y, 100.0) >= 0:
        with pytest.raises(ValueError, match="tell something"):
            fl.calibrate(x, y)
        return
    found = fl.calibrate(x, y)
    assert 0.01 <= found.temperature <= 100
    assert found.after <= found.before * (1 + 1e-12)
    if found.at_bound:
        assert found.temperature == 0.01
        assert slope(finite, y, 0.01) <= 0
    else:
        assert slope(finite, y, found.temperature * 1.00001) <= 0 <= slope(finite, y, found.temperature * 0.99999)


def test_separable_logits_end_at_the_bound(backend):
    y = np.arange(12).reshape(2, 6) % 3
    x = 5.0 * (np.arange(3)[None, :, None] == y[:, None])
    found = fl.calibrate(x, y)
    assert found.at_bound
    assert found.temperature == 0.01
    assert 0 <= found.after < 1e-200 < found.before


def test_the_same_bits_for_any_threads():
    x, y = data(5, 3.0, shape=(2, 300, 200))
    found = []
    for threads in (1, 2, 5):
        with fl.num_threads(threads):
            found.append(fl.calibrate(x, y))
    assert found[0] == found[1] == found[2]


def saved(tmp_path, change=lambda x: x):
    x, y = data(4, 3.0)
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    for n in range(2):
        np.save(tmp_path / "x" / f"{n}.npy", change(x[n]))
        np.save(tmp_path / "y" / f"{n}.npy", y[n])
    return tmp_path / "x", tmp_path / "y"


def test_files(tmp_path):
    assert fl.calibrate_files(*saved(tmp_path)) == fl.calibrate(*data(4, 3.0))


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"state": "a"}, lambda x: x, "`state=`: expected none for a fit"),
        ({}, lambda x: fl.softmax(x, axis=0), "expected logits, but .* seems to hold probabilities"),
        ({"num_classes": 4}, lambda x: x.argmax(axis=0), "expected logits or probabilities .* got a label map"),
    ],
)
def test_refused_files(options, change, message, tmp_path):
    paths = saved(tmp_path, change)
    with pytest.raises(fl.FileError, match=message):
        fl.calibrate_files(*paths, **options)
