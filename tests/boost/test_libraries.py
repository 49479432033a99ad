"""Trains with XGBoost, LightGBM, CatBoost and scikit-learn: our objectives give the models of the libraries' own."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest

import fastloss as fl
import fastloss.boost

RNG = np.random.default_rng(0)
X = RNG.standard_normal((600, 5))
CLASSES = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] + 0.3 * RNG.standard_normal(600) > 1)
BINARY = (X[:, 0] * X[:, 1] + 0.5 * RNG.standard_normal(600) > 1).astype(int)
WEIGHT = RNG.choice([0.5, 1.0, 2.0], 600)
SIZES = [150, 250, 200]
SOFT = 0.9 * np.eye(3)[CLASSES] + 0.1 / 3
ROUNDS = 200


@pytest.fixture
def xgb():
    return pytest.importorskip("xgboost")


@pytest.fixture
def lgb():
    return pytest.importorskip("lightgbm")


@pytest.fixture
def cat():
    return pytest.importorskip("catboost")


XGB = {"max_depth": 3, "eta": 0.3, "nthread": 1}
LGB = {"num_leaves": 8, "num_threads": 1, "verbose": -1, "deterministic": True, "boost_from_average": False}


def close(got, want):
    """Equal up to 1e-6 of the largest score."""
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 * np.abs(want).max())
    assert np.abs(want).max() > 1


# ---- XGBoost


@pytest.mark.parametrize(
    ("own", "loss", "labels", "weight", "params"),
    [
        ("multi:softprob", fl.CrossEntropyLoss(), CLASSES, WEIGHT, {"num_class": 3}),
        ("binary:logistic", fl.BCEWithLogitsLoss(), BINARY, None, {}),
    ],
)
def test_xgboost_trains_its_own_trees(xgb, own, loss, labels, weight, params):
    train = xgb.DMatrix(X, labels, weight=weight)
    params = XGB | params
    want = xgb.train(params | {"objective": own, "base_score": 0.5}, train, ROUNDS).predict(train, output_margin=True)
    objective, history = fl.boost.xgboost(loss), {}
    base = {"base_score": 0.5 if "num_class" in params else 0.0}  # any number for a softmax, else the log-odds of 0.5
    model = xgb.train(
        params | base,
        train,
        ROUNDS,
        obj=objective,
        custom_metric=objective.metric,
        evals=[(train, "train")],
        evals_result=history,
        verbose_eval=False,
    )
    got = model.predict(train, output_margin=True)
    close(got, want)
    score = history["train"][objective.name]
    y = labels if "num_class" in params else labels.astype(float)
    assert score[-1] == pytest.approx(loss(got, y, pixel_weight=weight), rel=1e-4)  # the log has 6 decimals
    assert score[-1] < 0.1 * score[0]


def test_xgboost_gets_groups_as_images(xgb):
    loss = fl.DiceLoss(activation="sigmoid")
    objective = fl.boost.xgboost(loss)
    train = xgb.DMatrix(X, BINARY, qid=np.repeat(np.arange(3), SIZES))
    start = {"base_score": objective.base_score(train)}
    model = xgb.train(XGB | start, train, 50, obj=objective, custom_metric=objective.metric)
    scores = model.predict(train, output_margin=True)
    ends = np.cumsum(SIZES)
    images = [loss(scores[None, None, b - n : b], BINARY[None, b - n : b]) for n, b in zip(SIZES, ends, strict=True)]
    assert objective.metric(scores, train)[1] == pytest.approx(np.mean(images), rel=1e-6)
    assert np.mean(images) < 0.4
    assert loss(np.full((1, 1, 600), start["base_score"]), BINARY[None]) > 0.7


def test_xgboost_learns_soft_targets(xgb):
    objective = fl.boost.xgboost(fl.CrossEntropyLoss(), targets=SOFT)
    train = xgb.DMatrix(X, np.arange(len(X)))
    params = XGB | {"num_class": 3, "base_score": objective.base_score(train, classes=3)}
    scores = xgb.train(params, train, ROUNDS, obj=objective).predict(train, output_margin=True)
    smooth = fl.CrossEntropyLoss(label_smoothing=0.1)
    hard = xgb.DMatrix(X, CLASSES)
    model = xgb.train(params, hard, ROUNDS, obj=fl.boost.xgboost(smooth))
    close(scores, model.predict(hard, output_margin=True))


# ---- LightGBM


@pytest.mark.parametrize(
    ("own", "loss", "labels", "weight", "params"),
    [
        ("multiclass", fl.CrossEntropyLoss(), CLASSES, WEIGHT, {"num_class": 3}),
        ("binary", fl.BCEWithLogitsLoss(), BINARY, None, {}),
    ],
)
def test_lightgbm_trains_its_own_trees(lgb, own, loss, labels, weight, params):
    def data():
        return lgb.Dataset(X, labels, weight=weight)

    params = LGB | params
    want = lgb.train(params | {"objective": own}, data(), ROUNDS).predict(X, raw_score=True)
    objective, history = fl.boost.lightgbm(loss), {}
    train = data()
    model = lgb.train(
        params | {"objective": objective},
        train,
        ROUNDS,
        valid_sets=[train],
        valid_names=["train"],
        feval=objective.metric,
        callbacks=[lgb.record_evaluation(history)],
    )
    got = model.predict(X, raw_score=True)
    close(got, want)
    y = labels if "num_class" in params else labels.astype(float)
    assert history["train"][objective.name][-1] == pytest.approx(loss(got, y, pixel_weight=weight), rel=1e-5)


def test_lightgbm_gets_groups_as_images(lgb):
    loss = fl.DiceLoss(activation="sigmoid")
    objective = fl.boost.lightgbm(loss)
    train = lgb.Dataset(X, BINARY, group=SIZES, free_raw_data=False).construct()
    base = objective.base_score(train)
    train.set_init_score(np.full(len(X), base))
    model = lgb.train(LGB | {"objective": objective}, train, 50)
    scores = base + model.predict(X, raw_score=True)
    ends = np.cumsum(SIZES)
    images = [loss(scores[None, None, b - n : b], BINARY[None, b - n : b]) for n, b in zip(SIZES, ends, strict=True)]
    assert objective.metric(scores, train)[1] == pytest.approx(np.mean(images), rel=1e-6)
    assert np.mean(images) < 0.4
    assert loss(np.full((1, 1, 600), base), BINARY[None]) > 0.7


# ---- CatBoost


CAT = {"depth": 3, "learning_rate": 0.3, "thread_count": 1, "verbose": False, "allow_writing_files": False}
CAT |= {"bootstrap_type": "No", "leaf_estimation_iterations": 1, "leaf_estimation_method": "Newton"}


def test_catboost_trains_its_own_trees(cat):
    objective = fl.boost.catboost(fl.BCEWithLogitsLoss())
    models = [
        cat.CatBoostClassifier(loss_function="Logloss", iterations=50, boost_from_average=False, **CAT),
        cat.CatBoostClassifier(loss_function=objective, eval_metric=objective.metric, iterations=50, **CAT),
    ]
    want, got = (m.fit(X, BINARY).predict(X, prediction_type="RawFormulaVal") for m in models)
    close(got, want)
    (learned,) = models[1].get_evals_result()["learn"].values()
    assert learned[-1] == pytest.approx(fl.binary_cross_entropy_with_logits(got, BINARY.astype(float)), rel=1e-6)


def test_catboost_learns_classes(cat):
    objective = fl.boost.catboost(fl.FocalLoss(gamma=1.0))
    model = cat.CatBoostClassifier(loss_function=objective, eval_metric="MultiClass", iterations=10, **CAT)
    x, y = X[:100], CLASSES[:100]
    scores = model.fit(x, y).predict(x, prediction_type="RawFormulaVal")
    assert fl.focal_loss(scores, y, gamma=1.0) < 0.5 * fl.focal_loss(np.zeros_like(scores), y, gamma=1.0)


# ---- scikit-learn


def test_scikit_learn_scores_by_a_loss():
    pytest.importorskip("sklearn")
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    for labels, loss in ((CLASSES, fl.FocalLoss()), (BINARY, fl.DiceLoss(activation="sigmoid"))):
        scores = cross_val_score(LogisticRegression(), X, labels, scoring=fl.boost.sklearn(loss), cv=3)
        assert scores.shape == (3,)
        assert (scores < 0).all()
    models = []
    limits = pytest.importorskip("threadpoolctl").threadpool_limits(1)  # with more threads than cores, it takes minutes
    for scoring in (fl.boost.sklearn(fl.CrossEntropyLoss()), "neg_log_loss"):
        options = {"max_iter": 60, "n_iter_no_change": 2, "max_leaf_nodes": 4, "learning_rate": 0.5, "random_state": 0}
        models.append(HistGradientBoostingClassifier(early_stopping=True, scoring=scoring, **options).fit(X, BINARY))
    limits.restore_original_limits()
    assert models[0].n_iter_ == models[1].n_iter_ < 60
    np.testing.assert_allclose(models[0].validation_score_, models[1].validation_score_, rtol=1e-6)


# ---- rare voxels of a real scan


@pytest.mark.extended
def test_rare_voxels_of_a_scan(xgb, monkeypatch):
    """The example's table: the average precision is far above the structure's share of the voxels, 0.4 %."""
    pytest.importorskip("nibabel")
    monkeypatch.syspath_prepend(str(pathlib.Path(__file__).parents[2] / "examples"))
    example = pytest.importorskip("boosting")
    if importlib.util.find_spec("TPTBox") is None:
        pytest.skip("TPTBox is not installed: make test-all does it")
    ct, mask = example.scan()
    halves = np.split(example.features(ct[:, :46]), 2, axis=1), np.split(mask[:, :46], 2, axis=1)
    train, test = (xgb.DMatrix(x.reshape(-1, x.shape[-1]), y.ravel()) for x, y in zip(*halves, strict=True))
    with fl.num_threads(1):
        table = [line.split(" | ") for line in example.rows(train, test, threads=1, rounds=20)]
    assert len(table) == len(example.LOSSES) + 2
    assert table[0][1:3] == table[1][1:3]  # XGBoost's own objective and ours
    assert all(0.1 < float(precision) < 1 for _, precision, *_ in table)
