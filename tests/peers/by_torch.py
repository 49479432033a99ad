"""Computes value and gradient with torch, in float64 whatever our dtype, and compares them with ours."""

from __future__ import annotations

import numpy as np
import pytest
from compare import assert_close

torch = pytest.importorskip("torch")


def tensor(a):
    return torch.tensor(np.asarray(a, np.float64))


def gradient_of(function, x):
    """A torch function's value and the gradient of its sum, as arrays of float64."""
    t = tensor(x).requires_grad_()
    value = function(t)
    value.sum().backward()
    return value.detach().numpy(), t.grad.numpy()


def agree(ours, theirs, x, dtype, cancels=1):
    """`ours()`, (value, gradient), is that of the torch function of a tensor."""
    value, gradient = ours()
    want, want_gradient = gradient_of(theirs, x)
    assert_close(np.asarray(value, None if np.ndim(value) else np.float64), want, dtype, cancels=cancels)
    if dtype == np.float64:  # in which torch's p - y has an eps of 1
        gradient, want_gradient = np.append(gradient, 1.0), np.append(want_gradient, 1.0)
    assert_close(gradient, want_gradient, dtype, cancels=cancels)


ELEMENT_SHAPES = [(), (1,), (7,), (3, 4), (2, 5, 6), (2, 3, 4, 5), (2, 3, 1, 4, 5), (1, 1), (0, 3), (2, 600)]


def data(shape, dtype):
    rng = np.random.default_rng(0)
    x = 3 * rng.standard_normal(shape)
    y = rng.integers(0, shape[1], shape[:1] + shape[2:])
    y[rng.random(y.shape) < 0.2] = 255
    y.flat[0] = 0
    soft = rng.random(shape)
    return x.astype(dtype), y, (soft / soft.sum(axis=1, keepdims=True)).astype(dtype)
