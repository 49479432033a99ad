"""Compares many small samples with torch, and Fortran order with C order, on one thread: python -m bench.samples.

Each line shows medians of a run in which the jobs take turns (`--rounds N`). In torch, the Dice loss is made of
softmax, one_hot and sums. There are two goals. However small the samples are, fastloss is no slower than torch. No
layout takes more than five times as long as C order.
"""

import argparse

import numpy as np
import torch

import fastloss as fl
from bench.timing import medians

SAMPLES = [(200_000, 2, 1), (100_000, 4, 4), (20_000, 5, 16), (2_000, 5, 256)]
ARRAYS = [(3000, 3000), (64, 512, 512), (8, 1, 1024, 1024), (200, 200, 200), (100_000, 30)]


def torch_dice(x, y, smooth=1e-5):
    p = torch.softmax(x, 1)
    t = torch.nn.functional.one_hot(y, x.shape[1]).movedim(-1, 1).to(p.dtype)
    overlap, sizes = (p * t).sum(2), p.sum(2) + t.sum(2)
    return (1 - (2 * overlap + smooth) / (sizes + smooth)).mean()


def torch_gradient(x, y):
    x.grad = None
    torch_dice(x, y).backward()


def samples(shape, rounds):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape, np.float32), rng.integers(0, shape[1], (shape[0], *shape[2:]))
    tensor, labels = torch.from_numpy(x), torch.from_numpy(y)
    leaf, loss = tensor.clone().requires_grad_(), fl.DiceLoss()
    with torch.no_grad():
        assert abs(loss(x, y) - float(torch_dice(tensor, labels))) < 1e-5
    took = medians(
        {
            "value": lambda: loss(x, y),
            "torch": lambda: float(torch_dice(tensor, labels)),
            "value and gradient": lambda: loss.value_and_grad(x, y),
            "torch backward": lambda: torch_gradient(leaf, labels),
            "batch=True": lambda: fl.dice_loss(x, y, batch=True),
            "evaluate": lambda: fl.evaluate({"dice": loss}, x, y),
        },
        rounds,
    )
    text = "  ".join(f"{job} {s * 1e3:.1f} ms" for job, s in took.items())
    ratios = took["torch"] / took["value"], took["torch backward"] / took["value and gradient"]
    print(f"{shape!s:20} {text}   {ratios[0]:.1f} and {ratios[1]:.1f} x torch", flush=True)


def layouts(shape, rounds):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, *shape), np.float32)
    turned = np.asfortranarray(x), np.asfortranarray(y)
    for loss in (fl.MSELoss(), fl.BCEWithLogitsLoss()):
        took = medians(
            {
                "C": lambda loss=loss: loss(x, y),
                "F": lambda loss=loss: loss(*turned),
                "C, gradient": lambda loss=loss: loss.value_and_grad(x, y),
                "F, gradient": lambda loss=loss: loss.value_and_grad(*turned),
            },
            rounds,
        )
        text = "  ".join(f"{job} {s / x.size * 1e9:.2f}" for job, s in took.items())
        ratios = took["F"] / took["C"], took["F, gradient"] / took["C, gradient"]
        print(
            f"{shape!s:20} {loss!r:20} ns per element: {text}   F over C {ratios[0]:.1f} and {ratios[1]:.1f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of which the median is taken (default: 9)")
    rounds = parser.parse_args().rounds
    fl.set_num_threads(1)
    torch.set_num_threads(1)
    for shape in SAMPLES:
        samples(shape, rounds)
    for shape in ARRAYS:
        layouts(shape, rounds)


if __name__ == "__main__":
    main()
