"""Values and gradients against torch.nn.functional and autograd, and torch tensors as input."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import fastloss as fl
from fastloss._batch import as_array

SHAPES = [(4, 5), (2, 5, 300), (2, 5, 17, 19), (1, 5, 5, 6, 7)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# Both compute in the dtype, and torch subtracts logits from their log-sum-exp: some eps of the largest logit (about 10)
# absolutely, and its sums run over a thousand numbers.
TOLERANCE = {np.float32: {"rtol": 1e-5, "atol": 2e-6}, np.float64: {"rtol": 1e-12, "atol": 1e-14}}


def data(shape, dtype):
    rng = np.random.default_rng(0)
    x = 3 * rng.standard_normal(shape)
    y = rng.integers(0, shape[1], shape[:1] + shape[2:])
    y[rng.random(y.shape) < 0.2] = 255
    y.flat[0] = 0
    soft = rng.random(shape)
    return x.astype(dtype), y, (soft / soft.sum(axis=1, keepdims=True)).astype(dtype)


def compare(loss, function, x, y, dtype, **weights):
    """Value (or map) and gradient of `loss`, against those of the torch function of a tensor."""
    t = torch.tensor(x, requires_grad=True)
    want = function(t)
    want.sum().backward()
    value, gradient = loss.value_and_grad(x, y, **weights)
    np.testing.assert_allclose(value, want.detach().numpy(), **TOLERANCE[dtype])
    np.testing.assert_allclose(gradient, t.grad.numpy(), **TOLERANCE[dtype])


@shapes
@dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weight", [None, [1.0, 0.5, 0.0, 2.0, 3.0]])
def test_cross_entropy(shape, dtype, reduction, smoothing, weight, backend):
    x, y, soft = data(shape, dtype)
    w = None if weight is None else torch.tensor(weight, dtype=torch.tensor(x).dtype)
    options = {"label_smoothing": smoothing, "reduction": reduction}
    loss = fl.CrossEntropyLoss(class_weight=weight, ignore_index=255, **options)
    compare(loss, lambda t: F.cross_entropy(t, torch.tensor(y), weight=w, ignore_index=255, **options), x, y, dtype)
    compare(loss, lambda t: F.cross_entropy(t, torch.tensor(soft), weight=w, **options), x, soft, dtype)


@shapes
@dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("pos_weight", [None, 2.5, [1.0, 0.5, 0.0, 2.0, 3.0]])
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy_with_logits(shape, dtype, reduction, pos_weight, weighted, backend):
    x, _, soft = data(shape, dtype)
    rng = np.random.default_rng(1)
    w = (rng.integers(0, 3, shape) / 2 if weighted else np.ones(shape)).astype(dtype)
    b = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.tensor(x).dtype)
    b = b.reshape(-1, *[1] * (len(shape) - 2)) if isinstance(pos_weight, list) else b

    def function(t):
        value = F.binary_cross_entropy_with_logits(
            t,
            torch.tensor(soft),
            weight=torch.tensor(w),
            pos_weight=b,
            reduction="sum" if reduction == "mean" else reduction,
        )
        return value / w.sum() if reduction == "mean" else value  # torch divides by the count instead

    loss = fl.BCEWithLogitsLoss(pos_weight=pos_weight, reduction=reduction)
    compare(loss, function, x, soft, dtype, pixel_weight=w if weighted else None)


def formula(t, y, kind, batch, squared=False, alpha=0.3, beta=0.7):
    """Dice, Jaccard and Tversky of probabilities, as their papers write them."""
    t, y = (a.reshape(*a.shape[:2], -1) for a in (t, y))
    axes = (0, 2) if batch else (2,)
    tp, fp, fn = (t * y).sum(axes), (t * (1 - y)).sum(axes), ((1 - t) * y).sum(axes)
    if kind == "dice":
        below = (t**2 + y**2).sum(axes) if squared else (t + y).sum(axes)
        return (1 - (2 * tp + 0.1) / (below + 0.1)).mean()
    a, b = (1, 1) if kind == "jaccard" else (alpha, beta)
    return (1 - (tp + 0.1) / (tp + a * fp + b * fn + 0.1)).mean()


@shapes
@dtypes
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
@pytest.mark.parametrize("kind", ["dice", "squared", "jaccard", "tversky"])
@pytest.mark.parametrize("dense", [False, True])
def test_region_losses(shape, dtype, batch, activation, kind, dense, backend):
    x, y, soft = data(shape, dtype)
    y[y == 255] = 0
    if activation is None:
        x = (1 / (1 + np.exp(-x))).astype(dtype)
    loss = {
        "dice": lambda **k: fl.DiceLoss(**k),
        "squared": lambda **k: fl.DiceLoss(squared=True, **k),
        "jaccard": lambda **k: fl.JaccardLoss(**k),
        "tversky": lambda **k: fl.TverskyLoss(alpha=0.3, beta=0.7, **k),
    }[kind](activation=activation, batch=batch, smooth=0.1)
    activate = {"softmax": lambda t: t.softmax(1), "sigmoid": torch.sigmoid, None: lambda t: t}[activation]
    target = torch.tensor(soft) if dense else F.one_hot(torch.tensor(y), 5).movedim(-1, 1).to(torch.tensor(x).dtype)
    name = "dice" if kind == "squared" else kind
    function = lambda t: formula(activate(t), target, name, batch, kind == "squared")  # noqa: E731
    compare(loss, function, x, soft if dense else y, dtype)


# ---- tensors as input


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_tensors_are_taken_as_they_are(dtype, backend):
    x, y, _ = data((2, 5, 17, 19), np.float64)
    t = torch.tensor(x).to(dtype).requires_grad_()
    loss = 0.5 * fl.DiceLoss(ignore_index=255) + 0.5 * fl.CrossEntropyLoss(ignore_index=255)
    numpy_dtype = ml_dtypes.bfloat16 if dtype == torch.bfloat16 else np.dtype(str(dtype).removeprefix("torch."))
    array = t.detach().double().numpy().astype(numpy_dtype)
    value, gradient = loss.value_and_grad(t, torch.tensor(y))
    want, want_gradient = loss.value_and_grad(array, y)
    assert value == want
    assert gradient.dtype == want_gradient.dtype
    assert (gradient == want_gradient).all()
    last = t.detach().permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert loss(last, torch.tensor(y)) == pytest.approx(want, rel=1e-6)  # NumPy's sums follow the strides


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.uint8], ids=str)
def test_tensors_are_not_copied(dtype):
    t = torch.ones((2, 3, 4), dtype=dtype)
    assert as_array(t, "input").ctypes.data == t.data_ptr()
    assert as_array(t[:, 1:], "input").ctypes.data == t[:, 1:].data_ptr()
