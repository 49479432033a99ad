"""Compares the counts of hard metrics with NumPy and with cross entropy: python -m bench.metrics [--rounds N].

Each line shows medians over the rounds, in which the jobs take turns, and their ratio. The first lines are 83 labels of
7.1 million voxels from two label maps, as in a brain atlas; the goal is less than 50 ms on two threads, and
numpy.bincount of the pairs is the peer. The others are counts from scores against the value of a loss on the same
arrays; the goal is at most 1.2 times cross entropy's time.
"""

import argparse

import numpy as np

import fastloss as fl
from bench.timing import medians

VOXELS, LABELS = (192, 192, 192), 83


def label_maps(dtype):
    rng = np.random.default_rng(0)
    atlas = np.kron(rng.integers(0, LABELS, [n // 8 for n in VOXELS]), np.ones((8, 8, 8), int))
    wrong = rng.random(VOXELS) < 0.05
    prediction = np.where(wrong, rng.integers(0, LABELS, VOXELS), atlas)
    return prediction.astype(dtype)[None], atlas.astype(dtype)[None]


def bincount(prediction, target):
    pairs = target.ravel().astype(np.int64) * LABELS + prediction.ravel()
    return np.bincount(pairs, minlength=LABELS * LABELS)


def of_label_maps(dtype):
    x, y = label_maps(dtype)
    return {
        "iou": lambda: fl.metrics.iou(x, y, num_classes=LABELS),
        "confusion_matrix": lambda: fl.metrics.confusion_matrix(x, y, num_classes=LABELS),
        "bincount": lambda: bincount(x, y),
    }


def of_scores(shape, dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    y = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    return {
        "iou": lambda: fl.metrics.iou(x, y),
        "confusion_matrix": lambda: fl.metrics.confusion_matrix(x, y),
        "cross_entropy": lambda: fl.cross_entropy(x, y),
    }


def of_channels(shape):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    y = (rng.random(shape) < 0.5).astype(np.float32)
    return {
        "iou of channels": lambda: fl.metrics.iou(x, y, activation="sigmoid"),
        "binary_cross_entropy_with_logits": lambda: fl.binary_cross_entropy_with_logits(x, y),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the median is taken (default: 7)")
    options = parser.parse_args()
    cases = {f"{LABELS} labels, {np.dtype(dtype)}": of_label_maps(dtype) for dtype in (np.uint8, np.int64)}
    for shape in ((4, 19, 512, 512), (8, 2, 1024, 1024), (4, 150, 256, 256)):
        for dtype in (np.float32, np.float16):
            cases[f"{shape} {np.dtype(dtype)}"] = of_scores(shape, dtype)
    cases["(4, 19, 512, 512) channels"] = of_channels((4, 19, 512, 512))
    for name, jobs in cases.items():
        for threads in (1, 2):
            with fl.num_threads(threads):
                took = medians(jobs, options.rounds)
            *own, peer = took
            for job in own:
                own_time, other = took[job] * 1e3, took[peer] * 1e3
                text = f"{job:16} {own_time:7.1f} ms, {peer} {other:7.1f} ms, ratio {own_time / other:.2f}"
                print(f"{name:28} {threads} thread(s): {text}", flush=True)


if __name__ == "__main__":
    main()
