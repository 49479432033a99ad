"""Tests that headers decide about space: spacings reach the distances, turned masks are put right, others refused."""

import itertools
import re

import numpy as np
import pytest
from formats import FLAT, VOLUMES
from writing import AFFINE, blobs, folders, logits, save_nii, save_sitk, softmax, spacing_of, volume

import fastloss as fl
from fastloss.cli import main
from fastloss.files.errors import FileError
from fastloss.report.words import spacing_line

pytest.importorskip("nibabel")

DISTANCES = {
    "boundary": fl.BoundaryLoss(),
    "hausdorff": fl.HausdorffDTLoss(),
    "dice": fl.DiceLoss(),
}
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = np.linalg.qr(np.array([[9.0, -2, 1], [3, 8, -4], [-1, 5, 7]]))[0] * [0.7, 0.9, 2.5]
OBLIQUE[:3, 3] = -93.2, 41.7, 1003.9


def same(report, expected, rtol=0.0):
    for name in expected:
        np.testing.assert_allclose(report[name], expected[name], rtol=rtol)
        np.testing.assert_allclose(report.per_image[name], expected.per_image[name], rtol=rtol)


# ---- spacing

WITH_SPACING = ["nii", "nii.gz", "mgz", "img", "nrrd", "mha", "mhd", "ome-zarr2", "ome-zarr3", "dcm"]


@pytest.mark.parametrize("name", WITH_SPACING)
def test_the_spacing_of_a_mask_reaches_the_distances(tmp_path, name):
    form = VOLUMES[name]
    labels = blobs((9, 7, 8), 3)
    scores = logits(labels, 3)
    form.mask(tmp_path / f"y{form.suffix}", labels, form.affine)
    turned = (scores.transpose(0, 3, 2, 1), labels.T) if form.axes == "xyz" else (scores, labels)
    np.save(tmp_path / "x.npy", turned[0])
    spacing = spacing_of(AFFINE)[:: -1 if form.axes == "xyz" else 1]
    files = tmp_path / "x.npy", tmp_path / f"y{form.suffix}"
    report = fl.evaluate_files(DISTANCES, *files, axes="c" + form.axes, ignore_geometry=name == "dcm")
    assert report.spacings == (pytest.approx(spacing, rel=1e-6),)
    expected = fl.evaluate(DISTANCES, turned[0][None], turned[1][None], spacing=report.spacings[0])
    same(report, expected)
    without = fl.evaluate(DISTANCES, turned[0][None], turned[1][None])
    assert abs(report["boundary"] - without["boundary"]) > 1e-3
    assert report["dice"] == without["dice"]
    steps = " x ".join(f"{step:g}" for step in spacing)
    line = spacing_line(report.losses.values(), report.spacings)
    assert line == f"Distances are measured with the spacing of the headers: {steps}."
    assert spacing_line([fl.DiceLoss()], report.spacings) == ""
    assert report.notes == ()


@pytest.mark.parametrize("name", ["geotiff", "geotiff-tiles"])
def test_the_spacing_of_a_map(tmp_path, name):
    labels = blobs((20, 33), 3)
    scores = logits(labels, 3)
    FLAT[name].prediction(tmp_path / "x.tif", scores, None)
    FLAT[name].mask(tmp_path / "y.tif", labels, None)
    report = fl.evaluate_files(DISTANCES, tmp_path / "x.tif", tmp_path / "y.tif")
    assert report.spacings == ((0.5, 0.5),)
    same(report, fl.evaluate(DISTANCES, scores[None], labels[None], spacing=0.5))


@pytest.mark.parametrize("which", ["ct", "brain"])
def test_real_volumes(tmp_path, which):
    v = volume(which)
    scores = softmax(logits(v.labels, v.classes))
    np.savez(tmp_path / "x.npz", probabilities=scores)
    save_nii(tmp_path / "y.nii.gz", v.labels, v.affine)
    losses = {"boundary": fl.BoundaryLoss(activation=None), "ce": fl.CategoricalCrossEntropyLoss()}
    report = fl.evaluate_files(losses, tmp_path / "x.npz", tmp_path / "y.nii.gz")
    expected = fl.evaluate(losses, scores[None], v.labels[None], spacing=v.spacing)
    assert dict(report) == pytest.approx(dict(expected), rel=1e-6)  # the header's spacing is a float32 number
    picked = np.take_along_axis(scores, v.labels[None].astype(int), 0)
    assert report["ce"] == pytest.approx(-np.log(picked).mean(), rel=1e-9)


