"""The layouts of masks in memory that the tests of labels and regions share."""

import numpy as np
from layouts import memory_mapped, misaligned

LAYOUTS = {
    "C": lambda a: a,
    "F": np.asfortranarray,
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1, ::-1],
    "strided": lambda a: a[::2, 1::3],
    "misaligned": misaligned,
    "mapped": memory_mapped,
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "empty": lambda a: a[:0],
    "scalar": lambda a: a[0, 0, ...],
    "4 axes": lambda a: a.reshape(2, -1, 2, a.shape[1] // 2).swapaxes(0, 2),
}
