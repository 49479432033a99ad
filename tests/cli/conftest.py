"""Makes predictions and masks that many tests of the command line share."""

from __future__ import annotations

import numpy as np
import pytest
from commandline import CLASSES, HEIGHT, WIDTH, save_palette


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture
def scene(tmp_path, rng):
    """Write two folders: three predictions (float32, one of another size) and their palette masks."""
    (tmp_path / "p").mkdir()
    (tmp_path / "m").mkdir()
    for name, height in (("a", HEIGHT), ("b", HEIGHT), ("c", HEIGHT + 3)):
        np.save(tmp_path / "p" / f"{name}.npy", rng.normal(0, 2, (CLASSES, height, WIDTH)).astype(np.float32))
        save_palette(tmp_path / "m" / f"{name}.png", rng.integers(0, CLASSES, (height, WIDTH), np.uint8))
    return tmp_path


@pytest.fixture
def one(tmp_path, rng):
    """Return a prediction and its mask as arrays, and a folder for them."""
    logits = rng.normal(0, 2, (CLASSES, HEIGHT, WIDTH)).astype(np.float32)
    return logits, rng.integers(0, CLASSES, (HEIGHT, WIDTH), np.uint8), tmp_path
