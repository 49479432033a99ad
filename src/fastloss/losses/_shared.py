"""What the docstrings of many losses say alike. A docstring holds the key in braces on a line of its own."""

from __future__ import annotations

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
    ignore_index : int
        A label whose pixels do not count.
    reduction : "mean", "sum" or "none"
        "none" gives the map of shape `(N, *S)`.
    axis : int
        The class axis of `input`.
""",
    "element_reduction": """
    reduction : "mean", "sum" or "none"
        The mean is $\\sum w l / \\sum w$ over `pixel_weight` $w$; "none" gives an array of the input's shape.
""",
}


def shared(loss: T) -> T:
    """Class decorator: put the texts in the docstring."""
    doc = loss.__doc__ or ""
    for key, text in TEXTS.items():
        doc = doc.replace(f"    {{{key}}}\n", text.lstrip("\n"))
    loss.__doc__ = doc
    return loss
