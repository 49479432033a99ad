"""Helpers for labels, in NumPy: one-hot targets, smoothed targets, class weights from label counts.

Users call these functions before a loss. The losses do not need them, because they take integer labels.
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
    """Count the labels of each class.

    Parameters
    ----------
    labels : array of any integer or bool dtype, any shape
        The labels. They are read in small slabs.
    classes : int
        The number of classes.
    ignored : sequence of int
        Labels that do not count.

    Returns
    -------
    int64 array, shape (classes,)
        The number of labels of each class.

    Raises
    ------
    LabelError
        If a label that is not ignored is not in [0, classes).
    """
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
    if ndim == 1 and where in (0, 1, -1):  # the losses also take an array without a sample axis
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
    r"""Return labels as an array with a class axis: 1 where a pixel has the class, otherwise 0.

    The result is $y_{n c s} = [l_{n s} = c]$ for the labels $l$. The losses take integer labels, so you need this array
    only to make a soft target; see `smooth_labels`.

    Parameters
    ----------
    labels : array, shape (N, *S)
        $l$, of any integer or bool dtype and any layout.
    num_classes : int
        C, the number of classes.
    axis : int, default 1
        The position of the class axis in the result.
    dtype : dtype, default float32
        The dtype of the result: any real dtype of at most 64 bits.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels are 0 in every class.

    Returns
    -------
    array, shape (N, C, *S)
        The one-hot array, with the classes on `axis`. A 0-d label gives shape (C,).

    Raises
    ------
    LabelError
        If a label that is not ignored is not in [0, C).
    ValueError
        If `num_classes` is below 1, or the result has no such axis.
    TypeError
        If the labels are not integers, or an option has the wrong type.

    See Also
    --------
    smooth_labels : Smooths the result.
    torch.nn.functional.one_hot : Gives the same as `axis=-1`.

    Examples
    --------
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
    r"""Smooth a dense target: $(1 - \varepsilon) y + \varepsilon u$.

    `cross_entropy(..., label_smoothing=)` does the same without an array. A pixel that is 0 in every class, because
    `one_hot` ignored its label, is smoothed as well: it becomes $\varepsilon u$. Give such a pixel a `pixel_weight` of
    0.

    Parameters
    ----------
    target : array, shape (N, C, *S)
        $y$, one-hot or soft, of any float dtype or bool; see `one_hot`.
    epsilon : float
        $\varepsilon$, in [0, 1].
    prior : array, shape (C,), default None
        $u$, a distribution over the classes: numbers >= 0 whose sum is 1. None is $1 / C$ for each class.
    axis : int, default 1
        The class axis of `target`.

    Returns
    -------
    array, shape (N, C, *S)
        A new array. It has the target's dtype, or float32 if the target is bool.

    Raises
    ------
    ValueError
        If `epsilon`, `prior` or `axis` is out of its range.
    TypeError
        If the target is neither float nor bool, or an option has the wrong type.

    See Also
    --------
    one_hot : Makes a dense target from labels.

    References
    ----------
    Szegedy et al. 2016, arXiv:1512.00567.

    Examples
    --------
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
    if u is not None and not np.isclose(sum(u), 1, rtol=0, atol=1e-6):  # float32's rounding with many classes
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
    r"""Compute a `class_weight` for imbalanced classes from the number of labels of each class.

    With $n_c$ labels of class $c$, $n$ labels of all classes, and $C$ classes, the weight of class $c$ is

    - "inverse": $n / n_c$,
    - "balanced": $n / (C n_c)$, as in scikit-learn,
    - "median": $\mathrm{median}(n_c) / n_c$, with the median over the classes that occur,
    - "effective": $(1 - \beta) / (1 - \beta^{n_c})$, the inverse of the effective number of samples.

    A class that does not occur gets 0.

    Parameters
    ----------
    labels : array, any shape
        Labels of any integer or bool dtype and any layout. They are read in small slabs, so a memory map may be larger
        than the memory.
    num_classes : int
        C, the number of classes.
    scheme : {"inverse", "balanced", "median", "effective"}, default "balanced"
        The formula for the weights; see above.
    ignore_index : int or sequence of int, default None
        The label, or labels, that do not count. None: every label is a class.
    beta : float, default 0.999
        $\beta$, in [0, 1). Only "effective" uses it.

    Returns
    -------
    float64 array, shape (C,)
        The weights.

    Raises
    ------
    LabelError
        If a label that counts is not in [0, C).
    ValueError
        If `num_classes`, `scheme` or `beta` is out of its range.
    TypeError
        If the labels are not integers, or an option has the wrong type.

    References
    ----------
    "median": Eigen and Fergus 2015, arXiv:1411.4734. "effective": Cui et al. 2019, arXiv:1901.05555.

    Examples
    --------
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
        # expm1 computes 1 - b^n without a loss of digits for b near 1. For b = 0, the difference is 1.
        weights[present] = (1 - b) / (-np.expm1(some * np.log(b)) if b else 1)
    else:
        top = {"inverse": n.sum(), "balanced": n.sum() / C, "median": np.median(some)}[scheme]
        weights[present] = top / some
    return weights
