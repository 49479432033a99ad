"""Times our jobs in another process, for two builds or two levels, because one process can load only one of them.

`Worker` starts python -m bench.worker in an environment of its own. The process answers each line "job calls" with the
seconds per call.
"""

import os
import pathlib
import subprocess
import sys

from bench.timing import seconds

SHAPES = {"": (2, 19, 512, 512), "tiny ": (1, 4, 16, 16)}


def own_jobs():
    """Return the jobs of all families by names without spaces, on 40 MB of logits and on a tiny picture."""
    from bench.families import FAMILIES, FORMS, Data, our_jobs

    jobs = {}
    for prefix, shape in SHAPES.items():
        data = Data(shape)
        for family in (*FAMILIES, *FORMS):
            for job, call in our_jobs(family.ours, data.arrays(family), data.out).items():
                jobs[f"{prefix}{family.name}, {job}".replace(" ", "_")] = call
    return jobs


class Worker:
    def __init__(self, **environment):
        """Start the process. `environment` has the variables that differ from this process's variables."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"],
            cwd=pathlib.Path(__file__).parents[1],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.names = self._line().split()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the benchmark's worker has died; its error is printed above")
        return line

    def seconds(self, name, calls):
        self.process.stdin.write(f"{name} {calls}\n")
        self.process.stdin.flush()
        return float(self._line())


def remote(job, calls):
    """Time a job that is a pair (worker, name). This is the clock for such jobs."""
    worker, name = job
    return worker.seconds(name, calls)


def main():
    jobs = own_jobs()
    print(*jobs, flush=True)
    for line in sys.stdin:
        name, calls = line.split()
        print(seconds(jobs[name], int(calls)), flush=True)


if __name__ == "__main__":
    main()
