"""Tests fastloss.jax: every loss, compared with the same loss of arrays and with optax, under jit, grad and vmap."""

from __future__ import annotations

import inspect
import os
import re

import ml_dtypes
import numpy as np
import pytest
from cases import BY_NAME, CASES, SUM_CASES, images

import fastloss as fl

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # otherwise XLA logs how long it takes to compile
jax = pytest.importorskip("jax")

from jax import numpy as jnp  # noqa: E402

import fastloss.jax as fj  # noqa: E402
from fastloss._derived import NAMES  # noqa: E402
from fastloss.jax import ffi  # noqa: E402

X = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 4)), np.float32)
Y = jnp.array([[0, 1, 2, 0]] * 2)


def arrays(case, loss, dtype=np.float32, shape=(2, 5, 6, 7)):
    return [jnp.asarray(a) for a in images(case, loss, shape, dtype)]


@pytest.fixture(params=["ffi", "callback"])
def way(request, monkeypatch):
    """Runs the test with XLA's interface, and with the callback that another version of XLA gets."""
    if request.param == "callback":
        monkeypatch.setattr(ffi, "_registered", lambda run: None)
    return request.param


def test_this_version_of_xla_is_known():
    from fastloss.jax import passes

    assert ffi._registered(passes.value) == "fastloss_value"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradient_are_those_of_the_arrays(case):
    loss = case.make(5)
    x, y, w = arrays(case, loss)
    value, gradient = jax.value_and_grad(fj.wrap(loss))(x, y, pixel_weight=w)
    want, wanted = loss.value_and_grad(x, y, pixel_weight=w)
    assert (value.dtype, gradient.dtype) == (np.float32, np.float32)
    assert float(value) == pytest.approx(want, rel=1e-7, nan_ok=True)  # float32 holds the value to 6e-8
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())


SOME = ["ce-weight-smooth-255", "dice", "generalized-dice-simple-skip", "dice+boundary", "mse", "balanced"]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32], ids=str)
@pytest.mark.parametrize("name", SOME)
def test_within_jit(name, dtype, way):
    """The factor scales the gradient before it is rounded to the input's dtype."""
    loss = BY_NAME[name].make(5)
    x, y, w = arrays(BY_NAME[name], loss, dtype)
    jitted = jax.jit(jax.value_and_grad(lambda x: 1024 * fj.wrap(loss)(x, y, pixel_weight=w)))
    value, gradient = jitted(x)
    want, wanted = (1024 * loss).value_and_grad(x, y, pixel_weight=w)
    assert gradient.dtype == dtype
    assert float(value) == pytest.approx(want, rel=1e-6)
    rtol = 4 * float(ml_dtypes.finfo(dtype).eps)
    np.testing.assert_allclose(
        np.asarray(gradient, np.float64), wanted.astype(np.float64), rtol=rtol, atol=rtol * float(abs(wanted).max())
    )


@pytest.mark.parametrize("name", ["ce-weight-smooth-255", "bce-pos-vector-smooth", "boundary", "balanced"])
def test_a_map_takes_a_gradient_per_pixel(name, way):
    case = BY_NAME[name]
    assert case in SUM_CASES
    loss = case.make(5, reduction="none")
    x, y, w = arrays(case, loss)
    values, backward = jax.vjp(lambda x: fj.wrap(loss)(x, y, pixel_weight=w), x)
    want, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    np.testing.assert_array_equal(values, want)
    incoming = np.random.default_rng(1).standard_normal(want.shape).astype(np.float32)
    expected = np.expand_dims(incoming, [] if loss.kind == "element" else [1]) * gradient
    np.testing.assert_allclose(backward(jnp.asarray(incoming))[0], expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [1, -1])
def test_other_axes_and_one_sample(axis):
    x, y = (X if axis == 1 else X.swapaxes(1, 2)), Y
    value, gradient = jax.value_and_grad(lambda x: fj.cross_entropy(x, y, axis=axis))(x)
    want, wanted = fl.CrossEntropyLoss(axis=axis).value_and_grad(x, y)
    assert float(value) == pytest.approx(want, rel=1e-6)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6)
    one = jax.grad(fj.cross_entropy)(X[0, :, 0], Y[0, 0])
    np.testing.assert_allclose(one, fl.CrossEntropyLoss().value_and_grad(X[0, :, 0], Y[0, 0])[1], rtol=1e-6)


