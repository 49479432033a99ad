"""Numerical functions with the names and the behaviour of scipy.special, on the kernels of the losses; `check_grad`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _backend
from ._backend import Mode, Term
from ._batch import Array, Batch, as_array, as_input, broadcast, real_dtype
from .losses._checks import choice
from .losses.base import Loss

LONG = 4096  # elements of a single axis from which it is folded into two


def _floats(a: Any, name: str = "a") -> Array:
    array = as_array(a, name)
    return array.astype(np.float64) if array.dtype.kind in "iub" else as_input(array, name)


def _axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    chosen = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if any(not isinstance(k, (int, np.integer)) or not -ndim <= k < ndim for k in chosen):
        raise ValueError(f"axis: expected numbers in [{-ndim}, {ndim}), got {axis!r}")
    positive = tuple(k % ndim for k in chosen)
    if len(set(positive)) != len(positive):
        raise ValueError(f"axis: expected distinct axes, got {axis!r}")
    return positive


def _kernel_input(a: Array, axis: int) -> Batch:
    return Batch(np.moveaxis(a, axis, 0)[None], None, False, 0, None, (), a.shape, axis)


def _lse_one(a: Array, axis: int) -> Array:
    """log-sum-exp over one axis, in the dtype of the arithmetic."""
    n = a.shape[axis]
    if a.ndim == 1 and n >= LONG:  # a single pixel would waste the lanes: fold it (a view), and reduce twice
        width = 1024
        body = _lse_one(a[: n - n % width].reshape(-1, width), 0)
        return _lse_one(np.concatenate([body, a[n - n % width :].astype(body.dtype)]), 0)
    out = np.empty((1, *np.delete(a.shape, axis)), real_dtype(a.dtype))
    if n == 0:
        out.fill(-np.inf)
    else:
        _backend.run(_kernel_input(a, axis), (Term("logsumexp", "pixel"),), Mode.MAP, by_sample=False, output=out)
    result: Array = out[0]
    return result


def logsumexp(
    a: Any, axis: int | tuple[int, ...] | None = None, b: Any = None, keepdims: bool = False
) -> Array | np.floating[Any]:
    """Stable `log(sum(b * exp(a)))` over `axis`, as `scipy.special.logsumexp`.

    Parameters
    ----------
    a : array of any real dtype and layout
    axis : int, tuple of int or None (all)
    b : array that broadcasts to `a`, optional
        Factors of the exponentials; a negative sum gives nan. With it the work is NumPy's.
    keepdims : bool

    Returns the array (a scalar when nothing is left of the shape) in the dtype of the arithmetic: float64 for float64
    and integers, else float32. An empty sum is -inf.

    >>> import fastloss as fl
    >>> float(fl.logsumexp([1000.0, 1000.0]))
    1000.6931471805599
    """
    array = _floats(a)
    axes = _axes(axis, array.ndim)
    choice(keepdims, "keepdims", (True, False))
    if b is not None:
        return _weighted_logsumexp(array, axes, broadcast(as_array(b, "b"), array.shape, "b"), keepdims)
    result = array
    for k in sorted(axes, reverse=True):
        result = _lse_one(result, k)
    if not axes:
        result = array.astype(real_dtype(array.dtype))
    if keepdims:
        result = result.reshape([1 if k in axes else n for k, n in enumerate(array.shape)])
    return result[()]


def _weighted_logsumexp(a: Array, axes: tuple[int, ...], b: Array, keepdims: bool) -> Array | np.floating[Any]:
    real, given = real_dtype(a.dtype), a.shape
    kept = [n for k, n in enumerate(given) if k not in axes]
    a, b = (
        np.moveaxis(v.astype(real), axes, range(len(axes))).reshape(math.prod(given[k] for k in axes), *kept)
        for v in (a, b)
    )
    with np.errstate(all="ignore"):
        a = np.where(b == 0, -np.inf, a)
        m = a.max(axis=0, initial=-np.inf)
        m = np.where(np.isfinite(m), m, 0)
        terms = b * np.exp(a - m)
        # 1 + rest is the sum: near 1 the small terms count. That of the greatest exponential is kept out of them.
        largest = np.arange(len(a)).reshape(-1, *[1] * len(kept)) == (a.argmax(axis=0) if len(a) else 0)
        rest = np.where(largest, 0, terms).sum(axis=0) + (np.where(largest, terms, 0).sum(axis=0) - 1)
        result: Array = np.where(rest > -0.5, np.log1p(rest), np.log(terms.sum(axis=0))) + m
    shape = [1 if k in axes else n for k, n in enumerate(given)] if keepdims else kept
    return result.reshape(shape)[()]


def _transform(name: str, a: Any, axis: int | tuple[int, ...] | None) -> Array:
    array = _floats(a)
    axes = _axes(axis, array.ndim)
    out = np.empty_like(array, array.dtype.newbyteorder("="), subok=False)
    if len(axes) == 1 and (array.ndim > 1 or array.size < LONG):
        if array.size:
            view = np.moveaxis(out, axes[0], 0)[None]
            batch = _kernel_input(array, axes[0])
            _backend.run(batch, (Term(name, "transform"),), Mode.GRADIENT, by_sample=False, output=view)
        return out
    wide = array.astype(real_dtype(array.dtype), copy=False)
    with np.errstate(all="ignore"):
        most = wide.max(axis=axes, keepdims=True, initial=-np.inf)
        rows = wide - np.where(np.isfinite(most), most, 0)  # first, so that its log-sum-exp keeps its digits
        lse = np.asarray(logsumexp(rows, axes, keepdims=True))
        if name == "softmax":
            rows = np.exp(rows - np.where(lse == np.inf, np.nan, lse))  # inf / inf, and so are all the others
        else:
            rows = rows - lse
        out[...] = rows.astype(out.dtype)
    return out


def softmax(a: Any, axis: int | tuple[int, ...] | None = None) -> Array:
    """`exp(a) / sum(exp(a))` over `axis`, as `scipy.special.softmax`: of `a`'s shape and dtype (integers: float64).

    >>> import fastloss as fl
    >>> fl.softmax([0.0, 0.0, -float("inf")])
    array([0.5, 0.5, 0. ])
    """
    return _transform("softmax", a, axis)


def log_softmax(a: Any, axis: int | tuple[int, ...] | None = None) -> Array:
    """`log(softmax(a))` over `axis`, stable, as `scipy.special.log_softmax`: of `a`'s shape and dtype.

    >>> import fastloss as fl
    >>> fl.log_softmax([1000.0, 0.0])
    array([    0., -1000.])
    """
    return _transform("log_softmax", a, axis)


def _element(name: str, x: Any, label: str) -> Array | np.floating[Any]:
    """A function of each element, in the dtype of the arithmetic, then in the array's."""
    array = _floats(x, label)
    batch = Batch(array[None, None], None, False, 0, None, (), array.shape, None)
    out = np.empty_like(array, real_dtype(array.dtype), subok=False)
    _backend.run(batch, (Term(name, "element"),), Mode.MAP, by_sample=False, output=out[None, None])
    result: Array = out.astype(array.dtype.newbyteorder("="), copy=False)
    return result[()]


