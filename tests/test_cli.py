"""`fastloss evaluate`, `losses` and `info` as a user meets them: files in, tables out, errors that name a file."""

import csv
import gzip
import json
import math
import os
import re
import signal
import stat
import subprocess
import sys
import unicodedata
import zipfile
from types import SimpleNamespace

import ml_dtypes
import nibabel
import numpy as np
import pytest
import tifffile
from commandline import evaluated, process, refused, run
from PIL import Image, ImageFile

import fastloss as fl
from fastloss.cli import app as application
from fastloss.cli import files, main, measure, report

CLASSES, HEIGHT, WIDTH = 3, 20, 30


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture
def scene(tmp_path, rng):
    """Two folders: three predictions (float32, one of other size) and their palette masks."""
    (tmp_path / "p").mkdir()
    (tmp_path / "m").mkdir()
    for name, height in (("a", HEIGHT), ("b", HEIGHT), ("c", HEIGHT + 3)):
        np.save(tmp_path / "p" / f"{name}.npy", rng.normal(0, 2, (CLASSES, height, WIDTH)).astype(np.float32))
        save_palette(tmp_path / "m" / f"{name}.png", rng.integers(0, CLASSES, (height, WIDTH), np.uint8))
    return tmp_path


@pytest.fixture
def one(tmp_path, rng):
    """A prediction and its mask as arrays, and a folder to put them in."""
    logits = rng.normal(0, 2, (CLASSES, HEIGHT, WIDTH)).astype(np.float32)
    return logits, rng.integers(0, CLASSES, (HEIGHT, WIDTH), np.uint8), tmp_path


def save_palette(path, labels):
    image = Image.fromarray(labels)
    image.putpalette([7, 8, 9] * 256)
    assert image.mode == "P"
    image.save(path)


def load(path):
    return np.asarray(Image.open(path)) if path.suffix == ".png" else np.load(path)


# Values


LOSSES = {
    "dice": fl.DiceLoss(),
    "dice(batch=True)": fl.DiceLoss(batch=True),
    "tversky(alpha=0.3, beta=0.7)": fl.TverskyLoss(alpha=0.3, beta=0.7),
    "0.5*dice + 0.5*cross_entropy": 0.5 * fl.DiceLoss() + 0.5 * fl.CrossEntropyLoss(),
}


def library(scene):
    names = sorted(path.stem for path in (scene / "p").iterdir())
    arrays = [(np.load(scene / "p" / f"{name}.npy")[None], load(scene / "m" / f"{name}.png")[None]) for name in names]
    return names, fl.Report.sum(fl.evaluate(LOSSES, x, y) for x, y in arrays)


def test_report_json_is_the_librarys(scene, capsys):
    names, expected = library(scene)
    found = evaluated(capsys, scene / "p", scene / "m", losses=LOSSES)
    assert found["images"] == 3
    assert found["classes"] == ["0", "1", "2"]
    assert found["fastloss"] == fl.config()["version"]
    assert [image["image"] for image in found["per_image"]] == names
    assert list(found["losses"]) == list(LOSSES)
    for name, loss in LOSSES.items():
        entry = found["losses"][name]
        assert entry["loss"] == repr(loss)
        assert entry["value"] == expected[name]
        assert list(entry["per_class"].values()) == list(expected.per_class[name])
        assert [image["losses"][name] for image in found["per_image"]] == list(expected.per_image[name])
    assert found["per_image"][1]["prediction"].endswith("b.npy")
    assert found["per_image"][1]["target"].endswith("b.png")


def test_report_csv_is_the_librarys(scene, capsys):
    names, expected = library(scene)
    output = scene / "report.csv"
    options = [f"--loss={name}" for name in LOSSES]
    assert run(capsys, "evaluate", scene / "p", scene / "m", *options, "--output", output)[0] == 0
    with output.open(newline="") as handle:
        rows = {(row["scope"], row["name"], row["loss"]): float(row["value"]) for row in csv.DictReader(handle)}
    assert len(rows) == len(LOSSES) * (1 + CLASSES + 3)
    for name in LOSSES:
        assert rows["all", "", name] == expected[name]
        assert [rows["class", str(i), name] for i in range(CLASSES)] == list(expected.per_class[name])
        assert [rows["image", image, name] for image in names] == list(expected.per_image[name])


