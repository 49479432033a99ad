"""The bridge to the C kernels (_core.pyx)."""

from collections.abc import Sequence
from typing import Any

from ._arrays import Array

_Operand = tuple[Array, int | None, bool] | None

class Operands:
    def __init__(
        self,
        input: _Operand,
        target: _Operand,
        weight: _Operand,
        maps: _Operand,
        labels: bool,
        label_base: int,
        weight_by_class: bool,
        ignored: tuple[int, ...],
    ) -> None: ...

class Terms:
    def __init__(
        self,
        terms: list[tuple[int, int, Array | None, list[float | Array], float, Array | None]],
        classes: int,
    ) -> None: ...

def usual(
    input: Any, target: Any, reals: dict[Any, int], labels: dict[Any, int], ignored: tuple[int, ...]
) -> Operands | None: ...
def run(
    operands: Operands,
    terms: Terms,
    coefs: Sequence[Array | None] | None,
    output: _Operand,
    output_by_class: bool,
    mode: int,
    threads: int,
    merge: bool,
) -> tuple[Any, int]: ...
def count(operands: Operands, rule: int, level: float, matrix: bool, counts: Array, threads: int) -> int: ...
def distance(
    values: Array, key: bytes, inverted: bool, spacing: Sequence[float], out: Array, threads: int, rows: bool = False
) -> None: ...
def nearest(of: Array, to: Array, spacing: Sequence[float], found: Array, threads: int) -> None: ...
def jaccard_falls(keys: Array, target: Array, weight: Array | None, total: float, out: Array) -> None: ...
def losses() -> dict[str, int]: ...
def select_level(cap: str | None) -> str | None: ...
def openmp() -> int: ...
def forked() -> bool: ...
