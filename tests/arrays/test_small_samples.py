"""Tests many small samples that share a tile. On both backends, each gives the same numbers as by itself."""

import fractions

import numpy as np
import pytest
from cases import BY_NAME, images
from layouts import LAYOUTS

import fastloss as fl
from fastloss._engine import formula
from fastloss._engine.exact_sum import exact_sum

# Every kind of term, by sample: region sums with squares and weights, pixel, element and mixed; maps of distances.
NAMES = [
    "dice",
    "dice-sigmoid",
    "dice-dense",
    "dice-skip",
    "dice-foreground-255",
    "sensitivity-specificity",
    "sensitivity-specificity-zero-255",
    "generalized-dice-simple-skip",
    "focal-tversky-by-class",
    "balanced",
    "boundary",
    "hausdorff-none-dense",
    "dice+ce",
    "jaccard+bce",
    "generalized-dice+focal-tversky+ce",
    "balanced+mse+kl",
]
# Pixels of 1, 2, 16, 31 and 32 (the last summed in lanes), the most that share a tile and one more, several dimensions.
SHAPES = [
    (9, 3),
    (300, 2, 1),
    (40, 5, 2),
    (37, 4, 4, 4),
    (5, 3, 31),
    (5, 3, 8, 2, 2),
    (3, 6, 128),
    (3, 6, 129),
    (5, 1030, 3),
    (3, 6, 48),
    (3, 6, 49),
]
CASES = [BY_NAME[name] for name in NAMES]


def table(test):
    return pytest.mark.parametrize("shape", SHAPES, ids=str)(pytest.mark.parametrize("case", CASES, ids=str)(test))


