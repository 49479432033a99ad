"""Builds the sdist and the wheels and checks them (`make wheel`), or with --awkward runs `make wheel-check`. See the
page on wheels in docs/.

The run stops at the first promise that is broken. It works only on Linux, and finds Python interpreters in pyenv and on
PATH. The Makefile pins the versions of the tools that this script calls.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import glob
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
MEGABYTES = 3  # the limit of a wheel's size

NEWEST, OLDEST = "numpy", "numpy==1.26.*"
# The tests that depend on the interpreter or on NumPy: every docstring's example, every error, processes, threads and
# signals.
SHORT = ["tests/test_docs.py", "tests/errors/test_errors.py", "tests/processes", "tests/functions/test_evaluate.py"]
# The tests that need no compiled kernels. They also compare values with scipy's, mpmath's and hand-computed ones.
PURE = [t for t in SHORT if "processes" not in t] + [
    "tests/losses/test_hard.py",
    "tests/losses/test_hard_pixels.py",
    "tests/losses/test_by_hand.py",
    "tests/functions/test_numerics.py",
    "tests/functions/test_scipy.py",
]
# CPython, NumPy, our extra, and the tests. NumPy 1.26 has no wheel for Python 3.13.
ENVIRONMENTS: list[tuple[str, str, str, list[str]]] = [
    ("3.11", NEWEST, "test", []),
    ("3.11", OLDEST, "test-numpy", SHORT),
    ("3.12", OLDEST, "test-numpy", SHORT),
    ("3.12", NEWEST, "test-numpy", SHORT),
    ("3.13", NEWEST, "test-numpy", SHORT),
]
COMPILERS = ("*cc", "*cc-[0-9]*", "*[gc]++*", "clang*", "c[89]9*", "*-cpp*", "cpp*")


def expect(holds: object, promise: str) -> None:
    if not holds:
        raise SystemExit(f"make wheel: {promise}: does not hold")
    print(f"  {promise}", flush=True)


def run(*command: object, cwd: Path | None = None, fails: bool = False, **environment: str) -> str:
    """Run a command and return its output. With `fails`, the command must fail."""
    ours = ("FASTLOSS_", "CFLAGS", "LDFLAGS", "PYTHONPATH", "CMAKE_", "SKBUILD_", "CC")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env=inherited | environment,
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=3600,
    )
    if bool(done.returncode) != fails:
        raise SystemExit(f"{done.stdout}\nmake wheel: exit {done.returncode}: {' '.join(map(str, command))}")
    return done.stdout


# ---- building


def epoch() -> str:
    """Return the time stamp for the files: the commit's time, or the earliest time of zip if there is no commit."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
    return "315532800"


def sdist(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT, SOURCE_DATE_EPOCH=epoch())
    (made,) = folder.glob("*.tar.gz")
    return made


def unpacked(source: Path, folder: Path) -> Path:
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    return tree


def pip_wheel(source: Path, folder: Path, *options: object, prefix: Iterable[object] = (), **environment: str) -> Path:
    """Build a wheel of an sdist or a tree in pip's isolated environment. A missing compiler is an error."""
    environment = {"SOURCE_DATE_EPOCH": epoch(), "FASTLOSS_REQUIRE_NATIVE": "1"} | environment
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-cache-dir", "--wheel-dir", folder]
    run(*prefix, *pip, *options, source, **environment)
    (made,) = folder.glob("*.whl")
    return made


def repaired(wheel: Path, folder: Path) -> Path:
    """Return the wheel with libgomp included and with the manylinux tag that its symbols allow."""
    run("auditwheel", "repair", "--wheel-dir", folder, wheel, SOURCE_DATE_EPOCH=epoch())
    (made,) = folder.glob("*.whl")
    return made


# ---- auditing


def audit_raw(wheel: Path) -> None:
    expect(wheel.name.endswith("-cp311-abi3-linux_x86_64.whl"), f"one wheel for CPython 3.11 and later: {wheel.name}")
    run("check-wheel-contents", wheel)


