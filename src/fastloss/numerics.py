"""Numerical functions with the names and the behaviour of scipy.special, computed by the kernels of the losses."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from . import _backend
from ._arrays import Array, as_array, as_input, broadcast, real_dtype
from ._batch import Batch
from ._options import choice
from ._terms import Mode, Term, Terms

LONG = 4096  # an array's only axis is folded into two if it has at least so many elements


@functools.cache
def _kernel(name: str, kind: str) -> Terms:
    """The terms of a run with only one kernel, which has no parameters."""
    return Terms([Term(name, kind)])


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
    return Batch(np.moveaxis(a, axis, 0)[None], None, False, (), a.shape, axis)


def _lse_one(a: Array, axis: int) -> Array:
    """Compute the log-sum-exp over one axis, in the dtype of the arithmetic."""
    n = a.shape[axis]
    if a.ndim == 1 and n >= LONG:  # one pixel would use one vector lane: fold the axis and reduce twice
        width = 1024
        body = _lse_one(a[: n - n % width].reshape(-1, width), 0)
        return _lse_one(np.concatenate([body, a[n - n % width :].astype(body.dtype)]), 0)
    out = np.empty((1, *np.delete(a.shape, axis)), real_dtype(a.dtype))
    if n == 0:
        out.fill(-np.inf)
    else:
        _backend.run(_kernel_input(a, axis), _kernel("logsumexp", "pixel"), Mode.MAP, by_sample=False, output=out)
    result: Array = out[0]
    return result


def logsumexp(
    a: Any, axis: int | tuple[int, ...] | None = None, b: Any = None, keepdims: bool = False
) -> Array | np.floating[Any]:
    """Stable `log(sum(b * exp(a)))` over `axis`, as `scipy.special.logsumexp`.

    Parameters
    ----------
    a : array, any shape
        The numbers, of any real dtype and layout.
    axis : int or tuple of int, default None
        The axis or axes. None: all axes.
    b : array, default None
        Factors of the exponentials. The shape broadcasts to that of `a`. A negative sum gives nan. A call with `b` runs
        in NumPy, not in the C kernels.
    keepdims : bool, default False
        Whether the summed axes stay, with length 1.

    Returns
    -------
    array or scalar
        The result, in the dtype of the arithmetic: float64 for float64 and integers, otherwise float32. The result for
        an empty axis is -inf.

    Raises
    ------
    TypeError
        If a dtype is not real.
    ValueError
        If an axis does not exist, or the shape of `b` does not broadcast.

    Examples
    --------
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
        # The sum is 1 + rest. If it is near 1, the small terms matter, so they are added without the largest term.
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
            _backend.run(batch, _kernel(name, "transform"), Mode.GRADIENT, by_sample=False, output=view)
        return out
    wide = array.astype(real_dtype(array.dtype), copy=False)
    with np.errstate(all="ignore"):
        most = wide.max(axis=axes, keepdims=True, initial=-np.inf)
        rows = wide - np.where(np.isfinite(most), most, 0)  # subtracted first, or the log-sum-exp would lose digits
        lse = np.asarray(logsumexp(rows, axes, keepdims=True))
        if name == "softmax":
            rows = np.exp(rows - np.where(lse == np.inf, np.nan, lse))  # inf / inf is nan, and then all others are
        else:
            rows = rows - lse
        out[...] = rows.astype(out.dtype)
    return out


def softmax(a: Any, axis: int | tuple[int, ...] | None = None) -> Array:
    """`exp(a) / sum(exp(a))` over `axis`, as `scipy.special.softmax`.

    Parameters
    ----------
    a : array, any shape
        The numbers, of any real dtype and layout.
    axis : int or tuple of int, default None
        The axis or axes. None: all axes.

    Returns
    -------
    array, the shape of `a`
        The result, in the dtype of `a`, or float64 for integers.

    Raises
    ------
    TypeError
        If a dtype is not real.
    ValueError
        If an axis does not exist.

    See Also
    --------
    log_softmax : The logarithm of this function, computed stably.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.softmax([0.0, 0.0, -float("inf")])
    array([0.5, 0.5, 0. ])
    """
    return _transform("softmax", a, axis)


