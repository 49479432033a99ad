"""The two passes of a loss over tensors, and the function that torch differentiates.

`forward_pass` reads the input once, and `backward_pass` writes the gradient once, times the incoming gradient. Between
them, torch keeps the input and a few numbers. For most losses without a region, the gradient comes with the value, in
one pass. ops.py has the two passes as operators for torch.compile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._arrays import Array, as_array, is_bfloat16, real_dtype
from .._batch import Batch
from .._engine.loss import MapsLoss
from .._engine.sums import SumLoss
from ..losses import Loss
from .memory import spare
from .merging import all_reduce

SECOND = "fastloss.torch: expected a first derivative, got the derivative of a gradient"


class Tensors(NamedTuple):
    """The tensors of a call."""

    input: Tensor
    target: Tensor | None
    pixel_weight: Tensor | None
    distance_maps: Tensor | None


def check(loss: Loss, tensors: Tensors) -> None:
    """Refuse what would fail later, or silently."""
    for name, tensor in zip(Tensors._fields, tensors, strict=True):
        if tensor is None and name != "input":
            continue
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name}: expected a tensor, got {type(tensor).__name__}")
        if tensor.device.type != "cpu":
            raise TypeError(
                f"{name}: expected a tensor on the CPU, got one on {tensor.device}; pass {name}.cpu(), or use a loss "
                "of torch"
            )
        if name != "input" and tensor.requires_grad and torch.is_grad_enabled():
            raise TypeError(
                f"{name}: expected a tensor that does not require grad, got one that does; the gradient is that of the "
                f"input only, so pass {name}.detach()"
            )
    if tensors.distance_maps is not None and not isinstance(loss, MapsLoss):
        raise ValueError(f"distance_maps: expected None for {loss!r}, got Tensor")


def refuse_maps(loss: Loss) -> None:
    """Refuse the values of a region loss, whose gradients differ by class. Only a map of pixels has one per pixel."""
    if loss.reduction == "none" and not isinstance(loss, SumLoss):
        raise ValueError(
            "reduction: expected 'mean' or 'sum' for the gradient of a region loss, and under torch.compile, got "
            f"'none' in {loss!r}"
        )


def to_array(tensor: Tensor | None, name: str) -> Array | None:
    return None if tensor is None else as_array(tensor.detach(), name)


def to_tensor(array: Array) -> Tensor:
    """A tensor over the memory of an array."""
    if is_bfloat16(array.dtype):
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def like(tensor: Tensor, dtype: Any) -> Array:
    """An array for a gradient, with the strides of `torch.empty_like`, over memory that is in place if possible."""
    strides = torch.empty_like(tensor, device="meta").stride()
    size = np.dtype(dtype).itemsize
    return np.ndarray(tensor.shape, dtype, spare(tensor.numel() * size), strides=[step * size for step in strides])


def batch_of(loss: Loss, tensors: Tensors, made: Tensor | None = None) -> Batch:
    """The batch of a call. made: the weights that the forward pass made from the data."""
    arrays = [to_array(tensor, name) for name, tensor in zip(Tensors._fields, tensors, strict=True)]
    if made is None:
        return loss.batch_of_window(*arrays)
    batch = loss.checked_stand_ins(*arrays)
    weights = to_array(made, "make_weights")
    return batch.having(weight=weights) if loss.weights_in_mean else batch.having(maps=weights)


class Forward(NamedTuple):
    """What a forward pass returns: the loss, and what a backward pass needs."""

    value: Tensor
    state: Tensor
    made: Tensor | None  # the weights that the loss made from the data
    gradient: Tensor | None  # the gradient, if it came with the value


def forward_pass(loss: Loss, tensors: Tensors, group: Any = None, ahead: bool = False) -> Forward:
    """Compute the loss.

    group: the processes whose samples belong to the loss; None: only this process. ahead: compute the gradient as well.
    """
    batch = batch_of(loss, tensors)
    kept = batch.weight if loss.weights_in_mean else batch.maps
    made = to_tensor(kept) if loss.makes_weights and tensors.distance_maps is None and kept is not None else None
    if loss.reduction == "none":
        empty = torch.empty(0, dtype=torch.float64)
        return Forward(torch.from_numpy(np.asarray(loss.value_map(batch))), empty, made, None)
    sums: list[Array] = []
    gradient = None
    if group is not None:
        numbers = all_reduce(loss.partial_of_batch(batch), group).numbers[0]
    elif ahead:
        out = like(tensors.input, batch.input.dtype)
        numbers, gradient = loss.forward_and_gradient(batch, batch.kernel_view(out)), to_tensor(out)
    else:
        numbers, sums = loss.forward(batch)
    real = torch.float64 if real_dtype(batch.input.dtype).itemsize == 8 else torch.float32
    value = torch.tensor(loss.value_of(numbers, batch.classes), dtype=real)
    return Forward(value, torch.from_numpy(loss.pack(numbers, sums)), made, gradient)


def one_pass(loss: Loss, input: Tensor) -> bool:
    """Whether the gradient can come with the value, in three quarters of the time of two passes.

    The coefficients of a linear loss depend on the weights only. A half gradient is scaled before it is rounded, so it
    waits for the backward pass.
    """
    return loss.is_linear() and loss.reduction != "none" and input.element_size() >= 4


def backward_pass(loss: Loss, state: Tensor, made: Tensor | None, grad: Tensor, *given: Tensor) -> Tensor:
    """The gradient with respect to the input. grad: the gradient with respect to what the forward pass returned."""
    tensors = Tensors(*given)
    batch = batch_of(loss, tensors, made)
    dtype = batch.input.dtype
    if loss.reduction != "none":
        out = like(tensors.input, dtype)
        loss.fill_gradient(batch, batch.kernel_view(out), *loss.unpack(state.numpy(), batch), grad.item())
        return to_tensor(out)
    out = like(tensors.input, real_dtype(dtype))  # float32 for half inputs, because a product follows
    loss.fill_gradient(batch, batch.kernel_view(out), np.zeros(loss.partial_size(batch.classes)), [])
    gradient = to_tensor(out)
    # A pixel that does not count has the gradient 0, whatever comes in.
    nothing = None if bool(grad.isfinite().all()) else gradient == 0
    gradient *= grad if grad.shape == gradient.shape else grad.unsqueeze(batch.axis or 0)
    return (gradient if nothing is None else gradient.masked_fill_(nothing, 0)).to(tensors.input.dtype)


class Differentiated(torch.autograd.Function):
    """A loss as torch differentiates it. The outputs are those of `forward_pass`."""

    @staticmethod
    def forward(loss: Loss, group: Any, ahead: bool, *tensors: Tensor | None) -> Forward:
        return forward_pass(loss, Tensors(*tensors), group, ahead)  # type: ignore[arg-type]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Forward) -> None:
        ctx.loss, _, _, *tensors = inputs
        _, state, made, ctx.gradient = output
        ctx.mark_non_differentiable(*(t for t in output[1:] if t is not None))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, state, made)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        *tensors, state, made = ctx.saved_tensors  # raises if a tensor has changed since
        gradient, ctx.gradient = ctx.gradient, None  # it is given away once; a graph that is kept computes it again
        if grad is None:
            gradient = None
        elif torch.is_grad_enabled():  # create_graph=True
            gradient = Once.apply(ctx.loss, state, made, grad, *tensors)  # type: ignore[no-untyped-call]
        elif gradient is None or not bool(grad.isfinite()):  # inf times the 0 of a pixel that does not count is nan
            gradient = backward_pass(ctx.loss, state, made, grad, *tensors)
        elif grad != 1:
            gradient *= grad
        return None, None, None, gradient, None, None, None

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError(
            f"fastloss.torch: expected a gradient by backward(), got a forward-mode derivative of {ctx.loss!r}"
        )

    @staticmethod
    def vmap(*_: Any) -> Any:
        raise NotImplementedError("fastloss.torch: expected a batch within the tensors, got torch.func.vmap")


class Once(torch.autograd.Function):
    """`backward_pass`, which has no derivative of its own."""

    @staticmethod
    def forward(*arguments: Any) -> Tensor:
        return backward_pass(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep nothing. torch.func needs this method."""

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError(SECOND)
