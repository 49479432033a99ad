"""Checks of options, for the losses' __post_init__. Each returns the checked value, or its error names the option."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from . import _arrays
from ._arrays import LEAST, MOST, Array, as_reals, foreign

MOST_DIMS = 3  # of an image in which distances are measured


def check_common(loss: Any) -> None:
    """Check the options that many losses share."""
    names = {f.name for f in dataclasses.fields(loss)}
    if "class_weight" in names:
        freeze(loss, class_weight=vector(loss.class_weight, "class_weight"))
    if "pos_weight" in names and loss.pos_weight is not None:
        freeze(loss, pos_weight=number_or_vector(loss.pos_weight, "pos_weight"))
    if "label_smoothing" in names:
        freeze(loss, label_smoothing=number(loss.label_smoothing, "label_smoothing", 0, 1))
    if "ignore_index" in names:
        freeze(loss, ignore_index=labels_option(loss.ignore_index))
    if "axis" in names:
        freeze(loss, axis=integer(loss.axis, "axis"))
    if "activation" in names:
        choice(loss.activation, "activation", loss.activations)
    choice(loss.reduction, "reduction", loss.reductions)


def number_or_vector(value: Any, name: str) -> float | tuple[float, ...]:
    """Check a parameter >= 0 that may be one number or one number per class."""
    value = foreign(value, name)
    if value is not None and not _several(value):
        return number(np.asarray(value).item(), name, 0)
    checked = vector(value, name)
    if checked is None:
        raise TypeError(f"{name}: expected a number or one number per class, got None")
    return checked


def _several(value: Any) -> bool:
    try:
        return np.ndim(value) > 0
    except ValueError:  # ragged
        return True


def choice(value: Any, name: str, allowed: Sequence[Any]) -> None:
    if not isinstance(value, (str, bool, np.bool_, type(None))) or value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, got {value!r}")


def number(value: Any, name: str, low: float = -np.inf, high: float = np.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not low <= value <= high or not _finite(value):
        above = f"a finite number >= {low:g}" if np.isfinite(low) else "a finite number"
        expected = f"a number in [{low:g}, {high:g}]" if np.isfinite(high) else above
        raise ValueError(f"{name}: expected {expected}, got {_shown(value)}")
    return sized(float(value), name)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # more digits than Python prints
        return f"an integer of {int(value).bit_length()} bits"


def sized(value: float, name: str) -> float:
    """Check that float32 can hold a number, because a call may be in any dtype. -0.0 becomes 0.0, to have one repr."""
    if value != 0 and not LEAST <= abs(value) <= MOST:
        raise ValueError(f"{name}: expected 0 or a magnitude from {LEAST:g} to {MOST:g}, got {value!r}")
    return value + 0.0


def vector(value: Any, name: str) -> tuple[float, ...] | None:
    """Check a parameter with one number per class, such as class_weight."""
    checked = _arrays.vector(value, name)
    return None if checked is None else tuple(sized(number, name) for number in checked)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond float64
        return False


def positive(value: Any, name: str) -> float:
    if number(value, name, 0) == 0:
        raise ValueError(f"{name}: expected a finite number > 0, got {value!r}")
    return float(value)


def integer(value: Any, name: str) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{name}: expected an integer of 64 bits, got {value!r}")
    return int(value)


def labels_option(value: Any) -> int | tuple[int, ...]:
    """Check `ignore_index`. Return one label, or several in ascending order."""
    if not _several(value):
        return integer(value, "ignore_index")
    labels = sorted({integer(label, "ignore_index") for label in value})
    if not labels:
        raise ValueError(f"ignore_index: expected an integer or a sequence of at least one integer, got {value!r}")
    return labels[0] if len(labels) == 1 else tuple(labels)


def class_numbers(value: Any) -> tuple[int, ...] | None:
    """The checked value of the option `classes`: None or distinct integers."""
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"classes: expected a sequence of integers, got {value!r}")
    numbers = tuple(integer(c, "classes") for c in value)
    if not numbers or len(set(numbers)) != len(numbers):
        raise ValueError(f"classes: expected one or more distinct class numbers, got {list(numbers)}")
    return numbers


def chosen_classes(wanted: Sequence[int] | None, classes: int) -> list[int]:
    """The indices of the chosen classes, checked against the number of classes."""
    chosen = list(range(classes) if wanted is None else wanted)
    if not all(0 <= c < classes for c in chosen):
        raise ValueError(f"classes: expected numbers in [0, {classes}), got {chosen}")
    return chosen


def spacing_array(value: Any) -> Array:
    """Check a spacing before the number of axes is known: a positive finite number, or a sequence of such numbers."""
    steps = as_reals(value, "spacing", "a number or one number per axis")
    if steps.ndim > 1 or steps.size == 0:
        raise ValueError(f"spacing: expected a number or one number per axis, got {value!r}")
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(f"spacing: expected finite numbers > 0, got {value!r}")
    return steps


def as_spacing(value: Any, ndim: int) -> tuple[float, ...]:
    """Check a spacing, and return one number per axis. None is 1."""
    steps = spacing_array(1.0 if value is None else value)
    if steps.shape not in ((), (ndim,)):
        raise ValueError(f"spacing: expected a number or one number per axis ({ndim}), got {value!r}")
    return tuple(np.broadcast_to(steps, ndim).tolist())


def spacing_option(value: Any) -> float | tuple[float, ...] | None:
    """Check the option `spacing` of a loss or metric: None, one number, or one number per axis."""
    if value is None:
        return None
    steps = spacing_array(value)
    return tuple(steps.tolist()) if steps.ndim else float(steps)


def freeze(loss: Any, **values: Any) -> None:
    """Set checked values on a frozen dataclass that is being made."""
    for name, value in values.items():
        object.__setattr__(loss, name, value)
