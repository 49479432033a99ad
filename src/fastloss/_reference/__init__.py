"""The NumPy twin of every kernel, under the kernels' names: specification, oracle and fallback.

Called by _backend.run with the same arguments as the compiled kernels, and held equal to them by the tests. Read this
to learn what a kernel computes: the C files say how it is made fast.

    tile.py      a block of pixels, and the functions that all share
    elements.py  losses of one element: a value and its derivative
    pixels.py    losses with one value a pixel, from all its classes
    region.py    the sums that region losses are made of
    driver.py    blocks, weights, sums, gradients
    distance.py  the distance transform
"""

from .distance import distance
from .driver import run
from .elements import ELEMENT
from .pixels import PIXEL, TRANSFORM
from .region import Region

TWINS = {**PIXEL, **ELEMENT, **TRANSFORM, "region": Region}

__all__ = ["TWINS", "distance", "run"]
