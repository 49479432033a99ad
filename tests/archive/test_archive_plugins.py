"""Tests readers that other packages add, and what is told if a library of a format is not installed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from formats import FLAT, VOLUMES
from writing import blobs, logits

import fastloss as fl

COMMAND = "import sys; from fastloss.cli import main; sys.exit(main())"

TOY = '''
"""Reads `.toy`: the shape in the first line, then float64 numbers."""
import numpy as np
from fastloss.files import Reader, Stored

def _open(source):
    shape = tuple(map(int, source.file.readline().split()))
    start = source.file.tell()
    if source.size - start != 8 * int(np.prod(shape)):
        raise ArithmeticError("expected other numbers, got \\x1b[31m")
    def read(window):
        return np.memmap(source.file, np.float64, "r", start, shape)[window]
    return Stored(path=source.path, shape=shape, dtype=np.dtype(np.float64), packed=source.size, read=read,
                  axes=("y", "x", "c"), mapped=True)

READER = Reader(suffixes=(".toy", ".toy.1"), open=_open)
BOTH = (READER, Reader(suffixes=(".other",), open=_open, modules=("no_such_module",)))
TAKEN = Reader(suffixes=(".new", ".npy"), open=_open)
TEXT = Reader(suffixes=(".toy"), open=_open)
UPPER = Reader(suffixes=(".TOY",), open=_open)
NOTHING = None
CLASS = Reader
'''


@pytest.fixture
def plugin(tmp_path):
    """Install a package with an entry point for one process, and run a command line in it."""

    def run(entry, *arguments, module=TOY):
        site = tmp_path / "site"
        info = site / "toyformat-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toyformat\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[fastloss.readers]\ntoy = {entry}\n")
        (site / "toyformat.py").write_text(module)
        paths = [str(site), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-W", "error", "-c", COMMAND, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)

    return run


def save_toy(path, array):
    path.write_bytes(" ".join(map(str, array.shape)).encode() + b"\n" + array.astype(np.float64).tobytes())


@pytest.fixture
def files(tmp_path):
    labels = blobs((9, 12), 3)
    scores = logits(labels, 3, dtype=np.float64)
    save_toy(tmp_path / "x.toy", np.ascontiguousarray(np.moveaxis(scores, 0, -1)))
    np.save(tmp_path / "y.npy", labels)
    np.save(tmp_path / "x.npy", scores)
    return tmp_path, fl.evaluate({"dice": fl.DiceLoss()}, scores[None], labels[None])["dice"]


@pytest.mark.parametrize("entry", ["toyformat:READER", "toyformat:BOTH"])
def test_a_package_adds_a_format(plugin, files, entry):
    folder, expected = files
    done = plugin(entry, "evaluate", folder / "x.toy", folder / "y.npy", "--loss=dice", "--output", folder / "r.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "r.json").read_text())
    assert found["losses"]["dice"]["value"] == pytest.approx(expected, rel=1e-12)


def test_the_formats_of_packages_are_in_the_lists(plugin, files):
    folder, _ = files
    (folder / "x.what").write_bytes(b"")
    done = plugin("toyformat:READER", "evaluate", folder / "x.what", folder / "y.npy", "--loss=dice")
    assert done.returncode == 2
    assert ".toy, .toy.1)" in done.stderr


def one_line(done):
    """Return the error message of a command, which is one line that can be printed."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr[:-1].isprintable()
    return done.stderr


def test_what_a_reader_raises_names_the_file(plugin, files):
    folder, _ = files
    (folder / "x.toy").write_bytes(b"3 3 3\n")
    message = one_line(plugin("toyformat:READER", "evaluate", folder / "x.toy", folder / "y.npy", "--loss=dice"))
    assert message == f"error: {folder / 'x.toy'}: cannot be read: expected other numbers, got \\x1b[31m\n"


def test_a_reader_whose_library_is_missing(plugin, files):
    folder, _ = files
    (folder / "x.other").write_bytes(b"")
    message = one_line(plugin("toyformat:BOTH", "evaluate", folder / "x.other", folder / "y.npy", "--loss=dice"))
    assert message == f"error: {folder / 'x.other'}: needs no_such_module, which is not installed; install it\n"


