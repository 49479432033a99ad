"""Files as they are: readers of formats, which file belongs to which, label maps, and geometry.

Nothing here knows a loss. `archive/` evaluates what this package reads. Other packages add readers by the entry point
`fastloss.readers`.
"""

from .errors import FileError
from .registry import readers
from .stored import Reader, Source, Stored, Window, whole_file

__all__ = ["FileError", "Reader", "Source", "Stored", "Window", "readers", "whole_file"]
