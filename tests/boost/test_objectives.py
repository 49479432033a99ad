"""Tests the derivatives that boosting libraries get, their values and base scores. No library is needed here."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from compare import same_bits

import fastloss as fl
import fastloss.boost

N, K = 120, 4
RNG = np.random.default_rng(0)
SCORES = (2 * RNG.standard_normal((N, K))).astype(np.float32)
LABELS = RNG.integers(0, K, N).astype(np.float32)  # the dtype of the labels of XGBoost and LightGBM
BINARY = (RNG.random(N) < 0.3).astype(np.float32)
NUMBERS = RNG.standard_normal(N).astype(np.float32)
WEIGHT = RNG.choice([0.5, 1.0, 2.0], N).astype(np.float32)
SIZES = np.array([20, 50, 0, 50])

DICE = fl.DiceLoss(activation="sigmoid")
OF_CLASSES = [fl.CrossEntropyLoss(class_weight=[1.0, 2.0, 0.5, 1.0], label_smoothing=0.1), fl.FocalLoss(gamma=1.5)]
OF_CLASSES += [fl.PerceptronLoss(), fl.DiceLoss(), 0.5 * fl.TverskyLoss() + fl.FocalLoss(gamma=0.5)]
OF_ONE_SCORE = [fl.BCEWithLogitsLoss(pos_weight=3.0), fl.BinaryFocalLoss(), DICE, 0.5 * DICE + fl.BCEWithLogitsLoss()]
OF_ONE_SCORE += [fl.BalancedBCELoss(), fl.DiceCELoss(activation="sigmoid")]
OF_ONE_SCORE += [fl.BinaryKLDivLoss(alpha=0.3, activation="sigmoid"), fl.JSDivLoss(binary=True, activation="sigmoid")]
OF_NUMBERS = [fl.MSELoss(), fl.L1Loss(), fl.HuberLoss(delta=0.5), fl.SmoothL1Loss(), fl.LogCoshLoss()]
OF_NUMBERS += [fl.PseudoHuberLoss()]
ALL = [*((loss, SCORES, LABELS) for loss in OF_CLASSES), *((loss, SCORES[:, 0], BINARY) for loss in OF_ONE_SCORE)]
ALL += [(fl.SoftMarginLoss(), SCORES[:, 0], 2 * BINARY - 1)]
ALL += [(loss, SCORES[:, 0], NUMBERS) for loss in OF_NUMBERS]


def data(labels, weight=None, sizes=None):
    """A data set as the two libraries offer it."""
    return SimpleNamespace(get_label=lambda: labels, get_weight=lambda: weight, get_group=lambda: sizes)


def by_rows(scores):
    """Scores as one sample of a loss, of shape (1, K, n)."""
    return scores.reshape(len(scores), -1).T[None]


@pytest.mark.parametrize(("loss", "scores", "labels"), ALL, ids=lambda v: repr(v) if isinstance(v, fl.Loss) else "")
@pytest.mark.parametrize("make", [fl.boost.xgboost, fl.boost.lightgbm])
def test_the_gradient_is_that_of_the_sum_over_the_rows(loss, scores, labels, make, backend):
    gradient, hessian = make(loss)(scores, data(labels, WEIGHT))
    want = np.zeros(by_rows(scores).shape)
    for factor, part in loss.summands():
        y = labels[None].astype(int) if part.kind == "pixel" else labels[None, None]
        w = WEIGHT[None] if part.kind == "pixel" else WEIGHT[None, None]
        own = part.value_and_grad(by_rows(scores).astype(float), y, pixel_weight=w)[1]
        if isinstance(part, fl.CrossEntropyLoss) and part.class_weight is not None:
            rows = (WEIGHT * np.array(part.class_weight)[labels.astype(int)]).sum()  # what the mean divides by
        else:
            rows = WEIGHT.sum()
        want += factor * rows * own
    assert gradient.shape == hessian.shape == scores.shape
    assert gradient.dtype == scores.dtype
    np.testing.assert_allclose(gradient.reshape(N, -1), want[0].T, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("loss", "scores", "labels"), ALL, ids=lambda v: repr(v) if isinstance(v, fl.Loss) else "")
def test_steps_are_bounded(loss, scores, labels, backend):
    """Every Hessian is positive. For a loss that is not convex, no row's step is longer than 1."""
    gradient, hessian = fl.boost.xgboost(loss)(scores, data(labels))
    assert (hessian >= np.float32(1e-16)).all()
    if loss in OF_NUMBERS:
        d = scores - labels
        np.testing.assert_allclose(gradient / hessian, d, rtol=1e-5)  # the step of each row ends at its target
    convex = fl.CrossEntropyLoss, fl.BCEWithLogitsLoss, fl.BalancedBCELoss, fl.SoftMarginLoss
    if loss not in OF_NUMBERS and not any(isinstance(part, convex) for _, part in loss.summands()):
        assert (np.abs(gradient) <= hessian * (1 + 1e-6)).all()