@table
def test_a_sample_has_its_own_numbers_whatever_is_beside_it(case, shape, backend):
    loss = case.make(shape[1])
    x, y, w = images(case, loss, shape)
    own = [loss.partial(x[n : n + 1], y[n : n + 1], pixel_weight=w[n : n + 1]) for n in range(shape[0])]
    whole = loss.partial(x, y, pixel_weight=w)
    for grouping in (own, [loss.partial(x[:2], y[:2], pixel_weight=w[:2]), *own[2:]]):
        merged = fl.Partial.sum(grouping)
        if all(leaf.by_sample() for _, leaf in loss.summands()):
            np.testing.assert_array_equal(merged.numbers, whole.numbers)
        # Other losses add small samples in one row of numbers, in another order: 600 numbers of eps at worst.
        assert loss.finalize(merged) == pytest.approx(loss.finalize(whole), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_full_tiles_without_weights_have_the_numbers_of_each_sample(case, backend):
    loss = case.make(3)
    x, y, _ = images(case, loss, (64, 3, 16))
    own, whole = [loss.partial(x[n : n + 1], y[n : n + 1]) for n in range(64)], loss.partial(x, y)
    assert loss.finalize(fl.Partial.sum(own)) == pytest.approx(loss.finalize(whole), rel=1e-12, nan_ok=True)
    if all(leaf.by_sample() for _, leaf in loss.summands()):
        np.testing.assert_array_equal(fl.Partial.sum(own).numbers, whole.numbers)


@table
def test_both_backends(case, shape):
    loss = case.make(shape[1])
    x, y, w = images(case, loss, shape, np.float64)
    (value, gradient), (want, want_gradient) = (
        _with(backend, lambda: loss.value_and_grad(x, y, pixel_weight=w)) for backend in ("native", "numpy")
    )
    assert value == pytest.approx(want, rel=1e-12 * case.cancels, nan_ok=True)
    scale = np.abs(want_gradient).max(initial=1e-300)
    np.testing.assert_allclose(gradient, want_gradient, rtol=1e-10, atol=1e-12 * case.cancels * scale)


def _with(backend, call):
    with fl.backend(backend):
        return call()


@table
def test_a_report_has_the_value_of_each_image(case, shape, backend):
    loss = case.make(shape[1])
    x, y, w = images(case, loss, shape)
    report = fl.evaluate({"a": loss}, x, y, pixel_weight=w)
    own = [fl.evaluate({"a": loss}, x[n : n + 1], y[n : n + 1], pixel_weight=w[n : n + 1]) for n in range(shape[0])]
    np.testing.assert_array_equal(report.per_image["a"], [r["a"] for r in own])
    merged = fl.Report.sum(own)
    assert merged["a"] == report["a"] or np.isnan(report["a"])
    np.testing.assert_array_equal(merged.per_class["a"], report.per_class["a"])


def gaps_between_lines(a):
    """Every pixel dimension but the last is cut out of a larger one: samples and lines join, pixels do not."""
    if a.ndim < 3:
        return a
    wide = np.zeros((*a.shape[:-1], a.shape[-1] + 3), a.dtype)
    wide[..., : a.shape[-1]] = a
    return wide[..., : a.shape[-1]]


def channels_last_with_gaps(a):
    return (
        a if a.ndim < 4 else np.moveaxis(gaps_between_lines(np.moveaxis(a, 1, -1).swapaxes(2, 3)).swapaxes(2, 3), -1, 1)
    )


@pytest.mark.parametrize("layout", [*LAYOUTS, gaps_between_lines, channels_last_with_gaps], ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(40, 5, 2), (37, 4, 4, 4), (5, 3, 31), (40, 4, 2, 3, 2)], ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_any_layout_gives_the_same_bits(layout, shape, dtype):
    loss = fl.DiceLoss() + fl.CrossEntropyLoss(label_smoothing=0.1)
    x, y, w = images(BY_NAME["dice+ce"], loss, shape, dtype)
    want, want_gradient = loss.value_and_grad(x, y, pixel_weight=w)
    value, gradient = loss.value_and_grad(layout(x), layout(y), pixel_weight=layout(w))
    assert value == want
    np.testing.assert_array_equal(gradient, want_gradient)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_any_number_of_threads_gives_the_same_bits(threads):
    loss = fl.DiceLoss(squared=True) + fl.TverskyLoss(absent="skip") + fl.FocalLoss()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((70_000, 3, 5)).astype(np.float32), rng.integers(0, 3, (70_000, 5))
    with fl.num_threads(1):
        want = loss.value_and_grad(x, y)
    with fl.num_threads(threads):
        value, gradient = loss.value_and_grad(x, y)
    assert value == want[0] == loss(x, y)
    np.testing.assert_array_equal(gradient, want[1])


def test_sums_of_many_samples_are_made_some_at_a_time(backend, monkeypatch):
    """Value, gradient, partial and the place of a fault are those of one piece."""
    rng = np.random.default_rng(0)
    x, y, w = rng.standard_normal((500, 3, 4)), rng.integers(0, 3, (500, 4)), rng.random((500, 4))
    for loss in (fl.DiceLoss(), fl.DiceLoss() + fl.CrossEntropyLoss(), fl.BalancedBCELoss()):
        target = y if loss.kind != "element" else rng.random(x.shape)
        weight = w if loss.kind != "element" else rng.random(x.shape)
        want = loss.value_and_grad(x, target, pixel_weight=weight)
        partial = loss.partial(x, target, pixel_weight=weight)
        with monkeypatch.context() as patch:
            patch.setattr(formula, "SUM_BYTES", 2000)
            patch.setattr(formula, "MANY_SAMPLES", 1)
            value, gradient = loss.value_and_grad(x, target, pixel_weight=weight)
            assert loss.partial(x, target, pixel_weight=weight) == partial
            assert loss(x, target, pixel_weight=weight) == value
        # A pixel loss in the sum also has sums by sample, which are added exactly.
        assert value == pytest.approx(want[0], rel=1e-15)
        np.testing.assert_allclose(gradient, want[1], rtol=1e-14)
    monkeypatch.setattr(formula, "SUM_BYTES", 2000)
    monkeypatch.setattr(formula, "MANY_SAMPLES", 1)
    y[400, 2], y[300, 1], w[300, 1] = 9, 8, 0
    with pytest.raises(fl.LabelError, match=r"got 9 at \(400, 2\)"):
        fl.dice_loss(x, y, pixel_weight=w)


# ---- exact sums of many numbers


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e290, 5e-324])
@pytest.mark.parametrize("count", [199, 200, 1000, 4097])
def test_a_long_column_adds_up_as_fsum_does(count, scale):
    rng = np.random.default_rng(count)
    wide = rng.standard_normal(count) * 10.0 ** rng.integers(-12, 3, count)
    columns = [
        rng.random(count),
        wide,
        np.where(rng.random(count) < 0.5, wide, 0),
        np.ones(count),
        -wide,
        np.zeros(count),
    ]
    stack = np.stack(columns, axis=1) * scale
    with np.errstate(under="ignore"):
        total = exact_sum([stack])
    for column, parts in zip(stack.T, total.T, strict=True):
        assert sum(map(fractions.Fraction, parts)) == sum(map(fractions.Fraction, column))
    np.testing.assert_array_equal(exact_sum(np.array_split(stack, 7)), total)
    np.testing.assert_array_equal(exact_sum([exact_sum([part]) for part in np.array_split(stack[::-1], 7)]), total)


