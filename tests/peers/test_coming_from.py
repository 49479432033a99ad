"""Evaluates both sides of every row of the pages in docs/coming-from: the peer's call and ours return the same.

Keras is not installed. Its rows are compared with the numbers that it printed, in the table of test_peers_keras.py.
"""

from __future__ import annotations

import pathlib
import re
from typing import Any

import numpy as np
import printed
import pytest
from test_peers_keras import KERAS

import fastloss as fl

FOLDER = pathlib.Path(__file__).parents[2] / "docs/coming-from"
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
EXACT, FLOAT32 = 1e-10, 2e-6  # MONAI and smp compute some of their losses in float32


def rows(page: str) -> list[Any]:
    found = ROW.findall((FOLDER / f"{page}.md").read_text(encoding="utf-8"))
    return [pytest.param(theirs, ours, id=theirs) for theirs, ours in found]


def names(torch: Any) -> dict[str, Any]:
    """The arrays that the pages name. Labels of all classes in both images, in each quarter of their pixels."""
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.permuted(np.arange(128).reshape(2, 64) % 4, axis=1).reshape(2, 8, 8))
    x = torch.from_numpy(rng.standard_normal((2, 4, 8, 8)))
    z = torch.from_numpy(rng.standard_normal((2, 1, 8, 8)))
    numbers = {"C": 4, "own": {"batch": True, "absent": "zero", "smooth": 0.0}, "np": np, "fl": fl, "torch": torch}
    F = torch.nn.functional
    return numbers | {
        "F": F,
        "nn": torch.nn,
        "x": x,
        "y": y,
        "Y": F.one_hot(y, 4).movedim(-1, 1).double(),
        "q": x.log_softmax(1),
        "w": torch.tensor([0.5, 1.0, 2.0, 1.5], dtype=torch.float64),
        "z": z,
        "p": z.sigmoid(),
        "t": torch.from_numpy(rng.integers(0, 2, z.shape)).double(),
        "u": torch.from_numpy(rng.standard_normal(50)),
        "v": torch.from_numpy(rng.standard_normal(50)),
    }


def compare(theirs: str, ours: str, known: dict[str, Any], tolerance: float) -> None:
    expected = eval(theirs, known)
    np.testing.assert_allclose(eval(ours, known), expected, rtol=tolerance, atol=tolerance * 1e-3)


def losses_of(module: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name.endswith("Loss")}


@pytest.mark.parametrize(("theirs", "ours"), rows("torch"))
def test_rows_of_torch(theirs, ours, torch):
    compare(theirs, ours, names(torch), EXACT)


@pytest.mark.extended
@pytest.mark.parametrize(("theirs", "ours"), rows("monai"))
def test_rows_of_monai(theirs, ours, torch):
    situations = pytest.importorskip("situations")  # it imports the peers
    compare(theirs, ours, names(torch) | losses_of(situations.monai), FLOAT32)


@pytest.mark.extended
@pytest.mark.parametrize(("theirs", "ours"), rows("smp"))
def test_rows_of_smp(theirs, ours, torch):
    situations = pytest.importorskip("situations")
    compare(theirs, ours, names(torch) | losses_of(situations.smp), FLOAT32)


@pytest.mark.parametrize(("theirs", "ours"), rows("keras"))
def test_rows_of_keras(theirs, ours):
    """The table has the expression of x, and the array at which it was asked."""
    known = vars(printed) | {"fl": fl, "np": np}
    found = [
        row for row in KERAS for name in "PQX" if row.at is known[name] and re.sub(r"\bx\b", name, row.theirs) == theirs
    ]
    assert len(found) == 1
    assert eval(ours, known) == pytest.approx(found[0].value, rel=5e-7)


def test_every_row_of_a_table_is_read():
    for page in ("torch", "monai", "smp", "keras"):
        lines = re.findall(r"^\| .*\|$", (FOLDER / f"{page}.md").read_text(encoding="utf-8"), re.MULTILINE)
        assert len(lines) == len(rows(page)) + 1 > 10  # and the head of the table
