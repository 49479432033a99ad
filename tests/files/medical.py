"""Holds what the tests of the medical readers share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fastloss.files import FileError, Stored
from fastloss.files.registry import open_stored


@contextmanager
def stored(path: Path) -> Iterator[Stored]:
    """Open a file as `archive/` does, with the check for archive bombs before anything is read."""
    with ExitStack() as stack:
        found = open_stored(path, None, stack)
        found.check_bomb()
        yield found


def values(path: Path) -> np.ndarray:
    """The whole array of a file. It has the shape and the dtype that the header promised."""
    with stored(path) as found:
        array = np.array(found.read(found.whole))
        assert (array.shape, array.dtype) == (found.shape, found.dtype)
        assert found.axes is None or len(found.axes) == array.ndim
        return array


def same_bits(got: np.ndarray, expected: np.ndarray) -> None:
    """Shape, type and bits are the same; only the byte order may differ."""
    assert got.shape == expected.shape
    assert got.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    native = [np.ascontiguousarray(a, a.dtype.newbyteorder("=")).tobytes() for a in (got, expected)]
    assert native[0] == native[1]


def refusal(path: Path) -> str:
    """Read a file that is refused, and return the message: one line that can be printed and names the file."""
    with pytest.raises(FileError) as caught:
        values(path)
    message = str(caught.value)
    assert path.name in message
    assert message.isprintable()
    return message


def installed(module: str, *names: str) -> list[Path]:
    """The files that an installed package brings, or nothing if it is not installed."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return []
    return [path for path in (Path(spec.origin).parent / name for name in names) if path.is_file()]
