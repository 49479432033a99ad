"""The choices of options, as typer reads and checks them. `app.py` uses them."""

from enum import StrEnum

import typer

from fastloss.files.layouts import LAYOUTS


class Activation(StrEnum):
    softmax = "softmax"
    sigmoid = "sigmoid"
    none = "none"


class RawType(StrEnum):
    bfloat16 = "bfloat16"


class Engine(StrEnum):
    dask = "dask"


class Hash(StrEnum):
    stat = "stat"
    content = "content"


class OnError(StrEnum):
    stop = "raise"
    skip = "skip"


class NoData(StrEnum):
    ignore = "ignore"
    label = "label"


def layout_name(name: str | None) -> str | None:
    """Check the name of a layout while the options are parsed, before any other work."""
    if name is not None and name not in LAYOUTS:
        raise typer.BadParameter(f"expected one of {', '.join(LAYOUTS)}, got {name!r}")
    return name
