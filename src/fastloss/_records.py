"""Writes losses and reports as JSON and reads them back, without pickle: every bit comes back, and no code is run.

`Report.save` and the ledger of `archive/` write such records. docs/formats.md describes them. A record that is read may
come from anybody: each of its values is checked, and nothing is allocated that the file does not hold.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from . import losses, metrics
from ._arrays import Array
from ._engine.loss import Composed, Loss
from ._engine.measure import Measure
from ._engine.metric import Metric
from .files.errors import FileError, printable, shown
from .files.opening import opened, reading
from .files.writing import check_writable, write_file

T = TypeVar("T")

REPORT = "fastloss-report"
VERSION = 1

LARGEST = 2**30
"""The most bytes of a file. A report of a million images and ten losses has a third of that."""

LONGEST_FIRST_LINE = 1000
DEEPEST_SUM = 8
MOST_CLASSES = 2**20  # unless the arrays hold more

NAMES = {dict: "an object", list: "a list", str: "a text", int: "an integer", float: "a number", bool: "true or false"}
CLASSES: dict[str, dict[str, type[Any]]] = {
    word: {
        name: cls
        for name, cls in vars(catalogue).items()
        if name in catalogue.__all__ and isinstance(cls, type) and issubclass(cls, base)
        if dataclasses.is_dataclass(cls)
    }
    for word, catalogue, base in (("loss", losses, Loss), ("metric", metrics, Metric))
}
"""The losses and metrics that a record may name."""


class AnyReport(Protocol):
    """What a record keeps of a `Report`."""

    losses: dict[str, Measure]
    classes: int
    _images: tuple[str | None, ...]
    _numbers: dict[str, Array]
    _class_numbers: dict[str, list[Array]]
    per_image: dict[str, Array]


# ---- files: a line that names the format and the checksum of the rest, and the rest


def write_record(path: str | os.PathLike[str], kind: str, record: Any) -> None:
    """Write a record to a file of its own: everything or nothing."""
    check_writable(Path(path))
    body = json_text(record) + "\n"
    if len(body) > LARGEST:
        raise FileError(f"{shown(path)}: expected at most {LARGEST} bytes, got {len(body)}")
    first = {"format": kind, "version": VERSION, "sha256": hashlib.sha256(body.encode()).hexdigest()}
    write_file(Path(path), f"{json_text(first)}\n{body}")


def read_record(path: str | os.PathLike[str], kind: str) -> Any:
    """Read the record of a file that `write_record` wrote."""
    with opened(Path(path)) as handle, reading(Path(path)):
        first = handle.readline(LONGEST_FIRST_LINE)
        size = os.fstat(handle.fileno()).st_size
        body = handle.read(min(size, LARGEST + 1))  # it allocates what it is asked for
    with decoding(shown(path)):
        try:
            head = parsed(first)
            found = member(head, "format", str)
        except ValueError:
            found = ""
        if found != kind:
            raise ValueError(f"expected a file of the format {kind}, got {shortened(found or 'another')}")
        version = member(head, "version", int)
        if version != VERSION:
            raise ValueError(f"expected version {VERSION} of {kind}, got {version}; read it with a newer fastloss")
        if size > LARGEST:
            raise ValueError(f"expected at most {LARGEST} bytes, got more")
        if hashlib.sha256(body).hexdigest() != member(head, "sha256", str):
            raise ValueError("expected the checksum of the first line, got another; the file is damaged or truncated")
        return parsed(body)


@contextmanager
def decoding(where: str) -> Iterator[None]:
    """Name the file in an error about its record."""
    try:
        yield
    except FileError:
        raise
    except ValueError as error:
        raise FileError(f"{where}: {error}") from error


def json_text(record: Any) -> str:
    """Return the record as one line of ASCII."""
    return json.dumps(record, allow_nan=False, separators=(",", ":"))


def parsed(text: bytes) -> Any:
    """Parse JSON. nan and infinity, which JSON does not have, are refused."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("expected a record, got JSON that is nested too deeply") from None
    except ValueError as error:  # also of text that is not UTF-8, and of integers of thousands of digits
        raise ValueError(f"expected JSON, got something else ({printable(str(error))})") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


# ---- values


def shortened(value: Any) -> str:
    """Return a value of a record for a message."""
    text = printable(repr(value)) if isinstance(value, (str, int, float, type(None))) else NAMES.get(type(value), "?")
    return text if len(text) <= 60 else text[:57] + "..."


def checked(value: Any, kind: type[T], what: str) -> T:
    """Return the value, if it is of this type."""
    if type(value) is not kind:
        raise ValueError(f"{what}: expected {NAMES[kind]}, got {shortened(value)}")
    return value


def member(record: Any, name: str, kind: type[T]) -> T:
    """Return a member of an object, if it is of this type."""
    if type(record) is not dict or name not in record:
        raise ValueError(f"{name}: expected {NAMES[kind]}, got nothing")
    return checked(record[name], kind, name)


