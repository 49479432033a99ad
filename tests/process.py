"""Runs scripts in a separate Python process with a time limit, for the tests of processes, threads and runtimes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest

TIMEOUT = 60  # seconds; three Pythons that import torch take twenty seconds on a busy core

# The data are big enough for several threads. `value()` returns the hex of a value and the hash of its gradient.
SETUP = """
import os, sys, time
import numpy as np
def data(dtype=np.float32):
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, 5, 200, 201)).astype(dtype), rng.integers(0, 5, (2, 200, 201))
def value(dtype=np.float32):
    import fastloss as fl
    loss = fl.DiceLoss() + fl.CrossEntropyLoss(label_smoothing=0.1)
    v, g = loss.value_and_grad(*data(dtype))
    return v.hex() + str(hash(g.tobytes()))
"""


def run(script, check=True, prefix=(), **environment):
    """Run a script after SETUP in a separate Python process."""
    done = start([*prefix, sys.executable, "-c", SETUP + textwrap.dedent(script)], environment)
    assert not check or done.returncode == 0, f"exit {done.returncode}: {done.stderr}"
    return done


def start(command, environment):
    """Run a command. When its time is up, kill it with all its children."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("FASTLOSS_", "OMP_"))}
    inherited["PYTHONHASHSEED"] = "0"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=inherited | environment, stdout=pipe, stderr=pipe, text=True, start_new_session=os.name == "posix"
    ) as process:
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def output(script, **environment):
    return run(script, **environment).stdout.strip()


def last_error(script, **environment):
    done = run(script, check=False, **environment)
    assert done.returncode == 1, f"exit {done.returncode}: {done.stderr}"
    return done.stderr.strip().splitlines()[-1]


CHILD = """
def child(depth):
    # Return the exit code of a child that computes. Its own children also compute.
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    import fastloss as fl
    ok = value() == before and fl.config()["forked"] and (depth == 0 or child(depth - 1) == 0)
    os._exit(not ok)
"""


def compiled(tmp_path, source, *flags):
    """Compile a few lines of C into a shared library, and return its path."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    (tmp_path / "helper.c").write_text(source)
    command = ["gcc", "-O1", "-shared", "-fPIC", *flags, "helper.c", "-o", "helper.so"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        pytest.skip(f"gcc {' '.join(flags)}: {done.stderr}")
    return str(tmp_path / "helper.so")
