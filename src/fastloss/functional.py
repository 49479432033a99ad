"""The losses as functions, with the names of torch: `from fastloss import functional as F`."""

from ._engine.functions import FUNCTIONS
from .losses import *  # noqa: F403

__all__ = sorted(FUNCTIONS)  # pyright: ignore[reportUnsupportedDunderAll]
