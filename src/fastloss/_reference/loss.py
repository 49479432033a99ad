"""What a loss is to the driver: csrc/loss.h. table.py fills one Kernel per loss; driver.py and pixels.py read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._arrays import Array

NO_MAPS, MAPS_AS_TARGET, MAPS_AS_WEIGHT = range(3)


class Kernel(NamedTuple):
    """One entry of the table; the kind of its loss decides which functions it has.

    Element losses have value and slope, and so have pixel losses that sum them over the classes. Pixel losses have
    forward, which returns the value of each pixel (P,), and backward, which returns its derivatives (C, P). Classes
    come in blocks in C, so forward is two functions there: `forward` gathers, and `finish` makes the value.
    """

    value: Any = None  # (x or v, y, k)
    slope: Any = None
    inputs: tuple[Callable[[Array], Any], ...] = ()  # by activation: makes of the input what value and slope take
    forward: Any = None  # (t, term, kernel, k); a region's takes (t, term)
    backward: Any = None  # a region's takes (t, term, coefficients)
    maps: int = NO_MAPS  # what the distance maps are to a summed loss
