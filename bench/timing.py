"""Times jobs that take turns, for the benchmarks in this folder."""

import statistics
import time

SHORT = 0.002  # seconds; a shorter job is called repeatedly until this time has passed
LONG, ENOUGH = 0.5, 3  # a job of more than LONG seconds runs in only ENOUGH rounds


def seconds(job, calls):
    """Return the seconds per call, from `calls` calls."""
    start = time.perf_counter()
    for _ in range(calls):
        job()
    return (time.perf_counter() - start) / calls


def medians(jobs, rounds, clock=seconds, failed=None):
    """Return the median seconds of each job after a warm-up. Each round runs all jobs, so disturbances affect all.

    `failed` is called with the name and the error of a job whose warm-up fails. Without it, the error is raised.
    """
    calls, last = {}, {}
    for name, job in jobs.items():
        try:
            first = clock(job, 1)
        except Exception as error:  # whatever a compiler or a library raises, measure the other jobs
            if failed is None:
                raise
            failed(name, error)
            continue
        calls[name] = 1 if first > SHORT else 1 + int(SHORT / clock(job, 3))
        last[name] = min(rounds, ENOUGH) if first > LONG else rounds
    took = {name: [] for name in calls}
    for k in range(rounds):
        for name in calls:
            if k < last[name]:
                time.sleep(0.05)  # idle OpenMP threads of the previous job spin for a while and would share the cores
                if rounds == last[name]:  # call a short job once untimed, which wakes sleeping threads
                    clock(jobs[name], 1)
                took[name].append(clock(jobs[name], calls[name]))
    return {name: statistics.median(times) for name, times in took.items()}
