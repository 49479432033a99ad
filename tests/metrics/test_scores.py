"""Tests the scores against scikit-learn and MONAI, and against the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastloss as fl
from fastloss import metrics as m

RNG = np.random.default_rng(7)
X = RNG.normal(size=(3, 4, 20, 30)).astype(np.float32)
Y = RNG.integers(0, 4, (3, 20, 30))
Y[1][Y[1] == 2] = 0  # image 1 has no class 2
Y[:, :2] = 255
P = X.argmax(axis=1)
KEPT = Y != 255
ABSENT = {"zero": 0.0, "one": 1.0, "nan": np.nan}


@pytest.fixture
def sk():
    return pytest.importorskip("sklearn.metrics")


def of_images(function):
    """The values of a function of scikit-learn per image and class, (N, C)."""
    return np.array([function(Y[k][KEPT[k]], P[k][KEPT[k]]) for k in range(len(Y))])


PEERS = {  # the metric, and scikit-learn's function with its options
    "dice": (m.DiceScore, "f1_score", {}),
    "iou": (m.IoU, "jaccard_score", {}),
    "precision": (m.Precision, "precision_score", {}),
    "recall": (m.Recall, "recall_score", {}),
    "fbeta": (lambda **options: m.FBeta(beta=2.5, **options), "fbeta_score", {"beta": 2.5}),
}


@pytest.mark.parametrize("absent", ["zero", "one", "nan"])
@pytest.mark.parametrize("name", PEERS)
def test_scores_of_images_and_classes(name, absent, sk, backend):
    make, function, options = PEERS[name]
    if function == "jaccard_score" and absent == "nan":
        pytest.skip("scikit-learn's jaccard_score has no zero_division=nan")
    call, labels = getattr(sk, function), range(5)  # no image has class 4
    x = np.concatenate([X, np.full((3, 1, 20, 30), -9, np.float32)], axis=1)
    values = of_images(lambda y, p: call(y, p, labels=labels, average=None, zero_division=ABSENT[absent], **options))
    metric = make(absent=absent, ignore_index=255)
    report = fl.evaluate({"it": metric}, x, Y)
    assert report["it"] == metric(x, Y) == pytest.approx(np.nanmean(values), rel=1e-14)
    np.testing.assert_allclose(report.per_image["it"], np.nanmean(values, axis=1), rtol=1e-14)
    by_class = [np.nanmean(column) if (~np.isnan(column)).any() else np.nan for column in values.T]
    np.testing.assert_allclose(report.per_class["it"], by_class, rtol=1e-14)
    pooled = call(Y[KEPT], P[KEPT], labels=range(4), average="macro", zero_division=0, **options)
    assert make(batch=True, ignore_index=255)(X, Y) == pytest.approx(pooled, rel=1e-14)
    chosen = make(batch=True, ignore_index=255, classes=[1, 3])(X, Y)
    expected = call(Y[KEPT], P[KEPT], labels=[1, 3], average="macro", zero_division=0, **options)
    assert chosen == pytest.approx(expected, rel=1e-14)


POOLED = {
    "accuracy": (m.Accuracy, "accuracy_score"),
    "balanced": (m.BalancedAccuracy, "balanced_accuracy_score"),
    "kappa": (m.CohenKappa, "cohen_kappa_score"),
    "mcc": (m.MCC, "matthews_corrcoef"),
}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("name", POOLED)
@pytest.mark.parametrize("single", [False, True])
def test_pooled_scores(name, single, sk, backend):
    make, function = POOLED[name]
    call = getattr(sk, function)
    x = X[:, :1] if single else X
    y = np.where(KEPT, Y > 1, 255) if single else Y
    p = (x[:, 0] > 0).astype(int) if single else P
    metric = make(activation="sigmoid" if single else "softmax", ignore_index=255)
    report = fl.evaluate({"it": metric}, x, y)
    assert report["it"] == metric(x, y) == pytest.approx(call(y[KEPT], p[KEPT]), rel=1e-14)
    np.testing.assert_allclose(
        report.per_image["it"], [call(y[k][KEPT[k]], p[k][KEPT[k]]) for k in range(3)], rtol=1e-13
    )
    assert report.per_class["it"].shape == (1 if single else 4,)
    if name in ("kappa", "mcc") and not single:
        against_rest = [call(y[KEPT] == c, p[KEPT] == c) for c in range(4)]
        np.testing.assert_allclose(report.per_class["it"], against_rest, rtol=1e-12)


def test_the_confusion_matrix(sk, backend):
    expected = sk.confusion_matrix(Y[KEPT], P[KEPT], labels=range(4))
    found = m.confusion_matrix(X, Y, ignore_index=255)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(m.confusion_matrix(P, Y, ignore_index=255, num_classes=4), expected)
    single = m.confusion_matrix(X[:, :1], Y > 1, activation="sigmoid", pixel_weight=KEPT)
    np.testing.assert_array_equal(single, sk.confusion_matrix(Y[KEPT] > 1, X[:, 0][KEPT] > 0))


def test_specificity_and_absent_classes(backend):
    """Class 1 is predicted but not in the target; class 2 is in neither."""
    y, p = np.zeros((1, 4), int), np.array([[0, 0, 1, 0]])
    assert m.specificity(p, y, num_classes=3) == pytest.approx((3 / 4 + 1) / 2)  # nothing is outside of class 0
    expected = {"nan": (6 / 7 + 0) / 2, "zero": (6 / 7 + 0 + 0) / 3, "one": (6 / 7 + 0 + 1) / 3, "skip": 6 / 7}
    for absent, value in expected.items():
        assert m.dice_score(p, y, num_classes=3, absent=absent) == pytest.approx(value)


def test_constant_predictions(sk, backend):
    y = np.array([[0, 0, 1, 1]])
    zeros = np.zeros_like(y)
    assert m.mcc(zeros, y, num_classes=2) == sk.matthews_corrcoef(y[0], zeros[0]) == 0
    assert m.cohen_kappa(zeros, y, num_classes=2) == 0
    assert math.isnan(m.cohen_kappa(zeros, zeros, num_classes=2))  # 0 / 0, as in scikit-learn
    assert m.mcc(y, y, num_classes=2) == m.cohen_kappa(y, y, num_classes=2) == 1
    assert m.mcc(1 - y, y, num_classes=2) == -1


def test_mcc_of_many_pixels():
    """Beyond 2**26 pixels, float64 does not hold the squares."""
    big, metric = 3 * 10**9 + 1, m.MCC()
    rows = np.array([[big, big - 7, big + 1, big - 5, big + 2, big - 3, *[3 * big - 1] * 2]], float)
    tp, predicted, target, kept = (list(map(int, row)) for row in rows[0].reshape(4, 2))
    # Two classes of these sizes do not exist; the formula takes them all the same.
    n = kept[0]
    both = sum(tp) * n - sum(t * p for t, p in zip(target, predicted, strict=True))
    below = math.sqrt(sum(t * (n - t) for t in target) * sum(p * (n - p) for p in predicted))
    assert metric.value_of(rows[0], 2) == pytest.approx(both / below, rel=1e-15)


@pytest.mark.extended
@pytest.mark.parametrize("ignore_empty", [True, False])
def test_monai(ignore_empty):
    torch, monai = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    y, p = np.where(KEPT, Y, 3), P
    as_tensor = [torch.tensor(np.moveaxis(np.eye(4)[a], -1, 1)) for a in (p, y)]
    absent = "skip" if ignore_empty else "one"
    for metric, peer in (
        (m.DiceScore, monai.DiceMetric(reduction="none", ignore_empty=ignore_empty)),
        (m.IoU, monai.MeanIoU(reduction="none", ignore_empty=ignore_empty)),
    ):
        values = np.asarray(peer(*as_tensor))
        report = fl.evaluate({"it": metric(absent=absent)}, X, y)
        np.testing.assert_allclose(report["it"], np.nanmean(values), rtol=1e-6)
        np.testing.assert_allclose(report.per_class["it"], np.nanmean(values, axis=0), rtol=1e-6)
        mean = np.asarray(peer.aggregate(reduction="mean"))
        np.testing.assert_allclose(np.nanmean(report.per_image["it"]), mean, rtol=1e-6)
    counts = monai.get_confusion_matrix(*as_tensor, include_background=True)
    for metric, name in (
        (m.Recall, "sensitivity"),
        (m.Specificity, "specificity"),
        (m.Precision, "precision"),
        (m.DiceScore, "f1 score"),
        (m.IoU, "threat score"),
    ):
        values = np.asarray(monai.compute_confusion_matrix_metric(name, counts))
        np.testing.assert_allclose(metric()(X, y), np.nanmean(values), rtol=1e-6)
