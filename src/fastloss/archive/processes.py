"""Workers as processes on this machine.

Each process is started anew ("spawn") and imports the main module, because a copy of a process with threads is unsafe.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, Self

from ..files.errors import FileError, shown
from .batches import Batch, Outcome, Setting, evaluate_batch

NAME = "fastloss-worker"
UNGUARDED = 97  # the exit code of a worker whose main module starts workers
NEEDS_GUARD = (
    "`workers=`: expected a main module that starts no workers when a worker imports it, got a script without a guard; "
    'put the call below `if __name__ == "__main__":`'
)


def check_may_start() -> None:
    """Check that this process may start others."""
    process = multiprocessing.current_process()
    if getattr(process, "_inheriting", False):  # as multiprocessing itself finds out that the main module is imported
        if process.name.startswith(NAME):
            os._exit(UNGUARDED)  # quietly: the caller raises the error
        raise FileError(NEEDS_GUARD)
    if process.daemon:
        raise FileError(
            "`workers=`: expected a process that may start others, got a daemonic one, such as a worker of a pool; "
            "leave the option out"
        )
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is not None and getattr(main, "__spec__", None) is None and not os.path.exists(path):
        raise FileError(
            f"`workers=`: expected a main module that a worker can import, got {shown(path)}; save it as a file"
        )


class Processes:
    """A pool of processes. Leaving the context ends them, whatever they do."""

    def __init__(self, setting: Setting, count: int) -> None:
        self._count = count
        self._context = _Recording()
        self._pool = ProcessPoolExecutor(count, self._context, _start, (setting,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self._kill()
        self._pool.shutdown(wait=True)

    def _kill(self) -> None:
        # A process that dies while it writes leaves half a result, for whose rest the pool's thread would wait forever.
        writer = getattr(getattr(self._pool, "_result_queue", None), "_writer", None)
        for process in self._context.started:
            process.kill()
        if writer is not None:
            writer.close()

    def slots(self) -> int:
        """Return the number of batches that run at once."""
        return self._count

    def submit(self, batch: Batch) -> Future[Outcome]:
        """Send a batch. The first calls start the processes."""
        try:
            with _without_ctrl_c():
                return self._pool.submit(_evaluate, batch)
        except BrokenProcessPool:
            raise self._died(batch) from None

    def outcome(self, handle: Future[Outcome], batch: Batch) -> Outcome:
        """Wait for the outcome of a batch."""
        dead = 0
        while dead < 2:
            if wait([handle], timeout=1).done:
                try:
                    return handle.result()
                except BrokenProcessPool:
                    break
            # If a process dies while it writes, the pool does not notice.
            dead += bool(connection.wait([process.sentinel for process in self._context.started], timeout=0))
        raise self._died(batch)

    def _died(self, batch: Batch) -> FileError:
        # The pool's thread also waits for the processes. While it takes an exit code, there is none to see here.
        deadline = time.monotonic() + 2
        while any(process.exitcode is None for process in self._context.started) and time.monotonic() < deadline:
            time.sleep(0.01)
        codes = {process.exitcode for process in self._context.started} - {None, 0}
        if UNGUARDED in codes:
            return FileError(NEEDS_GUARD)
        codes = codes - {-signal.SIGTERM} or codes  # with which the pool ends the others
        code = next(iter(codes), None)
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        return FileError(
            f"`workers={self._count}`: a worker {how}, before {shown(batch[0][1].prediction)} and the files after it "
            "were done; if memory ran out, give fewer workers; otherwise, run it again, with `resume=True` if it "
            "keeps a `state=`"
        )


class _Recording(SpawnContext):
    """Makes processes for a pool, and knows which of them have started."""

    def __init__(self) -> None:
        super().__init__()
        self._made = list[SpawnProcess]()

    @property
    def started(self) -> list[SpawnProcess]:
        return [process for process in self._made if process.ident is not None]

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        process = SpawnProcess(*args, **kwargs)
        process.name = f"{NAME}-{len(self._made) + 1}"
        self._made.append(process)
        return process


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: the caller ends them, and they show no traceback.

    A process inherits the blocked signals. In this thread, the signal comes at the end of the block. Another thread may
    also receive it, and Python would then raise KeyboardInterrupt here, which could leave a process half started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # otherwise its start, in the block, would unblock the signal
    came = list[int]()
    handler = signal.getsignal(signal.SIGINT)
    handles = handler is not None and threading.current_thread() is threading.main_thread()
    if handles:
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if handles:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


# ---- in the worker

_setting: Setting | None = None


def _start(setting: Setting) -> None:
    """Prepare a worker. It ends when the caller ends, also if that is killed."""
    global _setting
    _setting = setting
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_caller, name="fastloss-caller", daemon=True).start()


def _end_with_caller() -> None:
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os._exit(1)


def _evaluate(batch: Batch) -> Outcome:
    assert _setting is not None
    return evaluate_batch(_setting, batch)
