"""The two passes of a loss as operators of torch, which torch.compile calls without looking inside.

An operator takes tensors, numbers and strings only. So a loss is passed as a key of `LOSSES`. The key is the repr of
the loss, because compiled code is cached on disk and must mean the same loss in another process.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..losses import Loss
from .autograd import SECOND, Tensors, backward_pass, forward_pass, refuse_maps

LOSSES: dict[str, Loss] = {}
GIVEN = "Tensor input, Tensor? target, Tensor? pixel_weight, Tensor? distance_maps"


def key_of(loss: Loss) -> str:
    """The key of a loss, which is registered on the first call."""
    key = repr(loss)
    while LOSSES.setdefault(key, loss) != loss:  # another class of the same name
        key += "'"
    return key


@torch.library.custom_op("fastloss::loss", mutates_args=(), schema=f"(str key, {GIVEN}) -> (Tensor, Tensor)")
def loss_op(key: str, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:
    value, state, _ = forward_pass(LOSSES[key], Tensors(*tensors))  # type: ignore[arg-type]
    return value, state


@loss_op.register_fake
def _(key: str, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:
    loss, given = LOSSES[key], Tensors(*tensors)  # type: ignore[arg-type]
    x, double = given.input, torch.float64
    real = double if x.dtype == double else torch.float32
    refuse_maps(loss)
    if loss.reduction == "none":
        return x.new_empty(map_shape(loss, x), dtype=real), x.new_empty(0, dtype=double)
    axis = 0 if x.ndim < 2 else 1 if loss.axis is None else loss.axis
    samples, classes = (x.shape[0] if x.ndim > 1 else 1), (x.shape[axis] if x.ndim else 1)
    return x.new_empty((), dtype=real), x.new_empty(loss.state_size(samples, classes), dtype=double)


def map_shape(loss: Loss, x: Tensor) -> list[Any]:
    """The shape of the map that reduction="none" returns."""
    shape = list(x.shape)
    if loss.kind != "element":
        del shape[0 if x.ndim < 2 else 1 if loss.axis is None else loss.axis]
    return shape


@torch.library.custom_op(
    "fastloss::gradient", mutates_args=(), schema=f"(str key, Tensor state, Tensor grad, {GIVEN}) -> Tensor"
)
def gradient_op(key: str, state: Tensor, grad: Tensor, *tensors: Tensor) -> Tensor:
    return backward_pass(LOSSES[key], state, None, grad, *tensors)


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
