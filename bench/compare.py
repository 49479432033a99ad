"""Compares two commits by timing them alternately in one run.

    python -m bench.compare BEFORE [AFTER] [--rounds N] [--threads N]

Each of the two is a commit or a directory. AFTER is this directory by default. Both are built into temporary
directories, and this directory's benchmark runs each in its own process. Jobs that only one of them has are left out.
Each line shows the times of BEFORE and AFTER and their ratio, which is above 1 if AFTER is faster. The last line shows
the geometric mean of the ratios.
"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys
import tempfile

from bench.report import ROOT, duration, markdown
from bench.timing import medians
from bench.worker import Worker, remote


def build(what, target):
    """Install the library of a commit or directory into `target`."""
    with tempfile.TemporaryDirectory() as source:
        if pathlib.Path(what).is_dir():
            source = what
        else:
            archive = subprocess.run(["git", "archive", what], cwd=ROOT, stdout=subprocess.PIPE, check=True)
            subprocess.run(["tar", "-x", "-C", source], input=archive.stdout, check=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
        subprocess.run([*pip, "--target", target, source], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="commit or directory")
    parser.add_argument("after", nargs="?", default=str(ROOT), help="commit or directory (default: this directory)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the median is taken (default: 7)")
    parser.add_argument("--threads", type=int, default=2, help="threads per process (default: 2)")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        workers = []
        for what in (options.before, options.after):
            target = stack.enter_context(tempfile.TemporaryDirectory())
            build(what, target)
            environment = {"PYTHONPATH": target, "FASTLOSS_NUM_THREADS": str(options.threads)}
            workers.append(stack.enter_context(Worker(**environment)))
        names = [name for name in workers[0].names if name in workers[1].names]
        jobs = {(k, name): (w, name) for name in names for k, w in enumerate(workers)}
        took = medians(jobs, options.rounds, remote)
    pairs = {name: (took[0, name], took[1, name]) for name in names}
    ratios = {name: before / after for name, (before, after) in pairs.items()}
    rows = [[name.replace("_", " "), *map(duration, pairs[name]), f"{ratios[name]:.2f}"] for name in pairs]
    rows.append(["all", "", "", f"{statistics.geometric_mean(ratios.values()):.2f}"])
    print(markdown([f"{options.threads} threads", options.before, options.after, "faster"], rows))


if __name__ == "__main__":
    main()
