"""Tests losses of elements against torch.nn.functional and autograd, also at kinks and extremes.

The rows of the table ELEMENTS have our function, torch's function, the inputs, and the options that both take. Each row
is tested over all shapes, dtypes and reductions, with and without weights.
"""

from __future__ import annotations

import numpy as np
import pytest
from by_torch import ELEMENT_SHAPES, agree, gradient_of, tensor
from compare import assert_close
from layouts import DTYPES

import fastloss as fl

torch = pytest.importorskip("torch")
F = torch.nn.functional

INF = np.inf
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
WEIGHT = [1.0, 0.5, 0.0, 2.0, 3.0]


def logits(rng, shape):
    return 4 * rng.standard_normal(shape), rng.random(shape) * rng.integers(0, 2, shape)


def hard(rng, shape):
    return 30 * rng.standard_normal(shape), rng.integers(0, 2, shape)


def probabilities(rng, shape):
    return 0.02 + 0.96 * rng.random(shape), rng.random(shape)


def log_probabilities(rng, shape):
    return np.log(probabilities(rng, shape)[0]), rng.random(shape) * rng.integers(0, 2, shape)


def two_log_probabilities(rng, shape):
    return np.log(probabilities(rng, shape)[0]), np.log(probabilities(rng, shape)[0])


def signs(rng, shape):
    return 4 * rng.standard_normal(shape), 2 * rng.integers(0, 2, shape) - 1


def distances(rng, shape):
    """Every third on a multiple of 1/4, so that some lie on the kinks, 0 and the thresholds below."""
    x, y = 2 * rng.standard_normal((2, *shape))
    grid = rng.random(shape) < 1 / 3
    return np.where(grid, np.round(4 * x) / 4, x), np.where(grid, np.round(4 * y) / 4, y)


# name: (ours, theirs, inputs, options of ours and theirs)
ELEMENTS = {
    "bce_with_logits": (fl.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, logits, [{}]),
    "bce_with_logits, hard": (fl.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, hard, [{}]),
    "bce": (fl.binary_cross_entropy, F.binary_cross_entropy, probabilities, [{}]),
    "kl_div": (fl.kl_div, F.kl_div, log_probabilities, [{}]),
    "kl_div, log_target": (fl.kl_div, F.kl_div, two_log_probabilities, [{"log_target": True}]),
    "soft_margin": (fl.soft_margin_loss, F.soft_margin_loss, signs, [{}]),
    "mse": (fl.mse_loss, F.mse_loss, distances, [{}]),
    "l1": (fl.l1_loss, F.l1_loss, distances, [{}]),
    "huber": (fl.huber_loss, F.huber_loss, distances, [{"delta": d} for d in (1.0, 0.25, 5.0)]),
    "smooth_l1": (fl.smooth_l1_loss, F.smooth_l1_loss, distances, [{"beta": b} for b in (1.0, 0.25, 5.0, 0.0)]),
}
ROWS = [(name, options) for name, row in ELEMENTS.items() for options in row[3]]


