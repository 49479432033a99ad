"""Tests truncated files, damaged archives, and files that unpack to far more than their own size."""

import gzip
import zipfile

import nibabel
import numpy as np
import pytest
import tifffile
from commandline import refused
from PIL import Image, ImageFile

from fastloss.files import stored


@pytest.mark.parametrize("form", ["tif", "tif-deflate", "nii", "nii.gz", "npz"])
@pytest.mark.parametrize("keep", [0, 0.3, 0.7])
def test_truncated(one, capsys, form, keep):
    logits, labels, folder = one
    path = folder / f"x.{form.partition('-')[0]}"
    if form.startswith("tif"):
        deflate = {"compression": "zlib", "rowsperstrip": 4} if "-" in form else {}
        tifffile.imwrite(path, logits, photometric="minisblack", **deflate)
    elif form == "npz":
        np.savez_compressed(path, logits)
    else:
        nibabel.save(nibabel.Nifti1Image(logits, np.eye(4)), path)
    np.save(folder / "y.npy", labels)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    err = refused(capsys, "evaluate", path, folder / "y.npy", "--loss", "dice")
    assert f"{path.name}: cannot be read" in err


def test_damaged_archive(one, capsys):
    logits, labels, folder = one
    np.save(folder / "y.npy", labels)
    np.savez(folder / "x.npz", logits)
    data = bytearray((folder / "x.npz").read_bytes())
    data[len(data) // 2] ^= 1  # the checksum tells
    (folder / "x.npz").write_bytes(data)
    assert "x.npz: cannot be read" in refused(capsys, "evaluate", folder / "x.npz", folder / "y.npy", "--loss", "dice")


def npy_bytes(array):
    import io

    handle = io.BytesIO()
    np.save(handle, array)
    return handle.getvalue()


def test_pickle_in_npz(one, capsys):
    _, labels, folder = one
    np.save(folder / "y.npy", labels)
    np.savez(folder / "x.npz", np.array([{}], object))
    err = refused(capsys, "evaluate", folder / "x.npz", folder / "y.npy", "--loss", "dice")
    assert "x.npz: cannot be read: expected numbers, got pickled Python objects" in err


def test_npz_that_holds_more_than_its_header_says(one, capsys):
    logits, labels, folder = one
    np.save(folder / "y.npy", labels)
    with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("logits.npy", npy_bytes(logits) + bytes(10**6))
    err = refused(capsys, "evaluate", folder / "x.npz", folder / "y.npy", "--loss", "dice")
    assert "x.npz: cannot be read: logits.npy: expected" in err


@pytest.mark.parametrize("form", ["npz", "tif", "nii.gz"])
def test_bomb(one, capsys, monkeypatch, form):
    _, _, folder = one
    monkeypatch.setattr(stored, "BOMB_BYTES", 2**20)
    zeros = np.zeros((2, 1000, 1000), np.float32)
    path = folder / f"x.{form}"
    if form == "npz":
        np.savez_compressed(path, zeros)
    elif form == "tif":
        tifffile.imwrite(path, zeros, photometric="minisblack", compression="zlib")
    else:
        with gzip.open(path, "wb") as handle:
            handle.write(nibabel.Nifti1Image(zeros, np.eye(4)).to_bytes())
    np.save(folder / "y.npy", np.zeros((1000, 1000), np.uint8))
    monkeypatch.setattr(stored.Stored, "read", lambda *_: pytest.fail("unpacked"), raising=False)
    err = refused(capsys, "evaluate", path, folder / "y.npy", "--loss", "dice")
    assert f"x.{form}" in err
    assert "archive bomb" in err


def test_huge_png_is_not_unpacked_before_its_shape_is_compared(one, capsys, monkeypatch):
    logits, _, folder = one
    np.save(folder / "x.npy", logits)
    Image.new("L", (20000, 10000)).save(folder / "y.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("unpacked"))
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.png", "--loss", "dice")
    assert "(10000, 20000)" in err
