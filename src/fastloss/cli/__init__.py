"""The command line: `fastloss evaluate`, `fastloss losses`, `fastloss info`.

Holds `main`, the entry point of the console script. Nothing here needs the `cli` extra, so that a missing package is
reported in one line instead of a traceback. The commands are in `app.py`; the library never imports this package.
"""

from collections.abc import Sequence
from importlib.util import find_spec

from .streams import say

__all__ = ["main"]

REQUIRED = {"typer": "typer", "rich": "rich", "PIL": "pillow", "tifffile": "tifffile", "nibabel": "nibabel"}
"""The packages of the `cli` extra: module -> distribution."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: those of the process) and return its exit code.

    0: success. 2: an error that the user can correct, reported on stderr. 130: a stop by Ctrl-C. 141: the reader of
    standard output has gone away.
    """
    missing = [name for module, name in REQUIRED.items() if find_spec(module) is None]
    if missing:
        say(f'fastloss: {", ".join(missing)} not installed; run: pip install "fastloss[cli]"')
        return 2
    try:
        from .app import run

        return run(arguments)
    except KeyboardInterrupt:  # before a command runs; a command catches its own
        return 130
