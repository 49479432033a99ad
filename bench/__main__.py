"""Measures every family of losses against other libraries and against memory: `make bench`, or python -m bench.

Everything that is compared takes turns in one run, so a disturbance affects all alike. Every figure is a median.
`--only` takes the names of sections and families. docs/internals/performance.md describes the measurements and shows
the figures of one machine. python -m bench.compare measures two commits against each other.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import time

import fastloss as fl
from bench import goals, report
from bench.families import BY_NAME
from bench.peers import check, load
from bench.sweeps import SECTIONS, Run

VERSIONS = ("numpy", "torch", "monai", "segmentation-models-pytorch", "scipy", "jax", "optax", "edt")


def machine(threads, quick):
    """Return the machine and the versions of a run."""
    import importlib.metadata

    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": versions,
        "config": fl.config(),
        "threads": threads,
        "quick": quick,
    }


def _cpu():
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="use less data and fewer peers, on two threads")
    parser.add_argument("--threads", type=int, nargs="+", help="numbers of threads (default: 1 2; with --quick: 2)")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="write all times to this file")
    names = [*SECTIONS, *BY_NAME]
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], choices=names, help="sections and families")
    options = parser.parse_args()
    threads = options.threads or ([2] if options.quick else [1, 2])
    peers, left_out = load()
    for name, why in left_out.items():
        print(f"{name} is left out: {why}")
    check(peers)
    only = set(options.only)
    run = Run(peers, threads, only, options.quick)
    results = {"machine": machine(threads, options.quick) | {"left out": left_out}, "records": []}
    if only & BY_NAME.keys():
        only.add("families")
    for name, section in SECTIONS.items():
        if only and name not in only:
            continue
        start = time.perf_counter()
        records = list(section(run))
        results["records"] += records
        print(f"\n{section.__doc__.splitlines()[0]} ({name}, {time.perf_counter() - start:.0f} s)\n")
        print(report.table(name, records), flush=True)
    print("\nThe goals\n")
    print(report.goal_table(goals.reached(results["records"])))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
