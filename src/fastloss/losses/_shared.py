"""What the docstrings of many losses say alike. A docstring holds the key in braces on a line of its own."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from typing import TypeVar

from .base import Loss

T = TypeVar("T", bound=type[Loss])

TEXTS = {
    "class_call": """
    The call takes `input` of shape `(N, C, *S)`, float16, bfloat16, float32 or float64; and `target`, labels `(N, *S)`
    of any integer or bool dtype, or a dense float or bool array of the input's shape; `pixel_weight` broadcasts to `(N,
    *S)` (dense: also to `(N, C, *S)`, averaged over classes in the mean's weight). It raises `LabelError` for a label
    out of range, ValueError for a wrong shape, weight or option, TypeError for a wrong dtype.
""",
    "element_call": """
    The call takes `input` of any shape, float16, bfloat16, float32 or float64; and `target` of the same shape, of any
    real dtype; `pixel_weight` broadcasts to that shape. It raises ValueError for a wrong shape, weight or option,
    TypeError for a wrong dtype.
""",
    "class_options": """
    ignore_index : int or sequence of int
        A label, or several, whose pixels do not count. A dense target has none: use `pixel_weight` there.
    reduction : "mean", "sum" or "none"
        "none" gives the map of shape `(N, *S)`.
    axis : int
        The class axis of `input`.
""",
    "element_reduction": """
    reduction : "mean", "sum" or "none"
        The mean is $\\sum w l / \\sum w$ over `pixel_weight` $w$; "none" gives an array of the input's shape.
""",
    "region_options": """
    activation : "softmax", "sigmoid" or None
        What turns `input` into probabilities; None: it holds probabilities already.
    class_weight : (C,) array, optional
        The mean over samples and classes is weighted with it.
    classes : sequence of int, optional
        The classes that count; MONAI's `include_background=False` is `range(1, C)`.
    batch : bool
        Sum over the pixels of the whole batch (over partials: of the whole dataset) instead of each sample's.
    absent : "keep", "zero", "skip" or "nan"
        What a class without a target pixel contributes: its formula's value; 0, counted; nothing; nan.
    ignore_index : int or sequence of int
        A label, or several, whose pixels do not count. A dense target has none: use `pixel_weight` there.
    reduction : "mean", "sum" or "none"
        Over samples and classes; "none" gives `(N, C')`, or `(C',)` with `batch`.
    axis : int
        The class axis of `input`.
""",
    "region_call": """
    The call takes `input`, float16, bfloat16, float32 or float64 of shape `(N, C, *S)`; and `target`, labels `(N,
    *S)` of any integer or bool dtype, or a dense float or bool array of the input's shape, for which $p y$ is the
    product. A single channel `(N, 1, *S)` takes labels {0, 1} of shape `(N, *S)` or `(N, 1, *S)`. `pixel_weight`
    broadcasts to `(N, *S)` (dense: also to `(N, C, *S)`). It raises `LabelError` for a label out of range, ValueError
    for a wrong shape, weight or option, TypeError for a wrong dtype.
""",
}


def shared(loss: T) -> T:
    """Class decorator: put the texts in the docstring."""
    # Without indentation, as CPython 3.13 leaves docstrings. Under `python -OO` there are none.
    doc = inspect.cleandoc(loss.__doc__ or "")
    for key, text in TEXTS.items():
        doc = doc.replace(f"{{{key}}}\n", textwrap.dedent(text).lstrip("\n"))
    loss.__doc__ = doc
    return loss


def shared_but(**own: str) -> Callable[[T], T]:
    """The same, with what stands behind "name : " in the loss's own words."""

    def decorate(loss: T) -> T:
        doc = shared(loss).__doc__ or ""
        for name, words in own.items() if sys.flags.optimize < 2 else ():
            start, end = re.search(rf"(?m)^{name} : (.*\n(?:    .*\n)+)", doc).span(1)  # type: ignore[union-attr]
            doc = doc[:start] + words.replace("\n        ", "\n    ") + "\n" + doc[end:]
        loss.__doc__ = doc
        return loss

    return decorate
