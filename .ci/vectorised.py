"""Checks that the hot loops of the kernels are vectorised.

    python .ci/vectorised.py BUILD_DIRECTORY

The build must be made by GCC for x86-64, with CMAKE_EXPORT_COMPILE_COMMANDS. There are two checks.

The first check reads the object code at every level, function by function. A hot function with scalar arithmetic and
without any packed arithmetic was not vectorised. Usually a call was not inlined, or a branch was compiled where a
select was meant (docs/internals/kernels.md). A function is hot if its name ends with one of the suffixes in HOT below.
So the name of a new function that loops over the pixels of a tile should end with one of them, for instance `_row`,
`_forward` or `_backward`. Otherwise add its suffix to HOT, because this check ignores all other functions.

The second check reads the compiler's own report, loop by loop, at v3 and v4, which have all the instructions needed. It
covers every loop of csrc/kernels/ over the pixels of a tile, every loop with `omp simd`, and every macro that makes
such loops.
NOT_VECTORISED lists the loops that cannot be vectorised.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

HOT = re.compile(r"\w+_(row|given|of_logit|of_softmax|finish|forward|backward|rows|all|stats|sum|common)(\.\w+)*$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(\S+)>:")
ARITHMETIC = re.compile(r"^\s*[0-9a-f]+:\s+v?(?:mul|add|sub|div|fn?m(?:add|sub)\d*)([ps])[sd]\s")
COUNTING = re.compile(r"interval_counts_forward")  # each pixel adds to the count of its interval
FEW = 4  # the number of scalar instructions that the code around a loop may have

PIXELS = re.compile(r"for \(ptrdiff_t i = 0; i < (?:t->padded|t->n|n); i\+\+\)")
# Macros of elements.h and transforms.h. Each makes functions that consist of a loop.
MACRO = re.compile(r"(?:ELEMENT_LOSS|PROB_LOSS|CLASS_PROB_LOSS|PROB_ROWS|FUNCTION|ROW)\(")
REPORT = re.compile(r".*?([\w.]+):(\d+):\d+: optimized:\s+(?:loop vectorized|basic block)")
NOT_VECTORISED = {
    r".*\] = 0;$": "memset",
    r"ELEMENT_LOSS\(own_target\)": "memcpy",
    r".*u\[i\] = \(double\)w\[i\];": "memcpy in double",
    r"for .*sums\[t->label\[i\]\]": "each pixel adds to the number of its class",
    r"for .*(?:count\[at\[i\]\]\+\+|ptrdiff_t y = \(ptrdiff_t\)(?:t->)?label\[i\], p =)": "each pixel adds to a count",
    r"for .*(?:class_weight|by_class)\[label\[i\] < 0 \? 0 : label\[i\]\]": "GCC gathers no doubles by 64-bit labels",
}


def counts(listing: str) -> dict[str, dict[str, int]]:
    """Count the packed and the scalar arithmetic instructions of each function."""
    found: dict[str, dict[str, int]] = {}
    for line in listing.splitlines():
        if match := FUNCTION.match(line):
            found[match[1]] = {"p": 0, "s": 0}
            current = found[match[1]]
        elif match := ARITHMETIC.match(line):
            current[match[1]] += 1
    return found


def scalar_functions(objects: list[pathlib.Path]) -> Iterator[str]:
    for file in objects:
        name = next(part for part in file.parts if part.startswith("kernels_"))
        command = ["objdump", "--disassemble", "--no-show-raw-insn", str(file)]
        for function, n in counts(subprocess.run(command, check=True, capture_output=True, text=True).stdout).items():
            if HOT.match(function) and not COUNTING.match(function) and n["p"] == 0 and n["s"] > FEW:
                yield f"{name.removesuffix('.dir')}: {function} ({n['s']} scalar instructions)"


def loops(source: pathlib.Path) -> Iterator[tuple[range, str]]:
    """Yield the line numbers of each hot loop, from its pragma to its end, and its text."""
    lines = source.read_text().splitlines()
    for k, line in enumerate(lines):
        simd = k > 0 and "omp simd" in lines[k - 1]
        if line.endswith("\\") or not (simd or PIXELS.search(line) or MACRO.match(line)):
            continue
        end, indent = k, line[: len(line) - len(line.lstrip())]
        if line.endswith("{"):
            end = next(j for j in range(k, len(lines)) if lines[j].startswith(indent + "}"))
        elif not line.endswith(";") and not MACRO.match(line):
            end = next(j for j in range(k, len(lines)) if lines[j].endswith(";"))
        yield range(k + 1 - simd, end + 2), " ".join(text.strip() for text in lines[k : end + 1])


def reported(entry: dict[str, str]) -> set[tuple[str, int]]:
    """Return file and line of every loop that the compiler reports as vectorised, for one compilation."""
    command = [*shlex.split(entry["command"]), "-fopt-info-vec-optimized", "-o", os.devnull]
    said = subprocess.run(command, cwd=entry["directory"], check=True, capture_output=True, text=True).stderr
    return {(m[1], int(m[2])) for line in said.splitlines() if (m := REPORT.match(line))}


def scalar_loops(build: pathlib.Path) -> Iterator[str]:
    commands = json.loads((build / "compile_commands.json").read_text())
    kernels = [c for c in commands if re.search(r"FL_LEVEL=v[34]\b", c["command"])]
    csrc = pathlib.Path(kernels[0]["file"]).parent
    sources = [*sorted(csrc.glob("*.h")), csrc / "kernels.c"]
    wanted = [(file.name, *loop) for file in sources for loop in loops(file)]
    wanted = [w for w in wanted if not any(re.match(text, w[2]) for text in NOT_VECTORISED)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for entry, found in zip(kernels, pool.map(reported, kernels), strict=True):
            name = "_f".join(re.findall(r"-DFL_(?:LEVEL|REAL_BITS)=(\w+)", entry["command"]))
            for file, lines, text in wanted:
                if not found & {(file, line) for line in lines}:
                    yield f"{name}: {file}:{lines[0]}: {text[:100]}"
    print(f"{len(wanted)} loops checked in the reports of {len(kernels)} compilations")


def main(build: pathlib.Path) -> int:
    objects = sorted(build.rglob("kernels_*.dir/**/kernels.c.o"))
    if not objects:
        print(f"no objects of kernels.c below {build}")
        return 1
    scalar = [*scalar_functions(objects), *scalar_loops(build)]
    print("\n".join(scalar) or f"all hot functions in {len(objects)} objects are vectorised")
    return 1 if scalar else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
