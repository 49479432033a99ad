"""Tests what `fastloss evaluate` opens. It refuses a pipe, a device, a socket or a folder in place of a file, by name
and without waiting. It opens a file only once, so no other file can take its place."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import subprocess

import nibabel
import numpy as np
import pytest
import tifffile
from commandline import evaluated, process, refused, run, save_pair
from PIL import Image

from fastloss.archive import images
from fastloss.cli.names import LARGEST

posix = pytest.mark.skipif(os.name == "nt", reason="files of POSIX")


def socket_at(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


KINDS = {
    "a pipe": os.mkfifo if hasattr(os, "mkfifo") else None,
    "a device": lambda path: os.symlink("/dev/zero", path),
    "a socket": socket_at,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    save_pair(tmp_path)
    return tmp_path


@posix
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["p/x.npy", "p/x.npz", "p/x.tif", "p/x.nii", "p/x.nii.gz"])
def test_a_prediction_that_is_no_regular_file(folder, capsys, kind, name):
    KINDS[kind](name)
    message = f"{name}: cannot be read: expected a regular file, got {kind}"
    assert message in refused(capsys, "evaluate", name, "m/a.npy", "--loss=dice")
    shutil.copy("m/a.npy", "m/x.npy")
    assert message in refused(capsys, "evaluate", "p", "m", "--loss=dice", "--output=r.json")
    assert not os.path.exists("r.json")


@posix
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["m/x.png", "m/x.tif", "m/x.npy", "m/x.nii", "m/x.nii.gz"])
def test_a_mask_that_is_no_regular_file(folder, capsys, kind, name):
    KINDS[kind](name)
    err = refused(capsys, "evaluate", "p/a.npy", name, "--loss=dice")
    assert f"error: {name}: cannot be read: expected a regular file, got {kind}" in err


@posix
@pytest.mark.parametrize("kind", [*KINDS, "a folder"])
def test_class_names_that_are_no_regular_file(folder, capsys, kind):
    (KINDS | {"a folder": os.mkdir})[kind]("names")
    err = refused(capsys, "evaluate", "p", "m", "--loss=dice", "--class-names=names")
    assert f"error: --class-names names: cannot be read: expected a regular file, got {kind}" in err


@pytest.mark.skipif(not os.path.exists("/dev/stdin"), reason="no /dev/stdin")
def test_standard_input_is_a_file_like_any_other(folder):
    arguments = ("evaluate", "p", "m", "--loss=dice", "--class-names=/dev/stdin")
    done = process(*arguments, stdin=subprocess.PIPE)
    assert done.returncode == 2
    assert "--class-names /dev/stdin: cannot be read: expected a regular file, got a pipe" in done.stderr
    (folder / "names").write_text("a\nb\nc\n")
    with open(folder / "names") as names:
        done = process(*arguments, stdin=names)
    assert done.returncode == 0, done.stderr


@posix
def test_links_to_files_are_followed(folder, capsys):
    expected = evaluated(capsys, "p", "m")
    for name in ("p/a.npy", "m/a.npy"):
        os.rename(name, name.replace("/", "-"))
        os.symlink(os.path.abspath(name.replace("/", "-")), name)
    assert evaluated(capsys, "p", "m")["losses"] == expected["losses"]


def save(path, array):
    if path.endswith(".npz"):
        np.savez_compressed(path, array)
    elif path.endswith(".npy"):
        np.save(path, array)
    elif path.endswith(".png"):
        Image.fromarray(array).save(path)
    elif path.endswith(".tif"):
        tifffile.imwrite(path, array, photometric="minisblack", compression="zlib" if "z" in path else None)
    else:
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


@posix
@pytest.mark.parametrize(
    ("prediction", "mask"),
    [("x.npy", "y.npy"), ("x.npz", "y.png"), ("x.tif", "y.tif"), ("xz.tif", "yz.tif"), ("x.nii", "y.nii"),
     ("x.nii.gz", "y.nii.gz")],
)  # fmt: skip
def test_a_file_that_is_replaced_while_it_is_read(folder, capsys, monkeypatch, prediction, mask):
    """By a pipe, once the headers are read: the values still come from the files that were opened."""
    rng = np.random.default_rng(0)
    save(prediction, rng.normal(0, 1, (3, 20, 30)).astype(np.float32))
    save(mask, rng.integers(0, 3, (20, 30), np.uint8))
    expected = evaluated(capsys, prediction, mask)
    fit = images.fit

    def replacing(*headers, **options):
        for name in (prediction, mask):
            os.mkfifo("pipe")
            os.replace("pipe", name)
        return fit(*headers, **options)

    monkeypatch.setattr(images, "fit", replacing)
    assert evaluated(capsys, prediction, mask)["losses"] == expected["losses"]


OME = """<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"><Image
ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="float" SizeX="5" SizeY="4" SizeC="3" SizeZ="1" SizeT="1"
><Channel ID="Channel:0:0" SamplesPerPixel="1"/><Channel ID="Channel:0:1" SamplesPerPixel="1"/><Channel ID="Channel:0:2"
SamplesPerPixel="1"/><TiffData IFD="0" FirstC="0" PlaneCount="1"><UUID FileName="x.tif">urn:uuid:1</UUID></TiffData
><TiffData IFD="0" FirstC="1" PlaneCount="2"><UUID FileName="other.tif">urn:uuid:2</UUID></TiffData></Pixels></Image
></OME>"""


@posix
@pytest.mark.parametrize("other", ["a pipe", "a file", "nothing"])
def test_a_tiff_opens_no_other_files(folder, capsys, other):
    """OME-XML may name files that hold a part of the array. A pipe among them hung, a missing one was read as zeros."""
    tifffile.imwrite("p/x.tif", np.zeros((4, 5), np.float32), photometric="minisblack", description=OME, metadata=None)
    if other == "a pipe":
        os.mkfifo("p/other.tif")
    elif other == "a file":
        tifffile.imwrite("p/other.tif", np.zeros((2, 4, 5), np.float32), photometric="minisblack", metadata=None)
    err = refused(capsys, "evaluate", "p/x.tif", "m/a.npy", "--loss=dice")
    assert "p/x.tif: cannot be read: expected the whole array, got a part" in err


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_ome_tiff_of_one_file_is_read(folder, capsys, compression):
    tifffile.imwrite("p/x.ome.tif", np.load("p/a.npy"), photometric="minisblack", compression=compression)
    expected = evaluated(capsys, "p/a.npy", "m/a.npy")["losses"]
    for name in ("p/x.ome.tif", "p/renamed.tif"):
        assert evaluated(capsys, name, "m/a.npy")["losses"] == expected
        shutil.copy("p/x.ome.tif", "p/renamed.tif")


@pytest.mark.parametrize("size", [LARGEST + 1, 2**40])
def test_class_names_of_any_size(folder, capsys, size):
    """The larger is 1 TiB of nothing, more than any memory holds."""
    with open("names", "wb") as handle:
        handle.truncate(size)
    err = refused(capsys, "evaluate", "p", "m", "--loss=dice", "--class-names=names")
    assert f"got more than {LARGEST} bytes" in err
    assert "one class name per line" in err


def test_as_many_class_names_as_the_limit_allows(folder, capsys):
    """To compare each with each would take minutes."""
    names = [f"{number:06}" for number in range(LARGEST // 7)]
    (folder / "names").write_text("\n".join(names))
    err = refused(capsys, "evaluate", "p", "m", "--loss=dice", "--class-names=names")
    assert f"expected {len(names)} classes on axis 0, as in --class-names, got 3" in err
    (folder / "names").write_text("\n".join([*names[:-1], names[0]]))
    err = refused(capsys, "evaluate", "p", "m", "--loss=dice", "--class-names=names")
    assert "got 000000 twice" in err


@posix
@pytest.mark.parametrize("name", ["x" * 300 + ".npy", "loop/x.npy"])
def test_a_path_that_the_system_refuses_is_named(folder, capsys, name):
    """The message had blamed standard output."""
    os.symlink("loop", "loop")
    for arguments in ([name, "m/a.npy"], ["p/a.npy", name]):
        err = refused(capsys, "evaluate", *arguments, "--loss=dice")
        assert err.startswith(f"error: {name}: cannot be read: ")
    output = name.replace(".npy", ".csv")
    assert f"error: --output {output}: " in refused(capsys, "evaluate", "p", "m", "--loss=dice", "--output", output)
    assert f"error: --class-names {name}: " in refused(
        capsys, "evaluate", "p", "m", "--loss=dice", "--class-names", name
    )


@posix
def test_a_folder_that_may_not_be_read_is_named(folder, capsys):
    os.chmod("p", 0)
    try:
        if os.access("p", os.R_OK):
            pytest.skip("root may read any folder")
        err = refused(capsys, "evaluate", "p/a.npy", "m/a.npy", "--loss=dice")
        assert err == "error: p/a.npy: cannot be read: Permission denied\n"
        err = refused(capsys, "evaluate", "m", "m", "--loss=dice", "--output=p/r.csv")
        assert err == "error: --output p/r.csv: cannot be written: Permission denied\n"
    finally:
        os.chmod("p", 0o700)


def test_a_gzip_of_several_members_is_read_whole(folder, capsys):
    """As `cat a.gz b.gz` makes them."""
    data = nibabel.Nifti1Image(np.load("p/a.npy"), np.eye(4)).to_bytes()
    (folder / "p" / "a.nii.gz").write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:]))
    assert run(capsys, "evaluate", "p/a.nii.gz", "m/a.npy", "--loss=dice")[0] == 0
