"""How a function is made from its loss: the docstring, and the call. Used by the modules beside this one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ..losses import Loss

Function = TypeVar("Function", bound=Callable[..., Any])


def documented(loss: Callable[..., Any]) -> Callable[[Function], Function]:
    """Give a function its loss's docstring, the example aside, which calls the object form."""

    def document(function: Function) -> Function:
        body, _, rest = inspect.cleandoc(loss.__doc__ or "").partition("\n>>> ")
        _, _, see_also = rest.partition("\n\n")
        own = inspect.cleandoc(function.__doc__ or "")
        object_form = f"The object form, for gradients and partials: `{loss.__name__}`."
        function.__doc__ = f"{body}\n{own}\n\n{object_form}\n{see_also}"
        return function

    return document


def function_of(loss: Callable[..., Loss]) -> Callable[[Function], Function]:
    """`documented`, for a function that does no more than `call`; the loss without options is made only once."""
    default = loss()

    def make(function: Function) -> Function:
        @functools.wraps(documented(loss)(function))
        def with_default(*arrays: Any, **options: Any) -> float | Any:
            # To bind arguments that are not given and to look them up again takes a microsecond.
            return (
                default(*arrays)
                if len(arrays) == 2 and not options
                else cast("float | Any", function(*arrays, **options))
            )

        return cast(Function, with_default)

    return make


def call(loss: Callable[..., Loss], arguments: dict[str, Any]) -> float | Any:
    """Make the loss from a function's own arguments and call it."""
    input, target = arguments.pop("input"), arguments.pop("target")
    data = {"pixel_weight": arguments.pop("pixel_weight")}
    if "distance_maps" in arguments:
        data["distance_maps"] = arguments.pop("distance_maps")
    try:
        made = _made(loss, **arguments)
    except TypeError:  # a list or an array among them cannot be looked up, or is wrong
        made = None
    if made is None:  # here, so that an error comes alone
        made = loss(**arguments)
    return made(input, target, **data)


@functools.lru_cache(maxsize=256, typed=True)
def _made(loss: Callable[..., Loss], **options: Any) -> Loss:
    """A loss with these options; the same one for the same options, as losses are frozen."""
    return loss(**options)
