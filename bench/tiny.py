"""Times tiny calls on one thread, where Python takes most of the time: python -m bench.tiny [CALL COUNT].

Without arguments it prints the least time of 15 rounds of 2000 calls, in microseconds. With them it makes COUNT calls
of one kind, for `valgrind --tool=callgrind`: the difference between two counts is free of the start-up. To compare two
commits, install each into a folder of its own and alternate with PYTHONPATH.
"""

import sys
import timeit

import numpy as np

import fastloss as fl

rng = np.random.default_rng(0)
X = rng.standard_normal((1, 4, 16, 16), dtype=np.float32)
Y = rng.integers(0, 4, (1, 16, 16))
WEIGHT = rng.random((1, 16, 16), dtype=np.float32)
LOSS, DICE = fl.CrossEntropyLoss(), fl.DiceLoss()
CALLS = {
    "object": lambda: LOSS(X, Y),
    "function": lambda: fl.cross_entropy(X, Y),
    "option": lambda: fl.cross_entropy(X, Y, ignore_index=255),
    "gradient": lambda: LOSS.value_and_grad(X, Y),
    "partial": lambda: LOSS.partial(X, Y),
    "weight": lambda: LOSS(X, Y, pixel_weight=WEIGHT),
    "dice": lambda: DICE(X, Y),
    "dice-gradient": lambda: DICE.value_and_grad(X, Y),
    "element": lambda: fl.mse_loss(X, X),
}


def torch_calls():
    import torch

    torch.set_num_threads(1)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    with_grad = x.clone().requires_grad_()

    def backward():
        with_grad.grad = None
        torch.nn.functional.cross_entropy(with_grad, y).backward()

    return {"torch": lambda: torch.nn.functional.cross_entropy(x, y), "torch-gradient": backward}


def main(arguments):
    fl.set_num_threads(1)
    if arguments:
        name, count = arguments
        for _ in range(int(count)):
            CALLS[name]()
        return
    for name, call in (CALLS | torch_calls()).items():
        call()
        print(f"{name:14} {min(timeit.repeat(call, number=2000, repeat=15)) / 2000 * 1e6:6.1f} us")


if __name__ == "__main__":
    main(sys.argv[1:])
