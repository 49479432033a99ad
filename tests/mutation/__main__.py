"""Breaks a file in small ways, one at a time, and shows whether a test notices each: `make mutants ARGS=tile.h`.

    python tests/mutation                 the files of csrc/ and src/ that differ from the branch main
    python tests/mutation --base HEAD~3   those that differ from another commit
    python tests/mutation tile.h          a file, by its name or path

rules.py makes the mutants. A run tries --limit of them (40 by default), chosen at random by --seed. --limit 0 tries
all. Each mutant is built in a copy of the sources, for the baseline instruction set and with little optimisation. That
takes a second or two. A forked child of this process then tests it. This process has imported everything that the tests
need except fastloss. The tests that notice most mutants run first. A failure, a crash or a hang ends the test of the
mutant. Two kinds of mutants are only counted: those that the compiler refuses, and those whose machine code is the same
at the baseline and at v3. The exit code is 1 if a mutant survives that equivalent.py does not explain.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import importlib.util
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

from equivalent import EQUIVALENT  # noqa: E402
from rules import Mutant, mutants  # noqa: E402

HEAVY = ("numpy", "ml_dtypes", "mpmath", "hypothesis", "pytest", "scipy.special", "scipy.ndimage", "torch")
MOST = ["conversions", "distance", "hard_boundary", "hard_region", "joint", "lovasz", "numerics"]
MOST += ["properties", "streams"]
STAGES = [
    [
        path.relative_to(ROOT / "tests").as_posix()
        for path in (ROOT / "tests").glob("*/test_*.py")
        if path.stem[5:] in MOST
    ],
    ["metrics", "functions", "errors", "losses", "arrays"],
    ["peers", "processes"],
]
# The build has one instruction set and is not optimised, for which one test is too large; and C is not what the other
# backend, half of the tests, runs.
SELECTED = "not level and not v3 and not base and not beyond_2_to_the_24"
NATIVE = f"{SELECTED} and not numpy- and not numpy]"
SECONDS = 900


def run(*command: str) -> str:
    """The output of a command that fails, or ''."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr)[-2000:] if done.returncode else ""


class Copy:
    """A copy of the sources with a build directory, and a package to import from."""

    def __init__(self, at: pathlib.Path, level: str) -> None:
        self.source, self.build, self.package = at / "source", at / "build", at / "package"
        self.source.mkdir(parents=True)
        shutil.copy(ROOT / "CMakeLists.txt", self.source)
        for name in ("csrc", "src", "tests/c"):
            shutil.copytree(ROOT / name, self.source / name)
        shutil.copytree(ROOT / "src", self.package)
        levels = [f"-DFASTLOSS_COMPILES_{other}=OFF" for other in ("v3", "v4") if other > level]
        options = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-Og -g0", f"-DPython_EXECUTABLE={sys.executable}"]
        error = run("cmake", "-G", "Ninja", "-S", str(self.source), "-B", str(self.build), *levels, *options)
        assert not error, error
        error = self.make()
        assert not error, error
        self.unbroken = self.code()

    def make(self) -> str:
        """Build; the compiler's complaint, or ''."""
        error = run("ninja", "-C", str(self.build), "-j1")
        for module in self.build.glob("_core*.so"):
            target = self.package / "fastloss" / module.name
            target.unlink(missing_ok=True)  # it may be mapped
            shutil.copy(module, target)
        return error

    def code(self) -> bytes:
        return b"".join(module.read_bytes() for module in sorted(self.build.glob("_core*.so")))

    def write(self, file: pathlib.Path, text: str) -> None:
        """The text of a file of csrc/ or src/."""
        (self.source / file).write_text(text, encoding="utf-8")
        if file.suffix == ".py":
            (self.package / file.relative_to("src")).write_text(text, encoding="utf-8")


def in_child(package: pathlib.Path, paths: list[str], selected: str, log: pathlib.Path) -> int:
    with log.open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ["PYTHONPATH"] = str(package)  # of the tests' own processes
    sys.path.insert(0, str(package))
    sys.dont_write_bytecode = True  # two mutants may be written within the second that a .pyc knows
    import hypothesis
    import pytest

    # The same examples for every mutant: one that fails by itself would be taken for a mutant that is noticed.
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None)
    hypothesis.settings.load_profile("mutants")
    options = ["-x", "-q", "-k", selected, "-p", "no:cacheprovider", "-p", "no:randomly", "--timeout=60"]
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *(str(ROOT / "tests" / path) for path in paths)]))


