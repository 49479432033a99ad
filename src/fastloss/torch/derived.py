"""The modules and functions of `fastloss.torch`, derived from the catalogue."""

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
from .autograd import Tensors
from .calls import apply
from .modules import LossModule

# torch's name for class_weight, in the losses that torch has. Its `weight` of binary losses weighs elements and leaves
# the mean's divisor unchanged, so it is not pixel_weight.
WEIGHTED = ("cross_entropy", "nll_loss", "multilabel_soft_margin_loss")


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
