"""The package among processes, threads, signals and environment variables. Every subprocess has a time limit."""

from __future__ import annotations

import contextvars
import dataclasses
import math
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from process import CHILD, SETUP, TIMEOUT, last_error, output, run, start

import fastloss as fl
from fastloss import _backend, _threads

posix = pytest.mark.skipif(os.name != "posix", reason="forks and signals are POSIX's")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


# ---- instruction sets

BITS = """
import fastloss as fl
print(fl.config()["level"])
losses = [fl.CrossEntropyLoss(label_smoothing=0.1, class_weight=[1, 2, 0, 3, 0.5]), fl.DiceLoss(squared=True),
          fl.DiceLoss() + fl.CrossEntropyLoss(), fl.JaccardLoss(activation="sigmoid", batch=True)]
for dtype in (np.float32, np.float64, np.float16):
    x, y = data(dtype)
    dense = np.eye(5)[y].transpose(0, 3, 1, 2)
    calls = [loss.value_and_grad(x, y) for loss in losses] + [fl.BCEWithLogitsLoss().value_and_grad(x, dense)]
    for v, g in calls:
        print(v.hex(), g[..., ::40, ::7].astype(float).tobytes().hex(), hash(g.tobytes()))
    print(*(fl.cross_entropy(x, y, reduction="none").ravel()[::1000].tobytes().hex(), 0))
"""


@pytest.fixture(scope="module")
def levels():
    """What each level that this CPU has prints, as lines."""
    lines = {cap: output(BITS, FASTLOSS_ISA=cap).splitlines() for cap in ("base", "v3", "v4")}
    return {cap: rest for cap, (level, *rest) in lines.items() if level == cap}


def test_v3_and_v4_give_the_same_bits(levels):
    if "v4" not in levels:
        pytest.skip(f"this CPU has only {', '.join(levels)}")
    assert levels["v4"] == levels["v3"]


