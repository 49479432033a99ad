"""Times of jobs that alternate, for the benchmarks beside this file."""

import statistics
import time

SHORT = 0.002  # seconds; a shorter job is called again and again to fill them
LONG, ENOUGH = 0.5, 3  # seconds; a longer job is called in so many rounds only


def seconds(job, calls):
    """Seconds of one of `calls` calls."""
    start = time.perf_counter()
    for _ in range(calls):
        job()
    return (time.perf_counter() - start) / calls


def medians(jobs, rounds, clock=seconds, failed=None):
    """Median seconds of each job after a warm-up, all jobs once a round, so that what disturbs one disturbs all.

    failed: called with the name of a job whose warm-up fails, and its error; without it that is an error.
    """
    calls, last = {}, {}
    for name, job in jobs.items():
        try:
            first = clock(job, 1)
        except Exception as error:  # of a compiler, of a library: whatever it is, the others are measured
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
                time.sleep(0.05)  # idle OpenMP threads of the job before spin for a while, and would share the cores
                if rounds == last[name]:  # not of a long job: threads that have slept are woken outside the time
                    clock(jobs[name], 1)
                took[name].append(clock(jobs[name], calls[name]))
    return {name: statistics.median(times) for name, times in took.items()}
