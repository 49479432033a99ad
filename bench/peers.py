"""Holds the same losses in other libraries: the functions of a family's arrays, and how to call them.

A library that is not installed is left out, and `load` returns the reason. Before anything is timed, `check` compares
every peer's value with ours.
"""

import importlib.util
import os
import pathlib
import sys

import numpy as np

import fastloss as fl
from bench.families import BY_NAME, Data

AGREE = 0.01  # relative; smp sums Dice and Tversky over the batch, whereas fastloss and MONAI sum over each sample


# ---- the losses: one function of the arrays for each family


def torch_losses():
    import torch
    from torch.nn import functional as F

    def one_hot(x, y):
        return F.one_hot(y, x.shape[1]).movedim(-1, 1)

    def focal(x, y):
        log_p = F.log_softmax(x, 1).gather(1, y[:, None])[:, 0]
        return (-((1 - log_p.exp()) ** 2) * log_p).mean()

    def tversky(x, y, alpha, beta):
        p, t = x.softmax(1), one_hot(x, y)
        axes = tuple(range(2, x.ndim))
        inter, a, b = (p * t).sum(axes), p.sum(axes), t.sum(axes)
        return (1 - (inter + 1e-5) / (inter + alpha * (a - inter) + beta * (b - inter) + 1e-5)).mean()

    def dice(x, y):
        return tversky(x, y, 0.5, 0.5)

    return {
        "cross entropy": F.cross_entropy,
        "cross entropy, dense": F.cross_entropy,
        "focal": focal,
        "BCE with logits": F.binary_cross_entropy_with_logits,
        "Dice": dice,
        "Dice + CE": lambda x, y: dice(x, y) + F.cross_entropy(x, y),
        "Tversky": lambda x, y: tversky(x, y, 0.3, 0.7),
        "MSE": F.mse_loss,
        "Huber": F.huber_loss,
        "log-sum-exp": lambda x: torch.logsumexp(x, 1),
        "softmax": lambda x: torch.softmax(x, 1),
    }


def compiled_losses():
    import torch

    return {name: torch.compile(function, dynamic=False) for name, function in torch_losses().items()}


def monai_losses():
    from monai.losses import DiceCELoss, DiceLoss, FocalLoss, TverskyLoss

    labels = {"softmax": True, "to_onehot_y": True}
    dice, both = DiceLoss(**labels), DiceCELoss(**labels)
    tversky = TverskyLoss(**labels, alpha=0.3, beta=0.7)
    focal = FocalLoss(use_softmax=True, to_onehot_y=True)
    return {
        "focal": lambda x, y: x.shape[1] * focal(x, y[:, None]),  # MONAI's mean is also over the classes
        "Dice": lambda x, y: dice(x, y[:, None]),
        "Dice + CE": lambda x, y: both(x, y[:, None]),
        "Tversky": lambda x, y: tversky(x, y[:, None]),
    }


