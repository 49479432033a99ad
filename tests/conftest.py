"""Fixtures that many files share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import ModuleType

import pytest

import fastloss as fl

# A shell's background jobs ignore Ctrl-C, and so would the tests of it and the processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the tests over all cases and shapes, not a softmax of one channel: test_one_channel.py has its refusal."""

    def refused(item: pytest.Item) -> bool:
        params = getattr(getattr(item, "callspec", None), "params", {})
        shape, case = params.get("shape"), params.get("case")
        one = isinstance(shape, tuple) and shape[1:2] == (1,)
        return one and not getattr(case, "takes_one_channel", True)

    items[:] = [item for item in items if not refused(item)]


@pytest.fixture(params=["native", "numpy"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test with each backend."""
    with fl.backend(request.param):
        yield request.param


@pytest.fixture
def torch() -> ModuleType:
    """Tests that need it are skipped where it is not."""
    module: ModuleType = pytest.importorskip("torch")
    return module
