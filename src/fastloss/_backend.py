"""The choice between the native and the NumPy backend, and `run`, which runs a batch on either of them."""

from __future__ import annotations

import contextvars
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from . import _native, _reference
from ._arrays import Array, operand
from ._batch import Batch
from ._native import BACKENDS
from ._predictions import raise_fault
from ._terms import BY_CLASS, Background, Mode, Term, Terms
from ._threads import get_num_threads

Coefs = Sequence[Array | None]
SEARCHED = 32  # an array of so many elements per element that asks is searched; at 16, both ways take as long

_default_backend = "numpy" if _native.core is None or os.environ.get("FASTLOSS_BACKEND") == "numpy" else "native"
_backend: contextvars.ContextVar[str | None] = contextvars.ContextVar("fastloss_backend", default=None)


# ---- backend


def get_backend() -> str:
    """The backend in use in this context.

    Returns
    -------
    {"native", "numpy"}
        The compiled kernels, or the NumPy reference.

    Examples
    --------
    >>> import fastloss as fl
    >>> with fl.backend("numpy"):
    ...     fl.get_backend()
    'numpy'
    """
    return _backend.get() or _default_backend


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Use the native or the NumPy implementation within the `with` block, in this context only.

    Parameters
    ----------
    name : {"auto", "native", "numpy"}
        The backend; "auto" is the default of this process.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    ValueError
        If `name` is not one of the three.
    ImportError
        If `name` is "native" and the compiled extension is not installed.

    Examples
    --------
    >>> import fastloss as fl
    >>> with fl.backend("numpy"):
    ...     fl.cross_entropy([[2.0, 0.0]], [0])
    0.1269280110429725
    """
    if not isinstance(name, str) or name not in BACKENDS:
        raise ValueError(f"name: expected one of {', '.join(BACKENDS)}, got {name!r}")
    if name == "native" and _native.core is None:
        raise ImportError(
            "name: expected 'auto' or 'numpy', because the compiled extension is not installed, got 'native'"
        )
    token = _backend.set(_default_backend if name == "auto" else name)
    try:
        yield
    finally:
        _backend.reset(token)


def config() -> dict[str, Any]:
    """The values that `show_config` prints, as a dict.

    Returns
    -------
    dict
        "version" is the version of fastloss, and "numpy" that of NumPy. "backend" is the backend in use. "level" is the
        instruction set: "base", "v3" or "v4", or None without kernels. "openmp" is OpenMP's version as its macro states
        it, or None. "threads" is the number of threads. "forked" is whether this process is a child of `fork()`.

    Examples
    --------
    >>> import fastloss as fl
    >>> sorted(fl.config())
    ['backend', 'forked', 'level', 'numpy', 'openmp', 'threads', 'version']
    """
    import importlib.metadata  # takes 39 ms, an eighth of the time to import fastloss

    openmp = _native.core.openmp() if _native.core else 0
    return {
        "version": importlib.metadata.version("fastloss"),
        "backend": get_backend(),
        "level": _native.level if get_backend() == "native" else None,
        "openmp": openmp or None,
        "threads": get_num_threads() if get_backend() == "native" and openmp else 1,
        "forked": bool(_native.core and _native.core.forked()),
        "numpy": np.__version__,
    }


def show_config() -> None:
    """Print the versions, the backend, the instruction set, the threads, and whether this process was forked.

    See Also
    --------
    config : The same values as a dict.
    """
    for key, value in config().items():
        print(f"{key:8} {value}")


# ---- the one call


def run(
    batch: Batch,
    terms: Terms,
    mode: int,
    by_sample: bool,
    output: Array | None = None,
    coefs: Coefs | None = None,
) -> list[Array]:
    """Run terms over a batch, and return each term's sums, of shape (groups, Term.size).

    by_sample: whether each sample is a group; if not, all samples are one group. output: the array for the gradient or
    the map, in the kernels' axes. coefs: d(value)/d(sum) for each term, of shape (groups, ...). A bad label or weight
    raises an error that names it.
    """
    classes = batch.input.shape[1]
    plan = terms.plans.get(classes)
    if plan is None:
        plan = terms.plans[classes] = _Plan.of(terms, classes)
    if get_backend() == "native":
        sums, fault = _native.core.run(
            batch.native or batch.operands(),
            plan.native,
            None if coefs is None else [None if c is None else np.ascontiguousarray(c.T) for c in coefs],
            None if output is None else operand(output),
            output is not None and output.ndim == batch.input.ndim,  # whether the output has a class axis
            mode,
            get_num_threads(),
            not by_sample,
        )
    else:
        arguments = [(*t, c) for t, c in zip(plan.terms, coefs or (None,) * len(terms), strict=True)]
        sums, fault = _reference.run(batch.of_views(), arguments, mode, by_sample, output)
    if fault:
        batch.raise_fault()
    if len(terms) == 1:
        return [sums]
    ends = itertools.accumulate(t.size(classes, mode) for t in terms) if mode & Mode.BY_CLASS else plan.ends
    return [sums[:, a:b] for a, b in itertools.pairwise([0, *ends])]


class _Plan(NamedTuple):
    """The terms for one number of classes, as both backends take them. A plan is made once and kept in the terms."""

    terms: list[tuple[Term, Array | None, list[float | Array]]]  # with class_weight and params
    native: Any  # these terms, converted to the extension's Terms
    ends: list[int]  # the column after the last sum of each term

    @staticmethod
    def of(terms: Terms, classes: int) -> _Plan:
        own = [t.single if classes == 1 and t.single is not None else t for t in terms]
        taken = [(t, *_arrays(t, classes)) for t in own]
        native = None
        if _native.core is not None:
            rows = [
                (
                    _native.entries[t.name],
                    t.activation,
                    w,
                    params,
                    t.temperature,
                    np.array(t.edges) if t.edges else None,
                )
                for t, w, params in taken
            ]
            native = _native.core.Terms(rows, classes)
        return _Plan(taken, native, list(itertools.accumulate(t.size(classes, Mode.FORWARD) for t in terms)))


def _arrays(term: Term, classes: int) -> tuple[Array | None, list[float | Array]]:
    """A term's class_weight and params for a number of classes, as the kernels take them."""
    names = term.names or ("",) * len(term.params)
    given = [1 / max(1, classes) if p is None else p for p in term.params]
    given = [p.by_class(classes) if isinstance(p, Background) else p for p in given]
    params = [p if isinstance(p, float) else _by_class(p, name, classes) for p, name in zip(given, names, strict=True)]
    return None if term.class_weight is None else _by_class(term.class_weight, "class_weight", classes), params