def tested(package: pathlib.Path, paths: list[str], selected: str, log: pathlib.Path) -> str:
    """The first test that fails in a child process, or ''."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = in_child(package, paths, selected, log)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "(hangs)"
    if status == 0:
        return ""
    lines = log.read_text(errors="replace").splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    fatal = [line for line in lines if line.startswith("Fatal")]
    return failed[0].split(" - ")[0] if failed else f"(status {status}) {''.join((fatal or lines[-1:])[:1])[:100]}"


def outcome(mutant: Mutant, text: str, copies: list[Copy], log: pathlib.Path) -> tuple[str, str]:
    """The fate of a mutant in one word, and its cause."""
    python = mutant.file.suffix == ".py"
    for copy in copies[:1] if python else copies:
        copy.write(mutant.file, mutant.applied(text))
        try:
            error = "" if python else copy.make()
            if error:
                return "not built", error.splitlines()[-1][:100]
            if not python and copy.code() == copy.unbroken:
                continue
            for paths in STAGES:
                failed = tested(copy.package, paths, SELECTED if python else NATIVE, log)
                if failed:
                    return "killed", failed
            return "SURVIVED", ""
        finally:
            copy.write(mutant.file, text)
    return "same code", ""


def explained(mutant: Mutant, line: str) -> str:
    entries = EQUIVALENT.get((mutant.file.name, mutant.function), {})
    return next((why for piece, why in entries.items() if piece in line), "")


def stale(file: pathlib.Path, text: str, found: list[Mutant]) -> list[str]:
    """The entries of equivalent.py that match no mutant of the file."""
    lines = [(m.function, m.line(m.applied(text))) for m in found]
    return [
        f"{name}, {function}: {piece!r}"
        for (name, function), entries in EQUIVALENT.items()
        for piece in entries
        if name == file.name and not any(f == function and piece in line for f, line in lines)
    ]


def chosen(wanted: list[str], base: str) -> list[pathlib.Path]:
    """The files of those names, or those that differ from `base`."""
    files = [f.relative_to(ROOT) for f in sorted([*ROOT.glob("csrc/**/*.[ch]"), *ROOT.glob("src/fastloss/**/*.py")])]
    if wanted:
        named = {name: [f for f in files if f.name == name or f.as_posix() == name] for name in wanted}
        for name, found in named.items():
            if not found:
                raise SystemExit(f"mutation: {name}: expected a file of csrc/ or src/fastloss/")
        return [f for found in named.values() for f in found]
    diff = ["git", "-C", str(ROOT), "diff", "--name-only", base, "--", "csrc", "src"]
    changed = subprocess.run(diff, capture_output=True, text=True, check=True).stdout.split()
    return [f for f in files if f.as_posix() in changed]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", help="names or paths; without any, those that differ from --base")
    parser.add_argument("--base", default="main", help="the commit to compare with")
    parser.add_argument("--limit", type=int, default=40, help="how many mutants to try; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="draws others")
    parser.add_argument("--list", action="store_true", help="print the mutants, and try none")
    return parser.parse_args()


def try_all(tried: list[Mutant], texts: dict[pathlib.Path, str], listed: bool) -> collections.Counter[str]:
    """Print what becomes of each, and count."""
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as directory:
        at, copies = pathlib.Path(directory), []
        if not listed and tried:
            for name in HEAVY:
                if importlib.util.find_spec(name.partition(".")[0]):
                    importlib.import_module(name)
            copies = [Copy(at / level, level) for level in ("base", "v3")]
            error = tested(copies[0].package, STAGES[0], SELECTED, at / "log")
            assert not error, f"the sources as they are: {error}"
        for mutant in tried:
            text, start = texts[mutant.file], time.monotonic()
            line = mutant.line(mutant.applied(text))
            what, by = "equivalent", explained(mutant, line)
            if not by:
                what, by = ("listed", "") if listed else outcome(mutant, text, copies, at / "log")
            counts[what] += 1
            row = text.count("\n", 0, mutant.start) + 1
            print(f"{mutant.file}:{row} {mutant.function}: {mutant.line(text)} -> {line}", flush=True)
            print(f"    {time.monotonic() - start:.0f} s  {what} {by}", flush=True)
    return counts


def main() -> int:
    options = arguments()
    os.environ["PATH"] = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # cmake, ninja
    files = chosen(options.files, options.base)
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in files}
    every = {file: mutants(ROOT, file) for file in files}
    left = [entry for file in files for entry in stale(file, texts[file], every[file])]
    for entry in left:
        print(f"equivalent.py: no mutant matches {entry}")
    tried = [mutant for found in every.values() for mutant in found]
    print(f"{len(tried)} mutants of {len(files)} files, seed {options.seed}", flush=True)
    if options.limit and options.limit < len(tried):
        draw = random.Random(options.seed).sample(range(len(tried)), options.limit)
        tried = [tried[k] for k in sorted(draw)]
    counts = try_all(tried, texts, options.list)
    print(f"{sum(counts.values())} tried: {', '.join(f'{n} {what}' for what, n in sorted(counts.items()))}")
    return int(counts["SURVIVED"] > 0 or bool(left))


if __name__ == "__main__":
    raise SystemExit(main())
