"""Tests every public argument with values that it should not have.

Each call is computed, or refused with an error that names an argument, what was expected and what came. Both backends
do the same, and refuse before `out` is touched.

The table of test_errors.py has the exact words. This file tries every combination of argument and wrong type, dtype,
shape or value.
"""

from __future__ import annotations

import contextlib
import inspect
import re

import ml_dtypes
import numpy as np
import pytest
from cases import CASES, images

import fastloss as fl

X = np.zeros((2, 3, 4), np.float32)
Y = np.zeros((2, 4), np.int64)
D = np.full((2, 3, 4), 1 / 3, np.float32)
BOX = np.zeros((2, 4, 4), np.float32)

# Not all are wrong everywhere.
WRONG = {
    "None": None,
    "str": "a",
    "numpy str": np.str_("mean"),
    "bytes": b"a",
    "object": object(),
    "function": len,
    "type": int,
    "dict": {"a": 1},
    "set": {1},
    "generator": "a new one each time: see `wrong`",
    "range": range(3),
    "empty": [],
    "tuple": (1, 2),
    "ragged": [[1, 2], [3]],
    "True": True,
    "0": 0,
    "1": 1,
    "-1": -1,
    "0.5": 0.5,
    "-0.5": -0.5,
    "nan": np.nan,
    "inf": np.inf,
    "1j": 1j,
    "2^63": 2**63,
    "-2^64": -(2**64),
    "beyond float": 10**400,
    "numpy int": np.int64(2**58),
    "numpy nan": np.float16(np.nan),
    "0-d": np.array(1.0),
    "7-d": np.zeros((1,) * 7),
    "no element": np.zeros((0, 3)),
    "complex": np.zeros((2, 3, 4), complex),
    "objects": np.array([{}], object),
    "dates": np.zeros((2, 4), "M8[s]"),
    "strings": np.zeros((2, 4), "S1"),
    "records": np.zeros((2, 4), "f4,i4"),
    "long double": np.zeros((2, 3, 4), np.longdouble),
    "float8": np.zeros((2, 3, 4), ml_dtypes.float8_e4m3fn),
    "int4": np.zeros((2, 4), ml_dtypes.int4),
    "nans": np.full((2, 4), np.nan, np.float16),
    "labels": np.full((2, 4), 7),
    "masked": np.ma.masked_array(np.zeros((2, 3, 4), np.float32), True),
}
with contextlib.suppress(ImportError):
    import torch

    WRONG |= {
        "tensor of gradients": torch.ones(3, requires_grad=True),
        "tensor without data": torch.zeros(2, 3, 4, device="meta"),
        "sparse tensor": torch.zeros(2, 3, 4).to_sparse(),
        "tensor of float8": torch.zeros(2, 3, 4, dtype=torch.float8_e4m3fn),
        "negated view": torch._neg_view(torch.zeros(2, 3, 4)),
    }

# What a call is given otherwise, by the argument's name; of dense targets instead of labels where those are refused.
RIGHT = {
    **dict.fromkeys(("input", "a", "x", "cls", "box", "box_target", "d_real", "d_fake", "mask_logits"), X),
    **dict.fromkeys(("target", "labels", "mask", "mask_a", "mask_b", "cls_target", "y"), Y),
    "p": D,
    "logits": np.array([[1, 3, 2, 1], [2, 1, 0, 0], [0, 0, 1, 3]], np.float32)[None].repeat(2, 0),
    "tolerance": 1.0,
    "num_classes": 3,
    "epsilon": 0.1,
    "class_ids": [0, 1],
    "mask_target": D[:, 0],
    "losses": {"dice": fl.DiceLoss()},
    "loss": fl.CrossEntropyLoss(),
    "name": "auto",
    "n": 1,
}
DETECTION = {"cls_logits": X[:, 0], "labels": Y, "box_pred": BOX, "box_target": BOX}
OWN = {
    "smooth_labels": {"target": D},
    "faster_rcnn_loss": DETECTION,
    "mask_rcnn_loss": DETECTION,
}
# Bases, results, errors, tiles (which get their data later), the process's threads, and the function of files, which
# tests/archive calls.
NOT_CALLED = {
    *("Loss", "LabelError", "FileError", "Partial", "Report", "Tiles", "set_num_threads"),
    *("audit_files", "calibrate_files", "evaluate_files", "merge_ledgers", "compare_ledgers"),
}
PUBLIC = {
    name: getattr(fl, name)
    for name in fl.__all__
    if name not in NOT_CALLED and callable(getattr(fl, name)) and inspect.signature(getattr(fl, name)).parameters
} | {name: getattr(fl.metrics, name) for name in fl.metrics.METRICS}
REFUSAL = re.compile(r"(\w+): expected .*, got ", re.DOTALL)


