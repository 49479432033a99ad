"""Tests the command line if standard output or standard error is full or closed, or if nobody reads it. There is no
traceback, and the exit code tells whether output was lost."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from commandline import process, save_pair

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full, and descriptors of POSIX")

COMMANDS = [
    [],  # also prints the help
    ["--help"],
    ["evaluate", "--help"],
    ["--version"],
    ["info"],
    ["losses"],
    ["evaluate", "p", "m", "--loss=dice"],
]
FULL = "error: standard output: No space left on device\n"
CLOSED = "error: standard output is closed; redirect it to a file, or to /dev/null\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    save_pair(tmp_path)
    monkeypatch.chdir(tmp_path)


@contextmanager
def full():
    with open("/dev/full", "wb") as stream:
        yield stream


@contextmanager
def read_only():
    with open(os.devnull, "rb") as stream:
        yield stream


@contextmanager
def without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


LOST = [(full, 2, FULL), (read_only, 2, "error: standard output: Bad file descriptor\n"), (without_reader, 141, "")]


@pytest.mark.extended
@pytest.mark.parametrize(("stream", "code", "message"), LOST)
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_output_that_is_lost(arguments, stream, code, message):
    with stream() as out:
        done = process(*arguments, stdout=out)
    assert (done.returncode, done.stderr) == (code, message)


def closing(descriptors, *arguments):
    """Run with descriptors closed, as a shell does for `>&-`."""
    script = f'exec "$0" "$@" {" ".join(f"{descriptor}>&-" for descriptor in descriptors)}'
    command = ["sh", "-c", script, sys.executable, "-W", "error", "-m", "fastloss.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_output_that_is_closed(arguments):
    done = closing([1], *arguments, *(["--output", "r.json"] if "p" in arguments else []))
    assert (done.returncode, done.stderr) == (2, CLOSED)
    assert not os.path.exists("r.json")


def test_a_report_is_whole_when_the_tables_are_lost():
    with full() as out:
        assert process("evaluate", "p", "m", "--loss=dice", "--output=r.csv", stdout=out).returncode == 2
    with open("r.csv", encoding="utf-8") as handle:
        assert len(handle.read().splitlines()) == 1 + 1 + 3 + 1


@pytest.mark.parametrize("arguments", [["bogus"], ["evaluate", "p"], ["evaluate", "p", "nowhere", "--loss=dice"]])
@pytest.mark.parametrize("stream", [full, without_reader])
def test_a_message_that_is_lost_leaves_the_exit_code(arguments, stream):
    with stream() as err:
        assert process(*arguments, stderr=err).returncode == 2


@pytest.mark.parametrize("stream", [full, without_reader])
def test_notes_that_are_lost_leave_the_result(stream):
    """Every run prints its speed on standard error."""
    with stream() as err:
        done = process("evaluate", "p", "m", "--loss=dice", stderr=err)
    assert done.returncode == 0
    assert done.stdout == process("evaluate", "p", "m", "--loss=dice").stdout


@pytest.mark.parametrize(("closed", "code"), [([2], 0), ([1, 2], 2), ([0, 2], 0)])
def test_a_closed_standard_error(closed, code):
    done = closing(closed, "evaluate", "p", "m", "--loss=dice")
    assert (done.returncode, bool(done.stdout)) == (code, code == 0)
    assert closing([2], "evaluate", "p", "nowhere", "--loss=dice").returncode == 2


def test_without_the_extra_and_standard_error():
    code = "import sys; sys.modules['typer'] = None; from fastloss.cli import main; sys.exit(main())"
    with full() as err:
        done = process("info", code=code, stderr=err)
    assert (done.returncode, done.stdout) == (2, "")
