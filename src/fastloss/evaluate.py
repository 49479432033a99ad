"""Many losses and metrics in one pass over the data: `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._engine.measure import Measure
from ._engine.passes import Passes
from ._lazy import any_lazy
from ._options import spacing_array
from .results import Report, closed


def evaluate(
    losses: Mapping[str, Measure],
    input: Any,
    target: Any,
    /,
    *,
    pixel_weight: Any = None,
    ignore_index: int | Sequence[int] | None = None,
    spacing: float | Sequence[float] | None = None,
    num_classes: int | None = None,
) -> Report:
    """Compute many losses and metrics of the same data in one call.

    The losses share the softmax, the sums and the labels. The metrics share the counts. No value depends on what else
    is in the call.

    Parameters
    ----------
    losses : mapping of name to loss or metric
        The losses, each with reduction "mean" or "sum", and the metrics of `fastloss.metrics`.
    input : array, shape (N, C, *S) or (N, *S)
        The input of the losses, of dtype float16, bfloat16, float32 or float64. Its class axis is the option `axis` of
        the losses. If there are only metrics, it may be a label map of the target's shape, of any integer or bool
        dtype. A dask, zarr, xarray or HDF5 array is read window by window, and so are the other arrays.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target of the input's shape. Every loss must accept it.
    pixel_weight : array, default None
        The weights of the pixels: each is 0 or from 1e-30 to 1e30. The shape broadcasts to (N, *S); with a dense
        target, it may also broadcast to (N, C, *S). A pixel with weight 0 does not count. Metrics count pixels, so they
        take only 0 and 1.
    ignore_index : int or sequence of int, default None
        The label, or labels, whose pixels do not count. It applies to every loss whose own `ignore_index` is the
        default -100. It also applies to element-wise losses, which have no `ignore_index` and take labels {0, 1} for a
        single channel. A loss with another `ignore_index` keeps its own. The report's `losses` show what was computed.
    spacing : float or sequence of float, default None
        The distance between neighbouring pixels of these images: one number for all axes, or one per axis. It applies
        to every loss of distances whose own `spacing` is None. The losses of the report keep None, so reports of images
        with different spacings can be merged. None: 1.
    num_classes : int, default None
        The number of classes, if `input` is a label map.

    Returns
    -------
    Report
        The values over all data, per image and per class. Reports of the same losses and metrics can be added with `+`.

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
    Tiles : Computes the losses of an image from its tiles.

    Examples
    --------
    >>> import fastloss as fl
    >>> x, y = [[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]]
    >>> report = fl.evaluate({"ce": fl.CrossEntropyLoss(), "dice": fl.DiceLoss()}, x, y)
    >>> report["ce"], report.per_class["ce"]
    (0.22009483, array([0.12692801, 0.31326169]))
    """
    passes = Passes(losses, ignore_index, num_classes)
    if spacing is not None:
        spacing_array(spacing)  # also checked if no loss measures distances
    lazy = any_lazy(input, target, pixel_weight)
    images = (passes.sums_of_lazy if lazy else passes.sums_in_parts)(input, target, pixel_weight, spacing)
    return Report.sum(closed(passes, sums) for sums in images)
