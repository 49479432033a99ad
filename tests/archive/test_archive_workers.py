"""Tests that worker processes and a Dask cluster give the bits, notes and errors of one process."""

from pathlib import Path

import numpy as np
import pytest
from crops import CROPS, LOSSES, facts, save_crops
from writing import AFFINE, blobs, folders, logits, save_json, save_nii, softmax

import fastloss as fl
from fastloss.archive.engines import find_engine, results
from fastloss.archive.images import Reading
from fastloss.archive.worker import Failure, Task
from fastloss.cli import main
from fastloss.files.errors import FileError
from fastloss.files.pairing import pair_files


@pytest.fixture(scope="module")
def nnunet(tmp_path_factory):
    """Predicted label maps and masks in nnU-Net's layout, with spacings that differ."""
    pytest.importorskip("nibabel")
    root = tmp_path_factory.mktemp("nnunet")
    p, m = folders(root, "p", "m")
    save_json(p / "dataset.json", {"labels": {"background": 0, "a": 1, "b": 2}, "file_ending": ".nii.gz"})
    for k in range(12):
        affine = AFFINE @ np.diag([1, 1 + k % 2, 1, 1.0])
        for folder, seed in ((p, k), (m, k + 100)):
            save_nii(folder / f"case_{k:02}.nii.gz", blobs((4, 7, 6), 3, seed), affine)
    return root


# ---- the same bits


def test_the_bits_of_one_process(crops, engine, serial):
    assert facts(fl.evaluate_files(LOSSES, crops / "p", crops / "m", **engine)) == serial


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 3, "worker_threads": 2, "read_threads": 3}], ids=str)
def test_any_number_of_workers_and_threads(crops, options, serial):
    assert facts(fl.evaluate_files(LOSSES, crops / "p", crops / "m", **options)) == serial


def test_the_backend_of_the_caller(crops, engine, serial):
    with fl.backend("numpy"):
        here = facts(fl.evaluate_files(LOSSES, crops / "p", crops / "m"))
        there = facts(fl.evaluate_files(LOSSES, crops / "p", crops / "m", **engine))
    assert there == here
    if fl.get_backend() == "native":
        assert here["sums"] != serial["sums"]  # otherwise this test shows nothing


@pytest.mark.skipif(fl.config()["level"] in (None, "base"), reason="needs kernels with fused multiply-add")
def test_a_processor_of_other_digits(crops, monkeypatch):
    monkeypatch.setenv("FASTLOSS_ISA", "base")  # which the workers inherit
    with pytest.raises(
        FileError, match=r"`workers=`: expected processors that give the same digits, got one with fused"
    ):
        fl.evaluate_files(LOSSES, crops / "p", crops / "m", workers=1)


def test_images_of_nan(tmp_path, engine):
    save_crops(tmp_path, 9)
    for name in ("003", "007"):
        x = np.load(tmp_path / "p" / f"{name}.npy")
        x[1, 2, 3] = np.nan
        np.save(tmp_path / "p" / f"{name}.npy", x)
    here, there = (fl.evaluate_files(LOSSES, tmp_path / "p", tmp_path / "m", **more) for more in ({}, engine))
    assert here.nan_images == ("003", "007")
    assert facts(there) == facts(here)


def test_spacings_distances_and_nnunet_summary(nnunet, engine, tmp_path):
    losses = {"boundary": fl.BoundaryLoss(activation=None), "dice": fl.DiceLoss()}
    how = {"layout": "nnunet", "nnunet_summary": True}
    here, there = (fl.evaluate_files(losses, nnunet / "p", nnunet / "m", **how, **more) for more in ({}, engine))
    assert facts(there) == facts(here)
    assert len(set(here.spacings)) == 2
    summaries = []
    for k, report in enumerate((here, there)):
        report.write_nnunet_summary(tmp_path / f"{k}.json")
        summaries.append((tmp_path / f"{k}.json").read_bytes())
    assert summaries[0] == summaries[1]


@pytest.mark.parametrize("loss", [fl.DiceLoss(), fl.DiceLoss(activation=None)], ids=repr)
def test_doubts_about_the_first_images(tmp_path, engine, loss):
    def resampled(labels, classes, seed):
        return (softmax(logits(labels, classes, seed)) * (1 if loss.activation else 1.1)).astype(np.float32)

    save_crops(tmp_path, 9, resampled)
    here, there = (fl.evaluate_files({"d": loss}, tmp_path / "p", tmp_path / "m", **more) for more in ({}, engine))
    assert here.notes
    assert there.notes == here.notes


def test_relative_paths(nnunet, engine, monkeypatch):
    """A worker of a cluster has another working directory."""
    monkeypatch.chdir(nnunet)
    how = {"layout": "nnunet", "nnunet_summary": True}
    here, there = (fl.evaluate_files({"d": fl.DiceLoss()}, "p", "m", **how, **more) for more in ({}, engine))
    assert facts(there) == facts(here)
    assert here._facts.cases[0].prediction == str(Path("p") / "case_00.nii.gz")


def test_progress_in_order(crops, engine):
    calls = []
    report = fl.evaluate_files(LOSSES, crops / "p", crops / "m", progress=lambda *call: calls.append(call), **engine)
    assert [call[:2] for call in calls] == [(k + 1, CROPS) for k in range(CROPS)]
    assert [call[2] for call in calls] == sorted({call[2] for call in calls})
    assert calls[-1][2] == report.nbytes


# ---- errors


def damage_shape(p, m):
    np.save(m, np.zeros((5, 6), np.uint8))


def damage_label(p, m):
    np.save(m, np.full_like(np.load(m), 7))


