"""The options that decide the numbers of an evaluation, as JSON: the ledger keeps them, and compares those of two runs.

Everything in a `Task` is one of them, unless it is named here as of no influence.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._backend import config
from .._records import json_text, loss_record, plain, text_record
from ..files.errors import FileError, printable, shown
from .worker import Task

NO_INFLUENCE = {"read_threads", "skip", "one_hot"}

SPELLED = {
    "bfloat16": "dtype",
    "ignored": "ignore_index",
    "named_classes": "class_names",
    "own_classes": "prediction_labels",
    "usual": "layout",
    "counter": "nnunet_summary",
}
"""The options of `evaluate_files`, for those members of a `Task` whose names differ."""

LONGEST = 200


def task_options(task: Task, class_names: Sequence[str] | None, hash: str) -> dict[str, Any]:
    """Return the options of a run, by name, as records for JSON."""
    how = config()
    found: dict[str, Any] = {
        "fastloss": how["version"],
        # The other levels give the same bits.
        "backend": how["backend"] if how["level"] != "base" else f"{how['backend']}, level base",
        "losses": [[text_record(name), loss_record(loss)] for name, loss in task.losses.items()],
        "hash": hash,
    }
    known = {"losses", "how", "classes", *NO_INFLUENCE}
    members = {f.name: getattr(task, f.name) for f in dataclasses.fields(task) if f.name not in known}
    reading = {f.name: getattr(task.how, f.name) for f in dataclasses.fields(task.how)}
    axes, meaning = reading.pop("axes"), reading.pop("meaning")
    for part in (axes, meaning):
        reading |= {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    rest = reading | members | {"class_names": class_names}
    return found | {name: plain(value) for name, value in rest.items() if name not in NO_INFLUENCE}


def options_in_words(function: Callable[..., Any], given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the arguments of a call that differ from their defaults, as names and texts.

    The losses are left out, and what has no influence on values.
    """
    left_out = ("losses", "progress", "per_image_class", "examples")
    usual = {name: p.default for name, p in inspect.signature(function).parameters.items() if name not in left_out}
    texts = {name: _in_words(given[name]) for name, default in usual.items() if given[name] is not default}
    return tuple((name, text) for name, text in texts.items() if text != _in_words(usual[name]))


def _in_words(value: Any) -> str:
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_in_words(one)}" for name, one in value.items())
    if isinstance(value, (Sequence, np.ndarray)):
        return ", ".join(map(_in_words, value))
    return str(value) if isinstance(value, (bool, int, float, np.generic)) else type(value).__name__


def check_same(options: Any, expected: dict[str, Any], folder: Path, source: str, hint: str) -> None:
    """Refuse options that differ from those of another ledger or run, and name the first that differs."""
    for name in dict.fromkeys([*expected, *options]):
        one, other = (json_text(held.get(name)) for held in (options, expected))
        if one != other:
            raise FileError(
                f"{shown(folder)}: expected the options of {source}, got another {_spelled(name)}: "
                f"{_short(one)} in the folder, {_short(other)} in {source}; {hint}"
            )


def _spelled(name: str) -> str:
    if name in ("fastloss", "backend"):
        return {"fastloss": "version of fastloss", "backend": "backend"}[name]
    return f"`{SPELLED.get(name, name)}=`" if name != "losses" else "list of losses"


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
