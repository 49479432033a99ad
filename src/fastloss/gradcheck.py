"""The comparison of a loss's gradient with finite differences of its values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._arrays import Array, as_input
from ._engine.loss import Loss

# A mean over n elements has derivatives n times smaller than itself, so rounding (eps f / h) argues for a larger step
# than eps ** (1/3) = 6e-6; the error of the difference (h^2) argues for a smaller one than 1e-4. With these two numbers
# the float64 errors of the test cases, of shape (2, 3, 7, 8), are below 2e-6, except for one of 6e-6 (logs of
# probabilities near 0). Those of Dice, Jaccard and cross entropy are below 3e-7; with (6e-6, 1e-3) they reach 6e-6.
STEP = 3e-5
SMALL = 1e-2  # smaller derivatives are compared with this share of the largest, since rounding affects all alike


def check_grad(loss: Loss, x: Any, y: Any, /, **kw: Any) -> float:
    r"""The largest relative error of a loss's gradient, against central differences $(f(x+h) - f(x-h)) / 2h$.

    The gradient $g$ is computed in the dtype of `x`, the differences $d$ in float64. Each element moves by $h = 3 \cdot
    10^{-5} \max(1, |x|)$, so an `x` of n elements costs 2n evaluations. The error of an element is $|g - d| / \max(|g|,
    |d|, 10^{-2} \max |d|)$. With `reduction="none"`, $f$ is the sum of the map without its nan.

    Parameters
    ----------
    loss : Loss
        A loss of one input.
    x : array
        Its input. An element that is not finite does not move; its derivative counts as 0.
    y : array
        Its target.
    **kw
        Further arguments of the call, such as `pixel_weight`.

    Returns
    -------
    float
        The largest error: nan if the gradient or the loss is nan, 0.0 for an empty input. At a kink, as of `abs` and
        `max`, differences are no check.

    Raises
    ------
    TypeError
        If `loss` is not a loss of one input; the call raises the errors of the loss.

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
    """The loss where one element is `end`."""
    at[k] = end
    return float(np.nansum(loss(at, y, **kw))) if loss.reduction == "none" else float(loss(at, y, **kw))
