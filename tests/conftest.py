"""Fixtures that many files share."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from types import ModuleType

import pytest

import fastloss as fl

# A shell's background jobs ignore Ctrl-C, and so would the tests of it and the processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before the deselection by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not refused(item)]
    mark_extended(items)


def refused(item: pytest.Item) -> bool:
    """Of the tests over all cases and shapes, a softmax of one channel: test_one_channel.py has its refusal."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    shape, case = params.get("shape"), params.get("case")
    return isinstance(shape, tuple) and shape[1:2] == (1,) and not getattr(case, "takes_one_channel", True)


def mark_extended(items: list[pytest.Item]) -> None:
    """Of a test over three parameters or more, only what brings a new pair of their values is in `make test`.

    That still has every loss with every dtype, every shape, every layout and both backends: a tenth of some products.
    The mark is written at tests that need libraries beyond the extra `test`, and at those of other runtimes and others
    that take seconds each. `make test-all` also runs these.
    """
    seen: set[tuple[object, ...]] = set()
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if len(params) > 2 and not item.get_closest_marker("slow"):
            values = sorted((name, id(value)) for name, value in params.items())  # one object for all items
            test = item.nodeid.partition("[")[0]
            pairs = {(test, *pair) for pair in itertools.combinations(values, 2)}
            if pairs <= seen:
                item.add_marker(pytest.mark.extended)
            seen |= pairs


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
