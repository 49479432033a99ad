"""The losses for tensors of torch: modules, functions, and `wrap` for sums of losses.

Each loss of `fastloss` with one input is a module and a function here, with the same options. Where torch has the loss,
torch's names work as well: `CrossEntropyLoss(weight=...)`. The value is a tensor that torch differentiates.

>>> import torch
>>> import fastloss.torch as ft
>>> logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]], requires_grad=True)  # (N, C, *S)
>>> loss = ft.CrossEntropyLoss(ignore_index=255)(logits, torch.tensor([[0, 255]]))
>>> loss.backward()
>>> loss, logits.grad[0, :, 0]
(tensor(0.1269, grad_fn=<...>), tensor([-0.1192,  0.1192]))

    autograd.py   the forward and the backward pass, and the function that torch differentiates
    ops.py        the same passes as operators, for torch.compile
    calls.py      the choice between the two
    modules.py    the module of a loss, and `wrap`
    derived.py    the modules and functions, derived from the catalogue
    merging.py    sums over processes
    memory.py     memory for gradients that is used again
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastloss.torch: expected torch to be installed; run pip install "fastloss[torch]"', name="torch"
    ) from error

from typing import TYPE_CHECKING, Any

from .derived import derived
from .merging import all_reduce
from .modules import LossModule, wrap

__all__ = ["LossModule", "all_reduce", "wrap"]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # the derived modules and functions


_derived = derived(__name__)
__all__ += sorted(_derived)
globals().update(_derived)
