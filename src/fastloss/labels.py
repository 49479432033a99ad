"""Helpers around labels: one-hot targets, smoothed targets, class weights from label counts. Plain NumPy.

Called by users before a loss; the losses take labels as they are and need none of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._arrays import Array, as_array, as_labels, dtype_tag, real_dtype, vector
from ._batch import IGNORE_INDEX, ignored_labels
from ._faults import check_labels, slabs
from ._options import choice, integer, labels_option, number

SCHEMES = ("inverse", "balanced", "median", "effective")


def class_count(value: Any) -> int:
    if integer(value, "num_classes") < 1:
        raise ValueError(f"num_classes: expected an integer >= 1, got {value!r}")
    return int(value)


def counts(labels: Array, classes: int, ignored: Sequence[int]) -> Array:
    """How many labels each class has, int64 of shape (classes,); LabelError for one that is no class."""
    total = np.zeros(classes, np.int64)
    for slab in slabs(labels, order="K"):
        kept = slab
        for label in ignored:
            kept = kept[kept != label]
        if ((kept < 0) | (kept >= classes)).any():
            check_labels(labels, classes, ignored, "labels")
        total += np.bincount(kept.astype(np.intp), minlength=classes)
    return total


def _class_axis(axis: Any, ndim: int) -> int:
    where = integer(axis, "axis")
    if ndim == 1 and where in (0, 1, -1):  # an array without a sample axis, as the losses take it
        return 0
    if not -ndim <= where < ndim:
        raise ValueError(f"axis: expected a number in [{-ndim}, {ndim}), got {axis}")
    return where % ndim


def _real_dtype(value: Any) -> np.dtype[Any]:
    try:
        kind: np.dtype[Any] = np.dtype(value)
    except (TypeError, ValueError):
        kind = np.dtype(object)
    if dtype_tag(kind) is None:
        raise TypeError(f"dtype: expected a real number dtype of at most 64 bits, got {value!r}")
    return kind


def one_hot(
    labels: Any,
    num_classes: int,
    axis: int = 1,
    dtype: Any = np.float32,
    ignore_index: int | Sequence[int] = IGNORE_INDEX,
) -> Array:
    """Labels as an array with a class axis: 1 where a pixel has the class, else 0.

    Parameters
    ----------
    labels : array of any integer or bool dtype, any shape and layout
    num_classes : int
        C.
    axis : int
        Where the class axis comes to lie in the result, of shape `(N, C, *S)` for labels `(N, *S)`.
    dtype : real dtype of the result
    ignore_index : int or sequence of int, default -100
        A label, or several, whose pixels are zero in every class.

    Returns the array; a 0-d label gives `(C,)`. Raises `LabelError` for another label that is not in `[0, C)`,
    ValueError for an axis that is not there, TypeError for a dtype. `torch.nn.functional.one_hot` has `axis=-1`.

    >>> import fastloss as fl
    >>> fl.one_hot([[0, 1, -100]], 2)
    array([[[1., 0., 0.],
            [0., 1., 0.]]], dtype=float32)
    """
    array, C = as_labels(labels, "labels"), class_count(num_classes)
    ignored = ignored_labels(labels_option(ignore_index))
    where = _class_axis(axis, array.ndim + 1)
    kind = _real_dtype(dtype)
    present = counts(array, C, ignored)
    out = np.zeros((*array.shape[:where], C, *array.shape[where:]), kind)
    planes = np.moveaxis(out, where, 0)
    for c in np.flatnonzero(present):  # an ignored class has no labels
        planes[c, ...] = array == c
    return out


def smooth_labels(target: Any, epsilon: float, prior: Sequence[float] | Array | None = None, axis: int = 1) -> Array:
    r"""Label smoothing of a dense target: $(1 - \varepsilon) y + \varepsilon u$.

    Parameters
    ----------
    target : float or bool array with a class axis
        $y$, one-hot or soft; see `one_hot`.
    epsilon : float
        In [0, 1].
    prior : (C,) array, optional
        $u$, a distribution over the classes: at least 0, its sum 1. None: $1/C$ each.
    axis : int
        The class axis.

    Returns a new array of the target's shape and dtype (bool: float32). A pixel that `one_hot` left zero becomes
    $\varepsilon u$ as any other: give it `pixel_weight` 0. Raises ValueError for epsilon, prior or axis, TypeError for
    a dtype. `cross_entropy(..., label_smoothing=)` does the same without an array. Source: Szegedy et al. 2016,
    arXiv:1512.00567.

    >>> import fastloss as fl
    >>> fl.smooth_labels([[1.0, 0.0]], 0.1)
    array([[0.95, 0.05]])
    """
    y = as_array(target, "target")
    if y.dtype.kind in "iu":
        raise TypeError(f"target: expected a float or bool dtype, got {y.dtype}")
    if y.ndim == 0:
        raise ValueError("target: expected an array with a class axis, got shape ()")
    where = _class_axis(axis, y.ndim)
    e, C = number(epsilon, "epsilon", 0, 1), y.shape[where]
    u = vector(prior, "prior")
    if u is not None and len(u) != C:
        raise ValueError(f"prior: expected shape ({C},), got ({len(u)},)")
    if u is not None and not np.isclose(sum(u), 1, rtol=0, atol=1e-6):  # float32's sums of many classes
        raise ValueError(f"prior: expected values whose sum is 1, got a sum of {sum(u):g}")
    kind = np.dtype(np.float32) if y.dtype == bool else y.dtype.newbyteorder("=")
    real = real_dtype(kind)
    add = (np.full(C, e / max(C, 1)) if u is None else e * np.array(u)).astype(real)
    add = add.reshape([C if k == where else 1 for k in range(y.ndim)])  # broadcasts along the class axis
    out = y.astype(real)
    out *= 1 - e
    out += add
    return out.astype(kind, copy=False)


def class_weights(
    labels: Any,
    num_classes: int,
    scheme: str = "balanced",
    ignore_index: int | Sequence[int] | None = None,
    beta: float = 0.999,
) -> Array:
    r"""A `class_weight` for imbalanced classes, from how often each occurs.

    With $n_c$ labels of class $c$, $n$ of all and $C$ classes:

    - "inverse": $n / n_c$
    - "balanced": $n / (C n_c)$, scikit-learn's
    - "median": $\mathrm{median}(n_c) / n_c$, the median over the classes that occur (median-frequency balancing)
    - "effective": $(1 - \beta) / (1 - \beta^{n_c})$, the inverse of the effective number of samples

    A class that does not occur gets 0.

    Parameters
    ----------
    labels : array of any integer or bool dtype, any shape and layout
        Read in small slabs: a memory map larger than memory will do.
    num_classes : int
        C.
    scheme : "inverse", "balanced", "median" or "effective"
    ignore_index : int or sequence of int, optional
        A label, or several, that do not count; None: every label is a class.
    beta : float
        In [0, 1), of "effective".

    Returns float64 weights of shape `(C,)`. Raises `LabelError` for a label out of range, ValueError for an option,
    TypeError for a dtype. Sources: Eigen and Fergus 2015, arXiv:1411.4734 (median); Cui et al. 2019, arXiv:1901.05555.

    >>> import fastloss as fl
    >>> fl.class_weights([0, 0, 0, 1], 3)
    array([0.44444444, 1.33333333, 0.        ])
    """
    choice(scheme, "scheme", SCHEMES)
    array, C = as_labels(labels, "labels"), class_count(num_classes)
    b = number(beta, "beta")
    if not 0 <= b < 1:
        raise ValueError(f"beta: expected a number in [0, 1), got {beta!r}")
    ignored = () if ignore_index is None else ignored_labels(labels_option(ignore_index))
    n = counts(array, C, ignored).astype(np.float64)
    present = n > 0
    some = n[present]
    weights = np.zeros(C)
    if not present.any():
        return weights
    if scheme == "effective":
        # 1 - b^n by expm1, which keeps its digits for b near 1; b = 0 gives 1.
        weights[present] = (1 - b) / (-np.expm1(some * np.log(b)) if b else 1)
    else:
        top = {"inverse": n.sum(), "balanced": n.sum() / C, "median": np.median(some)}[scheme]
        weights[present] = top / some
    return weights
