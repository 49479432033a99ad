"""Many losses in one pass over the data: `evaluate`, and the `Report` that merges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from . import _backend, _exact
from ._backend import Mode
from ._batch import Array, Batch, as_input, class_batch, element_batch
from .losses.base import Loss, MapsLoss
from .losses.compose import check_targets
from .losses.partial import Partial


class Report(Mapping[str, float]):
    """What `evaluate` returns: each loss over all data so far, and by image and by class.

    `report[name]` is the loss of all images together, from merged sums (not a mean of the images' values);
    `report.per_image[name]` has one value an image, its own loss; `report.per_class[name]` one a class: a region loss's
    value of that class; a pixel loss's mean over the pixels that carry the class as label (nan for a dense target); nan
    where there is nothing. `a + b` and `Report.sum(many)` merge reports of the same losses.
    """

    def __init__(
        self,
        losses: Mapping[str, Loss],
        classes: int,
        images: int,
        numbers: dict[str, Array],
        class_numbers: dict[str, list[Array]],
        per_image: dict[str, Array],
    ) -> None:
        self.losses, self.classes, self.images = dict(losses), classes, images
        self._numbers, self._class_numbers, self.per_image = numbers, class_numbers, per_image

    def __getitem__(self, name: str) -> float:
        return self.losses[name].total(self._numbers[name][0], self.classes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.losses)

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def per_class(self) -> dict[str, Array]:
        return {name: _per_class(loss, self._class_numbers[name], self.classes) for name, loss in self.losses.items()}

    def partial(self, name: str) -> Partial:
        """The mergeable sums of one of the losses."""
        return Partial(repr(self.losses[name]), self.classes, self.images, self._numbers[name])

    def __repr__(self) -> str:
        values = ", ".join(f"{name}: {value:.6g}" for name, value in self.items())
        return f"<Report of {self.images} images, {self.classes} classes: {values}>"

    def __add__(self, other: Report) -> Report:
        return self.sum([self, other]) if isinstance(other, Report) else NotImplemented

    def __radd__(self, other: object) -> Report:
        return self if other == 0 else NotImplemented

    @staticmethod
    def sum(reports: Iterable[Report]) -> Report:
        """The report of all images of `reports`, in their order."""
        many = list(reports)
        if not many:
            raise ValueError("reports: expected at least one, got none")
        first = many[0]
        for r in many:
            if not isinstance(r, Report):
                raise TypeError(f"reports: expected Reports, got {type(r).__name__}")
        for r in many:
            if (r.losses, r.classes) != (first.losses, first.classes):
                raise ValueError(f"reports: expected the same losses and classes in all, got {first!r} and {r!r}")
        return Report(
            first.losses,
            first.classes,
            sum(r.images for r in many),
            {k: _exact.exact_sum(r._numbers[k] for r in many) for k in first},
            {k: [_exact.exact_sum(n) for n in zip(*(r._class_numbers[k] for r in many), strict=True)] for k in first},
            {k: np.concatenate([r.per_image[k] for r in many]) for k in first},
        )


def _per_class(loss: Loss, numbers: list[Array], classes: int) -> Array:
    parts = zip(loss.leaves(), numbers, strict=True)
    values = [w * p.class_total(n[0], classes) for (w, p), n in parts]
    total: Array = np.sum(values, axis=0)
    return total


def evaluate(losses: Mapping[str, Loss], input: Any, target: Any, /, *, pixel_weight: Any = None) -> Report:
    """Many losses over the same data in one pass: they share the softmax, the sums and the labels.

    Parameters
    ----------
    losses : mapping of name to loss
        Each of reduction "mean" or "sum".
    input, target, pixel_weight
        As the losses take them; `input` of shape `(N, C, *S)`.

    Returns a `Report`: values over all data, by image and by class; reports add up.

    >>> import fastloss as fl
    >>> x, y = [[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]]
    >>> report = fl.evaluate({"ce": fl.CrossEntropyLoss(), "dice": fl.DiceLoss()}, x, y)
    >>> report["ce"], report.per_class["ce"]
    (0.22009483, array([0.12692801, 0.31326169]))
    """
    if not isinstance(losses, Mapping):
        raise TypeError(f"losses: expected a mapping of names to losses, got {type(losses).__name__}")
    if not losses:
        raise ValueError("losses: expected at least one, got none")
    for name, loss in losses.items():
        if not isinstance(loss, Loss):
            raise TypeError(f"losses: expected a loss for {name!r}, got {type(loss).__name__}")
        if loss.reduction == "none":
            raise ValueError(f"losses: expected reduction 'mean' or 'sum' for {name!r}, got {loss!r}")
    passes: dict[Any, list[str]] = {}
    for name, loss in losses.items():
        passes.setdefault((loss.axis, loss.ignore_index, loss.map_maker()), []).append(name)
    keys = _merge_keys(passes)
    done = [_one_pass({n: losses[n] for n in names}, input, target, pixel_weight, key) for key, names in keys.items()]
    first = done[0]
    order = list(losses)
    collected = [
        {k: v for r in done for k, v in getattr(r, field).items()}
        for field in ("_numbers", "_class_numbers", "per_image")
    ]
    return Report(losses, first.classes, first.images, *({k: c[k] for k in order} for c in collected))


def _merge_keys(passes: dict[Any, list[str]]) -> dict[Any, list[str]]:
    """Losses that leave axis, ignore_index or distance maps open (None) join the first pass that suits them."""
    merged: dict[Any, list[str]] = {}
    for key in sorted(passes, key=lambda k: k.count(None)):
        suits = (k for k in merged if all(own in (None, other) for own, other in zip(key, k, strict=True)))
        merged.setdefault(next(suits, key), []).extend(passes[key])
    return merged


def _one_pass(
    losses: dict[str, Loss],
    input: Any,
    target: Any,
    pixel_weight: Any,
    key: tuple[int | None, int | None, MapsLoss | None],
) -> Report:
    axis, ignore, maker = 1 if key[0] is None else key[0], key[1], key[2]
    batch = _batch(list(losses.values()), input, target, pixel_weight, axis, ignore)
    if maker is not None:
        batch = batch._replace(maps=maker.make_maps(batch))
    leaves = [p for loss in losses.values() for _, p in loss.leaves()]
    check_targets(batch, leaves)
    terms = tuple(dict.fromkeys(t for p in leaves for t in p.terms()))
    sums = _backend.run(batch, terms, Mode.FORWARD | Mode.BY_CLASS, by_sample=True)

    def own(loss: Loss) -> list[Array]:
        return [sums[terms.index(t)] for t in loss.terms()]

    rows = {name: loss.rows(own(loss)) for name, loss in losses.items()}
    return Report(
        losses,
        batch.classes,
        batch.samples,
        {name: _exact.exact_sum([r]) for name, r in rows.items()},
        {name: [_exact.exact_sum([p.class_rows(own(p))]) for _, p in loss.leaves()] for name, loss in losses.items()},
        {name: np.array([loss.total(r, batch.classes) for r in rows[name]]) for name, loss in losses.items()},
    )


def _batch(losses: list[Loss], input: Any, target: Any, weight: Any, axis: int, ignore: int | None) -> Batch:
    if all(loss.kind == "element" for loss in losses):
        x = as_input(input)
        return element_batch(x, target, weight, axis=axis if x.ndim > 1 else None, by_sample=True)
    binary = all(loss.takes_binary for loss in losses)
    return class_batch(input, target, weight, axis=axis, ignore_index=-100 if ignore is None else ignore, binary=binary)