def test_set_value_is_of_all_pixels_not_a_mean_of_means(scene, capsys):
    found = evaluated(capsys, scene / "p", scene / "m", losses=["cross_entropy"])
    pairs = [(np.load(scene / "p" / f"{n}.npy"), load(scene / "m" / f"{n}.png")) for n in "abc"]
    logits = np.concatenate([x.reshape(CLASSES, -1) for x, _ in pairs], axis=1)[None]
    labels = np.concatenate([y.ravel() for _, y in pairs])[None]
    whole = fl.cross_entropy(logits, labels)
    # The same terms, added in float64 in another order.
    assert found["losses"]["cross_entropy"]["value"] == pytest.approx(whole, rel=1e-12)
    means = np.mean([image["losses"]["cross_entropy"] for image in found["per_image"]])
    assert abs(means - whole) > 1e-6


def test_tables(scene, capsys):
    (scene / "names.txt").write_text("sky\nroad [grey]\ncar\n")
    names = scene / "names.txt"
    losses = ["--loss", "dice", "--loss", "dice(classes=[1, 2], batch=True)", "--class-names", names, "--worst", 2]
    code, out, err = run(capsys, "evaluate", scene / "p", scene / "m", *losses)
    assert code == 0
    whole, classes, worst = out.split("\n\n")
    assert "merged partial sums" in whole
    assert "not a mean of per-file means" in whole
    assert re.search(r"^dice +0\.\d+ +mean over images and classes$", whole, re.M)
    assert re.search(
        r"^dice\(classes=\[1, 2\], batch=True\) +0\.\d+ +pixels of all images pooled, then mean", whole, re.M
    )
    assert re.search(r"^road \[grey\] +0\.\d+ +0\.\d+$", classes, re.M)
    assert re.search(r"^sky +0\.\d+ +-$", classes, re.M)  # left out by classes=
    assert worst.startswith("Worst 2 of 3 by dice (the first loss)")
    _, expected = library(scene)
    order = np.argsort(-expected.per_image["dice"])[:2]
    assert [line.split()[0] for line in worst.splitlines()[2:]] == ["abc"[i] for i in order]
    assert "\x1b" not in out + err
    assert re.fullmatch(r"3 images, .* images/s, .* GB/s \(.*\)\n", err)


def test_same_image_twice_is_one_row_each_and_the_same_expression_counts_once(scene, capsys):
    found = evaluated(capsys, scene / "p" / "a.npy", scene / "m" / "a.png", losses=["dice", " dice "])
    assert list(found["losses"]) == ["dice"]
    assert found["losses"]["dice"]["value"] == found["per_image"][0]["losses"]["dice"]


# Formats


def expected_values(logits, labels, **losses):
    losses = losses or {"dice": fl.DiceLoss(), "cross_entropy": fl.CrossEntropyLoss()}
    result = fl.evaluate(losses, logits[None], labels[None])
    return {name: result[name] for name in losses}


def values(found):
    return {name: entry["value"] for name, entry in found["losses"].items()}


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
    assert "no array named logit" in refused(capsys, *arguments, "--key", "logit")
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
    assert "no class axis" in err
    assert "(1, 8, 9)" in err


