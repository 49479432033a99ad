"""Tests the ledger of `evaluate_files`: runs that are killed and resumed, and changed and damaged files."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from ledgers import LOSSES, archive, evaluate, later, names, records, results
from process import run as run_script
from writing import folders

import fastloss as fl
from fastloss.archive.ledger_files import Lines

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")

# The command, in a process that notes the name of each image whose files it opens, and reads slowly.
COMMAND = """
import sys, time
import fastloss.archive.parts as parts
from fastloss.cli import main
original, log = parts.open_image, open(sys.argv.pop(1), "a")
def noted(pair, *rest, **options):
    print(pair.name, file=log, flush=True)
    time.sleep(0.004)
    return original(pair, *rest, **options)
parts.open_image = noted
sys.exit(main())
"""


def command(log, p, m, state, output, *more):
    losses = ("--loss=dice", "--loss=ce")
    options = ["--state", state, "--output", output, "--read-threads=1", *more]
    return [sys.executable, "-c", COMMAND, *map(str, (log, "evaluate", p, m, *losses, *options))]


# ---- interrupted runs


@POSIX
def test_a_killed_run_goes_on_with_the_same_bits(tmp_path):
    """Kill a run ten times at random. No image with a record is read again, and the report is that of one run."""
    p, m = archive(tmp_path, 400)
    state, log = tmp_path / "s", tmp_path / "log"
    resumed = command(log, p, m, state, tmp_path / "r.json", "--resume")
    chosen = random.Random(7)
    done = 0
    for _ in range(10):
        before = names(line for line in records(state) if line.endswith(b"\n")) if done else []
        log.write_text("")
        wanted = done + chosen.randint(1, 20)
        with subprocess.Popen(resumed, stderr=subprocess.PIPE) as run:
            give_up = time.monotonic() + 60
            while not (state / "records.txt").exists() or len(records(state)) < wanted:
                assert run.poll() is None, run.stderr.read()
                assert time.monotonic() < give_up
            run.kill()
        assert run.returncode == -9
        done = len(records(state))
        assert done >= wanted
        assert not set(before) & set(log.read_text().split())
    before = names(records(state)) if records(state)[-1].endswith(b"\n") else names(records(state)[:-1])
    assert 10 <= len(before) < 400
    log.write_text("")
    last = subprocess.run(resumed, capture_output=True, text=True, check=True)
    assert sorted(before + log.read_text().split()) == [f"{k:04}" for k in range(400)]
    assert f"400 images, {len(before)} of them finished before" in last.stderr
    report = evaluate(p, m, state=state, resume=True)
    assert report.resumed == 400
    assert results(report, tmp_path) == results(evaluate(p, m), tmp_path)


def test_only_what_is_missing_or_changed_is_evaluated(tmp_path):
    p, m = archive(tmp_path, 6)
    state = tmp_path / "s"
    assert evaluate(p, m, state=state).resumed == 0
    assert evaluate(p, m, state=state, resume=True).resumed == 6

    np.save(m / "0001.npy", 2 - np.load(m / "0001.npy"))
    later(m / "0001.npy")
    (p / "0002.npy").unlink()
    (m / "0002.npy").unlink()
    archive(tmp_path / "more", 7, seed=5)
    for folder in (p, m):
        shutil.copy(tmp_path / "more" / folder.name / "0006.npy", folder / "0006.npy")
    report = evaluate(p, m, state=state, resume=True)
    assert report.resumed == 4
    assert results(report, tmp_path) == results(evaluate(p, m), tmp_path)
    assert evaluate(p, m, state=state, resume=True).resumed == 6


def test_hash_content_compares_contents(tmp_path):
    p, m = archive(tmp_path, 3)
    for state, hash, resumed in ((tmp_path / "s", "stat", 2), (tmp_path / "c", "content", 3)):
        evaluate(p, m, state=state, hash=hash)
        later(p / "0001.npy")
        assert evaluate(p, m, state=state, hash=hash, resume=True).resumed == resumed
    times = (m / "0002.npy").stat()
    np.save(m / "0002.npy", np.zeros((8, 9), np.uint8))
    os.utime(m / "0002.npy", ns=(times.st_atime_ns, times.st_mtime_ns))
    report = evaluate(p, m, state=tmp_path / "c", hash="content", resume=True)
    assert report.resumed == 2
    assert results(report, tmp_path) == results(evaluate(p, m), tmp_path)


def test_images_of_several_files(tmp_path):
    """A change of one file of an image is a change of the image: a chunk of Zarr, or the data of a header."""
    zarr = pytest.importorskip("zarr")
    p, m = archive(tmp_path, 2)
    for path in list(p.iterdir()):
        values = np.load(path)
        array = zarr.create_array(path.with_suffix(".zarr"), shape=values.shape, chunks=(1, 8, 9), dtype=values.dtype)
        array[:] = values
        path.unlink()
    evaluate(p, m, state=tmp_path / "s")
    zarr.open_array(p / "0001.zarr")[2] = 5.0
    report = evaluate(p, m, state=tmp_path / "s", resume=True)
    assert report.resumed == 1
    assert results(report, tmp_path) == results(evaluate(p, m), tmp_path)


@pytest.mark.parametrize(("suffix", "data"), [(".mhd", ".raw"), (".hdr", ".hdr"), (".mhd", "-other.bin")])
def test_a_header_and_its_data(tmp_path, suffix, data):
    p, m = folders(tmp_path, "p", "m")
    values = np.zeros((4, 5, 6), np.uint8)
    if suffix == ".hdr":
        nibabel = pytest.importorskip("nibabel")
        for folder in (p, m):
            nibabel.save(nibabel.Nifti1Pair(values.T, np.eye(4)), folder / "a.img")
    else:
        sitk = pytest.importorskip("SimpleITK")
        for folder in (p, m):
            sitk.WriteImage(sitk.GetImageFromArray(values), folder / "a.mhd")
            if data != ".raw":
                (folder / "a.raw").rename(folder / f"a{data}")
                header = (folder / "a.mhd").read_text().replace("a.raw", f"a{data}")
                (folder / "a.mhd").write_text(header)

    def run(**options):
        match = ("{id}.img", "{id}.img") if suffix == ".hdr" else ("{id}.mhd", "{id}.mhd")
        losses = {"dice": fl.DiceLoss(activation=None)}
        return fl.evaluate_files(losses, p, m, match=match, num_classes=2, **options)

    run(state=tmp_path / "s")
    assert run(state=tmp_path / "s", resume=True).resumed == 1
    file = m / f"a{data}"
    held = bytearray(file.read_bytes())
    held[-1 if suffix == ".mhd" else 150] = 1  # the last pixel, or a byte of the description
    file.write_bytes(held)
    later(file)
    report = run(state=tmp_path / "s", resume=True)
    assert report.resumed == 0
    assert report["dice"] == run()["dice"]


# ---- what a ledger refuses


CHANGES = [
    ({"axis": -1}, "`axis=`"),
    ({"axes": "cyx"}, "`axes=`"),
    ({"ignore_index": 2}, "`ignore_index=`"),
    ({"ignore_geometry": True}, "`ignore_geometry=`"),
    ({"class_names": ["a", "b", "c"]}, "`class_names=`"),
    ({"round_labels": 0.1}, "`round_labels=`"),
    ({"nodata": "label"}, "`nodata=`"),
    ({"num_classes": 3}, "`num_classes=`"),
    ({"scale": 255.0}, "`scale=`"),
    ({"dtype": "bfloat16"}, "`dtype=`"),
    ({"key": "x"}, "`key=`"),
    ({"labels": "voc"}, "`labels=`"),
    ({"regions": {"a": [1], "b": [1, 2], "c": [2]}}, "`regions=`|`class_names=`"),
    ({"nnunet_summary": True}, "`nnunet_summary=`"),
    ({"hash": "content"}, "`hash=`"),
]


@pytest.mark.parametrize(("options", "named"), CHANGES, ids=[next(iter(options)) for options, _ in CHANGES])
def test_other_options_are_refused(tmp_path, options, named):
    p, m = archive(tmp_path, 2)
    evaluate(p, m, state=tmp_path / "s")
    before = {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()}
    with pytest.raises(fl.FileError, match=f"got another ({named}): .* in the folder"):
        evaluate(p, m, state=tmp_path / "s", resume=True, **options)
    assert {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()} == before


def test_other_losses_are_refused(tmp_path):
    p, m = archive(tmp_path, 2)
    evaluate(p, m, state=tmp_path / "s")
    for losses in ({"dice": fl.DiceLoss()}, LOSSES | {"ce": fl.CrossEntropyLoss(label_smoothing=0.1)}):
        with pytest.raises(fl.FileError, match="got another list of losses"):
            fl.evaluate_files(losses, p, m, state=tmp_path / "s", resume=True)
    assert evaluate(p, m, state=tmp_path / "s", resume=True, read_threads=1, on_error="skip").resumed == 2


def test_states_that_are_refused(tmp_path):
    p, m = archive(tmp_path, 2)
    evaluate(p, m, state=tmp_path / "s")
    with pytest.raises(fl.FileError, match="records of an earlier run; give `resume=True`"):
        evaluate(p, m, state=tmp_path / "s")
    with pytest.raises(fl.FileError, match=r"got a folder with m"):
        evaluate(p, m, state=tmp_path)
    for inside in (p, m / "s"):
        with pytest.raises(fl.FileError, match="expected a folder outside of"):
            evaluate(p, m, state=inside)
    with pytest.raises(fl.FileError, match="cannot be made"):
        evaluate(p, m, state=tmp_path / "none" / "s")
    (tmp_path / "file").touch()
    with pytest.raises(fl.FileError, match="cannot be made"):
        evaluate(p, m, state=tmp_path / "file")
    with pytest.raises(fl.FileError, match="`state=`: expected a folder"):
        evaluate(p, m, resume=True)
    with pytest.raises(fl.FileError, match="`hash=`: expected stat or content"):
        evaluate(p, m, state=tmp_path / "t", hash="md5")
    (tmp_path / "s" / "ledger.json").unlink()
    with pytest.raises(fl.FileError, match=r"expected ledger\.json next to records\.txt"):
        evaluate(p, m, state=tmp_path / "s", resume=True)
    (tmp_path / "empty").mkdir()
    assert evaluate(p, m, state=tmp_path / "empty", resume=True).resumed == 0


@POSIX
def test_a_folder_that_may_not_be_written(tmp_path):
    """Run as a user without rights to the folder. It can be merged, but not resumed."""
    archive(tmp_path, 2)
    script = f"""
    import fastloss as fl
    os.chdir({str(tmp_path)!r})
    losses = {{"dice": fl.DiceLoss()}}
    fl.evaluate_files(losses, "p", "m", state="s")
    fl.merge_ledgers(["s"])  # imports what the other user may not read
    os.mkdir("new")
    for path in ("s", "new", "."):
        os.chmod(path, 0o555)
    if os.geteuid() == 0:
        os.setuid(65534)
    for state in ("s", "new", "none"):
        try:
            fl.evaluate_files(losses, "p", "m", state=state, resume=True)
        except fl.FileError as error:
            print(error)
    print(len(fl.merge_ledgers(["s"]).images))
    """
    lines = run_script(script).stdout.splitlines()
    tmp_path.chmod(0o755)
    assert lines == [
        "s: cannot be written: Permission denied",
        "new: cannot be written: Permission denied",
        "none: cannot be made: Permission denied",
        "2",
    ]


def test_a_second_run_on_a_ledger_is_refused(tmp_path):
    p, m = archive(tmp_path, 3)
    state = tmp_path / "s"
    seen = []

    def second(*_):
        """Begin a second run, in this process and in another one."""
        with pytest.raises(fl.FileError, match="expected no other run with this `state=`"):
            evaluate(p, m, state=state, resume=True)
        again = [sys.executable, "-m", "fastloss.cli", "evaluate", p, m, "--loss=dice", "--state", state, "--resume"]
        if not seen:
            done = subprocess.run(again, capture_output=True, text=True, check=False)
            seen.append((done.returncode, done.stderr))

    report = evaluate(p, m, state=state, progress=second)
    ((code, message),) = seen
    assert code == 2
    assert "expected no other run with this --state" in message
    assert results(report, tmp_path) == results(evaluate(p, m), tmp_path)
    assert evaluate(p, m, state=state, resume=True).resumed == 3


# ---- damaged ledgers


def scanned(path):
    """The names in a file of records, and whether the last one is torn."""
    lines = Lines(path)
    with lines.open():
        found = [record["image"] for _, record in lines.scan()]
    return found, lines.torn, lines.end


def test_a_record_torn_at_any_byte_is_dropped(tmp_path):
    p, m = archive(tmp_path, 3)
    whole = results(evaluate(p, m, state=tmp_path / "s"), tmp_path)
    path = tmp_path / "s" / "records.txt"
    *first, last = records(tmp_path / "s")
    kept = b"".join(first)
    for length in range(len(last)):
        path.write_bytes(kept + last[:length])
        assert scanned(path) == (["0000", "0001"], length > 0, len(kept))
    for length in [*range(1, len(last), 150), len(last) - 1]:
        path.write_bytes(kept + last[:length])
        report = evaluate(p, m, state=tmp_path / "s", resume=True)
        assert report.resumed == 2
        assert [note for note in report.notes if "torn" in note] == [f"{path}: the last record is torn and was dropped"]
        report.notes = tuple(note for note in report.notes if "torn" not in note)
        assert results(report, tmp_path) == whole
        assert names(records(tmp_path / "s")) == ["0000", "0001", "0002"]


def test_a_damaged_record_is_named(tmp_path):
    p, m = archive(tmp_path, 3)
    evaluate(p, m, state=tmp_path / "s")
    path = tmp_path / "s" / "records.txt"
    data = path.read_bytes()
    first, second, third = records(tmp_path / "s")
    for at in range(len(first), len(first) + len(second) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(fl.FileError, match=r"records\.txt: line 2: expected a record with its checksum"):
            scanned(path)
    damaged = path.read_bytes()
    with pytest.raises(fl.FileError, match="line 2"):
        evaluate(p, m, state=tmp_path / "s", resume=True)
    with pytest.raises(fl.FileError, match="line 2"):
        fl.merge_ledgers([tmp_path / "s"])
    assert path.read_bytes() == damaged
    path.write_bytes(first + third)  # as the message advises
    assert evaluate(p, m, state=tmp_path / "s", resume=True).resumed == 2


def test_a_damaged_header_is_refused(tmp_path):
    p, m = archive(tmp_path, 1)
    evaluate(p, m, state=tmp_path / "s")
    path = tmp_path / "s" / "ledger.json"
    path.write_bytes(path.read_bytes().replace(b"DiceLoss", b"DiceLess"))
    for run in (lambda: evaluate(p, m, state=tmp_path / "s", resume=True), lambda: fl.merge_ledgers([tmp_path / "s"])):
        with pytest.raises(fl.FileError, match=r"ledger\.json: expected the checksum"):
            run()


@POSIX
def test_a_full_disk(tmp_path):
    """Limit the size of files. The run ends with an error, and goes on when there is room."""
    p, m = archive(tmp_path, 40)
    script = f"""
    import resource
    from fastloss.cli import main
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    sys.exit(main(["evaluate", {str(p)!r}, {str(m)!r}, "--loss=dice", "--loss=ce", "--state", {str(tmp_path / "s")!r}]))
    """
    done = run_script(script, check=False)
    assert done.returncode == 2, done.stderr
    assert "records.txt: cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    losses = {"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss()}
    report = fl.evaluate_files(losses, p, m, state=tmp_path / "s", resume=True)
    assert 5 < report.resumed < 40
    report.notes = tuple(note for note in report.notes if "torn" not in note)
    assert results(report, tmp_path) == results(fl.evaluate_files(losses, p, m), tmp_path)


def test_memory_does_not_hold_the_records(tmp_path):
    """Compare the memory at the peak of a run with a ledger, of one that is resumed, and of one without a ledger."""
    p, m = archive(tmp_path, 300)
    evaluate(p, m)  # does the imports
    peaks = []
    for options in ({}, {"state": tmp_path / "s"}, {"state": tmp_path / "s", "resume": True}):
        tracemalloc.start()
        evaluate(p, m, **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    size = (tmp_path / "s" / "records.txt").stat().st_size
    assert max(peaks) - peaks[0] < 0.75 * size, (peaks, size)
