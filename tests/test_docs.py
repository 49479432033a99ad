"""Checks that every example in a docstring, in the README and in docs/ runs and prints the output shown. The pages must
also name every loss, and their links must work."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import math
import pathlib
import pkgutil
import re
import tomllib
from typing import Any

import pytest

import fastloss
from fastloss.losses import LOSSES, MULTI_INPUT_LOSSES
from fastloss.metrics import METRICS

ROOT = pathlib.Path(__file__).parents[1]
LOSS_PAGES = sorted((ROOT / "docs/losses").glob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
OPTIONAL = {
    *("PIL", "catboost", "dask", "distributed", "imgviz", "jax", "lightgbm", "nibabel", "rasterio", "sklearn", "torch"),
    *("xgboost", "zarr"),
}
"""Libraries that a page imports and that an install may lack."""
CONTINUED = {"docs/tutorial.md", "docs/custom-loss.md", "docs/metrics.md", "docs/calibration.md", "docs/recipes/"}
"""The blocks of such a page, or of a page in such a folder, run as one session."""
BLOB = "https://github.com/fastloss/fastloss/blob/main/"
RAW = "https://raw.githubusercontent.com/fastloss/fastloss/main/"
LONGEST = 400  # the most lines of a page
LONGEST_ARCHITECTURE = 120
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:e[-+]?\d+)?(?![\w.])")
MODULES = [m.name for m in pkgutil.walk_packages(fastloss.__path__, "fastloss.")] + ["fastloss"]
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class NumberChecker(doctest.OutputChecker):
    """Allows other white space, and floats that differ by 1e-6 of their size: last digits depend on the level."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if super().check_output(want, got, optionflags):
            return True
        wanted, given = NUMBER.findall(want), NUMBER.findall(got)
        text = ["".join(NUMBER.sub("#", t).split()) for t in (want, got)]
        return text[0] == text[1] and all(
            math.isclose(float(a), float(b), rel_tol=1e-6) for a, b in zip(wanted, given, strict=True)
        )


def run(test: doctest.DocTest) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(NumberChecker(), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)


def examples() -> list[Any]:
    found = []
    for name in MODULES:
        adapter = name.split(".")[1:2]
        missing = adapter in (["torch"], ["jax"]) and importlib.util.find_spec(adapter[0]) is None
        if not name.endswith("__main__") and not missing:
            finder = doctest.DocTestFinder(exclude_empty=True)
            found += [t for t in finder.find(importlib.import_module(name), name) if t.examples]
    return found


@pytest.mark.parametrize("test", examples(), ids=lambda t: t.name)
def test_docstrings(test):
    run(test)


def test_there_are_docstrings_to_test():
    with_examples = {t.name.rpartition(".")[2] for t in examples()}
    public = {n for n in fastloss.__all__ if callable(getattr(fastloss, n))}
    without = {"FileError", "LabelError", "Loss", "Report", "config", "get_backend", "get_num_threads", "show_config"}
    assert public - without <= with_examples


def blocks() -> list[Any]:
    found = []
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        codes = FENCED.findall(page.read_text(encoding="utf-8"))
        if name in CONTINUED or f"{name.rpartition('/')[0]}/" in CONTINUED:
            codes = ["\n".join(codes)]
        marks = [pytest.mark.extended] if name.startswith("docs/recipes/") else []  # they import torch, Dask and others
        found += [pytest.param(name, code, id=f"{name}-{k}", marks=marks) for k, code in enumerate(codes)]
    return found


