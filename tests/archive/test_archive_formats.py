"""Tests every format in one table: what was saved gives the bits of the arrays, as a prediction and as a mask."""

import numpy as np
import pytest
from formats import FLAT, VOLUMES
from writing import AFFINE, blobs, folders, logits, softmax

import fastloss as fl

LOSSES = {
    "dice": fl.DiceLoss(),
    "pooled": fl.DiceLoss(batch=True),
    "ce": fl.CrossEntropyLoss(label_smoothing=0.1),
    "focal": fl.FocalLoss(),
    "tversky": fl.TverskyLoss(alpha=0.3, beta=0.7),
}
TABLES = {"flat": (FLAT, (33, 70), (26, 41)), "volumes": (VOLUMES, (5, 17, 9), (4, 6, 7))}
CLASSES = 3


def images(shapes, order, dtype=np.float32):
    """Return predictions and masks, and the same with the axes in another order."""
    for at, shape in enumerate(shapes):
        labels = blobs(shape, CLASSES, at)
        scores = logits(labels, CLASSES, at, dtype)
        turned = (scores.transpose(0, 3, 2, 1), labels.T) if order == "xyz" else (scores, labels)
        yield scores, labels, turned


def check(report, expected, exact):
    for name in LOSSES:
        for found, wanted in ((report[name], expected[name]), (report.per_image[name], expected.per_image[name])):
            if exact:
                np.testing.assert_array_equal(found, wanted)
            else:
                np.testing.assert_allclose(found, wanted, rtol=1e-12)


def cases(side):
    return [(kind, name) for kind, (table, *_) in TABLES.items() for name in table if getattr(table[name], side)]


OF_DTYPES = [(*case, dtype) for case in cases("prediction") for dtype in (np.float32, np.float64)]


@pytest.mark.parametrize(("kind", "name", "dtype"), [row for row in OF_DTYPES if row[1:] != ("mgz", np.float64)])
def test_predictions(tmp_path, kind, name, dtype):
    table, *shapes = TABLES[kind]
    form = table[name]
    predictions, masks = folders(tmp_path, "p", "m")
    expected = []
    for at, (scores, _, turned) in enumerate(images(shapes, form.axes, dtype)):
        form.prediction(predictions / f"{at}{form.suffix}", scores, AFFINE)
        np.save(masks / f"{at}.npy", turned[1])
        expected.append(fl.evaluate(LOSSES, turned[0][None], turned[1][None]))
    report = fl.evaluate_files(LOSSES, predictions, masks, **options(form, table))
    check(report, fl.Report.sum(expected), form.whole)
    assert report.images == ("0", "1")


def options(form, table):
    """Name the axes of the mask, which is an `.npy` file, if there can be a doubt."""
    given = dict(form.options)
    return given | {"target_axes": form.axes} if table is VOLUMES else given


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize(("kind", "name"), cases("mask"))
def test_masks(tmp_path, kind, name, dtype):
    if (name, dtype) in (("png", np.int16), ("dcm", np.int16)):
        dtype = np.uint16
    table, *shapes = TABLES[kind]
    form = table[name]
    predictions, masks = folders(tmp_path, "p", "m")
    expected = []
    for at, (_, labels, turned) in enumerate(images(shapes, form.axes)):
        np.save(predictions / f"{at}.npy", turned[0])
        form.mask(masks / f"{at}{form.suffix}", labels.astype(dtype), form.affine)
        expected.append(fl.evaluate(LOSSES, turned[0][None], turned[1][None]))
    axes = {"axes": "c" + form.axes} if table is VOLUMES else {}
    axes |= {"ignore_geometry": True} if name == "dcm" else {}  # the slices of an .npy file have no place in space
    check(fl.evaluate_files(LOSSES, predictions, masks, **axes), fl.Report.sum(expected), True)


@pytest.mark.parametrize(("kind", "name"), cases("prediction"))
def test_both_sides_and_label_maps(tmp_path, kind, name):
    """Prediction, mask and predicted label map in one format need no name of an axis, or only of the classes."""
    table, *shapes = TABLES[kind]
    form = table[name]
    predictions, masks, hard = folders(tmp_path, "p", "m", "h")
    expected, of_labels = [], []
    for at, (scores, labels, turned) in enumerate(images(shapes, form.axes)):
        probabilities = softmax(scores).astype(np.float32)
        predicted = probabilities.argmax(0).astype(np.uint8)
        form.prediction(predictions / f"{at}{form.suffix}", scores, AFFINE)
        form.mask(masks / f"{at}{form.suffix}", labels, AFFINE)
        form.mask(hard / f"{at}{form.suffix}", predicted, AFFINE)
        expected.append(fl.evaluate(LOSSES, turned[0][None], turned[1][None]))
        counts = [
            (np.sum((predicted == k) & (labels == k)), np.sum(predicted == k) + np.sum(labels == k))
            for k in range(CLASSES)
        ]
        of_labels.append(1 - np.mean([2 * both / total for both, total in counts]))
    axis = {"axis": -1} if form.axes == "xyz" else {}
    check(fl.evaluate_files(LOSSES, predictions, masks, **axis), fl.Report.sum(expected), form.whole)
    report = fl.evaluate_files({"dice": fl.DiceLoss()}, hard, masks, num_classes=CLASSES)
    np.testing.assert_allclose(report.per_image["dice"], of_labels, rtol=0, atol=1e-6)
    same = fl.evaluate_files({"dice": fl.DiceLoss()}, masks, masks, num_classes=CLASSES)
    np.testing.assert_allclose(same.per_image["dice"], 0, atol=1e-7)


VOLUME_PAIRS = [("nii.gz", "nrrd"), ("mha", "nii"), ("mgz", "mhd"), ("nrrd", "dcm"), ("nii", "dcm"), ("img", "zarr3"),
                ("ome-zarr3", "nii.gz"), ("npz", "nrrd"), ("tif", "mgz"), ("h5", "ome-zarr2")]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), VOLUME_PAIRS)
def test_two_formats_with_other_conventions(tmp_path, first, second):
    """One has (x, y, z) and the other (z, y, x), and both are put right without a note if both name their axes."""
    one, other = VOLUMES[first], VOLUMES[second]
    ((scores, labels, turned),) = images([(5, 17, 9)], one.axes)
    one.prediction(tmp_path / f"x{one.suffix}", scores, other.affine)
    other.mask(tmp_path / f"y{other.suffix}", labels, other.affine)
    given = {"axis": -1} if one.axes == "xyz" else dict(one.options)
    report = fl.evaluate_files(LOSSES, tmp_path / f"x{one.suffix}", tmp_path / f"y{other.suffix}", **given)
    check(report, fl.evaluate(LOSSES, turned[0][None], turned[1][None]), one.whole)
    assert report.notes == ()
