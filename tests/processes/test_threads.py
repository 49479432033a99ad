"""Tests how many threads compute, and calls from several Python threads."""

from __future__ import annotations

import math
import os
import shutil
import sys
import threading

import numpy as np
import pytest
from process import last_error, output, run

import fastloss as fl
from fastloss import _backend, _threads

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


THREADS = "import fastloss as fl; print(fl.get_num_threads())"


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"FASTLOSS_NUM_THREADS": "3"}, "3"),
        ({"FASTLOSS_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, "3"),
        ({"OMP_NUM_THREADS": "5"}, "5"),
        ({"OMP_NUM_THREADS": "5,2"}, "5"),
        ({"FASTLOSS_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, "5"),
        ({"OMP_NUM_THREADS": "0"}, str(_threads._available())),
        ({}, str(_threads._available())),
    ],
)
def test_threads_of_the_environment(environment, threads):
    assert output(THREADS, **environment) == threads


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_threads_is_an_error(text):
    want = f"ValueError: FASTLOSS_NUM_THREADS: expected a positive integer, got {text!r}"
    assert last_error(THREADS, FASTLOSS_NUM_THREADS=text) == want


@pytest.mark.parametrize("threads", ["1", "3", "64", "1000000", str(2**31), str(2**70)])
def test_any_number_of_threads_computes(threads):
    assert output("print(value())", FASTLOSS_NUM_THREADS=threads) == output("print(value())")


@pytest.mark.extended
def test_many_more_threads_than_cpus_compute_much_data():
    script = """
    import fastloss as fl
    x, y = np.broadcast_to(np.float32(0), (1, 2, 1 << 28)), np.broadcast_to(np.uint8(0), (1, 1 << 28))
    values = set()
    for threads in (1, 100):
        with fl.num_threads(threads):
            values.add(fl.cross_entropy(x, y))
    print(len(values))
    """
    assert output(script) == "1"


@linux
def test_affinity_counts():
    if not shutil.which("taskset"):
        pytest.skip("no taskset")
    cpu = min(os.sched_getaffinity(0))
    assert run(THREADS, prefix=["taskset", "-c", str(cpu)]).stdout.strip() == "1"


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "400000 100000\n"}, 4),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "0\n"}, math.inf),
        ({"cpu.max": "200000 100000", "cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "1"}, 1),
        ({"own": "0::/a/b\n", "a/b/cpu.max": "300000 100000", "a/cpu.max": "200000 100000", "c/cpu.max": "1 1"}, 2),
        ({"own": "0::/a/b\n", "a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000"}, 1.5),
        ({"own": "0::/../x\n", "cpu.max": "400000 100000"}, 4),
        ({"own": "4:cpu,cpuacct:/a\n", "cpu/a/cpu.cfs_quota_us": "5", "cpu/a/cpu.cfs_period_us": "2"}, 2.5),
        ({"own": "4:cpuset:/a\n", "cpu/a/cpu.cfs_quota_us": "5", "cpu/a/cpu.cfs_period_us": "2"}, math.inf),
        ({"own": "nonsense\n\n:::", "cpu.max": "400000 100000"}, 4),
        ({"own": b"\xff"}, math.inf),
        ({}, math.inf),
        ({"cpu.max": ""}, math.inf),
        ({"cpu.max": "many\n"}, math.inf),
        ({"cpu.max": "a b\n"}, math.inf),
        ({"cpu.max": "100000 0\n"}, math.inf),
        ({"cpu.max": "0 100000\n"}, math.inf),
        ({"cpu.max": b"\xff\xfe 100"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": b"\xff", "cpu/cpu.cfs_period_us": b"\xff"}, math.inf),
    ],
)
def test_cgroup_quota(files, cpus, tmp_path):
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert _threads._quota(str(tmp_path), str(tmp_path / "own")) == cpus


def test_eight_threads_of_python_at_once_give_equal_values():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 5, 200, 201)).astype(np.float32), rng.integers(0, 5, (2, 200, 201))
    losses = [fl.DiceLoss() + fl.CrossEntropyLoss(), fl.CrossEntropyLoss(), fl.TverskyLoss(batch=True)]
    want = [loss.value_and_grad(x, y) for loss in losses]
    equal, start = [], threading.Barrier(8)

    def work(k):
        start.wait()
        for i in range(12):
            loss, (value, gradient) = losses[(k + i) % 3], want[(k + i) % 3]
            with fl.num_threads(1 + (k + i) % 4):
                v, g = loss.value_and_grad(x, y)
            equal.append(v == value and g.tobytes() == gradient.tobytes())

    threads = [threading.Thread(target=work, args=[k]) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert equal == [True] * 96


X, Y, D = np.zeros((2, 3, 4), np.float32), np.zeros((2, 4), int), np.zeros((2, 3, 4))
CHANGED = {  # a call's arrays; which of them is another when its buffer is taken, and what the caller calls it
    "labels": ((X, Y, None), {"target": Y[:, :3]}, "target"),
    "samples": ((X, Y, None), {"target": Y[:1]}, "target"),
    "dimensions": ((X, Y, None), {"target": Y.ravel()}, "target"),
    "dense": ((X, D, None), {"target": D[:, :2]}, "target"),
    "weight": ((X, Y, Y), {"weight": Y.T}, "pixel_weight"),
    "by class": ((X, D, D), {"weight": D[..., 1:]}, "pixel_weight"),
    "maps": ((X, Y, None), {"maps": D.transpose(0, 2, 1)}, "distance_maps"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_an_array_that_another_thread_reshapes_during_the_call_is_refused(what):
    arrays, change, name = CHANGED[what]
    loss = fl.CrossEntropyLoss()
    batch = loss.make_batch(*arrays)
    assert loss.sums(batch)
    with pytest.raises(ValueError, match=f"^{name}: changed during the call$"):
        loss.sums(batch.having(**change))


def test_a_mask_that_another_thread_reshapes_during_the_call_is_refused():
    for mask, key, spacing in [(Y[:, :3], Y[0, 0], (1, 1)), (Y, X[0, 0, 0], (1, 1)), (Y, Y[0, 0], (1,))]:
        with pytest.raises(ValueError, match=r"^mask: changed during the call$"):
            _backend.distance(mask, key, True, spacing, np.empty((2, 4), np.float32))


def test_the_gil_is_free_during_a_call():
    script = """
    import threading
    import fastloss as fl
    n = 1 << 28
    x, y = np.broadcast_to(np.float32(0), (1, 2, n)), np.broadcast_to(np.uint8(0), (1, n))
    ticks, done = [], []
    def tick():
        while not done:
            ticks.append(time.perf_counter())
            time.sleep(0.001)
    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    fl.cross_entropy(x, y)
    end = time.perf_counter()
    done.append(1)
    thread.join()
    inside = [t for t in ticks if start < t < end]
    print(max(np.diff([start, *inside, end])) < 0.5 * (end - start), len(inside) > 10)
    """
    assert output(script, FASTLOSS_NUM_THREADS="1") == "True True"


@linux
def test_import_and_tiny_calls_start_no_thread():
    script = """
    def threads():
        return len(os.listdir("/proc/self/task"))
    counts = [threads()]
    import fastloss as fl
    counts.append(threads())
    fl.cross_entropy(np.zeros((1, 4, 16, 16), np.float32), np.zeros((1, 16, 16), int))
    fl.DiceLoss().value_and_grad(np.zeros((1, 4, 16, 16), np.float32), np.zeros((1, 16, 16), int))
    counts.append(threads())
    value()
    print(len(set(counts)), threads() - counts[0])
    """
    started = 2 if fl.config()["openmp"] else 0
    assert output(script, FASTLOSS_NUM_THREADS="3", OPENBLAS_NUM_THREADS="1") == f"1 {started}"
