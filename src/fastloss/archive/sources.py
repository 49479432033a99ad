"""Sources: the pairs of files, and how they are read, from the options that all functions of archives share."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .._options import labels_option
from ..files.errors import FileError
from ..files.fitting import AxisOptions, check_axes
from ..files.label_maps import LabelMap, read_label_map
from ..files.layouts import Layout, find_layout
from ..files.pairing import Paired, pair_files
from ..files.regions import Regions, parse_regions
from .images import Reading
from .meaning import Meaning


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Which files are read, and how.

    Attributes
    ----------
    folders : pair of Path
        The predictions and the targets, as they were given.
    paired : Paired
        The pairs of files.
    reading : Reading
        How they are read.
    class_names : tuple of str or None
        The names of the classes, if an option or a layout gives them.
    class_order : tuple of int or None
        The order of the regions in nnU-Net's label maps.
    """

    folders: tuple[Path, Path]
    paired: Paired
    reading: Reading
    class_names: tuple[str, ...] | None
    class_order: tuple[int, ...] | None


def find_sources(
    predictions: Path,
    targets: Path,
    *,
    match: tuple[str, str] | None,
    layout: str | None,
    axis: int | None,
    axes: str | None,
    target_axes: str | None,
    key: str | None,
    target_key: str | None,
    dtype: str | None,
    scale: float | None,
    labels: str | os.PathLike[str] | None,
    class_names: Sequence[str] | None,
    ignore_index: int | Sequence[int] | None,
    round_labels: float | None,
    nodata: str | None,
    ignore_geometry: bool,
    prediction_labels: str | os.PathLike[str] | None = None,
    regions: str | Mapping[str, Sequence[int]] | None = None,
    num_classes: int | None = None,
    one_hot: bool = True,
) -> Sources:
    """Check the options, which `evaluate_files` describes, and find the pairs.

    one_hot: whether label maps as predictions become one-hot scores.
    """
    check_axes(axes, "axes")
    check_axes(target_axes, "target_axes")
    if axis is not None and axes is not None:
        raise FileError(f"`axis=`: expected `axes={axes}` without it, as its letter c names the class axis, got {axis}")
    _check_numbers(scale, dtype, round_labels, num_classes)
    check_choice(nodata, ("ignore", "label"), "nodata")
    kind = None if layout is None else find_layout(layout, predictions, targets)
    paired = pair_files(predictions, targets, match=match, layout=kind)
    label_map = _label_map(labels, kind)
    found_regions = _regions(regions, kind)
    names = _class_names(class_names, kind, label_map, found_regions)
    meaning = Meaning(
        bfloat16=dtype == "bfloat16",
        scale=scale,
        labels=label_map,
        prediction_labels=_prediction_labels(prediction_labels),
        own_classes=prediction_labels == "classes",
        regions=found_regions,
        ignored=_ignored(ignore_index, kind),
        round_labels=round_labels,
        num_classes=num_classes if num_classes is not None or prediction_labels is None else _count(label_map),
        named_classes=None if names is None else len(names),
        nodata=nodata,
        one_hot=one_hot,
    )
    options = AxisOptions(
        axis=axis,
        axes=axes,
        target_axes=target_axes,
        ignore_geometry=ignore_geometry,
        usual=None if kind is None else kind.axes,
    )
    return Sources(
        folders=(predictions, targets),
        paired=paired,
        reading=Reading(axes=options, key=key, target_key=target_key, meaning=meaning),
        class_names=names,
        class_order=None if kind is None else kind.class_order,
    )


def check_threads(read_threads: int) -> None:
    """Refuse a number of threads below 1."""
    if read_threads < 1:
        raise FileError(f"`read_threads=`: expected at least 1, got {read_threads}")


def check_choice(value: str | None, choices: Sequence[str], name: str) -> None:
    """Refuse a value that is neither None nor one of the choices."""
    if value is not None and value not in choices:
        raise FileError(f"`{name}=`: expected {' or '.join(choices)}, got {value!r}")


def _check_numbers(scale: float | None, dtype: str | None, round_labels: float | None, num_classes: int | None) -> None:
    check_choice(dtype, ("bfloat16",), "dtype")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise FileError(f"`scale=`: expected a finite number > 0, got {scale}")
    if scale is not None and dtype is not None:
        raise FileError(f"`scale=`: expected integer predictions, got `dtype={dtype}`; give only one of the two")
    if round_labels is not None and not 0 <= round_labels <= 0.4:
        raise FileError(f"`round_labels=`: expected a tolerance from 0 to 0.4, got {round_labels}")
    if num_classes is not None and num_classes < 1:
        raise FileError(f"`num_classes=`: expected at least 1, got {num_classes}")


def _label_map(labels: str | os.PathLike[str] | None, kind: Layout | None) -> LabelMap | None:
    if labels is None and (kind is None or kind.labels is None):
        return None
    name = labels if labels is not None else str(kind and kind.labels)
    return read_label_map(name if isinstance(name, str) else Path(name))


def _prediction_labels(labels: str | os.PathLike[str] | None) -> LabelMap | None:
    if labels is None or labels == "classes":
        return None
    return read_label_map(labels if isinstance(labels, str) else Path(labels))


def _regions(regions: str | Mapping[str, Sequence[int]] | None, kind: Layout | None) -> Regions | None:
    given = regions if regions is not None or kind is None else kind.regions
    return None if given is None else parse_regions(given)


def _class_names(
    given: Sequence[str] | None, kind: Layout | None, labels: LabelMap | None, regions: Regions | None
) -> tuple[str, ...] | None:
    """Return the names of the classes from the first source that has any."""
    sources = (
        given,
        None if regions is None else regions.names,
        None if kind is None else kind.class_names,
        None if labels is None else labels.names,
    )
    return next((tuple(names) for names in sources if names is not None), None)


def _ignored(ignore_index: int | Sequence[int] | None, kind: Layout | None) -> tuple[int, ...]:
    if ignore_index is not None:
        found = labels_option(ignore_index)
        return found if isinstance(found, tuple) else (found,)
    return () if kind is None else kind.ignore_index


def _count(labels: LabelMap | None) -> int | None:
    return None if labels is None else labels.classes
