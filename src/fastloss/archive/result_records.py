"""The result of an image as a record of JSON (`_records.py`), for the ledger."""

from __future__ import annotations

from typing import Any

from .._records import member, report_arguments, report_record, shortened, text_of, text_record, texts_of, whole
from ..report.facts import case_of, case_record, spacing_of, spacing_record
from ..results import Report
from .checks import Kind
from .worker import Result


def result_record(result: Result) -> dict[str, Any]:
    """Return a result for JSON."""
    names = result.class_names
    return {
        "report": report_record(result.report),
        "kind": {"certain": result.kind.certain, "dense": result.kind.dense},
        "class_names": None if names is None else [text_record(name) for name in names],
        "notes": [[text_record(text), text_record(image)] for text, image in result.notes],
        "doubts": [text_record(text) for text in result.doubts],
        "spacing": spacing_record(result.spacing),
        "nbytes": int(result.nbytes),
        "nan": bool(result.nan),
        "case": None if result.case is None else case_record(result.case),
    }


def result_of(record: Any, index: int, name: str) -> Result:
    """Return the result of a `result_record`, for the image of this name and position in the work list."""
    kind = member(record, "kind", dict)
    notes = member(record, "notes", list)
    if any(type(note) is not list or len(note) != 2 for note in notes):
        raise ValueError("notes: expected pairs of texts, got something else")
    report = Report(*report_arguments(member(record, "report", dict)))
    if report.images != (name,):
        raise ValueError(f"images: expected {shortened(name)}, got other images")
    return Result(
        index=index,
        report=report,
        kind=Kind(certain=member(kind, "certain", bool), dense=member(kind, "dense", bool)),
        class_names=None if record.get("class_names") is None else texts_of(record, "class_names"),
        notes=tuple((text_of(text, "notes"), text_of(image, "notes")) for text, image in notes),
        doubts=texts_of(record, "doubts"),
        spacing=spacing_of(record.get("spacing")),
        nbytes=whole(record, "nbytes"),
        nan=member(record, "nan", bool),
        case=None if record.get("case") is None else case_of(record["case"]),
    )
