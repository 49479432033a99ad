"""Batches: a few images that a worker in another process evaluates in one call, and the outcome that it returns.

`engines.py` cuts the work list into batches. The functions here run in the process of the worker.
"""

from __future__ import annotations

import dataclasses
import pickle
import platform
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from .. import _backend, _native
from .._threads import num_threads
from ..files.errors import FileError, printable, shown, well_formed
from ..files.pairing import Pair
from .quiet import quiet
from .worker import Failure, Result, Worker

Batch = Sequence[tuple[int, Pair]]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The facts that the process of a worker needs, apart from its batches.

    Attributes
    ----------
    worker : bytes
        The pickled `Worker`, which knows the kind of numbers.
    folder : Path
        The working directory of the caller, to which relative paths refer.
    backend : str
        The backend of the caller. The other one would give other digits.
    fused : bool
        Whether the kernels of the caller use fused multiply-add, without which the last digits differ.
    threads : int
        The number of threads that compute.
    version : str
        The version of fastloss of the caller.
    option : str
        The name of the option that chose the engine, for messages.
    """

    worker: bytes
    folder: Path
    backend: str
    fused: bool
    threads: int
    version: str
    option: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The results of a batch, and the error that ended it early, if any."""

    results: list[Result | Failure]
    error: Exception | None
    seconds: float


@cache
def version() -> str:
    """Return the version of fastloss in this process."""
    return metadata.version("fastloss")


def fused() -> bool:
    """Return whether the kernels in use have fused multiply-add. All levels that have it give the same bits."""
    arm = platform.machine().lower() in ("aarch64", "arm64")
    return _backend.get_backend() == "native" and (arm or _native.level != "base")


def evaluate_batch(setting: Setting, batch: Batch) -> Outcome:
    """Evaluate the images of a batch.

    An error is returned and not raised, because the images before it have results.
    """
    start = time.perf_counter()
    results = list[Result | Failure]()
    error: Exception | None = None
    placed = [(index, _placed(pair, setting.folder)) for index, pair in batch]
    try:
        with quiet(), _as_caller(setting) as worker, closing(worker.results(placed)) as found:
            for result in found:
                results.append(result)
    except Exception as caught:
        error = _portable(caught)
    for k, ((_, pair), (_, there)) in enumerate(zip(batch, placed, strict=True)):
        if pair is not there and k < len(results):
            results[k] = _as_given(results[k], pair, there)
        elif pair is not there and k == len(results) and isinstance(error, FileError):
            error = FileError(_as_named(str(error), pair, there))
    return Outcome(results=results, error=error, seconds=time.perf_counter() - start)


@contextmanager
def _as_caller(setting: Setting) -> Iterator[Worker]:
    """Compute as the caller does, and return the worker."""
    own = version()
    if own != setting.version:
        raise FileError(f"`{setting.option}=`: expected fastloss {setting.version} in every worker, got {own}")
    try:
        worker = pickle.loads(setting.worker)
    except (AttributeError, ImportError) as error:
        raise FileError(
            f"`{setting.option}=`: expected losses that a worker can import, got {printable(str(error))}; define them "
            "in a module"
        ) from error
    try:
        backend = _backend.backend(setting.backend)
        backend.__enter__()
    except ImportError as error:
        raise FileError(
            f"`{setting.option}=`: expected the {setting.backend} backend in every worker, as in the caller, got a "
            "worker without the compiled extension; install it there"
        ) from error
    with ExitStack() as stack:
        stack.push(backend)
        if fused() != setting.fused:
            raise FileError(
                f"`{setting.option}=`: expected processors that give the same digits, got one with fused multiply-add "
                "and one without; set FASTLOSS_ISA=base in the caller and in every worker"
            )
        stack.enter_context(num_threads(setting.threads))
        assert isinstance(worker, Worker)
        yield worker


def _portable(error: Exception) -> Exception:
    """Return the error in a form that reaches the caller, with its traceback unless its message explains it."""
    if isinstance(error, FileError):
        return error
    error.add_note("".join(traceback.format_exception(error)))
    try:
        same = type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:  # the error of any library
        same = False
    if same:
        return error
    other = RuntimeError(f"{type(error).__name__}: {error}")
    other.__notes__ = error.__notes__
    return other


# ---- relative paths: a worker may have another working directory


def _placed(pair: Pair, folder: Path) -> Pair:
    """Return the pair with absolute paths, or the pair itself if its paths are absolute."""
    if pair.prediction.is_absolute() and pair.target.is_absolute():
        return pair
    return dataclasses.replace(pair, prediction=folder / pair.prediction, target=folder / pair.target)


def _as_given(result: Result | Failure, pair: Pair, placed: Pair) -> Result | Failure:
    """Return the result with the paths as the caller gave them."""
    if isinstance(result, Failure):
        return dataclasses.replace(result, message=_as_named(result.message, pair, placed))
    case = result.case
    if case is not None:
        prediction, reference = well_formed(pair.prediction), well_formed(pair.target)
        case = dataclasses.replace(case, prediction=prediction, reference=reference)
    notes = tuple((_as_named(text, pair, placed), name) for text, name in result.notes)
    doubts = tuple(_as_named(text, pair, placed) for text in result.doubts)
    return dataclasses.replace(result, case=case, notes=notes, doubts=doubts)


def _as_named(text: str, pair: Pair, placed: Pair) -> str:
    """Return a message with the paths as the caller gave them, also those of files next to the pair's."""
    for given, there in ((pair.prediction, placed.prediction), (pair.target, placed.target)):
        before, after = (shown(path.parent / "x")[:-1] for path in (there, given))
        if len(before) > 1:  # the root would be any slash
            text = text.replace(before, after)
    return text
