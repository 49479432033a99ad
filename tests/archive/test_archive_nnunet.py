"""Tests nnU-Net's folders: probabilities, label maps, regions, and `summary.json` against counts of the label maps."""

import json

import numpy as np
import pytest
from writing import AFFINE, blobs, folders, logits, one_hot, save_json, save_nii, softmax, volume

import fastloss as fl
from fastloss.cli import main
from fastloss.files.errors import FileError

pytest.importorskip("nibabel")

DICE = {"dice": fl.DiceLoss()}
PICKLE = b"cbuiltins\nexec\n(S'raise SystemExit(7)'\ntR."
"""Bytes that end the process if anybody unpickles them."""


def dataset(classes, **more):
    """Return the `dataset.json` of labels 0, 1, ..."""
    names = {"background": 0, **{f"organ{k}": k for k in range(1, classes)}}
    return {"labels": names, "file_ending": ".nii.gz", "numTraining": 1, "channel_names": {"0": "CT"}, **more}


@pytest.fixture
def tree(tmp_path):
    """Writes the folders of predictions and masks as nnU-Net does, and returns them."""

    def write(held, cases):
        predictions, masks = folders(tmp_path, "predicted", "labelsTr")
        save_json(predictions / "dataset.json", held)
        save_json(predictions / "plans.json", {"plans_name": "nnUNetPlans"})
        for name, (probabilities, label_map, mask, affine) in cases.items():
            if probabilities is not None:
                np.savez_compressed(predictions / f"{name}.npz", probabilities=probabilities)
                (predictions / f"{name}.pkl").write_bytes(PICKLE)
            if label_map is not None:
                save_nii(predictions / f"{name}.nii.gz", label_map, affine)
            save_nii(masks / f"{name}.nii.gz", mask, affine)
        return predictions, masks

    return write


