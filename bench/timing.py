"""Times of jobs that alternate, for the benchmarks beside this file."""

import statistics
import time


def medians(jobs, rounds):
    """Median seconds of each job, all jobs once a round, so that what disturbs one disturbs all."""
    took = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for name, job in jobs.items():
            time.sleep(0.05)  # idle OpenMP threads of the job before spin for a while, and would share the cores
            start = time.perf_counter()
            job()
            took[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in took.items()}
