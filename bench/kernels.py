"""Times the C core of one or two versions without Python: python -m bench.kernels [BEFORE] [--threads N].

BEFORE is a directory or a commit from 2240904 on, whose C interface is that of now. Each version is compiled for this
machine as a shared library, and one process runs them in turn. A line shows the medians of the nanoseconds per 16
logits, and of the ratio of neighbouring runs: in the caches on one thread, and from memory.
"""

import argparse
import contextlib
import os
import pathlib
import subprocess
import tempfile

from bench.report import ROOT, markdown

FLAGS = ["-std=c11", "-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-ffp-contract=off", "-fopenmp-simd", "-fno-thread-jumps", "-DFL_LEVEL=base"]
VALUE, GRADIENT = 2, 6  # enum fl_mode
CACHED = 131_072  # logits
MEMORY = 80_000_000
FAR = 1 << 18  # pixels
# A region of one class has a sigmoid and a dense target.
FEW = [("cross_entropy", 2), ("cross_entropy", 4), ("dense", 4), ("region", 1), ("region", 2), ("bce", 1), ("mse", 1)]
MANY = [("cross_entropy", 19), ("cross_entropy", 8), ("cross_entropy", 150), ("region", 19), ("region", 150)]


def jobs(threads):
    """Yield the name of each job and the arguments of kernels.c."""
    for mode, what in ((VALUE, "value"), (GRADIENT, "value and gradient")):
        for loss, count in [*FEW, *MANY]:
            yield f"{loss}, {count} classes, {what}, in cache", (loss, count, CACHED // count, 1, 1, mode)
        for loss, count in [*FEW, MANY[0]]:
            far = (loss, count, FAR, MEMORY // (count * FAR), threads, mode)
            yield f"{loss}, {count} classes, {what}, from memory", far
    yield "cross_entropy, 150 classes, value, from memory", ("cross_entropy", 150, 1 << 18, 2, threads, VALUE)
    yield "the same, no power of two apart", ("cross_entropy", 150, 133_120, 4, threads, VALUE)


def compiled(what, folder):
    """Compile the C core of a directory or commit as a shared library."""
    source = pathlib.Path(what)
    if not source.is_dir():
        source = folder / "source"
        source.mkdir()
        archive = subprocess.run(["git", "archive", what, "csrc"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    compiler, objects = [os.environ.get("CC", "cc"), *FLAGS, "-fPIC", f"-I{source}/csrc"], []
    for bits in (32, 64):
        objects.append(str(folder / f"kernels{bits}.o"))
        kernels = f"{source}/csrc/kernels/kernels.c"
        subprocess.run([*compiler, f"-DFL_REAL_BITS={bits}", "-c", kernels, "-o", objects[-1]], check=True)
    driver = [str(f) for f in sorted((source / "csrc" / "driver").glob("*.c"))]
    library = folder / "core.so"
    subprocess.run([*compiler, "-shared", "-fopenmp", *driver, *objects, "-lm", "-o", str(library)], check=True)
    return library


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", nargs="?", help="directory or commit to compare with")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the jobs from memory")
    options = parser.parse_args()
    versions = [v for v in (options.before, str(ROOT)) if v]
    with contextlib.ExitStack() as stack:
        folders = [pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in versions]
        libraries = [compiled(v, folder) for v, folder in zip(versions, folders, strict=True)]
        program, own = folders[0] / "kernels", str(pathlib.Path(__file__).with_suffix(".c"))
        subprocess.run([os.environ.get("CC", "cc"), f"-I{ROOT}/csrc", own, "-ldl", "-o", str(program)], check=True)
        rows = []
        for name, arguments in jobs(options.threads):
            command = [str(a) for a in (program, *arguments, *libraries)]
            lines = [line.split() for line in subprocess.check_output(command, text=True).splitlines()]
            rows.append([name, *(f"{float(ns):.2f}" for ns, _ in lines), f"{float(lines[-1][1]):.2f}"])
    print(markdown(["ns per 16 logits", *(["before"] if options.before else []), "now", "ratio"], rows))


if __name__ == "__main__":
    main()