def test_binary_cross_entropy_of_one_channel(rng, tmp_path, capsys):
    """The library wants a target of the input's shape; labels 0 and 1 and the pixels left out are seen to here."""
    logits, labels = rng.normal(0, 1, (1, 8, 9)).astype(np.float32), rng.integers(0, 2, (8, 9), np.uint8)
    np.save(tmp_path / "x.npy", logits)
    np.save(tmp_path / "y.npy", labels)
    name = "binary_cross_entropy_with_logits"
    found = evaluated(capsys, tmp_path / "x.npy", tmp_path / "y.npy", losses=[name])
    assert values(found)[name] == fl.binary_cross_entropy_with_logits(logits, labels[None].astype(np.float32))
    labels[:2] = 255
    np.save(tmp_path / "y.npy", labels)
    arguments = ("evaluate", tmp_path / "x.npy", tmp_path / "y.npy", "--loss", name)
    assert "y.npy: label 255 at (0, 0) is not in 0..1" in refused(capsys, *arguments)
    whole = fl.binary_cross_entropy_with_logits(logits[:, 2:], labels[None, 2:].astype(np.float32))
    for losses in ([name], [name, "dice(activation='sigmoid')"]):
        found = evaluated(capsys, tmp_path / "x.npy", tmp_path / "y.npy", "--ignore-index=255", losses=losses)
        assert values(found)[name] == whole
    np.save(tmp_path / "two.npy", np.zeros((2, 8, 9), np.float32))  # x.npy may be mapped still
    assert "takes one channel" in refused(capsys, "evaluate", tmp_path / "two.npy", *arguments[2:])


def test_npy_is_mapped_not_read(scene):
    pair = files.pairs(scene / "p", scene / "m")[0]
    values, labels, _ = files.load_pair(pair, files.Reading())
    assert values.shape == (1, CLASSES, HEIGHT, WIDTH)
    assert labels.shape == (1, HEIGHT, WIDTH)
    while isinstance(values, np.ndarray) and not isinstance(values, np.memmap):
        values = values.base
    assert isinstance(values, np.memmap)


# Errors


def test_partners(scene, capsys):
    arguments = ("evaluate", scene / "p", scene / "m", "--loss", "dice")
    (scene / "p" / "a.npy").rename(scene / "p" / "d.npy")
    err = refused(capsys, *arguments)
    assert "d.npy: no partner" in err
    assert "a.png: no partner" in err
    for i in range(20):
        np.save(scene / "p" / f"more{i}.npy", np.zeros(3))
    assert "and 12 more files" in refused(capsys, *arguments)


def test_hidden_files_are_left_alone(scene, capsys):
    (scene / "p" / ".DS_Store").write_text("x")
    evaluated(capsys, scene / "p", scene / "m")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p, m: (p / "readme.md").write_text("x"), "readme.md: not a prediction file: expected .npy, .npz"),
        (lambda p, m: (m / "names").write_text("x"), "names: not a mask file: expected .png"),
        (lambda p, m: (p / "sub").mkdir(), "sub: a folder inside the prediction folder"),
        (lambda p, m: (p / "a.npz").write_text("x"), "has the same stem"),
        (lambda p, m: [f.unlink() for d in (p, m) for f in d.iterdir()], "no file to evaluate"),
        (lambda p, m: (p / "b.npy").write_bytes(b""), "b.npy: cannot be read"),
        (lambda p, m: (p / "b.npy").write_bytes((p / "b.npy").read_bytes()[:-1]), "b.npy: cannot be read: truncated"),
        (lambda p, m: (p / "b.npy").write_bytes((p / "b.npy").read_bytes()[:50]), "b.npy: cannot be read"),
        (lambda p, m: (p / "b.npy").write_bytes(b"hello world, this is no array"), "b.npy: cannot be read"),
        (lambda p, m: (m / "b.png").write_bytes((m / "b.png").read_bytes()[:-60]), "b.png: cannot be read"),
        (lambda p, m: (m / "b.png").write_bytes(b""), "b.png: cannot be read"),
        (lambda p, m: (m / "b.png").write_text("GIF89a"), "b.png: cannot be read"),
        (lambda p, m: Image.new("RGB", (WIDTH, HEIGHT)).save(m / "b.png"), "a picture of mode RGB"),
        (lambda p, m: np.save(p / "b.npy", np.zeros((CLASSES, 4, 5), np.float32)), "the mask"),
        (lambda p, m: np.save(p / "b.npy", np.zeros((4, HEIGHT, WIDTH), np.float32)), "b.npy: 4 classes on axis 0"),
        (lambda p, m: np.save(p / "b.npy", np.zeros((3, HEIGHT, WIDTH), complex)), "b.npy: expected float16"),
        (lambda p, m: np.save(p / "b.npy", np.array([{}], object)), "b.npy: cannot be read: pickled Python objects"),
        (lambda p, m: np.save(p / "b.npy", np.zeros(3, "f4,i4")), "b.npy"),
        (lambda p, m: np.save(p / "b.npy", np.float32(1)), "b.npy: shape () has no axis 0"),
    ],
)  # fmt: skip
def test_bad_files(scene, capsys, spoil, message):
    spoil(scene / "p", scene / "m")
    output = scene / "report.json"
    assert message in refused(capsys, "evaluate", scene / "p", scene / "m", "--loss", "dice", "--output", output)
    assert not output.exists()


