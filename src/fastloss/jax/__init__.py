"""The losses for arrays of JAX on the CPU: functions, and `wrap` for sums of losses.

Each loss of `fastloss` with one input is a function here, with the same options. `jax.grad` differentiates it with
respect to the input, and `jax.jit` compiles the code around it. `jax.vmap` calls it once per element.

>>> import jax, jax.numpy as jnp
>>> import fastloss.jax as fj
>>> logits = jnp.array([[[2.0, 0.0], [0.0, 1.0]]])  # (N, C, *S)
>>> value, gradient = jax.jit(jax.value_and_grad(fj.cross_entropy))(logits, jnp.array([[0, 1]]))
>>> print(value)
0.22009486

    passes.py     the forward and the backward pass, and the function that JAX differentiates
    ffi.py        calls from compiled code without a copy
"""

from __future__ import annotations

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastloss.jax: expected jax to be installed; run pip install "fastloss[jax]"', name="jax"
    ) from error

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import functional
from .._derived import NAMES, arguments_of, derived_doc, loss_from
from ..losses import Loss
from .passes import apply

__all__ = ["wrap"]


def wrap(loss: Loss) -> Callable[..., Any]:
    """Make a function of any loss with one input, such as a sum of losses.

    Parameters
    ----------
    loss : Loss
        A loss of `fastloss`, a sum of losses, or a loss of your own.

    Returns
    -------
    callable
        The function of `input`, `target`, and as keywords `pixel_weight` and `distance_maps`.

    Raises
    ------
    TypeError
        If `loss` is not a loss with one input.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, fastloss as fl, fastloss.jax as fj
    >>> function = fj.wrap(0.5 * fl.DiceLoss() + fl.FocalLoss())
    >>> jax.grad(function)(jnp.zeros((1, 2, 3)), jnp.array([[0, 1, 1]])).shape
    (1, 2, 3)
    """
    if not isinstance(loss, Loss):
        raise TypeError(f"loss: expected a loss with one input, got {type(loss).__name__}")

    def function(input: Any, target: Any, /, *, pixel_weight: Any = None, distance_maps: Any = None) -> Any:
        return apply(loss, input, target, pixel_weight, distance_maps)

    function.__name__ = function.__qualname__ = type(loss).__name__
    return function


def _function(name: str) -> Callable[..., Any]:
    documented = getattr(functional, name)
    arrays = arguments_of(documented)

    def call(input: Any, target: Any, /, **options: Any) -> Any:
        given = {k: options.pop(k) for k in arrays if k in options}
        return apply(loss_from(name, options), input, target, **given)

    call.__name__ = call.__qualname__ = name
    call.__module__ = __name__
    call.__doc__ = derived_doc(documented, f"The arrays and the result are arrays of JAX; see `fastloss.{name}`.")
    call.__signature__ = inspect.signature(documented).replace(return_annotation=Any)  # type: ignore[attr-defined]
    return call


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # the derived functions


__all__ += NAMES
globals().update({name: _function(name) for name in NAMES})
