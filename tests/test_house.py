"""Checks the sizes that keep the code readable: at most 400 lines per file, at most 40 lines per C function."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 40
LONGER = {"tests/errors/test_errors.py"}  # a table with one row per message: readers search it

PYTHON = [f for folder in ("src", "tests", "bench", "tools", "examples", ".ci") for f in (ROOT / folder).rglob("*.py")]
C = [f for folder in ("csrc", "tests/c") for f in (ROOT / folder).rglob("*.[ch]")]
CYTHON = list((ROOT / "src").rglob("*.pyx"))

pytestmark = pytest.mark.skipif(not C, reason="a wheel's tests have no sources next to them")


def name(file):
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", PYTHON + C + CYTHON, ids=name)
def test_a_file_has_at_most_400_lines(file):
    lines = len(file.read_text("utf-8").splitlines())
    assert (lines > MOST_LINES) == (name(file) in LONGER), f"{lines} lines"


@pytest.mark.parametrize("file", C, ids=name)
def test_a_c_function_has_at_most_40_lines(file):
    """Count from the line with the function's opening brace to the closing brace; both lines start at the margin."""
    start, long = None, []
    for k, line in enumerate(file.read_text("utf-8").splitlines()):
        if re.match(r"[A-Za-z].*\) ?\{$", line) or (start is None and re.match(r"\{$", line)):
            start = k
        elif line.startswith("}") and start is not None:
            if k - start + 1 > MOST_LINES_OF_A_FUNCTION:
                long.append((start + 1, k - start + 1))
            start = None
    assert long == []
