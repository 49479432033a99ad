"""The two passes of a loss as operators of torch, which torch.compile calls without looking inside.

An operator takes tensors, numbers and strings only. So a loss is passed as its key; see `_derived.key_of`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._derived import REGISTERED
from .autograd import SECOND, Tensors, backward_pass, forward_pass, refuse_maps

GIVEN = "Tensor input, Tensor? target, Tensor? pixel_weight, Tensor? distance_maps"


@torch.library.custom_op("fastloss::loss", mutates_args=(), schema=f"(str key, {GIVEN}) -> (Tensor, Tensor)")
def loss_op(key: str, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:
    done = forward_pass(REGISTERED[key], Tensors(*tensors))  # type: ignore[arg-type]
    return done.value, done.state


@loss_op.register_fake
def _(key: str, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:
    loss, given = REGISTERED[key], Tensors(*tensors)  # type: ignore[arg-type]
    x, double = given.input, torch.float64
    real = double if x.dtype == double else torch.float32
    refuse_maps(loss)
    if loss.reduction == "none":
        return x.new_empty(loss.map_shape(x.shape), dtype=real), x.new_empty(0, dtype=double)
    axis = 0 if x.ndim < 2 else 1 if loss.axis is None else loss.axis
    samples, classes = (x.shape[0] if x.ndim > 1 else 1), (x.shape[axis] if x.ndim else 1)
    return x.new_empty((), dtype=real), x.new_empty(loss.state_size(samples, classes), dtype=double)


@torch.library.custom_op(
    "fastloss::gradient", mutates_args=(), schema=f"(str key, Tensor state, Tensor grad, {GIVEN}) -> Tensor"
)
def gradient_op(key: str, state: Tensor, grad: Tensor, *tensors: Tensor) -> Tensor:
    return backward_pass(REGISTERED[key], state, None, grad, *tensors)


@gradient_op.register_fake
def _(key: str, state: Tensor, grad: Tensor, *tensors: Tensor) -> Tensor:
    return torch.empty_like(tensors[0])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.key, *tensors = inputs
    ctx.save_for_backward(*tensors, output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    *tensors, state = ctx.saved_tensors
    return None, gradient_op(ctx.key, state, grad, *tensors), None, None, None


loss_op.register_autograd(_backward, setup_context=_keep)


def _no_second(ctx: Any, *_: Any) -> Any:
    raise NotImplementedError(SECOND)


gradient_op.register_autograd(_no_second)