def audit_repaired(wheel: Path) -> None:
    expect("-cp311-abi3-manylinux" in wheel.name, f"repaired: {wheel.name}")
    run("check-wheel-contents", "--ignore", "W009,W010", wheel)  # auditwheel puts fastloss.libs next to fastloss
    expect(True, "check-wheel-contents finds nothing")
    run("abi3audit", "--strict", wheel)
    expect(True, "abi3audit --strict finds only the stable ABI of 3.11")
    shown = " ".join(run("auditwheel", "show", wheel).split())
    tag = wheel.stem.split("-")[-1]
    expect(f'following platform tag: "{tag}"' in shown, f"auditwheel show reports {tag}")
    size = wheel.stat().st_size
    expect(size < MEGABYTES * 1e6, f"{size / 1e6:.2f} MB, under {MEGABYTES}")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        expect(sum(n.startswith("fastloss.libs/libgomp-") for n in names) == 1, "libgomp is inside")
        (notice,) = [n for n in names if n.endswith("/licenses/LICENSE-libgomp")]
        text = archive.read(notice).decode()
    for part in ("GCC RUNTIME LIBRARY EXCEPTION", "GNU GENERAL PUBLIC LICENSE"):
        expect(part in text, f"its notice has the {part}")


def audit_pure(wheel: Path) -> None:
    expect(wheel.name.endswith("-py3-none-any.whl"), f"pure Python: {wheel.name}")
    run("check-wheel-contents", wheel)
    with zipfile.ZipFile(wheel) as archive:
        expect(not any(n.endswith((".so", ".c", ".pyx")) for n in archive.namelist()), "it holds nothing compiled")


# ---- testing


@functools.cache
def interpreter(version: str) -> str:
    pyenv = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    found = sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/python"))
    for python in [*found, shutil.which(f"python{version}")]:
        if python and run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip() == version:
            return python
    raise SystemExit(f"make wheel: no CPython {version} in pyenv or on PATH (pyenv install {version})")


def clean(version: str, folder: Path, *requirements: object) -> Path:
    """Make a new environment with only these requirements, and return its Python."""
    run(interpreter(version), "-m", "venv", folder)
    python = folder / "bin/python"
    run(python, "-m", "pip", "install", "-q", "--only-binary", ":all:", *requirements)
    return python


def suite(python: Path, source: Path, folder: Path, *arguments: str, **environment: str) -> None:
    """Run the tests of an sdist after the package and the C code have been removed from its tree."""
    tree = unpacked(source, folder)
    for name in ("src", "csrc"):
        shutil.rmtree(tree / name)
    where = run(python, "-c", "import fastloss; print(fastloss.__file__)", cwd=tree, FASTLOSS_BACKEND="numpy").strip()
    expect(Path(where).is_relative_to(python.parents[1]), "the tests import the installed package")
    last = run(
        python, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *arguments, cwd=tree, **environment
    )
    expect(" passed" in last, f"pytest {' '.join(arguments)}: {last.splitlines()[-1]}")


def environments(wheel: Path, source: Path, work: Path, full: bool) -> None:
    for k, (version, numpy, extra, tests) in enumerate(ENVIRONMENTS):
        print(f"CPython {version}, {numpy}, fastloss[{extra}]", flush=True)
        python = clean(version, work / f"env{k}", f"{wheel}[{extra}]", numpy)
        print("  NumPy", run(python, "-c", "import numpy; print(numpy.__version__)").strip())
        suite(python, source, work / f"tests{k}", *([] if full else tests))


# ---- awkward surroundings


