"""Tests one_hot, smooth_labels, class_weights and check_grad against torch, formulas by hand, and the losses."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from cases import CASES, images
from compare import bits, eps
from layouts import DTYPES, LABEL_DTYPES, LAYOUTS

import fastloss as fl

rng = np.random.default_rng(0)
LABELS = {shape: rng.integers(0, 3, shape) for shape in [(), (7,), (2, 40), (2, 5, 7), (2, 3, 4, 5), (0,), (2, 0, 3)]}
shapes = pytest.mark.parametrize("shape", LABELS, ids=str)

# ---- one_hot


@shapes
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_hot_is_torchs(shape, axis, torch):
    y = LABELS[shape]
    where = 0 if shape == () else axis
    want = torch.nn.functional.one_hot(torch.tensor(y), 4).movedim(-1, where).numpy()
    got = fl.one_hot(y, 4, axis=axis)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=str)
def test_one_hot_takes_labels_of_every_dtype_and_layout(dtype):
    y = rng.integers(0, 2, (2, 5, 7)).astype(dtype)
    want = fl.one_hot(y.astype(np.int64), 3)
    assert want.any(axis=1).all()
    for layout in LAYOUTS:
        np.testing.assert_array_equal(fl.one_hot(layout(y), 3), want)


def test_one_hot_takes_a_tensor(torch):
    y = LABELS[(2, 5, 7)]
    np.testing.assert_array_equal(fl.one_hot(torch.tensor(y), 3), fl.one_hot(y, 3))


@pytest.mark.parametrize("dtype", [*DTYPES, np.dtype(bool), np.dtype(np.int64)], ids=str)
def test_one_hot_has_the_dtype_it_was_asked_for(dtype):
    got = fl.one_hot([[0, 2, 1]], 3, dtype=dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got.astype(int), [[[1, 0, 0], [0, 0, 1], [0, 1, 0]]])


@pytest.mark.parametrize("ignored", [-100, 255, 1])
def test_one_hot_of_ignored_labels_is_zero(ignored):
    y = np.array([[0, ignored, 2]])
    np.testing.assert_array_equal(fl.one_hot(y, 3, ignore_index=ignored), [[[1, 0, 0], [0, 0, 0], [0, 0, 1]]])


def test_one_hot_is_the_dense_target_of_the_losses(backend):
    x, y = rng.standard_normal((2, 3, 5, 7)), LABELS[(2, 5, 7)]
    for loss in (fl.CrossEntropyLoss(), fl.DiceLoss()):
        assert loss(x, fl.one_hot(y, 3)) == pytest.approx(loss(x, y), rel=1e-14)  # the same sums in another order


# ---- smooth_labels


@pytest.mark.parametrize("dtype", [*DTYPES, np.dtype(bool)], ids=str)
@pytest.mark.parametrize("prior", [None, [0.5, 0.3, 0.2]])
@pytest.mark.parametrize("axis", [1, -1])
def test_smooth_labels_is_its_formula(dtype, prior, axis):
    y = fl.one_hot(LABELS[(2, 5, 7)], 3, axis=axis, dtype=dtype)
    u = np.moveaxis(np.full((2, 5, 7, 3), 1 / 3 if prior is None else prior), -1, axis)
    got = fl.smooth_labels(y, 0.1, prior, axis)
    assert got.dtype == (np.float32 if dtype.kind == "b" else dtype)
    # e u, (1 - e) y and their sum are rounded in the arithmetic's dtype, the result once more: at most 2 eps of 1.
    np.testing.assert_allclose(got.astype(np.float64), 0.9 * y.astype(float) + 0.1 * u, rtol=0, atol=2 * eps(got.dtype))


def test_smooth_labels_leaves_its_argument_alone():
    y = fl.one_hot(LABELS[(2, 40)], 3)
    before = bits(y)
    fl.smooth_labels(y, 0.5)
    assert bits(y) == before
    np.testing.assert_array_equal(fl.smooth_labels(y, 0.0), y)
    np.testing.assert_array_equal(fl.smooth_labels([1.0, 0.0], 1.0), [0.5, 0.5])
    assert fl.smooth_labels(y[:0], 0.1).shape == (0, 3, 40)
    assert fl.smooth_labels(y[:, :0], 0.1).shape == (2, 0, 40)


@pytest.mark.parametrize("e", [0.0, 0.1, 1.0])
def test_smoothing_the_labels_is_smoothing_in_the_loss(e, backend):
    x, y = rng.standard_normal((2, 3, 5, 7)), LABELS[(2, 5, 7)]
    want = fl.cross_entropy(x, y, label_smoothing=e)
    dense = fl.smooth_labels(fl.one_hot(y, 3, dtype=np.float64), e)
    assert fl.cross_entropy(x, dense) == pytest.approx(want, rel=1e-13)  # another order of summation


@pytest.mark.parametrize("e", [0.0, 0.1, 1.0])
def test_smoothing_is_torchs(e, backend, torch):
    x, y = rng.standard_normal((2, 3, 5, 7)), LABELS[(2, 5, 7)]
    dense = fl.smooth_labels(fl.one_hot(y, 3, dtype=np.float64), e)
    want = torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(dense)).item()
    assert fl.cross_entropy(x, dense) == pytest.approx(want, rel=1e-13)


# ---- class_weights

COUNTS = np.array([60, 0, 3, 12, 5])
MANY = rng.permutation(np.repeat(np.arange(5), COUNTS)).reshape(2, 5, 8)


@pytest.mark.parametrize(
    ("scheme", "want"),
    [
        ("inverse", [80 / 60, 0, 80 / 3, 80 / 12, 80 / 5]),
        ("balanced", [80 / 300, 0, 80 / 15, 80 / 60, 80 / 25]),  # scikit-learn: n / (C n_c)
        ("median", [8.5 / 60, 0, 8.5 / 3, 8.5 / 12, 8.5 / 5]),
        (
            "effective",
            [0.001 / (1 - 0.999**60), 0, 0.001 / (1 - 0.999**3), 0.001 / (1 - 0.999**12), 0.001 / (1 - 0.999**5)],
        ),
    ],
)
def test_class_weights_by_hand(scheme, want):
    got = fl.class_weights(MANY, 5, scheme)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, want, rtol=1e-12)  # 1 - 0.999**3 above loses three of sixteen digits
    with_ignored = np.concatenate([MANY.ravel(), np.full(9, 255)])
    np.testing.assert_array_equal(fl.class_weights(with_ignored, 5, scheme, ignore_index=255), got)
    fl.CrossEntropyLoss(class_weight=got)


def test_class_weights_at_the_edges():
    np.testing.assert_array_equal(fl.class_weights(np.zeros(0, int), 2), [0, 0])
    np.testing.assert_array_equal(fl.class_weights([255], 2, ignore_index=255), [0, 0])
    np.testing.assert_array_equal(fl.class_weights(1, 2), [0, 0.5])
    np.testing.assert_array_equal(fl.class_weights([0, 0, 1], 2, "effective", beta=0), [1, 1])
    np.testing.assert_array_equal(fl.class_weights([0, 1, 1], 2, ignore_index=1), [0.5, 0])
    near = fl.class_weights(
        [0, 0, 1], 2, "effective", beta=1 - 1e-15
    )  # towards 1/n_c, where 1 - b^n has no digits left
    np.testing.assert_allclose(near, [0.5, 1], rtol=1e-14)


@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=str)
def test_class_weights_take_labels_of_every_dtype_and_layout(dtype):
    y = rng.integers(0, 2, (3, 5, 7)).astype(dtype)
    want = fl.class_weights(y.astype(np.int64), 2)
    for layout in LAYOUTS:
        np.testing.assert_array_equal(fl.class_weights(layout(y), 2), want)


def test_class_weights_take_little_memory(tmp_path):
    y = np.memmap(tmp_path / "labels", np.uint8, "w+", shape=(8, 1000, 1000))
    y[:, 500:] = 1
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(fl.class_weights(y, 2), [1, 1])
        assert tracemalloc.get_traced_memory()[1] < y.nbytes / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("function", [lambda y: fl.one_hot(y, 3), lambda y: fl.class_weights(y, 3, ignore_index=7)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("at", [(0, 0, 0), (1, 299, 300), (1, 0, 7)])  # in the first, the last and another slab
def test_a_bad_label_is_named_wherever_it_is(function, layout, at):
    y = np.zeros((2, 300, 301), np.int16)
    y[at] = -3
    y[1, 299, 300] = -3
    with pytest.raises(fl.LabelError) as caught:
        function(layout(y))
    error = caught.value
    assert (error.label, error.position, error.classes, error.name) == (-3, at, 3, "labels")


# ---- check_grad


@pytest.mark.extended
@pytest.mark.parametrize("case", [c for c in CASES if not c.nan_if_absent], ids=str)
def test_the_gradients_of_all_losses_pass(case, backend):
    # Differences of values of about 1, whose rounding of 1e-16 is divided by 3e-5 and by the derivative, about 1e-4.
    for reduction in ("mean", "none") if case.family != "composed" else ("mean", "sum"):
        loss = case.make(3, reduction=reduction)
        x, y, w = images(case, loss, (2, 3, 5))
        assert fl.check_grad(loss, x, y, pixel_weight=w) < 1e-6
        # and a float32 gradient has its own: some eps of sums that cancel
        x = x.astype(np.float32)
        assert fl.check_grad(loss, x, y, pixel_weight=w) < 1e-3


class Wrong(fl.CrossEntropyLoss):
    """A gradient of which one element is a fifth too large."""

    def value_and_grad(self, *arguments, **options):
        value, gradient = super().value_and_grad(*arguments, **options)
        gradient.flat[4] *= 1.25
        return value, gradient


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_wrong_gradient_is_caught(dtype):
    x, y = rng.standard_normal((2, 3, 4)).astype(dtype), LABELS[(2, 40)][:, :4]
    right, wrong = (
        loss(x, y)
        for loss in (lambda *a: fl.check_grad(fl.CrossEntropyLoss(), *a), lambda *a: fl.check_grad(Wrong(), *a))
    )
    assert right < 32 * max(eps(dtype), 1e-9)
    assert wrong == pytest.approx(0.2, abs=32 * eps(dtype) + 1e-6)


def test_check_grad_at_the_edges():
    assert fl.check_grad(fl.CrossEntropyLoss(), [[2.0, -np.inf, 0.0]], [0]) < 1e-8
    assert fl.check_grad(fl.CrossEntropyLoss(), np.zeros((0, 3)), np.zeros(0, int)) == 0
    assert fl.check_grad(fl.CrossEntropyLoss(), np.zeros((2, 3)), [0, 1], pixel_weight=[0, 1]) < 1e-8
    assert np.isnan(fl.check_grad(fl.CrossEntropyLoss(), [[np.nan, 1.0]], [0]))
    x = rng.standard_normal((2, 3))
    before = bits(x)
    fl.check_grad(fl.CrossEntropyLoss(), x, [0, 1])
    assert bits(x) == before
