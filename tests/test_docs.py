"""Every example in a docstring, and in the README, runs and shows what it says."""

from __future__ import annotations

import doctest
import importlib
import math
import pathlib
import pkgutil
import re
from typing import Any

import pytest

import fastloss

ROOT = pathlib.Path(__file__).parents[1]
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:e[-+]?\d+)?(?![\w.])")
MODULES = [m.name for m in pkgutil.walk_packages(fastloss.__path__, "fastloss.")] + ["fastloss"]
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class NumberChecker(doctest.OutputChecker):
    """Output may differ in its white space, and in floats by 1e-6 of themselves: other levels, other last digits."""

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
        if not name.endswith("__main__"):
            finder = doctest.DocTestFinder(exclude_empty=True)
            found += [t for t in finder.find(importlib.import_module(name), name) if t.examples]
    return found


@pytest.mark.parametrize("test", examples(), ids=lambda t: t.name)
def test_docstrings(test):
    run(test)


def test_there_are_docstrings_to_test():
    with_examples = {t.name.rpartition(".")[2] for t in examples()}
    public = {n for n in fastloss.__all__ if callable(getattr(fastloss, n))}
    without = {"LabelError", "Loss", "Report", "config", "get_backend", "get_num_threads", "show_config"}
    assert public - without <= with_examples


def readme() -> list[Any]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [pytest.param(code, id=f"block{k}") for k, code in enumerate(FENCED.findall(text))]


@pytest.mark.parametrize("code", readme())
def test_readme(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if ">>>" in code:
        run(doctest.DocTestParser().get_doctest(code, {}, "README", "README.md", 0))
    else:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