def test_a_long_column_with_what_is_not_finite():
    column = np.ones((1000, 1))
    for bad, want in (([np.inf], np.inf), ([np.nan], np.nan), ([np.inf, -np.inf], np.nan), ([1.7e308] * 3, np.inf)):
        column[: len(bad), 0] = bad
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(exact_sum([column])[0], [want])
        column[:] = 1


# ---- samples side by side in memory


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2)], ids=str)
@pytest.mark.parametrize("shape", [(40, 50, 60), (3, 5000, 1), (37, 5, 600), (19, 1030, 3), (33, 64, 64)], ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_samples_that_share_cache_lines_have_the_same_bits(order, shape, dtype):
    """Fortran's order and others: tiles of several samples are read and written together."""
    rng = np.random.default_rng(0)
    x, y, w = rng.random((3, *shape)).astype(dtype)
    w = np.where(w < 0.2, 0, w)
    loss = 0.5 * fl.MSELoss() + fl.BCELoss()

    def turned(a):
        return a.transpose(order[::-1]).copy().transpose(np.argsort(order[::-1]))

    for weight in (None, w, w[0]):
        value, gradient = loss.value_and_grad(x, y, pixel_weight=weight)
        own = weight if weight is None or weight.ndim < 3 else turned(weight)
        for threads in (1, 3):
            with fl.num_threads(threads):
                other, also = loss.value_and_grad(turned(x), turned(y), pixel_weight=own)
                assert (other, loss(turned(x), turned(y), pixel_weight=own)) == (value, value)
                np.testing.assert_array_equal(also, gradient)
                mixed = np.empty(shape, dtype)
                assert loss.value_and_grad(turned(x), y, pixel_weight=weight, out=mixed)[0] == value
                np.testing.assert_array_equal(mixed, gradient)
        maps = [fl.mse_loss(*pair, pixel_weight=weight, reduction="none") for pair in ((x, y), (turned(x), turned(y)))]
        np.testing.assert_array_equal(*maps)
    y[-1, -1, -1] = w[-1, -1, -1] = np.nan
    with pytest.raises(ValueError, match=r"^pixel_weight: expected 0 or numbers .*, got nan"):
        loss(turned(x), turned(y), pixel_weight=turned(w))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("samples", [2, 16, 17, 40])
def test_one_channel_of_samples_that_share_cache_lines(samples, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((samples, 1, 50, 60)).astype(dtype), rng.integers(0, 2, (samples, 50, 60))
    loss = fl.DiceCELoss(activation="sigmoid") + fl.TverskyLoss(activation="sigmoid", batch=True)
    value, gradient = loss.value_and_grad(x, y)
    other, also = loss.value_and_grad(np.asfortranarray(x), np.asfortranarray(y))
    assert other == value
    np.testing.assert_array_equal(also, gradient)
    report, turned = (fl.evaluate({"a": loss}, f(x), f(y)) for f in (np.ascontiguousarray, np.asfortranarray))
    np.testing.assert_array_equal(report.per_image["a"], turned.per_image["a"])
