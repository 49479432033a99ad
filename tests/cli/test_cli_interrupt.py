"""Tests Ctrl-C during `fastloss evaluate`, in a process that sends itself the signal at a chosen point."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from commandline import left, process

INTERRUPT = """
import builtins, os, signal, sys
import {module} as module
from fastloss.cli import main
original = getattr(module, "{function}", None) or getattr(builtins, "{function}")
def stopped(*args, **kwargs):
    result = original(*args, **kwargs)
    if hasattr(result, "close"):
        result.close()
    os.kill(os.getpid(), signal.SIGINT)
    return result
module.{function} = stopped
sys.exit(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("fastloss.files.pairing", "suffix"),
        ("fastloss.archive.worker", "closed"),
        ("fastloss.files.writing", "open"),  # the temporary file is made, nothing in it
        ("os.path", "exists"),  # it is written, but not yet in place
    ],
)
def test_ctrl_c(scene, module, function):
    before = left(scene)
    code = INTERRUPT.format(module=module, function=function)
    arguments = ("evaluate", scene / "p", scene / "m", "--loss=dice", "--output", scene / "report.json")
    done = process(*arguments, code=code)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert left(scene) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_from_outside(tmp_path):
    """Work for far longer than the test waits: large sparse files. The signal comes when a first file is mapped."""
    for folder, shape, dtype in (("p", (4, 6000, 6000), np.float32), ("m", (6000, 6000), np.uint8)):
        (tmp_path / folder).mkdir()
        for i in range(30):
            np.lib.format.open_memmap(tmp_path / folder / f"{i}.npy", "w+", dtype, shape)
    command = [sys.executable, "-u", "-c", "from fastloss.cli import main; import sys; print('up'); sys.exit(main())"]
    command += [
        "evaluate",
        tmp_path / "p",
        tmp_path / "m",
        "--loss=dice",
        "--output",
        tmp_path / "r.json",
        "--threads=1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "up\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
        assert "Traceback" not in child.stderr.read()
    assert left(tmp_path) == ["m", "p"]