def test_vmap_calls_each_element(way):
    def one(x, y):
        return fj.dice_loss(x[None], y[None])

    values = jax.vmap(one)(X, Y)
    np.testing.assert_allclose(values, [float(one(x, y)) for x, y in zip(X, Y, strict=True)], rtol=1e-6)
    gradients = jax.jit(jax.vmap(jax.grad(one)))(X, Y)
    np.testing.assert_allclose(gradients, [jax.grad(one)(x, y) for x, y in zip(X, Y, strict=True)], rtol=1e-6)


def test_empty_arrays():
    assert np.isnan(fj.cross_entropy(X[:0], Y[:0]))
    assert jax.grad(fj.dice_loss)(X[:, :, :0], Y[:, :0]).shape == (2, 3, 0)


def test_large_arrays_take_huge_pages():
    """An array of 5 MB, whose gradient begins anywhere on a page."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 5, 512, 512)), np.float32)
    y = jnp.zeros((1, 512, 512), int)
    np.testing.assert_array_equal(jax.grad(fj.cross_entropy)(x, y), fl.CrossEntropyLoss().value_and_grad(x, y)[1])


def optax_losses():
    optax = pytest.importorskip("optax")
    return {
        "cross_entropy": lambda x, y: optax.softmax_cross_entropy_with_integer_labels(x, y, axis=1),
        "mse_loss": lambda x, y: optax.squared_error(x, jnp.zeros_like(x)),
        "huber_loss": lambda x, y: optax.huber_loss(x, jnp.zeros_like(x)),
    }


@pytest.mark.parametrize("name", ["cross_entropy", "mse_loss", "huber_loss"])
def test_optax_has_the_same(name):
    peer = optax_losses()[name]
    target = Y if name == "cross_entropy" else jnp.zeros_like(X)
    value, gradient = jax.value_and_grad(getattr(fj, name))(X, target)
    want, wanted = jax.value_and_grad(lambda x: peer(x, Y).mean())(X)
    np.testing.assert_allclose(value, want, rtol=1e-6)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-8)


def second(loss):
    return jax.grad(lambda x: jax.grad(loss)(x, Y).sum())(X)


# fmt: off
ERRORS = [
    ("fj.cross_entropy(X, Y[:1])", ValueError,
     "target: expected shape (N, *S) = (2, 4) (labels) or (2, 3, 4) (dense), got (1, 4)"),
    ("jax.jit(fj.cross_entropy)(X.astype(int), Y)", TypeError,
     "input: expected float16, bfloat16, float32 or float64, got int32"),
    ("fj.cross_entropy(X, Y, gamma=2)", TypeError, "cross_entropy() got an unexpected keyword argument 'gamma'"),
    ("fj.cross_entropy(X, Y, distance_maps=X)", TypeError,
     "cross_entropy() got an unexpected keyword argument 'distance_maps'"),
    ("fj.wrap(fl.FocalLoss())(X, Y, distance_maps=X)", ValueError,
     "distance_maps: expected None for FocalLoss(), got "),
    ("fj.dice_loss(X, Y, reduction='none')", ValueError,
     "reduction: expected 'mean' or 'sum' for a region loss of JAX, got 'none' in DiceLoss(reduction='none')"),
    ("fj.wrap(1)", TypeError, "loss: expected a loss with one input, got int"),
    ("jax.grad(fj.mse_loss, argnums=1)(X, X)", TypeError,
     "target: expected an array that is not differentiated, got one that is; the gradient is that of the input only, "
     "so pass jax.lax.stop_gradient(target)"),
    ("second(fj.cross_entropy)", ValueError, "The FFI call to `fastloss_value` cannot be differentiated"),
    ("jax.jvp(lambda x: fj.cross_entropy(x, Y), (X,), (X,))", TypeError, "can't apply forward-mode "),
    ("fj.cross_entropy(X, Y + 3).block_until_ready()", Exception,
     "INVALID_ARGUMENT: fastloss._faults.LabelError: target: expected labels in [0, 3) or ignore_index, got 3 at (0, "),
]
# fmt: on


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=[call for call, *_ in ERRORS])
def test_error(call, kind, message):
    with pytest.raises(kind, match="^" + re.escape(message)):
        eval(call)


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_has_a_function(name):
    function = getattr(fj, name)
    assert name in fj.__all__
    assert list(inspect.signature(function).parameters) == list(inspect.signature(getattr(fl, name)).parameters)
    assert function.__doc__.splitlines()[0] == inspect.getdoc(getattr(fl, name)).splitlines()[0]


def test_without_jax_the_error_names_the_extra(monkeypatch):
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "jax", None)
    for name in [m for m in sys.modules if m.startswith("fastloss.jax")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=re.escape('run pip install "fastloss[jax]"')):
        importlib.import_module("fastloss.jax")
