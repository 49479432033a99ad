"""Whether the hot loops are vectorised: reads the object code of a build, `python .ci/vectorised.py BUILD_DIRECTORY`.

A function of the list that has scalar arithmetic in it and no packed arithmetic at all has lost its vectors: mostly to
a call that was not inlined, or to a branch where a select was meant (docs/kernels.md). Needs objdump, and x86-64.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

HOT = re.compile(r"\w+_(row|given|of_logit|of_softmax|finish|forward|backward|rows|all|stats|sum)(\.\w+)*$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(\S+)>:")
ARITHMETIC = re.compile(r"^\s*[0-9a-f]+:\s+v?(?:mul|add|sub|div|fn?m(?:add|sub)\d*)([ps])[sd]\s")
FEW = 4  # scalar instructions of the code around a loop


def counts(listing: str) -> dict[str, dict[str, int]]:
    """Packed and scalar arithmetic instructions by function."""
    found: dict[str, dict[str, int]] = {}
    for line in listing.splitlines():
        if match := FUNCTION.match(line):
            found[match[1]] = {"p": 0, "s": 0}
            current = found[match[1]]
        elif match := ARITHMETIC.match(line):
            current[match[1]] += 1
    return found


def main(build: pathlib.Path) -> int:
    objects = sorted(build.rglob("kernels_*.dir/**/kernels.c.o"))
    if not objects:
        print(f"no objects of kernels.c below {build}")
        return 1
    scalar, hot = [], 0
    for file in objects:
        name = next(part for part in file.parts if part.startswith("kernels_"))
        command = ["objdump", "--disassemble", "--no-show-raw-insn", str(file)]
        for function, n in counts(subprocess.run(command, check=True, capture_output=True, text=True).stdout).items():
            if HOT.match(function):
                hot += 1
                if n["p"] == 0 and n["s"] > FEW:
                    scalar.append(f"{name.removesuffix('.dir')}: {function} ({n['s']} scalar instructions)")
    print("\n".join(scalar) or f"{hot} hot functions in {len(objects)} objects are vectorised")
    return 1 if scalar else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
