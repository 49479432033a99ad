"""Speed against torch eager, MONAI, smp and memory, alternating in one run: `make bench`, or python -m bench [--quick].

Every line is a ratio of medians: how many times faster fastloss is than the peer on the same arrays with the same
threads. Peers that are not installed are left out and said so. `--json FILE` keeps all times.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

import numpy as np

import fastloss as fl
from bench.timing import medians

SHAPE = (16, 19, 512, 512)


def torch_jobs(x, y, threads):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    leaf = torch.from_numpy(x).requires_grad_()

    def forward(loss):
        def run():
            with torch.no_grad():
                return loss(tx, ty)

        return run

    def backward(loss):
        def run():
            leaf.grad = None
            loss(leaf, ty).backward()

        return run

    def dice(a, b):
        p = a.softmax(1)
        t = F.one_hot(b, a.shape[1]).movedim(-1, 1)
        axes = tuple(range(2, a.ndim))
        return (1 - (2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)).mean()

    peers = {"torch cross_entropy": F.cross_entropy, "torch dice": dice}
    try:
        from monai.losses import DiceCELoss, DiceLoss

        monai_dice, monai_both = DiceLoss(softmax=True, to_onehot_y=True), DiceCELoss(softmax=True, to_onehot_y=True)
        peers["monai dice"] = lambda a, b: monai_dice(a, b[:, None])
        peers["monai dice+ce"] = lambda a, b: monai_both(a, b[:, None])
    except ImportError as error:
        print(f"MONAI is left out: {error}")
    jobs = {f"{name} forward": forward(loss) for name, loss in peers.items()}
    return jobs | {f"{name} value+grad": backward(loss) for name, loss in peers.items()}


FOUR = {  # of one pass
    "cross_entropy": fl.CrossEntropyLoss(),
    "dice": fl.DiceLoss(),
    "focal": fl.FocalLoss(),
    "tversky": fl.TverskyLoss(alpha=0.3, beta=0.7),
}


def our_jobs(x, y):
    losses = FOUR | {"dice+ce": FOUR["dice"] + FOUR["cross_entropy"]}
    out = np.empty_like(x)
    jobs = {f"{name} forward": (lambda loss=loss: loss(x, y)) for name, loss in losses.items()}
    jobs["evaluate of four"] = lambda: fl.evaluate(FOUR, x, y)
    return jobs | {
        f"{n} value+grad": (lambda loss=loss: loss.value_and_grad(x, y, out=out)) for n, loss in losses.items()
    }


GOALS = {  # (ours, peer): at least so many times as fast (issue: first slice)
    ("cross_entropy forward", "torch cross_entropy forward"): 15,
    ("cross_entropy value+grad", "torch cross_entropy value+grad"): 8,
    ("dice forward", "torch dice forward"): None,
    ("dice value+grad", "torch dice value+grad"): None,
    ("dice forward", "monai dice forward"): 10,
    ("dice value+grad", "monai dice value+grad"): None,
    ("dice+ce forward", "monai dice+ce forward"): None,
    ("dice+ce value+grad", "monai dice+ce value+grad"): None,
}


def levels(quick):
    """Cross entropy forward at each instruction set, in processes of their own, alternating."""
    code = (
        "import numpy as np, time, fastloss as fl\n"
        "x = np.random.default_rng(0).standard_normal((4, 19, 512, 512), dtype=np.float32)\n"
        "y = np.zeros((4, 512, 512), np.int64)\nfl.cross_entropy(x, y)\nt = []\n"
        "for _ in range(7):\n    a = time.perf_counter(); fl.cross_entropy(x, y); t.append(time.perf_counter() - a)\n"
        "print(sorted(t)[3])"
    )
    took = {level: [] for level in ("base", "v3", "v4")}
    for _ in range(1 if quick else 3):
        for level, times in took.items():
            environment = {**os.environ, "FASTLOSS_ISA": level}
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            )
            times.append(float(done.stdout))
    return {level: statistics.median(times) for level, times in took.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the data, fewer rounds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    options = parser.parse_args()
    fl.set_num_threads(options.threads)
    fl.show_config()
    rng = np.random.default_rng(0)
    shape = (4, *SHAPE[1:]) if options.quick else SHAPE
    x = rng.standard_normal(shape, dtype=np.float32) * 3
    y = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    jobs = our_jobs(x, y)
    try:
        jobs |= torch_jobs(x, y, options.threads)
    except ImportError as error:
        print(f"torch is left out: {error}")
    took = medians(jobs, 3 if options.quick else 5)
    print(f"\n{shape} float32, int64 labels, {options.threads} threads: ms (GB/s of logits read + gradient written)")
    for name, s in took.items():
        bytes_moved = x.nbytes * (2 if "grad" in name else 1)
        print(f"  {name:32} {s * 1e3:9.1f} ms {bytes_moved / s / 1e9:7.2f} GB/s")
    print("\ntimes as fast as the peer (goal)")
    ratios = {}
    for (ours, peer), goal in GOALS.items():
        if peer in took:
            ratios[f"{ours} / {peer}"] = took[peer] / took[ours]
            print(f"  {ours:28} vs {peer:32} {took[peer] / took[ours]:6.1f}x  {f'({goal}x)' if goal else ''}")
    dearest = max(took[f"{name} forward"] for name in FOUR)
    ratios["four together / the dearest alone"] = took["evaluate of four"] / dearest
    print(
        f"\n{', '.join(FOUR)} together: {took['evaluate of four'] / dearest:.2f}x the dearest alone (goal: below 1.5x)"
    )
    by_level = levels(options.quick)
    print("\ncross entropy forward by level, times as fast as base")
    for level, s in by_level.items():
        print(
            f"  {level:5} {s * 1e3:8.1f} ms {by_level['base'] / s:6.2f}x"
            + (" (goal: at most 3x)" if level == "v3" else "")
        )
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"config": fl.config(), "seconds": took, "ratios": ratios, "levels": by_level}, file, indent=1)


main()
