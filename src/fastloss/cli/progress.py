"""Progress of a long command on standard error: a bar on a terminal, and otherwise a line per interval."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .streams import say

Report = Callable[[int, int, int], None]
"""Takes the number of images that are done, the number of all images, and the bytes so far."""

INTERVAL = 30.0
"""The seconds between two lines. A log of a run of ten hours has 1200 of them."""


@contextmanager
def shown_progress(what: str, quiet: bool = False) -> Iterator[Report | None]:
    """Show the progress of a command.

    Parameters
    ----------
    what : str
        The work, such as "evaluating".
    quiet : bool, default False
        Whether to show nothing.

    Yields
    ------
    callable or None
        The function to call after each image.
    """
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None if quiet else Lines(what)
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("", total=None, speed="")
        start = time.perf_counter()

        def progress(done: int, total: int, nbytes: int) -> None:
            seconds = max(time.perf_counter() - start, 1e-9)
            bar.update(task, completed=done, total=total, speed=speed(done, nbytes, seconds))

        yield progress


class Lines:
    """Progress as lines, for logs.

    Parameters
    ----------
    what : str
        The work, such as "evaluating".
    clock : callable, default time.monotonic
        Returns the time in seconds.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._clock = what, clock
        self._start = self._last = clock()

    def __call__(self, done: int, total: int, nbytes: int) -> None:
        """Print a line if an interval has passed since the last one."""
        now = self._clock()
        if now - self._last < INTERVAL or done == total:
            return
        self._last, seconds = now, now - self._start
        left = duration(seconds / done * (total - done))
        read = f", {nbytes / 1e9:.3g} GB" if nbytes else ""
        say(f"{self._what}: {done} of {total} images{read}, {speed(done, nbytes, seconds)}, {left} left")


def speed(images: int, nbytes: int, seconds: float) -> str:
    """Return images and bytes per second. Work that reads no pixels has no bytes."""
    gigabytes = f", {nbytes / seconds / 1e9:.3g} GB/s" if nbytes else ""
    return f"{images / seconds:.3g} images/s{gigabytes}"


def duration(seconds: float) -> str:
    """Return a time in words: 45 s, 3 min, 2 h 10 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
