"""`merge_ledgers`: one report from the ledgers of several machines."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .._records import decoding, member, text_of, texts_of
from ..files.errors import FileError, shown
from ..files.pairing import Pair
from ..report.facts import path_of
from ..report.files_report import FilesReport
from .collector import Collector
from .identity import key_text
from .ledger_files import RECORDS, Lines, read_options
from .options import check_same
from .result_records import result_of


@dataclass(frozen=True)
class _Place:
    """Where the record of an image is."""

    lines: Lines
    position: int
    key: bytes
    pair: Pair


def merge_ledgers(
    folders: Iterable[str | os.PathLike[str]],
    /,
    *,
    per_image_class: bool = False,
    progress: Callable[[int, int, int], None] | None = None,
) -> FilesReport:
    """Join the ledgers that runs of `evaluate_files` with the same options wrote, on one machine or on several.

    The ledgers may be incomplete, or still in use: all images that are finished count. The images are in the order of
    their names, as in one run over all files, and the numbers have the same bits. An image that is in several ledgers
    counts once, if its files have the same names, sizes and times; `hash="content"` compares contents instead.

    Parameters
    ----------
    folders : iterable of path
        The folders that were given as `state=`.
    per_image_class : bool, default False
        Whether the report keeps the loss of each class in each image, as in `evaluate_files`.
    progress : callable, default None
        A function that is called after each image with the number of images done, the number of all images, and 0.

    Returns
    -------
    FilesReport
        The report. Notes about files that were left out are not in ledgers, and so not in this report.

    Raises
    ------
    FileError
        If the options differ, an image has different files in two ledgers, a record is damaged, or there is none.

    See Also
    --------
    evaluate_files : Writes a ledger with `state=`.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, fastloss as fl
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "x.npy", np.array([[[2.0, 0.0]], [[0.0, 1.0]]]))
    >>> np.save(folder / "y.npy", np.array([[0, 1]]))
    >>> loss = {"ce": fl.CrossEntropyLoss()}
    >>> fl.evaluate_files(loss, folder / "x.npy", folder / "y.npy", state=folder / "ledger")["ce"]
    0.22009483
    >>> fl.merge_ledgers([folder / "ledger"])["ce"]
    0.22009483
    """
    start = time.perf_counter()
    given = [Path(folder) for folder in folders]
    if not given:
        raise FileError("folders: expected at least one ledger, got none")
    options = read_options(given[0])
    for folder in given[1:]:
        check_same(read_options(folder), options, folder, shown(given[0]), "merge only runs with the same options")
    notes = list[str]()
    places = dict[str, _Place]()
    with ExitStack() as stack:
        for folder in given:
            lines = Lines(folder / RECORDS)
            if not lines.path.exists():  # killed before the first record
                continue
            stack.enter_context(lines.open())
            _join(places, places_of(lines))
            if lines.torn:
                notes.append(f"{shown(lines.path)}: the last record is torn and was left out")
        if not places:
            raise FileError(f"{shown(given[0])}: expected the record of at least one image, got none")
        chosen = [places[name] for name in sorted(places)]
        names = None if options.get("class_names") is None else texts_of(options, "class_names")
        collector = Collector([place.pair for place in chosen], names, by_class=per_image_class)
        for index, place in enumerate(chosen):
            record = place.lines.read(place.position)
            with decoding(f"{shown(place.lines.path)}: byte {place.position}"):
                collector.add(result_of(member(record, "result", dict), index, place.pair.name))
            if progress is not None:
                progress(index + 1, len(chosen), 0)
    with decoding(shown(given[0])):
        return collector.files_report(
            notes=notes,
            seconds=time.perf_counter() - start,
            resumed=len(chosen),
            options=[("ledgers", ", ".join(os.fspath(folder) for folder in given))],
        )


def places_of(lines: Lines) -> dict[str, _Place]:
    """Return the last record of each image of a ledger. An earlier one is of a file that has changed since.

    Parameters
    ----------
    lines : Lines
        The open file of records.

    Returns
    -------
    dict of str to _Place
        The place of the record of each image.
    """
    found = {}
    for position, record in lines.scan():
        with decoding(f"{shown(lines.path)}: byte {position}"):
            key = hashlib.sha256(key_text(member(record, "key", dict)).encode()).digest()
            name = text_of(record.get("image"), "image")
            pair = Pair(
                name=name,
                prediction=path_of(text_of(record.get("prediction"), "prediction")),
                target=path_of(text_of(record.get("target"), "target")),
            )
            found[name] = _Place(lines, position, key, pair)
    return found


def _join(places: dict[str, _Place], more: dict[str, _Place]) -> None:
    for name, place in more.items():
        first = places.setdefault(name, place)
        if first.key != place.key:
            raise FileError(
                f"{shown(place.lines.path.parent)}: expected the same files of {shown(name)} as in "
                f"{shown(first.lines.path.parent)}, got files of another name, size or time; evaluate the image anew "
                "with `resume=True`, or compare contents with `hash=content` in both runs"
            )
