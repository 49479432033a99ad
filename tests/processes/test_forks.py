"""Tests processes that fork, whatever else computes at the same time."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest
from process import CHILD, SETUP, compiled, output, start

posix = pytest.mark.skipif(os.name != "posix", reason="forks and signals are POSIX's")


@posix
@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_fork_after_use_computes_and_a_fork_of_the_fork(threads):
    script = """
    before = value()
    import fastloss as fl
    print(child(2), fl.config()["forked"], value() == before)
    """
    assert output(CHILD + textwrap.dedent(script), FASTLOSS_NUM_THREADS=threads) == "0 False True"


@posix
def test_a_fork_while_threads_compute_computes():
    script = """
    import threading
    import fastloss as fl
    before, stop = value(), []
    def work():
        while not stop:
            value()
    workers = [threading.Thread(target=work) for _ in range(3)]
    for w in workers: w.start()
    codes = [child(0) for _ in range(5)]
    stop.append(1)
    for w in workers: w.join()
    print(codes)
    """
    assert output(CHILD + textwrap.dedent(script), FASTLOSS_NUM_THREADS="4") == "[0, 0, 0, 0, 0]"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method, tmp_path):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    script = """
    import multiprocessing, warnings
    if __name__ == "__main__":
        before = value()
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns about fork() with threads
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            print(pool.map(value, [np.float32] * 4) == [before] * 4)
    """
    file = tmp_path / "main.py"
    file.write_text(SETUP + textwrap.dedent(script))
    done = start([sys.executable, str(file), method], {"FASTLOSS_NUM_THREADS": "4"})
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


@pytest.mark.extended
@posix
@pytest.mark.parametrize("call", ["fl.cross_entropy(x, y)", "fl.distance_transform(mask)"])
def test_a_fork_by_a_signal_within_a_call_computes(call):
    script = f"""
    import signal
    import fastloss as fl
    x, y = np.broadcast_to(np.float32(0), (1, 2, 1 << 28)), np.broadcast_to(np.uint8(0), (1, 1 << 28))
    mask = np.broadcast_to(np.arange(1024) % 7 != 0, (64, 1024, 1024))
    def bits():
        return hash(np.asarray({call}).tobytes())
    before, children = bits(), []
    signal.signal(signal.SIGALRM, lambda *_: children.append(os.fork()))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    same = bits() == before
    if children == [0]:
        os._exit(not same)
    print(same, [os.waitpid(child, 0)[1] for child in children])
    """
    assert output(script, FASTLOSS_NUM_THREADS="4") == "True [0]"


@posix
def test_a_fork_computes_though_only_another_library_used_openmp_before(tmp_path):
    """Its pool of threads is libgomp's, which is ours too."""
    source = """
    int count(void) {
        int n = 0;
        #pragma omp parallel num_threads(4) reduction(+ : n)
        n++;
        return n;
    }"""
    library = compiled(tmp_path, source, "-fopenmp")
    script = f"""
    import ctypes
    import fastloss
    before = {output("print(value())")!r}
    assert ctypes.CDLL({library!r}).count() == 4
    print(child(0))
    """
    assert output(CHILD + textwrap.dedent(script), FASTLOSS_NUM_THREADS="4") == "0"


@posix
def test_a_fork_transforms():
    script = """
    import fastloss as fl
    mask = np.random.default_rng(0).random((500, 600)) < 0.9
    before = fl.distance_transform(mask).tobytes()
    child = os.fork()
    if child == 0:
        os._exit(0 if fl.distance_transform(mask).tobytes() == before else 1)
    print(os.waitpid(child, 0)[1])
    """
    assert output(script, FASTLOSS_NUM_THREADS="2") == "0"
