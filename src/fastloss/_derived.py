"""What `fastloss.torch` and `fastloss.jax` share: losses by name and by key, signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any

from ._engine.functions import FUNCTIONS, loss_of
from .losses import Loss

# The functions of the losses with one input and one target, `dice_ce_loss` included.
NAMES = [name for name, cls in FUNCTIONS.items() if issubclass(cls, Loss)]


def loss_from(name: str, options: Mapping[str, Any]) -> Loss:
    """The loss of a function with these options. Equal options return the same object."""
    cls = FUNCTIONS[name]
    fields = [f for f in dataclasses.fields(cls) if f.init]
    unknown = sorted(options.keys() - {f.name for f in fields})
    if unknown:
        raise TypeError(f"{name}() got an unexpected keyword argument {unknown[0]!r}")
    loss: Loss = loss_of(cls, *(options.get(f.name, f.default) for f in fields))
    return loss


REGISTERED: dict[str, Loss] = {}


def key_of(loss: Loss) -> str:
    """A text that compiled code holds in place of a loss. The loss is registered on the first call.

    It is the repr, because compiled code may be cached on disk and must mean the same loss in another process.
    """
    key = repr(loss)
    while REGISTERED.setdefault(key, loss) != loss:  # another class of the same name
        key += "'"
    return key


def arguments_of(function: Any) -> list[str]:
    """The names of the arrays, beyond input and target, that a function of the catalogue accepts."""
    names = inspect.signature(function).parameters
    return [name for name in ("pixel_weight", "distance_maps") if name in names]


def derived_doc(documented: Any, note: str) -> str:
    """The summary and the parameters of a docstring of the catalogue, with a note after the summary."""
    text = inspect.getdoc(documented) or ""
    text = re.split(r"^(?:Returns|Raises|See Also)\n-+$", text, maxsplit=1, flags=re.MULTILINE)[0].rstrip()
    head, line, rest = text.partition("\n\nParameters\n")
    return f"{head}\n\n{note}{line}{rest}\n"
