"""Tests losses over a class axis, and functions, against torch.nn.functional and autograd."""

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


CLASS_SHAPES = [(4, 5), (1, 5), (2, 5, 300), (2, 5, 17, 19), (1, 5, 5, 6, 7), (3, 5, 1), (0, 5, 4), (2, 5, 0)]
every_shape = pytest.mark.parametrize("shape", CLASS_SHAPES, ids=str)


def class_data(shape, dtype, of_logs=False):
    """Input, labels, soft target and pixel weights. Some labels are 255, but not the first."""
    rng = np.random.default_rng(0)
    x = 3 * rng.standard_normal(shape)
    x = fl.log_softmax(x, axis=1) if of_logs else x
    y = rng.integers(0, shape[1], shape[:1] + shape[2:])
    y[rng.random(y.shape) < 0.2] = 255
    y.reshape(-1)[:1] = 0
    soft = rng.random(shape)
    return x.astype(dtype), y, soft / soft.sum(axis=1, keepdims=True), rng.integers(0, 3, y.shape) / 2


@every_shape
@every_dtype
@reductions
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_labels(name, shape, dtype, reduction, weight, backend):
    x, y, _, w = class_data(shape, dtype, name == "nll_loss")
    torch_weight = None if weight is None else tensor(weight)
    options = {"reduction": reduction, "ignore_index": 255}
    function = lambda t, **k: getattr(F, name)(t, torch.tensor(y), weight=torch_weight, **options | k)  # noqa: E731
    loss = {"cross_entropy": fl.CrossEntropyLoss, "nll_loss": fl.NLLLoss}[name](class_weight=weight, **options)
    for smoothing in (0.0, 0.1, 1.0) if name == "cross_entropy" else (None,):
        smooth = {} if smoothing is None else {"label_smoothing": smoothing}
        loss = type(loss)(class_weight=weight, **options, **smooth)
        agree(lambda loss=loss: loss.value_and_grad(x, y), lambda t, k=smooth: function(t, **k), x, dtype)

        def weighted(t, k=smooth):
            values = tensor(w) * function(t, reduction="none", **k)
            kept = np.where(y == 255, 0, w * np.append(weight or [1.0] * 5, 0)[np.minimum(y, 5)])
            return {"none": values, "sum": values.sum(), "mean": values.sum() / kept.sum()}[reduction]

        if y.size > 1:
            agree(lambda loss=loss: loss.value_and_grad(x, y, pixel_weight=w), weighted, x, dtype)
    ignored = np.full_like(y, 255)
    value, gradient = loss.value_and_grad(x, ignored)
    want, want_gradient = gradient_of(lambda t: getattr(F, name)(t, torch.tensor(ignored), **options), x)
    np.testing.assert_array_equal(value, want)
    np.testing.assert_array_equal(gradient, want_gradient * 0 if reduction == "mean" else want_gradient)


@every_shape
@every_dtype
@reductions
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_dense_targets(shape, dtype, reduction, weight, smoothing, backend):
    x, _, soft, _ = class_data(shape, dtype)
    options = {"label_smoothing": smoothing, "reduction": reduction}
    torch_weight = None if weight is None else tensor(weight)
    loss = fl.CrossEntropyLoss(class_weight=weight, **options)
    function = lambda t, y: F.cross_entropy(t, tensor(y), weight=torch_weight, **options)  # noqa: E731
    for y in (soft, soft == soft.max(axis=1, keepdims=True)):
        agree(lambda y=y: loss.value_and_grad(x, y), lambda t, y=y: function(t, y), x, dtype)


@every_dtype
@reductions
@pytest.mark.parametrize("shape", [(4, 5), (1, 5), (3, 7, 5), (2, 3, 4, 5), (2, 600), (1, 1), (0, 5)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_multilabel_soft_margin(shape, weighted, reduction, dtype, backend):
    """Its classes are torch's last axis."""
    rng = np.random.default_rng(0)
    x, y = (8 * rng.standard_normal(shape)).astype(dtype), rng.integers(0, 2, shape)
    w = rng.integers(0, 3, shape[-1]) / 2 if weighted else None
    loss = fl.MultiLabelSoftMarginLoss(class_weight=w, axis=-1, reduction=reduction)
    function = lambda t: F.multilabel_soft_margin_loss(  # noqa: E731
        t, tensor(y), weight=None if w is None else tensor(w), reduction=reduction
    )
    agree(lambda: loss.value_and_grad(x, y.astype(float)), function, x, dtype)


AWKWARD = [0.0, -0.0, 1e-30, 20.0, 20.5, -20.5, 87.0, -87.0, 105.0, 700.0, 1e4, -1e4, 3e38, -3e38, INF, -INF]
FUNCTIONS = {
    "softplus": (
        fl.softplus,
        lambda t: torch.where(t > 20, -F.logsigmoid(-t), F.softplus(t)),
    ),  # its own is t from 20 on
    "log_sigmoid": (fl.log_sigmoid, F.logsigmoid),
    "sigmoid": (fl.sigmoid, torch.sigmoid),
}


@every_dtype
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", ELEMENT_SHAPES, ids=str)
def test_functions_of_elements(name, shape, dtype, backend):
    ours, theirs = FUNCTIONS[name]
    x = np.asarray(8 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    assert_close(ours(x), theirs(tensor(x)).numpy(), dtype)
    with np.errstate(over="ignore"):  # 3e38 is inf in float16
        x = np.array(AWKWARD).astype(dtype)
    for a in x:  # each by itself: all digits of small values count
        assert_close(ours(a), theirs(tensor(a)).numpy(), dtype)


@every_dtype
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize(
    "shape", [(1,), (7,), (3, 4), (2, 5, 6), (2, 3, 4, 5), (2, 3, 1, 4, 5), (1, 1), (2, 600)], ids=str
)
def test_functions_of_an_axis(name, shape, dtype, backend):
    x = (8 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    function = {"softmax": F.softmax, "log_softmax": F.log_softmax, "logsumexp": torch.logsumexp}[name]
    for axis in range(-len(shape), len(shape)):
        assert_close(getattr(fl, name)(x, axis), function(tensor(x), axis).numpy(), dtype)
        masked = x.copy()
        masked[(0,) * len(shape)] = -INF
        if x.shape[axis] > 1:
            assert_close(getattr(fl, name)(masked, axis), function(tensor(masked), axis).numpy(), dtype)
