"""Measures how fast NumPy reads and copies memory on a number of threads. Every job is compared with this speed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

SIZE = 320 << 20  # bytes of an array, many times the size of the caches
PIECE = 4 << 20
PASSES = 4  # passes over the array per call; with one pass, waking the second thread takes a third of the time


class Memory:
    """Two arrays and the jobs on them. NumPy releases the GIL while it works on a piece."""

    def __init__(self):
        self.source = np.ones(SIZE // 4, np.float32)
        self.target = np.zeros_like(self.source)
        self.pools = {}

    def jobs(self, threads):
        """Return the two jobs. `read` moves PASSES x SIZE bytes, and `copy` moves twice as many."""
        if threads not in self.pools:
            self.pools[threads] = ThreadPoolExecutor(threads)
        pool, step = self.pools[threads], PIECE // 4
        source = [self.source[k : k + step] for k in range(0, self.source.size, step)]
        target = [self.target[k : k + step] for k in range(0, self.target.size, step)]

        def over(function, *pieces):
            def part(k):  # one future per thread; one per piece would cost as much as the piece itself
                for _ in range(PASSES):
                    for arrays in zip(*(p[k::threads] for p in pieces), strict=True):
                        function(*arrays)

            return lambda: list(pool.map(part, range(threads)))

        return {"read": over(np.max, source), "copy": over(np.copyto, target, source)}


def speeds(took):
    """Return the bytes per second, from the seconds of the two jobs."""
    return {"read": PASSES * SIZE / took["read"], "copy": 2 * PASSES * SIZE / took["copy"]}