@pytest.mark.parametrize("which", ["made", "ct", "ct-subregions", "mri"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_right_probabilities_have_no_loss(tree, which, dtype):
    """`case.npz` has (c, z, y, x) and the masks (x, y, z), also where both orders have the same shape."""
    v = volume(which)
    right = one_hot(v.labels, v.classes).astype(dtype)
    predictions, masks = tree(dataset(v.classes), {"case": (right, v.labels, v.labels, v.affine)})
    report = fl.evaluate_files(DICE, predictions, masks, layout="nnunet")
    assert abs(report["dice"]) < 1e-3
    assert report.class_names == tuple(dataset(v.classes)["labels"])
    assert report.spacings == (pytest.approx(v.spacing, rel=1e-6),)
    unnamed, second, activation = report.notes
    assert unnamed == (
        f"3 files in {predictions} match no pattern and are left out: case.pkl, dataset.json, plans.json"
    )
    assert second == (
        f"1 file in {predictions} belongs to an image with another prediction file and is left out: case.nii.gz"
    )
    assert activation == ("the predictions hold probabilities; the losses are computed without a softmax or sigmoid")


@pytest.mark.parametrize("which", ["made", "ct"])
def test_probabilities_give_what_the_arrays_give(tree, which):
    v = volume(which)
    scores = softmax(logits(v.labels, v.classes)).astype(np.float32)
    predictions, masks = tree(dataset(v.classes), {"case": (scores, None, v.labels, v.affine)})
    losses = {"dice": fl.DiceLoss(), "focal": fl.FocalLoss(), "boundary": fl.BoundaryLoss()}
    plain = {name: type(loss)(activation=None) for name, loss in losses.items()}
    report = fl.evaluate_files(losses, predictions, masks, layout="nnunet")
    expected = fl.evaluate(plain, scores[None], v.labels[None], spacing=v.spacing)
    assert dict(report) == pytest.approx(dict(expected), rel=1e-6)
    for name in losses:
        np.testing.assert_allclose(report.per_class[name], expected.per_class[name], rtol=1e-6)


def test_an_array_in_another_order_is_another_prediction(tree):
    """No header tells. If the shapes differ the pair is refused, and else the number is that of these voxels."""
    v = volume("made")
    turned = one_hot(v.labels, 4).astype(np.float32).transpose(0, 3, 2, 1)
    predictions, masks = tree(dataset(4), {"case": (turned, None, v.labels, v.affine)})
    with pytest.raises(FileError, match=r"case\.npz: expected shape \(9, 7, 8\) .* got \(8, 7, 9\)"):
        fl.evaluate_files(DICE, predictions, masks, layout="nnunet")
    cube = blobs((7, 5, 7), 3)
    turned = one_hot(cube, 3).astype(np.float32).transpose(0, 3, 2, 1)
    predictions, masks = tree(dataset(3), {"case": (turned, None, cube, AFFINE)})
    report = fl.evaluate_files(DICE, predictions, masks, layout="nnunet")
    plain = fl.DiceLoss(activation=None)
    assert report["dice"] == pytest.approx(float(plain(turned[None], cube[None])), rel=1e-6)
    assert report["dice"] > 0.2


@pytest.mark.parametrize("order", ["czyx", "cxyz"])
def test_the_same_array_without_a_name_is_ambiguous(tmp_path, order):
    cube = blobs((7, 5, 7), 3)
    scores = logits(cube, 3, dtype=np.float64)
    np.save(tmp_path / "x.npy", scores if order == "czyx" else scores.transpose(0, 3, 2, 1))
    save_nii(tmp_path / "y.nii.gz", cube, AFFINE)
    with pytest.raises(FileError, match=r"x\.npy: the order of its axes is not known: .*`axes=cxyz` or `axes=czyx`"):
        fl.evaluate_files(DICE, tmp_path / "x.npy", tmp_path / "y.nii.gz")
    report = fl.evaluate_files(DICE, tmp_path / "x.npy", tmp_path / "y.nii.gz", axes=order)
    assert report["dice"] == pytest.approx(float(fl.DiceLoss()(scores[None], cube[None])), rel=1e-12)
    assert report.notes == ()


def test_label_maps_are_evaluated_if_there_are_no_probabilities(tree):
    v = volume("ct")
    predicted = logits(v.labels, v.classes).argmax(0).astype(np.uint8)
    predictions, masks = tree(dataset(v.classes), {"case": (None, predicted, v.labels, v.affine)})
    report = fl.evaluate_files(DICE, predictions, masks, layout="nnunet")
    expected = [dice_of(predicted == k, v.labels == k) for k in range(v.classes)]
    np.testing.assert_allclose(1 - report.per_class["dice"], expected, rtol=1e-5)  # the smoothing terms
    assert report["dice"] == pytest.approx(1 - np.mean(expected), rel=1e-5)
    assert "the predictions are label maps" in report.notes[-1]


def dice_of(predicted, reference):
    return 2 * np.sum(predicted & reference) / (np.sum(predicted) + np.sum(reference))


# ---- summary.json


def metrics(predicted, reference, counted):
    """Compute nnU-Net's metrics of two masks with NumPy."""
    p, r = predicted & counted, reference & counted
    tp, fp, fn = int((p & r).sum()), int((p & ~r).sum()), int((~p & r).sum())
    union = tp + fp + fn
    scores = {"Dice": 2 * tp / (union + tp), "IoU": tp / union} if union else {"Dice": np.nan, "IoU": np.nan}
    tn = int(counted.sum()) - union
    return {**scores, "TP": tp, "FP": fp, "FN": fn, "TN": tn, "n_pred": tp + fp, "n_ref": tp + fn}


def close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-15, err_msg=name)


def check_summary(found, cases, keys):
    """Compare a summary with the masks of each region, which `cases` gives as (predicted, reference, counted)."""
    own = [{key: metrics(*(masks[key] for masks in case[:2]), case[2]) for key in keys} for case in cases]
    for entry, expected in zip(found["metric_per_case"], own, strict=True):
        assert entry["metrics"].keys() == set(keys)
        for key in keys:
            close(entry["metrics"][key], expected[key])
    names = list(own[0][keys[0]])
    means = {key: {name: np.nanmean([row[key][name] for row in own]) for name in names} for key in keys}
    for key in keys:
        close(found["mean"][key], means[key])
    close(found["foreground_mean"], {name: np.mean([means[key][name] for key in keys]) for name in names})


@pytest.mark.parametrize("dense", [True, False], ids=["probabilities", "label-maps"])
@pytest.mark.parametrize("ignore", [True, False])
def test_summary(tree, tmp_path, capsys, dense, ignore):
    cases, masks_of = {}, []
    for name, which in (("ct", "ct"), ("made", "made")):
        v = volume(which)
        scores = softmax(logits(v.labels, 4)).astype(np.float32)
        predicted, mask = scores.argmax(0).astype(np.uint8), v.labels.copy()
        if ignore:
            mask[::3, 1] = 4
        cases[name] = (scores if dense else None, predicted, mask, v.affine)
        keys = ["1", "2", "3"]
        masks_of.append(({k: predicted == int(k) for k in keys}, {k: mask == int(k) for k in keys}, mask != 4))
    held = dataset(4)
    held["labels"] |= {"ignore": 4} if ignore else {}
    predictions, masks = tree(held, cases)
    report = fl.evaluate_files(DICE, predictions, masks, layout="nnunet", nnunet_summary=True)
    report.write_nnunet_summary(tmp_path / "written.json")
    found = json.loads((tmp_path / "written.json").read_text())
    check_summary(found, masks_of, keys)
    end = ".npz" if dense else ".nii.gz"
    assert [entry["prediction_file"] for entry in found["metric_per_case"]] == [
        str(predictions / f"{name}{end}") for name in cases
    ]
    code = main(["evaluate", str(predictions), str(masks), "--layout=nnunet", "--loss=dice", "--output",
                 str(tmp_path / "summary.json")])  # fmt: skip
    assert (code, "Traceback" in capsys.readouterr().err) == (0, False)
    assert (tmp_path / "summary.json").read_bytes() == (tmp_path / "written.json").read_bytes()


@pytest.mark.parametrize("kind", ["probabilities", "label-maps"])
def test_summary_of_regions(tree, kind):
    """nnU-Net paints the regions of the probabilities over each other, in the order of `regions_class_order`."""
    regions = {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    held = {
        "labels": {"background": 0, **{name: list(labels) for name, labels in regions.items()}},
        "regions_class_order": [1, 2, 3],
        "file_ending": ".nii.gz",
    }
    v = volume("made")
    rng = np.random.default_rng(5)
    inside = np.stack([np.isin(v.labels, labels) for labels in regions.values()])
    scores = np.clip(0.5 + 0.3 * (inside - 0.5) + rng.normal(0, 0.2, inside.shape), 0, 1).astype(np.float32)
    painted = np.zeros(v.labels.shape, np.uint8)
    for region, label in zip(scores > 0.5, (1, 2, 3), strict=True):
        painted[region] = label
    predictions, masks = tree(held, {"a": (scores if kind == "probabilities" else None, painted, v.labels, v.affine)})
    report = fl.evaluate_files(DICE, predictions, masks, layout="nnunet", nnunet_summary=True)
    assert report.class_names == tuple(regions)
    values = scores if kind == "probabilities" else [np.isin(painted, labels) for labels in regions.values()]
    expected = fl.evaluate({"dice": fl.DiceLoss(activation=None)}, np.asarray(values, np.float32)[None], inside[None])
    assert report["dice"] == pytest.approx(expected["dice"], rel=1e-6)
    report.write_nnunet_summary(predictions.parent / "summary.json")
    found = json.loads((predictions.parent / "summary.json").read_text())
    keys = ["(1, 2, 3)", "(2, 3)", "3"]
    of_key = dict(zip(keys, regions.values(), strict=True))
    predicted = {key: np.isin(painted, labels) for key, labels in of_key.items()}
    reference = {key: np.isin(v.labels, labels) for key, labels in of_key.items()}
    check_summary(found, [(predicted, reference, np.ones(painted.shape, bool))], keys)


def test_a_summary_needs_counts(tree, tmp_path):
    v = volume("made")
    predictions, masks = tree(dataset(4), {"a": (None, v.labels, v.labels, v.affine)})
    report = fl.evaluate_files(DICE, predictions, masks, layout="nnunet")
    with pytest.raises(FileError, match="`nnunet_summary=`: expected True"):
        report.write_nnunet_summary(tmp_path / "summary.json")
    assert not (tmp_path / "summary.json").exists()


def test_a_summary_leaves_out_pixels_without_data(tmp_path):
    """A map as GeoTIFF has pixels without data, in the prediction and in the mask."""
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("tifffile")
    labels = blobs((20, 33), 3)
    predicted = logits(labels, 3).argmax(0).astype(np.uint8)
    rng = np.random.default_rng(0)
    own, other = rng.random(labels.shape) < 0.2, rng.random(labels.shape) < 0.1
    predictions, masks = folders(tmp_path, "p", "m")
    save_json(predictions / "dataset.json", dataset(3) | {"file_ending": ".tif"})
    place = {"transform": rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6), "height": 20, "width": 33, "count": 1}
    for folder, values in ((predictions, np.where(own, 255, predicted)), (masks, np.where(other, 255, labels))):
        with rasterio.open(folder / "a.tif", "w", driver="GTiff", dtype="uint8", nodata=255, **place) as file:
            file.write(values[None].astype(np.uint8))
    report = fl.evaluate_files(DICE, predictions, masks, layout="nnunet", nnunet_summary=True)
    report.write_nnunet_summary(tmp_path / "summary.json")
    found = json.loads((tmp_path / "summary.json").read_text())
    keys = ["1", "2"]
    pairs = [{key: values == int(key) for key in keys} for values in (predicted, labels)]
    check_summary(found, [(*pairs, ~own & ~other)], keys)


@pytest.mark.parametrize("which", ["made", "ct", "ct-subregions", "mri"])
def test_metrics_are_those_of_the_summary(tree, tmp_path, which):
    """The means of nnU-Net's summary are the values per class, of label maps that are shifted by a voxel."""
    v = volume(which)
    cases = {f"case{k}": (None, np.roll(v.labels, k + 1, axis=k), v.labels, v.affine) for k in range(3)}
    predictions, masks = tree(dataset(v.classes), cases)
    metrics = {"Dice": fl.metrics.DiceScore(), "IoU": fl.metrics.IoU()}
    report = fl.evaluate_files(metrics, predictions, masks, layout="nnunet", nnunet_summary=True)
    report.write_nnunet_summary(tmp_path / "summary.json")
    held = json.loads((tmp_path / "summary.json").read_text())
    for name in metrics:
        means = [held["mean"][str(label)][name] for label in range(1, v.classes)]
        np.testing.assert_allclose(report.per_class[name][1:], means, rtol=1e-13)
        assert held["foreground_mean"][name] == pytest.approx(
            np.mean(report.per_class[name][1:]), rel=1e-13, nan_ok=True
        )
        of_cases = [
            np.nanmean([case["metrics"][str(label)][name] for label in range(1, v.classes)])
            for case in held["metric_per_case"]
        ]
        foreground = {name: type(metrics[name])(classes=range(1, v.classes))}
        again = fl.evaluate_files(foreground, predictions, masks, layout="nnunet")
        np.testing.assert_allclose(again.per_image[name], of_cases, rtol=1e-13)
