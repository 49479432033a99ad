"""Speed of every loss, forward and value with gradient: python -m bench.losses [--threads N] [--rounds N] [name ...].

8x19x512x512 float32 for each: labels where a loss takes them, else an array of the input's shape.
Then tiny calls, (1, 4, 16, 16), where the time is that of Python; torch's, too. `--tiny`: these alone.
"""

import argparse
import timeit

import numpy as np

import fastloss as fl
from bench.timing import medians
from fastloss.losses import LOSSES

SHAPE = (8, 19, 512, 512)


def arguments(loss, rng):
    """Probabilities, which are logits as well, and a target."""
    x = rng.random(SHAPE, np.float32)
    labels = rng.integers(0, SHAPE[1], (SHAPE[0], *SHAPE[2:]))
    return x, x[::-1] if loss.kind == "element" else labels


def jobs(loss, rng, out):
    x, y = arguments(loss, rng)
    return {"forward": lambda: loss(x, y), "value+grad": lambda: loss.value_and_grad(x, y, out=out)}


def whole_pictures(names, rounds):
    rng = np.random.default_rng(0)
    out = np.empty(SHAPE, np.float32)
    print(f"{SHAPE} float32, {fl.get_num_threads()} threads: ms, medians of {rounds} rounds")
    for name in names:
        took = medians(jobs(LOSSES[name](), rng, out), rounds)
        print(f"  {name:34}" + "".join(f" {job} {s * 1e3:8.1f} ms" for job, s in took.items()), flush=True)


def tiny():
    x, y, loss = np.zeros((1, 4, 16, 16), np.float32), np.zeros((1, 16, 16), int), fl.CrossEntropyLoss()
    dense, out = np.ones_like(x), np.empty_like(x)
    jobs = {
        "fl.cross_entropy": lambda: fl.cross_entropy(x, y),
        "its object": lambda: loss(x, y),
        "its value_and_grad": lambda: loss.value_and_grad(x, y, out=out),
        "fl.dice_loss": lambda: fl.dice_loss(x, y),
        "fl.mse_loss": lambda: fl.mse_loss(x, dense),
    }
    try:
        import torch
        from torch.nn import functional

        tx, ty, td, leaf = (torch.from_numpy(a) for a in (x, y, dense, x))
        leaf.requires_grad_()
        jobs["torch cross_entropy"] = lambda: functional.cross_entropy(tx, ty)
        jobs["torch, with backward"] = lambda: torch.autograd.grad(functional.cross_entropy(leaf, ty), leaf)
        jobs["torch mse_loss"] = lambda: functional.mse_loss(tx, td)
    except ImportError as error:
        print(f"torch is left out: {error}")
    print(f"\n{x.shape}: microseconds, the least of 200 times 50 calls")
    for name, job in jobs.items():
        print(f"  {name:20} {min(timeit.repeat(job, number=50, repeat=200)) / 50 * 1e6:6.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(LOSSES)}; all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    fl.set_num_threads(options.threads)
    if not options.tiny:
        whole_pictures(options.names or LOSSES, options.rounds)
    tiny()


if __name__ == "__main__":
    main()
