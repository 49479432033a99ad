"""The facts about files that a `FilesReport` adds to a report, as records of JSON (`_records.py`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .._arrays import Array
from .._records import (
    array_of,
    array_record,
    checked,
    member,
    number_of,
    number_record,
    text_of,
    text_record,
    texts_of,
    whole,
)
from ..files.pairing import Pair
from .examples import Example
from .nnunet import Case, Counts, Label


@dataclass(frozen=True, kw_only=True)
class Failed:
    """An image that could not be evaluated.

    Attributes
    ----------
    name : str
        The name of the image.
    message : str
        The message of the error.
    """

    name: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts about the files of an evaluation; see the attributes of `FilesReport`.

    Attributes
    ----------
    nan : tuple of int
        The positions of the images in `nan_images`.
    cases : tuple of Case
        The hard counts for nnU-Net's summary. Empty: they were not counted.
    class_values : mapping of name to array, shape (images, classes)
        The loss of each image and class. Empty: they are not known.
    options : tuple of pairs of str
        The options of the evaluation that differ from their defaults, as name and value.
    examples : tuple of Example
        The pictures of some images. A record does not keep them.
    """

    pairs: tuple[Pair, ...]
    class_names: tuple[str, ...]
    spacings: tuple[tuple[float, ...] | None, ...]
    notes: tuple[str, ...]
    nan: tuple[int, ...]
    nbytes: int
    seconds: float
    cases: tuple[Case, ...] = ()
    failures: tuple[Failed, ...] = ()
    resumed: int = 0
    class_values: Mapping[str, Array] = field(default_factory=dict)
    options: tuple[tuple[str, str], ...] = ()
    examples: tuple[Example, ...] = ()


def facts_record(facts: Facts) -> dict[str, Any]:
    """Return the facts for JSON."""
    return {
        "predictions": [path_record(pair.prediction) for pair in facts.pairs],
        "targets": [path_record(pair.target) for pair in facts.pairs],
        "class_names": [text_record(name) for name in facts.class_names],
        "spacings": [spacing_record(spacing) for spacing in facts.spacings],
        "notes": [text_record(note) for note in facts.notes],
        "nan": list(facts.nan),
        "nbytes": facts.nbytes,
        "seconds": facts.seconds,
        "cases": [case_record(case) for case in facts.cases],
        "failures": [[text_record(one.name), text_record(one.message)] for one in facts.failures],
        "class_values": [[text_record(name), array_record(values)] for name, values in facts.class_values.items()],
        "options": [[text_record(name), text_record(value)] for name, value in facts.options],
    }


def facts_of(record: Any, images: Sequence[str], classes: int, losses: Sequence[str]) -> Facts:
    """Return the facts of a `facts_record` about these images."""
    predictions, targets = texts_of(record, "predictions"), texts_of(record, "targets")
    spacings = tuple(spacing_of(one) for one in member(record, "spacings", list))
    if {len(predictions), len(targets), len(spacings)} != {len(images)}:
        raise ValueError(f"predictions: expected one file and one spacing per image ({len(images)}), got others")
    class_names = texts_of(record, "class_names")
    if len(class_names) != classes:
        raise ValueError(f"class_names: expected {classes} names, got {len(class_names)}")
    nan = tuple(checked(index, int, "nan") for index in member(record, "nan", list))
    if not all(0 <= index < len(images) for index in nan):
        raise ValueError("nan: expected positions of images, got others")
    cases = tuple(case_of(one) for one in member(record, "cases", list))
    if cases and (len(cases) != len(images) or any(set(case.counts) != set(cases[0].counts) for case in cases)):
        raise ValueError("cases: expected one per image, with the same labels, got others")
    class_values = {name: array_of(one, "class_values", 2) for name, one in _pairs_of(record, "class_values")}
    if class_values and list(class_values) != list(losses):
        raise ValueError("class_values: expected an array for each loss, got others")
    if any(values.shape != (len(images), classes) for values in class_values.values()):
        raise ValueError("class_values: expected one number per image and class, got another number")
    return Facts(
        pairs=tuple(
            Pair(name=name, prediction=path_of(prediction), target=path_of(target))
            for name, prediction, target in zip(images, predictions, targets, strict=True)
        ),
        class_names=class_names,
        spacings=spacings,
        notes=texts_of(record, "notes"),
        nan=nan,
        nbytes=whole(record, "nbytes"),
        seconds=member(record, "seconds", float),
        cases=cases,
        failures=tuple(
            Failed(name=name, message=text_of(message, "failures")) for name, message in _pairs_of(record, "failures")
        ),
        class_values=class_values,
        options=tuple((name, text_of(value, "options")) for name, value in _pairs_of(record, "options")),
    )


def _pairs_of(record: Any, name: str) -> list[tuple[str, Any]]:
    """Return a member that is a list of a text and something else. Reports of earlier versions lack some of them."""
    if name not in record:
        return []
    found = [checked(one, list, name) for one in member(record, name, list)]
    if any(len(one) != 2 for one in found):
        raise ValueError(f"{name}: expected pairs of a name and a value, got something else")
    return [(text_of(first, name), second) for first, second in found]


def path_record(path: Path) -> str | dict[str, str]:
    """Return a path for JSON."""
    return text_record(os.fspath(path))


def path_of(text: str) -> Path:
    """Return the path. No system has a path with a zero byte."""
    if "\0" in text:
        raise ValueError("path: expected a path, got one with a zero byte")
    return Path(text)


def spacing_record(spacing: tuple[float, ...] | None) -> list[float | str] | None:
    """Return a spacing for JSON."""
    return None if spacing is None else [number_record(step) for step in spacing]


def spacing_of(value: Any) -> tuple[float, ...] | None:
    """Return the spacing of a `spacing_record`."""
    return None if value is None else tuple(number_of(step, "spacing") for step in checked(value, list, "spacing"))


COUNTED = tuple(field.name for field in fields(Counts))


def case_record(case: Case) -> dict[str, Any]:
    """Return the hard counts of an image for JSON."""
    return {
        "prediction": text_record(case.prediction),
        "reference": text_record(case.reference),
        "counts": [
            [list(label) if isinstance(label, tuple) else label, *(getattr(counts, name) for name in COUNTED)]
            for label, counts in case.counts.items()
        ],
    }


def case_of(record: Any) -> Case:
    """Return the hard counts of a `case_record`."""
    counts: dict[Label, Counts] = {}
    for row in member(record, "counts", list):
        if type(row) is not list or len(row) != 1 + len(COUNTED):
            raise ValueError(f"counts: expected a label and {len(COUNTED)} integers, got something else")
        label, *numbers = row
        if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
            raise ValueError("counts: expected integers >= 0, got others")
        several = type(label) is list
        key = tuple(checked(one, int, "label") for one in label) if several else checked(label, int, "label")
        counts[key] = Counts(**dict(zip(COUNTED, numbers, strict=True)))
    names = {name: text_of(record.get(name), name) for name in ("prediction", "reference")}
    return Case(**names, counts=counts)
