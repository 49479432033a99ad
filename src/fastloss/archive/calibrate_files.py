"""`calibrate_files`: the temperature of logits in files."""

from __future__ import annotations

import os
from typing import Any

from .._arrays import Array
from .._engine.temperature import Calibration, TemperatureFit, fitted
from ..files.errors import FileError
from .evaluate_files import evaluate_files

PROBABILITIES = "seems to hold probabilities"  # in a note of look.py
OF_ONE_PASS = ("state", "resume", "hash", "nnunet_summary", "progress")


def calibrate_files(
    logits: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    /,
    *,
    activation: str = "softmax",
    **options: Any,
) -> Calibration:
    """Fit a temperature to logits in files, as `calibrate` does for arrays.

    The files are read once per pass, usually four to seven times. The result has the same bits with any number of
    workers.

    Parameters
    ----------
    logits, labels : path
        Two files, or two folders whose files belong together, as for `evaluate_files`.
    activation : {"softmax", "sigmoid"}, default "softmax"
        "softmax": classes that exclude each other. "sigmoid": one channel, or channels that may overlap.
    **options : dict
        The other options of `evaluate_files`, such as `match`, `layout`, `labels`, `ignore_index` or `workers`. Options
        of a single pass are refused: `state`, `resume`, `hash`, `nnunet_summary` and `progress`.

    Returns
    -------
    Calibration
        The temperature, and the mean cross entropy before and after.

    Raises
    ------
    FileError
        If a file or an option does not fit, or the files hold no logits.
    ValueError
        If no pixel counts, all logits are equal, or the logits are no better than none at all.

    See Also
    --------
    calibrate : The same for arrays.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, fastloss as fl
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "x.npy", np.array([[[4.0, 4.0, 4.0, 0.0]], [[0.0, 0.0, 0.0, 4.0]]]))
    >>> np.save(folder / "y.npy", np.array([[0, 0, 1, 1]]))
    >>> round(fl.calibrate_files(folder / "x.npy", folder / "y.npy").temperature, 4)
    3.641
    """
    for name in OF_ONE_PASS:
        if options.get(name):
            raise FileError(
                f"`{name}=`: expected none for a fit, which reads the files several times, got {options[name]!r}"
            )

    def pass_over(temperatures: tuple[float, ...]) -> Array:
        fit = TemperatureFit(temperature=temperatures, activation=activation)
        report = evaluate_files({"calibrate": fit}, logits, labels, **options)
        for note in report.notes:
            if PROBABILITIES in note:
                raise FileError(f"expected logits, but {note.split(PROBABILITIES)[0]}{PROBABILITIES}")
        numbers: Array = report.partial("calibrate").numbers[0]
        return numbers

    return fitted(pass_over)