def test_a_loss_keeps_a_spacing_of_its_own(tmp_path):
    labels = blobs((9, 7, 8), 3)
    scores = logits(labels, 3)
    np.save(tmp_path / "x.npy", scores)
    save_sitk(tmp_path / "y.nrrd", labels, AFFINE)
    losses = {"own": fl.BoundaryLoss(spacing=(3, 2, 1)), "boundary": fl.BoundaryLoss()}
    report = fl.evaluate_files(losses, tmp_path / "x.npy", tmp_path / "y.nrrd", axes="czyx")
    alone = fl.BoundaryLoss(spacing=(3, 2, 1))(scores[None], labels[None])
    assert report["own"] == alone
    assert report["boundary"] != alone


def test_images_of_different_spacings_are_merged(tmp_path):
    predictions, masks = folders(tmp_path, "p", "m")
    reports, spacings = [], []
    for at, (shape, scale) in enumerate([((9, 7, 8), 1), ((6, 8, 7), 2.5), ((5, 9, 6), 0.3)]):
        labels = blobs(shape, 3, at)
        scores = logits(labels, 3, at)
        affine = AFFINE @ np.diag([scale, 1, 1 / scale, 1])
        np.save(predictions / f"{at}.npy", scores)
        save_sitk(masks / f"{at}.mha", labels, affine)
        spacings.append(spacing_of(affine))
        reports.append(fl.evaluate(DISTANCES, scores[None], labels[None], spacing=spacings[-1]))
    report = fl.evaluate_files(DISTANCES, predictions, masks, axes="czyx")
    same(report, fl.Report.sum(reports), rtol=1e-12)
    assert [pytest.approx(spacing, rel=1e-12) for spacing in spacings] == list(report.spacings)
    first, last = (" x ".join(f"{step:g}" for step in steps) for steps in (min(spacings), max(spacings)))
    line = spacing_line(report.losses.values(), report.spacings)
    assert line == f"Distances are measured with the spacing of the headers: {first} to {last}."


# ---- turned masks

TURNS = [(order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)]


def turned(labels, affine, order, signs):
    """Return the same image of space with its axes (x, y, z) permuted and flipped: array (z, y, x) and affine."""
    values = labels.T.transpose(order)
    matrix = affine[:, [*order, 3]].copy()
    for k, sign in enumerate(signs):
        if sign < 0:
            matrix[:, 3] += (values.shape[k] - 1) * matrix[:, k]
            matrix[:, k] *= -1
    return values[tuple(slice(None, None, sign) for sign in signs)].T, matrix


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("form", [".nii.gz", ".nrrd", ".mha"])
def test_turned_masks_are_put_right(tmp_path, affine, form):
    """Seven of the 48 turns are flips, five are permutations, and 35 are both. Each image is in one note."""
    predictions, masks = folders(tmp_path, "p", "m")
    labels = blobs((4, 5, 6), 3)
    scores = logits(labels, 3)
    for at, turn in enumerate(TURNS):
        save_nii(predictions / f"{at:02}.nii", scores, affine)
        array, matrix = turned(labels, affine, *turn)
        if form == ".nii.gz":
            save_nii(masks / f"{at:02}{form}", array, matrix)
        else:
            save_sitk(masks / f"{at:02}{form}", array, matrix)
    report = fl.evaluate_files(DISTANCES, predictions, masks, axis=-1)
    spacing = spacing_of(affine)[::-1]
    expected = fl.evaluate(DISTANCES, scores.transpose(0, 3, 2, 1)[None], labels.T[None], spacing=report.spacings[0])
    for name in DISTANCES:
        np.testing.assert_allclose(report.per_image[name], expected[name], rtol=1e-6)
        assert report.per_image[name][0] == expected[name]
    for found in report.spacings:
        assert found == pytest.approx(spacing, rel=1e-6)
    counts = {}
    for note in report.notes:
        names, what = re.fullmatch(
            r"(.*): the mask's axes are (.*) against the prediction's, as their affines say; they are put right", note
        ).groups()
        more = re.search(r" and (\d+) more$", names)
        counts[what] = names.count(",") + 1 + (int(more[1]) if more else 0)
    assert counts == {"flipped": 7, "permuted": 5, "flipped and permuted": 35}


