"""Checks that the benchmark's figures in the documentation come from the kept run, bench/results.json."""

from __future__ import annotations

import json
import pathlib

import pytest

report = pytest.importorskip("bench.report", reason="wheels are tested without bench/")

PAGES = [pathlib.Path(report.ROOT / name) for name in report.PAGES]


@pytest.mark.skipif(not report.KEPT.exists(), reason="no run is kept: make bench && make bench-docs")
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_pages_say_what_was_measured(page):
    """If this fails after a change of bench/results.json or of a page, run python -m bench.report."""
    text = page.read_text(encoding="utf-8")
    assert "<!-- bench " in text
    assert report.refreshed(text, json.loads(report.KEPT.read_text(encoding="utf-8"))) == text
    assert "not measured" not in text
