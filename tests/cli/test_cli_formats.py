"""Tests the files that `fastloss evaluate` reads: formats and dtypes, class axes, labels and options."""

import sys
import unicodedata

import ml_dtypes
import nibabel
import numpy as np
import pytest
import tifffile
from commandline import CLASSES, HEIGHT, WIDTH, evaluated, expected_values, refused, run, save_palette, values
from PIL import Image

import fastloss as fl
from fastloss.archive.images import Reading, open_image
from fastloss.files import numpy_files
from fastloss.files.pairing import pair_files


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("form", ["npy", "npz", "tif", "tif-deflate", "nii", "nii.gz"])
def test_prediction_formats(one, capsys, form, dtype):
    logits, labels, folder = one
    logits = logits.astype(dtype)
    if form.startswith("nii") and logits.dtype != np.float16:
        path = folder / f"x.{form}"
        nibabel.save(nibabel.Nifti1Image(logits.astype(logits.dtype.newbyteorder("=")), np.eye(4)), path)
    elif form == "npz":
        path = folder / "x.npz"
        np.savez_compressed(path, logits)
    elif form.startswith("tif"):
        path = folder / "x.tif"
        tifffile.imwrite(path, logits, photometric="minisblack", compression="zlib" if "-" in form else None)
    else:
        path = folder / "x.npy"
        np.save(path, logits)
    np.save(folder / "y.npy", labels)
    assert values(evaluated(capsys, path, folder / "y.npy")) == expected_values(logits, labels)


@pytest.mark.parametrize("form", ["png", "grey.png", "grey16.png", "tif", "npy", "nii", "nii.gz"])
def test_mask_formats(one, capsys, form):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits)
    path = folder / f"y.{form}"
    if form == "png":
        save_palette(path, labels)
    elif form == "grey.png":
        Image.fromarray(labels).save(path)
    elif form == "grey16.png":
        Image.fromarray(labels.astype(np.uint16)).save(path)
    elif form == "tif":
        tifffile.imwrite(path, labels)
    elif form == "npy":
        np.save(path, labels.astype(np.int64))
    else:
        nibabel.save(nibabel.Nifti1Image(labels.astype(np.int16), np.eye(4)), path)
    assert values(evaluated(capsys, folder / "x.npy", path)) == expected_values(logits, labels)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("palette", [True, False])
def test_png_labels_of_few_bits_stay_what_they_are(one, capsys, bits, palette):
    """Pillow stretches grey values of 2 and 4 bits to 0..255; here they are labels."""
    logits, labels, folder = one
    labels = labels % 2 if bits == 1 else labels
    np.save(folder / "x.npy", logits)
    (folder / "y.png").write_bytes(png(labels, bits, palette))
    assert values(evaluated(capsys, folder / "x.npy", folder / "y.png")) == expected_values(logits, labels)


