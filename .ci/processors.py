"""The same bits on other processors, levels and compilers: `make processors`, or `python .ci/processors.py DIRECTORY`.

Builds CMake's target `vectors` (tests/c/vectors.c: the C core without Python) with this machine's compiler, with clang
and for AArch64, runs each at every level, and compares the lines. v3, v4 and NEON round alike. base, which has no
multiply-add, is compared with base. Nehalem has no AVX, so that an instruction above base ends the program there. A
run whose program is not installed is reported and skipped. The exit status is 1 if any bits differ.

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

# Name, compiler, CMake's options, how it is run, the level asked for (None: it must choose base), whose bits.
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
    """Build the program with warnings as errors. CMakeLists.txt needs a Python, which this target does not use."""
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
    """What differs, and what the program itself found: other bits on other threads, or a 0 for a promise broken."""
    pairs = [f"  got  {a}\n  want {b}" for a, b in zip(lines, want, strict=True) if a != b]
    return pairs + [
        f"  {line}" for line in lines if "OTHER BITS" in line or (line.startswith("flush") and " 0" in line)
    ]


def main(work: pathlib.Path) -> int:
    programs: dict[str, pathlib.Path] = {}
    known: dict[str, list[str]] = {}  # whose bits -> the lines of the first that has them
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
    """The installed package under Nehalem: chooses base by itself, the same bits as base here."""
    if absent := missing(*NEHALEM[:1]):
        print(f"Python       skipped: {absent} is not installed")
        return 0
    script = [sys.executable, "-c", PYTHON]
    start = time.perf_counter()
    # NumPy's OpenBLAS, asked nothing, takes an AVX path there and dies.
    there, here = lines_of([*NEHALEM, *script], OPENBLAS_CORETYPE="Nehalem"), lines_of(script, FASTLOSS_ISA="base")
    wrong = differences(there, here)
    print(f"{'Python, Nehalem':18} {len(here) - 1:5} {time.perf_counter() - start:7.1f}  ", end="")
    print(f"{len(wrong)} DIFFER" if wrong else "base's", *wrong[:9], sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(1 if main(pathlib.Path(sys.argv[1])) else 0)
