"""The HTML page of a comparison of two runs. `Comparison.to_html` calls `comparison_page`.

`Comparison` belongs to `archive/`, a layer above, and so has no type here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._arrays import Array
from ..files.errors import printable, shown
from .charts import Axis, axis_of, rows_of, shows_dots
from .page import MOST_CELLS
from .rendering import rendered
from .words import number


def comparison_page(found: Any, *, title: str | None = None, command: str | None = None) -> str:
    """Return the page of a comparison.

    Parameters
    ----------
    found : Comparison
        The comparison.
    title : str, default None
        The heading. None: the names of the runs.
    command : str, default None
        The command line that made the comparison.

    Returns
    -------
    str
        The page.
    """
    runs = [shown(name) for name in found.runs]
    differences: Mapping[str, Any] = found.differences
    context = {
        "title": printable(title) if title else f"{runs[1]} against {runs[0]}",
        "runs": runs,
        "command": printable(command) if command else "",
        "facts": [
            ("Images in both", str(len(found.images))),
            *((f"Only in {name}", str(len(only))) for name, only in zip(runs, found.only, strict=True) if only),
            ("Classes", str(len(found.class_names))),
        ],
        "only": [
            (name, ", ".join(shown(one) for one in only[:20]) + (f" and {len(only) - 20} more" if only[20:] else ""))
            for name, only in zip(runs, found.only, strict=True)
            if only
        ],
        "losses": list(_losses(differences)),
        "parts": [_part(printable(name), one, found) for name, one in differences.items()],
        **_images(differences, found.images, runs),
    }
    return rendered("comparison.html", context)


def _losses(differences: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, one in differences.items():
        axis = _axis([one.difference, *one.interval])
        values = [number(value, "nan") for value in (*one.values, one.difference)]
        yield {"name": printable(name), "values": values, **_interval(axis, one, one.difference, one.interval)}


def _part(name: str, one: Any, found: Any) -> dict[str, Any]:
    """Return the differences per class, and their distribution over the images, for one loss."""
    axis = _axis(np.concatenate([one.per_class, one.class_intervals.ravel()]))
    classes = [
        {"name": printable(label), "value": number(value, "-"), **_interval(axis, one, value, bounds)}
        for label, value, bounds in zip(found.class_names, one.per_class, one.class_intervals, strict=True)
    ]
    spread, rows = rows_of([name], [one.per_image], shows_dots(len(found.images), len(found.differences)))
    row = rows[0]
    finite = one.per_image[np.isfinite(one.per_image)]
    counts = {"lower": int((finite < 0).sum()), "higher": int((finite > 0).sum()), "equal": int((finite == 0).sum())}
    dots = {k: {"title": f"{shown(found.images[k])}: {number(one.per_image[k], '-')}"} for _, _, k in row.dots}
    texts = [number(value, "-") for value in row.quartiles]
    label = f"{name}: median {texts[2]}, middle half from {texts[1]} to {texts[3]}, {row.count} images"
    return {
        "name": name,
        "axis": axis,
        "classes": classes,
        "spread": spread,
        "row": {"shape": row, "dots": dots, "label": label, "quartiles": texts},
        "counts": counts,
    }


def _axis(values: Sequence[float] | Array) -> Axis:
    return axis_of(np.array([0.0, *values]))


def _interval(axis: Axis, one: Any, value: float, bounds: Any) -> dict[str, Any]:
    """Return the drawing of an interval, and whether the change is better or worse, if 0 is not in the interval."""
    low, high = float(bounds[0]), float(bounds[1])
    known = bool(np.isfinite([value, low, high]).all())
    lower, higher = ("worse", "better") if getattr(one, "higher_is_better", False) else ("better", "worse")
    verdict = "no value" if not known else lower if high < 0 else higher if low > 0 else "not clear"
    return {
        "axis": axis,
        "known": known,
        "at": axis.x(value) if known else 0.0,
        "from": axis.x(low) if known else 0.0,
        "to": axis.x(high) if known else 0.0,
        "zero": axis.x(0.0),
        "bounds": f"{number(low, 'nan')} to {number(high, 'nan')}",
        "verdict": verdict,
    }


def _images(differences: Mapping[str, Any], images: Sequence[str], runs: Sequence[str]) -> dict[str, Any]:
    """Return the table of images, those with the largest change of the first loss first."""
    first = next(iter(differences.values())).per_image
    order = np.lexsort((np.arange(len(first)), -np.nan_to_num(np.abs(first), nan=-1.0)))
    most = MOST_CELLS // (2 + 3 * len(differences))
    rows = [
        [
            shown(images[k]),
            *(
                number(value, "-")
                for one in differences.values()
                for value in (*one.image_values[:, k], one.per_image[k])
            ),
        ]
        for k in order[:most].tolist()
    ]
    header = ["Image", *(f"{printable(name)}: {what}" for name in differences for what in (*runs, "difference"))]
    which = "all" if len(rows) == len(images) else "the"
    return {
        "image_header": header,
        "image_rows": rows,
        "images_summary": f"The values of {which} {len(rows)} images, those whose first loss changes most first",
    }
