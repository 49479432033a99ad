"""Fixtures that many files share."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from types import ModuleType

import pytest

import fastloss as fl

# A shell's background jobs ignore Ctrl-C. So would the tests of Ctrl-C and the processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # runs before pytest deselects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not refused(item)]
    mark_extended(items)


def refused(item: pytest.Item) -> bool:
    """Whether a test over cases and shapes has a softmax of one channel; test_one_channel.py has the tests of that."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    shape, case = params.get("shape"), params.get("case")
    return isinstance(shape, tuple) and shape[1:2] == (1,) and not getattr(case, "takes_one_channel", True)


OF_TEST_ALL = {
    *("test_archive_workers", "test_archive_worker_ends", "test_archive_ledger", "test_archive_plugins"),
    *("test_archive_reading", "test_archive_formats", "test_archive_windows", "test_archive_carried"),
    *("test_lazy", "test_cli_streams", "test_cli_interrupt"),
    *("test_torch_losses", "test_torch_compile", "test_jax", "test_libraries"),
    *("test_hessian", "test_large_differences"),
    *("test_tiff", "test_geo", "test_zarr", "test_hdf5", "test_nibabel_formats", "test_itk_formats", "test_dicom_seg"),
}
"""Modules that are left to `make test-all`: other processes, every format with its damaged files, other libraries and
second derivatives take minutes."""


def mark_extended(items: list[pytest.Item]) -> None:
    """Leave in `make test` only the items that bring a new pair of values, for tests over three or more parameters.

    The other items get the mark `extended`. `make test` still runs every loss with every dtype, every shape, every
    layout and both backends, although it runs only a tenth of some products. Some tests have the mark in their source:
    tests that need libraries beyond the extra `test`, tests of other runtimes, and tests that take seconds each. `make
    test-all` also runs the marked tests.
    """
    seen: set[tuple[object, ...]] = set()
    for item in items:
        if item.path.stem in OF_TEST_ALL:
            item.add_marker(pytest.mark.extended)
        params = getattr(getattr(item, "callspec", None), "params", {})
        if len(params) > 2 and not item.get_closest_marker("slow"):
            values = sorted((name, id(value)) for name, value in params.items())  # all items share one object per value
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
    """Return torch. A test that needs torch is skipped if it is not installed."""
    module: ModuleType = pytest.importorskip("torch")
    return module