def _by_class(vector: tuple[float, ...], name: str, classes: int) -> Array:
    if len(vector) != classes:
        raise ValueError(f"{name}: expected shape ({classes},), got ({len(vector)},)")
    return np.array(vector)


def count(batch: Batch, rule: int, level: float, matrix: bool) -> Array:
    """Count predicted and true classes of each image, and return int64 of shape (N, C * C) or (N, 4 * C).

    rule: how the input becomes classes (`_terms.Rule`). level: what a channel's value must exceed. matrix: count the
    pixels by target and prediction; otherwise by class, as `_reference.confusion` describes. A bad element raises an
    error that names it.
    """
    if get_backend() == "native":
        counts = np.zeros((batch.samples, batch.classes * (batch.classes if matrix else BY_CLASS)), np.int64)
        fault = _native.core.count(batch.operands(), rule, level, matrix, counts, get_num_threads())
    else:
        counts, fault = _reference.confusion(batch.of_views(), rule, level, matrix)
    if fault:
        raise_fault(batch, rule)
    return counts


def has_hessian(terms: Terms) -> bool:
    """Whether all terms have second derivatives."""
    return all(_reference.KERNELS[t.name].curve is not None for t in terms)


def distance(values: Array, key: Array, inverted: bool, spacing: Sequence[float], out: Array) -> None:
    """Fill `out` with distances. The foreground is `values == key`, or `values != key` if inverted.

    key: a 0-d array with the dtype and the byte order of `values`. The caller, distance.py, has checked the arguments.
    """
    if get_backend() == "native":
        _native.core.distance(values, key.tobytes(), inverted, spacing, out, get_num_threads())
    else:
        _reference.distance(values, key, inverted, spacing, out)


def nearest(of: Array, to: Array, spacing: Sequence[float]) -> Array:
    """Return the distance from each element of the bool array `of` to the nearest element of `to`, which has one.

    A search takes less time than a distance transform if few elements ask, as those of a surface do. Its time per
    element grows with the distance. The two agree within one unit in the last place.
    """
    count = np.count_nonzero(of)
    if get_backend() == "native" and count <= of.size // SEARCHED:
        found = np.empty(count, np.float32)
        of, to = np.ascontiguousarray(of), np.ascontiguousarray(to)
        _native.core.nearest(of, to, spacing, found, get_num_threads())
        return found
    out = np.empty(to.shape, np.float32)
    distance(to, np.array(False), False, spacing, out)  # a bool is False if its byte is 0
    return out[of]


def jaccard_falls(keys: Array, target: Array, weight: Array | None, total: float, out: Array) -> None:
    """Write to `out` how much the Jaccard index of a class falls at each wrong pixel; see _reference/jaccard.py.

    The caller, _engine/lovasz.py, has made the arrays: they are contiguous, and each key is an index into the others.
    """
    own = _native.core if get_backend() == "native" else _reference
    own.jaccard_falls(keys, target, weight, total, out)
