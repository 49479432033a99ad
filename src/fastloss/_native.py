"""Loads the compiled extension once and selects its instruction set. Without the extension, `core` is None.

_batch.py makes the operands of the extension, and _backend.py runs it.
"""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any

BACKENDS = ("auto", "native", "numpy")
LEVELS = ("base", "v3", "v4")


def _load() -> tuple[Any, str | None, dict[str, int]]:
    """Return the extension (or None), its level and its loss table. With FASTLOSS_BACKEND=native, it must exist."""
    wanted = os.environ.get("FASTLOSS_BACKEND") or "auto"
    if wanted not in BACKENDS:
        raise ValueError(f"FASTLOSS_BACKEND: expected one of {', '.join(BACKENDS)}, got {wanted!r}")
    try:
        _core = importlib.import_module("fastloss._core")
    except ImportError as error:
        if wanted == "native":
            raise ImportError(
                "FASTLOSS_BACKEND: expected 'auto' or 'numpy', because the compiled extension cannot be loaded, "
                f"got 'native': {error}"
            ) from error
        if wanted == "auto":
            warnings.warn(
                "fastloss: the compiled extension is not installed, so the slower NumPy implementation is used; "
                "set FASTLOSS_BACKEND=numpy to silence this warning",
                RuntimeWarning,
                stacklevel=2,
            )
        return None, None, {}
    cap = os.environ.get("FASTLOSS_ISA") or None
    level = _core.select_level(cap)
    if level is None:
        raise ValueError(f"FASTLOSS_ISA: expected one of {', '.join(LEVELS)}, got {cap!r}")
    return _core, level, _core.losses()


core, level, entries = _load()