def png(labels, bits, palette):
    """A PNG written by hand: Pillow writes no grey of 2 or 4 bits."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = labels.shape
    digits = (labels[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(digits.reshape(height, -1).astype(np.uint8), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = struct.pack(">IIBBBBB", width, height, bits, 3 if palette else 0, 0, 0, 0)
    colours = chunk(b"PLTE", bytes(range(3 * 2**bits % 256 or 256))[: 3 * 2**bits]) if palette and bits < 8 else b""
    colours = chunk(b"PLTE", bytes(768)) if palette and bits == 8 else colours
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + colours + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("axis", [-1, 2])
def test_channels_last(one, capsys, axis):
    logits, labels, folder = one
    np.save(folder / "x.npy", np.ascontiguousarray(np.moveaxis(logits, 0, -1)))
    np.save(folder / "y.npy", labels)
    found = evaluated(capsys, folder / "x.npy", folder / "y.npy", "--axis", axis)
    assert values(found) == expected_values(logits, labels)


def test_volume(rng, tmp_path, capsys):
    """(X, Y, Z, C) against (X, Y, Z), as NIfTI has them; stems match through .nii.gz."""
    volume, labels = rng.normal(0, 1, (5, 6, 7, 2)).astype(np.float32), rng.integers(0, 2, (5, 6, 7), np.uint8)
    for folder, data in (("p", volume), ("m", labels)):
        (tmp_path / folder).mkdir()
        nibabel.save(
            nibabel.Nifti1Image(data, np.eye(4)), tmp_path / folder / f"case.1{'.nii.gz' * (folder == 'p') or '.nii'}"
        )
    found = evaluated(capsys, tmp_path / "p", tmp_path / "m", "--axis=-1")
    assert values(found) == expected_values(np.moveaxis(volume, -1, 0), labels)
    assert found["per_image"][0]["image"] == "case.1"


def test_nii_with_a_slope_is_scaled(one, capsys):
    logits, labels, folder = one
    stored = np.round(logits * 100).astype(np.int16)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(0.01, 1.0)
    nibabel.save(image, folder / "x.nii")
    np.save(folder / "y.npy", labels)
    scaled = np.asarray(nibabel.load(folder / "x.nii").dataobj)
    assert abs(scaled - logits - 1).max() < 0.01
    assert values(evaluated(capsys, folder / "x.nii", folder / "y.npy")) == expected_values(scaled, labels)


def test_bfloat16(one, capsys, monkeypatch):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits.astype(ml_dtypes.bfloat16))
    np.save(folder / "y.npy", labels)
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", "dice")
    assert "x.npy" in err
    assert "|V2" in err
    assert "--dtype bfloat16" in err
    expected = expected_values(logits.astype(ml_dtypes.bfloat16), labels)
    assert values(evaluated(capsys, folder / "x.npy", folder / "y.npy", "--dtype", "bfloat16")) == expected
    np.save(folder / "x.npy", logits.astype(ml_dtypes.bfloat16).view(np.uint16))
    assert values(evaluated(capsys, folder / "x.npy", folder / "y.npy", "--dtype", "bfloat16")) == expected
    monkeypatch.setitem(
        sys.modules, "ml_dtypes", None
    )  # widened to float32 then: the same numbers, the same arithmetic
    found = values(evaluated(capsys, folder / "x.npy", folder / "y.npy", "--dtype", "bfloat16"))
    assert found == pytest.approx(expected, rel=1e-6)
    np.save(folder / "x.npy", logits)
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", "dice", "--dtype", "bfloat16")
    assert "float32" in err


def test_scaled_probabilities(one, capsys):
    logits, labels, folder = one
    raw = np.round(255 * fl.softmax(logits, axis=0)).astype(np.uint8)
    np.save(folder / "x.npy", raw)
    np.save(folder / "y.npy", labels)
    assert "--scale 255" in refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", "dice")
    scale = ("--scale", "255", "--activation", "none")
    found = evaluated(capsys, folder / "x.npy", folder / "y.npy", *scale, losses=["dice"])
    probabilities = raw / np.float32(255)
    assert values(found) == expected_values(probabilities, labels, dice=fl.DiceLoss(activation=None))
    code, _, err = run(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", "dice", "--scale", "255")
    assert code == 0
    assert "--activation none" in err
    for wrong in ("0", "-1", "nan", "inf"):
        assert "--scale" in refused(capsys, "evaluate", folder, folder, "--loss", "dice", "--scale", wrong)
    np.save(folder / "x.npy", logits)
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", "dice", *scale)
    assert "float32" in err


def test_npz_keys(one, capsys):
    logits, labels, folder = one
    np.savez(folder / "x.npz", logits=logits, other=logits + 1)
    np.save(folder / "y.npy", labels)
    arguments = ("evaluate", folder / "x.npz", folder / "y.npy", "--loss", "dice")
    err = refused(capsys, *arguments)
    assert "logits, other" in err
    assert "--key" in err
    assert "the archive (logits, other), got logit" in refused(capsys, *arguments, "--key", "logit")
    found = evaluated(capsys, folder / "x.npz", folder / "y.npy", "--key", "logits")
    assert values(found) == expected_values(logits, labels)


def test_activation_and_ignore_index(one, capsys):
    logits, labels, folder = one
    labels[:3] = 255
    np.save(folder / "x.npy", logits)
    save_palette(folder / "y.png", labels)
    options = ("--activation", "sigmoid", "--ignore-index", "255")
    found = evaluated(capsys, folder / "x.npy", folder / "y.png", *options)
    losses = {
        "dice": fl.DiceLoss(activation="sigmoid", ignore_index=255),
        "cross_entropy": fl.CrossEntropyLoss(ignore_index=255),
    }
    assert values(found) == expected_values(logits, labels, **losses)


def test_one_channel(rng, tmp_path, capsys):
    logits, labels = rng.normal(0, 1, (1, 8, 9)).astype(np.float32), rng.integers(0, 2, (8, 9), np.uint8)
    np.save(tmp_path / "x.npy", logits)
    np.save(tmp_path / "y.npy", labels)
    found = evaluated(capsys, tmp_path / "x.npy", tmp_path / "y.npy", "--activation=sigmoid", losses=["dice"])
    assert values(found) == expected_values(logits, labels, dice=fl.DiceLoss(activation="sigmoid"))
    np.save(tmp_path / "x.npy", logits[0])
    err = refused(capsys, "evaluate", tmp_path / "x.npy", tmp_path / "y.npy", "--loss", "dice")
    assert "expected a class axis" in err
    assert "(8, 9)" in err
    found = evaluated(
        capsys, tmp_path / "x.npy", tmp_path / "y.npy", "--activation=sigmoid", "--axes=yx", losses=["dice"]
    )
    assert values(found) == expected_values(logits, labels, dice=fl.DiceLoss(activation="sigmoid"))


def test_binary_cross_entropy_of_one_channel(rng, tmp_path, capsys):
    """The library takes a target of the input's shape; the command line converts labels 0 and 1 and ignored pixels."""
    logits, labels = rng.normal(0, 1, (1, 8, 9)).astype(np.float32), rng.integers(0, 2, (8, 9), np.uint8)
    np.save(tmp_path / "x.npy", logits)
    np.save(tmp_path / "y.npy", labels)
    name = "binary_cross_entropy_with_logits"
    found = evaluated(capsys, tmp_path / "x.npy", tmp_path / "y.npy", losses=[name])
    assert values(found)[name] == fl.binary_cross_entropy_with_logits(logits, labels[None].astype(np.float32))
    labels[:2] = 255
    np.save(tmp_path / "y.npy", labels)
    arguments = ("evaluate", tmp_path / "x.npy", tmp_path / "y.npy", "--loss", name)
    assert "y.npy: expected labels in 0..1, got 255 at (0, 0)" in refused(capsys, *arguments)
    whole = fl.binary_cross_entropy_with_logits(logits[:, 2:], labels[None, 2:].astype(np.float32))
    for losses in ([name], [name, "dice(activation='sigmoid')"]):
        found = evaluated(capsys, tmp_path / "x.npy", tmp_path / "y.npy", "--ignore-index=255", losses=losses)
        assert values(found)[name] == whole
    np.save(tmp_path / "two.npy", np.zeros((2, 8, 9), np.float32))  # x.npy may be mapped still
    assert "expected one channel" in refused(capsys, "evaluate", tmp_path / "two.npy", *arguments[2:])


def test_a_large_npy_is_mapped_not_read(scene, monkeypatch):
    monkeypatch.setattr(numpy_files, "SMALL", 0)
    pair = pair_files(scene / "p", scene / "m").pairs[0]
    image = open_image(pair, Reading(), whole=False)
    arrays = image.read(image.windows[0])
    values, labels = arrays.input, arrays.target
    assert values.shape == (1, CLASSES, HEIGHT, WIDTH)
    assert labels.shape == (1, HEIGHT, WIDTH)
    while isinstance(values, np.ndarray) and not isinstance(values, np.memmap):
        values = values.base
    assert isinstance(values, np.memmap)


def test_names_match_however_their_letters_are_written(one, capsys):
    logits, labels, folder = one
    for sub, array, form in [("p", logits, "NFC"), ("m", labels, "NFD")]:
        (folder / sub).mkdir()
        np.save(folder / sub / (unicodedata.normalize(form, "é") + ".npy"), array)
    assert evaluated(capsys, folder / "p", folder / "m")["per_image"][0]["image"] == "é"
