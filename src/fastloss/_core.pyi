"""The compiled bridge to csrc/ (_core.pyx)."""

from collections.abc import Callable, Sequence
from typing import Any

from ._batch import Array

_Operand = tuple[Array, int | None, bool] | None
_Terms = list[tuple[int, int, Array | None, list[float | Array]]]

def run(
    input: _Operand,
    target: _Operand,
    weight: _Operand,
    output: _Operand,
    maps: _Operand,
    terms: _Terms,
    coefs: Sequence[Array | None],
    labels: bool,
    label_base: int,
    weight_by_class: bool,
    output_by_class: bool,
    ignore_index: int,
    double_precision: bool,
    mode: int,
    threads: int,
    merge: bool,
) -> tuple[Any, int]: ...
def run_plain(
    input: object,
    target: object,
    reals: dict[Any, int],
    labels: dict[Any, int],
    terms_of: Callable[[Any, int], _Terms],
    terms: Any,
    by_sample: bool,
    large: int,
    ignore_index: int,
    mode: int,
    threads: int,
) -> Any | None: ...
def distance(values: Array, key: bytes, inverted: bool, spacing: Sequence[float], out: Array, threads: int) -> None: ...
def losses() -> dict[str, int]: ...
def select_level(cap: str | None) -> str | None: ...
def openmp() -> int: ...
def forked() -> bool: ...