def test_hessians_are_those_of_the_libraries(backend):
    p = fl.softmax(SCORES.astype(float), axis=1)
    for make, factor in ((fl.boost.xgboost, 2), (fl.boost.lightgbm, K / (K - 1))):
        gradient, hessian = make(fl.CrossEntropyLoss())(SCORES, data(LABELS, WEIGHT))
        np.testing.assert_allclose(gradient, WEIGHT[:, None] * (p - np.eye(K)[LABELS.astype(int)]), atol=1e-6)
        np.testing.assert_allclose(hessian, factor * WEIGHT[:, None] * p * (1 - p), atol=1e-6)
    p = fl.sigmoid(SCORES[:, 0].astype(float))
    for make in (fl.boost.xgboost, fl.boost.lightgbm):
        gradient, hessian = make(fl.BCEWithLogitsLoss())(SCORES[:, 0], data(BINARY, WEIGHT))
        np.testing.assert_allclose(gradient, WEIGHT * (p - BINARY), atol=1e-6)
        np.testing.assert_allclose(hessian, WEIGHT * p * (1 - p), atol=1e-6)


# ---- groups


@pytest.mark.parametrize("loss", [DICE, fl.TverskyLoss(activation="sigmoid"), fl.BalancedBCELoss()], ids=repr)
def test_groups_are_images(loss, backend):
    objective, scores = fl.boost.xgboost(loss), SCORES[:, 0]
    gradient, _ = objective(scores, data(BINARY, WEIGHT, SIZES))
    ends = np.cumsum(SIZES)
    images = [slice(b - n, b) for n, b in zip(SIZES, ends, strict=True) if n]
    for rows in images:
        y, w = BINARY[rows][None, None], WEIGHT[rows][None, None]
        if loss.kind == "pixel":
            y, w = y[0].astype(int), w[0]
        own = loss.value_and_grad(scores[rows][None, None], y, pixel_weight=w)[1][0, 0]
        total = WEIGHT.sum() / len(images) if loss.kind == "pixel" else WEIGHT[rows].sum()
        np.testing.assert_allclose(gradient[rows], total * own, rtol=1e-5, atol=1e-7)
    alike = data(BINARY, WEIGHT, np.array([40, 40, 40]))
    w = WEIGHT.reshape(3, 1, 40) if loss.kind == "element" else WEIGHT.reshape(3, 40)
    y = BINARY.reshape(3, 1, 40) if loss.kind == "element" else BINARY.reshape(3, 40).astype(int)
    assert objective.metric(scores, alike) == (objective.name, loss(scores.reshape(3, 1, 40), y, pixel_weight=w))
    per_group = np.array([0.5, 2.0, 1.0], np.float32)  # XGBoost's weights, if there are groups
    repeated = np.repeat(per_group, 40)
    got, want = objective(scores, data(BINARY, per_group, np.array([40] * 3))), None
    want = objective(scores, data(BINARY, repeated, np.array([40] * 3)))
    assert same_bits(got[0], want[0])


# ---- soft targets, values, base scores


def test_labels_number_the_rows_of_targets(backend):
    table = RNG.dirichlet(np.ones(K), 50)
    index = RNG.integers(0, 50, N)
    objective = fl.boost.lightgbm(fl.CrossEntropyLoss(), targets=table)
    gradient, _ = objective(SCORES, data(index.astype(np.float32)))
    np.testing.assert_allclose(gradient, fl.softmax(SCORES.astype(float), axis=1) - table[index], atol=1e-6)
    want = fl.cross_entropy(SCORES, table[index])
    assert objective.metric(SCORES, data(index))[1] == pytest.approx(want, rel=1e-7)
    multilabel = fl.boost.xgboost(fl.BCEWithLogitsLoss(), targets=table)
    gradient, _ = multilabel(SCORES, data(index))
    np.testing.assert_allclose(gradient, fl.sigmoid(SCORES.astype(float)) - table[index], atol=1e-6)
    single = fl.boost.catboost(fl.BCEWithLogitsLoss(), targets=table[:, 0])
    soft = np.array(single.calc_ders_range(SCORES[:, 0], index, None))[:, 0]
    np.testing.assert_allclose(soft, table[index, 0] - fl.sigmoid(SCORES[:, 0].astype(float)), atol=1e-6)


@pytest.mark.parametrize(("loss", "scores", "labels"), ALL, ids=lambda v: repr(v) if isinstance(v, fl.Loss) else "")
def test_the_metric_is_the_value_of_the_loss(loss, scores, labels, backend):
    pixels = loss.kind == "pixel"
    y = labels[None].astype(int) if pixels else labels[None, None]
    want = loss(by_rows(scores), y, pixel_weight=WEIGHT[None] if pixels else WEIGHT[None, None])
    name, got = fl.boost.xgboost(loss).metric(scores, data(labels, WEIGHT))
    assert got == pytest.approx(want, rel=1e-6)
    assert name.isprintable()
    assert not set(name) & set(" :-\t")
    assert fl.boost.lightgbm(loss).metric(scores, data(labels, WEIGHT)) == (name, got, False)


