"""Tests metrics of files: scores and label maps, regions, ledgers, workers, comparisons, and the counts of nnU-Net."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made import ALL

import fastloss as fl
from fastloss import metrics as m
from fastloss.archive.hard_counts import Counter
from fastloss.archive.meaning import Arrays
from fastloss.files.errors import FileError
from fastloss.files.regions import parse_regions
from fastloss.report.nnunet import Counts

RNG = np.random.default_rng(13)


@pytest.fixture
def archive(tmp_path):
    """Writes scores, their label maps and masks of three classes, and returns the folders and the arrays."""
    x = RNG.normal(size=(4, 3, 9, 8)).astype(np.float32)
    y = RNG.integers(0, 3, (4, 9, 8)).astype(np.uint8)
    y[:, 0] = 255
    folders = [tmp_path / name for name in ("scores", "labels", "masks")]
    for folder, arrays in zip(folders, (x, x.argmax(axis=1).astype(np.uint8), y), strict=True):
        folder.mkdir()
        for k, array in enumerate(arrays):
            np.save(folder / f"image{k}.npy", array)
    return (*folders, x, y)


def test_files_give_what_arrays_give(archive):
    scores, labels, masks, x, y = archive
    expected = fl.evaluate(ALL, x, y, ignore_index=255)
    of_scores = fl.evaluate_files(ALL, scores, masks, ignore_index=255)
    of_labels = fl.evaluate_files(ALL, labels, masks, ignore_index=255, num_classes=3)
    with_loss = {"loss": fl.DiceLoss(), **ALL}
    one_hot = fl.evaluate_files(with_loss, labels, masks, ignore_index=255, num_classes=3)
    for name in ALL:
        assert of_scores[name] == of_labels[name] == one_hot[name] == expected[name]
        for report in (of_scores, of_labels, one_hot):
            np.testing.assert_array_equal(report.per_image[name], expected.per_image[name])
            np.testing.assert_array_equal(report.per_class[name], expected.per_class[name])
    assert of_labels.notes == ()
    assert one_hot.notes == ("the predictions are label maps; the losses are computed without a softmax or sigmoid",)


def test_a_ledger_resumes_and_merges(archive, tmp_path):
    scores, labels, masks, _, _ = archive
    how = {"ignore_index": 255, "num_classes": 3}
    whole = fl.evaluate_files(ALL, labels, masks, **how)
    first = fl.evaluate_files(ALL, labels, masks, state=tmp_path / "ledger", **how)
    again = fl.evaluate_files(ALL, labels, masks, state=tmp_path / "ledger", resume=True, **how)
    assert again.resumed == 4
    merged = fl.merge_ledgers([tmp_path / "ledger"])
    assert dict(first) == dict(again) == dict(merged) == dict(whole)
    fl.evaluate_files(ALL, scores, masks, state=tmp_path / "other", ignore_index=255)
    found = fl.compare_ledgers(tmp_path / "ledger", tmp_path / "other", samples=20)
    assert "confusion_matrix" not in found.differences  # it is neither better nor worse
    assert set(found.differences) == set(ALL) - {"confusion_matrix"}
    for name, d in found.differences.items():
        assert (d.difference, d.higher_is_better) == (0, ALL[name].higher_is_better)


@pytest.mark.extended
def test_workers(archive):
    _, labels, masks, _, _ = archive
    how = {"ignore_index": 255, "num_classes": 3}
    assert dict(fl.evaluate_files(ALL, labels, masks, workers=2, **how)) == dict(
        fl.evaluate_files(ALL, labels, masks, **how)
    )


def test_the_worst_images_have_the_lowest_scores(archive):
    scores, _, masks, _, _ = archive
    matrix_first = {"matrix": m.ConfusionMatrix(), "iou": m.IoU(), "dice": fl.DiceLoss()}
    report = fl.evaluate_files(matrix_first, scores, masks, ignore_index=255)
    assert report.ranked_by == "iou"
    assert report.worst(4) == np.argsort(report.per_image["iou"]).tolist()
    losses = fl.evaluate_files({"dice": fl.DiceLoss(), "iou": m.IoU()}, scores, masks, ignore_index=255)
    assert losses.worst(4) == np.argsort(-losses.per_image["dice"]).tolist()


def test_the_json_has_the_matrix(archive, tmp_path):
    scores, _, masks, x, y = archive
    report = fl.evaluate_files({"cm": m.ConfusionMatrix(), "iou": m.IoU()}, scores, masks, ignore_index=255)
    report.write(tmp_path / "report.json")
    held = json.loads((tmp_path / "report.json").read_text())["losses"]
    assert held["cm"]["matrix"] == m.confusion_matrix(x, y, ignore_index=255).tolist()
    assert "matrix" not in held["iou"]
    assert held["iou"]["averaged_over"] == "mean over images and classes, without classes that have no value"


@pytest.mark.parametrize("label_maps", [True, False])
def test_regions_overlap(archive, label_maps):
    """A region is a channel of its own: whether the prediction is a label map or has one channel per region."""
    scores, labels, masks, x, y = archive
    metrics = {"dice": m.DiceScore(activation=None), "spec": m.Specificity(activation=None, batch=True)}
    regions = {"any": [1, 2], "two": [2], "all": [0, 1, 2]}
    p = np.stack([np.isin(x.argmax(axis=1), members) for members in regions.values()], axis=1)
    t = np.stack([np.isin(y, members) for members in regions.values()], axis=1)
    expected = fl.evaluate(metrics, p.astype(np.float32), t, pixel_weight=(y != 255)[:, None])
    if not label_maps:
        for k, one in enumerate(p):
            np.save(scores / f"image{k}.npy", one.astype(np.float32))
    found = fl.evaluate_files(metrics, labels if label_maps else scores, masks, regions=regions, ignore_index=255)
    assert dict(found) == dict(expected)
    with pytest.raises(FileError, match="expected labels for Accuracy"):
        fl.evaluate_files({"acc": m.Accuracy()}, scores, masks, regions=regions, ignore_index=255)


def test_errors_name_the_file(archive):
    scores, labels, masks, x, _ = archive
    wrong = np.load(labels / "image2.npy")
    wrong[3, 5] = 7
    np.save(labels / "image2.npy", wrong)
    message = r"labels/image2.npy: expected predicted labels in 0..2, got 7 at \(3, 5\); `num_classes=` counts all"
    with pytest.raises(FileError, match=message):
        fl.evaluate_files(ALL, labels, masks, num_classes=3, ignore_index=255)
    nan = x[1].copy()
    nan[0, 4, 4] = np.nan
    np.save(scores / "image1.npy", nan)
    with pytest.raises(
        FileError, match=r"image1.npy with .*input: expected numbers where pixels count, got nan at \(0, 0, 4, 4\)"
    ):
        fl.evaluate_files(ALL, scores, masks, ignore_index=255)
    with pytest.raises(FileError, match="expected the number of classes for a label map"):
        fl.evaluate_files(ALL, labels, masks, ignore_index=255)
    skipped = fl.evaluate_files({"iou": m.IoU()}, scores, masks, ignore_index=255, on_error="skip")
    assert [failed.name for failed in skipped.failures] == ["image1"]


# ---- nnU-Net's counts


def by_masks(prediction, reference, label, ignored):
    """The formulas of nnunetv2 2.6.2, `region_or_label_to_mask` and `compute_tp_fp_fn_tn`."""
    members = label if isinstance(label, tuple) else (label,)
    in_prediction, in_reference = np.isin(prediction, members), np.isin(reference, members)
    used = ~np.isin(reference, ignored)
    return Counts(
        tp=np.sum(in_reference & in_prediction & used),
        fp=np.sum(~in_reference & in_prediction & used),
        fn=np.sum(in_reference & ~in_prediction & used),
        tn=np.sum(~in_reference & ~in_prediction & used),
    )


@pytest.mark.parametrize("shape", [(0, 3), (7,), (40, 50, 60)])
@pytest.mark.parametrize("dtypes", [("u1", "i2"), ("i8", "u8"), (">i4", "i8"), ("i1", "u2")])
@pytest.mark.parametrize("ignored", [(), (3,), (5, 250)])
def test_counts_are_those_of_the_masks(shape, dtypes, ignored):
    prediction = np.asarray(RNG.integers(0, 4, shape)).astype(dtypes[0])
    reference = np.asarray(RNG.integers(0, 4, shape)).astype(dtypes[1])
    if 5 in ignored:
        reference[reference == 2] = 5
    expected = {label: by_masks(prediction, reference, label, ignored) for label in (1, 2, 3)}
    counter = Counter(regions=None, class_order=None, ignored=ignored)
    assert counter.of(Arrays(prediction[None], reference[None], None), 4, True) == expected
    one_hot = (prediction == np.arange(4).reshape(4, *[1] * prediction.ndim)).astype(np.float32)
    assert counter.of(Arrays(one_hot[None], reference[None], None), 4, True) == expected


@pytest.mark.parametrize("class_order", [None, (1, 2, 3)])
def test_counts_of_regions(class_order):
    """nnU-Net paints the regions over each other, in the order of `class_order`."""
    regions = parse_regions({"whole": [1, 2, 3], "core": [2, 3], "third": [3]})
    scores = RNG.random((3, 20, 30)).astype(np.float32)
    reference = RNG.integers(0, 4, (20, 30))
    target = np.stack([np.isin(reference, members) for members in regions.members])
    kept = RNG.random((20, 30)) < 0.8
    found = Counter(regions=regions, class_order=class_order, ignored=()).of(
        Arrays(scores[None], target[None], kept[None, None].astype(np.float32)), 3, False
    )
    painted = np.zeros((20, 30), int)
    for mask, label in zip(scores > 0.5, class_order or (), strict=False):
        painted[mask] = label
    for k, (label, counts) in enumerate(found.items()):
        assert label == ((1, 2, 3), (2, 3), 3)[k]
        p = np.isin(painted, label) if class_order else scores[k] > 0.5
        values = (p & target[k], p & ~target[k], ~p & target[k], ~p & ~target[k])
        assert counts == Counts(
            **{name: int((v & kept).sum()) for name, v in zip(("tp", "fp", "fn", "tn"), values, strict=True)}
        )
