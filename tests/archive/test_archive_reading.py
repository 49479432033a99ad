"""Tests reading ahead: the order of results and errors, threads and files that are left, progress, and Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from formats import FLAT, VOLUMES
from writing import blobs, folders, logits

import fastloss as fl
from fastloss import _ahead
from fastloss._ahead import Work, read_ahead
from fastloss.files.errors import FileError

DICE = {"dice": fl.DiceLoss()}
SHAPE = (20, 33)


def reading_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fastloss-read")]


@pytest.fixture
def tree(tmp_path):
    """Write eight pairs; return the folders."""
    predictions, masks = folders(tmp_path, "p", "m")
    for at in range(1, 9):
        labels = blobs(SHAPE, 3, at)
        np.savez_compressed(predictions / f"{at}.npz", scores=logits(labels, 3, at))
        np.save(masks / f"{at}.npy", labels)
    return predictions, masks


# ---- read_ahead


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads):
    delays = [0.03, 0, 0.02, 0.01, 0, 0, 0.02, 0]

    def work(at):
        def read():
            time.sleep(delays[at])
            return at

        return Work(read, 1)

    assert list(read_ahead((work(at) for at in range(8)), threads)) == list(range(8))
    assert reading_threads() == []


@pytest.mark.parametrize(("size", "bound", "most"), [(10, 25, 3), (10, 10**6, 4), (100, 25, 1), (0, 25, 4)])
def test_the_memory_of_what_is_read_ahead_is_bounded(monkeypatch, size, bound, most):
    """At most `bound` bytes, or one window if that is larger, and one window more than there are threads."""
    monkeypatch.setattr(_ahead, "AHEAD_BYTES", bound)
    begun = []

    def works():
        for at in range(20):
            begun.append(at)
            yield Work(lambda at=at: at, size)

    held = []
    for at in read_ahead(works(), 3):
        held.append(len(begun) - at)  # with the one that the caller has
        time.sleep(0.001)
    assert max(held) == most


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("where", ["open", "read"])
def test_an_error_comes_in_its_turn(threads, where):
    def fail():
        raise ValueError("five")

    def works():
        for at in range(1, 9):
            if at == 5 and where == "open":
                fail()
            yield Work(fail if at == 5 else lambda at=at: at, 1)

    found = []

    def consume():
        for at in read_ahead(works(), threads):
            time.sleep(0.002)  # the error is known long before
            found.append(at)

    with pytest.raises(ValueError, match="five"):
        consume()
    assert found == [1, 2, 3, 4]
    assert reading_threads() == []


# ---- errors of files


def cut(path):
    """Leave out bytes in the middle of the data, and keep the table of contents."""
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    data[at : at + 40] = bytes(40)
    path.write_bytes(data)


def wrong_label(path):
    labels = np.load(path)
    labels[3, 4] = 9
    np.save(path, labels)


BROKEN = {
    "no zip": lambda predictions, masks: (predictions / "5.npz").write_bytes(b"PK" + bytes(50)),
    "damaged": lambda predictions, masks: cut(predictions / "5.npz"),
    "another shape": lambda predictions, masks: np.save(masks / "5.npy", np.zeros((3, 4), np.uint8)),
    "more classes": lambda predictions, masks: np.savez(predictions / "5.npz", a=np.zeros((4, *SHAPE), np.float32)),
    "wrong label": lambda predictions, masks: wrong_label(masks / "5.npy"),
    "truncated mask": lambda predictions, masks: os.truncate(masks / "5.npy", 300),
}


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("what", BROKEN)
def test_an_error_in_the_fifth_image_comes_after_the_fourth(tree, what, threads):
    BROKEN[what](*tree)
    done = []
    with pytest.raises(FileError, match=r"5\.np[yz]"):
        fl.evaluate_files(DICE, *tree, read_threads=threads, progress=lambda *now: done.append(now))
    assert [now[:2] for now in done] == [(at, 8) for at in range(1, 5)]
    assert reading_threads() == []


def test_progress(tree):
    done = []
    report = fl.evaluate_files(DICE, *tree, progress=lambda *now: done.append(now))
    one = 3 * 4 * 20 * 33 + 20 * 33  # bytes of float32 scores and of uint8 labels
    assert done == [(at, 8, at * one) for at in range(1, 9)]
    assert report.nbytes == 8 * one
    assert report.seconds > 0
    assert reading_threads() == []


def test_an_error_of_the_callback_ends_the_reading(tree):
    def stop(done, total, nbytes):
        if done == 3:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fl.evaluate_files(DICE, *tree, progress=stop)
    assert reading_threads() == []


# ---- files that stay open

CLOSED = [
    *("npy", "npz", "tif-tiles", "geotiff-tiles", "zarr2", "h5"),
    *(f"volume {name}" for name in ("nii.gz", "mgz", "hdr", "nrrd", "mhd", "h5-gzip")),
]

SCRIPT = """
import gc, os, sys, warnings
import fastloss as fl
losses = {{"dice": fl.DiceLoss()}}
options = {options}
def evaluate():
    try:
        fl.evaluate_files(losses, {predictions!r}, {masks!r}, **options)
    except ValueError as error:
        return "wrong label" if "got 9 at" in str(error) else str(error)
    return "right"
