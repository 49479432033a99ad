"""Reads windows ahead in a few threads, while the caller computes.

The archive reads the windows of files with it, and `_lazy_arrays` those of lazy arrays. The results come in order. The
memory of what is read ahead is bounded: at most AHEAD_BYTES, or one window if that is larger. Decompression and reading
release the GIL, so two threads decode almost twice as fast as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

AHEAD_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Work(Generic[T]):
    """Something to read, and the size of the result in bytes."""

    read: Callable[[], T]
    nbytes: int


def read_ahead(works: Iterator[Work[T]], threads: int, most: int | None = None) -> Generator[T, None, None]:
    """Yield the results in order. An error comes when its turn comes, also one that `works` raises.

    `most`: the number of bytes to read ahead, AHEAD_BYTES if None.
    """
    most = AHEAD_BYTES if most is None else most
    queue: deque[tuple[Future[T], int]] = deque()
    more = True
    with ThreadPoolExecutor(threads, thread_name_prefix="fastloss-read") as pool:
        try:
            while more or queue:
                held = sum(size for _, size in queue)
                while more and (not queue or (len(queue) <= threads and held < most)):
                    try:
                        work = next(works, None)
                    except Exception as error:
                        failed: Future[T] = Future()
                        failed.set_exception(error)
                        queue.append((failed, 0))
                        more = False
                        break
                    if work is None:
                        more = False
                        break
                    queue.append((pool.submit(work.read), work.nbytes))
                    held += work.nbytes
                if queue:
                    yield queue.popleft()[0].result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