@pytest.mark.parametrize(("page", "code"), blocks())
def test_pages(page, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imported = " ".join(re.findall(r"^(?:import (.*)|from \w+)", code, re.MULTILINE))
    for library in sorted(OPTIONAL & set(re.findall(r"\w+", imported))):
        pytest.importorskip(library)
    if ">>>" in code:
        run(doctest.DocTestParser().get_doctest(code, {}, page, page, 0))
    else:
        exec(compile(code, page, "exec", dont_inherit=True), {"__name__": "page"})


def test_the_pages_have_blocks_to_test():
    assert {b.values[0] for b in blocks()} >= {
        "README.md",
        "docs/guide.md",
        "docs/losses/composition.md",
        "docs/tutorial.md",
    }


@pytest.mark.parametrize("name", [*LOSSES, *MULTI_INPUT_LOSSES])
def test_every_loss_has_its_section(name):
    """The heading names the function and the class. The index has a row with both names and a link to the page."""
    cls = (LOSSES | MULTI_INPUT_LOSSES)[name].__name__
    pages = [p for p in LOSS_PAGES if f"\n## {name}, {cls}\n" in p.read_text(encoding="utf-8")]
    assert len(pages) == 1
    index = (ROOT / "docs/losses/README.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{name}` \| `{cls}` \|.*\]\({pages[0].name}\) \|$", index, re.MULTILINE)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_on_a_page(name):
    texts = [page.read_text(encoding="utf-8") for page in PAGES if page.parent.name == "docs"]
    assert any(f"`{name}`" in text and f"`{METRICS[name].__name__}`" in text for text in texts)


def anchors(page: pathlib.Path) -> set[str]:
    """Return GitHub's anchors for the headings of a page: lower case, only letters, digits, - and _."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def links(page: pathlib.Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    """A link to the repository, relative or absolute, leads to a file that exists and to one of its headings."""
    for target in links(page):
        start = next((prefix for prefix in (BLOB, RAW) if target.startswith(prefix)), None)
        if start is None and "://" in target:
            continue
        path, _, anchor = target.removeprefix(start or "").partition("#")
        there = ((ROOT if start else page.parent) / path) if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_links_of_the_readme_are_absolute():
    """PyPI shows the README without the files next to it, so relative links would break there."""
    found = links(ROOT / "README.md")
    assert len(found) > 10
    assert [target for target in found if "://" not in target] == []


def test_urls_of_the_project_lead_somewhere():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert {"Documentation", "Source", "Issues", "Changelog"} <= set(urls)
    for url in urls.values():
        assert url.startswith(BLOB.removesuffix("/blob/main/"))
        assert not url.startswith(BLOB) or (ROOT / url.removeprefix(BLOB)).exists()


def test_the_index_lists_every_page():
    """Each page is linked once by the nearest README.md above it, and a README.md by that of docs/.

    The site derives its navigation from these links.
    """
    docs = ROOT / "docs"
    indices = {page.parent for page in docs.rglob("README.md")}
    for folder in indices:
        listed = [target.partition("#")[0] for target in links(folder / "README.md")]
        inside = {p for p in folder.rglob("*.md") if nearest(p.parent, indices) == folder} - {
            folder / "README.md",
            docs / "index.md",
        }
        inside |= {i / "README.md" for i in indices - {docs} if folder == docs}
        pages = [t for t in listed if t.endswith(".md") and not t.startswith("..") and "://" not in t]
        expected = sorted(p.relative_to(folder).as_posix() for p in inside)
        assert sorted(pages if folder == docs else set(pages)) == expected


def nearest(folder: pathlib.Path, indices: set[pathlib.Path]) -> pathlib.Path:
    """The folder, or the first above it, that has an index."""
    return folder if folder in indices else nearest(folder.parent, indices)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_pages_are_short(page):
    """A longer page should become two pages. A newcomer should be able to read the architecture in one sitting."""
    longest = LONGEST_ARCHITECTURE if page.name == "architecture.md" else LONGEST
    assert len(page.read_text(encoding="utf-8").splitlines()) <= longest


@pytest.mark.parametrize("page", LOSS_PAGES, ids=lambda p: p.name)
def test_formulas_survive_markdown(page):
    """In \\, and \\{, Markdown takes the backslash as its own escape before the formula is rendered."""
    text = page.read_text(encoding="utf-8")
    assert all(line.count("$") % 2 == 0 for line in text.splitlines())
    for formula in re.findall(r"\$\$?([^$]+)\$\$?", text):
        assert not re.search(r"\\[^A-Za-z]", formula), formula
