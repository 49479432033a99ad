"""Handles standard output and standard error that are closed, full, or no longer read.

`fastloss.cli.main` and `app.py` call this module, which imports nothing that needs the `cli` extra.
"""

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

from .errors import printable

CLOSED_PIPE = 141
"""The exit code that a shell reports for a program ended by SIGPIPE: 128 + 13."""


def say(text: str) -> None:
    """Print lines on standard error. Lines that cannot be written are lost; the exit code still shows the outcome."""
    if sys.stderr is None:
        return
    try:
        print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Drop the rest of a stream's buffer. Otherwise Python would try to write it again on exit, and fail again."""
    with suppress(io.UnsupportedOperation), open(os.devnull, "wb") as nowhere:  # in a test, the stream is not a file
        os.dup2(nowhere.fileno(), stream.fileno())