@pytest.mark.parametrize(
    ("loss", "labels", "classes"),
    [
        (fl.CrossEntropyLoss(), LABELS, K),
        (fl.BCEWithLogitsLoss(), BINARY, 1),
        (fl.MSELoss(), NUMBERS, 1),
    ],
    ids=["softmax", "sigmoid", "numbers"],
)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_the_gradient_is_0_at_the_base_score(loss, labels, classes, weight, backend):
    objective = fl.boost.xgboost(loss)
    base = objective.base_score(data(labels, weight), classes=classes)
    scores = np.broadcast_to(np.array(base), (N, K) if classes > 1 else (N,))
    gradient, _ = objective(scores, data(labels, weight))
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-9)


def test_base_scores_of_targets_and_groups():
    table = RNG.dirichlet(np.ones(K), N)
    base = fl.boost.xgboost(fl.CrossEntropyLoss(), targets=table).base_score(data(np.arange(N)), classes=K)
    np.testing.assert_allclose(base, np.log(table.mean(axis=0)))
    base = fl.boost.xgboost(DICE).base_score(data(BINARY, np.array([1.0, 3.0]), np.array([40, 80])))
    p = (BINARY[:40].sum() + 3 * BINARY[40:].sum()) / (40 + 3 * 80)
    assert base == pytest.approx(np.log(p / (1 - p)))
    assert np.isfinite(fl.boost.xgboost(DICE).base_score(data(np.zeros(5))))


# ---- CatBoost gets blocks, and single rows


def test_catboost_gets_the_derivatives_of_what_it_maximises(backend):
    for loss in (fl.BCEWithLogitsLoss(), fl.BinaryFocalLoss(), fl.MSELoss()):
        gradient, hessian = fl.boost.xgboost(loss)(SCORES[:, 0].astype(float), data(BINARY, WEIGHT))
        got = np.array(fl.boost.catboost(loss).calc_ders_range(list(SCORES[:, 0]), list(BINARY), list(WEIGHT)))
        np.testing.assert_allclose(got, -np.stack([gradient, hessian], axis=1))
    objective = fl.boost.catboost(fl.FocalLoss())
    gradient, hessian = fl.boost.xgboost(fl.FocalLoss())(SCORES.astype(float), data(LABELS, WEIGHT))
    for k in range(5):
        first, second = objective.calc_ders_multi(list(SCORES[k]), float(LABELS[k]), float(WEIGHT[k]))
        np.testing.assert_allclose(first, -gradient[k], rtol=1e-12)
        np.testing.assert_allclose(second, np.diag(-hessian[k]), rtol=1e-12)


def test_catboosts_metric(backend):
    objective = fl.boost.catboost(fl.CrossEntropyLoss())
    error, weight = objective.metric.evaluate(list(SCORES.T), LABELS, WEIGHT)
    want = fl.cross_entropy(SCORES, LABELS.astype(int), pixel_weight=WEIGHT)
    assert objective.metric.get_final_error(error, weight) == pytest.approx(want, rel=1e-6)
    assert not objective.metric.is_max_optimal()


# ---- scikit-learn's scorers


class Model:
    """Predicts what it was made with."""

    def __init__(self, p, classes):
        self.p, self.classes_ = p, np.array(classes)

    def predict_proba(self, X):
        return self.p[X]

    predict = predict_proba


def test_a_scorer_is_minus_the_loss(backend):
    p, rows = fl.softmax(SCORES.astype(float), axis=1), np.arange(N)
    names = np.array(["a", "b", "c", "d"])
    score = fl.boost.sklearn(fl.FocalLoss())(Model(p, names), rows, names[LABELS.astype(int)], WEIGHT)
    want = fl.focal_loss(p.T[None], LABELS[None].astype(int), activation=None, pixel_weight=WEIGHT[None])
    assert score == pytest.approx(-want, rel=1e-9)
    two = p[:, :2] / p[:, :2].sum(axis=1, keepdims=True)
    score = fl.boost.sklearn(DICE)(Model(two, [0, 1]), rows, BINARY)
    want = fl.dice_loss(two[:, 1][None, None], BINARY[None].astype(int), activation=None)
    assert score == pytest.approx(-want, rel=1e-9)
    certain = np.eye(2)[BINARY.astype(int)]
    assert fl.boost.sklearn(fl.BCEWithLogitsLoss())(Model(certain, [False, True]), rows, BINARY == 1) == 0
    score = fl.boost.sklearn(fl.HuberLoss())(Model(SCORES[:, 0], []), rows, NUMBERS)
    assert score == pytest.approx(-fl.huber_loss(SCORES[:, 0], NUMBERS), rel=1e-6)
