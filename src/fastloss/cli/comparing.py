"""The output of `fastloss compare`: tables, JSON, and the conditions of `--fail-if`. `app.py` calls this module."""

import json
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastloss.archive.compare import Comparison, Difference
from fastloss.files.errors import printable, well_formed
from fastloss.report.words import number

from .errors import UserError
from .tables import console, table

TESTS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
CONDITION = re.compile(r"\s*(.+?)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*")


@dataclass(frozen=True)
class Condition:
    """A condition such as `dice > 0.01` on the difference of a loss."""

    text: str
    loss: str
    test: str
    bound: float

    def holds(self, found: Comparison) -> bool:
        """Return whether the difference of the loss meets the condition. nan meets every one, since it is no pass."""
        difference = found.differences[self.loss].difference
        return math.isnan(difference) or TESTS[self.test](difference, self.bound)


def conditions(texts: Sequence[str]) -> list[Condition]:
    """Read the conditions of `--fail-if`."""
    return [_condition(text) for text in texts]


def _condition(text: str) -> Condition:
    found = CONDITION.fullmatch(text)
    try:
        if found is not None:
            return Condition(printable(text.strip()), found[1], found[2], float(found[3]))
    except ValueError:
        pass
    raise UserError(f'--fail-if: expected a loss, a sign and a number, such as "dice > 0.01", got {printable(text)!r}')


def check_names(wanted: Sequence[Condition], found: Comparison) -> None:
    """Check that each condition names a loss of the ledgers."""
    for condition in wanted:
        if condition.loss not in found.differences:
            known = ", ".join(map(printable, found.differences))
            raise UserError(f"--fail-if: expected a loss of the ledgers ({known}), got {printable(condition.loss)}")


def tables_of(found: Comparison, names: Sequence[str], worst: int) -> None:
    """Print the differences of all images, of the classes, and of the images that became worst."""
    out, losses = console(), list(found.differences)
    rows = [
        [name, *(number(v, "nan") for v in (*d.values, d.difference)), _interval(d.interval)]
        for name, d in found.differences.items()
    ]
    title = f"Loss of {len(found.images)} images in both runs; the difference is {names[1]} minus {names[0]}"
    table(out, title, ["loss", *names, "difference", "95 % interval"], rows)
    print()
    rows = [
        [label, *(_of_class(difference, k) for difference in found.differences.values())]
        for k, label in enumerate(found.class_names)
    ]
    table(out, "Difference per class, with its 95 % interval", ["class", *losses], rows)
    ranked = _ranked(found, worst)
    if ranked:
        print()
        rows = [[found.images[i], *(number(d.per_image[i], "-") for d in found.differences.values())] for i in ranked]
        change, what = ("decrease", "metric") if found.differences[losses[0]].higher_is_better else ("increase", "loss")
        title = f"The {len(ranked)} images with the largest {change} of {losses[0]} (the first {what})"
        table(out, title, ["image", *losses], rows)


def _of_class(difference: Difference, k: int) -> str:
    value = difference.per_class[k]
    return f"{number(value, '-')} {_interval(difference.class_intervals[k])}" if value == value else "-"


def _ranked(found: Comparison, count: int) -> list[int]:
    first = next(iter(found.differences.values()))
    values = (first.per_image * (1 if first.higher_is_better else -1)).tolist()
    return sorted((i for i, v in enumerate(values) if not math.isnan(v)), key=lambda i: (values[i], i))[:count]


def _interval(bounds: Sequence[float]) -> str:
    return f"[{bounds[0]:.4g}, {bounds[1]:.4g}]"


def as_json(found: Comparison, names: Sequence[str]) -> str:
    """Return everything as JSON."""

    def finite(values: Any) -> Any:
        if isinstance(values, float):
            return values if math.isfinite(values) else None
        return [finite(value) for value in values]

    data = {
        "runs": [well_formed(name) for name in names],
        "images": len(found.images),
        "only": [[well_formed(name) for name in one] for one in found.only],
        "classes": list(found.class_names),
        "losses": {
            name: {
                "values": finite(d.values),
                "difference": finite(d.difference),
                "interval": finite(d.interval),
                "per_class": finite(d.per_class.tolist()),
                "class_intervals": finite(d.class_intervals.tolist()),
            }
            for name, d in found.differences.items()
        },
        "per_image": [
            {
                "image": well_formed(image),
                "differences": {name: finite(float(d.per_image[i])) for name, d in found.differences.items()},
            }
            for i, image in enumerate(found.images)
        ],
    }
    return json.dumps(data, indent=1, allow_nan=False) + "\n"
