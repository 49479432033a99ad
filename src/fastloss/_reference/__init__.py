"""The NumPy reference of every kernel, under the kernels' names: specification, oracle and fallback.

_backend.py calls `run`, `distance` and `jaccard_falls` with the same arguments as the compiled kernels. The tests
compare the results of the two. Read this package to learn what a kernel computes; the C files show how to do it fast.
Files and functions have the same names here and in csrc/, so one search finds both.

    real_math.py   elementary functions
    tile.py        a block of pixels, and its softmax
    loss.py        the functions of a loss that the driver calls
    elements.py    losses of one element: a value and its two derivatives
    probabilities.py  the same for losses of a probability
    pixels.py      losses with one value per pixel, computed from all its classes
    regions.py     the sums that region losses are computed from
    bins.py        counts of pixels by the interval of a probability
    transforms.py  functions of the input alone
    table.py       one entry per loss
    driver.py      blocks, weights, sums, gradients
    distance.py    the distance transform
    confusion.py   counts of predicted and true classes
    jaccard.py     the weights of the Lovasz losses

The package imports no backend and no loss object.
"""

from .confusion import confusion
from .distance import distance
from .driver import run
from .jaccard import jaccard_falls
from .table import KERNELS

__all__ = ["KERNELS", "confusion", "distance", "jaccard_falls", "run"]
