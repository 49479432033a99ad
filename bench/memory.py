"""Measures how fast memory is read and copied, with which every job is compared: python -m bench.memory prints it.

There are two measures. NumPy reads and copies the array from its beginning to its end. And rows.c reads and copies it
by rows of classes: tiles of 256 pixels of every class, as the kernels take them, without arithmetic.
"""

import ctypes
import os
import pathlib
import subprocess
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bench.timing import medians

SIZE = 320 << 20  # bytes of an array, many times the size of the caches
PIECE = 4 << 20
PASSES = 4  # passes over the array per call; with one pass, waking the second thread takes a third of the time


class Memory:
    """Two arrays and the jobs on them. NumPy releases the GIL while it works on a piece."""

    def __init__(self):
        self.source = np.ones(SIZE // 4, np.float32)
        self.target = np.zeros_like(self.source)
        self.pools = {}
        self.rows = compiled_rows()

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

    def row_jobs(self, threads, classes, pixels):
        """Return the two jobs by rows of classes. They move as many bytes as those of `jobs`, or a little less."""
        if self.rows is None:
            return {}
        groups = max(1, self.source.size // (classes * pixels))
        pixels = min(pixels, self.source.size // classes)

        def over(to):
            def job():
                for _ in range(PASSES):
                    self.rows(self.source.ctypes.data, to, groups, classes, pixels, threads)

            return job

        share = groups * classes * pixels / self.source.size
        return {"read": (over(None), share), "copy": (over(self.target.ctypes.data), share)}


def compiled_rows():
    """Return the function of rows.c, or None without a compiler."""
    source = pathlib.Path(__file__).with_name("rows.c")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    with tempfile.TemporaryDirectory() as folder:
        library = pathlib.Path(folder, "rows.so")
        command = [compiler, "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", str(source), "-o", str(library)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"reading by rows is left out: {error}")
            return None
        rows = ctypes.CDLL(str(library)).rows
    rows.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_ssize_t] * 3, ctypes.c_int]
    return rows


def speeds(took, share=1):
    """Return the bytes per second, from the seconds of the two jobs, which took this share of the array."""
    return {"read": share * PASSES * SIZE / took["read"], "copy": 2 * share * PASSES * SIZE / took["copy"]}


def main():
    """Print the GB/s of both measures, for one and for all threads."""
    memory = Memory()
    print("classes  threads  read  copy  read by rows  copy by rows")
    for classes, pixels in ((1, 1 << 22), (2, 1 << 20), (4, 1 << 20), (8, 1 << 20), (19, 1 << 18), (150, 1 << 18)):
        for threads in (1, os.cpu_count()):
            jobs = memory.jobs(threads)
            rows = memory.row_jobs(threads, classes, pixels)
            every = {("all", job): f for job, f in jobs.items()} | {("rows", job): f for job, (f, _) in rows.items()}
            took = medians(every, 5)
            found = speeds({job: took["all", job] for job in jobs})
            by_rows = speeds({job: took["rows", job] for job in rows}, rows["read"][1]) if rows else {}
            cells = [f"{s / 1e9:.1f}" for s in (*found.values(), *by_rows.values())]
            print(classes, threads, *cells, sep="  ", flush=True)


if __name__ == "__main__":
    main()
