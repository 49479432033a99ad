"""Times of jobs that alternate, for the benchmarks beside this file."""

import statistics
import time

SHORT = 0.002  # seconds; a shorter job is called again and again to fill them


def seconds(job, calls):
    """Seconds of one of `calls` calls."""
    start = time.perf_counter()
    for _ in range(calls):
        job()
    return (time.perf_counter() - start) / calls


def medians(jobs, rounds, clock=seconds):
    """Median seconds of each job after a warm-up, all jobs once a round, so that what disturbs one disturbs all."""
    calls = {}
    for name, job in jobs.items():
        calls[name] = 1
        if clock(job, 1) < SHORT:
            calls[name] += int(SHORT / clock(job, 3))
    took = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            time.sleep(0.05)  # idle OpenMP threads of the job before spin for a while, and would share the cores
            took[name].append(clock(job, calls[name]))
    return {name: statistics.median(times) for name, times in took.items()}