def damage_classes(p, m):
    np.save(p, np.load(p)[:2])


def damage_file(p, m):
    p.write_bytes(p.read_bytes()[:50])


def damage_kind(p, m):
    np.save(m, (np.load(m)[None] == np.arange(3)[:, None, None]).astype(np.uint8))


DAMAGE = [damage_shape, damage_label, damage_classes, damage_file, damage_kind]


@pytest.mark.parametrize("at", [0, 14])
@pytest.mark.parametrize("damage", DAMAGE)
def test_the_first_error_of_the_order(tmp_path, cluster, workers, damage, at, monkeypatch):
    """The first damaged file is named, although a later one is damaged."""
    save_crops(tmp_path, 30)
    monkeypatch.chdir(tmp_path)
    for k in (at, at + 9):
        damage(Path(f"p/{k:03}.npy"), Path(f"m/{k:03}.npy"))
    messages = set()
    for options in ({}, {"workers": 2}, {"engine": cluster}):
        with pytest.raises(FileError) as caught:
            fl.evaluate_files(LOSSES, "p", "m", **options)
        messages.add(str(caught.value))
    assert len(messages) == 1, messages


@pytest.mark.parametrize("damage", DAMAGE)
def test_failures_that_are_skipped(tmp_path, cluster, damage):
    """The first image decides the kind of all, unless it cannot be opened."""
    save_crops(tmp_path, 30)
    for at in (0, 14):
        damage(tmp_path / f"p/{at:03}.npy", tmp_path / f"m/{at:03}.npy")
    work = list(enumerate(pair_files(tmp_path / "p", tmp_path / "m").pairs))
    task = Task(losses=LOSSES, how=Reading(), classes=None, counter=None, read_threads=1, skip=True)
    found = []
    for options in ((None, None), (2, None), (None, cluster)):
        done = list(results(task, work, find_engine(*options, None, None)))
        assert [one.index for one in done] == list(range(30))
        found.append([one for one in done if isinstance(one, Failure)])
    assert found[0] == found[1] == found[2] != []


# ---- options


WRONG = [
    ({"workers": 0}, "`workers=`: expected at least 1, got 0"),
    ({"workers": 2, "engine": "dask"}, "`workers=2`: expected no `engine=` with it, because the cluster decides"),
    ({"engine": "ray"}, "`engine=`: expected dask, got 'ray'"),
    ({"engine": 3}, "`engine=`: expected dask or a distributed.Client, got int"),
    ({"engine": "dask"}, "`engine=dask`: expected `scheduler=` with it, such as tcp://host:8786, got none"),
    ({"engine": "dask", "scheduler": "host\x1b"}, r"`scheduler=`: expected an address .*, got host\\x1b"),
    ({"scheduler": "h:1"}, "`scheduler=h:1`: expected `engine=dask` with it, got none"),
    ({"workers": 2, "scheduler": "h:1"}, "`scheduler=h:1`: expected `engine=dask` with it, got none"),
    ({"worker_threads": 2}, "`worker_threads=2`: expected `workers=` or `engine=` with it, got neither"),
    ({"workers": 2, "worker_threads": 0}, "`worker_threads=`: expected at least 1, got 0"),
    ({"workers": 2, "read_threads": 0}, "`read_threads=`: expected at least 1, got 0"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=str)
def test_wrong_options(crops, options, message):
    if options.get("engine") == "dask":
        pytest.importorskip("distributed")
    with pytest.raises(FileError, match=f"^{message}"):
        fl.evaluate_files(LOSSES, crops / "p", crops / "m", **options)


def test_a_scheduler_that_is_not_there(crops, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("fastloss.archive.cluster.CONNECT_SECONDS", 0.5)
    with pytest.raises(FileError, match=r"^`scheduler=`: expected the address of a running Dask scheduler, got tcp://"):
        fl.evaluate_files(LOSSES, crops / "p", crops / "m", engine="dask", scheduler="tcp://127.0.0.1:1")


def test_the_command(crops, cluster, capsys, tmp_path):
    """The report has the same bytes, and standard error states the workers."""
    arguments = ["evaluate", str(crops / "p"), str(crops / "m"), "--loss=dice", "--loss=ce", "--output"]
    engines = {
        "thread": [],
        "2 workers, 1 thread each": ["--workers=2"],
        "1 worker, 2 threads each": ["--workers=1", "--threads=2", "--read-threads=2"],
        "workers of dask, 1 thread each": ["--engine=dask", f"--scheduler={cluster.scheduler.address}"],
    }
    reports, tables = set(), set()
    for k, (words, options) in enumerate(engines.items()):
        assert main([*arguments, str(tmp_path / f"{k}.json"), *options]) == 0
        out, err = capsys.readouterr()
        assert words in err
        reports.add((tmp_path / f"{k}.json").read_bytes())
        tables.add(out)
    assert len(reports) == len(tables) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine=dask"], "error: --engine dask: expected --scheduler with it, such as tcp://host:8786, got none"),
        (["--scheduler=h:1"], "error: --scheduler h:1: expected --engine dask with it, got none"),
        (["--workers=0"], "error: Invalid value for '--workers'"),
        (["--engine=ray"], "error: Invalid value for '--engine'"),
    ],
    ids=str,
)
def test_wrong_options_of_the_command(crops, capsys, options, message):
    if "--engine=dask" in options:
        pytest.importorskip("distributed")
    assert main(["evaluate", str(crops / "p"), str(crops / "m"), "--loss=dice", *options]) == 2
    assert capsys.readouterr().err.startswith(message)
