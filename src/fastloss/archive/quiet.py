"""Ignores the warnings of the libraries that read, in all threads of an evaluation."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_running = 0
_filters = warnings.catch_warnings()


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings of the libraries that read, while any thread of this process evaluates files.

    The filters are those of the process. Several evaluations may run at once, as batches do in a Dask worker, so the
    last one restores the filters.
    """
    global _running, _filters
    with _lock:
        _running += 1
        if _running == 1:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.simplefilter("ignore")
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                _filters.__exit__(None, None, None)
