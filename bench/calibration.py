"""Measures calibration and sweeps: python -m bench.calibration [--rounds N].

Each line shows medians over the rounds, in which the jobs take turns, and their ratio. The goal for 101 thresholds is
at most twice the time of one.
"""

import argparse

import numpy as np

import fastloss as fl
from bench.timing import medians

TEMPERATURES = [0.5, 1.0, 2.0, 4.0]


def cases():
    rng = np.random.default_rng(0)
    scores, masks = rng.normal(size=(4, 1, 512, 512)).astype(np.float32), rng.random((4, 1, 512, 512)) < 0.5
    logits, labels = rng.normal(size=(2, 19, 512, 512)).astype(np.float32), rng.integers(0, 19, (2, 512, 512))
    iou, ce = fl.metrics.IoU(activation="sigmoid"), fl.CrossEntropyLoss()
    many, one = (fl.metrics.Sweep(iou, threshold=t) for t in (np.linspace(0.005, 0.995, 101), [0.5]))
    swept = fl.metrics.Sweep(ce, temperature=TEMPERATURES)
    return {
        "101 thresholds, one": (lambda: many(scores, masks), lambda: one(scores, masks)),
        "101 thresholds, IoU": (lambda: many(scores, masks), lambda: iou(scores, masks)),
        "calibration error, cross entropy": (
            lambda: fl.metrics.expected_calibration_error(logits, labels),
            lambda: ce(logits, labels),
        ),
        "four temperatures, four reports": (
            lambda: swept(logits, labels),
            lambda: [fl.evaluate({"ce": ce}, logits / np.float32(t), labels) for t in TEMPERATURES],
        ),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the median is taken (default: 7)")
    options = parser.parse_args()
    for name, (first, second) in cases().items():
        with fl.num_threads(1):
            took = medians({"first": first, "second": second}, options.rounds)
        first_time, second_time = took["first"] * 1e3, took["second"] * 1e3
        ratio = first_time / second_time
        print(f"{name:34} {first_time:7.1f} ms, {second_time:7.1f} ms, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
