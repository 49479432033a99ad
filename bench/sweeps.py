"""Holds the sections of the benchmark. They compare the families with their peers, and show how our time changes with
classes, size, dtype, labels, layout and level.

A section is a function of a `Run`, which knows the peers and the threads. It yields records, which are medians of jobs
that took turns. A record can be written as JSON, and goals.py and report.py read it.
"""

import json
import os
import subprocess
import sys

import numpy as np

import fastloss as fl
from bench.cliffs import cliffs
from bench.families import BY_NAME, FAMILIES, TWO, Data, Variant, bytes_moved, every_loss, our_jobs
from bench.memory import Memory, speeds
from bench.peers import PARALLEL, SERIAL, SLOW_TO_START, set_threads
from bench.timing import medians
from bench.worker import Worker, remote

SHAPE = (8, 19, 512, 512)  # 159 MB of float32, five times the size of the largest caches
PICTURE = (1, 19, 256, 256)
MOST_FOR_PEERS = 320e6  # bytes of logits; a peer makes arrays of several times that size
ROOFED = ("families", "classes", "dtypes", "scaling")  # sections that also measure memory


class Run:
    def __init__(self, peers, threads, only, quick):
        self.peers, self.threads, self.only, self.quick = peers, threads, only, quick
        self.memory = Memory()

    def measure(self, section, variants, threads, peers=(), rounds=5):
        """Yield one record per variant. The variants, their peers and the memory jobs take turns."""
        set_threads(threads)
        memory = self.memory.jobs(threads) if section in ROOFED else {}
        jobs = {("memory", "memory", job): f for job, f in memory.items()}
        shares = {}
        for v in variants if memory else ():
            classes, *axes = v.arrays[0].shape[1:]
            for job, (f, share) in self.memory.row_jobs(threads, classes, int(np.prod(axes))).items():
                jobs["rows", v.row, job], shares[v.row] = f, share
        for v in variants:
            jobs |= {(v.row, "fastloss", job): f for job, f in our_jobs(v.loss, v.arrays, v.out).items()}
            for name, peer in self._asked(peers, threads).items():
                jobs |= {(v.row, name, job): f for job, f in peer.jobs(v.family, v.arrays).items()}
        took = medians(jobs, 3 if self.quick else rounds, failed=_left_out)
        fast = speeds({job: took["memory", "memory", job] for job in memory}) if memory else None
        for v in variants:
            seconds = {}
            for (row, name, job), s in took.items():
                if row == v.row:
                    seconds.setdefault(name, {})[job] = s
            moved, written = bytes_moved(v.loss, v.arrays)
            record = {
                "section": section,
                "row": v.row,
                "family": v.family,
                "threads": threads,
                "shape": list(v.arrays[0].shape),
                "bytes": moved,
                "elements": v.arrays[0].size,
                "seconds": seconds,
            }
            if fast:  # the bound is the speed of reading if a job writes little, otherwise the speed of copying
                bound = {job: "copy" if 2 * n > v.arrays[0].nbytes else "read" for job, n in written.items()}
                record["roof"] = {job: fast[bound[job]] for job in moved}
            if v.row in shares:
                by_rows = speeds({job: took["rows", v.row, job] for job in memory}, shares[v.row])
                record["rows"] = {job: by_rows[bound[job]] for job in moved}
            yield record

    def _asked(self, names, threads):
        """Return the installed peers among these names that can run on this number of threads."""
        most = threads == max(self.threads)
        jax = threads == os.cpu_count()  # jax has a single pool for all CPUs
        wanted = (n for n in names if n in self.peers and (most or n not in SLOW_TO_START) and (jax or n != "optax"))
        return {name: self.peers[name] for name in wanted}


def _left_out(key, error):
    row, name, job = key
    if name == "fastloss":
        raise error
    print(f"{name}, {row}, {job} is left out: {type(error).__name__}: {str(error)[:200]}")


# ---- the sections


