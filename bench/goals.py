"""Lists the goals of the design, each with its measurement from the records of a run."""

import math
from typing import NamedTuple

import numpy as np

JOBS = {"forward": "value", "value+grad": "value and gradient"}
MIB = 1 << 20
SAME_SLOPE = 0.05  # tolerance of the slope of log(time) over log(size), which is 1 for linear growth


class Goal(NamedTuple):
    what: str
    goal: str
    measured: str
    reached: bool


class Found:
    """The records of a run. The goals look them up by section and row."""

    def __init__(self, records):
        self.records = records

    def rows(self, section, row=None):
        return [r for r in self.records if r["section"] == section and row in (None, r["row"])]

    def ratios(self, section, row, job, peer):
        """Return how many times as fast as the peer fastloss is, by number of threads."""
        found = {}
        for r in self.rows(section, row):
            if job in r["seconds"].get(peer, {}):
                found[r["threads"]] = r["seconds"][peer][job] / r["seconds"]["fastloss"][job]
        return found

    def against(self, section, row, other, job):
        """Return our time for one row divided by our time for another row, by number of threads."""
        bases = {r["threads"]: r["seconds"]["fastloss"][job] for r in self.rows(section, other)}
        mine = self.rows(section, row)
        return {
            r["threads"]: r["seconds"]["fastloss"][job] / bases[r["threads"]] for r in mine if r["threads"] in bases
        }


def share(record, job, of="roof"):
    """Return the share of the speed of memory, or of memory by rows of classes, that a job reaches."""
    return record["bytes"][job] / record["seconds"]["fastloss"][job] / record[of][job]


def of_the_first(records, record, job):
    """Return the time per element over that of the first record of the same family."""
    first = next(f for f in records if (f["family"], f["threads"]) == (record["family"], record["threads"]))
    times = [r["seconds"]["fastloss"][job] / r.get("elements", 1) for r in (record, first)]
    return times[0] / times[1]


def _goal(what, sign, bound, by_threads, form="{:.2f}"):
    """Return a goal that must hold at every measured number of threads, or nothing if there is no figure."""
    if not by_threads:
        return []
    many = len(by_threads) > 1
    texts = [form.format(v) + (f" ({t} thread{'s' * (t > 1)})" if many else "") for t, v in by_threads.items()]
    reached = all(v >= bound if sign == "≥" else v <= bound for v in by_threads.values())
    return [Goal(what, f"{sign} " + form.format(bound), ", ".join(texts), reached)]


def _memory_speed(found):
    goals = []
    for job, name in JOBS.items():
        against = "reading" if job == "forward" else "copying"
        for row in ("BCE with logits, C = 1", "cross entropy, C = 2", "cross entropy, C = 4", "Dice, C = 2"):
            shares = {r["threads"]: share(r, job) for r in found.rows("classes", row)}
            if job == "forward":
                goals += _goal(f"{row}, {name}: of the speed of {against} memory", "≥", 0.8, shares)
        for row in ("cross entropy, C = 2", "cross entropy, C = 8", "cross entropy, C = 19", "cross entropy, C = 150"):
            shares = {r["threads"]: share(r, job, "rows") for r in found.rows("classes", row) if "rows" in r}
            if job != "forward" or row != "cross entropy, C = 2":
                goals += _goal(f"{row}, {name}: of {against} memory by rows of classes", "≥", 0.85, shares)
    return goals


def _cliffs(found):
    """Return the goal that no form of the arrays costs more than five times its plain neighbour."""
    rows, slowest = found.rows("cliffs"), {}
    for r in rows:
        for job in r["seconds"]["fastloss"]:
            slowest[r["threads"]] = max(slowest.get(r["threads"], 0), of_the_first(rows, r, job))
    return _goal("cliffs: time per element over that of plain arrays, at most", "≤", 5, slowest)


def _peers(found):
    wanted = [("cross entropy", "torch", 10, 12), ("cross entropy", "torch.compile", 2.5, 6)]
    wanted += [(row, peer, 20, 12) for row in ("Dice", "Dice + CE") for peer in ("MONAI", "smp")]
    goals = []
    for row, peer, *bounds in wanted:
        for (job, name), bound in zip(JOBS.items(), bounds, strict=True):
            ratios = found.ratios("families", row, job, peer)
            goals += _goal(f"{row}, {name}: times as fast as {peer}", "≥", bound, ratios, "{:.1f}")
    return goals


