"""The number of threads that a call may use. The caller or the environment sets it; else affinity and cgroups do."""

from __future__ import annotations

import contextvars
import math
import os
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_threads: contextvars.ContextVar[int | None] = contextvars.ContextVar("fastloss_threads", default=None)


def _grant(folder: pathlib.Path) -> float:
    """The number of CPUs that one cgroup grants, or inf. It reads cpu.max (v2), or else the cfs files (v1)."""
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
    """The number of CPUs that the cgroups of this process and their parents grant, or inf.

    A container sees its own cgroup as the root.
    """
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
    """Use at most `n` threads from now on, in every Python thread of this process.

    Parameters
    ----------
    n : int
        The number of threads, >= 1. It does not change the bits of a result.

    Raises
    ------
    ValueError
        If `n` is not a positive integer.

    See Also
    --------
    num_threads : Sets the number for a `with` block.

    Examples
    --------
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
    """The largest number of threads that a call may use in this context.

    The first of these that is set counts: `num_threads`, `set_num_threads`, FASTLOSS_NUM_THREADS, OMP_NUM_THREADS. If
    none is set, it is the number of CPUs that affinity and the cgroup quota grant. Small calls use fewer threads. A
    child of `fork()` uses one.

    Returns
    -------
    int
        The number of threads.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.get_num_threads() >= 1
    True
    """
    return _threads.get() or _process_threads


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Use at most `n` threads within the `with` block, in this context only.

    Parameters
    ----------
    n : int
        The number of threads, >= 1.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    ValueError
        If `n` is not a positive integer.

    See Also
    --------
    set_num_threads : Sets the number for the rest of the process.

    Examples
    --------
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
