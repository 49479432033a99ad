"""Many losses in one pass over the data: `evaluate`, and the mergeable `Report` that it returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from . import _backend
from ._arrays import Array, as_array, as_input
from ._batch import class_batch, element_batch, ignored_labels
from ._engine.exact_sum import exact_sum
from ._engine.loss import Loss, check_targets
from ._engine.partial import Partial
from ._options import labels_option
from ._terms import Mode, Terms


class Report(Mapping[str, float]):
    """The result of `evaluate`: each loss over all data so far, per image and per class.

    `report[name]` is the loss of all images together. It is computed from merged sums and is not a mean of the images'
    values. A report is a mapping, so `dict(report)` holds the values of all losses. `a + b` and `Report.sum(many)`
    merge reports of the same losses. The result has the same bits in any grouping.

    Parameters
    ----------
    losses : mapping of name to loss
        The losses that were computed.
    classes : int
        The number of classes.
    images : int
        The number of images.
    numbers : dict of name to array
        The mergeable sums of each loss; see `partial`.
    class_numbers : dict of name to list of arrays
        The mergeable sums of each loss per class: one array for each summand of the loss.
    per_image : dict of name to array, shape (images,)
        The loss of each image, in the order of the data.

    Attributes
    ----------
    per_class : dict of name to array, shape (classes,)
        The loss of each class. For a region loss, it is the value of the class. For a pixel loss, it is the mean over
        the pixels with that label, or nan if the target is dense. A loss with `reduction="sum"` has sums instead of
        means. A class without a value has nan.

    See Also
    --------
    evaluate : Makes a report.

    Examples
    --------
    >>> import fastloss as fl
    >>> dice, x = {"dice": fl.DiceLoss()}, [[[2.0, 0.0], [0.0, 1.0]]]
    >>> first, second = fl.evaluate(dice, x, [[0, 1]]), fl.evaluate(dice, x, [[1, 1]])
    >>> (first + second).images
    2
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
        return self.losses[name].value_of(self._numbers[name][0], self.classes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.losses)

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def per_class(self) -> dict[str, Array]:
        """Compute the loss of each class.

        Returns
        -------
        dict of name to array, shape (classes,)
            The values; see the attribute `per_class` of `Report`.
        """
        return {name: _per_class(loss, self._class_numbers[name], self.classes) for name, loss in self.losses.items()}

    def partial(self, name: str) -> Partial:
        """Return the mergeable sums of one of the losses.

        Parameters
        ----------
        name : str
            The name of the loss.

        Returns
        -------
        Partial
            The sums. The loss's `finalize` turns them into the value.

        Raises
        ------
        KeyError
            If no loss has this name.
        """
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
        """Merge reports of the same losses.

        Parameters
        ----------
        reports : iterable of Report
            At least one report. All have the same losses and the same number of classes.

        Returns
        -------
        Report
            The report of all images, in the order of the reports.

        Raises
        ------
        TypeError
            If one is not a `Report`.
        ValueError
            If there is no report, or the losses or the numbers of classes differ.
        """
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
            {k: exact_sum(r._numbers[k] for r in many) for k in first},
            {k: [exact_sum(n) for n in zip(*(r._class_numbers[k] for r in many), strict=True)] for k in first},
            {k: np.concatenate([r.per_image[k] for r in many]) for k in first},
        )


def _per_class(loss: Loss, numbers: list[Array], classes: int) -> Array:
    parts = zip(loss.summands(), numbers, strict=True)
    values = [w * p.class_values_of(n[0], classes) for (w, p), n in parts]
    total: Array = np.sum(values, axis=0)
    return total


