"""Reads nnU-Net's `dataset.json`, of version 2 or 1: the labels or regions, the ignored label and the file ending.

`layouts.py` calls this module. The rules are those of `LabelManager` in nnunetv2 2.6.2
(nnunetv2/utilities/label_handling/label_handling.py), and of documentation/dataset_format.md in the same release.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import FileError, printable, shown
from .opening import opened, reading
from .registry import readers

NAME = "dataset.json"
LARGEST = 2**24
"""The most bytes of a `dataset.json`. Version 1 lists every case in it, in about 100 bytes per case."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The facts of a `dataset.json` that an evaluation needs.

    Attributes
    ----------
    names : tuple of str
        The names of the labels 0, 1, ... with the background. With regions: the names of the regions.
    regions : tuple of tuple of int, or None
        The labels of each region, in the order of the probabilities' channels. None: the classes exclude each other.
    class_order : tuple of int, or None
        nnU-Net's `regions_class_order`: the label that each region writes into the label map, one after the other.
    ignored : int or None
        The label of pixels that are not evaluated.
    ending : str
        The suffix of masks and predicted label maps, such as ".nii.gz".
    """

    names: tuple[str, ...]
    regions: tuple[tuple[int, ...], ...] | None
    class_order: tuple[int, ...] | None
    ignored: int | None
    ending: str


def find_dataset(predictions: Path, targets: Path) -> Dataset:
    """Read the `dataset.json` in the folder of the predictions, next to it, or in or next to the folder of the masks.

    nnU-Net copies the file into the folder of the predictions. The original is next to `labelsTr`.
    """
    folders = [path if path.is_dir() else path.parent for path in (predictions, targets)]
    places = [place for folder in folders for place in (folder, folder.resolve().parent)]
    for place in places:
        path = place / NAME
        with reading(path):
            present = path.exists()
        if present:
            return read_dataset(path)
    raise FileError(
        f"{shown(predictions)}: expected nnU-Net's {NAME} in this folder, next to it, or in or next to "
        f"{shown(targets)}, found none; copy it there"
    )


def read_dataset(path: Path) -> Dataset:
    """Read and check one `dataset.json`."""
    with opened(path) as handle, reading(path):
        text = handle.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise ValueError(f"expected at most {LARGEST} bytes, got more")
        held = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_unique)
    try:
        return _dataset(held)
    except ValueError as error:
        raise FileError(f"{shown(path)}: {printable(str(error))}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        twice = next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at]))
        raise ValueError(f"expected every key once per object, got {twice!r} again")
    return held


def _dataset(held: Any) -> Dataset:
    labels = held.get("labels") if isinstance(held, dict) else None
    if not isinstance(labels, dict) or not labels:
        raise ValueError('expected an object with "labels", such as {"labels": {"background": 0, "tumour": 1}}')
    if all(isinstance(value, str) for value in labels.values()):
        labels = _from_version_1(labels)
    ignored = _label(labels["ignore"], "ignore") if "ignore" in labels else None
    classes = {_name(name): _labels(value, name) for name, value in labels.items() if name != "ignore"}
    if labels.get("background") != 0:
        raise ValueError(f'"labels": expected "background" as label 0, got {labels.get("background")!r:.80}')
    largest = max(label for several in classes.values() for label in several)
    if ignored is not None and ignored != largest + 1:
        raise ValueError(f'"labels": expected "ignore" as the highest label, {largest + 1}, got {ignored}')
    ending = _ending(held)
    if any(len(several) > 1 for several in classes.values()):
        return _of_regions(held, classes, ignored, ending)
    by_label = sorted((single[0], name) for name, single in classes.items())
    if [label for label, _ in by_label] != list(range(len(by_label))):
        raise ValueError(
            f'"labels": expected the labels 0 to {len(by_label) - 1} for {len(by_label)} names, got '
            f"{[label for label, _ in by_label]!s:.80}"
        )
    names = tuple(name for _, name in by_label)
    return Dataset(names=names, regions=None, class_order=None, ignored=ignored, ending=ending)


def _of_regions(held: Any, classes: dict[str, tuple[int, ...]], ignored: int | None, ending: str) -> Dataset:
    """Keep the order of the file, without the background: the order of the channels in nnU-Net's `.npz`."""
    regions = {name: labels for name, labels in classes.items() if set(labels) != {0}}
    order = held.get("regions_class_order")
    if not isinstance(order, list) or len(order) != len(regions):
        raise ValueError(
            f'expected "regions_class_order" with one label per region ({len(regions)}), got {order!r:.80}'
        )
    return Dataset(
        names=tuple(regions),
        regions=tuple(regions.values()),
        class_order=tuple(_label(label, "regions_class_order") for label in order),
        ignored=ignored,
        ending=ending,
    )


def _from_version_1(labels: dict[str, str]) -> dict[str, Any]:
    """Turn version 1's `{"0": "background"}` into version 2's `{"background": 0}`."""
    turned: dict[str, Any] = {}
    for label, name in labels.items():
        if not (label.isascii() and label.isdigit() and len(label) < 6):
            raise ValueError(f'"labels": expected whole numbers as keys or as values, got {label!r:.80}: {name!r:.80}')
        if name in turned:
            raise ValueError(f'"labels": expected every name once, got {name!r:.80} again')
        turned[name] = int(label)
    if "background" not in turned:  # version 1 does not prescribe the name
        turned = {"background" if label == 0 else name: label for name, label in turned.items()}
    return turned


def _name(name: str) -> str:
    if not name or not name.isprintable():
        raise ValueError(f'"labels": expected names of printable characters, got {name!r:.80}')
    return name


def _label(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**16:
        raise ValueError(f'"labels": expected a whole number from 0 to 65535 for {name!r:.80}, got {value!r:.80}')
    return value


def _labels(value: Any, name: str) -> tuple[int, ...]:
    labels = tuple(_label(label, name) for label in (value if isinstance(value, list) else [value]))
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f'"labels": expected different labels for {name!r:.80}, got {value!r:.80}')
    return labels


def _ending(held: Any) -> str:
    ending = held.get("file_ending", ".nii.gz")  # version 1 has no other
    if not isinstance(ending, str) or ending.lower() not in readers():
        raise ValueError(f'"file_ending": expected a known suffix ({", ".join(readers())}), got {ending!r:.80}')
    return ending
