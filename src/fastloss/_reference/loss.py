"""The functions of a loss, a Kernel, as in kernels/loss.h. table.py makes them; driver.py and pixels.py read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._arrays import Array

NO_MAPS, MAPS_AS_TARGET, MAPS_AS_WEIGHT = range(3)


class Kernel(NamedTuple):
    """One entry of the table. The kind of the loss decides which functions the entry has.

    Element losses have `value`, `slope` and `curve`. Pixel losses that sum these over the classes also have them. For
    the Hessian, pixel losses with a softmax of their own have `slope` and `curve` of log p. Pixel losses
    have `forward`, which returns the value of each pixel (P,), and `backward`, which returns the derivatives (C, P). In
    C, the classes come in blocks, so `forward` is two functions there: `forward` gathers, and `finish` makes the value.
    """

    value: Any = None  # (x or v, y, k)
    slope: Any = None
    curve: Any = None  # None: the loss has no Hessian
    inputs: tuple[Callable[[Array], Any], ...] = ()  # per activation: makes x or v of the input
    forward: Any = None  # (t, term, kernel, k); a region's takes (t, term)
    backward: Any = None  # a region's takes (t, term, maps, coefficients)
    maps: int = NO_MAPS  # how a summed loss or a region uses the maps
    softmax: bool = False  # whether the loss has a softmax of its own, whatever the activation