def called(function, arguments):
    """Call it by name where names are allowed, and enter what is for `with`."""
    positional = inspect.Parameter.POSITIONAL_ONLY
    parameters = inspect.signature(function).parameters.values()
    first = [arguments[p.name] for p in parameters if p.kind is positional]
    rest = {p.name: arguments[p.name] for p in parameters if p.kind is not positional and p.name in arguments}
    result = function(*first, **rest)
    if hasattr(result, "__enter__"):
        with result:
            pass


def outcome(function, arguments):
    try:
        called(function, arguments)
    except (TypeError, ValueError, MemoryError) as error:
        return re.sub(" at 0x[0-9a-fA-F]+", "", f"{type(error).__name__}: {error}")  # a generator's address
    return None


def usual(name, function):
    """Arguments that the function takes."""
    required = {
        n: OWN.get(name, {}).get(n, RIGHT.get(n))
        for n, p in inspect.signature(function).parameters.items()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    }
    if outcome(function, required) is not None:
        required["target"] = D
    assert outcome(function, required) is None
    return required


def wrong(kind):
    return (i for i in range(3)) if kind == "generator" else WRONG[kind]


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore:Data type alias 'a' was deprecated")  # one_hot(dtype="a")
@pytest.mark.parametrize("name", PUBLIC)
def test_any_argument_is_computed_or_refused_by_name(name):
    function = PUBLIC[name]
    arguments = usual(name, function)
    names = {n for n, p in inspect.signature(function).parameters.items() if p.kind is not p.VAR_KEYWORD}
    names |= {"input", "target"} if name in ("check_grad", "calibrate") else set()
    for argument in sorted(names & inspect.signature(function).parameters.keys()):
        for kind in WRONG:
            found = []
            for backend in ("numpy", "native"):
                with fl.backend(backend):
                    found.append(outcome(function, {**arguments, argument: wrong(kind)}))
            assert found[0] == found[1], f"{argument}: {kind}"
            if name in ("one_hot", "class_weights") and (argument, kind) == ("num_classes", "numpy int"):  # 2 EiB
                assert found[0].startswith("MemoryError: ")
            elif found[0] is not None:
                said = REFUSAL.match(found[0].partition(": ")[2])
                assert said, f"{argument}: {kind}: {found[0]}"
                assert said[1] in names, f"{argument}: {kind}: {found[0]}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_out_is_untouched_by_any_call_that_is_refused(case, backend):
    loss = case.make(3)
    x, y, w = images(case, loss, X.shape, np.float32)
    noise = np.frombuffer(np.random.default_rng(0).bytes(x.nbytes), x.dtype).reshape(x.shape)
    refused = 0
    usual = {"input": x, "target": y, "pixel_weight": w, "distance_maps": None}
    for argument in usual.keys() - ({"distance_maps"} if loss.weight_maker() is None else set()):
        for value in map(wrong, WRONG):
            given = {**usual, argument: value}
            first, rest = [given.pop("input"), given.pop("target")], {k: v for k, v in given.items() if v is not None}
            out = noise.copy()
            try:
                loss.value_and_grad(*first, **rest, out=out)
            except (TypeError, ValueError):
                assert out.tobytes() == noise.tobytes(), f"{argument}: {value!r}"
                refused += 1
    assert refused > 60
