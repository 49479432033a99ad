"""Measures the memory of a call beyond its arrays: python -m bench.peak THREADS. bench.sweeps starts this process.

The figures come from Linux's /proc, where the peak is reset to the memory in use before each call. (ru_maxrss is no
substitute, because a process inherits the value.)
"""

import ctypes
import json
import pathlib
import sys

import numpy as np

import fastloss as fl

SHAPE = (8, 19, 512, 512)


PROC = pathlib.Path("/proc/self")


def extra(call):
    """Return by how many bytes the peak exceeds the memory in use before the call."""

    def status(key):
        line = next(text for text in (PROC / "status").read_text().splitlines() if text.startswith(key))
        return int(line.split()[1]) * 1024

    ctypes.CDLL(None).malloc_trim(0)  # glibc returns the freed memory of earlier calls to the system
    (PROC / "clear_refs").write_text("5")
    before = status("VmRSS")
    call()
    return status("VmHWM") - before


def main(threads):
    fl.set_num_threads(threads)
    x, y = np.empty(SHAPE, np.float32), np.empty((SHAPE[0], *SHAPE[2:]), np.int64)
    x.fill(0.5)
    y.fill(1)
    found = {}
    for name, loss in {"cross entropy": fl.CrossEntropyLoss(), "Dice": fl.DiceLoss()}.items():
        loss.value_and_grad(x[:1], y[:1])  # does the imports, and creates the threads and their stacks
        found[f"{name}, forward"] = {"extra": extra(lambda loss=loss: loss(x, y))}
        both = extra(lambda loss=loss: loss.value_and_grad(x, y))
        found[f"{name}, value+grad"] = {"extra": both, "gradient": x.nbytes}
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
