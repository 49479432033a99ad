"""The command line: `fastloss evaluate`, `fastloss losses`, `fastloss info`.

This file holds `main`, the entry point of the console script. Nothing here needs the `cli` extra, so a missing package
gives a one-line message instead of a traceback. The commands are in `app.py`. The library never imports this package.
"""

from collections.abc import Sequence
from importlib.util import find_spec

from .streams import say

__all__ = ["main"]

REQUIRED = {"typer": "typer", "rich": "rich"}
"""The packages of the `cli` extra, as module -> distribution."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: the process's arguments) and return the exit code.

    0 is success. 2 is an error that the user can correct, reported on stderr. 130 is a stop by Ctrl-C. 141 means that
    the reader of standard output has gone away.
    """
    missing = [name for module, name in REQUIRED.items() if find_spec(module) is None]
    if missing:
        say(f'fastloss: {", ".join(missing)} not installed; run: pip install "fastloss[cli]"')
        return 2
    try:
        from .app import run

        return run(arguments)
    except KeyboardInterrupt:  # pressed before a command runs; a running command handles Ctrl-C itself
        return 130
