"""The call of a loss: the choice between the function for autograd and the operator for torch.compile."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..losses import Loss
from .autograd import Differentiated, Tensors, check, one_pass, refuse_maps
from .ops import loss_op


def apply(loss: Loss, key: str, group: Any, tensors: Tensors) -> Tensor:
    """The loss of tensors, as torch differentiates it."""
    value: Tensor
    check(loss, tensors)
    if torch.compiler.is_compiling():
        if group is not None:
            raise RuntimeError("group: expected None under torch.compile, whose graph cannot wait for other processes")
        value = loss_op(key, *tensors)[0]
        return value
    needed = tensors.input.requires_grad and torch.is_grad_enabled()
    if needed:
        refuse_maps(loss)
    ahead = needed and one_pass(loss, tensors.input)
    value = Differentiated.apply(loss, group, ahead, *tensors)[0]  # type: ignore[no-untyped-call]
    return value
