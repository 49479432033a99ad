"""Label maps: which class each label of a file is, and which labels are ignored.

A map is built in (`label_tables.py`) or a JSON file, such as

    {"labels": {"7": 0, "8": 1, "255": null, "#804080": 0, "*": null}, "names": ["road", "sidewalk"]}

where `null` ignores a label, `#804080` is a colour, and `*` means every other label. `archive/` calls this module.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .._faults import first, position
from .errors import FileError, printable, shown
from .label_tables import TABLES, Colour, rgb
from .lookup import UNKNOWN, codes, each_block, listed, placed
from .opening import opened, reading
from .stored import Array

IGNORED = -100
"""The label of pixels that a map leaves out. It is the default `ignore_index` of all losses."""

LARGEST = 2**20
"""The most bytes of a JSON file, enough for a map of 65536 labels."""

LARGEST_WHOLE = 2**53
"""Above this, float64 no longer tells whole numbers apart."""

LONGEST_INTEGER = 20
LABEL = re.compile(r"0|-?[1-9][0-9]{0,19}")
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
LOWEST, HIGHEST = -(2**63), 2**64 - 1  # of all integer types


@dataclass(frozen=True)
class LabelMap:
    """Which class each label of a file is.

    Attributes
    ----------
    classes : int
        The number of classes: the number of names, or the largest class plus 1.
    ids : mapping of int to int or None
        The class of each label in the file. None: ignored.
    colours : mapping of (red, green, blue) to int or None
        The class of each colour.
    names : tuple of str or None
        The names of the classes.
    others : int or None, default UNKNOWN
        The class of all other labels and colours. None: ignored. UNKNOWN (-1): they are an error.
    """

    classes: int
    ids: Mapping[int, int | None]
    colours: Mapping[Colour, int | None]
    names: tuple[str, ...] | None
    others: int | None = UNKNOWN

    def ignoring(self, labels: Iterable[int]) -> LabelMap:
        """Return the map with these labels of the file ignored as well."""
        return replace(self, ids={**self.ids, **{int(label): None for label in labels}})

    def apply(self, values: Array, path: Path, start: tuple[int, ...] | None = None) -> Array:
        """Return the class of each label as int16 or int32, and IGNORED where the label is ignored.

        Parameters
        ----------
        values : array of any integer or bool dtype, any shape and layout
            The labels in the file.
        path : Path
            The file, for messages.
        start : tuple of int, default None
            The position of the first value in the file, for messages. None: the values are the whole file.

        Returns
        -------
        int16 or int32 array
            The classes, in an array of the same shape.

        Raises
        ------
        FileError
            At the first label that the map does not have.
        """
        if values.dtype.kind not in "iub":
            raise FileError(f"{shown(path)}: expected integer labels, got {values.dtype}")
        if not self.ids and self.others == UNKNOWN:
            raise FileError(f"{shown(path)}: expected a picture in colour (the label map has colours only), got labels")
        labels, unknown = codes(values, _codes(self.ids), _code(self.others), start)
        if unknown is not None:
            label, at = unknown
            raise FileError(
                f"{shown(path)}: expected labels that the label map has ({listed(self.ids)}), got {label} at {at}; "
                f"give a `labels=` that has it, none if the labels are classes already, or ignore it with "
                f"`ignore_index={label}`"
            )
        return labels

    def apply_colours(self, values: Array, path: Path, start: tuple[int, ...] | None = None) -> Array:
        """Return the class of each colour, as `apply` does for labels.

        Parameters
        ----------
        values : uint8 array, shape (*S, 3), any layout
            Red, green and blue.
        path : Path
            The file, for messages.
        start : tuple of int, default None
            The position of the first value in the file, for messages. None: the values are the whole file.

        Returns
        -------
        int16 or int32 array, shape S
            The classes, and IGNORED where the colour is ignored.

        Raises
        ------
        FileError
            At the first colour that the map does not have.
        """
        if values.dtype != np.uint8 or values.shape[-1:] != (3,):
            got = f"{values.dtype} of shape {values.shape}"
            raise FileError(f"{shown(path)}: expected colours as uint8 of shape (..., 3), got {got}")
        if not self.colours and self.others == UNKNOWN:
            raise FileError(f"{shown(path)}: expected labels (the label map has no colours), got a picture in colour")
        packed = _packed(values)
        table = {_number(colour): _code(found) for colour, found in self.colours.items()}
        labels, unknown = codes(packed, table, _code(self.others), start)
        if unknown is not None:
            colour, at = unknown
            raise FileError(
                f"{shown(path)}: expected colours that the label map has, got #{colour:06x} at {at}; give a "
                f'`labels=` that has it, or "*" for every other colour'
            )
        return labels


def _code(found: int | None) -> int:
    return IGNORED if found is None else found


def _codes(ids: Mapping[int, int | None]) -> dict[int, int]:
    return {label: _code(found) for label, found in ids.items()}


def _number(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _packed(values: Array) -> Array:
    """Return each colour as one number of 24 bits."""
    channels = [values[..., k] for k in range(3)]
    out = np.empty_like(channels[0], dtype=np.uint32, subok=False)

    def pack(red: Array, green: Array, blue: Array, packed: Array) -> None:
        packed[...] = red << 16 | green << 8 | blue

    each_block(channels, out, pack, out.dtype)
    return out


def read_label_map(name_or_path: str | Path) -> LabelMap:
    """Return a built-in label map ("cityscapes", "ade20k", "voc"; capitals do not matter) or read a JSON file.

    A file that has such a name is read if it is given as a `Path` or as "./voc".
    """
    if isinstance(name_or_path, str) and name_or_path.lower() in TABLES:
        ids, colours, names = TABLES[name_or_path.lower()]()
        return LabelMap(classes=len(names), ids=ids, colours=colours, names=names)
    path = Path(name_or_path)
    if not path.suffix and not os.path.exists(path):
        raise FileError(f"{shown(path)}: expected the path of a JSON file, or one of {', '.join(TABLES)}")
    with opened(path) as handle, reading(path):
        data = handle.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise FileError(f"{shown(path)}: expected a label map of at most {LARGEST} bytes, got more")
        try:
            text = data.decode("utf-8-sig")
            return _label_map(json.loads(text, object_pairs_hook=_without_repeats, parse_int=_integer))
        except (UnicodeDecodeError, json.JSONDecodeError):
            raise
        except ValueError as error:
            raise FileError(f"{shown(path)}: {error}") from None


def _integer(text: str) -> int:
    """Turn the text of a number into an integer. Python takes long for many digits, and refuses 4300."""
    if len(text) > LONGEST_INTEGER:
        raise ValueError(f"expected numbers of at most {LONGEST_INTEGER} digits, got one of {len(text)}")
    return int(text)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"expected each key once, got {_brief(repeated)} twice")
    return found


def _label_map(value: Any) -> LabelMap:
    if not isinstance(value, dict):
        raise ValueError(f'expected an object such as {{"7": 0, "255": null}}, got {_brief(value)}')
    labels: Any = value
    names = None
    if "labels" in value or "names" in value:
        foreign = next((key for key in value if key not in ("labels", "names")), None)
        if foreign is not None:
            raise ValueError(f'expected "labels" and "names", got {_brief(foreign)}')
        labels = value.get("labels")
        names = _names(value["names"]) if "names" in value else None
    if not isinstance(labels, dict):
        raise ValueError(f'expected an object of labels such as {{"7": 0, "255": null}}, got {_brief(labels)}')
    ids: dict[int, int | None] = {}
    colours: dict[Colour, int | None] = {}
    others: int | None = UNKNOWN
    for key, found in labels.items():
        if found is not None and (type(found) is not int or found < 0):
            raise ValueError(f"expected a class (an integer >= 0) or null for {_brief(key)}, got {_brief(found)}")
        if key == "*":
            others = found
        elif COLOUR.fullmatch(key):
            if rgb(key[1:]) in colours:
                raise ValueError(f"expected each colour once, got {key.lower()} twice")
            colours[rgb(key[1:])] = found
        elif LABEL.fullmatch(key) and LOWEST <= int(key) <= HIGHEST:
            ids[int(key)] = found
        else:
            raise ValueError(f'expected an integer such as "7", a colour such as "#804080" or "*", got {_brief(key)}')
    used = {found for found in (*ids.values(), *colours.values(), others) if found is not None and found != UNKNOWN}
    return LabelMap(_class_count(used, names), ids, colours, names, others)


def _class_count(used: set[int], names: tuple[str, ...] | None) -> int:
    """Return the number of classes.

    Without names, each class needs a label. A missing class could be an error of typing, or a class of the prediction
    that the data set lacks; the names settle that.
    """
    if not used:
        raise ValueError("expected a label with a class, got none")
    if names is not None:
        if max(used) >= len(names):
            raise ValueError(f"expected one name per class, got {len(names)} names and class {_brief(max(used))}")
        return len(names)
    if max(used) >= len(used):
        missing = next(k for k in range(len(used)) if k not in used)
        raise ValueError(
            f"expected classes without a gap, got class {_brief(max(used))} and no label of class {missing}; if "
            f'class {missing} has no label, give "names" with one name per class'
        )
    return len(used)


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f'"names": expected a list of names, got {_brief(value)}')
    seen: set[str] = set()
    for name in value:
        if not isinstance(name, str) or not name.strip() or any("\ud800" <= c <= "\udfff" for c in name):
            raise ValueError(f'"names": expected text, got {_brief(name)}')
        if name.strip() in seen:
            raise ValueError(f'"names": expected different names, got {_brief(name)} twice')
        seen.add(name.strip())
    return tuple(name.strip() for name in value)


def _brief(value: Any) -> str:
    """Return a value of the JSON file as JSON writes it, for a message: printable, and not longer than a line."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 40 else f"{text[:40]}..."


