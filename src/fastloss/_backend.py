"""Native or NumPy, how many threads, and what `show_config` prints. The only module that knows both backends."""

from __future__ import annotations

import contextvars
import functools
import itertools
import math
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from . import _reference
from ._batch import (
    FLOAT64,
    LARGE_SAMPLE,
    MANY_SAMPLES,
    PLAIN_LABELS,
    PLAIN_REALS,
    Array,
    Batch,
    ignored_labels,
    operand,
    real_dtype,
)


class Mode:
    """What a run does (enum fl_mode in csrc/fastloss.h). Plain numbers: | of an IntFlag takes half a microsecond."""

    WEIGH = 1
    FORWARD = 2
    GRADIENT = 4
    MAP = 8
    BY_CLASS = 16


class Term(NamedTuple):
    """One kernel and its parameters, each a number or one a class. `kind` says how many numbers it sums up."""

    name: str
    kind: str  # "pixel", "element", "region" or "transform"
    activation: int = 0  # index into ACTIVATIONS
    class_weight: tuple[float, ...] | None = None
    params: tuple[float | tuple[float, ...] | None, ...] = ()  # None: 1 / C
    names: tuple[str, ...] = ()  # what the loss calls its params, to name one of the wrong length
    single: Term | None = None  # the term instead of this one for a single class, with as many sums

    def size(self, classes: int, mode: int) -> int:
        if self.kind == "region":  # whether squares and the weight are wanted
            return (3 + 2 * bool(self.params[0]) + bool(self.params[1])) * classes
        return 0 if self.kind == "transform" else 2 + (2 * classes if mode & Mode.BY_CLASS else 0)


Coefs = Sequence[Array | None]
NativeTerm = tuple[int, int, Array | None, list[float | Array]]  # loss, activation, class_weight, params

ACTIVATIONS = (None, "sigmoid", "softmax")  # enum fl_activation
BACKENDS = ("auto", "native", "numpy")
LEVELS = ("base", "v3", "v4")
MOST_THREADS = 4 * (os.cpu_count() or 1)  # asked of OpenMP, whatever the caller allows: more would only wait


def _load() -> tuple[ModuleType | None, str | None, dict[str, int]]:
    """The extension with its level chosen, or None; FASTLOSS_BACKEND=native makes its absence an error."""
    wanted = os.environ.get("FASTLOSS_BACKEND") or "auto"
    if wanted not in BACKENDS:
        raise ValueError(f"FASTLOSS_BACKEND: expected one of {', '.join(BACKENDS)}, got {wanted!r}")
    try:
        from . import _core
    except ImportError as error:
        if wanted == "native":
            raise ImportError(
                f"FASTLOSS_BACKEND=native, but the compiled extension cannot be loaded: {error}"
            ) from error
        if wanted == "auto":
            warnings.warn(
                "fastloss: the compiled extension is not installed, the slower NumPy implementation is used "
                "(FASTLOSS_BACKEND=numpy silences this)",
                RuntimeWarning,
                stacklevel=2,
            )
        return None, None, {}
    cap = os.environ.get("FASTLOSS_ISA") or None
    level = _core.select_level(cap)
    if level is None:
        raise ValueError(f"FASTLOSS_ISA: expected one of {', '.join(LEVELS)}, got {cap!r}")
    return _core, level, _core.losses()


_native, _level, _rows = _load()
_default_backend = "numpy" if _native is None or os.environ.get("FASTLOSS_BACKEND") == "numpy" else "native"
_backend: contextvars.ContextVar[str | None] = contextvars.ContextVar("fastloss_backend", default=None)
_threads: contextvars.ContextVar[int | None] = contextvars.ContextVar("fastloss_threads", default=None)


# ---- threads


def _grant(folder: pathlib.Path) -> float:
    """CPUs that one cgroup grants (v2's cpu.max, else v1's cfs files), or inf."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except (OSError, ValueError):
            return math.inf
    try:
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (ValueError, ZeroDivisionError):
        return math.inf


def _quota(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> float:
    """CPUs that this process's cgroups and those above them grant, or inf. A container sees its own as the root."""
    folders = [pathlib.Path(root), pathlib.Path(root, "cpu")]
    try:
        lines = pathlib.Path(own).read_text().splitlines()
    except (OSError, ValueError):
        lines = []
    for line in lines:  # v2: "0::/a/b"; v1: "4:cpu,cpuacct:/a/b"
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers == "" or "cpu" in controllers.split(","):
            parts = path.strip("/").split("/")
            folders += [folders[controllers != ""].joinpath(*parts[: k + 1]) for k in range(len(parts))]
    return min(map(_grant, folders))


