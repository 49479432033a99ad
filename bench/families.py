"""Defines the measured families of losses and their inputs. The same losses of other libraries are in peers.py."""

from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

import fastloss as fl
from fastloss.losses import LOSSES


class Family(NamedTuple):
    """A loss or a function, and the names of the `Data` arrays that it takes."""

    name: str
    ours: Any
    inputs: tuple[str, ...] = ("logits", "labels")


# Commits before them can still be compared by bench.compare.
NEWER = {"Lovasz": "LovaszSoftmaxLoss", "top-k": "TopKLoss"}

FAMILIES = (
    Family("cross entropy", fl.CrossEntropyLoss()),
    Family("cross entropy, dense", fl.CrossEntropyLoss(), ("logits", "dense")),
    Family("focal", fl.FocalLoss()),
    Family("BCE with logits", fl.BCEWithLogitsLoss(), ("logits", "dense")),
    Family("Dice", fl.DiceLoss()),
    Family("Dice + CE", fl.DiceLoss() + fl.CrossEntropyLoss()),
    Family("Tversky", fl.TverskyLoss(alpha=0.3, beta=0.7)),
    *(Family(name, getattr(fl, loss)()) for name, loss in NEWER.items() if hasattr(fl, loss)),
    Family("MSE", fl.MSELoss(), ("logits", "dense")),
    Family("Huber", fl.HuberLoss(), ("logits", "dense")),
    Family("log-sum-exp", partial(fl.logsumexp, axis=1), ("logits",)),
    Family("softmax", partial(fl.softmax, axis=1), ("logits",)),
    Family("distance transform", fl.distance_transform, ("mask",)),
)
# Forms of Dice for which the kernels have other loops. Only bench.compare measures them.
FORMS = (
    Family("Dice, dense", fl.DiceLoss(), ("logits", "dense")),
    Family("Dice, sigmoid", fl.DiceLoss(activation="sigmoid"), ("logits", "dense")),
    Family("Dice, squares", fl.DiceLoss(squared=True)),
    Family("Dice, class 0 ignored", fl.DiceLoss(ignore_index=0)),
)
BY_NAME = {family.name: family for family in FAMILIES}
TWO = ("cross entropy", "Dice")  # a pixel loss and a region loss, for the sweeps


def every_loss():
    """Return one family per loss of the catalogue. The inputs are probabilities, which also serve as logits."""
    return [
        Family(name, loss := cls(), ("dense", "other" if loss.kind == "element" else "labels"))
        for name, cls in LOSSES.items()
    ]


class Data:
    """The inputs of one shape, each made on first use. fastloss writes its gradients to `out`."""

    def __init__(self, shape, dtype="float32", labels="int64"):
        self.shape, self.dtype, self.label_dtype = shape, np.dtype(dtype), labels

    @cached_property
    def logits(self):
        if self.dtype == np.float32:  # needs no second array; the largest takes 2 GB
            x = np.random.default_rng(0).standard_normal(self.shape, dtype=np.float32)
            x *= 3
            return x
        return Data(self.shape).logits.astype(self.dtype)

    @cached_property
    def dense(self):
        return np.random.default_rng(1).random(self.shape, np.float32).astype(self.dtype, copy=False)

    @cached_property
    def other(self):
        return self.dense[::-1]

    @cached_property
    def labels(self):
        shape = (self.shape[0], *self.shape[2:])
        return np.random.default_rng(2).integers(0, min(self.shape[1], 256), shape, self.label_dtype)

    @cached_property
    def mask(self):
        """A volume that contains balls of many sizes and has as many voxels as the labels."""
        shape = (self.shape[0] * 8, self.shape[2], self.shape[3] // 8)
        grid = np.ogrid[tuple(slice(0, n) for n in shape)]
        return sum(np.cos(g / k) for g, k in zip(grid, (3.0, 11.0, 7.0), strict=True)) > -0.5

    @cached_property
    def out(self):
        return np.zeros(self.shape, self.dtype)

    def arrays(self, family):
        return tuple(getattr(self, name) for name in family.inputs)


class Variant(NamedTuple):
    """A row of a section's table."""

    row: str
    family: str  # the name of the loss in peers.py
    loss: object
    arrays: tuple
    out: np.ndarray

    @classmethod
    def of(cls, family, data, row=None):
        return cls(row or family.name, family.name, family.ours, data.arrays(family), data.out)


def our_jobs(loss, arrays, out):
    """Return the jobs of a loss: the value, and also the value with the gradient if the loss has a gradient."""
    jobs = {"forward": lambda: loss(*arrays)}
    if hasattr(loss, "value_and_grad"):
        jobs["value+grad"] = lambda: loss.value_and_grad(*arrays, out=out)
    return jobs


def bytes_moved(loss, arrays):
    """Return how many bytes a job moves at least, with every array once, and how many of these it writes."""
    read = sum(a.nbytes for a in arrays)
    written = {"forward": getattr(loss(*arrays), "nbytes", 0)}
    if hasattr(loss, "value_and_grad"):
        written["value+grad"] = arrays[0].nbytes
    return {job: read + n for job, n in written.items()}, written