def log_softmax(a: Any, axis: int | tuple[int, ...] | None = None) -> Array:
    """Stable `log(softmax(a))` over `axis`, as `scipy.special.log_softmax`.

    Parameters
    ----------
    a : array, any shape
        The numbers, of any real dtype and layout.
    axis : int or tuple of int, default None
        The axis or axes. None: all axes.

    Returns
    -------
    array, the shape of `a`
        The result, in the dtype of `a`, or float64 for integers.

    Raises
    ------
    TypeError
        If a dtype is not real.
    ValueError
        If an axis does not exist.

    See Also
    --------
    softmax : The probabilities themselves.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.log_softmax([1000.0, 0.0])
    array([    0., -1000.])
    """
    return _transform("log_softmax", a, axis)


def _element(name: str, x: Any, label: str) -> Array | np.floating[Any]:
    """Apply a function to each element. It is computed in the dtype of the arithmetic, and returned in the array's."""
    array = _floats(x, label)
    batch = Batch(array[None, None], None, False, (), array.shape, None)
    out = np.empty_like(array, real_dtype(array.dtype), subok=False)
    _backend.run(batch, _kernel(name, "element"), Mode.MAP, by_sample=False, output=out[None, None])
    result: Array = out.astype(array.dtype.newbyteorder("="), copy=False)
    return result[()]


def sigmoid(x: Any) -> Array | np.floating[Any]:
    """`1 / (1 + exp(-x))`, as `scipy.special.expit`.

    Parameters
    ----------
    x : array, any shape
        The numbers, of any real dtype and layout.

    Returns
    -------
    array, the shape of `x`
        The result, in the dtype of `x`, or float64 for integers.

    Raises
    ------
    TypeError
        If a dtype is not real.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.sigmoid([0.0, -1000.0])
    array([0.5, 0. ])
    """
    return _element("sigmoid", x, "x")


def log_sigmoid(x: Any) -> Array | np.floating[Any]:
    """`log(sigmoid(x))`, stable, as `scipy.special.log_expit`.

    Parameters
    ----------
    x : array, any shape
        The numbers, of any real dtype and layout.

    Returns
    -------
    array, the shape of `x`
        The result, in the dtype of `x`, or float64 for integers.

    Raises
    ------
    TypeError
        If a dtype is not real.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.log_sigmoid([0.0, -1000.0])
    array([   -0.69314718, -1000.        ])
    """
    return _element("log_sigmoid", x, "x")


def softplus(x: Any) -> Array | np.floating[Any]:
    """`log(1 + exp(x))`, stable, as `torch.nn.functional.softplus`.

    Parameters
    ----------
    x : array, any shape
        The numbers, of any real dtype and layout.

    Returns
    -------
    array, the shape of `x`
        The result, in the dtype of `x`, or float64 for integers.

    Raises
    ------
    TypeError
        If a dtype is not real.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.softplus([0.0, 1000.0])
    array([6.93147181e-01, 1.00000000e+03])
    """
    return _element("softplus", x, "x")


def logit(p: Any) -> Array | np.floating[Any]:
    """`log(p / (1 - p))`, as `scipy.special.logit`.

    Parameters
    ----------
    p : array, any shape
        The numbers, of any real dtype and layout.

    Returns
    -------
    array, the shape of `p`
        The result, in the dtype of `p`, or float64 for integers. It is nan outside [0, 1].

    Raises
    ------
    TypeError
        If a dtype is not real.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.logit([0.5, 0.75, 1.0])
    array([0.        , 1.09861229,        inf])
    """
    return _element("logit", p, "p")


def entropy(p: Any, axis: int | tuple[int, ...] | None = None) -> Array | np.floating[Any]:
    """`-sum(p log p)` over `axis`, in nats, with 0 log 0 = 0: `scipy.stats.entropy` without normalisation.

    Parameters
    ----------
    p : array, any shape
        Probabilities, of any real dtype and layout. A negative number gives -inf, as in `scipy.special.entr`.
    axis : int or tuple of int, default None
        The axis or axes. None: all axes.

    Returns
    -------
    array or scalar
        The result, in the dtype of the arithmetic: float64 for float64 and integers, otherwise float32. Sums are
        computed in float64.

    Raises
    ------
    TypeError
        If a dtype is not real.
    ValueError
        If an axis does not exist.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.entropy([[0.5, 0.5], [1.0, 0.0]], axis=1)
    array([0.69314718, 0.        ])
    """
    array = _floats(p, "p")
    axes = _axes(axis, array.ndim)
    terms = np.asarray(_element("entropy", array.astype(real_dtype(array.dtype), copy=False), "p"))
    result: Array = terms.sum(axis=axes, dtype=np.float64).astype(terms.dtype)
    return result[()]