def whole(record: Any, name: str) -> int:
    """Return a member that is an integer >= 0 and fits into 64 bits."""
    value = member(record, name, int)
    if not 0 <= value < 2**63:
        raise ValueError(f"{name}: expected an integer from 0 to 2**63 - 1, got {shortened(value)}")
    return value


def text_record(text: str) -> str | dict[str, str]:
    """Return a text for JSON. A path whose bytes are not UTF-8 becomes these bytes, in hexadecimal."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"bytes": text.encode("utf-8", "surrogateescape").hex()}
    return text


def text_of(value: Any, what: str) -> str:
    """Return the text of a `text_record`."""
    if type(value) is dict:
        try:
            return bytes.fromhex(member(value, "bytes", str)).decode("utf-8", "surrogateescape")
        except ValueError:
            raise ValueError(f"{what}: expected bytes in hexadecimal, got {shortened(value.get('bytes'))}") from None
    return checked(value, str, what)


def texts_of(record: Any, name: str) -> tuple[str, ...]:
    """Return a member that is a list of texts."""
    return tuple(text_of(value, name) for value in member(record, name, list))


def number_record(value: float) -> float | str:
    """Return a number for JSON, which has no nan and no infinity."""
    return float(value) if math.isfinite(value) else repr(float(value))


def number_of(value: Any, what: str) -> float:
    """Return the number of a `number_record`."""
    return float(value) if value in ("nan", "inf", "-inf") else checked(value, float, what)


def array_record(array: Array) -> dict[str, Any]:
    """Return an array of float64 with its bytes as text."""
    if array.dtype != np.float64:
        raise TypeError(f"array: expected float64, got {array.dtype}")
    return {"shape": list(array.shape), "float64": base64.b64encode(array.astype("<f8").tobytes()).decode()}


def array_of(record: Any, what: str, ndim: int) -> Array:
    """Return the array of an `array_record`. Its shape must be that of the bytes that the record holds."""
    shape = [checked(n, int, what) for n in member(record, "shape", list)]
    try:
        data = base64.b64decode(member(record, "float64", str), validate=True)
    except ValueError:
        raise ValueError(f"{what}: expected base64, got something else") from None
    if len(shape) != ndim or not all(0 <= n < 2**31 for n in shape) or math.prod(shape) * 8 != len(data):
        raise ValueError(f"{what}: expected {ndim} axes and bytes for all of the shape, got {len(data)} for {shape}")
    return np.frombuffer(data, "<f8").astype(np.float64).reshape(shape)


# ---- losses


def loss_record(loss: Measure) -> dict[str, Any]:
    """Return a loss or a metric for JSON: its class and those options that differ from their defaults."""
    if type(loss) is Composed:
        return {"sum": [[weight, loss_record(part)] for weight, part in loss.parts]}
    cls, word = type(loss), "metric" if isinstance(loss, Metric) else "loss"
    if CLASSES[word].get(cls.__name__) is not cls:
        raise TypeError(
            f"losses: expected losses of fastloss, which any reader has, got {cls.__module__}.{cls.__qualname__}"
        )
    fields = [(f.name, getattr(loss, f.name), f.default) for f in dataclasses.fields(loss) if f.init]  # type: ignore[arg-type]
    return {word: cls.__name__, "options": {name: _option(value) for name, value, usual in fields if value != usual}}


def _option(value: Any) -> Any:
    if isinstance(value, (np.bool_, np.number)):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Measure):
        return loss_record(value)
    return [_option(one) for one in value]


def loss_of(record: Any) -> Measure:
    """Return the loss or the metric of a `loss_record`."""
    return _loss_of(json_text(record))


@lru_cache(maxsize=256)  # the records of a ledger have the same losses
def _loss_of(text: str) -> Measure:
    return _made(json.loads(text), 0)


def _made(record: Any, depth: int) -> Measure:
    if type(record) is dict and "sum" in record:
        parts = [checked(part, list, "sum") for part in member(record, "sum", list)]
        if depth >= DEEPEST_SUM or not parts or any(len(part) != 2 for part in parts):
            raise ValueError("sum: expected a list of weights and losses, got another list")
        if not all(type(weight) is float and math.isfinite(weight) for weight, _ in parts):
            raise ValueError("sum: expected finite numbers as weights, got others")
        return Composed(tuple((weight, _summand(part, depth + 1)) for weight, part in parts))
    word = "metric" if type(record) is dict and "metric" in record else "loss"
    name, options = member(record, word, str), member(record, "options", dict)
    if name not in CLASSES[word]:
        raise ValueError(f"{word}: expected a {word} of fastloss, got {shortened(name)}")
    try:
        made: Measure = CLASSES[word][name](
            **{key: _given(value, f"{name}: {key}", depth) for key, value in options.items()}
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{word}: expected options of {name}, got others: {printable(str(error))}") from error
    return made


def _summand(record: Any, depth: int) -> Loss:
    made = _made(record, depth)
    if not isinstance(made, Loss):
        raise ValueError(f"sum: expected losses, got {made!r}")
    return made


def _given(value: Any, what: str, depth: int) -> Any:
    if type(value) is dict and value.keys() & {"loss", "metric", "sum"} and depth < DEEPEST_SUM:
        return _made(value, depth + 1)
    if type(value) is list:
        if any(type(one) not in (int, float, bool, str) for one in value):
            raise ValueError(f"{what}: expected numbers, got a list of something else")
        return tuple(value)
    if value is not None and type(value) not in (int, float, bool, str):
        raise ValueError(f"{what}: expected a number, a text or a list, got {shortened(value)}")
    return value


# ---- reports


def report_record(report: AnyReport) -> dict[str, Any]:
    """Return a report for JSON. The lists have one entry per loss, in the order of the losses."""
    return {
        "losses": [[text_record(name), loss_record(loss)] for name, loss in report.losses.items()],
        "classes": report.classes,
        "images": [None if name is None else text_record(name) for name in report._images],
        "numbers": [array_record(report._numbers[name]) for name in report.losses],
        "class_numbers": [[array_record(one) for one in report._class_numbers[name]] for name in report.losses],
        "per_image": [array_record(report.per_image[name]) for name in report.losses],
    }


def report_arguments(record: Any) -> tuple[Any, ...]:
    """Return the arguments of `Report` for a `report_record`."""
    given: dict[str, Measure] = {}
    for entry in member(record, "losses", list):
        if type(entry) is not list or len(entry) != 2:
            raise ValueError("losses: expected pairs of a name and a loss, got something else")
        given[text_of(entry[0], "losses")] = loss_of(entry[1])
    classes = whole(record, "classes")
    images = [None if name is None else text_of(name, "images") for name in member(record, "images", list)]
    lists = [member(record, name, list) for name in ("losses", "numbers", "class_numbers", "per_image")]
    if len({len(given), *map(len, lists)}) != 1:
        raise ValueError("losses: expected other names, and one entry per loss in every list, got another number")
    names, (_, numbers, class_numbers, per_image) = list(given), lists
    arrays = {name: array_of(one, "numbers", 2) for name, one in zip(names, numbers, strict=True)}
    class_arrays = {
        name: [array_of(part, "class_numbers", 2) for part in checked(one, list, "class_numbers")]
        for name, one in zip(names, class_numbers, strict=True)
    }
    values = {name: array_of(one, "per_image", 1) for name, one in zip(names, per_image, strict=True)}
    for name, loss in given.items():
        _check_numbers(loss, classes, arrays[name], class_arrays[name])
        if len(values[name]) != len(images):
            raise ValueError(f"per_image: expected one number per image ({len(images)}), got {len(values[name])}")
    return given, classes, images, arrays, class_arrays, values


def _check_numbers(loss: Measure, classes: int, numbers: Array, class_numbers: list[Array]) -> None:
    """Check that the loss can compute its values from these numbers, by computing them."""
    most = max([MOST_CLASSES, *(one.shape[1] for one in class_numbers)])
    if not 1 <= classes <= most:
        raise ValueError(f"classes: expected an integer from 1 to {most}, got {classes}")
    parts = loss.summands()
    if any(part.reduction == "none" for _, part in parts):
        raise ValueError(f"losses: expected reduction='mean' or 'sum', got {loss!r}")
    if len(numbers) == 0 or len(parts) != len(class_numbers) or any(len(one) == 0 for one in class_numbers):
        raise ValueError(f"numbers: expected the sums of {loss!r}, got another number of arrays")
    try:
        with np.errstate(all="ignore"):
            fits = numbers.shape[1] == loss.partial_size(classes)
            loss.value_of(numbers[0], classes)
            found = [part.class_values_of(one[0], classes) for (_, part), one in zip(parts, class_numbers, strict=True)]
    except (ValueError, IndexError, TypeError, ArithmeticError) as error:
        raise ValueError(f"numbers: expected the sums of {loss!r}, got others: {printable(str(error))}") from error
    if not fits or any(values.shape != (classes,) for values in found):
        raise ValueError(f"numbers: expected the sums of {loss!r} for {classes} classes, got another number of sums")


def plain(value: Any) -> Any:
    """Return options for JSON, whatever they consist of. Equal options have equal texts."""
    if isinstance(value, Measure):
        return loss_record(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return sorted(([plain(key), plain(one)] for key, one in value.items()), key=json_text)
    if isinstance(value, (set, frozenset)):
        return sorted((plain(one) for one in value), key=json_text)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, str):
        return text_record(value)
    return number_record(value) if isinstance(value, float) else _option(value)
