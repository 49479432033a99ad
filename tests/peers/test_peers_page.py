"""Tests that the tables of docs/peers.md and docs/peers-more.md name only tests that exist."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGE = "\n".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("peers.md", "peers-more.md"))
CODE = re.compile(r"`([^`]+)`")


def rows():
    """(section, files, last cell) of every row of a table whose last column is headed "test"."""
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        files = re.findall(r"`(tests/[\w/]+\.py)`", body.partition("|")[0])
        named = False
        for line in body.splitlines():
            cells = [c.strip() for c in line.strip("|").split("|")]
            if not line.startswith("|"):
                named = False
            elif cells[-1] == "test":
                named = True
            elif named and set(cells[-1]) != {"-"}:
                yield pytest.param(files, cells[-1], id=f"{title}: {cells[0]}")


@pytest.mark.parametrize(("files", "cell"), [*rows()])
def test_a_row_names_its_test(files, cell):
    text = "".join((ROOT / f).read_text(encoding="utf-8") for f in files)
    for name in CODE.findall(cell):
        if name.startswith("tests/"):
            assert (ROOT / name).exists()
        elif name.isidentifier() or name.endswith("..."):
            name = name.removesuffix("...")
            # A function, or the peer's expression in the tables of what Keras and optax printed.
            assert re.search(rf"def test_\w*{name}|Row\(\s*\"[^\"\n]*{name}", text), name
        else:
            assert re.search(rf"Row\(\s*\"[^\"\n]*{re.escape(name)}", text), name


def test_there_are_rows():
    assert len(list(rows())) > 150
