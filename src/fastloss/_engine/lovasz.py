"""LovaszLoss: what the two Lovasz losses share. Each adds its errors, in losses/lovasz.py.

The Lovasz extension of the Jaccard index sorts the errors of a class downwards. The weight of a pixel is the amount by
which the index falls at its place, and the loss of the class is the weighted sum of the errors. So the weights are
maps, made by `make_weights`, and the kernel `weighted_region` computes the sums. The kernel `region` computes those
without maps, which tell which classes are present and which images count (Berman et al. 2018, arXiv:1705.08790).
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from .. import _backend
from .._arrays import Array, real_dtype
from .._batch import Batch
from .._faults import first, position
from .._options import choice, freeze
from .._terms import ACTIVATIONS, Term
from .._threads import get_num_threads
from .loss import Loss
from .region import without_warnings

WANTED = (0.0, 1.0)  # the params of a region term: no squares, but W
KINDS = 4  # I, A, B and W: the sums of such a term per group and class


FEW = 1 << 15  # pixels whose sorting takes less time than a thread's start
MOST = 1 << 32  # pixels to be sorted together: a key holds an index in 32 bits


def descending(errors: Array) -> Array:
    """Positive errors from the largest to the smallest, as keys of 64 bits whose lower 32 bits are their indices.

    nan comes first. Equal errors keep their order, so that the result does not depend on the processor. For float32,
    the upper bits are those of the error, and the keys are sorted as integers. NumPy sorts 2**20 of them in 9 ms with
    AVX-512 and in 21 ms with AVX2; a radix sort in C, with digits of 11 bits, takes 20 ms, and `argsort` 165 ms if it
    keeps the order of equal errors. (Intel Sapphire Rapids, one core.)
    """
    if errors.dtype != np.float32:
        return np.argsort(-np.where(np.isnan(errors), np.inf, errors), kind="stable").astype(np.uint64)
    keys = (~errors.view(np.uint32)).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(len(errors), dtype=np.uint64)
    keys.sort()
    return keys


def _each(function: Callable[[int], None], classes: list[int], pixels: int) -> None:
    """Call a function for each class. Large classes share the threads, since NumPy's sort takes only one of them."""
    threads = min(get_num_threads(), len(classes))
    if threads == 1 or pixels < FEW:
        for c in classes:
            function(c)
        return
    with ThreadPoolExecutor(threads) as pool:  # each thread sees the caller's backend and NumPy's error state
        for done in [pool.submit(contextvars.copy_context().run, function, c) for c in classes]:
            done.result()


class LovaszSums(NamedTuple):
    """The sums with maps, the sums of the targets, and those of the weights, each of shape (groups, C)."""

    I: Array
    A: Array
    B: Array
    W: Array
    targets: Array
    weights: Array


