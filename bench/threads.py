"""Shows whether two threads are ever slower than one: python -m bench.threads [--rounds N].

It computes cross entropy and its gradient for float32 images of 16x16 to 1024x1024 pixels, alternately on one thread
and on two. The figures are microseconds per call. One figure is for calls back to back. The other is for a call 5 ms
after the last one, when the second thread sleeps. Each figure is the least of the rounds, because other work on the
machine only adds time. Even so, the two cores must be idle.
"""

import argparse
import math
import time

import numpy as np

import fastloss as fl

LOSS = fl.CrossEntropyLoss()


def jobs(shape):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape, dtype=np.float32), rng.integers(0, shape[1], (shape[0], *shape[2:]))
    out = np.empty_like(x)
    return (lambda: LOSS(x, y)), (lambda: LOSS.value_and_grad(x, y, out=out))


def seconds(job, calls, pause):
    """Return the seconds per call, from `calls` calls after the pause."""
    time.sleep(pause)
    start = time.perf_counter()
    for _ in range(calls):
        job()
    return (time.perf_counter() - start) / calls


def compare(job, rounds, pause):
    took = {1: [], 2: []}
    fl.set_num_threads(1)
    calls = 1 if pause else 1 + int(0.0005 / seconds(job, 3, 0))
    for _ in range(rounds):
        for threads, times in took.items():
            fl.set_num_threads(threads)
            times.append(seconds(job, calls, pause))
    return [min(times) * 1e6 for times in took.values()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="rounds of which the least is taken (default: 40)")
    rounds = parser.parse_args().rounds
    columns = ("forward", "after 5 ms", "value+grad", "after 5 ms")
    print(f"{'shape':20} {'elements':>9}" + "".join(f" {c + ': 1, 2':>26}" for c in columns))
    for size in (16, 32, 64, 96, 128, 192, 256, 384, 512, 1024):
        for n, classes in ((1, 2), (1, 4), (1, 19), (4, 4)):
            shape = (n, classes, size, size)
            print(f"{shape!s:20} {math.prod(shape):9}", end="")
            for job in jobs(shape):
                for pause in (0, 0.005):
                    one, two = compare(job, rounds, pause)
                    print(f" {one:9.1f} {two:9.1f} {one / two:5.2f}x", end="", flush=True)
            print()


if __name__ == "__main__":
    main()
