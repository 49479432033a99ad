"""The comparison of a loss's gradient with finite differences of its values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._arrays import Array, as_input
from ._engine.loss import Loss

# A mean over n elements has derivatives n times smaller than itself. So the rounding error (eps f / h) needs a larger
# step than eps ** (1/3) = 6e-6, while the error of the difference (h^2) needs a step below 1e-4. With STEP = 3e-5 and
# SMALL = 1e-2, the float64 errors of the test cases, of shape (2, 3, 7, 8), are below 2e-6, except for one of 6e-6
# (logs of probabilities near 0). The errors of Dice, Jaccard and cross entropy are below 3e-7. With STEP = 6e-6 and
# SMALL = 1e-3, they would reach 6e-6.
STEP = 3e-5
SMALL = 1e-2  # the error of a smaller derivative is relative to this share of the largest; rounding affects all alike


def check_grad(loss: Loss, x: Any, y: Any, /, **kw: Any) -> float:
    r"""The largest relative error of a loss's gradient, compared with central differences $(f(x+h) - f(x-h)) / 2h$.

    The gradient $g$ is computed in the dtype of `x`, the differences $d$ in float64. Each element moves by $h = 3 \cdot
    10^{-5} \max(1, |x|)$, so an `x` with n elements takes 2n evaluations. The error of an element is $|g - d| /
    \max(|g|, |d|, 10^{-2} \max |d|)$. With `reduction="none"`, $f$ is the sum of the map, without the nan values.

    Parameters
    ----------
    loss : Loss
        A loss with one input.
    x : array
        The input of the loss. An element that is not finite does not move; its difference counts as 0.
    y : array
        The target of the loss.
    **kw
        Further arguments of the call, such as `pixel_weight`.

    Returns
    -------
    float
        The largest error. It is nan if the gradient or the loss is nan, and 0.0 for an empty input. At a kink, such as
        those of `abs` and `max`, differences cannot check a gradient.

    Raises
    ------
    TypeError
        If `loss` is not a loss with one input. The errors of the loss itself are raised as well.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.check_grad(fl.CrossEntropyLoss(), [[2.0, 0.0, -1.0]], [0]) < 1e-8
    True
    """
    if not isinstance(loss, Loss):
        raise TypeError(f"loss: expected a loss of one input, got {type(loss).__name__}")
    given = as_input(x, "x")
    gradient = np.asarray(loss.value_and_grad(given, y, **kw)[1], np.float64)
    at = np.array(given, np.float64)
    differences = np.zeros_like(at)
    for k in np.ndindex(at.shape):
        middle = float(at[k])
        if np.isfinite(middle):
            h = STEP * max(1.0, abs(middle))
            ends = middle - h, middle + h
            low, high = (_moved(loss, at, k, end, y, kw) for end in ends)
            at[k] = middle
            differences[k] = (high - low) / (ends[1] - ends[0])
    sizes = np.maximum(np.abs(gradient), np.abs(differences))
    sizes = np.maximum(sizes, SMALL * np.abs(differences).max(initial=0))
    errors = np.divide(np.abs(gradient - differences), sizes, out=np.zeros_like(sizes), where=sizes != 0)
    return float(errors.max(initial=0))


def _moved(loss: Loss, at: Array, k: tuple[int, ...], end: float, y: Any, kw: dict[str, Any]) -> float:
    """The loss with element k of the input set to `end`."""
    at[k] = end
    return float(np.nansum(loss(at, y, **kw))) if loss.reduction == "none" else float(loss(at, y, **kw))