def smp_losses():
    """Import only smp's folder of losses, because the whole package needs the libraries of its models."""
    found = importlib.util.find_spec("segmentation_models_pytorch")
    if found is None:
        raise ImportError("No module named 'segmentation_models_pytorch'")
    folder = pathlib.Path(found.submodule_search_locations[0]) / "losses"
    spec = importlib.util.spec_from_file_location(
        "smp_losses", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    sys.modules["smp_losses"] = smp = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(smp)
    dice, ce = smp.DiceLoss("multiclass", smooth=1e-5), smp.SoftCrossEntropyLoss(smooth_factor=0.0)
    return {
        "cross entropy": ce,
        "BCE with logits": smp.SoftBCEWithLogitsLoss(),
        "Dice": dice,
        "Dice + CE": lambda x, y: dice(x, y) + ce(x, y),
        "Tversky": smp.TverskyLoss("multiclass", smooth=1e-5, alpha=0.3, beta=0.7),
    }


def optax_losses():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # otherwise XLA logs how long it takes to compile
    import jax
    import optax

    return {
        "cross entropy": lambda x, y: optax.softmax_cross_entropy_with_integer_labels(x, y, axis=1).mean(),
        "cross entropy, dense": lambda x, y: optax.softmax_cross_entropy(x, y, axis=1).mean(),
        "BCE with logits": lambda x, y: optax.sigmoid_binary_cross_entropy(x, y).mean(),
        "MSE": lambda x, y: optax.squared_error(x, y).mean(),
        "Huber": lambda x, y: optax.huber_loss(x, y).mean(),
        "log-sum-exp": lambda x: jax.nn.logsumexp(x, 1),
        "softmax": lambda x: jax.nn.softmax(x, 1),
    }


def scipy_losses():
    from scipy import ndimage, special

    return {
        "log-sum-exp": lambda x: special.logsumexp(x, axis=1),
        "softmax": lambda x: special.softmax(x, axis=1),
        "distance transform": ndimage.distance_transform_edt,
    }


def edt_losses():
    import edt

    return {"distance transform": lambda mask: edt.edt(mask, parallel=fl.get_num_threads())}


def our_numpy():
    return {name: family.ours for name, family in BY_NAME.items()}


# ---- the jobs: how the functions are called


def torch_jobs(function, arrays):
    import torch

    tensors = [torch.from_numpy(a) for a in arrays]
    leaf = tensors[0].detach().requires_grad_()

    def forward():
        with torch.no_grad():
            return function(*tensors)

    def backward():
        leaf.grad = None
        function(leaf, *tensors[1:]).backward()

    return {"forward": forward} | ({"value+grad": backward} if len(arrays) > 1 else {})


def jax_jobs(function, arrays):
    import jax

    here = [jax.numpy.asarray(a) for a in arrays]
    forward, both = jax.jit(function), jax.jit(jax.value_and_grad(function))
    jobs = {"forward": lambda: jax.block_until_ready(forward(*here))}
    return jobs | ({"value+grad": lambda: jax.block_until_ready(both(*here))} if len(arrays) > 1 else {})


def numpy_jobs(function, arrays):
    return {"forward": lambda: function(*arrays)}


def our_numpy_jobs(loss, arrays):
    def run(method):
        with fl.backend("numpy"):
            return method(*arrays)

    jobs = {"forward": lambda: run(loss)}
    return jobs | ({"value+grad": lambda: run(loss.value_and_grad)} if hasattr(loss, "value_and_grad") else {})


# name: (the peer's functions, how they are called)
PEERS = {
    "torch": (torch_losses, torch_jobs),
    "torch.compile": (compiled_losses, torch_jobs),
    "MONAI": (monai_losses, torch_jobs),
    "smp": (smp_losses, torch_jobs),
    "optax": (optax_losses, jax_jobs),
    "edt": (edt_losses, numpy_jobs),
    "scipy": (scipy_losses, numpy_jobs),
    "our NumPy": (our_numpy, our_numpy_jobs),
}
PARALLEL = ("torch", "torch.compile", "MONAI", "smp", "optax", "edt")
SLOW_TO_START = ("torch.compile", "optax")  # they compile every loss
SERIAL = ("scipy", "our NumPy")  # always on one thread


class Peer:
    def __init__(self, losses, call):
        self.losses, self.call = losses, call

    def jobs(self, family, arrays):
        """Return the jobs of a family, or none if the library has no such loss."""
        return self.call(self.losses[family], arrays) if family in self.losses else {}


def load():
    """Return the installed peers by name, and why the others are left out."""
    peers, left_out = {}, {}
    for name, (losses, call) in PEERS.items():
        try:
            peers[name] = Peer(losses(), call)
        except ImportError as error:
            left_out[name] = str(error)
    return peers, left_out


def set_threads(n):
    """Set the threads of fastloss and torch. torch.compile compiles again afterwards; jax always uses all CPUs."""
    fl.set_num_threads(n)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(n)
    torch.compiler.reset()
    torch._inductor.config.cpp.threads = n


def check(peers):
    """Check that every peer computes our value, except torch.compile, which is slow and computes what torch does."""
    data = Data((2, 19, 64, 64))
    for name, peer in peers.items():
        for family in peer.losses if name != "torch.compile" else ():
            arrays = data.arrays(BY_NAME[family])
            theirs, ours = peer.jobs(family, arrays)["forward"](), BY_NAME[family].ours(*arrays)
            assert np.allclose(np.asarray(theirs), np.asarray(ours), rtol=AGREE), f"{family}: {name} differs from us"