def test_a_dicom_mask_whose_slices_run_the_other_way(tmp_path):
    """highdicom orders slices against the normal, whatever the order of the source."""
    labels = blobs((6, 7, 8), 3)
    scores = logits(labels, 3)
    save_sitk(tmp_path / "x.nrrd", scores, AFFINE)
    VOLUMES["dcm"].mask(tmp_path / "y.dcm", labels, AFFINE)
    report = fl.evaluate_files(DISTANCES, tmp_path / "x.nrrd", tmp_path / "y.dcm")
    same(report, fl.evaluate(DISTANCES, scores[None], labels[None], spacing=spacing_of(AFFINE)), rtol=1e-6)
    assert report.notes == (
        "x: the mask's axes are flipped against the prediction's, as their affines say; they are put right",
    )


def test_the_slices_of_a_dicom_mask_have_no_order_without_places(tmp_path):
    labels = blobs((9, 7, 8), 3)
    VOLUMES["dcm"].mask(tmp_path / "y.dcm", labels, AFFINE)
    np.save(tmp_path / "x.npy", logits(labels, 3))
    with pytest.raises(FileError, match=r"x\.npy: the order of its slices is not known.*`ignore_geometry=True`"):
        fl.evaluate_files(DISTANCES, tmp_path / "x.npy", tmp_path / "y.dcm")


@pytest.mark.parametrize("swapped", [False, True])
def test_a_dicom_mask_without_its_empty_slices_is_completed(tmp_path, swapped):
    """Writers leave out the empty slices at both ends; the affine shows where the others belong."""
    labels = blobs((9, 7, 8), 3)
    labels[:2], labels[-3:] = 0, 0
    scores = fl.one_hot(labels[None], 3)[0]
    full = tmp_path / "x.nrrd"
    VOLUMES["dcm"].mask(tmp_path / "y.dcm", labels, AFFINE)
    losses = {"dice": fl.DiceLoss(activation=None), "boundary": fl.BoundaryLoss(activation=None)}
    expected = fl.evaluate(losses, scores[None], labels[None], spacing=spacing_of(AFFINE))
    if swapped:  # the SEG is the prediction
        VOLUMES["nrrd"].mask(full, labels, AFFINE)
        same(fl.evaluate_files(losses, tmp_path / "y.dcm", full, num_classes=3), expected, rtol=1e-6)
    else:
        save_sitk(full, scores, AFFINE)
        same(fl.evaluate_files(losses, full, tmp_path / "y.dcm"), expected, rtol=1e-6)
    moved = AFFINE.copy()
    moved[:3, 3] += 0.5 * AFFINE[:3, :3].sum(axis=1)
    VOLUMES["nrrd"].mask(full, labels, moved)
    with pytest.raises(FileError, match=r"expected (the affine|shape)"):
        fl.evaluate_files(losses, tmp_path / "y.dcm", full, num_classes=3)


def test_formats_agree_about_an_oblique_image(tmp_path):
    labels = blobs((6, 7, 8), 3)
    scores = logits(labels, 3)
    save_nii(tmp_path / "x.nii.gz", scores, OBLIQUE)
    found = {}
    for name in ("nii", "mgz", "nrrd", "mha", "mhd"):
        VOLUMES[name].mask(tmp_path / f"y{VOLUMES[name].suffix}", labels, OBLIQUE)
        report = fl.evaluate_files(DISTANCES, tmp_path / "x.nii.gz", tmp_path / f"y{VOLUMES[name].suffix}", axis=-1)
        assert report.notes == ()
        found[name] = dict(report)
    assert all(values == pytest.approx(found["nii"], rel=1e-5) for values in found.values())


# ---- other spaces

