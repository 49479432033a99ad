"""The diagonal of a loss's Hessian, or an upper bound of the Hessian, for losses of pixels and of elements.

loss.py calls `hessian_of` for `value_and_grad(..., hessian=...)`. The kernels compute it in a pass of its own, from the
coefficients of the gradient. Weights that a loss makes from the data are held fixed, as they are in the gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _backend
from .._arrays import Array
from .._batch import Batch
from .._options import choice
from .._terms import Mode
from .exact_sum import exact_sum
from .formula import Formula

KINDS = (None, "diagonal", "bound")


def check_hessian(loss: Any, kind: Any) -> None:
    """Refuse an argument `hessian` that is not one of `KINDS`, or that the loss does not have."""
    choice(kind, "hessian", KINDS)
    if kind is None:
        return
    for weight, part in loss.summands():
        if not _backend.has_hessian(part.kernel_terms):
            raise ValueError(
                f"hessian: expected None for {part!r}, got {kind!r}; losses of pixels and of elements have a Hessian, "
                "such as CrossEntropyLoss, FocalLoss, BCEWithLogitsLoss, BinaryFocalLoss, MSELoss and HuberLoss"
            )
        if kind == "bound" and weight < 0:
            raise ValueError(f"hessian: expected 'diagonal' for a sum with a negative factor, got 'bound' for {loss!r}")


def hessian_of(loss: Formula, batch: Batch, gradient: Array, kind: str) -> Array:
    """The array of second derivatives, with the dtype, shape and layout of the gradient."""
    result: Array = np.empty_like(gradient)
    out, mode = batch.kernel_view(result), Mode.GRADIENT | Mode.HESSIAN | (Mode.BOUND if kind == "bound" else 0)
    by_sample, parts = loss.groups_by_sample(batch), loss._parts(batch)
    known = Mode.WEIGH if loss.is_linear() else Mode.FORWARD  # the coefficients of a linear loss need no values
    sums = loss.sums(batch, known) if parts is None else []
    numbers = exact_sum(loss.merged(sums or loss.sums(part, known)) for _, part in parts or [(slice(None), batch)])[0]
    for cut, part in parts or [(slice(None), batch)]:
        coefs = loss.coefficients(sums or loss.sums(part, known), numbers, batch.classes)
        _backend.run(part, loss.kernel_terms, mode, by_sample, output=out[cut], coefs=coefs)
    return result