class LovaszLoss(Loss):
    """Base of the Lovasz losses: the maps, and the mean over the classes of an image or of a batch."""

    takes_binary = True
    weights_in_mean = False  # the kernel reads the maps by class and pixel

    # ---- what a Lovasz loss defines

    activation: str | None

    def errors(self, x: Array, batch: Batch, images: slice) -> Array:
        """The errors of some images by pixel and class, from a copy of their input of shape (n, C, *S)."""
        raise NotImplementedError

    def class_losses(self, s: LovaszSums) -> Array:
        """The loss of each class, of shape (groups, C). Its derivatives with respect to I and A are -2 and 1."""
        raise NotImplementedError

    def enters(self, s: LovaszSums) -> Array:
        """Whether each class enters the mean, of shape (groups, C)."""
        raise NotImplementedError

    def wanted(self, classes: int) -> list[int]:
        """The classes that may enter the mean."""
        return list(range(classes))

    # ---- the maps

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(self.per_image, "per_image", (True, False))
        freeze(self, per_image=bool(self.per_image))

    def terms(self) -> tuple[Term, ...]:
        activation = ACTIVATIONS.index(self.activation)
        return tuple(Term(name, "region", activation, None, WANTED) for name in ("weighted_region", "region"))

    def by_sample(self) -> bool:
        return self.per_image

    def is_linear(self) -> bool:
        return False

    @without_warnings
    def make_weights(self, batch: Batch) -> Array:
        real = real_dtype(batch.input.dtype)
        maps, counting, wanted = np.zeros(batch.input.shape, real), batch.counting(), self.wanted(batch.classes)
        self._check_target(batch, counting)
        size = 1 if self.per_image else max(1, batch.samples)
        for n in range(0, batch.samples, size):
            images = slice(n, n + size)
            errors = self.errors(batch.input[images].astype(real, order="C"), batch, images)

            def fill(c: int, images: slice = images, errors: Array = errors) -> None:
                target, w = self.target(batch, images, c), batch.weight
                kept = counting[images] if counting.ndim == target.ndim else counting[images, c]
                own = None if w is None else w[images] if w.ndim == target.ndim else w[images, c]
                maps[images, c] = self._falls(errors[:, c], target, kept, own)

            _each(fill, wanted, size * batch.pixels)
        return maps

    @staticmethod
    def _falls(errors: Array, target: Array, kept: Array, weight: Array | None) -> Array:
        """The map of one class. A pixel without an error has a map of 0, and so no gradient."""
        own = target & kept
        total = np.count_nonzero(own) if weight is None else float(weight[own].sum(dtype=np.float64))
        wrong = kept & ~(errors <= 0)
        at: Any = slice(None) if wrong.all() else wrong
        e, y, w = errors[at].reshape(-1), target[at].reshape(-1), None
        if weight is not None:
            w = weight[at].reshape(-1).astype(np.float64)
        if len(e) >= MOST:
            raise ValueError(f"input: expected fewer than {MOST} pixels to sort together, got {len(e)}")
        out = np.empty(len(e), errors.dtype)
        _backend.jaccard_falls(descending(e), y, w, float(total), out)
        falls = np.zeros(errors.shape, errors.dtype)
        falls[at] = out.reshape(falls[at].shape)
        return falls

    @staticmethod
    def target(batch: Batch, images: slice, c: int) -> Array:
        """Which pixels belong to a class, of shape (n, *S)."""
        assert batch.target is not None
        own: Array = batch.target[images] == c + batch.label_base if batch.labels else batch.target[images, c] > 0
        return own

    def _check_target(self, batch: Batch, counting: Array) -> None:
        """Refuse a dense target that is not 0 or 1: the Jaccard index is one of sets."""
        if batch.labels or batch.target is None:
            return
        kept = np.broadcast_to(counting if counting.ndim == batch.input.ndim else counting[:, None], batch.input.shape)

        def bad(y: Array, kept: Array) -> Array:
            wrong: Array = ~((y == 0) | (y == 1)) & kept
            return wrong

        found = first(bad, batch.target, kept)
        if found is not None:
            raise ValueError(
                f"target: expected 0 or 1 in a dense target for {self!r}, got {found[1]} at "
                f"{position(found[0], batch.input.shape)} of shape {batch.input.shape}"
            )

    # ---- the formula

    @staticmethod
    def _sums(sums: Array) -> LovaszSums:
        """The sums of both terms side by side, of shape (groups, 8 C), by kind."""
        I, A, B, W, _, _, targets, weights = map(np.ascontiguousarray, np.split(sums, 2 * KINDS, axis=1))
        return LovaszSums(I, A, B, W, targets, weights)

    @without_warnings
    def _by_class(self, sums: Array) -> tuple[Array, Array, Array]:
        """The loss and the share of each class, (groups, C), and which groups count, (groups,)."""
        s = self._sums(sums)
        enters = self.enters(s) & (s.weights > 0)
        shares = enters / np.maximum(enters.sum(axis=1, keepdims=True), 1)
        counts: Array = s.weights.max(axis=1, initial=0) > 0
        return np.where(enters, self.class_losses(s), 0), shares, counts

    def _values(self, sums: Array) -> Array:
        """The value of each group and whether it counts, (groups, 2)."""
        losses, shares, counts = self._by_class(sums)
        return np.stack([(losses * shares).sum(axis=1), counts], axis=1)

    def partial_of(self, sums: list[Array]) -> Array:
        both = np.concatenate(sums, axis=1)
        return self._values(both) if self.per_image else both

    def partial_size(self, classes: int) -> int:
        return 2 if self.per_image else 2 * KINDS * classes

    def value_of(self, numbers: Array, classes: int) -> float:
        return float(self.values_of(numbers[None], classes)[0])

    @without_warnings
    def values_of(self, rows: Array, classes: int) -> Array:
        value, count = (rows if self.per_image else self._values(rows)).T
        by = 1.0 if self.reduction == "sum" else count
        result: Array = np.where(by == 0, np.nan, value / by)
        return result + 0.0  # no -0.0

    def coefficients(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        rows = np.concatenate(sums, axis=1) if self.per_image else numbers[None]
        _, shares, counts = self._by_class(rows)
        images = float(numbers[1]) if self.per_image and self.reduction == "mean" else 1.0
        shares = shares * (counts[:, None] / max(images, 1.0))
        own = np.broadcast_to(np.concatenate([-2 * shares, shares], axis=1), (len(sums[0]), 2 * shares.shape[1]))
        return [own, np.zeros_like(own)]

    def class_partial_of(self, sums: list[Array]) -> Array:
        losses, shares, _ = self._by_class(np.concatenate(sums, axis=1))
        return np.concatenate([losses, shares > 0], axis=1)

    @without_warnings
    def class_values_of(self, numbers: Array, classes: int) -> Array:
        value, count = numbers.reshape(2, classes)
        by = 1.0 if self.reduction == "sum" else count
        result: Array = np.where(count == 0, np.nan, value / by)
        return result

    def value_map(self, batch: Batch) -> Array:
        sums = self.sums(batch)
        rows = np.concatenate(sums, axis=1) if self.per_image else self.merged(sums)[:1]
        value, count = self._values(rows).T
        out = np.where(count > 0, value, np.nan).astype(real_dtype(batch.input.dtype))
        return out if self.per_image and len(batch.shape) > 1 else out.reshape(())