def families(run):
    """Every family compared with its peers, on arrays much larger than the caches."""
    data = Data((2, *SHAPE[1:]) if run.quick else SHAPE)
    peers = tuple(p for p in PARALLEL if not run.quick or p not in SLOW_TO_START)
    for family in FAMILIES:
        if not (run.only & BY_NAME.keys()) or family.name in run.only:
            for threads in run.threads:
                yield from run.measure("families", [Variant.of(family, data)], threads, peers)


def numpy(run):
    """The families compared with our NumPy reference and scipy, on one picture and one thread."""
    data = Data(PICTURE)
    if not run.quick:
        for family in FAMILIES:
            yield from run.measure("numpy", [Variant.of(family, data)], 1, SERIAL, rounds=3)


def tiny(run):
    """A call so small that Python takes most of the time."""
    data = Data((1, 4, 16, 16))
    function = BY_NAME["cross entropy"]._replace(ours=fl.cross_entropy)
    variants = [Variant.of(function, data, "fl.cross_entropy")]
    variants += [Variant.of(f, data) for f in FAMILIES if f.name != "distance transform"]
    yield from run.measure("tiny", variants, 1, ("torch",), rounds=11)


def classes(run):
    """The same number of elements, 320 MB of float32, with more and more classes per pixel."""
    for count in (1, 2, 4, 8, 19, 150, 1000):
        data = Data((4, count, 64 if run.quick else 512, 80_000_000 // (4 * 512 * count)))
        names = ("BCE with logits",) if count == 1 else TWO  # a softmax of one channel is 1
        for threads in run.threads:
            variants = [Variant.of(BY_NAME[name], data, f"{name}, C = {count}") for name in names]
            yield from run.measure("classes", variants, threads, ("torch",), rounds=3)


def sizes(run):
    """From a tiny picture to more than 2 GB of logits, with the peers up to the size at which their arrays fit."""
    shapes = [(1, 19, s, s) for s in (16, 32, 64, 128, 256, 512)] + [(n, 19, 512, 512) for n in (4, 16, 48, 109)]
    for shape in shapes[: 7 if run.quick else None]:
        data = Data(shape)
        small = 4 * np.prod(shape) < MOST_FOR_PEERS and not run.quick
        for threads in run.threads:
            variants = [Variant.of(BY_NAME[name], data, f"{name}, {shape}") for name in TWO]
            yield from run.measure("sizes", variants, threads, ("torch", "MONAI") if small else (), rounds=3)


def _dtypes():
    try:
        import ml_dtypes
    except ImportError:
        print("bfloat16 is left out: ml_dtypes is not installed")
        return ["float32", "float16", "float64"]
    return ["float32", "float16", ml_dtypes.bfloat16, "float64"]


def dtypes(run):
    """The same logits in every dtype."""
    inputs = [Data((2 if run.quick else 4, *SHAPE[1:]), dtype) for dtype in _dtypes()]
    yield from _two("dtypes", run, lambda f: [Variant.of(f, d, f"{f.name}, {d.dtype}") for d in inputs])


def labels(run):
    """The same labels with one byte each and with eight."""
    inputs = [Data((2 if run.quick else 4, *SHAPE[1:]), labels=kind) for kind in ("int64", "uint8")]
    yield from _two("labels", run, lambda f: [Variant.of(f, d, f"{f.name}, {d.label_dtype}") for d in inputs])


def layouts(run):
    """Channels first, channels last, and every second column of a picture that is twice as wide."""
    data = Data((2 if run.quick else 4, *SHAPE[1:]))
    x, y = data.logits, data.labels
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), np.float32)
    wide[..., ::2] = x
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))

    def variants(family):
        moved = type(family.ours)(axis=-1)
        return [
            Variant.of(family, data, f"{family.name}, channels first"),
            Variant(f"{family.name}, channels last", family.name, moved, (last, y), np.zeros_like(last)),
            Variant(f"{family.name}, strided", family.name, family.ours, (wide[..., ::2], y), data.out),
        ]

    yield from _two("layouts", run, variants)


