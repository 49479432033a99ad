"""The NumPy reference of every kernel, under the kernels' names: specification, oracle and fallback.

_backend.py calls `run` and `distance` with the same arguments as the compiled kernels, and the tests hold the two
equal. Read this to learn what a kernel computes: the C files say how it is made fast. Each file here is that of the
same name in csrc/, and so are its functions, so that one search finds the pair.

    real_math.py   elementary functions
    tile.py        a block of pixels, and its softmax
    loss.py        what a loss is to the driver
    elements.py    losses of one element: a value and its derivative
    pixels.py      losses with one value per pixel, from all its classes
    regions.py     the sums that region losses are made of
    transforms.py  functions of the input alone
    table.py       one entry per loss
    driver.py      blocks, weights, sums, gradients
    distance.py    the distance transform

It imports no backend and no loss object.
"""

from .distance import distance
from .driver import run
from .table import KERNELS

__all__ = ["KERNELS", "distance", "run"]
