"""Measures fastloss.torch and fastloss.jax against the frameworks' own losses: python -m bench.frameworks [THREADS
[ROUNDS]].

All jobs of a table take turns. Before each timed call, a convolution of torch runs, as in a training. So two pools of
threads share the cores. Memory is measured in a process per loss (Linux): how far the peak of loss and backward pass
exceeds the memory in use before, which includes the logits and the labels.
"""

import os
import subprocess
import sys
import time

import numpy as np

import fastloss as fl
from bench.peers import set_threads
from bench.timing import medians

SHAPE = (4, 19, 512, 512)
ROUNDS = 9
MEMORY = ("torch", "fastloss.torch")


def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal(SHAPE, dtype=np.float32), rng.integers(0, SHAPE[1], (SHAPE[0], *SHAPE[2:]))


def step(loss, x, y):
    """Return a job: the loss and its backward pass."""

    def run():
        x.grad = None
        loss(x, y).backward()

    return run


def without_grad(loss, x, y):
    import torch

    def run():
        with torch.no_grad():
            loss(x, y)

    return run


def losses():
    """Return torch's or MONAI's loss and ours by name."""
    import torch
    from monai.losses import DiceCELoss
    from torch.nn import functional as F

    import fastloss.torch as ft

    monai = DiceCELoss(softmax=True, to_onehot_y=True)
    return {
        "cross entropy": (F.cross_entropy, ft.cross_entropy),
        "cross entropy, torch.compile": (
            torch.compile(lambda x, y: F.cross_entropy(x, y), dynamic=False),
            torch.compile(lambda x, y: ft.cross_entropy(x, y), dynamic=False),
        ),
        "Dice + CE (MONAI)": (lambda x, y: monai(x, y[:, None]), ft.DiceCELoss()),
    }


def torch_tables(rounds):
    import torch

    x, y = (torch.from_numpy(a) for a in data())
    x.requires_grad_()
    picture, conv = torch.randn(4, 16, 256, 256), torch.nn.Conv2d(16, 16, 3, padding=1)

    def after_convolution(job, calls):
        total = 0.0
        for _ in range(calls):
            with torch.no_grad():
                conv(picture)
            start = time.perf_counter()
            job()
            total += time.perf_counter() - start
        return total / calls

    for name, (theirs, ours) in losses().items():
        for what, job in (("value", without_grad), ("loss and backward", step)):
            jobs = {"theirs": job(theirs, x, y), "ours": job(ours, x, y)}
            show(f"{name}, {what}", medians(jobs, rounds, clock=after_convolution))


def jax_table(rounds):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # otherwise XLA logs how long it takes to compile
    import jax
    import optax

    import fastloss.jax as fj

    x, y = (jax.numpy.asarray(a) for a in data())
    own = jax.jit(jax.value_and_grad(fj.cross_entropy))
    peer = jax.jit(
        jax.value_and_grad(lambda x, y: optax.softmax_cross_entropy_with_integer_labels(x, y, axis=1).mean())
    )
    np.testing.assert_allclose(own(x, y)[0], peer(x, y)[0], rtol=1e-6)
    jobs = {
        "theirs": lambda: jax.block_until_ready(peer(x, y)),
        "ours": lambda: jax.block_until_ready(own(x, y)),
    }
    show("cross entropy (optax), value and gradient", medians(jobs, rounds))


def show(name, took):
    ratio = took["theirs"] / took["ours"]
    print(f"{name:46} {1e3 * took['theirs']:8.1f} ms {1e3 * took['ours']:8.1f} ms {ratio:6.1f}x", flush=True)


def memory(name):
    """Print how many tensors of logits the peak of loss and backward pass takes."""
    import torch

    import fastloss.torch as ft
    from bench.peak import extra

    loss = torch.nn.functional.cross_entropy if name == "torch" else ft.cross_entropy
    x, y = (torch.from_numpy(a) for a in data())
    step(loss, x[:1, :, :64, :64].clone().requires_grad_(), y[:1, :64, :64])()  # imports, and makes the threads
    used = extra(step(loss, x.requires_grad_(), y))
    print(f"{name:46} {used / 2**20:8.0f} MiB beyond the {x.nbytes / 2**20:.0f} MiB of the logits")


def main(arguments):
    if arguments[:1] == ["memory"]:
        return memory(arguments[1])
    threads = int(arguments[0]) if arguments else fl.get_num_threads()
    rounds = int(arguments[1]) if arguments[1:] else ROUNDS
    set_threads(threads)
    print(f"{SHAPE} float32, int64 labels, {threads} threads (JAX: all cores); theirs, ours, ratio of the medians")
    torch_tables(rounds)
    jax_table(rounds)
    print("peak memory of cross entropy and its backward pass", flush=True)
    for name in MEMORY:
        subprocess.run([sys.executable, "-m", "bench.frameworks", "memory", name], check=True)
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
