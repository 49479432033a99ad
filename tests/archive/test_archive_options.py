"""Tests options that contradict each other or a file: nothing is computed silently."""

import numpy as np
import pytest
from writing import AFFINE, blobs, logits, one_hot, save_nii

import fastloss as fl
from fastloss.cli import main
from fastloss.files.errors import FileError

DICE = {"dice": fl.DiceLoss()}
LABELS = blobs((6, 7, 8), 3)


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "x.npy", logits(LABELS, 3))
    np.save(tmp_path / "y.npy", LABELS)
    return tmp_path / "x.npy", tmp_path / "y.npy"


@pytest.mark.parametrize("axes", ["czyx", "zyxc"])
def test_the_class_axis_is_named_once(files, capsys, axes):
    """A number and a letter could contradict each other, and the number would win."""
    with pytest.raises(FileError, match=f"`axis=`: expected `axes={axes}` without it"):
        fl.evaluate_files(DICE, *files, axis=0, axes=axes)
    assert main(["evaluate", *map(str, files), "--loss=dice", "--axis=0", f"--axes={axes}"]) == 2
    assert f"error: --axis: expected --axes {axes} without it" in capsys.readouterr().err


@pytest.mark.parametrize("regions", [None, "a=1,b=2,c=1+2"])
@pytest.mark.parametrize("ignored", [None, 255])
def test_a_prediction_cannot_leave_out_its_own_pixels(tmp_path, files, regions, ignored):
    """-100 marks pixels of the mask that do not count. A wrong prediction must not be hidden by it."""
    predicted = LABELS.astype(np.int16)
    predicted[2, 3, 4] = -100
    np.save(tmp_path / "p.npy", predicted)
    options = {"regions": regions} if regions else {"num_classes": 3}
    with pytest.raises(FileError, match=r"p\.npy: expected .*, got -100 at \(2, 3, 4\)"):
        fl.evaluate_files(DICE, tmp_path / "p.npy", files[1], ignore_index=ignored, **options)


def test_a_label_map_of_predictions_may_leave_out_pixels(tmp_path, files):
    (tmp_path / "own.json").write_text('{"labels": {"0": 0, "1": 1, "2": 2, "9": null}}', encoding="utf-8")
    predicted = LABELS.copy()
    predicted[:3] = (predicted[:3] + 1) % 3
    predicted[2, 3, 4] = 9
    np.save(tmp_path / "p.npy", predicted)
    options = {"prediction_labels": tmp_path / "own.json", "num_classes": 3}
    report = fl.evaluate_files(DICE, tmp_path / "p.npy", files[1], **options)
    target = LABELS.astype(np.int16)
    target[2, 3, 4] = -100
    scores = (np.where(predicted == 9, 0, predicted)[None] == np.arange(3).reshape(-1, 1, 1, 1)).astype(np.float32)
    assert report["dice"] == fl.evaluate({"dice": fl.DiceLoss(activation=None)}, scores[None], target[None])["dice"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz", ".hdr"])
def test_the_class_axis_of_two_nifti_files_with_channels(tmp_path, suffix):
    """Both have (x, y, z, c). The first axis is named x, and would give as many classes as columns."""
    kind = {".mgz": "MGHImage", ".hdr": "Nifti1Pair"}.get(suffix, "Nifti1Image")
    inside = one_hot(LABELS, 3)
    scores = logits(LABELS, 3)
    save_nii(tmp_path / f"x{suffix}", scores, AFFINE, kind)
    save_nii(tmp_path / f"y{suffix}", inside.astype(np.uint8), AFFINE, kind)
    files = tmp_path / f"x{suffix}", tmp_path / f"y{suffix}"
    words = r"which axis of \(8, 7, 6, 3\) holds the classes is not known; give `axis=0` or `axis=3`"
    with pytest.raises(FileError, match=words):
        fl.evaluate_files(DICE, *files)
    expected = fl.evaluate(DICE, scores[None], inside[None])["dice"]
    for options in ({"axis": 3}, {"axis": -1}, {"axes": "xyzc"}, {"axes": "xyzc", "target_axes": "xyzc"}):
        report = fl.evaluate_files(DICE, *files, **options)
        assert report["dice"] == pytest.approx(expected, rel=1e-6)
        assert report.classes == 3