def sigmoid(x: Any) -> Array | np.floating[Any]:
    """`1 / (1 + exp(-x))`, as `scipy.special.expit`: of `x`'s shape and dtype (integers: float64).

    >>> import fastloss as fl
    >>> fl.sigmoid([0.0, -1000.0])
    array([0.5, 0. ])
    """
    return _element("sigmoid", x, "x")


def log_sigmoid(x: Any) -> Array | np.floating[Any]:
    """`log(sigmoid(x))`, stable, as `scipy.special.log_expit`: of `x`'s shape and dtype (integers: float64).

    >>> import fastloss as fl
    >>> fl.log_sigmoid([0.0, -1000.0])
    array([   -0.69314718, -1000.        ])
    """
    return _element("log_sigmoid", x, "x")


def softplus(x: Any) -> Array | np.floating[Any]:
    """`log(1 + exp(x))`, stable, as `torch.nn.functional.softplus`: of `x`'s shape and dtype (integers: float64).

    >>> import fastloss as fl
    >>> fl.softplus([0.0, 1000.0])
    array([6.93147181e-01, 1.00000000e+03])
    """
    return _element("softplus", x, "x")


def logit(p: Any) -> Array | np.floating[Any]:
    """`log(p / (1 - p))`, as `scipy.special.logit`: of `p`'s shape and dtype (integers: float64). nan outside [0, 1].

    >>> import fastloss as fl
    >>> fl.logit([0.5, 0.75, 1.0])
    array([0.        , 1.09861229,        inf])
    """
    return _element("logit", p, "p")


def entropy(p: Any, axis: int | tuple[int, ...] | None = None) -> Array | np.floating[Any]:
    """`-sum(p log p)` over `axis`, in natural units, with 0 log 0 = 0: `scipy.stats.entropy` without its normalising.

    A negative number gives -inf, as `scipy.special.entr` does. Returns the dtype of the arithmetic: float64 for float64
    and integers, else float32; sums are float64.

    >>> import fastloss as fl
    >>> fl.entropy([[0.5, 0.5], [1.0, 0.0]], axis=1)
    array([0.69314718, 0.        ])
    """
    array = _floats(p, "p")
    axes = _axes(axis, array.ndim)
    terms = np.asarray(_element("entropy", array.astype(real_dtype(array.dtype), copy=False), "p"))
    result: Array = terms.sum(axis=axes, dtype=np.float64).astype(terms.dtype)
    return result[()]


# ---- gradients against differences

# A mean over n elements has derivatives n times smaller than itself, so rounding (eps f / h) argues for a larger step
# than eps ** (1/3) = 6e-6, and the difference's own error (h^2) for a smaller one than 1e-4. With these two numbers the
# float64 errors of the tests' cases, of shape (2, 3, 7, 8), are below 2e-6, but for one of 6e-6 (logs of probabilities
# near 0); those of Dice, Jaccard and cross entropy are below 3e-7, where with (6e-6, 1e-3) they reach 6e-6.
STEP = 3e-5
SMALL = 1e-2  # of the largest: a smaller derivative is compared with that, for rounding reaches all alike


def check_grad(loss: Loss, x: Any, y: Any, /, **kw: Any) -> float:
    r"""The largest relative error of a loss's gradient, against central differences $(f(x+h) - f(x-h)) / 2h$.

    The gradient $g$ is that of `x` as it is; the differences $d$ are taken in float64, each element moved by $h = 3
    \cdot 10^{-5} \max(1, |x|)$, so an `x` of n elements costs 2n evaluations: for modest sizes. An element's error is
    $|g - d| / \max(|g|, |d|, 10^{-2} \max |d|)$. With `reduction="none"`, $f$ is the sum of the map (values that do not
    count, nan, aside).

    Parameters
    ----------
    loss : Loss
        Any loss of one input.
    x, y
        Its input and target. An element that is not finite does not move: its derivative is taken as 0.
    **kw
        The call's further arguments, such as `pixel_weight`.

    Returns the error, a float: nan if gradient or loss is, 0.0 for no element. At a kink (of `abs`, `max`) differences
    say nothing. Raises what the loss raises.

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