def _available() -> int:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, _quota())))


def _initial_threads() -> int:
    for name in ("FASTLOSS_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text.isdecimal() and int(text) > 0:
            return int(text)
        if text and name == "FASTLOSS_NUM_THREADS":
            raise ValueError(f"{name}: expected a positive integer, got {text!r}")
    return _available()


_process_threads = _initial_threads()


def _check_threads(n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n: expected a positive integer, got {n!r}")
    return int(n)


def set_num_threads(n: int) -> None:
    """Use at most `n` threads from now on, in every Python thread of this process. See `num_threads` for a `with` form.

    >>> import fastloss as fl
    >>> before = fl.get_num_threads()
    >>> fl.set_num_threads(2)
    >>> fl.get_num_threads()
    2
    >>> fl.set_num_threads(before)
    """
    global _process_threads
    _process_threads = _check_threads(n)


def get_num_threads() -> int:
    """The most threads that a call uses here: by `num_threads`, `set_num_threads`, FASTLOSS_NUM_THREADS,
    OMP_NUM_THREADS, else the CPUs that affinity and cgroup quota grant. Small calls use fewer; a child of `fork()`
    uses one."""
    return _threads.get() or _process_threads


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Use at most `n` threads within the `with` block, in this context only.

    >>> import fastloss as fl
    >>> with fl.num_threads(1):
    ...     fl.get_num_threads()
    1
    """
    token = _threads.set(_check_threads(n))
    try:
        yield
    finally:
        _threads.reset(token)


# ---- backend


def get_backend() -> str:
    """The backend in use here: "native" or "numpy"."""
    return _backend.get() or _default_backend


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Use the "native" or the "numpy" implementation within the `with` block, in this context only.

    >>> import fastloss as fl
    >>> with fl.backend("numpy"):
    ...     fl.cross_entropy([[2.0, 0.0]], [0])
    0.1269280110429725
    """
    if not isinstance(name, str) or name not in BACKENDS:
        raise ValueError(f"name: expected one of {', '.join(BACKENDS)}, got {name!r}")
    if name == "native" and _native is None:
        raise ImportError("the compiled extension of fastloss is not installed")
    token = _backend.set(_default_backend if name == "auto" else name)
    try:
        yield
    finally:
        _backend.reset(token)


def config() -> dict[str, Any]:
    """What `show_config` prints, as a dict."""
    import importlib.metadata  # 40 ms, a third of what importing fastloss takes

    openmp = _native.openmp() if _native else 0
    return {
        "version": importlib.metadata.version("fastloss"),
        "backend": get_backend(),
        "level": _level if get_backend() == "native" else None,
        "openmp": openmp or None,
        "threads": get_num_threads() if get_backend() == "native" and openmp else 1,
        "forked": bool(_native and _native.forked()),
        "numpy": np.__version__,
    }


def show_config() -> None:
    """Print version, backend, instruction set, OpenMP runtime, threads, and whether this process was forked."""
    for key, value in config().items():
        print(f"{key:8} {value}")


# ---- the one call


def run(
    batch: Batch,
    terms: tuple[Term, ...],
    mode: int,
    *,
    by_sample: bool = True,
    output: Array | None = None,
    coefs: Coefs | None = None,
) -> list[Array]:
    """Run terms over a batch, and return each term's sums, of shape (groups, Term.size).

    by_sample: a group a sample; else one group. output: the gradient's or map's array, in kernel axes. coefs: a term's
    d(value)/d(sum), of shape (groups, ...). A bad label or weight raises its error.
    """
    run_here = _run_native if get_backend() == "native" else _run_reference
    sums, fault = run_here(batch, terms, mode, by_sample, output, coefs or (None,) * len(terms))
    if fault:
        batch.raise_fault()
    return _by_term(sums, _ends(terms, batch.classes, mode))


@functools.lru_cache(maxsize=256)
def _ends(terms: tuple[Term, ...], classes: int, mode: int) -> list[int]:
    """Where each term's sums end in a row of them."""
    return list(itertools.accumulate(t.size(classes, mode) for t in terms))


def _by_term(sums: Array, ends: list[int]) -> list[Array]:
    return [sums] if len(ends) == 1 else [sums[:, a:b] for a, b in itertools.pairwise([0, *ends])]


@functools.lru_cache(maxsize=256)
def _arrays(term: Term, classes: int) -> tuple[Array | None, list[float | Array]]:
    """A term's class_weight and params for so many classes, as the kernels take them."""
    names = term.names or ("",) * len(term.params)
    given = (1 / max(1, classes) if p is None else p for p in term.params)
    params = [p if isinstance(p, float) else _by_class(p, name, classes) for p, name in zip(given, names, strict=True)]
    return None if term.class_weight is None else _by_class(term.class_weight, "class_weight", classes), params


def _for_classes(terms: tuple[Term, ...], classes: int) -> list[Term]:
    return [t.single if classes == 1 and t.single is not None else t for t in terms]


def _by_class(vector: tuple[float, ...], name: str, classes: int) -> Array:
    if len(vector) != classes:
        raise ValueError(f"{name}: expected shape ({classes},), got ({len(vector)},)")
    return np.array(vector)


def _run_reference(
    batch: Batch, terms: tuple[Term, ...], mode: int, by_sample: bool, output: Array | None, coefs: Coefs
) -> tuple[Array, bool]:
    own = _for_classes(terms, batch.classes)
    arguments = [(t, *_arrays(t, batch.classes), c) for t, c in zip(own, coefs, strict=True)]
    return _reference.run(batch, arguments, mode, by_sample, output)


@functools.lru_cache(maxsize=256)
def _native_terms(terms: tuple[Term, ...], classes: int) -> list[NativeTerm]:
    return [(_rows[t.name], t.activation, *_arrays(t, classes)) for t in _for_classes(terms, classes)]


@functools.lru_cache(maxsize=256)
def _ignored_array(ignore_index: int | Sequence[int] | None) -> Array:
    return np.array(ignored_labels(ignore_index), np.int64)


def _run_native(
    batch: Batch, terms: tuple[Term, ...], mode: int, by_sample: bool, output: Array | None, coefs: Coefs
) -> tuple[Array, int]:
    assert _native is not None
    sums: tuple[Array, int] = _native.run(  # by position: names would take 0.2 microseconds
        operand(batch.input),
        operand(batch.target),
        operand(batch.weight),
        operand(output),
        operand(batch.maps),
        _native_terms(terms, batch.classes),
        [None if c is None else np.ascontiguousarray(c.T) for c in coefs],
        batch.labels,
        batch.label_base,
        batch.weight_by_class,
        output is not None and output.ndim == batch.input.ndim,  # by class
        _ignored_array(batch.ignored),
        real_dtype(batch.input.dtype) is FLOAT64,
        mode,
        min(get_num_threads(), MOST_THREADS),
        not by_sample,  # merge
    )
    return sums


@functools.lru_cache(maxsize=256)
def _native_terms_of(terms: Callable[[], tuple[Term, ...]], classes: int) -> list[NativeTerm]:
    return _native_terms(terms(), classes)


@functools.lru_cache(maxsize=256)
def _ends_of(terms: Callable[[], tuple[Term, ...]], classes: int) -> list[int]:
    return _ends(terms(), classes, Mode.FORWARD)


def run_plain(
    input: Any,
    target: Any,
    terms: Callable[[], tuple[Term, ...]],
    by_sample: bool,
    ignore_index: int | Sequence[int] | None,
) -> list[Array] | None:
    """The forward sums over an array and labels as most calls give them; None if they are not, or have a fault.

    For small calls: checks and job in one function of Cython. terms: the loss's method, which is called once.
    """
    if _native is None or get_backend() != "native":
        return None
    threads = min(get_num_threads(), MOST_THREADS)
    sums: Array | None = _native.run_plain(
        input,
        target,
        PLAIN_REALS,
        PLAIN_LABELS,
        _native_terms_of,
        terms,
        by_sample,
        LARGE_SAMPLE,
        MANY_SAMPLES,
        _ignored_array(ignore_index),
        Mode.FORWARD,
        threads,
    )
    return None if sums is None else _by_term(sums, _ends_of(terms, input.shape[1]))


def distance(values: Array, key: Array, inverted: bool, spacing: Sequence[float], out: Array) -> None:
    """Fill `out` with distances, for distance.py, which checks: foreground is `values == key`, or `!=` if inverted.

    key: 0-d, of the dtype and byte order of `values`.
    """
    if get_backend() == "native":
        assert _native is not None
        threads = min(get_num_threads(), MOST_THREADS)
        _native.distance(values, key.tobytes(), inverted, spacing, out, threads)
    else:
        _reference.distance(values, key, inverted, spacing, out)
