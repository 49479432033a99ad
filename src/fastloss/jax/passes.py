"""The two passes of a loss over the arrays of JAX, and the function that JAX differentiates."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from .._arrays import Array, real_dtype
from .._batch import Batch
from .._derived import REGISTERED, key_of
from .._engine.loss import MapsLoss
from .._engine.sums import SumLoss
from ..losses import Loss
from .ffi import call

Shape: Any = jax.ShapeDtypeStruct  # it has no types
ARGUMENTS = ("input", "target", "pixel_weight", "distance_maps")


def batch_of(loss: Loss, given: str, arrays: list[Array]) -> Batch:
    """The batch of a call, with the arrays that were given: the letters of ARGUMENTS."""
    return loss.batch_of_window(*arguments_of(given, arrays))


def arguments_of(given: str, arrays: list[Any]) -> list[Any]:
    """The arrays in the order of ARGUMENTS, with None for those that were not given."""
    rest = iter(arrays)
    return [next(rest) if name[0] in given else None for name in ARGUMENTS]


def value(key: str, arrays: list[Array], results: list[Array]) -> None:
    """Compute the value, or the map, and the state for the gradient."""
    given, _, name = key.partition(" ")
    loss = REGISTERED[name]
    batch = batch_of(loss, given, arrays)
    if loss.reduction == "none":
        results[0][...] = loss.value_map(batch)
        return
    numbers, sums = loss.forward(batch)
    results[0][...] = loss.value_of(numbers, batch.classes)
    results[1][...] = loss.pack(numbers, sums).view(np.uint32)


def gradient(key: str, arrays: list[Array], results: list[Array]) -> None:
    """Compute the gradient, times the incoming gradient. For a map, it is the gradient of the sum of the map."""
    given, _, name = key.partition(" ")
    loss = REGISTERED[name]
    state, factor, *rest = arrays
    batch = batch_of(loss, given, rest)
    out = batch.kernel_view(results[0])
    if loss.reduction == "none":
        loss.fill_gradient(batch, out, np.zeros(loss.partial_size(batch.classes)), [])
    else:
        loss.fill_gradient(batch, out, *loss.unpack(state.view(np.float64), batch), float(factor))


def stand_in(loss: Loss, arrays: list[Any]) -> Batch:
    """The batch of arrays that have only shapes and dtypes. It raises the errors that need no values."""
    empty = [None if a is None else np.broadcast_to(np.zeros((), a.dtype), a.shape) for a in arrays]
    return loss.checked_stand_ins(*empty)


@functools.lru_cache(maxsize=256)
def differentiated(key: str, given: str) -> Any:
    """The function of the given arrays that JAX differentiates with respect to the first."""
    loss = REGISTERED[key]
    name = f"{given} {key}"

    def shapes(arrays: tuple[Any, ...]) -> tuple[list[jax.ShapeDtypeStruct], Any]:
        batch = stand_in(loss, arguments_of(given, list(arrays)))
        real = real_dtype(batch.input.dtype)
        if loss.reduction == "none":
            shape = loss.map_shape(batch.shape)
            return [Shape(shape, real), Shape((0,), jnp.uint32)], batch
        size = 2 * loss.state_size(batch.samples, batch.classes)
        return [Shape((), real), Shape((size,), jnp.uint32)], batch

    @jax.custom_vjp
    def function(*arrays: Any) -> Any:
        return call(value, name, shapes(arrays)[0], *arrays)[0]

    def forward(*primals: Any) -> tuple[Any, Any]:
        for argument, primal in zip((n for n in ARGUMENTS if n[0] in given), primals, strict=True):
            if primal.perturbed and argument != "input":
                raise TypeError(
                    f"{argument}: expected an array that is not differentiated, got one that is; the gradient is that "
                    f"of the input only, so pass jax.lax.stop_gradient({argument})"
                )
        arrays = tuple(p.value for p in primals)
        result, state = call(value, name, shapes(arrays)[0], *arrays)
        return result, (state, arrays)

    def backward(saved: Any, incoming: Any) -> tuple[Any, ...]:
        state, arrays = saved
        x = arrays[0]
        none = loss.reduction == "none"
        batch = shapes(arrays)[1]
        out = Shape(x.shape, real_dtype(batch.input.dtype) if none else x.dtype)
        if isinstance(incoming, jax.custom_derivatives.SymbolicZero):
            return (jnp.zeros_like(x), *(None,) * (len(arrays) - 1))
        (found,) = call(gradient, name, [out], state, jnp.zeros(()) if none else incoming, *arrays)
        if none:
            factor = incoming if incoming.shape == x.shape else jnp.expand_dims(incoming, batch.axis or 0)
            found = jnp.where(found == 0, 0, found * factor).astype(x.dtype)
        return (found, *(None,) * (len(arrays) - 1))

    function.defvjp(forward, backward, symbolic_zeros=True)
    return function


def apply(loss: Loss, input: Any, target: Any, pixel_weight: Any = None, distance_maps: Any = None) -> Any:
    """The loss of arrays, as JAX differentiates it."""
    if distance_maps is not None and not isinstance(loss, MapsLoss):
        raise ValueError(f"distance_maps: expected None for {loss!r}, got {type(distance_maps).__name__}")
    if loss.reduction == "none" and not isinstance(loss, SumLoss):
        raise ValueError(f"reduction: expected 'mean' or 'sum' for a region loss of JAX, got 'none' in {loss!r}")
    arrays = (input, target, pixel_weight, distance_maps)
    given = "".join(name[0] for name, a in zip(ARGUMENTS, arrays, strict=True) if a is not None)
    return differentiated(key_of(loss), given)(*(jnp.asarray(a) for a in arrays if a is not None))