def scaling(run):
    """From one thread to all cores, on arrays much larger than the caches."""
    data = Data((4 if run.quick else 16, *SHAPE[1:]))
    threads, most = [1], os.cpu_count()
    while threads[-1] * 2 < most:
        threads.append(threads[-1] * 2)
    for count in sorted({*threads, most}):
        yield from run.measure("scaling", [Variant.of(BY_NAME[name], data) for name in TWO], count)


def _two(section, run, variants):
    for threads in run.threads:
        for name in TWO:
            yield from run.measure(section, variants(BY_NAME[name]), threads)


def levels(run):
    """Each instruction set, in a process of its own."""
    names = [level for level in fl_levels() if level]
    for threads in run.threads:
        with_threads = {"FASTLOSS_NUM_THREADS": str(threads)}
        workers = {name: Worker(FASTLOSS_ISA=name, **with_threads) for name in names}
        jobs = {
            (level, job): (worker, job)
            for level, worker in workers.items()
            for job in worker.names
            if job.startswith(("cross_entropy,_f", "cross_entropy,_v", "Dice,"))
        }
        took = medians(jobs, 3 if run.quick else 7, remote)
        for worker in workers.values():
            worker.__exit__()
        for family in TWO:
            for level in names:
                mine = {job: took[level, f"{family.replace(' ', '_')},_{job}"] for job in ("forward", "value+grad")}
                yield {
                    "section": "levels",
                    "row": f"{family}, {level}",
                    "family": family,
                    "threads": threads,
                    "seconds": {"fastloss": mine},
                }


def fl_levels():
    """Return the levels that this machine has, the lowest first."""
    every = ("base", "v3", "v4")
    here = fl.config()["level"]
    return every[: every.index(here) + 1] if here in every else ()


def together(run):
    """Four losses in one pass of `evaluate`, and each in a call of its own."""
    data = Data((2 if run.quick else 8, *SHAPE[1:]))
    four = [BY_NAME[name] for name in ("cross entropy", "Dice", "focal", "Tversky")]
    by_name = {f.name: f.ours for f in four}
    variants = [Variant.of(f, data) for f in four]
    one_pass = Variant.of(four[0]._replace(name="evaluate", ours=lambda x, y: fl.evaluate(by_name, x, y)), data)
    for threads in run.threads:
        yield from run.measure("together", [*variants, one_pass], threads)


def losses(run):
    """Every loss of the catalogue."""
    data = Data((1 if run.quick else 2, *SHAPE[1:]))
    for family in every_loss():
        yield from run.measure("losses", [Variant.of(family, data)], max(run.threads), rounds=3)


def memory(run):
    """The bytes that a call takes beyond its arrays."""
    if sys.platform != "linux":
        print("memory is left out: it is read from Linux's /proc")
        return
    command = [sys.executable, "-m", "bench.peak", str(max(run.threads))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    for row, extra in json.loads(done.stdout).items():
        yield {"section": "memory", "row": row, "threads": max(run.threads), **extra}


def accuracy(run):
    """The errors of the float32 losses, compared with float64 on the same inputs."""
    data = Data(PICTURE)
    wide = data.logits.astype(np.float64)
    for name in TWO:
        loss = BY_NAME[name].ours
        value, exact = loss(data.logits, data.labels), loss(wide, data.labels)
        yield {"section": "accuracy", "row": f"{name}, value", "error": abs(value - exact) / exact}
    close = fl.cross_entropy(data.logits, data.labels, reduction="none")
    exact = fl.cross_entropy(wide, data.labels, reduction="none")
    ulps = np.abs(close - exact) / np.spacing(exact.astype(np.float32))
    yield {
        "section": "accuracy",
        "row": "cross entropy per pixel, in units in the last place",
        "error": float(ulps.max()),
    }


SECTIONS = {
    f.__name__: f
    for f in (
        families,
        numpy,
        tiny,
        classes,
        sizes,
        dtypes,
        labels,
        layouts,
        levels,
        cliffs,
        scaling,
        together,
        losses,
        memory,
        accuracy,
    )
}
