"""Times `evaluate_files` in one process, in worker processes and on a Dask cluster: python -m bench.workers.

The first table is about crops. The second is about small files, where the work per file is that of opening it, sending
it and merging its result. Each line shows the seconds, the images per
second, the ratio to one process with one thread, and the peak memory of this process and of the largest worker. Every
engine must give the bits of one process.
"""

import argparse
import multiprocessing
import os
import pathlib
import tempfile
import time

import numpy as np
from distributed import Client, LocalCluster

import fastloss as fl

LOSSES = {"ce": fl.CrossEntropyLoss(), "dice": fl.DiceLoss()}


def archive(folder, count, shape):
    """Write crops whose scores are noise."""
    rng = np.random.default_rng(0)
    for sub in ("p", "m"):
        (folder / sub).mkdir()
    scores = (rng.standard_normal((16, *shape), np.float32) * 2).astype(np.float16)
    labels = rng.integers(0, shape[0], (16, *shape[1:]), np.uint8)
    for k in range(count):
        np.save(folder / "p" / f"{k:05}.npy", np.roll(scores[k % 16], k, -1))
        np.save(folder / "m" / f"{k:05}.npy", np.roll(labels[k % 16], k // 16, -1))


def peak(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def run(folder, client, options):
    """Return the report, the time until the first and the last image, and the peak memory of the largest worker."""
    start, first, largest = time.perf_counter(), [], []

    def progress(done, total, nbytes):
        if done == 1:
            first.append(time.perf_counter() - start)
        if done == total:
            pids = [process.pid for process in multiprocessing.active_children() if process.name[:8] == "fastloss"]
            if "engine" in options:
                pids = client.run(os.getpid).values()
            largest.append(max(map(peak, pids), default=0))

    with fl.num_threads(1):
        report = fl.evaluate_files(LOSSES, folder / "p", folder / "m", progress=progress, **options)
    return report, time.perf_counter() - start, first[0], largest[0]


def bits(report):
    return [(report.partial(k).numbers.tobytes(), report.per_image[k].tobytes()) for k in report]


def table(what, count, shape, client, rounds):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        archive(folder, count, shape)
        print(f"{count} {what}, {shape} float16")
        engines = {
            "one process": {},
            "1 worker": {"workers": 1},
            "2 workers": {"workers": 2},
            "LocalCluster(2)": {"engine": client},
        }
        run(folder, client, {})  # fills the cache of the file system
        took = {which: [] for which in engines}
        expected, lines = None, {}
        for _ in range(rounds):
            for which, options in engines.items():
                report, seconds, first, largest = run(folder, client, options)
                expected = expected or bits(report)
                assert bits(report) == expected, which
                took[which].append(seconds)
                lines[which] = f"first image after {first:.2f} s, peak {peak(os.getpid())} MiB"
                lines[which] += f", of a worker {largest} MiB" * bool(largest)
        one = float(np.median(took["one process"]))
        for which, times in took.items():
            seconds = float(np.median(times))
            each = f"{seconds / count * 1e3:.2f} ms per image"
            print(f"{which:16} {seconds:6.2f} s  {each}  ratio {one / seconds:.2f}  {lines[which]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=2_000)
    parser.add_argument("--small", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with (
        LocalCluster(2, processes=True, threads_per_worker=1, dashboard_address=":0") as local,
        Client(local) as client,
    ):
        table("crops", options.crops, (8, 192, 192), client, options.rounds)
        table("small files", options.small, (3, 24, 24), client, options.rounds)


if __name__ == "__main__":
    main()
