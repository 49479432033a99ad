"""The modules and functions of `fastloss.torch`, derived from the catalogue, and `wrap`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import functional
from .._derived import NAMES, arguments_of, derived_doc, key_of, loss_from
from .._engine.functions import FUNCTIONS
from ..losses import Loss
from .autograd import Differentiated, Tensors, check, one_pass, refuse_maps
from .ops import loss_op

# torch's name for class_weight, in the losses that torch has. Its `weight` of binary losses weighs elements and leaves
# the mean's divisor unchanged, so it is not pixel_weight.
WEIGHTED = ("cross_entropy", "nll_loss", "multilabel_soft_margin_loss")


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


# ---- the derived modules and functions


def derived(module: str) -> dict[str, Any]:
    """All derived modules and functions by name, as attributes of the given module."""
    made: dict[str, Any] = {}
    for name in NAMES:
        function, cls = getattr(functional, name), FUNCTIONS[name]
        made[name] = _function(name, function, module)
        made[cls.__name__] = _module(name, cls, module)
    return made


def _options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options with the names of fastloss."""
    if name in WEIGHTED and options.get("weight") is not None:
        if options.get("class_weight") is not None:
            raise TypeError("weight: expected None next to class_weight, which is the same option, got both")
        options = options | {"class_weight": options["weight"]}
    if name in WEIGHTED:
        options = {k: v for k, v in options.items() if k != "weight"}
    return options


def _signature(name: str, documented: Any, result: Any) -> inspect.Signature:
    """The signature of a function or class of the catalogue, with `weight` where torch has it."""
    parameters = list(inspect.signature(documented).parameters.values())
    if name in WEIGHTED:
        at = next(k for k, p in enumerate(parameters) if p.name == "class_weight")
        parameters.insert(at, parameters[at].replace(name="weight"))
    return inspect.Signature(parameters, return_annotation=result)


def _note(name: str, text: str) -> str:
    return text + (" `weight` is torch's name for `class_weight`." if name in WEIGHTED else "")


def _function(name: str, function: Any, module: str) -> Callable[..., Tensor]:
    arrays = arguments_of(function)

    def call(input: Tensor, target: Tensor | None, /, **options: Any) -> Tensor:
        given = {k: options.pop(k) for k in arrays if k in options}
        tensors = Tensors(input, target, given.get("pixel_weight"), given.get("distance_maps"))
        if torch.compiler.is_compiling():
            return _compiled(name, options, tensors)
        loss = loss_from(name, _options(name, options))
        return apply(loss, "", None, tensors)

    call.__name__ = call.__qualname__ = name
    call.__module__ = module
    call.__doc__ = derived_doc(
        function,
        _note(name, f"The arrays are tensors on the CPU, and the result is a tensor; see `fastloss.{name}`."),
    )
    call.__signature__ = _signature(name, function, Tensor)  # type: ignore[attr-defined]
    return call


def _compiled(name: str, options: dict[str, Any], tensors: Tensors) -> Tensor:
    """The call of a function within compiled code, in which the options are constants."""
    for option, value in options.items():
        if isinstance(value, Tensor):
            raise TypeError(
                f"{option}: expected numbers in a call under torch.compile, got a tensor; make the module before"
            )
    loss, key = _constant(name, options)
    return apply(loss, key, None, tensors)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _constant(name: str, options: dict[str, Any]) -> tuple[Loss, str]:
    loss = loss_from(name, _options(name, options))
    return loss, key_of(loss)


def _module(name: str, cls: Any, module: str) -> type[LossModule]:
    def __init__(self: LossModule, **options: Any) -> None:
        LossModule.__init__(self, loss_from(name, _options(name, options)))

    body = {
        "__init__": __init__,
        "__module__": module,
        "__doc__": derived_doc(cls, _note(name, f"A module of torch; `fastloss.{cls.__name__}` describes the loss.")),
        "__signature__": _signature(name, cls, None),
    }
    return type(cls.__name__, (LossModule,), body)
