"""Fixtures that many files share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fastloss as fl


@pytest.fixture(params=["native", "numpy"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test with each backend."""
    with fl.backend(request.param):
        yield request.param