def test_shapes_that_differ_name_both(scene, capsys):
    arguments = ("evaluate", scene / "p" / "a.npy", scene / "m" / "c.png", "--loss", "dice")
    err = refused(capsys, *arguments)
    assert all(part in err for part in ("a.npy", "c.png", f"{(CLASSES, HEIGHT, WIDTH)}", f"{(HEIGHT + 3, WIDTH)}"))
    np.save(scene / "p" / "a.npy", np.zeros((HEIGHT, WIDTH, CLASSES), np.float32))
    err = refused(capsys, "evaluate", scene / "p" / "a.npy", scene / "m" / "a.png", "--loss", "dice")
    assert "with --axis 2 they would agree" in err
    err = refused(capsys, "evaluate", scene / "p" / "a.npy", scene / "m" / "a.png", "--loss", "dice", "--axis", "3")
    assert "has no axis 3" in err


def test_label_out_of_range(one, capsys):
    logits, labels, folder = one
    labels[4, 7] = 255
    np.save(folder / "x.npy", logits)
    save_palette(folder / "y.png", labels)
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.png", "--loss", "dice")
    assert "y.png: label 255 at (4, 7) is not in 0..2" in err
    assert "--ignore-index 255" in err


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_mask_of_whole_numbers(one, capsys, dtype):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits)
    np.save(folder / "y.npy", labels.astype(dtype))
    assert values(evaluated(capsys, folder / "x.npy", folder / "y.npy")) == expected_values(
        logits, labels, dice=fl.DiceLoss(), cross_entropy=fl.CrossEntropyLoss()
    )


@pytest.mark.parametrize("value", [0.5, -1.5, np.nan, np.inf, -np.inf, 1e300])
def test_float_mask_of_other_numbers(one, capsys, value):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits)
    mask = labels.astype(np.float64)
    mask[3, 4] = value
    np.save(folder / "y.npy", mask)
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", "dice")
    assert f"y.npy: a mask holds integer labels, got {value} at (3, 4) of float64" in err


def test_an_affine_that_differs_is_noted(one, capsys):
    logits, labels, folder = one
    for name, affine in [("same", np.diag([2, 2, 3, 1])), ("other", np.diag([-2, 2, 3, 1]))]:
        nibabel.Nifti1Image(np.moveaxis(logits, 0, -1), np.diag([2, 2, 3, 1])).to_filename(folder / "x.nii")
        nibabel.Nifti1Image(labels, affine).to_filename(folder / "y.nii.gz")
        code, _, err = run(capsys, "evaluate", folder / "x.nii", folder / "y.nii.gz", "--axis=-1", "--loss=dice")
        assert code == 0
        assert ("note: x: prediction and mask differ in their affine" in err) == (name == "other")


def test_names_match_however_their_letters_are_written(one, capsys):
    logits, labels, folder = one
    for sub, array, form in [("p", logits, "NFC"), ("m", labels, "NFD")]:
        (folder / sub).mkdir()
        np.save(folder / sub / (unicodedata.normalize(form, "é") + ".npy"), array)
    assert evaluated(capsys, folder / "p", folder / "m")["per_image"][0]["image"] == "é"


# Notes, and what one channel cannot be