SHIFTED, STRETCHED, ROTATED = (np.eye(4) for _ in range(3))
SHIFTED[0, 3] = 0.5
STRETCHED[1, 1] = 1.25
angle = np.deg2rad(5)
ROTATED[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
OTHER = {"shifted": SHIFTED, "stretched": STRETCHED, "rotated": ROTATED, "mirrored": np.diag([-1, 1, 1, 1.0])}


@pytest.mark.parametrize("other", OTHER)
@pytest.mark.parametrize("form", [".nii.gz", ".nrrd"])
def test_another_space_is_refused_unless_it_is_ignored(tmp_path, capsys, other, form):
    labels = blobs((6, 7, 8), 3)
    scores = logits(labels, 3)
    affine = OTHER[other] @ AFFINE
    save_nii(tmp_path / "x.nii", scores, AFFINE)
    (save_nii if form == ".nii.gz" else save_sitk)(tmp_path / f"y{form}", labels, affine)
    files = tmp_path / "x.nii", tmp_path / f"y{form}"
    with pytest.raises(FileError) as caught:
        fl.evaluate_files(DISTANCES, *files, axis=-1)
    assert str(caught.value).startswith(f"{files[0]}: expected the affine of {files[1]}, got another: ")
    assert "`ignore_geometry=True`" in str(caught.value)
    report = fl.evaluate_files(DISTANCES, *files, axis=-1, ignore_geometry=True)
    spacing = spacing_of(affine)[::-1]
    assert report.spacings == (pytest.approx(spacing, rel=1e-6),)
    arrays = scores.transpose(0, 3, 2, 1)[None], labels.T[None]
    same(report, fl.evaluate(DISTANCES, *arrays, spacing=report.spacings[0]))
    command = ["evaluate", *map(str, files), "--axis=-1", "--loss=dice"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "--ignore-geometry" in error
    assert "`" not in error
    assert main([*command, "--ignore-geometry"]) == 0


def test_a_map_that_is_shifted_by_a_pixel_is_refused(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    labels = blobs((20, 33), 3)
    scores = logits(labels, 3)
    options = {"driver": "GTiff", "height": 20, "width": 33, "crs": "EPSG:32632"}

    def write(path, bands, transform):
        with rasterio.open(path, "w", count=len(bands), dtype=bands.dtype, transform=transform, **options) as file:
            file.write(bands)

    write(tmp_path / "x.tif", scores, rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6))
    write(tmp_path / "y.tif", labels[None], rasterio.Affine(0.5, 0, 4e5 + 0.5, 0, -0.5, 5e6))
    with pytest.raises(FileError, match="their corners are up to 1 voxels apart"):
        fl.evaluate_files(DISTANCES, tmp_path / "x.tif", tmp_path / "y.tif")
    south_up = np.ascontiguousarray(labels[None, ::-1])
    write(tmp_path / "y.tif", south_up, rasterio.Affine(0.5, 0, 4e5, 0, 0.5, 5e6 - 10))
    report = fl.evaluate_files(DISTANCES, tmp_path / "x.tif", tmp_path / "y.tif")
    same(report, fl.evaluate(DISTANCES, scores[None], labels[None], spacing=0.5))
    assert ["flipped" in note for note in report.notes] == [True]


def test_spacings_without_places_must_agree(tmp_path):
    """OME-Zarr has a spacing and no place in space."""
    labels = blobs((6, 7, 8), 3)
    scores = logits(labels, 3)
    form = VOLUMES["ome-zarr3"]
    form.prediction(tmp_path / "x.ome.zarr", scores, AFFINE @ np.diag([2, 1, 1, 1.0]))
    form.mask(tmp_path / "y.ome.zarr", labels, AFFINE)
    files = tmp_path / "x.ome.zarr", tmp_path / "y.ome.zarr"
    with pytest.raises(FileError, match=r"expected the spacing of .*y\.ome\.zarr, .* `ignore_geometry=True`"):
        fl.evaluate_files(DISTANCES, *files)
    report = fl.evaluate_files(DISTANCES, *files, ignore_geometry=True)
    assert report.spacings == (spacing_of(AFFINE),)
    same(report, fl.evaluate(DISTANCES, scores[None], labels[None], spacing=spacing_of(AFFINE)))


def test_the_reverse_order_of_a_medical_mask_is_noted(tmp_path):
    """An `.npy` file made by SimpleITK has (z, y, x), and its mask in NIfTI (x, y, z). Only the shape shows it."""
    predictions, masks = folders(tmp_path, "p", "m")
    reports = []
    for at, order in enumerate(["zyx", "xyz", "zyx"]):
        labels = blobs((4, 5, 6), 3, at)
        scores = logits(labels, 3, at, np.float64)
        np.save(predictions / f"{at}.npy", scores if order == "zyx" else scores.transpose(0, 3, 2, 1))
        save_nii(masks / f"{at}.nii", labels, AFFINE)
        reports.append(fl.evaluate(DISTANCES, scores[None], labels[None], spacing=spacing_of(AFFINE)))
    report = fl.evaluate_files(DISTANCES, predictions, masks)
    same(report, fl.Report.sum(reports), rtol=1e-7)  # the sum of float32 distances in another order
    (note,) = report.notes
    assert note.startswith("0, 2: the axes of prediction and mask are in reverse order, as their shapes show")