def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
evaluate()  # the libraries open files of their own
before = descriptors()
print(evaluate(), descriptors() - before)
"""


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("outcome", ["right", "wrong label"])
def test_all_files_are_closed(tmp_path, name, outcome):
    kind, _, own = name.rpartition(" ")
    form = (VOLUMES if kind else FLAT)[own]
    predictions, masks = folders(tmp_path, "p", "m")
    for at in range(4):
        labels = blobs((5, 6, 7) if kind else SHAPE, 3, at)
        form.prediction(predictions / f"{at}{form.suffix}", logits(labels, 3, at), form.affine)
        if outcome == "wrong label" and at == 2:
            labels[labels == 2] = 9
        form.mask(masks / f"{at}{form.suffix}", labels, form.affine)
    options = {"axis": -1} if form.axes == "xyz" else {}
    code = SCRIPT.format(options=options, predictions=str(predictions), masks=str(masks))
    command = [sys.executable, "-X", "dev", "-W", "ignore", "-W", "error::ResourceWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == f"{outcome} 0\n", done.stderr
    assert "ResourceWarning" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_more_images_than_files_may_be_open(tmp_path):
    predictions, masks = folders(tmp_path, "p", "m")
    for at in range(150):
        np.save(predictions / f"{at}.npy", np.zeros((2, 3, 4), np.float32))
        np.save(masks / f"{at}.npy", np.zeros((3, 4), np.uint8))
    code = (
        "import resource, fastloss as fl\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        f"print(len(fl.evaluate_files({{'dice': fl.DiceLoss()}}, {str(predictions)!r}, {str(masks)!r}).images))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "150\n", done.stderr


# ---- Ctrl-C

INTERRUPTED = """
import os, signal, sys, time
from fastloss.archive import images
read = images.Image.read
calls = []
def slow(self, window):
    calls.append(self.pair.name)
    time.sleep(0.1)
    if self.pair.name == '{name}':
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
    return read(self, window)
images.Image.read = slow
from fastloss.cli import main
start = time.perf_counter()
code = main(sys.argv[1:])
import threading
print(code, len(calls) < 8, [t.name for t in threading.enumerate() if "fastloss" in t.name])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["1", "3"])
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_while_a_file_is_read(tree, name, threads):
    """The windows that are read now are read to their end, and no other is begun."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    predictions, masks = tree
    output = predictions.parent / "report.json"
    arguments = ["evaluate", predictions, masks, "--loss=dice", f"--read-threads={threads}", "--output", output]
    command = [sys.executable, "-W", "error", "-c", INTERRUPTED.format(name=name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "130 True []\n", done.stderr
    assert done.stderr == "stopped\n"
    assert not output.exists()
