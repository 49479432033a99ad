"""Speed of every loss, forward and value with gradient: python -m bench.losses [--threads N] [--rounds N] [name ...].

8x19x512x512 float32 for each: labels where a loss takes them, else an array of the input's shape.
Then a tiny call, (1, 4, 16, 16), where the time is that of Python: the function, the object, and torch's function.
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
    jobs = {"fl.cross_entropy": lambda: fl.cross_entropy(x, y), "its object": lambda: loss(x, y)}
    try:
        import torch

        tx, ty = torch.from_numpy(x), torch.from_numpy(y)
        jobs["torch"] = lambda: torch.nn.functional.cross_entropy(tx, ty)
    except ImportError as error:
        print(f"torch is left out: {error}")
    print(f"\n{x.shape} cross entropy: microseconds, the least of 5 times 5000 calls")
    for name, job in jobs.items():
        print(f"  {name:20} {min(timeit.repeat(job, number=5000, repeat=5)) / 5000 * 1e6:6.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(LOSSES)}; all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    fl.set_num_threads(options.threads)
    whole_pictures(options.names or LOSSES, options.rounds)
    tiny()


if __name__ == "__main__":
    main()
