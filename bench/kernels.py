"""Times the C core of one or two versions without Python: python -m bench.kernels [BEFORE] [--threads N].

BEFORE is a directory or a commit from 2240904 on, whose C interface is that of now. Each version is compiled for this
machine, and their runs alternate. A line shows the nanoseconds per 16 logits: in the caches on one thread, and from
memory. The columns are the medians of --rounds runs, each of which is a median itself.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
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
FEW = [("cross_entropy", 2), ("cross_entropy", 4), ("region", 1), ("region", 2), ("bce", 1), ("mse", 1)]
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
    """Compile the C core of a directory or commit, and return the program."""
    source = pathlib.Path(what)
    if not source.is_dir():
        source = folder / "source"
        source.mkdir()
        archive = subprocess.run(["git", "archive", what, "csrc"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    program, compiler = folder / "kernels", [os.environ.get("CC", "cc"), *FLAGS, f"-I{source}/csrc"]
    objects = []
    for bits in (32, 64):
        objects.append(str(folder / f"kernels{bits}.o"))
        kernels = f"{source}/csrc/kernels/kernels.c"
        subprocess.run([*compiler, f"-DFL_REAL_BITS={bits}", "-c", kernels, "-o", objects[-1]], check=True)
    driver = [str(f) for f in sorted((source / "csrc" / "driver").glob("*.c"))]
    own = str(pathlib.Path(__file__).with_suffix(".c"))
    subprocess.run([*compiler, "-fopenmp", *driver, own, *objects, "-lm", "-o", str(program)], check=True)
    return program


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", nargs="?", help="directory or commit to compare with")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the jobs from memory")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    versions = [v for v in (options.before, str(ROOT)) if v]
    with contextlib.ExitStack() as stack:
        folders = [pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in versions]
        programs = [compiled(v, folder) for v, folder in zip(versions, folders, strict=True)]
        rows = []
        for name, arguments in jobs(options.threads):
            command = [str(a) for a in arguments]
            took = [[] for _ in programs]
            for _ in range(options.rounds):
                for times, program in zip(took, programs, strict=True):
                    times.append(float(subprocess.check_output([program, *command])))
            medians = [statistics.median(times) for times in took]
            rows.append([name, *(f"{m:.2f}" for m in medians), f"{medians[-1] / medians[0]:.2f}"])
    print(markdown(["ns per 16 logits", *versions, "ratio"], rows))


if __name__ == "__main__":
    main()