def _memory_used(found):
    goals = []
    for r in found.rows("memory"):
        used = max(0, r["extra"] - r.get("gradient", 0)) / MIB / r["threads"]
        besides = ", apart from the gradient" if "gradient" in r else ""
        goals += _goal(f"{r['row']}: MiB per thread{besides}", "≤", 1, {r["threads"]: used})
    return goals


def _formats(found):
    goals = []
    for family in ("cross entropy", "Dice"):
        for job, name in JOBS.items():
            for dtype in ("float16", "bfloat16"):
                ratios = found.against("dtypes", f"{family}, {dtype}", f"{family}, float32", job)
                goals += _goal(f"{family}, {name}: time of {dtype} over float32's", "≤", 0.8, ratios)
    for family in ("cross entropy", "Dice"):
        for job, name in JOBS.items():
            ratios = found.against("layouts", f"{family}, channels last", f"{family}, channels first", job)
            goals += _goal(f"{family}, {name}: time of channels last over first", "≤", 1.3, ratios)
    return goals


def _together(found):
    ratios = {}
    for four in found.rows("together", "evaluate"):
        seconds = [
            r["seconds"]["fastloss"]["forward"] for r in found.rows("together") if r["threads"] == four["threads"]
        ]
        mine = four["seconds"]["fastloss"]["forward"]
        ratios[four["threads"]] = mine / max(s for s in seconds if s != mine)
    return _goal("four losses by `evaluate`: time over that of the slowest of them", "≤", 1.5, ratios)


def _tiny(found):
    ratios = found.ratios("tiny", "fl.cross_entropy", "forward", "torch")
    return _goal("a tiny call, (1, 4, 16, 16): times as fast as torch's `F.cross_entropy`", "≥", 1, ratios)


def _accuracy(found):
    goals = []
    for r in found.rows("accuracy"):
        if "units in the last place" in r["row"]:
            goals += _goal(f"{r['row']}", "≤", 2, {1: r["error"]})
        else:
            goals += _goal(f"{r['row']}: error relative to float64", "≤", 1e-7, {1: r["error"]}, "{:.1e}")
    return goals


def growth(records, family, job, threads, name="fastloss"):
    """Return the bytes of logits and the seconds, for the series of sizes."""
    found = [r for r in Found(records).rows("sizes") if r["family"] == family and r["threads"] == threads]
    return [(4 * math.prod(r["shape"]), s[job]) for r in found if job in (s := r["seconds"].get(name, {}))]


def _growth(found):
    goals = []
    for family in ("cross entropy", "Dice"):
        threads = sorted({r["threads"] for r in found.rows("sizes")})
        slopes = {}
        for t in threads:
            points = [p for p in growth(found.records, family, "forward", t) if p[0] > 1e6]
            if len(points) > 1:
                slopes[t] = float(np.polyfit(*np.log(np.array(points)).T, 1)[0])
        if slopes:
            # like the other goals, but with a lower and an upper bound
            text = _goal("", "≥", 1 - SAME_SLOPE, slopes)[0].measured
            close = all(abs(s - 1) <= SAME_SLOPE for s in slopes.values())
            goals.append(
                Goal(f"{family}: power of the size by which time grows, from 1 MB on", "1 ± 0.05", text, close)
            )
    return goals


def _two_threads(found):
    goals = []
    for family in ("cross entropy", "Dice"):
        series = [dict(growth(found.records, family, "forward", t)) for t in (1, 2)]
        ratios = {n: s / series[1][n] for n, s in series[0].items() if n in series[1] and n > 1e6}
        if ratios:
            size = max(ratios, key=ratios.get)
            text = f"{ratios[size]:.2f} ({size / 1e6:.0f} MB)"
            goals.append(
                Goal(f"{family}, value: two threads against one, at best", "≥ 1.80", text, ratios[size] >= 1.8)
            )
    return goals


def reached(records):
    """Return every goal for which the run has figures."""
    found = Found(records)
    every = (_memory_speed, _peers, _memory_used, _formats, _cliffs, _together, _tiny, _accuracy, _growth, _two_threads)
    return [goal for goals_of in every for goal in goals_of(found)]