def test_base_is_within_rounding_of_v3(levels):
    if "v3" not in levels:
        pytest.skip("this CPU has only base")
    for line, (base, v3) in enumerate(zip(levels["base"], levels["v3"], strict=True)):
        eps = np.finfo([np.float32, np.float64, np.float16][line // 6]).eps
        (a, ga, _), (b, gb, _) = ((*s.split(), "")[:3] for s in (base, v3))
        if line % 6 == 5:  # a map
            dtype = np.float64 if line // 6 == 1 else np.float32
            ga, gb = (np.frombuffer(bytes.fromhex(s), dtype) for s in (a, b))
            np.testing.assert_allclose(ga, gb, rtol=4 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
            continue
        assert math.isclose(float.fromhex(a), float.fromhex(b), rel_tol=1e-7)
        ga, gb = (np.frombuffer(bytes.fromhex(s)) for s in (ga, gb))
        np.testing.assert_allclose(ga, gb, rtol=0, atol=8 * eps * np.abs(gb).max())


def test_a_level_only_lowers():
    assert output("import fastloss as fl; print(fl.config()['level'])", FASTLOSS_ISA="base") == "base"
    best = output("import fastloss as fl; print(fl.config()['level'])")
    assert output("import fastloss as fl; print(fl.config()['level'])", FASTLOSS_ISA="v4") == best
    assert output("import fastloss as fl; print(fl.config()['level'])", FASTLOSS_ISA="") == best


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the levels are x86-64's")
def test_the_level_is_the_best_that_the_cpu_has():
    flags = re.search(r"^flags\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split()
    v3 = {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"} <= set(flags)
    v4 = v3 and {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= set(flags)
    best = output("import fastloss as fl; print(fl.config()['level'])")
    assert best == ("v4" if v4 else "v3" if v3 else "base")


@pytest.mark.parametrize("cap", ["v5", "V3", "avx2"])
def test_a_wrong_level_is_an_error(cap):
    want = f"ValueError: FASTLOSS_ISA: expected one of base, v3, v4, got {cap!r}"
    assert last_error("import fastloss", FASTLOSS_ISA=cap) == want


# ---- backends

WITHOUT = "sys.modules['fastloss._core'] = None\n"
SLOWER = (
    "fastloss: the compiled extension is not installed, so the slower NumPy implementation is used; "
    "set FASTLOSS_BACKEND=numpy to silence this warning"
)
SHOW = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fastloss as fl
    fl.cross_entropy([[2.0, 0.0]], [0])
    fl.cross_entropy([[2.0, 0.0]], [0])
print(fl.get_backend(), [str(w.message) for w in caught])
"""


@pytest.mark.parametrize(
    ("before", "wanted", "printed"),
    [
        ("", None, "native []"),
        ("", "auto", "native []"),
        ("", "native", "native []"),
        ("", "numpy", "numpy []"),
        (WITHOUT, "numpy", "numpy []"),
        (WITHOUT, "auto", f"numpy ['{SLOWER}']"),
        (WITHOUT, None, f"numpy ['{SLOWER}']"),
    ],
)
def test_backend_of_the_environment(before, wanted, printed):
    assert output(before + SHOW, **({"FASTLOSS_BACKEND": wanted} if wanted else {})) == printed


def test_a_forced_backend_that_is_missing_is_an_error():
    error = last_error(WITHOUT + "import fastloss", FASTLOSS_BACKEND="native")
    assert error.startswith("ImportError: FASTLOSS_BACKEND: expected 'auto' or 'numpy', because the compiled ")
    script = "import fastloss as fl\nwith fl.backend('native'): pass"
    error = last_error(WITHOUT + script, FASTLOSS_BACKEND="numpy")
    assert error.startswith("ImportError: name: expected 'auto' or 'numpy', because the compiled ")
    error = last_error("import fastloss", FASTLOSS_BACKEND="cuda")
    assert error == "ValueError: FASTLOSS_BACKEND: expected one of auto, native, numpy, got 'cuda'"


def test_without_the_extension_the_values_are_the_same():
    script = """
    import fastloss as fl
    with fl.backend("numpy"):
        print(value())
    """
    assert output(WITHOUT + textwrap.dedent(script), FASTLOSS_BACKEND="numpy") == output(script)


def test_without_docstrings_it_computes():
    done = start([sys.executable, "-OO", "-c", SETUP + "print(value())"], {})
    assert (done.stdout.strip(), done.stderr) == (output("print(value())"), "")


def test_backend_and_threads_belong_to_the_context():
    seen = {}

    def look(name):
        seen[name] = fl.get_backend(), fl.get_num_threads()

    usual = fl.get_backend(), fl.get_num_threads()
    with fl.backend("numpy"), fl.num_threads(7):
        inside = contextvars.copy_context()
        thread = threading.Thread(target=look, args=["new thread"])
        thread.start()
        thread.join()
        with fl.backend("auto"), fl.num_threads(3):
            look("nested")
        look("within")
    look("after")
    inside.run(look, "copied context")
    assert seen == {
        "new thread": usual,
        "nested": (usual[0], 3),
        "within": ("numpy", 7),
        "after": usual,
        "copied context": ("numpy", 7),
    }
    with pytest.raises(RuntimeError), fl.backend("numpy"), fl.num_threads(7):
        raise RuntimeError
    look("raised")
    assert seen["raised"] == usual


def test_show_config(capsys):
    with fl.num_threads(2):
        fl.show_config()
        printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
        assert printed == {k: str(v) for k, v in fl.config().items()}
    assert list(printed) == ["version", "backend", "level", "openmp", "threads", "forked", "numpy"]
    assert printed["version"] == fl.__version__
    assert (printed["backend"], printed["forked"], printed["numpy"]) == ("native", "False", np.__version__)
    assert printed["level"] in ("base", "v3", "v4")
    with fl.backend("numpy"):
        fl.show_config()
    assert "backend  numpy\nlevel    None\n" in capsys.readouterr().out


# ---- how many threads

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


# ---- forks


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
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 on fork() beside threads
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            print(pool.map(value, [np.float32] * 4) == [before] * 4)
    """
    file = tmp_path / "main.py"
    file.write_text(SETUP + textwrap.dedent(script))
    done = start([sys.executable, str(file), method], {"FASTLOSS_NUM_THREADS": "4"})
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


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


def compiled(tmp_path, source, *flags):
    """A shared library of a few lines of C."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    (tmp_path / "helper.c").write_text(source)
    command = ["gcc", "-O1", "-shared", "-fPIC", *flags, "helper.c", "-o", "helper.so"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        pytest.skip(f"gcc {' '.join(flags)}: {done.stderr}")
    return str(tmp_path / "helper.so")


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


# ---- threads of Python


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
        loss.sums(dataclasses.replace(batch, native=None, **change))


def test_a_mask_that_another_thread_reshapes_during_the_call_is_refused():
    for mask, key, spacing in [(Y[:, :3], Y[0, 0], (1, 1)), (Y, X[0, 0, 0], (1, 1)), (Y, Y[0, 0], (1,))]:
        with pytest.raises(ValueError, match=r"^mask: changed during the call$"):
            _backend.distance(mask, key, True, spacing, np.empty((2, 4), np.float32))


def test_the_kernels_see_the_shape_that_was_checked():
    """And not another thread's."""
    x = X.copy()
    batch = fl.CrossEntropyLoss().make_batch(x, Y, None)
    assert batch.input is not x
    assert np.shares_memory(batch.input, x)


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


# ---- floating-point modes


def test_import_and_calls_leave_the_floating_point_mode():
    script = """
    tiny = np.full(8, 1e-40, np.float32)
    def mode():
        return (tiny * 1 != 0).all(), (np.full(8, 2e-38, np.float32) * np.float32(0.25) != 0).all(), 1e-310 * 1.0 != 0
    modes = [mode()]
    import fastloss
    modes.append(mode())
    value()
    modes.append(mode())
    print(modes == [(True, True, True)] * 3)
    """
    assert output(script) == "True"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="MXCSR is x86's")
def test_flush_to_zero_of_the_caller_gives_the_same_bits_on_any_number_of_threads(tmp_path):
    library = compiled(
        tmp_path,
        "#include <xmmintrin.h>\nunsigned get(void) { return _mm_getcsr(); }\nvoid set(unsigned m) { _mm_setcsr(m); }",
    )
    script = f"""
    import ctypes
    import fastloss as fl
    mxcsr = ctypes.CDLL({library!r})
    x, y = data()
    x[:, 1:] -= 80  # gradients that are subnormal
    def bits(threads):
        with fl.num_threads(threads):
            v, g = fl.CrossEntropyLoss().value_and_grad(x, y)
            return v.hex(), g.tobytes()
    usual = bits(4)
    mode = mxcsr.get()
    mxcsr.set(mode | 0x8040)  # flush to zero, denormals are zero
    flushed = [bits(n) for n in (1, 2, 3, 4, 8)]
    kept = mxcsr.get() & 0x8040 == 0x8040
    mxcsr.set(mode)
    print(all(b == flushed[0] for b in flushed), kept, flushed[0] != usual, bits(4) == usual)
    """
    assert output(script) == "True True True True"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="MXCSR is x86's")
@pytest.mark.parametrize("level", ["base", "v4"])
def test_flush_to_zero_of_the_caller_leaves_subnormal_halves_whatever_the_layout(level, tmp_path):
    """They are normal numbers of float32."""
    library = compiled(tmp_path, "#include <xmmintrin.h>\nvoid flush(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }")
    script = f"""
    import ctypes
    import fastloss as fl
    halves = np.arange(0x7c00, dtype=np.uint16).view(np.float16)
    want = -halves.astype(np.float32)
    ctypes.CDLL({library!r}).flush()
    for x in (halves, np.repeat(halves, 2)[::2], halves.astype(">f2")):
        got = fl.nll_loss(x[:, None], np.zeros(len(x), int), reduction="none")
        print(np.array_equal(got.view(np.int32)[1:], want.view(np.int32)[1:]))  # but for the zero's sign
    """
    assert output(script, FASTLOSS_ISA=level).split() == ["True"] * 3


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="MXCSR is x86's")
@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="Linux tells which runtimes are loaded")
def test_workers_get_their_own_floating_point_mode_back(tmp_path):
    """Another user of the same OpenMP runtime finds them as they were."""
    library = compiled(
        tmp_path,
        """
        #include <xmmintrin.h>
        void set(unsigned m) { _mm_setcsr(m); }
        unsigned get(int threads) {
            unsigned all = 0;
        #pragma omp parallel num_threads(threads) reduction(| : all)
            all |= _mm_getcsr();
            return all;
        }
        """,
        "-fopenmp",
    )
    script = f"""
    import ctypes
    import fastloss as fl
    mxcsr = ctypes.CDLL({library!r})
    runtimes = {{line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}}
    mode = mxcsr.get(4) & ~0x3f  # starts the workers, who would be born with the caller's mode
    mxcsr.set(mode | 0x8040)
    with fl.num_threads(4):
        value()
    mxcsr.set(mode)
    print(len(runtimes), mxcsr.get(4) & 0x8040)
    """
    runtimes, flushes = output(script).split()
    if int(runtimes) != 1:
        pytest.skip("the extension has an OpenMP runtime of its own")
    assert flushes == "0"


# ---- Ctrl-C


MANY = (  # of dear ones
    "(fl.JSDivLoss() + fl.FocalLoss(gamma=1.5) + fl.FocalLoss(gamma=2.5) + fl.CrossEntropyLoss() + fl.DiceLoss()"
    " + fl.DiceLoss(squared=True))(x, x)"
)


@posix
@pytest.mark.parametrize(
    "call", ["fl.cross_entropy(x, y)", "fl.dice_loss(x, y)", "fl.evaluate({'d': fl.DiceLoss()}, x, y)", MANY]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", ["1", "4"])
def test_ctrl_c_ends_a_long_call_within_half_a_second_and_the_next_is_right(call, dtype, threads):
    script = f"""
    import signal, threading
    import fastloss as fl
    before = value()
    n = 1 << 40  # hours; of no memory
    x, y = np.broadcast_to(np.{dtype}(0), (1, 2, n)), np.broadcast_to(np.uint8(0), (1, n))
    sent = []
    def interrupt():
        time.sleep(0.3)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        {call}
    except KeyboardInterrupt:
        late = time.perf_counter() - sent[0]
        print(late < 0.5 or late, value() == before)
    """
    assert output(script, FASTLOSS_NUM_THREADS=threads, FASTLOSS_ISA="base") == "True True"  # the slowest


@posix
@pytest.mark.parametrize("threads", ["1", "4"])
def test_ctrl_c_ends_a_distance_transform(threads):
    script = """
    import signal, threading
    import fastloss as fl
    small = np.eye(9, dtype=bool)
    before = fl.distance_transform(small).tobytes()
    mask = np.broadcast_to(np.arange(1024) % 7 != 0, (400, 1024, 1024))  # seconds; the result's pages come as it goes
    sent = []
    def interrupt():
        time.sleep(0.1)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        fl.distance_transform(mask)
    except KeyboardInterrupt:
        late = time.perf_counter() - sent[0]
        print(late < 0.5 or late, fl.distance_transform(small).tobytes() == before)
    """
    assert output(script, FASTLOSS_NUM_THREADS=threads) == "True True"


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
