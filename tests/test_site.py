"""Tests of what the documentation site is made from: the gallery's examples, the navigation, and the list of the API.

`make docs` builds the site itself, where every warning is an error.
"""

from __future__ import annotations

import inspect
import pathlib
import runpy
import sys

import pytest

import fastloss as fl

ROOT = pathlib.Path(__file__).parents[1]
GALLERY = sorted((ROOT / "examples/gallery").glob("*.py"))


@pytest.fixture
def site(monkeypatch):
    """The modules of docs/site, which need Sphinx."""
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(ROOT / "docs/site"))
    for name in ("api_pages", "index_pages"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize("example", GALLERY, ids=lambda p: p.stem)
def test_examples_of_the_gallery_run(example, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "agg")
    runpy.run_path(str(example), run_name="__main__")


def test_there_are_examples():
    assert len(GALLERY) >= 4


def test_every_public_name_is_in_the_reference(site):
    from api_pages import groups, public_names

    listed = [name for names in groups().values() for name in names]
    assert sorted(listed) == sorted(public_names())
    assert {f"fastloss.{name}" for name in fl.__all__} <= set(listed)
    assert "fastloss.report.label_audit.LabelAudit" in listed
    without = [name for name, thing in public_names().items() if not inspect.getdoc(thing)]
    assert without == []


def test_the_navigation_is_that_of_the_index(site):
    from index_pages import navigation

    users, more = "- [A](a.md#b), [B](sub/b.md) [L](l/README.md)", "[A](a.md)"
    text = f"[x](https://x.org) [f](f.py)\n\n## Users\n\n{users}\n\n## More\n\n{more}"
    assert navigation(text) == "```{toctree}\n:hidden:\n:caption: Users\n\na.md\nsub/b.md\n```\n"


def test_links_to_files_that_are_no_pages_lead_to_the_repository(site):
    from index_pages import BLOB, repository_links

    docs = ROOT / "docs"
    text = "[a](../CONTRIBUTING.md#add-a-loss) [b](guide.md) [c](speed.svg) `f[0](x)`"
    found = repository_links(text, docs, docs)
    assert found == text.replace("../CONTRIBUTING.md", f"{BLOB}CONTRIBUTING.md")


def test_docstrings_become_restructured_text(site):
    from api_pages import PLAIN, _translated

    text = "shape (N, *S), $|x|\n    + 1$ and |d| of `f(*S)`\n>>> f(*S)"
    expected = "shape (N, \\*S), :math:`|x| + 1` and \\|d\\| of `f(*S)`\n>>> f(*S)"
    assert PLAIN.sub(_translated, text) == expected