def test_an_image_that_is_nan_is_named(scene, capsys):
    names = sorted(path.stem for path in (scene / "p").iterdir())
    spoiled = np.load(scene / "p" / f"{names[1]}.npy")
    spoiled[0, 0, 0] = np.nan
    np.save(scene / "p" / f"{names[1]}.npy", spoiled)
    output = scene / "report.json"
    code, out, err = run(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", "--worst=1", "--output", output)
    assert code == 0
    assert f"note: a loss is nan for {names[1]}: " in err
    assert re.search(r"^dice +nan ", out, re.M)
    assert re.search(rf"^{names[1]} +nan$", out, re.M)
    assert "nothing of this class" not in out
    assert json.loads(output.read_text())["nan_images"] == [names[1]]


def test_nan_that_was_asked_for_is_no_note(one, capsys):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits)
    np.save(folder / "y.npy", np.minimum(labels, 1))
    loss = "dice(absent='nan')"
    code, out, err = run(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", loss)
    assert (code, "note" in err, "nothing of this class" in out) == (0, False, True)
    assert evaluated(capsys, folder / "x.npy", folder / "y.npy", losses=[loss])["nan_images"] == []


def test_losses_of_logits_say_so(one, capsys):
    logits, labels, folder = one
    np.save(folder / "x.npy", np.abs(logits))
    np.save(folder / "y.npy", labels)
    note = "cross_entropy takes logits whatever is said here; of probabilities it is categorical_cross_entropy"
    for loss in ("cross_entropy", "dice + cross_entropy"):
        arguments = ("evaluate", folder / "x.npy", folder / "y.npy", "--loss", loss)
        assert f"note: {note}" in run(capsys, *arguments, "--activation=none")[2]
        assert "note" not in run(capsys, *arguments)[2]


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("dice", "one channel, of which dice's softmax is always 1: give --activation sigmoid"),
        ("boundary", "one channel, of which boundary's softmax is always 1"),
        ("cross_entropy", "one channel, but cross_entropy takes two classes or more"),
        ("js_div", "one channel, but js_div takes two classes or more"),
        ("dice_ce", "one channel, of which dice's softmax is always 1"),
        ("soft_margin", "soft_margin is for targets -1 and 1, which a mask does not hold"),
    ],
)
def test_what_one_channel_is_not_for(one, capsys, loss, words):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits[:1])
    np.save(folder / "y.npy", np.minimum(labels, 1))
    assert words in refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", loss)


def test_a_derived_loss_is_called_as_the_public_one():
    class OfOneChannel(fl.CrossEntropyLoss):
        pass

    assert measure._name(OfOneChannel()) == "cross_entropy"
    assert all(measure._name(cls()) == name.removesuffix("_loss") for name, cls in fl.losses.LOSSES.items())


def test_a_binary_mask_of_255(one, capsys):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits[:1])
    np.save(folder / "y.npy", np.where(labels > 0, 255, 0))
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss=dice", "--activation=sigmoid")
    assert "if it marks pixels to leave out, give --ignore-index 255, if it is the foreground, save it as 1" in err


def test_element_losses_leave_out_what_the_option_says_not_what_others_do(one, capsys):
    logits, labels, folder = one
    labels = np.minimum(labels, 1)
    np.save(folder / "x.npy", logits[:1])
    np.save(folder / "y.npy", labels)
    name = "binary_cross_entropy_with_logits"
    alone = values(evaluated(capsys, folder / "x.npy", folder / "y.npy", losses=[name]))
    dice = "dice(activation='sigmoid', ignore_index=0)"
    for losses in ([dice, name], [name, dice, "dice(activation='sigmoid')"]):
        assert values(evaluated(capsys, folder / "x.npy", folder / "y.npy", losses=losses))[name] == alone[name]


def test_what_the_library_refuses_names_the_files(one, capsys):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits)
    np.save(folder / "y.npy", labels)
    weight = "dice(class_weight=[1, 2])"  # three classes
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", weight)
    assert "x.npy with" in err
    assert "class_weight" in err


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
    assert "x.npz: cannot be read: pickled Python objects are refused" in err


