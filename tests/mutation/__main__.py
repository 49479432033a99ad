"""Breaks the kernels in every way of mutants.py, one at a time, and shows that a test notices: `make mutants`.

    python tests/mutation              all: two hours on one core, or less
    python tests/mutation tile.h 17    those of a file, or by number

Each mutant is built in a copy (baseline instruction set, or its own; little optimised: a second or two) and tested in
a forked child of this process, which has imported what the tests need but fastloss. Tests that notice most come first;
the first to fail ends it, and so does a crash or a hang. Exit 1 if one survives, or its text is gone. Mutants with a
reason why they compute the same are listed, not run.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pathlib
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

from mutants import MUTANTS, Mutant  # noqa: E402

HEAVY = ("numpy", "ml_dtypes", "mpmath", "hypothesis", "pytest", "scipy.special", "scipy.ndimage", "torch")
STAGES: dict[str, list[list[str]]] = {
    "distance.c": [["distance"], ["boundary", "hard_boundary"]],
    "parallel.c": [["processes", "losses"]],
    "": [
        ["conversions", "hard_region", "hard_boundary", "numerics", "properties", "joint"],
        ["scipy", "hard", "streams", "labels", "errors", "evaluate", "boundary"],
        ["peers_focal", "peers_region", "torch", "real_data", "losses"],
    ],
}
# Half of the tests run the other backend; the build has one instruction set.
SELECTED = "not numpy- and not numpy] and not level and not v3 and not base"
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

    def make(self) -> str:
        """Build; the compiler's complaint, or ''."""
        error = run("ninja", "-C", str(self.build), "-j1")
        for module in self.build.glob("_core*.so"):
            target = self.package / "fastloss" / module.name
            target.unlink(missing_ok=True)  # it may be mapped
            shutil.copy(module, target)
        return error


def in_child(package: pathlib.Path, files: list[str], log: pathlib.Path) -> int:
    with log.open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ["PYTHONPATH"] = str(package)  # of the tests' own processes
    sys.path.insert(0, str(package))
    import pytest

    paths = [str(ROOT / "tests" / f"test_{name}.py") for name in files]
    options = ["-x", "-q", "-k", SELECTED, "-p", "no:cacheprovider", "-p", "no:randomly", "--timeout=60"]
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *paths]))


def tested(package: pathlib.Path, files: list[str], log: pathlib.Path) -> str:
    """The first test that fails in a child process, or ''."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = in_child(package, files, log)
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


def outcome(mutant: Mutant, copy: Copy, log: pathlib.Path) -> str:
    """What became of it, in a word and the test's name."""
    file = copy.source / "csrc" / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        return f"GONE: its text is there {text.count(mutant.old)} times"
    if mutant.same:
        return f"the same: {mutant.same}"
    file.write_text(text.replace(mutant.old, mutant.new))
    try:
        error = copy.make()
        if error:
            return f"NOT BUILT: {error}"
        for files in STAGES.get(mutant.file, STAGES[""]):
            failed = tested(copy.package, files, log)
            if failed:
                return f"seen: {failed}"
        return "SURVIVED"
    finally:
        file.write_text(text)


def main(wanted: list[str]) -> int:
    chosen = [(k, m) for k, m in enumerate(MUTANTS) if not wanted or m.file in wanted or str(k) in wanted]
    for name in HEAVY:
        importlib.import_module(name)
    bad, copies = 0, {}
    with tempfile.TemporaryDirectory() as directory:
        at = pathlib.Path(directory)
        for level in sorted({m.level for _, m in chosen}):
            copies[level] = Copy(at / level, level)
            error = copies[level].make()
            error = error or tested(copies[level].package, ["conversions", "hard_region", "hard_boundary"], at / "log")
            assert not error, f"the kernels as they are: {error}"
        for k, mutant in chosen:
            start = time.monotonic()
            what = outcome(mutant, copies[mutant.level], at / "log")
            bad += what[0].isupper()
            print(f"{k:3} {mutant.file:12} {mutant.old[:60]!r} -> {mutant.new[:60]!r}", flush=True)
            print(f"    {time.monotonic() - start:.0f} s  {what}", flush=True)
    print(f"{len(chosen)} mutants, {bad} of them survived or could not be tried")
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
