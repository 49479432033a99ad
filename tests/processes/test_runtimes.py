"""Tests fastloss together with other runtimes.

These are forks, pools of processes and threads, torch, scikit-learn, joblib, and OpenMP's settings. There are two
tables: ways to compute many times at once, and settings for them. Each script runs in a separate Python process with a
time limit. It must print that all its values equal those of this process, to the bit. By default each script runs once.
`pytest tests/processes/test_runtimes.py -m ""` runs each twenty times.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import textwrap

import pytest
from process import CHILD, SETUP, output, start

pytestmark = pytest.mark.extended
TIMES = [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 20))]
twenty_times = pytest.mark.parametrize("time", TIMES)
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, sets the affinity")


@pytest.fixture(scope="module")
def want():
    """The bits of `value()`, on one thread."""
    return output("print(value())", FASTLOSS_NUM_THREADS="1")


def values(script, tmp_path, prefix=(), **environment):
    """What a script prints, in a file of its own: spawned processes import it."""
    for module in ("torch", "joblib", "sklearn", "threadpoolctl"):
        if module in script and not importlib.util.find_spec(module):
            pytest.skip(f"no {module} here")
    indented = textwrap.indent(textwrap.dedent(script), "    ")
    file = tmp_path / "script.py"
    file.write_text(SETUP + CHILD + "if __name__ == '__main__':\n    import warnings\n" + indented)
    done = start([*prefix, sys.executable, "-W", "ignore", str(file)], {"FASTLOSS_NUM_THREADS": "4"} | environment)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr}"
    return set(done.stdout.split())


# ---- ways: each prints values, or a child's exit code as "0"

FORK = """
before = value()
print(before, child(2))
"""
EIGHT_THREADS = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    print(*pool.map(lambda _: value(), range(32)))
"""
POOL = """
import multiprocessing
print(value())
with multiprocessing.get_context({method!r}).Pool(2) as pool:
    print(*pool.map(value, [np.float32] * 4))
"""
# The Dataset is a sequence of functions to call; a worker is a fork, or started anew.
LOADER = """
import torch.utils.data
print(value())
for method in ("fork", "spawn"):
    loader = torch.utils.data.DataLoader(
        [np.float32] * 4, batch_size=None, num_workers=2, collate_fn=value, multiprocessing_context=method)
    print(*loader)
"""
JOBLIB = """
import joblib
print(value())
with joblib.parallel_config(backend={backend!r}):
    print(*joblib.Parallel(4)(joblib.delayed(value)() for _ in range(8)))
"""
# Both start threads of the OpenMP runtime that they came with, or of ours.
SKLEARN = """
import sklearn.cluster
points = np.random.default_rng(0).random((5000, 3))
fit = lambda: sklearn.cluster.KMeans(8, n_init=1, random_state=0).fit(points)
fit()
before = value()
fit()
print(before, value(), child(1))
"""
TORCH = """
import torch
train = lambda: torch.nn.Conv2d(3, 8, 3)(torch.rand(2, 3, 200, 200)).sum().backward()
train()
before = value()
train()
print(before, value(), child(1))
"""
WAYS = {
    "fork": FORK,
    "threads": EIGHT_THREADS,
    "fork after threads": EIGHT_THREADS + FORK,
    "fork pool": POOL.format(method="fork"),
    "spawn pool": POOL.format(method="spawn"),
    "forkserver pool": POOL.format(method="forkserver"),
    "torch DataLoader": LOADER,
    "loky": JOBLIB.format(backend="loky"),
    "joblib threading": JOBLIB.format(backend="threading"),
    "scikit-learn": SKLEARN,
    "torch": TORCH,
}

posix = pytest.mark.skipif(os.name != "posix", reason="forks are POSIX's")


@posix
@twenty_times
@pytest.mark.parametrize("way", WAYS)
def test_values_are_equal_however_computed(way, time, want, tmp_path):
    assert values(WAYS[way], tmp_path) <= {want, "0"}


@posix
@twenty_times
@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_PROC_BIND": "true"},
        {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores"},
        {"OMP_DYNAMIC": "true"},
        {"OMP_THREAD_LIMIT": "2"},
        {"OMP_WAIT_POLICY": "active"},
        {"OMP_NUM_THREADS": "3", "FASTLOSS_NUM_THREADS": ""},
    ],
    ids=str,
)
def test_values_are_equal_with_any_setting_of_openmp(environment, time, want, tmp_path):
    assert values(EIGHT_THREADS + FORK, tmp_path, **environment) == {want, "0"}


