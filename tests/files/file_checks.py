"""Helpers of the tests of readers: opens a file as `archive/` does, and compares its windows with the array."""

import threading
import tracemalloc
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from fastloss.files.errors import FileError
from fastloss.files.registry import open_stored


def read(path, window=None, key=None):
    """Return the `Stored`, and the values of a window or of the whole array."""
    with ExitStack() as stack:
        stored = open_stored(Path(path), key, stack)
        stored.check_bomb()
        values = np.array(stored.read(stored.whole if window is None else window))
    return stored, values


def random_windows(shape, number, seed=0):
    """Yield windows of any size, some of them empty, and all of them inside the shape."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        ends = [sorted(rng.integers(0, n + 1, 2)) for n in shape]
        yield tuple(slice(int(a), int(b)) for a, b in ends)


def check_rows_need_only_their_memory(path, array):
    """Read rows of chunks of an array (8, 2048, 2048) of 2 bytes, 64 MiB. A row of chunks has 8 MiB."""
    with ExitStack() as stack:
        found = open_stored(path, None, stack)
        assert found.chunks == (1, 256, 256)
        with most_memory() as most:
            for row in range(0, 2048, 256):
                values = found.read((slice(0, 8), slice(row, row + 256), slice(0, 2048)))
                assert (bits(values) == bits(array[:, row : row + 256])).all()
                del values
    assert most() < 4 * 8 * 2**20  # the row, the expected bits, and their comparison


def check_windows(path, array, number=20, key=None):
    """Check that the whole file and windows of it have the bits of the array, also from several threads."""
    with ExitStack() as stack:
        stored = open_stored(Path(path), key, stack)
        assert stored.shape == array.shape
        assert stored.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        assert stored.axes is None or len(stored.axes) == array.ndim
        assert stored.chunks is None or len(stored.chunks) == array.ndim
        windows = [stored.whole, *random_windows(array.shape, number)]
        wrong, parts = [], [windows[0::2], windows[1::2], windows[::-1]]

        def work(part):
            for window in part:
                try:
                    values = stored.read(window)
                    assert values.dtype == stored.dtype
                    np.testing.assert_array_equal(bits(values), bits(array[window]))
                except BaseException as error:
                    wrong.append((window, error))

        threads = [threading.Thread(target=work, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
    return stored


def bits(array):
    """Return the bits of the values in the machine's byte order."""
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return native.view(f"u{native.dtype.itemsize}")


def refused(path, *parts, key=None):
    """Check that reading the file is refused, with an error that names it and contains these parts."""
    with pytest.raises(FileError) as caught:
        read(path, key=key)
    message = str(caught.value)
    assert Path(path).name in message
    for part in parts:
        assert part in message, message
    return message


@contextmanager
def most_memory():
    """Yield a function that returns the most memory that Python and NumPy held within the block."""
    tracemalloc.start()
    most = []
    try:
        yield lambda: most[0]
        most.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def samples(shape, dtype, seed=0):
    """Return an array of all kinds of values of the type."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind == "f":
        return (4 * rng.standard_normal(shape)).astype(dtype)
    least = np.iinfo(dtype).min
    return rng.integers(least, np.iinfo(dtype).max, shape, dtype.newbyteorder("="), endpoint=True).astype(dtype)
