"""`evaluate_files`: many losses and metrics over an archive of predictions and masks, read file by file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from .._engine.measure import Measure
from .._engine.metric import Metric
from ..files.errors import FileError
from ..report.files_report import FilesReport
from .collector import Collector
from .engines import find_engine, results
from .examples import with_examples
from .hard_counts import Counter
from .ledger import open_ledger
from .options import options_in_words, task_options
from .pictures import find_pictures
from .quiet import quiet
from .sources import check_choice, check_threads, find_sources
from .worker import Task

Progress = Callable[[int, int, int], None]


def evaluate_files(
    losses: Mapping[str, Measure],
    predictions: str | os.PathLike[str],
    targets: str | os.PathLike[str],
    /,
    *,
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
    prediction_labels: str | os.PathLike[str] | None = None,
    regions: str | Mapping[str, Sequence[int]] | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    ignore_index: int | Sequence[int] | None = None,
    round_labels: float | None = None,
    nodata: str | None = None,
    ignore_geometry: bool = False,
    nnunet_summary: bool = False,
    workers: int | None = None,
    engine: Any = None,
    scheduler: str | None = None,
    worker_threads: int | None = None,
    read_threads: int | None = None,
    progress: Progress | None = None,
    state: str | os.PathLike[str] | None = None,
    resume: bool = False,
    hash: str = "stat",
    on_error: str = "raise",
    per_image_class: bool = False,
    examples: int = 0,
    images: str | os.PathLike[str] | None = None,
) -> FilesReport:
    """Compute losses and metrics of saved predictions against masks, file by file.

    Files are read ahead while the kernels compute, and large tiled files are read by windows. Nothing ambiguous is
    guessed: the headers or an option decide about axes, labels and geometry, or the pair is refused. The page
    docs/files.md describes formats, patterns, label maps and geometry.

    Parameters
    ----------
    losses : mapping of name to loss or metric
        The losses, each with reduction "mean" or "sum", and the metrics of `fastloss.metrics`. If the predictions are
        known to be probabilities or label maps, a loss with an activation is computed without it.
    predictions, targets : path
        Two files, or two folders whose files belong together by their paths without extension.
    match : tuple of str, default None
        The patterns of predictions and masks, such as `("{id}_pred.npy", "**/{id}_labelIds.png")`. Files with the same
        id belong together. `*` is any text without a slash, and `**/` any folders.
    layout : {"nnunet", "cityscapes", "ade20k", "voc", "brats", "monai"}, default None
        The layout of the folders. It sets the patterns, and the labels that the data set defines. Other options have
        precedence.
    axis : int, default None
        The class axis of a prediction. None: the axis that the file names, or 0.
    axes, target_axes : str, default None
        The names of the axes of a prediction and of a mask, such as "czyx": one letter per axis, c for the classes and
        t for time. None: the names that the file gives.
    key, target_key : str, default None
        The name of the array in a prediction, and in a mask, whose file holds several.
    dtype : {"bfloat16"}, default None
        The true type of predictions of raw 2-byte numbers, which NumPy saves as `|V2`.
    scale : float, default None
        The number by which predictions of integers are divided, such as 255.
    labels : path or {"cityscapes", "ade20k", "voc"}, default None
        The label map of the masks: the class of each label or colour, or null for pixels that do not count. A path
        names a JSON file, such as `{"labels": {"7": 0, "8": 1, "*": null}, "names": ["road", "sidewalk"]}`.
    prediction_labels : path, name or "classes", default None
        The label map of predictions that are label maps. "classes": they hold classes, whatever the masks hold.
    regions : str or mapping of name to labels, default None
        Regions of several labels, which may overlap, such as "wt=1+2+3,tc=2+3,et=3". Each is one channel.
    num_classes : int, default None
        The number of classes of predictions that are label maps, with the background.
    class_names : sequence of str, default None
        The names of the classes. None: those of the regions, the layout, the label map or the file, or numbers.
    ignore_index : int or sequence of int, default None
        The label, or labels, of the masks whose pixels do not count.
    round_labels : float, default None
        The largest distance from a whole number, at most 0.4, of labels that are stored as floating-point numbers. They
        are rounded. None: they must be whole.
    nodata : {"ignore", "label"}, default None
        The meaning of a label that a header calls nodata, if that label is also a class: its pixels do not count, or
        are of the class. None: such a file is refused.
    ignore_geometry : bool, default False
        Whether files are compared pixel by pixel although their headers place them differently in space.
    nnunet_summary : bool, default False
        Whether to count the hard scores of nnU-Net's `summary.json`, which `FilesReport.write_nnunet_summary` writes.
    workers : int, default None
        The number of processes on this machine that evaluate. None: this process does. The calling script needs
        `if __name__ == "__main__":`. The results have the same bits with any number of workers and any engine.
    engine : {"dask"} or distributed.Client, default None
        The Dask cluster that evaluates. Its workers see the files under the same paths. "dask" connects to `scheduler`.
    scheduler : str, default None
        The address of the scheduler, such as "tcp://host:8786".
    worker_threads : int, default None
        The number of threads that compute in each worker. None: 1.
    read_threads : int, default None
        The number of threads that read and decode. None: 2, or 1 in each worker.
    progress : callable, default None
        A function that is called after each image with the number of images done, the number of all images, and the
        bytes so far.
    state : path, default None
        A folder for a ledger, which keeps the result of each finished image. It is made if it does not exist. If the
        run is interrupted, another run with `resume=True` goes on.
    resume : bool, default False
        Whether the ledger may hold results of an earlier run with the same options. Only images that are missing in it,
        or whose files have changed since, are evaluated. The report has the same bits as that of one run.
    hash : {"stat", "content"}, default "stat"
        How the ledger knows that a file has changed: by its size and time, or by its contents. "content" reads all
        files once before the evaluation.
    on_error : {"raise", "skip"}, default "raise"
        Whether an image that cannot be evaluated ends the run, or is left out and listed in `failures`.
    per_image_class : bool, default False
        Whether the report keeps the loss of each class in each image. They take 0.1 ms per image and loss. The page of
        `FilesReport.to_html` shows their distributions.
    examples : int, default 0
        The number of worst images whose mask, prediction and map of losses `FilesReport.to_html` shows. They are read
        once more.
    images : path, default None
        The folder of their pictures, which have the names of the images, or a folder with a pattern, such as
        "leftImg8bit/{id}_leftImg8bit.png". None: the page shows no pictures.

    Returns
    -------
    FilesReport
        The report, with the files, their spacings, and notes.

    Raises
    ------
    FileError
        If a file or an option does not fit. The message names the file and the option that helps.
    ValueError, TypeError
        If `losses` is wrong, as in `evaluate`.

    See Also
    --------
    evaluate : The same for arrays.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, fastloss as fl
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "x.npy", np.array([[[2.0, 0.0]], [[0.0, 1.0]]]))
    >>> np.save(folder / "y.npy", np.array([[0, 1]]))
    >>> fl.evaluate_files({"ce": fl.CrossEntropyLoss()}, folder / "x.npy", folder / "y.npy")["ce"]
    0.22009483
    """
    stated = options_in_words(evaluate_files, locals())
    chosen = find_engine(workers, engine, scheduler, worker_threads)
    if read_threads is None:
        read_threads = 2 if chosen is None else 1
    check_threads(read_threads)
    check_choice(hash, ("stat", "content"), "hash")
    check_choice(on_error, ("raise", "skip"), "on_error")
    _check_pictures(examples, images)
    if state is None and (resume or hash != "stat"):
        raise FileError("`state=`: expected a folder with `resume=True` or `hash=content`, got none")
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
        prediction_labels=prediction_labels,
        regions=regions,
        num_classes=num_classes,
        class_names=class_names,
        ignore_index=ignore_index,
        round_labels=round_labels,
        nodata=nodata,
        ignore_geometry=ignore_geometry,
        one_hot=not isinstance(losses, Mapping) or not all(isinstance(one, Metric) for one in losses.values()),
    )
    paired, names, meaning = sources.paired, sources.class_names, sources.reading.meaning
    pictures = {} if images is None else find_pictures(images, [pair.name for pair in paired.pairs])
    counter = Counter(regions=meaning.regions, class_order=sources.class_order, ignored=meaning.ignored)
    task = Task(
        losses=dict(losses) if isinstance(losses, Mapping) else losses,
        how=sources.reading,
        classes=None if names is None else len(names),
        counter=counter if nnunet_summary else None,
        read_threads=read_threads,
        skip=on_error == "skip",
    )
    collector = Collector(paired.pairs, names, skip=task.skip, by_class=per_image_class)
    start = time.perf_counter()
    with quiet(), ExitStack() as stack:
        ledger = None
        if state is not None:
            options, roots = task_options(task, names, hash), sources.folders
            opening = open_ledger(Path(state), paired.pairs, options, roots=roots, resume=resume, threads=read_threads)
            ledger = stack.enter_context(opening)
        work = list(enumerate(paired.pairs)) if ledger is None else ledger.missing()
        found = stack.enter_context(closing(results(task, work, chosen)))
        for done, result in enumerate(found if ledger is None else ledger.through(found), 1):
            collector.add(result)
            if progress is not None:
                progress(done, len(paired.pairs), collector.nbytes)
    report = collector.files_report(
        notes=(*paired.notes, *(() if ledger is None else ledger.notes)),
        seconds=time.perf_counter() - start,
        resumed=0 if ledger is None else ledger.finished,
        options=stated,
    )
    return with_examples(report, sources.reading, examples, pictures) if examples else report


def _check_pictures(examples: int, images: str | os.PathLike[str] | None) -> None:
    if examples < 0:
        raise FileError(f"`examples=`: expected at least 0, got {examples}")
    if examples == 0 and images is not None:
        raise FileError(f"`images=`: expected `examples=` with it, the number of images to show, got {examples}")