@posix
@twenty_times
@pytest.mark.parametrize("order", ["before", "after"])  # we before them, or after
@pytest.mark.parametrize("way", ["scikit-learn", "torch"])
def test_values_are_equal_whoever_is_imported_first(way, order, time, want, tmp_path):
    lines = WAYS[way].strip().splitlines()
    lines.insert(order == "after", "import fastloss")
    assert values("\n".join(lines), tmp_path, OMP_PROC_BIND="true") == {want, "0"}


# ---- no more threads than asked for

COUNT = """
def threads():
    return int(open("/proc/self/status").read().split("Threads:")[1].split()[0])
"""


@linux
@twenty_times
def test_a_limit_of_threadpoolctl_holds(time, tmp_path):
    script = """
    import threadpoolctl
    import fastloss as fl
    alone = threads()
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        value()
    print(threads() - alone)
    with threadpoolctl.threadpool_limits(2, user_api="openmp"):
        value()
    print(threads() - alone)
    value()
    print("then", threads() - alone)
    """
    script = COUNT + textwrap.dedent(script)
    assert values(script, tmp_path, OMP_NUM_THREADS="3", FASTLOSS_NUM_THREADS="") == {"0", "1", "then", "2"}


@linux
@twenty_times
def test_workers_of_joblib_share_the_cpus(time, tmp_path):
    """loky tells each worker how many threads are its share."""
    script = """
    import joblib
    def look():
        import fastloss as fl
        before = threads()
        value()
        return fl.get_num_threads(), threads() - before
    share = max(1, joblib.cpu_count() // 2)
    print(*(most <= share and started < most for most, started in joblib.Parallel(2)([joblib.delayed(look)()] * 2)))
    """
    script = COUNT + textwrap.dedent(script)
    assert values(script, tmp_path, FASTLOSS_NUM_THREADS="") == {"True"}


@linux
@twenty_times
def test_one_cpu_is_one_thread(time, want, tmp_path):
    if not shutil.which("taskset"):
        pytest.skip("no taskset")
    cpu = str(min(os.sched_getaffinity(0)))
    script = COUNT + "import fastloss\nalone = threads()\nprint(value(), threads() - alone)"
    assert values(script, tmp_path, ["taskset", "-c", cpu], FASTLOSS_NUM_THREADS="") == {want, "0"}


@linux
@twenty_times
def test_eight_callers_share_the_workers_of_one(time, tmp_path):
    """Eight threads of Python that may use four threads each run 8 + 3 at once, not 32."""
    script = """
    import threading
    import fastloss as fl
    def running():
        lines = []
        for task in os.listdir("/proc/self/task"):
            try:
                lines.append(open(f"/proc/self/task/{task}/stat").read())
            except OSError:
                pass  # it has just ended
        return sum(line.rsplit(")", 1)[1].split()[0] == "R" for line in lines) - 1
    x, y = np.broadcast_to(np.float32(0), (1, 2, 1 << 26)), np.broadcast_to(np.uint8(0), (1, 1 << 26))
    callers = [threading.Thread(target=fl.cross_entropy, args=(x, y)) for _ in range(8)]
    for t in callers: t.start()
    seen = []
    while all(t.is_alive() for t in callers):
        seen.append(running())
        time.sleep(0.005)
    for t in callers: t.join()
    print(len(seen) > 5, np.median(seen) <= 8 + 3 or seen)
    """
    assert values(script, tmp_path) == {"True"}


# ---- flush to zero, by the one who sets it most


@twenty_times
def test_torch_that_flushes_changes_no_bit_between_threads(time, tmp_path):
    script = """
    import torch
    import fastloss as fl
    x, y = data()
    x[:, 1:] -= 80  # gradients that are subnormal
    def bits(threads):
        with fl.num_threads(threads):
            return hash(fl.CrossEntropyLoss().value_and_grad(x, y)[1].tobytes())
    tiny = torch.full((8,), 1e-38)
    usual = bits(4)
    assert torch.set_flush_denormal(True)
    print(len({bits(n) for n in (1, 2, 3, 4, 8)} | {usual}), float((tiny * 0.25).sum()))
    torch.set_flush_denormal(False)
    print(2 if bits(4) == bits(1) == usual else "changed", float((tiny * 0.25).sum()) * 0)
    """
    assert values(script, tmp_path) == {"2", "0.0"}
