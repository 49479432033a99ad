"""Tests the counts that metrics are made from: both backends, any layout, any number of threads, and masks counted one
by one."""

from __future__ import annotations

import numpy as np
import pytest
from made import ALL, made

import fastloss as fl
from fastloss._engine.confusion import ConfusionTally, Counts
from fastloss._predictions import Prediction, prediction_batch


def counts(call, matrix, threshold=0.5):
    tally = ConfusionTally(Prediction(call.activation, threshold), matrix)
    batch = prediction_batch(call.input, call.target, call.weight, 1, call.ignored, call.num_classes)
    return tally.count(batch)


@pytest.mark.parametrize("seed", range(12))
def test_backends_and_threads_agree(seed):
    rng = np.random.default_rng(seed)
    for _ in range(25):
        call = made(rng)
        threshold = float(rng.choice([0.5, 0.3]))
        for matrix in (False, True)[: 1 + call.exclusive]:
            with fl.num_threads(int(rng.integers(1, 4))):
                found = counts(call, matrix, threshold)
            with fl.backend("numpy"):
                expected = counts(call, matrix, threshold)
            np.testing.assert_array_equal(found, expected)
            size = ConfusionTally(Prediction(None, 0.5), matrix).size(call.classes)
            assert found.shape == (len(call.target), size)


@pytest.mark.parametrize("seed", range(6))
def test_a_matrix_has_the_counts_by_class(seed, backend):
    rng = np.random.default_rng(100 + seed)
    for _ in range(10):
        call = made(rng)
        if call.exclusive:
            pairs, by_class = (ConfusionTally(Prediction(call.activation, 0.5), matrix) for matrix in (True, False))
            assert pairs.covers(by_class)
            assert not by_class.covers(pairs)
            found = pairs.taken_as(by_class, counts(call, True), call.classes)
            np.testing.assert_array_equal(found, counts(call, False))


def test_large_images_on_threads():
    """Several threads count in one image, and one thread in several images."""
    rng = np.random.default_rng(3)
    for shape, classes in (((1, 700, 900), 83), ((5, 301, 407), 7), ((2, 400, 500), 400)):
        x, y = rng.integers(0, classes, (2, *shape)).astype(np.int16)
        expected = np.zeros((shape[0], classes, classes))
        for k in range(shape[0]):
            np.add.at(expected[k], (y[k], x[k]), 1)
        tally = ConfusionTally(Prediction("softmax", 0.5), matrix=True)
        for threads in (1, 2, 3):
            with fl.num_threads(threads):
                found = tally.count(prediction_batch(x, y, None, 1, (-100,), classes))
            np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_have_the_first_class(dtype, backend):
    x = np.array([[1, -np.inf, 0, np.inf], [1, -np.inf, 2, np.inf], [0, -np.inf, 2, 3]], dtype)[None]
    matrix = fl.metrics.confusion_matrix(x, [[0, 0, 1, 0]])
    assert matrix.tolist() == [[3, 0, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("classes", [2, 5, 130, 300])
def test_the_class_of_many(classes, backend):
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(2, classes, 500)).astype(np.float32)
    y = x.argmax(axis=1)
    assert fl.metrics.accuracy(x, y) == 1
    assert fl.metrics.accuracy(np.moveaxis(x, 1, -1), y, axis=-1) == 1
    assert fl.metrics.accuracy(x, (y + 1) % classes) == 0


@pytest.mark.parametrize("activation", ["sigmoid", None])
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_a_threshold_is_exceeded(activation, threshold, backend):
    """A probability that equals the threshold is not above it."""
    p = np.array([[[0.1, 0.25, 0.5, 0.75, 0.95]]])
    x = p if activation is None else np.log(p / (1 - p))
    x[0, 0, 2] = 0 if activation else 0.5
    metric = fl.metrics.Recall(activation=activation, threshold=threshold)
    assert metric(x, np.ones((1, 5), int)) == np.mean(p > threshold)


def test_pixels_without_weight_may_hold_anything(backend):
    x = np.array([[[np.nan, 1.0, 0.0], [0.0, np.nan, 1.0]]])
    y = np.array([[9, 1, 1]])
    weight = np.array([[0, 0, 1]])
    assert fl.metrics.accuracy(x, y, pixel_weight=weight) == 1
    assert fl.metrics.accuracy(np.array([[9, -4, 1]]), y, pixel_weight=weight, num_classes=2) == 1


def test_no_pixel(backend):
    x, y = np.zeros((2, 3, 0)), np.zeros((2, 0), int)
    for name, metric in ALL.items():
        if name != "confusion_matrix":
            assert np.isnan(metric(x, y))
    assert fl.metrics.confusion_matrix(x, y).sum() == 0


def test_classes_of_a_channel():
    c = Counts(*(np.array([[float(n)]]) for n in (2, 5, 3, 10))).exclusive()
    assert [row.tolist() for row in c] == [[[4, 2]], [[5, 5]], [[7, 3]], [[10, 10]]]
