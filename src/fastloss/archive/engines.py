"""Engines: the ways to run a work list. The results are the same and come in the order of the list.

The engines are this process, processes on this machine (`processes.py`), and a Dask cluster (`cluster.py`).
"""

from __future__ import annotations

import math
import os
import pickle
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .. import _backend
from ..files.errors import FileError, printable
from .batches import Batch, Outcome, Setting, fused, version
from .cluster import Cluster, check_dask, pickled
from .worker import Failure, Result, Task, Worker

BATCH_SECONDS = 0.25
"""The time of a batch, which decides the number of its images. A batch costs less than 2 ms, and progress moves."""

MOST_IMAGES = 64
"""The most images in a batch, which bounds the memory of their results."""

AHEAD = 4
"""The number of batches per worker that are sent before their results are taken. One slow image delays no other."""


class Crew(Protocol):
    """Workers that take batches."""

    def slots(self) -> int:
        """Return the number of batches that run at once."""

    def submit(self, batch: Batch) -> Any:
        """Send a batch, and return a handle."""

    def outcome(self, handle: Any, batch: Batch) -> Outcome:
        """Wait for the outcome of a batch. A `FileError` reports workers that are lost."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine outside this process.

    Attributes
    ----------
    option : str
        The name of the option that chose it, for messages.
    threads : int
        The number of threads that compute in each worker.
    dumps : callable
        Pickles the worker.
    start : callable
        Starts the workers, as a context.
    """

    option: str
    threads: int
    dumps: Callable[[Worker], bytes]
    start: Callable[[Setting], AbstractContextManager[Crew]]


def find_engine(workers: int | None, engine: Any, scheduler: str | None, worker_threads: int | None) -> Engine | None:
    """Check the options, and return the engine that they name. None: this process."""
    if worker_threads is not None and worker_threads < 1:
        raise FileError(f"`worker_threads=`: expected at least 1, got {worker_threads}")
    if scheduler is not None and engine != "dask":
        raise FileError(f"`scheduler={printable(scheduler)}`: expected `engine=dask` with it, got {_named(engine)}")
    if workers is not None and engine is not None:
        raise FileError(f"`workers={workers}`: expected no `engine=` with it, because the cluster decides, got both")
    if workers is not None and workers < 1:
        raise FileError(f"`workers=`: expected at least 1, got {workers}")
    threads = 1 if worker_threads is None else worker_threads
    if workers is not None:
        from .processes import Processes, check_may_start  # takes as long to import as all modules of this package

        check_may_start()
        count = workers
        return Engine(option="workers", threads=threads, dumps=pickle.dumps, start=lambda s: Processes(s, count))
    if engine is not None:
        check_dask(engine, scheduler)
        return Engine(option="engine", threads=threads, dumps=pickled, start=lambda s: Cluster(s, engine, scheduler))
    if worker_threads is not None:
        raise FileError(f"`worker_threads={worker_threads}`: expected `workers=` or `engine=` with it, got neither")
    return None


def _named(engine: Any) -> str:
    return engine if isinstance(engine, str) else "none" if engine is None else type(engine).__name__


def results(task: Task, work: Batch, engine: Engine | None) -> Generator[Result | Failure, None, None]:
    """Yield the results of a work list in its order. Close the generator to end the workers.

    The first error of the order is raised in its turn, as in one process.
    """
    worker = Worker(task)
    if engine is None:
        yield from worker.results(work)
        return
    if not work:
        return
    worker.decide(work)
    setting = Setting(
        worker=_dumped(worker, engine),
        folder=Path(os.getcwd()),
        backend=_backend.get_backend(),
        fused=fused(),
        threads=engine.threads,
        version=version(),
        option=engine.option,
    )
    with engine.start(setting) as crew:
        yield from _in_order(crew, work)


def _dumped(worker: Worker, engine: Engine) -> bytes:
    try:
        return engine.dumps(worker)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise FileError(
            f"`{engine.option}=`: expected losses that can be pickled, got {printable(str(error))}; define their "
            "classes and functions at the top of a module"
        ) from error


def _in_order(crew: Crew, work: Batch) -> Generator[Result | Failure, None, None]:
    """Send batches, and yield their results in order. The number of batches that wait is bounded."""
    sent = deque[tuple[Batch, Any]]()
    start, size = 0, 1
    while start < len(work) or sent:
        slots = crew.slots()
        while start < len(work) and len(sent) < AHEAD * slots:
            last = math.ceil((len(work) - start) / (2 * slots))  # towards the end, all workers get some
            batch = work[start : start + min(size, last)]
            sent.append((batch, crew.submit(batch)))
            start += len(batch)
        batch, handle = sent.popleft()
        outcome = crew.outcome(handle, batch)
        del handle
        yield from outcome.results
        if outcome.error is not None:
            raise outcome.error
        size = _fitted_size(outcome.seconds / len(batch))


def _fitted_size(seconds: float) -> int:
    """Return how many images take the time of a batch, if one takes this many seconds."""
    return max(1, min(MOST_IMAGES, int(BATCH_SECONDS / max(seconds, 1e-6))))
