"""Tests the elementary functions (kernels/real_math.h) against libm in double. The slow run tries every float."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

import fastloss as fl

SOURCE = Path(__file__).parents[1] / "c/ulp.c"

# (function, first argument): largest error in ulp with FMA and without, as in docs/precision.md.
BOUNDS = {
    ("exp", -1e-30): (1.03, 1.19),
    ("exp", -10.0): (4.6, 1.19),
    ("exp_any", 1e-30): (5.5, 1.8),
    ("log", 1.17549e-38): (0.95, 0.96),
    ("log_any", 1.4013e-45): (1.1, 1.1),
    ("log1p", 1.17549e-38): (1.7, 1.7),
    ("log1p_unit", 1.17549e-38): (1.1, 1.35),
    ("log_rest", 1.17549e-38): (1.6, 1.6),
    ("sigmoid", 1e-30): (1.6, 1.6),
    ("sigmoid", -1e-30): (2.7, 2.7),
    ("sigmoid", -10.0): (4.6, 2.4),
    ("tanh", 1.17549e-38): (2.5, 2.3),
    ("log_cosh", 1e-18): (4.7, 5.7),
    ("xlogx", 1e-30): (1.6, 1.6),
    ("xlogx", 2.0): (1.6, 1.7),
}
MACHINES = {"x86_64": ["-march=x86-64-v3", "-march=x86-64"], "AMD64": ["-march=x86-64-v3", "-march=x86-64"]}
FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fopenmp"]


@pytest.mark.parametrize("stride", [1009, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
@pytest.mark.parametrize("column", [0, 1], ids=["fma", "no_fma"])
def test_errors_in_ulp(column, stride, tmp_path):
    compiler = shutil.which("cc")
    if compiler is None or platform.machine() not in MACHINES:
        pytest.skip("needs a C compiler, and x86-64")
    if not (SOURCE.parents[2] / "csrc").exists():
        pytest.skip("needs the sources, csrc/")
    if column == 0 and fl.config()["level"] not in ("v3", "v4"):
        pytest.skip("needs a CPU with FMA")
    program = tmp_path / "ulp"
    source = [str(SOURCE), "-o", str(program), "-lm"]
    subprocess.run([compiler, *FLAGS, MACHINES[platform.machine()][column], *source], check=True)
    done = subprocess.run([program, str(stride)], check=True, capture_output=True, text=True)
    seen = {}
    for line in done.stdout.splitlines():
        name, first, _, ulp, _ = line.split()
        seen[name, float(first)] = float(ulp)
    assert seen.keys() == BOUNDS.keys()
    assert {k: ulp for k, ulp in seen.items() if not ulp <= BOUNDS[k][column]} == {}