def path_without(folder: Path, *patterns: str) -> str:
    """Return a copy of our PATH without the programs that match these patterns."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*") if place else ():
            link = folder / program.name
            if not any(program.match(p) for p in patterns) and not link.is_symlink():
                link.symlink_to(program.absolute())
    return str(folder)


def read_only(tree: Path) -> list[str]:
    """Make a tree read-only, and return the command prefix that makes this hold for root too."""
    for file in [tree, *tree.rglob("*")]:
        file.chmod(file.stat().st_mode & ~0o222)
    return ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def same_wheel(tree: Path, work: Path) -> Path:
    """Check that the wheel contains the same files however and wherever it is built, and return one such wheel."""
    first = pip_wheel(tree, work / "first")
    expect(pip_wheel(tree, work / "again").read_bytes() == first.read_bytes(), "wheel built again: the same bytes")

    def copy(name: str) -> Path:
        return Path(shutil.copytree(tree, work / name))

    fixed = copy("read-only")
    prefix = read_only(fixed)
    poison = "-Ofast -march=native"
    no_cmake = path_without(work / "no-cmake", "cmake*", "ninja*")
    ways: dict[str, Callable[[Path], Path]] = {
        "no cmake or ninja on PATH": lambda to: pip_wheel(tree, to, PATH=no_cmake),
        "a path with spaces and letters": lambda to: pip_wheel(copy("mit Leerzeichen, ä ß 損失"), to),
        "a read-only tree": lambda to: pip_wheel(fixed, to, prefix=prefix),
        f"CFLAGS={poison}": lambda to: pip_wheel(tree, to, CFLAGS=poison, LDFLAGS="-Ofast"),
    }
    for k, (name, way) in enumerate(ways.items()):
        expect(contents(way(work / f"way{k}")) == contents(first), f"{name}: the same files, to the byte")
    run("chmod", "-R", "u+w", fixed)
    return first


def no_compiler(tree: Path, pure: Path, work: Path) -> None:
    path, folder = path_without(work / "no-compiler", *COMPILERS), work / "fallback"
    pip = [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--no-cache-dir", "--wheel-dir", folder, tree]
    said = run(*pip, PATH=path, FASTLOSS_REQUIRE_NATIVE="1", fails=True)
    expect("fastloss: the C kernels could not be built" in said, "no compiler, but one required: a clear error")
    said = run(*pip, PATH=path, SOURCE_DATE_EPOCH=epoch())
    expect("this is the SLOW, pure Python version" in said, "no compiler: a notice that this is the slow version")
    (made,) = folder.glob("*.whl")
    expect(made.read_bytes() == pure.read_bytes(), "no compiler: the pure wheel, to the byte")


def no_openmp(tree: Path, source: Path, work: Path) -> None:
    wheel = pip_wheel(tree, work / "serial", "--config-settings=cmake.define.FASTLOSS_OPENMP=OFF")
    expect("libgomp" not in run("auditwheel", "show", wheel), "FASTLOSS_OPENMP=OFF: the wheel needs no libgomp")
    python = clean("3.11", work / "serial-env", f"{wheel}[test-numpy]")
    suite(python, source, work / "serial-tests", *SHORT)


def no_extension(wheel: Path, source: Path, work: Path) -> None:
    python = clean("3.11", work / "pure-env", f"{wheel}[test-numpy]")
    suite(python, source, work / "pure-tests", "-k", "not native", *PURE, FASTLOSS_BACKEND="numpy")


# ---- the two targets


def release(work: Path, full: bool) -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    source = sdist(DIST)
    expect(True, f"sdist: {source.name}")
    raw = pip_wheel(source, work / "raw")
    audit_raw(raw)
    wheel = repaired(raw, DIST)
    audit_repaired(wheel)
    audit_pure(pip_wheel(source, DIST / "pure", FASTLOSS_PURE="1"))
    environments(wheel, source, work, full)


def awkward(work: Path) -> None:
    source = sdist(work / "sdist")
    expect(sdist(work / "sdist2").read_bytes() == source.read_bytes(), "sdist built again: the same bytes")
    tree = unpacked(source, work / "tree")
    raw = same_wheel(tree, work)
    again = [repaired(raw, work / name).read_bytes() for name in ("repaired", "repaired2")]
    expect(again[0] == again[1], "repaired again: the same bytes")
    pure = pip_wheel(tree, work / "pure", FASTLOSS_PURE="1")
    audit_pure(pure)
    no_compiler(tree, pure, work)
    no_extension(pure, source, work)
    no_openmp(tree, source, work)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="run the whole suite in every environment")
    parser.add_argument("--awkward", action="store_true", help="build in awkward surroundings instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastloss-") as made:
        if options.awkward:
            awkward(pathlib.Path(made))
        else:
            release(pathlib.Path(made), options.full)
