"""`audit_files`: which labels of an archive a model contradicts, in two passes over its predictions and masks."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from ..files.errors import FileError
from ..report.label_audit import LabelAudit
from .audit import Audit, Progress
from .audit_maps import Maps
from .quiet import quiet
from .sources import check_choice, check_threads, find_sources


def audit_files(
    predictions: str | os.PathLike[str],
    targets: str | os.PathLike[str],
    /,
    *,
    activation: str | None = "softmax",
    match: tuple[str, str] | None = None,
    layout: str | None = None,
    axis: int | None = None,
    axes: str | None = None,
    target_axes: str | None = None,
    key: str | None = None,
    target_key: str | None = None,
    dtype: str | None = None,
    scale: float | None = None,
    labels: str | os.PathLike[str] | None = None,
    class_names: Sequence[str] | None = None,
    ignore_index: int | Sequence[int] | None = None,
    round_labels: float | None = None,
    nodata: str | None = None,
    ignore_geometry: bool = False,
    maps: str | os.PathLike[str] | None = None,
    read_threads: int = 2,
    progress: Progress | None = None,
) -> LabelAudit:
    r"""Find labels that a model contradicts, and rank the images by the quality of their labels.

    The predictions come from a model that has not seen the labels of the same images, as in cross-validation. The score
    of a pixel is the probability $p_y$ of its label. The quality of an image is the softmin of its scores,
    $\sum p_y w / \sum w$ with $w = e^{-p_y / 0.1}$, from 0 to 1. The threshold of a class is the mean of
    its probability over the pixels with its label. A label is contradicted if the most probable class is more probable
    than the label and reaches the threshold of that class.

    All files are read twice, window by window: once for the thresholds, once for the rest.

    Parameters
    ----------
    predictions, targets : path
        Two files, or two folders whose files belong together by their paths without extension. A prediction holds
        logits or probabilities of shape (C, *S), a mask labels of shape (*S).
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Turns predictions into probabilities. "sigmoid": they have one channel, and labels are 0 and 1. None: they are
        probabilities. If a file is known to hold probabilities, there is no activation.
    match : tuple of str, default None
        The patterns of predictions and masks; see `evaluate_files`.
    layout : {"nnunet", "cityscapes", "ade20k", "voc", "brats", "monai"}, default None
        The layout of the folders; see `evaluate_files`. Regions that overlap are refused.
    axis : int, default None
        The class axis of a prediction. None: the axis that the file names, or 0.
    axes, target_axes : str, default None
        The names of the axes of a prediction and of a mask, such as "czyx".
    key, target_key : str, default None
        The name of the array in a prediction, and in a mask, whose file holds several.
    dtype : {"bfloat16"}, default None
        The true type of predictions of raw 2-byte numbers, which NumPy saves as `|V2`.
    scale : float, default None
        The number by which predictions of integers are divided, such as 255.
    labels : path or {"cityscapes", "ade20k", "voc"}, default None
        The label map of the masks; see `evaluate_files`.
    class_names : sequence of str, default None
        The names of the classes. None: those of the layout, the label map or the file, or numbers.
    ignore_index : int or sequence of int, default None
        The label, or labels, of the masks whose pixels do not count.
    round_labels : float, default None
        The largest distance from a whole number, at most 0.4, of labels that are stored as floating-point numbers.
    nodata : {"ignore", "label"}, default None
        The meaning of a label that a header calls nodata, if that label is also a class.
    ignore_geometry : bool, default False
        Whether files are compared pixel by pixel although their headers place them differently in space.
    maps : path, default None
        A folder for two maps per image, which is new or empty: NAME.quality.npy has the scores of the pixels, and nan
        where a pixel does not count; NAME.suggested.npy has the class that the model suggests for a contradicted pixel,
        and -1 elsewhere. If the name ends in `.zarr`, it becomes a Zarr group with the same arrays.
    read_threads : int, default 2
        The number of threads that read and decode.
    progress : callable, default None
        A function that is called after each image of each pass with the number of images done, twice the number of all
        images, and the bytes so far.

    Returns
    -------
    LabelAudit
        The quality of each image, the numbers of contradicted labels, and the thresholds.

    Raises
    ------
    FileError
        If a file or an option does not fit. The message names the file and the option that helps.

    See Also
    --------
    evaluate_files : Losses of the same files.

    References
    ----------
    Northcutt, Jiang, Chuang 2021, arXiv:1911.00068; Lad, Mueller 2023, arXiv:2307.05080.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, fastloss as fl
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "x.npy", np.array([[[4.0, 3.0, 0.0, -5.0]], [[0.0, 0.0, 3.0, 5.0]]]))
    >>> np.save(folder / "y.npy", np.array([[0, 0, 1, 0]]))  # the last label seems wrong
    >>> audit = fl.audit_files(folder / "x.npy", folder / "y.npy")
    >>> audit
    <LabelAudit of 1 images: 1 of 4 labels contradicted>
    >>> audit.quality.round(4), audit.suggestions.tolist()
    (array([0.0002]), [[0, 1], [0, 0]])
    """
    check_choice(activation, ("softmax", "sigmoid"), "activation")
    check_threads(read_threads)
    sources = find_sources(
        Path(predictions),
        Path(targets),
        match=match,
        layout=layout,
        axis=axis,
        axes=axes,
        target_axes=target_axes,
        key=key,
        target_key=target_key,
        dtype=dtype,
        scale=scale,
        labels=labels,
        class_names=class_names,
        ignore_index=ignore_index,
        round_labels=round_labels,
        nodata=nodata,
        ignore_geometry=ignore_geometry,
    )
    if sources.reading.meaning.regions is not None:
        raise FileError(f"`layout={layout}`: expected classes that exclude each other, got regions that may overlap")
    start = time.perf_counter()
    with quiet():
        written = None if maps is None else Maps(Path(maps))
        audit = Audit(sources, activation, read_threads, progress)
        audit.first_pass()
        audit.second_pass(written)
    return audit.result(time.perf_counter() - start)