def test_npz_that_holds_more_than_its_header_says(one, capsys):
    logits, labels, folder = one
    np.save(folder / "y.npy", labels)
    with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("logits.npy", npy_bytes(logits) + bytes(10**6))
    err = refused(capsys, "evaluate", folder / "x.npz", folder / "y.npy", "--loss", "dice")
    assert "x.npz: cannot be read: logits.npy: its header promises" in err


@pytest.mark.parametrize("form", ["npz", "tif", "nii.gz"])
def test_bomb(one, capsys, monkeypatch, form):
    _, _, folder = one
    monkeypatch.setattr(files, "BOMB_BYTES", 2**20)
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
    monkeypatch.setattr(files, "_as_real", lambda *_: pytest.fail("unpacked"))
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


def test_two_files_or_two_folders(scene, capsys):
    err = refused(capsys, "evaluate", scene / "p", scene / "m" / "a.png", "--loss", "dice")
    assert "two files or two folders" in err
    err = refused(capsys, "evaluate", scene / "p", scene / "nowhere", "--loss", "dice")
    assert "nowhere: no such file or folder" in err
    err = refused(capsys, "evaluate", scene / "m" / "a.png", scene / "m" / "a.png", "--loss", "dice")
    assert "a.png: not a prediction file" in err


def test_bad_expression_comes_before_any_work(scene, capsys):
    err = refused(capsys, "evaluate", scene / "nowhere", scene / "m", "--loss", "0.5*dicee")
    assert 'did you mean "dice"?' in err
    assert "    0.5*dicee\n        ^^^^^" in err


def test_options(scene, capsys):
    arguments = ("evaluate", scene / "p", scene / "m")
    assert "--loss" in refused(capsys, *arguments)
    assert "--activation" in refused(capsys, *arguments, "--loss", "dice", "--activation", "relu")
    assert "--threads" in refused(capsys, *arguments, "--loss", "dice", "--threads", "0")
    assert "--worst" in refused(capsys, *arguments, "--loss", "dice", "--worst", "-1")
    code, out, _ = run(capsys, *arguments, "--loss", "dice", "--worst", "0")
    assert code == 0
    assert "Worst" not in out


