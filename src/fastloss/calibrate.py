"""Temperature scaling: `calibrate` fits the temperature of logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._arrays import Array
from ._engine.temperature import Calibration, TemperatureFit, fitted


def calibrate(
    logits: Any,
    labels: Any,
    /,
    *,
    activation: str = "softmax",
    ignore_index: int | Sequence[int] = -100,
    axis: int = 1,
    pixel_weight: Any = None,
) -> Calibration:
    r"""Fit a temperature: the number by which logits are divided so that their mean cross entropy is least.

    $T$ minimises the mean of $-\log \mathrm{softmax}(x / T)_y$. The cross entropy is convex in $1/T$, so there is one
    minimum. A pass over seven temperatures from 100 to 0.01 brackets it, and a bracketed Newton method on the exact
    sums of the derivatives finds it with a relative error of about 1e-7, in some three to six further passes. The
    result has the same bits on any number of threads.

    The predicted classes do not change. Fit the temperature to data that the model was not trained on, and apply it to
    other data.

    Parameters
    ----------
    logits : array, shape (N, C, *S)
        Logits of dtype float16, bfloat16, float32 or float64. A dask, zarr, xarray or HDF5 array is read window by
        window in each pass.
    labels : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype; for "sigmoid", labels {0, 1} of a single channel, or a dense target.
    activation : {"softmax", "sigmoid"}, default "softmax"
        "softmax": classes that exclude each other. "sigmoid": one channel, or channels that may overlap, which share
        one temperature; the binary cross entropy is minimised.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    axis : int, default 1
        The class axis of `logits`.
    pixel_weight : array, default None
        The weights of the pixels; see `evaluate`.

    Returns
    -------
    Calibration
        The temperature, and the mean cross entropy before and after. If the labels have the largest logits almost
        everywhere, the cross entropy falls down to a temperature of 0.01; then this is the temperature, and `at_bound`
        is True.

    Raises
    ------
    LabelError
        If a label that counts is no class.
    ValueError
        If no pixel counts, a logit that counts is not finite, all logits are equal, the logits are no better than none
        at all, or an argument is wrong.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    calibrate_files : The same for files.
    metrics.ExpectedCalibrationError : Measures the calibration.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.

    Examples
    --------
    >>> import numpy as np, fastloss as fl
    >>> logits = np.array([[[4.0, 4.0, 4.0, 0.0], [0.0, 0.0, 0.0, 4.0]]])  # right in three of four pixels
    >>> found = fl.calibrate(logits, np.array([[0, 0, 1, 1]]))
    >>> round(found.temperature, 4), round(found.before, 4), round(found.after, 4)
    (3.641, 1.0181, 0.5623)
    """

    def pass_over(temperatures: tuple[float, ...]) -> Array:
        fit = TemperatureFit(temperature=temperatures, activation=activation, ignore_index=ignore_index, axis=axis)
        numbers: Array = fit.partial(logits, labels, pixel_weight=pixel_weight).numbers[0]
        return numbers

    return fitted(pass_over)
