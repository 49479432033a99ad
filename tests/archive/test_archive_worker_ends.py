"""Tests how workers end: with the caller, by a signal, by an error; and scripts that start workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from crops import LOSSES, facts

import fastloss as fl
from fastloss.files.errors import FileError

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


class Stop(Exception):
    pass


@linux
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_an_error_of_the_caller_ends_the_workers(crops, workers, error):
    seen = []

    def progress(done, total, nbytes):
        if done == 20:
            seen.extend(workers())
            raise error

    with pytest.raises(error):
        fl.evaluate_files(LOSSES, crops / "p", crops / "m", workers=2, progress=progress)
    assert len(seen) == 2
    assert workers() == []


@linux
@posix
def test_a_worker_that_is_killed(crops, workers):
    def progress(done, total, nbytes):
        if done == 20:
            os.kill(workers()[0], signal.SIGKILL)

    with pytest.raises(
        FileError,
        match=r"^`workers=2`: a worker was ended by signal 9, before .*\.npy and the files after it were done",
    ):
        fl.evaluate_files(LOSSES, crops / "p", crops / "m", workers=2, progress=progress)
    assert workers() == []


@linux
@posix
def test_a_run_whose_workers_are_killed_goes_on(crops, workers, serial, tmp_path):
    """Of three runs, each loses a worker. Finished images are not read again, and the bits are the same."""
    before = 0
    for _ in range(3):
        kill_after = before + 5  # images; those of the ledger come first, before the workers start

        def progress(done, total, nbytes, kill_after=kill_after):
            if done == kill_after:
                os.kill(workers()[-1], signal.SIGKILL)

        with pytest.raises(FileError, match="a worker was ended by signal 9"):
            fl.evaluate_files(
                LOSSES, crops / "p", crops / "m", workers=2, progress=progress, state=tmp_path / "s", resume=True
            )
        records = len((tmp_path / "s" / "records.txt").read_bytes().splitlines())
        assert before < records < 200
        before = records
    report = fl.evaluate_files(LOSSES, crops / "p", crops / "m", workers=2, state=tmp_path / "s", resume=True)
    assert report.resumed == before
    assert facts(report) == serial


@posix
def test_a_dask_worker_that_is_killed(crops, cluster, serial):
    """The scheduler gives its batches to another worker."""
    before = set(cluster.run(os.getpid).values())

    def progress(done, total, nbytes):
        if done == 20:
            os.kill(min(before), signal.SIGKILL)

    report = fl.evaluate_files(LOSSES, crops / "p", crops / "m", engine=cluster, progress=progress)
    assert facts(report) == serial
    cluster.wait_for_workers(2, timeout=30)
    assert set(cluster.run(os.getpid).values()) != before


def test_a_cluster_keeps_nothing(crops, cluster):
    with pytest.raises(Stop):
        fl.evaluate_files(LOSSES, crops / "p", crops / "m", engine=cluster, progress=stop)
    end = time.monotonic() + 20
    while any(cluster.who_has().values()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(cluster.who_has().values())
    assert fl.evaluate_files(LOSSES, crops / "p", crops / "m", engine=cluster)["dice"] > 0


def stop(done, total, nbytes):
    raise Stop


# ---- scripts

SCRIPT = """
import os, signal, sys, time
import fastloss as fl
class Own(fl.DiceLoss):
    pass
def progress(done, total, nbytes):
    if done == 5:
        print("up", flush=True)
        {action}
def call():
    return fl.evaluate_files({{"d": Own()}}, "p", "m", workers=2, progress=progress)
"""
GUARDED = 'if __name__ == "__main__":\n    print(call()["d"])\n'


def script(folder, action="pass", end=GUARDED):
    (folder / "script.py").write_text(SCRIPT.format(action=action) + end)
    return [sys.executable, "-W", "error", "script.py"]


def test_a_loss_of_the_main_module(crops):
    done = subprocess.run(script(crops), cwd=crops, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["up", str(fl.evaluate_files(LOSSES, crops / "p", crops / "m")["dice"])]


@pytest.mark.parametrize("end", ["call()\n", "import fastloss.cli\nraise SystemExit(fastloss.cli.main({}))\n"], ids=len)
def test_a_script_without_a_guard(crops, end):
    """One error names the guard. The workers print nothing."""
    command = ["evaluate", "p", "m", "--loss=dice", "--workers=2"]
    done = subprocess.run(script(crops, end=end.format(command)), cwd=crops, capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2)
    assert done.stderr.count("Traceback") == (done.returncode == 1)
    assert 'put the call below `if __name__ == "__main__":`' in done.stderr.strip().splitlines()[-1]


def test_a_script_from_standard_input(crops):
    text = "import fastloss as fl\nfl.evaluate_files({'d': fl.DiceLoss()}, 'p', 'm', workers=2)\n"
    done = subprocess.run([sys.executable, "-"], cwd=crops, input=text, capture_output=True, text=True, timeout=60)
    assert done.stderr.strip().endswith(
        "`workers=`: expected a main module that a worker can import, got <stdin>; save it as a file"
    )


def test_losses_that_a_worker_cannot_have(crops, engine):
    class Local(fl.DiceLoss):
        pass

    if "workers" in engine:
        with pytest.raises(FileError, match=r"`workers=`: expected losses that can be pickled, got .*Local"):
            fl.evaluate_files({"d": Local()}, crops / "p", crops / "m", **engine)
    else:  # Dask pickles classes as a whole
        report = fl.evaluate_files({"d": Local()}, crops / "p", crops / "m", **engine)
        assert facts(report) == facts(fl.evaluate_files({"d": Local()}, crops / "p", crops / "m"))


DAEMON = """
import multiprocessing
import fastloss as fl
def call():
    try:
        fl.evaluate_files({"d": fl.DiceLoss()}, "p", "m", workers=2)
    except fl.FileError as error:
        print(error)
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=call, daemon=True)
    child.start()
    child.join()
