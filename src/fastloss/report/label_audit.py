"""LabelAudit: the result of `audit_files`, with the images ranked by the quality of their labels."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._arrays import Array
from .._backend import config
from ..files.errors import well_formed
from ..files.pairing import Pair
from ..files.writing import check_ending, check_writable, write_file
from .formats import _csv_text, _finite, _named, _text_cell

__all__ = ["LabelAudit"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelAudit:
    """The result of `audit_files`: how far a model agrees with the labels of each image and class.

    Attributes
    ----------
    pairs : tuple of Pair
        The files of each image, in the order of their names.
    class_names : tuple of str
        The name of each class.
    quality : array, shape (images,)
        The label quality of each image, from 0 to 1: the softmin of the scores of its pixels. nan if no pixel counts,
        or if the prediction holds nan.
    pixels, contradicted : array of int, shape (images,)
        The number of pixels that count, and of those whose label the model contradicts.
    class_pixels : array of int, shape (classes,)
        The number of pixels with each label.
    thresholds : array, shape (classes,)
        The mean probability of each class over the pixels with its label. nan for a class without pixels.
    suggestions : array of int, shape (classes, classes)
        The number of contradicted pixels by their label (row) and by the class that the model suggests (column).
    notes : tuple of str
        The decisions about the files, and doubts about their values, one sentence each.
    nbytes : int
        The size of the predictions and masks in memory, in bytes. Each is read twice.
    seconds : float
        The time of both passes, with reading.

    See Also
    --------
    audit_files : Makes an audit.
    """

    pairs: tuple[Pair, ...]
    class_names: tuple[str, ...]
    quality: Array
    pixels: Array
    contradicted: Array
    class_pixels: Array
    thresholds: Array
    suggestions: Array
    notes: tuple[str, ...] = field(default=())
    nbytes: int = 0
    seconds: float = 0.0

    @property
    def images(self) -> tuple[str, ...]:
        """Name the images.

        Returns
        -------
        tuple of str
            The name of each image, in the order of `pairs`.
        """
        return tuple(pair.name for pair in self.pairs)

    def worst(self, count: int | None = None) -> list[int]:
        """Rank the images by the quality of their labels, lowest first.

        Images whose quality is nan although pixels count come before all others. An image without pixels is left out.

        Parameters
        ----------
        count : int, default None
            The most images to return. None: all.

        Returns
        -------
        list of int
            The positions of the images in `images`.
        """
        counted = [k for k in range(len(self.pairs)) if self.pixels[k]]
        return sorted(counted, key=lambda k: (not math.isnan(self.quality[k]), self.quality[k], k))[:count]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the ranked images to a file: everything or nothing.

        Parameters
        ----------
        path : path
            A name that ends in `.json` or `.csv`. The JSON also has the classes. docs/audit.md describes both.

        Raises
        ------
        FileError
            If the name ends otherwise, or the file cannot be written.
        """
        check_audit_output(path)
        write_file(Path(path), WRITERS[Path(path).suffix.lower()](self))

    def __repr__(self) -> str:
        pixels, found = int(self.pixels.sum()), int(self.contradicted.sum())
        return f"<LabelAudit of {len(self.pairs)} images: {found} of {pixels} labels contradicted>"


def check_audit_output(path: str | os.PathLike[str]) -> None:
    """Refuse an output that could not be written, before any work is done.

    Parameters
    ----------
    path : path
        The output of `LabelAudit.write`.

    Raises
    ------
    FileError
        If the name has no known ending, or the file cannot be written.
    """
    check_ending(Path(path), WRITERS)
    check_writable(Path(path))


def audit_json(audit: LabelAudit) -> str:
    how = config()
    data = {
        "fastloss": how["version"],
        "backend": how["backend"],
        "images": len(audit.pairs),
        "pixels": int(audit.pixels.sum()),
        "contradicted": int(audit.contradicted.sum()),
        "notes": list(audit.notes),
        "classes": [_class_record(audit, k) for k in range(len(audit.class_names))],
        "per_image": [
            {
                **_named("image", audit.pairs[k].name),
                **_named("prediction", audit.pairs[k].prediction),
                **_named("target", audit.pairs[k].target),
                "quality": _finite(audit.quality[k]),
                "pixels": int(audit.pixels[k]),
                "contradicted": int(audit.contradicted[k]),
            }
            for k in _all_ranked(audit)
        ],
    }
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def _class_record(audit: LabelAudit, k: int) -> dict[str, Any]:
    row = audit.suggestions[k]
    return {
        "class": audit.class_names[k],
        "pixels": int(audit.class_pixels[k]),
        "threshold": _finite(audit.thresholds[k]),
        "contradicted": int(row.sum()),
        "suggested": {name: int(count) for name, count in zip(audit.class_names, row, strict=True) if count},
    }


def _csv(audit: LabelAudit) -> str:
    header = ["image", "quality", "pixels", "contradicted"]
    return _csv_text(
        header,
        (
            [
                _text_cell(well_formed(audit.pairs[k].name)),
                repr(float(audit.quality[k])),
                str(audit.pixels[k]),
                str(audit.contradicted[k]),
            ]
            for k in _all_ranked(audit)
        ),
    )


def _all_ranked(audit: LabelAudit) -> list[int]:
    """Return all images, those without pixels last."""
    ranked = audit.worst()
    return ranked + sorted(set(range(len(audit.pairs))) - set(ranked))


WRITERS: dict[str, Callable[[LabelAudit], str]] = {".json": audit_json, ".csv": _csv}
