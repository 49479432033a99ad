"""The module that all modules of `fastloss.torch` derive from, and `wrap`, which makes one of any loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._derived import key_of
from ..losses import Loss
from .autograd import Tensors
from .calls import apply


class LossModule(torch.nn.Module):
    """A loss as a module of torch. All modules of `fastloss.torch` derive from this class.

    A module has no parameters and no buffers, so its `state_dict` is empty, and `.to(...)` changes nothing.

    Parameters
    ----------
    loss : Loss
        The loss.
    group : ProcessGroup, default None
        The processes whose samples belong to the loss; see `wrap`.

    Attributes
    ----------
    loss : Loss
        The loss as `fastloss` has it.

    See Also
    --------
    wrap : Makes a module and checks its argument.
    """

    def __init__(self, loss: Loss, group: Any = None) -> None:
        super().__init__()
        self.loss, self.group, self._key = loss, group, key_of(loss)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._key = key_of(self.loss)  # in this process

    def forward(
        self,
        input: Tensor,
        target: Tensor | None,
        *,
        pixel_weight: Tensor | None = None,
        distance_maps: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch.

        Parameters
        ----------
        input : Tensor
            The input, on the CPU, of dtype float16, bfloat16, float32 or float64.
        target : Tensor
            The target, with the shapes and dtypes that the loss takes in `fastloss`. It may be None with maps.
        pixel_weight : Tensor, default None
            The weights of the pixels.
        distance_maps : Tensor, default None
            Ready-made maps, for `BoundaryLoss` and `HausdorffDTLoss`.

        Returns
        -------
        Tensor
            The loss: float64 for a float64 input, otherwise float32. With `reduction="none"`, it is a map.
        """
        return apply(self.loss, self._key, self.group, Tensors(input, target, pixel_weight, distance_maps))

    def extra_repr(self) -> str:
        text = repr(self.loss)
        return text if type(self) is LossModule else text.partition("(")[2].removesuffix(")")


def wrap(loss: Loss, *, group: Any = None) -> LossModule:
    """Make a module of any loss with one input, such as a sum of losses.

    Parameters
    ----------
    loss : Loss
        A loss of `fastloss`, a sum of losses, or a loss of your own.
    group : ProcessGroup, default None
        The processes of torch.distributed whose samples belong to the loss. The value is then that of all their
        samples, and each process gets the gradient of that value with respect to its own input.
        `DistributedDataParallel` divides gradients by the number of processes, so multiply the loss by that number.
        None: the samples of this process.

    Returns
    -------
    LossModule
        The module.

    Raises
    ------
    TypeError
        If `loss` is not a loss with one input.
    ValueError
        If `reduction` is "none" and a group is given.

    See Also
    --------
    all_reduce : The sum over processes by itself.

    Examples
    --------
    >>> import torch, fastloss as fl, fastloss.torch as ft
    >>> module = ft.wrap(0.5 * fl.DiceLoss() + fl.FocalLoss())
    >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
    >>> module(logits, torch.tensor([[0, 1, 1]])).backward()
    >>> logits.grad.shape
    torch.Size([1, 2, 3])
    """
    if not isinstance(loss, Loss):
        raise TypeError(f"loss: expected a loss with one input, got {type(loss).__name__}")
    if group is not None and loss.reduction == "none":
        raise ValueError("reduction: expected 'mean' or 'sum' with a group, got 'none'")
    return LossModule(loss, group)