"""


def test_a_process_that_may_not_start_others(crops):
    (crops / "daemon.py").write_text(DAEMON)
    done = subprocess.run([sys.executable, "daemon.py"], cwd=crops, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("`workers=`: expected a process that may start others, got a daemonic one"), done


MEMORY = """
import multiprocessing, os, sys
from pathlib import Path
import numpy as np
import fastloss as fl
def peak(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
def peaks(count):
    for folder in ("p", "m"):
        Path(sys.argv[1], str(count), folder).mkdir(parents=True)
    for k in range(count):
        np.save(f"{sys.argv[1]}/{count}/p/{k:05}.npy", np.zeros((2, 3, 4), np.float32))
        np.save(f"{sys.argv[1]}/{count}/m/{k:05}.npy", np.zeros((3, 4), np.uint8))
    found = []
    def progress(done, total, nbytes):
        if done == total:
            found.append(max(peak(process.pid) for process in multiprocessing.active_children()))
    fl.evaluate_files({"d": fl.DiceLoss()}, f"{sys.argv[1]}/{count}/p", f"{sys.argv[1]}/{count}/m",
        workers=2, progress=progress)
    return [peak(os.getpid()), *found]
if __name__ == "__main__":
    print(*peaks(500), *peaks(3000))
"""


@linux
def test_memory_is_flat(tmp_path):
    """The report and the list of pairs grow, by a few kB per image. The workers do not grow."""
    (tmp_path / "memory.py").write_text(MEMORY)
    command = [sys.executable, "memory.py", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    own, of_workers, own_then, of_workers_then = map(int, done.stdout.split())  # kB
    assert own_then - own < 2500 * 4
    assert of_workers_then - of_workers < 1500


def of_group(group):
    """The processes of a group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(folder.name)
    return found


@linux
@pytest.mark.parametrize("which", ["SIGINT", "SIGKILL"])
def test_the_end_of_the_caller_is_the_end_of_its_workers(crops, which):
    """Ctrl-C reaches the whole group of a terminal. SIGKILL reaches only the caller."""
    command = script(crops, action="time.sleep(60)")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=crops, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as caller:
        assert caller.stdout.readline() == "up\n"
        assert len(of_group(caller.pid)) >= 3
        os.killpg(caller.pid, signal.SIGINT) if which == "SIGINT" else caller.kill()
        start = time.monotonic()
        caller.wait(20)
        while of_group(caller.pid) and time.monotonic() < start + 20:
            time.sleep(0.02)
        assert not of_group(caller.pid)
        assert time.monotonic() < start + 5
        errors = caller.stderr.read()
    assert errors.count("Traceback") == (which == "SIGINT")  # that of the caller


START = """
import os, signal, threading
from fastloss.archive.processes import _without_ctrl_c
signal.signal(signal.SIGINT, signal.default_int_handler)
finished = False
try:
    with _without_ctrl_c():
        other = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
        # A thread inherits the mask of the one that starts it.
        before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        other.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other.join()
        sum(range(100_000))
        finished = True
except KeyboardInterrupt:
    print("interrupted", finished, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


@posix
def test_ctrl_c_waits_until_a_process_has_started():
    """Another thread may receive the signal that the main thread blocks. Python then interrupts the main thread."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted True True\n", "", 0)


@linux
@pytest.mark.parametrize("delay", [0.01, 0.1, 0.4, 0.8])
def test_ctrl_c_in_the_command(crops, delay):
    """At any time, also while the workers start, there is one line and no traceback."""
    command = [sys.executable, "-m", "fastloss.cli", "evaluate", "p", "m", "--loss=dice", "--workers=2"]
    pipe = subprocess.PIPE
    code = f"""
import os, signal, sys, threading, time
from fastloss.archive import engines
from fastloss.cli import main
find = engines.results
def results(*arguments):
    threading.Timer({delay}, os.killpg, (0, signal.SIGINT)).start()
    yield from find(*arguments)
    time.sleep(30)
import fastloss.archive.evaluate_files as module
module.results = results
if __name__ == "__main__":
    sys.exit(main({command[3:]!r}))
"""
    (crops / f"command{delay}.py").write_text(code)
    command = [sys.executable, f"command{delay}.py"]
    with subprocess.Popen(command, cwd=crops, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as caller:
        assert caller.wait(40) == 130
        assert caller.stderr.read() == "stopped\n"
        end = time.monotonic() + 10
        while of_group(caller.pid) and time.monotonic() < end:
            time.sleep(0.02)
        assert not of_group(caller.pid)