@pytest.mark.filterwarnings(
    "ignore:reduction. 'mean' divides"
)  # kl_div's: "batchmean" is what mathematics calls a mean
@every_dtype
@reductions
@pytest.mark.parametrize(("name", "options"), ROWS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_elements(name, options, weighted, reduction, dtype, backend):
    ours, theirs, inputs, _ = ELEMENTS[name]
    loss = LOSSES[ours](reduction=reduction, **options)
    for k, shape in enumerate(ELEMENT_SHAPES):
        rng = np.random.default_rng(k)
        x, y = inputs(rng, shape)
        x = np.asarray(x).astype(dtype)
        w = np.array(rng.integers(0, 3, shape) / 2 if weighted else np.ones(shape))
        w.reshape(-1)[:1] = 1  # nothing kept: in test_by_hand.py

        def function(t, y=y, w=w):
            values = tensor(w) * theirs(t, tensor(y), reduction="none", **options)
            return {"none": values, "sum": values.sum(), "mean": values.sum() / w.sum()}[reduction]

        cancels = 16 if ours is fl.kl_div or reduction != "none" else 1  # terms of both signs
        weight = {"pixel_weight": w} if weighted else {}
        agree(lambda x=x, y=y, k=weight: loss.value_and_grad(x, y, **k), function, x, dtype, cancels)
        if not weighted and x.size:  # torch's own reduction
            want = theirs(tensor(x), tensor(y), reduction=reduction, **options).numpy()
            assert_close(ours(x, y, reduction=reduction, **options), want, dtype, cancels=cancels)


LOSSES = {
    fl.binary_cross_entropy_with_logits: fl.BCEWithLogitsLoss,
    fl.binary_cross_entropy: fl.BCELoss,
    fl.kl_div: fl.KLDivLoss,
    fl.soft_margin_loss: fl.SoftMarginLoss,
    fl.mse_loss: fl.MSELoss,
    fl.l1_loss: fl.L1Loss,
    fl.huber_loss: fl.HuberLoss,
    fl.smooth_l1_loss: fl.SmoothL1Loss,
}


@every_dtype
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("shape", [s for s in ELEMENT_SHAPES if s and s[0]], ids=str)
def test_kl_div_batchmean(shape, log_target, dtype, backend):
    x, y = (two_log_probabilities if log_target else log_probabilities)(np.random.default_rng(0), shape)
    x = x.astype(dtype)
    options = {"log_target": log_target, "reduction": "batchmean"}
    loss = fl.KLDivLoss(**options)
    agree(lambda: loss.value_and_grad(x, y), lambda t: F.kl_div(t, tensor(y), **options), x, dtype, 16)


@every_dtype
@reductions
@pytest.mark.parametrize("shape", [(4, 5), (2, 5, 300), (2, 5, 17, 19), (1, 5, 5, 6, 7), (1, 5), (0, 5, 3)], ids=str)
@pytest.mark.parametrize("pos_weight", [2.5, WEIGHT])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_pos_weight(shape, pos_weight, smoothing, reduction, dtype, backend):
    x, y = logits(np.random.default_rng(0), shape)
    x = x.astype(dtype)
    b = tensor(pos_weight).reshape(-1, *[1] * (len(shape) - 2)) if isinstance(pos_weight, list) else tensor(pos_weight)
    loss = fl.BCEWithLogitsLoss(pos_weight=pos_weight, label_smoothing=smoothing, reduction=reduction)
    target = tensor((1 - smoothing) * y + smoothing / 2)  # torch smooths no binary target
    function = lambda t: F.binary_cross_entropy_with_logits(t, target, pos_weight=b, reduction=reduction)  # noqa: E731
    agree(lambda: loss.value_and_grad(x, y), function, x, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("loss", "function"),
    [
        (fl.L1Loss(reduction="sum"), F.l1_loss),
        (fl.SmoothL1Loss(reduction="sum"), F.smooth_l1_loss),
        (fl.SmoothL1Loss(beta=0, reduction="sum"), lambda *a, **k: F.smooth_l1_loss(*a, beta=0.0, **k)),
        (fl.SmoothL1Loss(beta=0.1, reduction="sum"), lambda *a, **k: F.smooth_l1_loss(*a, beta=0.1, **k)),
        (fl.HuberLoss(reduction="sum"), F.huber_loss),
        (fl.HuberLoss(delta=0.1, reduction="sum"), lambda *a, **k: F.huber_loss(*a, delta=0.1, **k)),
    ],
    ids=lambda v: repr(v) if isinstance(v, fl.Loss) else "torch",  # a lambda's repr has its address
)
def test_subgradients_at_kinks(loss, function, dtype, backend):
    x = np.array([0.0, -0.0, 1.0, -1.0, 0.1, -0.1, 0.5, 7.0, 1e30, -1e30, INF, -INF], dtype)
    _, want = gradient_of(lambda t: function(t, 0 * t.detach().nan_to_num(0, 0, 0), reduction="sum"), x)
    # 0.1 in float32 is not that in float64: an eps of it.
    np.testing.assert_allclose(loss.value_and_grad(x, np.zeros_like(x))[1], want, rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_perceptron_is_a_maximum(dtype, backend):
    """Of equal maxima, torch's `max` over an axis also gives the gradient to the first."""
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (5, 3), (2, 5, 300), (2, 4, 5, 6), (1, 600, 3)]:
        x = rng.integers(-2, 3, shape).astype(dtype)  # many ties
        y = rng.integers(0, shape[1], shape[:1] + shape[2:])
        function = lambda t, y=y: (t.max(1).values - t.gather(1, torch.tensor(y)[:, None])[:, 0]).mean()  # noqa: E731
        agree(lambda x=x, y=y: fl.PerceptronLoss().value_and_grad(x, y), function, x, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinite_logits(dtype, backend):
    x = np.array([[0, -INF, 1.5], [-INF, 2, -INF], [1e4, -1e4, -INF], [-1e4, 1e4, 0]], dtype)
    y = np.array([0, 1, 1, 0])
    function = lambda t: F.cross_entropy(t, torch.tensor(y), reduction="none")  # noqa: E731
    agree(lambda: fl.CrossEntropyLoss(reduction="none").value_and_grad(x, y), function, x, dtype)
    b = np.array([0.0, 1e4, -1e4, INF, -INF, INF, -INF], dtype)
    z = np.array([0.5, 0, 1, 0, 1, 0.5, 0.5])
    values, gradient = fl.BCEWithLogitsLoss(reduction="none").value_and_grad(b, z)
    want, want_gradient = gradient_of(lambda t: F.binary_cross_entropy_with_logits(t, tensor(z), reduction="none"), b)
    np.testing.assert_allclose(values[:4], want[:4], rtol=1e-6)
    np.testing.assert_allclose(gradient, [0, 1, -1, 1, -1, 0.5, -0.5], rtol=1e-6)
    np.testing.assert_allclose(gradient[:4], want_gradient[:4], rtol=1e-6)
    # Ours is inf where torch's is nan, inf - inf or 0 inf; and 0 where nothing is lost.
    assert (values[4:] == INF).all()
    assert np.isnan(want[4:]).any()
    assert fl.BCEWithLogitsLoss()(b[3:5], [1.0, 0.0]) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_of_0_and_1(dtype, backend):
    """Values are torch's. So are the gradients, but where prediction and target agree: the slope of -log p at 1 is -1,
    torch's p - y over p (1 - p) is 0."""
    p, y = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], dtype), np.array([1, 0, 0.5, 0.5, 0, 1])
    values, gradient = fl.BCELoss(reduction="none").value_and_grad(p, y)
    want, want_gradient = gradient_of(lambda t: F.binary_cross_entropy(t, tensor(y), reduction="none"), p)
    np.testing.assert_array_equal(values, want)
    np.testing.assert_allclose(gradient[:4], want_gradient[:4], rtol=1e-6)
    np.testing.assert_array_equal(gradient[4:], [1, -1])
    np.testing.assert_array_equal(want_gradient[4:], [0, 0])


def test_probabilities_outside_0_to_1_are_not_looked_for(backend):
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(tensor([3.0]), tensor([1.0]))
    assert fl.binary_cross_entropy(np.array([3.0]), np.array([1.0])) == pytest.approx(-np.log(3))


def test_soft_margin_where_torch_overflows(backend):
    """log(1 + exp(1e4)) = 1e4; torch's exp is inf."""
    assert fl.soft_margin_loss([1e4], [-1.0]) == 1e4
    assert torch.isinf(F.soft_margin_loss(tensor([1e4]), tensor([-1.0])))


def test_dense_targets_of_0_silence_a_masked_class(backend):
    """0 times -inf: nan in torch."""
    x, y = [[0.0, 0.0, -INF]], [[0.5, 0.5, 0.0]]
    assert fl.cross_entropy(x, y) == pytest.approx(np.log(2))
    assert torch.isnan(F.cross_entropy(tensor(x), tensor(y)))
