"""Many losses in one pass over the data: `evaluate`, and the mergeable `Report` that it returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ._arrays import Array
from ._engine.exact_sum import exact_sum
from ._engine.loss import Loss
from ._engine.partial import Partial
from ._engine.passes import OpenSums, Passes
from .distance import spacing_array


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
    images : sequence of str or None
        The name of each image. None: the image has no name, and its number takes the place of one.
    numbers : dict of name to array
        The mergeable sums of each loss; see `partial`.
    class_numbers : dict of name to list of arrays
        The mergeable sums of each loss per class: one array for each summand of the loss.
    per_image : dict of name to array, shape (images,)
        The loss of each image, in the order of the data.

    Attributes
    ----------
    images : tuple of str
        The name of each image, in the order of the data. Images of arrays are called "0", "1" and so on.
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
    ('0', '1')
    """

    def __init__(
        self,
        losses: Mapping[str, Loss],
        classes: int,
        images: Sequence[str | None],
        numbers: dict[str, Array],
        class_numbers: dict[str, list[Array]],
        per_image: dict[str, Array],
    ) -> None:
        self.losses, self.classes, self._images = dict(losses), classes, tuple(images)
        self._numbers, self._class_numbers, self.per_image = numbers, class_numbers, per_image

    def __getitem__(self, name: str) -> float:
        return self.losses[name].value_of(self._numbers[name][0], self.classes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.losses)

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def images(self) -> tuple[str, ...]:
        """Name the images.

        Returns
        -------
        tuple of str
            The names; see the attribute `images` of `Report`.
        """
        return tuple(str(i) if name is None else name for i, name in enumerate(self._images))

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
        return Partial(repr(self.losses[name]), self.classes, len(self._images), self._numbers[name])

    def __repr__(self) -> str:
        values = ", ".join(f"{name}: {value:.6g}" for name, value in self.items())
        return f"<Report of {len(self._images)} images, {self.classes} classes: {values}>"

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
            [name for r in many for name in r._images],
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
    spacing: float | Sequence[float] | None = None,
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
    spacing : float or sequence of float, default None
        The distance between neighbouring pixels of these images: one number for all axes, or one per axis. It applies
        to every loss of distances whose own `spacing` is None. The losses of the report keep None, so reports of images
        with different spacings can be merged. None: 1.

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
    passes = Passes(losses, ignore_index)
    if spacing is not None:
        spacing_array(spacing)  # also checked if no loss measures distances
    return closed(passes, passes.sums(input, target, pixel_weight, spacing))


def closed(passes: Passes, sums: OpenSums, names: Sequence[str | None] | None = None) -> Report:
    """Return the report of images whose sums are complete.

    Parameters
    ----------
    passes : Passes
        The losses.
    sums : OpenSums
        The sums of all pixels of the images.
    names : sequence of str or None, default None
        The names of the images.

    Returns
    -------
    Report
        The report.
    """
    numbers, class_numbers, per_image = {}, {}, {}
    for name, (loss, own) in passes.own_sums(sums).items():
        rows = loss.partial_of([own[t] for t in loss.terms()])
        numbers[name] = exact_sum([rows])
        per_image[name] = loss.values_of(rows, sums.classes)
        summands = (p for _, p in loss.summands())
        class_numbers[name] = [exact_sum([p.class_partial_of([own[t] for t in p.terms()])]) for p in summands]
    images = [None] * sums.samples if names is None else names
    return Report(passes.losses, sums.classes, images, numbers, class_numbers, per_image)