def evaluate(
    losses: Mapping[str, Loss],
    input: Any,
    target: Any,
    /,
    *,
    pixel_weight: Any = None,
    ignore_index: int | Sequence[int] | None = None,
) -> Report:
    """Compute many losses of the same data in one pass.

    The losses share the softmax, the sums and the labels. The value of a loss does not depend on the other losses in
    the call.

    Parameters
    ----------
    losses : mapping of name to loss
        The losses, each with reduction "mean" or "sum".
    input : array, shape (N, C, *S)
        The input of the losses, of dtype float16, bfloat16, float32 or float64. Its class axis is the option `axis` of
        the losses.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target of the input's shape. Every loss must accept it.
    pixel_weight : array, default None
        The weights of the pixels: each is 0 or from 1e-30 to 1e30. The shape broadcasts to (N, *S); with a dense
        target, it may also broadcast to (N, C, *S). A pixel with weight 0 does not count.
    ignore_index : int or sequence of int, default None
        The label, or labels, whose pixels do not count. It applies to every loss whose own `ignore_index` is the
        default -100. It also applies to element-wise losses, which have no `ignore_index` and take labels {0, 1} for a
        single channel. A loss with another `ignore_index` keeps its own. The report's `losses` show what was computed.

    Returns
    -------
    Report
        The values over all data, per image and per class. Reports of the same losses can be added with `+`.

    Raises
    ------
    LabelError
        If a label is neither a class nor ignored.
    ValueError
        If there is no loss, a loss has reduction "none", a shape does not fit, or the losses differ in the number of
        classes.
    TypeError
        If `losses` is not a mapping of names to losses, or an array has the wrong dtype.

    See Also
    --------
    Loss.partial : The mergeable sums of one loss.

    Examples
    --------
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
    if ignore_index is not None:
        ignore_index = labels_option(ignore_index)
        losses = {name: loss.ignoring(ignore_index) for name, loss in losses.items()}
    ignored = ignored_labels(ignore_index)
    labelled = ignore_index is not None or any(loss.kind == "pixel" for loss in losses.values())
    passes: dict[_Key, list[str]] = {}
    for name, loss in losses.items():
        passes.setdefault(_key(loss, ignored), []).append(name)
    done = [
        _one_pass({n: losses[n] for n in names}, key, input, target, pixel_weight, labelled)
        for key, names in _merge_keys(passes).items()
    ]
    first = done[0]
    if any(r.classes != first.classes for r in done):
        axes = {name: loss.axis for name, loss in losses.items()}
        raise ValueError(
            f"axis: expected one number of classes for all losses, got {[r.classes for r in done]} with axes {axes}"
        )
    order = list(losses)
    collected = [
        {k: v for r in done for k, v in getattr(r, field).items()}
        for field in ("_numbers", "_class_numbers", "per_image")
    ]
    return Report(losses, first.classes, first.images, *({k: c[k] for k in order} for c in collected))


# The losses of one pass share the class axis (None: any), the ignored labels, and the loss that makes weights from the
# data (None: there is none).
_Key = tuple[int | None, tuple[int, ...], Loss | None]


def _key(loss: Loss, ignored: tuple[int, ...]) -> _Key:
    """The key of the pass in which a loss can be computed."""
    axis = loss.element_axis() if loss.kind == "element" else loss.axis
    own = ignored if loss.ignore_index is None else ignored_labels(loss.ignore_index)
    return axis, own, loss.weight_maker()


def _merge_keys(passes: dict[_Key, list[str]]) -> dict[_Key, list[str]]:
    """Merge passes: a loss that does not fix its axis or its weights joins the first compatible pass.

    Weights that count in the mean would change every loss of their pass, so no other loss joins such a pass.
    """
    merged: dict[_Key, list[str]] = {}
    for key in sorted(passes, key=lambda k: k.count(None)):
        axis, ignored, maker = key
        suits = (
            k
            for k in merged
            if axis in (None, k[0])
            and ignored == k[1]
            and (maker == k[2] or (maker is None and k[2] is not None and not k[2].weights_in_mean))
        )
        merged.setdefault(next(suits, key), []).extend(passes[key])
    return merged


def _one_pass(losses: dict[str, Loss], key: _Key, input: Any, target: Any, pixel_weight: Any, labelled: bool) -> Report:
    axis, ignored, maker = key
    if axis is None:  # no loss depends on the axis, but the values per class do
        axis = next((loss.axis for loss in losses.values() if loss.axis is not None), 1)
    x, y = as_input(input), as_array(target, "target")
    if labelled or x.shape != y.shape:
        binary = all(loss.takes_binary for loss in losses.values())
        batch = class_batch(x, y, pixel_weight, axis=axis, ignored=ignored, binary=binary)
    else:
        batch = element_batch(x, y, pixel_weight, axis=axis if x.ndim > 1 else None, by_sample=True)
    if maker is not None:
        batch = maker.weigh(batch)
    summands = [p for loss in losses.values() for _, p in loss.summands()]
    check_targets(batch, summands)
    terms = Terms(dict.fromkeys(t for p in summands for t in p.terms()))
    sums = _backend.run(batch, terms, Mode.FORWARD | Mode.BY_CLASS, by_sample=True)

    def own(loss: Loss) -> list[Array]:
        return [sums[terms.index(t)] for t in loss.terms()]

    numbers = {name: loss.partial_of(own(loss)) for name, loss in losses.items()}
    return Report(
        losses,
        batch.classes,
        batch.samples,
        {name: exact_sum([r]) for name, r in numbers.items()},
        {name: [exact_sum([p.class_partial_of(own(p))]) for _, p in loss.summands()] for name, loss in losses.items()},
        {name: loss.values_of(numbers[name], batch.classes) for name, loss in losses.items()},
    )
