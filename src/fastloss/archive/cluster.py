"""Workers of a Dask cluster. `distributed` is imported on use."""

from __future__ import annotations

import re
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any, Self

from ..files.errors import FileError, printable, shown
from .batches import Batch, Outcome, Setting, evaluate_batch, version
from .worker import Worker

ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx)://)?[^\s/]+:\d+")
CONNECT_SECONDS = 10
SLOTS_SECONDS = 5
"""How long the number of workers is taken for known. A cluster may grow and shrink."""


def check_dask(engine: Any, scheduler: str | None) -> None:
    """Check the options of the engine, without a connection."""
    if isinstance(engine, str):
        if engine != "dask":
            raise FileError(f"`engine=`: expected dask, got {printable(repr(engine))}")
        if find_spec("distributed") is None:
            raise FileError(
                '`engine=dask`: needs distributed, which is not installed; run: pip install "fastloss[dask]"'
            )
        if scheduler is None:
            raise FileError("`engine=dask`: expected `scheduler=` with it, such as tcp://host:8786, got none")
        if not ADDRESS.fullmatch(scheduler):  # distributed would not notice all of these at once
            raise FileError(f"`scheduler=`: expected an address such as tcp://host:8786, got {printable(scheduler)}")
        return
    distributed = sys.modules.get("distributed")
    if distributed is None or not isinstance(engine, distributed.Client):
        raise FileError(f"`engine=`: expected dask or a distributed.Client, got {type(engine).__name__}")
    if engine.asynchronous:
        raise FileError("`engine=`: expected a Client that blocks, got an asynchronous one")


def pickled(worker: Worker) -> bytes:
    """Pickle a worker. Classes of the main module are pickled as a whole."""
    import cloudpickle

    data: bytes = cloudpickle.dumps(worker)
    return data


class Cluster:
    """A connection to a cluster. Leaving the context cancels what is not done."""

    def __init__(self, setting: Setting, engine: Any, scheduler: str | None) -> None:
        self._setting = setting
        self._own = isinstance(engine, str)
        self._client = _connected(scheduler) if self._own else engine
        self._run, self._count = uuid.uuid4().hex, 0
        self._slots, self._until = 1, 0.0
        self._sent = dict[str, Any]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(CancelledError, OSError):  # if the scheduler is gone, an error reports it
            if self._sent:
                self._client.cancel(list(self._sent.values()), force=True)
        self._sent.clear()
        if self._own:
            self._client.close()

    def slots(self) -> int:
        """Return the number of batches that run at once."""
        if time.monotonic() > self._until:
            with suppress(OSError):  # if the scheduler is gone, the next outcome reports it
                self._slots = max(1, sum(self._client.nthreads().values()))
            self._until = time.monotonic() + SLOTS_SECONDS
        return self._slots

    def submit(self, batch: Batch) -> str:
        """Send a batch."""
        self._count += 1
        key = f"fastloss-{self._run}-{self._count}"
        with _reporting(self._client, batch):
            self._sent[key] = self._client.submit(evaluate_batch, self._setting, batch, key=key, pure=False)
        return key

    def outcome(self, handle: str, batch: Batch) -> Outcome:
        """Wait for the outcome of a batch. The scheduler gives the batches of a lost worker to others."""
        with _reporting(self._client, batch):
            outcome: Outcome = self._sent[handle].result()
        del self._sent[handle]
        return outcome


def _connected(scheduler: str | None) -> Any:
    from distributed import Client

    try:
        return Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # OSError: also if the time is up
        raise FileError(
            f"`scheduler=`: expected the address of a running Dask scheduler, got {printable(str(scheduler))}: "
            f"{printable(str(error) or type(error).__name__)}"
        ) from error


@contextmanager
def _reporting(client: Any, batch: Batch) -> Iterator[None]:
    """Turn the errors of a cluster into one that names the first file that is not done."""
    from distributed import KilledWorker

    before = f"before {shown(batch[0][1].prediction)} and the files after it were done"
    try:
        yield
    except KilledWorker as error:
        raise FileError(
            f"`engine=`: several workers were lost one after the other, {before}; if their memory ran out, give them "
            "more; otherwise, run it again, with `resume=True` if it keeps a `state=`"
        ) from error
    except (CancelledError, OSError) as error:
        where = printable(str(getattr(client.scheduler, "address", "")))
        raise FileError(
            f"`engine=`: the connection to the scheduler {where} was lost, {before}; run it again, with "
            "`resume=True` if it keeps a `state=`"
        ) from error
    except ImportError as error:
        raise FileError(
            f"`engine=`: expected the same fastloss {version()} in every worker, got {printable(str(error))}; install "
            "it there"
        ) from error
