"""Times `evaluate_files` over many small files with and without a ledger: python -m bench.ledger [--images N].

Each line shows the time per image and the peak memory of a process of its own: without a ledger, with one, with a wait
for the disk after each record, with a ledger that is resumed half-way and at the end, and the merging of ledgers. The
goals: a ledger adds at most 0.3 ms per image, and the peak grows by less than 1 KiB per image. --kills N also runs with
two workers, kills the caller or a worker at N random moments, resumes, and compares the report with that of one run.
"""

import argparse
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

SHAPE = (3, 32, 32)
PROGRAM = """
import sys, fastloss as fl, fastloss.archive.ledger_files as files
folder, state, resume, sync, half, workers = sys.argv[1:]
files.SYNC_SECONDS = float(sync)
losses = {"ce": fl.CrossEntropyLoss(), "dice": fl.DiceLoss()}
if half == "merge":
    report = fl.merge_ledgers([state])
else:
    class Stopped(Exception):
        pass
    def stop(done, total, nbytes):
        if half == "half" and done >= total // 2:
            raise Stopped
    options = {"state": state, "resume": resume == "resume"} if state else {}
    options["workers"] = int(workers) or None
    try:
        report = fl.evaluate_files(losses, folder + "/p", folder + "/m", progress=stop, **options)
    except Stopped:
        raise SystemExit
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(report.seconds, int(peak.split()[1]) / 1024, report.resumed)
for name in report:
    print(report.partial(name).numbers.tobytes().hex(), hash(report.per_image[name].tobytes()))
"""


ENVIRONMENT = dict(os.environ) | {"PYTHONHASHSEED": "0"}


def archive(folder, images):
    rng = np.random.default_rng(0)
    for sub in ("p", "m"):
        (folder / sub).mkdir()
    for k in range(images):
        np.save(folder / "p" / f"{k:06}.npy", rng.standard_normal(SHAPE, np.float32))
        np.save(folder / "m" / f"{k:06}.npy", rng.integers(0, SHAPE[0], SHAPE[1:], np.uint8))


def command(folder, state="", resume="", sync=0.2, half="", workers=0):
    return [sys.executable, "-c", PROGRAM, *map(str, (folder, state, resume, sync, half, workers))]


def run(*arguments):
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return done.stdout.splitlines()


def show(what, lines, images):
    seconds, peak, resumed = map(float, lines[0].split())
    print(f"{what:34} {seconds / images * 1e3:7.3f} ms per image  {peak:6.0f} MiB  {resumed:6.0f} resumed", flush=True)


def workers_of(pid):
    """Return the processes that a process has started to compute."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(c) for c in children if b"spawn_main" in pathlib.Path(f"/proc/{c}/cmdline").read_bytes()]


def kills(folder, state, images, count, expected):
    chosen = random.Random(1)
    records = state / "records.txt"
    for _ in range(count):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command(folder, state, "resume", workers=2), **quiet, env=ENVIRONMENT) as process:
            before = records.stat().st_size if records.exists() else 0
            grown = before + chosen.randint(1, images // count // 4) * 1200
            while process.poll() is None and (not records.exists() or records.stat().st_size < grown):
                time.sleep(0.0005)
            victim = chosen.choice([process.pid, *workers_of(process.pid)])
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            process.wait()
    lines = run(folder, state, "resume")
    show(f"after {count} kills", lines, images)
    print(f"the same bits: {lines[1:] == expected}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        archive(folder, options.images)
        run(folder)  # fills the cache of the system
        plain = run(folder)
        for what, arguments in {
            "no ledger": (folder,),
            "ledger": (folder, folder / "a"),
            "ledger, a wait per record": (folder, folder / "b", "", 0),
            "ledger, all finished before": (folder, folder / "a", "resume"),
            "merged": (folder, folder / "a", "", 0.2, "merge"),
        }.items():
            lines = run(*arguments)
            show(what, lines, options.images)
            assert lines[1:] == plain[1:], "other bits"
        run(folder, folder / "c", "", 0.2, "half")
        show("ledger, resumed half-way", run(folder, folder / "c", "resume"), options.images)
        if options.kills:
            kills(folder, folder / "d", options.images, options.kills, plain[1:])


if __name__ == "__main__":
    main()