def test_threads(scene, capsys):
    before = fl.get_num_threads()
    try:
        assert run(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", "--threads=1")[0] == 0
        assert fl.get_num_threads() == 1
    finally:
        fl.set_num_threads(before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\n", "3 classes on axis 0, but 2 in --class-names"),
        ("a\n\nc\n", "line 2 is empty"),
        ("a\nb\na\n", "a is there twice"),
        ("", "no name in it"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_class_names(scene, capsys, text, message):
    path = scene / "names.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in refused(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", "--class-names", path)


def test_class_names_in_the_report(scene, capsys):
    path = scene / "names.txt"
    path.write_text("\ufeffHimmel\nStraße\nroad, old\n", encoding="utf-8")
    found = evaluated(capsys, scene / "p", scene / "m", "--class-names", path)
    assert found["classes"] == ["Himmel", "Straße", "road, old"]
    assert list(found["losses"]["dice"]["per_class"]) == found["classes"]


# The report as a file


def test_output_is_checked_before_any_work(scene, capsys):
    arguments = ("evaluate", scene / "nowhere", scene / "m", "--loss", "dice", "--output")
    assert "ending in .json or .csv" in refused(capsys, *arguments, scene / "report.txt")
    assert "there is no folder" in refused(capsys, *arguments, scene / "deep" / "report.json")
    (scene / "folder.json").mkdir()
    assert "is a folder" in refused(capsys, *arguments, scene / "folder.json")
    if os.name == "posix":
        os.mkfifo(scene / "pipe.json")
        assert "is there, and no file that may be written" in refused(capsys, *arguments, scene / "pipe.json")


def test_two_reports(scene, capsys):
    outputs = ("--output", scene / "r.json", "--output", scene / "r.csv")
    assert run(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", *outputs)[0] == 0
    value = json.loads((scene / "r.json").read_text())["losses"]["dice"]["value"]
    assert f"all,,dice,{value}" in (scene / "r.csv").read_text()


def test_no_number_is_null_in_json(tmp_path, capsys):
    """All pixels left out: no value; strict JSON all the same."""
    np.save(tmp_path / "x.npy", np.zeros((2, 4, 4), np.float32))
    np.save(tmp_path / "y.npy", np.full((4, 4), 255, np.uint8))
    arguments = ("--ignore-index", "255")
    found = evaluated(capsys, tmp_path / "x.npy", tmp_path / "y.npy", *arguments, losses=["cross_entropy"])
    assert "NaN" not in (tmp_path / "report.json").read_text()
    assert found["losses"]["cross_entropy"]["value"] is None
    assert found["per_image"][0]["losses"]["cross_entropy"] is None
    assert found["losses"]["cross_entropy"]["per_class"] == {"0": None, "1": None}
    output = tmp_path / "report.csv"
    code, out, _ = run(
        capsys,
        "evaluate",
        tmp_path / "x.npy",
        tmp_path / "y.npy",
        *arguments,
        "--loss=cross_entropy",
        "--output",
        output,
    )
    assert code == 0
    assert "all,,cross_entropy,nan" in output.read_text()
    assert re.search(r"^cross_entropy +- ", out, re.M)
    assert "Worst" not in out


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_what_was_there(scene, capsys, monkeypatch):
    output = scene / "report.json"
    output.write_text("old")
    before = left(scene)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    code, _, err = run(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", "--output", output)
    assert code == 2
    assert "report.json: cannot be written: No space left on device" in err
    assert output.read_text() == "old"
    assert left(scene) == before


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_report_has_ordinary_permissions_and_a_link_stays_one(scene, capsys):
    umask = os.umask(0o022)
    try:
        evaluated(capsys, scene / "p", scene / "m")
        assert stat.S_IMODE((scene / "report.json").stat().st_mode) == 0o644
        (scene / "report.json").chmod(0o640)
        (scene / "elsewhere").mkdir()
        (scene / "report.json").rename(scene / "elsewhere" / "real.json")
        (scene / "report.json").symlink_to(scene / "elsewhere" / "real.json")
        evaluated(capsys, scene / "p", scene / "m")
        assert (scene / "report.json").is_symlink()
        assert stat.S_IMODE((scene / "elsewhere" / "real.json").stat().st_mode) == 0o640
    finally:
        os.umask(umask)


# Ctrl-C: a process that sends itself the signal at a chosen point

INTERRUPT = """
import builtins, os, signal, sys
import {module} as module
from fastloss.cli import main
original = getattr(module, "{function}", None) or getattr(builtins, "{function}")
def stopped(*args, **kwargs):
    result = original(*args, **kwargs)
    if hasattr(result, "close"):
        result.close()
    os.kill(os.getpid(), signal.SIGINT)
    return result
module.{function} = stopped
sys.exit(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("fastloss.cli.files", "suffix"),
        ("fastloss", "evaluate"),
        ("fastloss.cli.report", "open"),  # the temporary file is made, nothing in it
        ("os.path", "exists"),  # it is written, but not yet in place
    ],
)
def test_ctrl_c(scene, module, function):
    before = left(scene)
    code = INTERRUPT.format(module=module, function=function)
    arguments = ("evaluate", scene / "p", scene / "m", "--loss=dice", "--output", scene / "report.json")
    done = process(*arguments, code=code)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert left(scene) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_from_outside(tmp_path):
    """Work for far longer than the test waits: large sparse files. The signal comes when a first file is mapped."""
    for folder, shape, dtype in (("p", (4, 6000, 6000), np.float32), ("m", (6000, 6000), np.uint8)):
        (tmp_path / folder).mkdir()
        for i in range(30):
            np.lib.format.open_memmap(tmp_path / folder / f"{i}.npy", "w+", dtype, shape)
    command = [sys.executable, "-u", "-c", "from fastloss.cli import main; import sys; print('up'); sys.exit(main())"]
    command += [
        "evaluate",
        tmp_path / "p",
        tmp_path / "m",
        "--loss=dice",
        "--output",
        tmp_path / "r.json",
        "--threads=1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "up\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
        assert "Traceback" not in child.stderr.read()
    assert left(tmp_path) == ["m", "p"]


# The other commands, and the house around them


def test_losses(capsys):
    code, out, err = run(capsys, "losses")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    for name, cls in fl.losses.LOSSES.items():
        assert cls.__name__ in lines[name]
        assert cls.__doc__.strip().splitlines()[0] in lines[name]
    assert "alpha=0.5, beta=0.5" in lines["tversky_loss"]
    for name, cls in fl.losses.MULTI_INPUT_LOSSES.items():
        assert cls.__name__ in lines[name]
    assert "DiceCELoss" in lines["dice_ce_loss"]
    taken, others = out.split("Losses that evaluate does not take")
    assert all((f"\n{name} " in taken) != (f"\n{name} " in others) for name in fl.losses.LOSSES)
    assert "soft_margin_loss" in others
    assert all(f"\n{name} " in others for name in fl.losses.MULTI_INPUT_LOSSES)


def test_info(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert fl.config()["version"] in out
    assert run(capsys, "--version") == (0, fl.__version__ + "\n", "")


def test_help(capsys):
    assert run(capsys, "--help")[0] == 0
    code, out, _ = run(capsys, "evaluate", "--help")
    assert code == 0
    for option in ("--loss", "--activation", "--axis", "--ignore-index", "--output", "--worst", "--scale", "--key"):
        assert option in out


def test_without_the_extra():
    code = "import sys; sys.modules['nibabel'] = None; from fastloss.cli import main; sys.exit(main())"
    done = process("info", code=code)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == 'fastloss: nibabel not installed; run: pip install "fastloss[cli]"\n'


def test_a_terminal_of_ascii(scene):
    (scene / "names.txt").write_text("a\nü\nc\n", encoding="utf-8")
    arguments = ("evaluate", scene / "p", scene / "m", "--loss=dice", "--class-names", scene / "names.txt")
    done = process(*arguments, env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert "\\xfc" in done.stdout


def test_as_a_module(scene):
    command = [sys.executable, "-m", "fastloss.cli", "evaluate", scene / "p", scene / "m", "--loss=dice"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Loss of all 3 images")


def test_an_error_that_is_a_bug_is_not_hidden(scene, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("a bug")

    monkeypatch.setattr(application, "measure", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["evaluate", str(scene / "p"), str(scene / "m"), "--loss=dice"])


def test_worst_ranks_without_the_images_that_have_no_value():
    values = {"ce": np.array([1.0, math.nan, math.inf, 1.0])}
    found = report.Findings(report=SimpleNamespace(losses={"ce": None}, per_image=values), pairs=[], classes=[])
    assert found.worst(10) == [2, 0, 3]
    assert found.worst(1) == [2]
    found = report.Findings(report=found.report, pairs=[], classes=[], nan=[1])
    assert found.worst(10) == [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (fl.CrossEntropyLoss(), "mean over the pixels of all images"),
        (fl.CrossEntropyLoss(class_weight=[1, 2]), "weighted mean over the pixels of all images"),
        (fl.CrossEntropyLoss(reduction="sum"), "the sum, not an average"),
        (fl.DiceLoss(), "mean over images and classes"),
        (fl.DiceLoss(absent="skip"), "mean over images and classes, without classes absent from the mask"),
        (fl.TverskyLoss(batch=True), "pixels of all images pooled, then mean over classes"),
        (fl.GeneralizedDiceLoss(class_weight=[1, 2]), "mean over images"),
        (fl.GeneralizedDiceLoss(batch=True), "pixels of all images pooled"),
        (
            0.5 * fl.DiceLoss() + fl.BoundaryLoss(),
            "0.5 x (mean over images and classes) + 1 x (mean over the pixels of all images)",
        ),
    ],
    ids=repr,
)
def test_what_a_value_averages_over(loss, words):
    assert report.averaging(loss) == words