BROKEN = [
    ("TAKEN", TOY, "expected new suffixes, got .npy, which is taken"),
    ("NOTHING", TOY, "expected a Reader or a tuple of Readers, got NoneType"),
    ("CLASS", TOY, "expected a Reader or a tuple of Readers, got type"),
    ("TEXT", TOY, "expected suffixes as a tuple of lower case, such as (\".toy\",), got '.toy'"),
    ("UPPER", TOY, "expected suffixes as a tuple of lower case, such as (\".toy\",), got ('.TOY',)"),
    ("MISSING", TOY, "expected a Reader, but loading it failed: module 'toyformat' has no attribute 'MISSING'"),
    ("READER", "1 / 0", "expected a Reader, but loading it failed: division by zero"),
    ("READER", "raise RuntimeError", "expected a Reader, but loading it failed: RuntimeError"),
    ("READER", "import no_such_module", "expected a Reader, but loading it failed: No module named 'no_such_module'"),
    ("READER", "raise ValueError('\\x1b[31m')", "expected a Reader, but loading it failed: \\x1b[31m"),
]


@pytest.mark.parametrize(("entry", "module", "words"), BROKEN)
def test_a_broken_package_is_named(plugin, files, entry, module, words):
    folder, _ = files
    arguments = ("evaluate", folder / "x.npy", folder / "y.npy", "--loss=dice")
    message = one_line(plugin(f"toyformat:{entry}", *arguments, module=module))
    way_out = "uninstall the package, or update it"
    assert message == f"error: fastloss.readers: toyformat:{entry} of toyformat: {words}; {way_out}\n"


# ---- libraries that are not installed

WITHOUT = """
import sys
for name in {names}:
    sys.modules[name] = None
from fastloss.cli import main
sys.exit(main())
"""

EXTRAS = [
    ("png", ["PIL"], "images"),
    ("tif", ["tifffile"], "images"),
    ("tif-lzw", ["imagecodecs"], "images"),
    ("geotiff", ["rasterio"], "geo"),
    ("nii", ["nibabel"], "medical"),
    ("mgz", ["nibabel"], "medical"),
    ("img", ["nibabel"], "medical"),
    ("nrrd", ["SimpleITK"], "medical"),
    ("mhd", ["SimpleITK"], "medical"),
    ("dcm", ["pydicom", "highdicom"], "medical"),
    ("zarr3", ["numcodecs", "google_crc32c"], "zarr"),
    ("h5", ["h5py"], "zarr"),
]


@pytest.mark.parametrize(("name", "modules", "extra"), EXTRAS, ids=[row[0] for row in EXTRAS])
def test_a_missing_library_is_one_line(tmp_path, name, modules, extra):
    form = FLAT[name] if name in ("png", "tif", "tif-lzw", "geotiff") else VOLUMES[name]
    labels = blobs((9, 12) if form is FLAT.get(name) else (5, 6, 7), 3)
    scores = logits(labels, 3)
    form.mask(tmp_path / f"y{form.suffix}", labels, form.affine)
    np.save(tmp_path / "x.npy", scores if form.axes != "xyz" else scores.transpose(0, 3, 2, 1))
    arguments = ["evaluate", tmp_path / "x.npy", tmp_path / f"y{form.suffix}", "--loss=dice"]
    if labels.ndim == 3:
        arguments += [f"--axes=c{form.axes}"]
    if name == "dcm":
        arguments += ["--ignore-geometry"]

    def run(names):
        command = [sys.executable, "-W", "error", "-c", WITHOUT.format(names=names), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    message = one_line(run(modules))
    assert f"{tmp_path / f'y{form.suffix}'}: " in message
    assert f"needs {', '.join(modules)}, which is not installed" in message
    assert message.endswith(f'run: pip install "fastloss[{extra}]"\n')
    others = {module for row in EXTRAS for module in row[1] if module not in modules}
    needed = {"geotiff": {"tifffile"}, "tif-lzw": {"tifffile"}, "dcm": {"PIL"}}.get(name, set())  # highdicom needs PIL
    done = run(sorted(others - needed))
    assert done.returncode == 0, done.stderr


def test_arrays_of_numpy_need_no_library(tmp_path):
    labels = blobs((9, 12), 3)
    np.savez(tmp_path / "x.npz", scores=logits(labels, 3))
    np.save(tmp_path / "y.npy", labels)
    names = sorted({module for row in EXTRAS for module in row[1]})
    code = f"""
import sys
for name in {names}:
    sys.modules[name] = None
import fastloss as fl
print(fl.evaluate_files({{"dice": fl.DiceLoss()}}, "x.npz", "y.npy")["dice"].hex())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (
        float.fromhex(done.stdout)
        == fl.evaluate_files({"dice": fl.DiceLoss()}, tmp_path / "x.npz", tmp_path / "y.npy")["dice"]
    )
