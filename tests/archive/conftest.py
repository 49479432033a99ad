"""Fixtures for the tests of workers: crops, their report in one process, and the engines."""

import multiprocessing

import pytest
from crops import CROPS, LOSSES, facts, save_crops

import fastloss as fl


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two processes, and a client of it."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(2, processes=True, threads_per_worker=1, dashboard_address=":0") as local,
        distributed.Client(local) as client,
    ):
        yield client


@pytest.fixture(params=["workers", "client", "scheduler"])
def engine(request):
    """The options that choose an engine."""
    if request.param == "workers":
        return {"workers": 2}
    client = request.getfixturevalue("cluster")
    return (
        {"engine": client} if request.param == "client" else {"engine": "dask", "scheduler": client.scheduler.address}
    )


@pytest.fixture(scope="session")
def crops(tmp_path_factory):
    """The folder of 200 crops."""
    return save_crops(tmp_path_factory.mktemp("crops"), CROPS)


@pytest.fixture(scope="session")
def serial(crops):
    """The facts of the crops' report in one process."""
    return facts(fl.evaluate_files(LOSSES, crops / "p", crops / "m"))


@pytest.fixture
def workers():
    """Return a function that lists our worker processes. None may be left at the end of the test."""

    def running():
        return [p.pid for p in multiprocessing.active_children() if p.name.startswith("fastloss-worker")]

    yield running
    assert running() == []
