"""Checks that other processors, levels and compilers give the same bits: `make processors`.

`python .ci/processors.py DIRECTORY` builds CMake's target `vectors` (tests/c/vectors.c, the C core without Python) with
this machine's compiler, with clang and for AArch64. It then runs each program at every level and compares the printed
lines. v3, v4 and NEON round in the same way. base has no multiply-add, so its lines are compared only with base.
Nehalem has no AVX, so an instruction above base ends the program there. If a run needs a program that is not installed,
the run is reported and skipped. The exit status is 1 if any bits differ.

Debian: apt install cmake clang libomp-dev gcc-aarch64-linux-gnu qemu-user
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
AARCH64 = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
NEHALEM = ["qemu-x86_64", "-cpu", "Nehalem"]

# Name, compiler, CMake's options, the command prefix, the level to request (None: the program must choose base), and
# the name of the bits that it must have.
RUNS = [
    ("v3", "cc", [], [], "v3", "fma"),
    ("v4", "cc", [], [], "v4", "fma"),
    ("base", "cc", [], [], "base", "base"),
    ("v3, clang", "clang", [], [], "v3", "fma"),
    ("v4, clang", "clang", [], [], "v4", "fma"),
    ("base, clang", "clang", [], [], "base", "base"),
    ("AArch64", "aarch64-linux-gnu-gcc", AARCH64, ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"], None, "fma"),
    ("Nehalem", "cc", [], NEHALEM, None, "base"),
]

PYTHON = """
import hashlib
import numpy as np
import fastloss as fl

print("level", fl.config()["level"])
labels = np.arange(2 * 150 * 151).reshape(2, 150, 151) ** 2 % 5
for dtype in ("float16", "float32", "float64"):
    logits = (np.arange(2 * 5 * 150 * 151).reshape(2, 5, 150, 151) ** 2 % 1009 / 64).astype(dtype)
    for loss in (fl.CrossEntropyLoss(), fl.DiceLoss(), fl.FocalLoss(), fl.DiceLoss() + fl.CrossEntropyLoss()):
        value, gradient = loss.value_and_grad(logits, labels)
        print(dtype, repr(loss), value.hex(), hashlib.sha256(gradient.tobytes()).hexdigest())
"""


def missing(*programs: str) -> str | None:
    return next((p for p in programs if not shutil.which(p)), None)


def build(compiler: str, options: list[str], directory: pathlib.Path) -> pathlib.Path:
    """Build the program with warnings as errors. CMakeLists.txt asks for a Python, but this target does not use one."""
    if not (directory / "CMakeCache.txt").exists():
        python = [f"-DPython_EXECUTABLE={sys.executable}", f"-DPython_INCLUDE_DIR={sysconfig.get_path('include')}"]
        ours = [f"-DCMAKE_C_COMPILER={compiler}", "-DFASTLOSS_WERROR=ON", *options, *python]
        subprocess.run(["cmake", "-S", str(ROOT), "-B", str(directory), *ours], check=True, stdout=subprocess.DEVNULL)
    command = ["cmake", "--build", str(directory), "--target", "vectors"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return directory / "vectors"


def lines_of(command: list[str], **environment: str) -> list[str]:
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=1200)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} ...: exit {done.returncode}\n{done.stderr}")
    return done.stdout.splitlines()


def differences(lines: list[str], want: list[str]) -> list[str]:
    """Return the lines that differ, and the lines with an error that the program itself has found."""
    pairs = [f"  got  {a}\n  want {b}" for a, b in zip(lines, want, strict=True) if a != b]
    return pairs + [
        f"  {line}" for line in lines if "OTHER BITS" in line or (line.startswith("flush") and " 0" in line)
    ]


def main(work: pathlib.Path) -> int:
    programs: dict[str, pathlib.Path] = {}
    known: dict[str, list[str]] = {}  # name of the bits -> the lines of the first run that has them
    failed = 0
    print(f"{'processor':12} {'level':5} {'jobs':>5} {'seconds':>7}  bits")
    for name, compiler, options, prefix, cap, whose in RUNS:
        if absent := missing("cmake", compiler, *prefix[:1]):
            print(f"{name:12} skipped: {absent} is not installed")
            continue
        if compiler not in programs:
            programs[compiler] = build(compiler, options, work / compiler)
        start = time.perf_counter()
        level, *lines = lines_of([*prefix, str(programs[compiler]), *([cap] if cap else [])])
        level = level.removeprefix("level ")
        if cap and level != cap:
            print(f"{name:12} skipped: this processor has only {level}")
            continue
        wrong = differences(lines, known.setdefault(whose, lines))
        if not cap and level != "base":
            wrong.append(f"  got level {level}, want base")
        verdict = f"{len(wrong)} DIFFER" if wrong else f"{whose}'s"
        print(f"{name:12} {level:5} {len(lines):5} {time.perf_counter() - start:7.1f}  {verdict}", *wrong[:9], sep="\n")
        failed += bool(wrong)
    return failed + check_python()


def check_python() -> int:
    """Check that the installed package chooses base by itself under Nehalem, with the same bits as base on this CPU."""
    if absent := missing(*NEHALEM[:1]):
        print(f"Python       skipped: {absent} is not installed")
        return 0
    script = [sys.executable, "-c", PYTHON]
    start = time.perf_counter()
    # Without OPENBLAS_CORETYPE, NumPy's OpenBLAS takes an AVX path under Nehalem and dies.
    there, here = lines_of([*NEHALEM, *script], OPENBLAS_CORETYPE="Nehalem"), lines_of(script, FASTLOSS_ISA="base")
    wrong = differences(there, here)
    print(f"{'Python, Nehalem':18} {len(here) - 1:5} {time.perf_counter() - start:7.1f}  ", end="")
    print(f"{len(wrong)} DIFFER" if wrong else "base's", *wrong[:9], sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(1 if main(pathlib.Path(sys.argv[1])) else 0)
