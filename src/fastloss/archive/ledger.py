"""Ledger: keeps the result of each finished image in a folder, so that a run that was interrupted can go on.

`evaluate_files` asks the ledger which images are missing, and passes the new results through it. The ledger records
each new result, and yields all results in the order of the work list. So the report has the same bits as that of one
run.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .._records import decoding, member, text_of, text_record
from ..files.errors import FileError, shown
from ..files.opening import reading
from ..files.pairing import Pair
from ..report.facts import path_record
from .identity import identities, key_text
from .ledger_files import HEADER, RECORDS, Appender, Lines, read_options, write_options
from .lock import locked
from .options import check_same
from .result_records import result_of, result_record
from .worker import Failure, Result

MISSING = -1


class Ledger:
    """The results of finished images, in an open folder. `open_ledger` makes one.

    Attributes
    ----------
    notes : list of str
        What was found.
    finished : int
        The number of images of the work list that were finished before this run.
    """

    def __init__(self, folder: Path, pairs: Sequence[Pair], keys: Sequence[str]) -> None:
        self.folder, self.pairs, self.keys = folder, pairs, keys
        self.notes = list[str]()
        self.finished = 0
        self._places = array("q", [MISSING]) * len(pairs)
        self._lines = Lines(folder / RECORDS)
        self._appender: Appender | None = None

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        """Find the records of the images, and open the file for more."""
        appender = Appender(self._lines.path, self._find())
        try:
            with self._lines.open():
                self._appender = appender
                yield self
        finally:
            self._appender = None
            appender.close()

    def _find(self) -> int:
        """Find the record of each image whose files are unchanged. Return the end of the last whole record."""
        if not self._lines.path.exists():
            return 0
        at = {pair.name: index for index, pair in enumerate(self.pairs)}
        with self._lines.open():
            for position, record in self._lines.scan():
                with decoding(f"{shown(self._lines.path)}: byte {position}"):
                    index = at.get(text_of(record.get("image") if type(record) is dict else None, "image"))
                    if index is not None and key_text(member(record, "key", dict)) == self.keys[index]:
                        self._places[index] = position
        if self._lines.torn:
            self.notes.append(f"{shown(self._lines.path)}: the last record is torn and was dropped")
        self.finished = sum(position != MISSING for position in self._places)
        return self._lines.end

    def missing(self) -> list[tuple[int, Pair]]:
        """Return the images to evaluate: those without a record, and those whose files have changed."""
        return [(index, pair) for index, pair in enumerate(self.pairs) if self._places[index] == MISSING]

    def through(self, results: Iterator[Result | Failure]) -> Iterator[Result | Failure]:
        """Record the results of the missing images, and yield those of all images in order."""
        for index, position in enumerate(self._places):
            if position != MISSING:
                record = self._lines.read(position)
                with decoding(f"{shown(self._lines.path)}: byte {position}"):
                    known = result_of(member(record, "result", dict), index, self.pairs[index].name)
                yield known
                continue
            result = next(results)
            assert result.index == index
            if isinstance(result, Result):
                self._record(result)
            yield result

    def _record(self, result: Result) -> None:
        assert self._appender is not None
        pair = self.pairs[result.index]
        self._appender.append(
            {
                "image": text_record(pair.name),
                "key": json.loads(self.keys[result.index]),
                "prediction": path_record(pair.prediction),
                "target": path_record(pair.target),
                "result": result_record(result),
            }
        )


@contextmanager
def open_ledger(
    folder: Path,
    pairs: Sequence[Pair],
    options: dict[str, Any],
    *,
    roots: tuple[Path, Path],
    resume: bool,
    threads: int,
) -> Iterator[Ledger]:
    """Open the ledger in a folder, which is made if it does not exist. No other run can open it meanwhile.

    Parameters
    ----------
    folder : Path
        The folder.
    pairs : sequence of Pair
        The work list.
    options : dict
        The options of the run, from `task_options`.
    roots : pair of Path
        The folders, or files, that were given for predictions and for targets.
    resume : bool
        Whether the folder may hold records.
    threads : int
        The number of threads that read the contents of files.

    Yields
    ------
    Ledger
        The ledger.
    """
    for root in roots:
        if folder.resolve().is_relative_to(root.resolve()):  # its files would be taken for images
            raise FileError(f"{shown(folder)}: expected a folder outside of {shown(root)} for `state=`")
    _make(folder)
    with locked(folder):
        if (folder / RECORDS).exists() and (folder / RECORDS).stat().st_size and not resume:
            raise FileError(
                f"{shown(folder)}: expected an empty folder for `state=`, got the records of an earlier run; give "
                "`resume=True` to evaluate only what is missing or changed, or another folder"
            )
        if (folder / HEADER).exists() and resume:
            check_same(
                read_options(folder),
                options,
                folder,
                "this run",
                "give the same options, or another folder for `state=`",
            )
        elif (folder / RECORDS).exists() and (folder / RECORDS).stat().st_size:
            raise FileError(f"{shown(folder)}: expected {HEADER} next to {RECORDS}, got none; give another folder")
        else:
            write_options(folder, options)
        keys = list(map(key_text, identities(pairs, roots, content=options["hash"] == "content", threads=threads)))
        with Ledger(folder, pairs, keys).open() as ledger:
            yield ledger


def _make(folder: Path) -> None:
    with reading(folder):
        if folder.is_dir():
            others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
            if others and not {HEADER, RECORDS, "lock"}.issuperset(others):
                raise FileError(
                    f"{shown(folder)}: expected an empty folder or a ledger for `state=`, got a folder with "
                    f"{shown(others[0])}"
                )
            return
    try:
        folder.mkdir()
    except OSError as error:
        raise FileError(f"{shown(folder)}: cannot be made: {error.strerror or error}") from error
