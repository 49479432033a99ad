"""The losses as functions, named as in torch: `from fastloss import functional as F`."""

from ._engine.functions import FUNCTIONS
from .losses import *  # noqa: F403

__all__ = sorted(FUNCTIONS)  # pyright: ignore[reportUnsupportedDunderAll]