def whole_labels(values: Array, tolerance: float | None, path: Path, start: tuple[int, ...] | None = None) -> Array:
    """Return labels that are stored as floating point numbers as int64.

    Parameters
    ----------
    values : array of any real dtype, any shape and layout
        The labels. Integers are returned as they are.
    tolerance : float or None
        How far a number may be from the label. None: not at all.
    path : Path
        The file, for messages.
    start : tuple of int, default None
        The position of the first value in the file, for messages. None: the values are the whole file.

    Returns
    -------
    int64 array, or `values` if they are integers
        The labels.

    Raises
    ------
    FileError
        At the first number that is not a label: not whole, nan, infinite, or of more than 2**53.
    """
    if values.dtype.kind in "iub":
        return values
    if values.dtype.kind != "f":
        raise FileError(f"{shown(path)}: expected integer labels, got {values.dtype}")
    if tolerance is not None and not 0 <= tolerance < 0.5:
        raise FileError(f"`round_labels={tolerance}`: expected a number from 0 to less than 0.5")
    kind = np.promote_types(values.dtype.newbyteorder("="), np.float32)  # float16 is computed as float32, exactly
    near = kind.type(tolerance or 0)
    out = np.empty_like(values, dtype=np.int64, subok=False)
    wrong = False

    def bad(block: Array) -> Array:
        block = block.astype(kind)
        with np.errstate(invalid="ignore"):
            whole: Array = (abs(block - np.rint(block)) <= near) & (abs(block) <= LARGEST_WHOLE)
        return ~whole  # of nan and infinity too, which compare as false

    def write(block: Array, labels: Array) -> None:
        nonlocal wrong
        faults = bad(block)
        wrong = wrong or bool(faults.any())
        labels[...] = np.where(faults, 0, np.rint(block))

    each_block([values], out, write, kind)
    if wrong:
        _raise_not_whole(values, first(bad, values), path, start)
    return out


def _raise_not_whole(
    values: Array, found: tuple[int, Any] | None, path: Path, start: tuple[int, ...] | None
) -> NoReturn:
    if found is None:  # another process has changed the file meanwhile
        raise FileError(f"{shown(path)}: expected a file that does not change, got other values in a second reading")
    index, number = found[0], float(found[1])
    got = f"got {values.dtype.type(number)!s} at {placed(position(index, values.shape), start)} ({values.dtype.name})"
    off = abs(number - round(number)) if math.isfinite(number) else 1.0
    if abs(number) > LARGEST_WHOLE:
        raise FileError(f"{shown(path)}: expected integer labels of at most 2**53, {got}")
    if off <= 0.1:
        needed = next(10.0**-k for k in range(16, 0, -1) if off <= 10.0**-k)
        got += f"; labels within a tolerance are rounded with `round_labels={needed:g}`"
    raise FileError(f"{shown(path)}: expected integer labels, {got}")
