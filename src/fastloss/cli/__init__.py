"""The command line: `fastloss evaluate`, `fastloss losses`, `fastloss info`.

Holds `main`, the entry point of the console script, and nothing that needs the `cli` extra: what is missing is
said in one line instead of a traceback. The commands are in `app.py`; the library never imports this package.
"""

from collections.abc import Sequence
from importlib.util import find_spec

from .streams import say

__all__ = ["main"]

REQUIRED = {"typer": "typer", "rich": "rich", "PIL": "pillow", "tifffile": "tifffile", "nibabel": "nibabel"}
"""What the `cli` extra installs: module -> distribution."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: those of the process) and return its exit code.

    0: done; 2: something the user can put right, said on stderr; 130: stopped by Ctrl-C; 141: the reader of standard
    output went away.
    """
    missing = [name for module, name in REQUIRED.items() if find_spec(module) is None]
    if missing:
        say(f'fastloss: {", ".join(missing)} not installed; run: pip install "fastloss[cli]"')
        return 2
    try:
        from .app import run

        return run(arguments)
    except KeyboardInterrupt:  # before a command took over; there it is caught too
        return 130
