"""Tests what happens if memory runs out: a MemoryError, no half-done work, and a correct next call.

This needs Linux, where each test limits the address space of a separate process. The process starts its worker threads
before it sets the limit, because libgomp ends a process that cannot start a thread.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import fastloss as fl

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space, and /proc")

SCRIPT = """
import os, resource, sys
import numpy as np
import fastloss as fl

def limited(room, call):
    "The call's outcome with so many bytes of address space left."
    used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGESIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))
    try:
        return call()
    except MemoryError:
        return "MemoryError"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)

rng = np.random.default_rng(0)
x = rng.standard_normal((2, 150, 96, 96)).astype(np.float32)  # 11 MiB
y = rng.integers(0, 150, (2, 96, 96))
out = np.empty_like(x)
mask = rng.random((10, 96, 96)) < 0.99
loss = fl.DiceLoss() + fl.CrossEntropyLoss(label_smoothing=0.1)
CALLS = {
    "value": lambda: loss(x, y).hex(),
    "gradient": lambda: hash(loss.value_and_grad(x, y)[1].tobytes()),
    "out": lambda: hash(loss.value_and_grad(x, y, out=out)[1].tobytes()),
    "map": lambda: hash(fl.cross_entropy(x, y, reduction="none").tobytes()),
    "partial": lambda: str(loss.partial(x, y).numbers),
    "evaluate": lambda: str(fl.evaluate({"loss": loss}, x, y)["loss"]),
    "boundary": lambda: fl.boundary_loss(x[:, :3], np.minimum(y, 2)).hex(),
    "distance": lambda: hash(fl.distance_transform(mask).tobytes()),
    "softmax": lambda: hash(fl.softmax(x, axis=1).tobytes()),
    "one_hot": lambda: hash(fl.one_hot(y, 150).tobytes()),
}
fl.set_num_threads(int(sys.argv[2]))
with fl.backend(sys.argv[1]):
    for name, call in CALLS.items():
        right = call()
        found = [limited(room, call) for room in (0, 2**18, 2**22, 2**27)]
        assert set(found) <= {right, "MemoryError"}, name
        assert call() == right, name
        print(name, found.count("MemoryError") > 0, found[-1] == right)
"""


@pytest.mark.extended
@linux
@pytest.mark.parametrize("threads", ["1", "2"])
def test_without_memory_a_call_raises_and_the_next_is_right(threads, backend):
    command = [sys.executable, "-c", SCRIPT, backend, threads]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # no large allocation from what was freed before
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    failed = {name for name, failed, _ in lines if failed == "True"}
    assert failed >= {"gradient", "map", "boundary", "distance", "softmax", "one_hot"}
    if backend == "native":
        assert failed >= {"value", "out", "partial"}  # only the scratch
        assert all(computed == "True" for _, _, computed in lines), lines  # 128 MiB suffice


@pytest.mark.parametrize("classes", [2**41, 2**57, 2**58, 2**58 + 1, (2**64 + 2) // 6, 2**62 - 1])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: fl.cross_entropy(x, y),
        lambda x, y: fl.cross_entropy(x, y, reduction="none"),
        lambda x, y: fl.DiceLoss(activation=None, batch=True)(x, y),
        lambda x, y: fl.dice_loss(x, y, pixel_weight=[1.0]),
        lambda x, y: fl.evaluate({"ce": fl.CrossEntropyLoss()}, x, y),
        lambda x, y: fl.mse_loss(x, x, reduction="none"),
        lambda x, y: fl.BCEWithLogitsLoss(axis=1).value_and_grad(x, x),
        lambda x, y: fl.logsumexp(x, axis=1),
        lambda x, y: fl.softmax(x, axis=1),
        lambda x, y: fl.sigmoid(x),
    ],
)
def test_more_classes_than_any_memory_holds_are_refused(call, classes, backend):
    """An array of one number, broadcast: sizes made of its shape would overflow. NumPy raises ValueError for some."""
    x = np.broadcast_to(np.float16(0), (1, classes))
    with pytest.raises((MemoryError, ValueError)):
        call(x, np.zeros(1, int))
