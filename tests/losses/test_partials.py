"""Tests for every loss that the partials of parts of the data merge to the value of the whole."""

from __future__ import annotations

import io
import itertools
import pickle

import numpy as np
import pytest
from cases import MERGING_CASES, images
from compare import bits, same_bits
from layouts import DTYPES

import fastloss as fl

cases = pytest.mark.parametrize("case", MERGING_CASES, ids=str)


@cases
@pytest.mark.parametrize("dtype", DTYPES[2:], ids=str)
def test_partials_in_any_grouping_give_the_value_of_the_whole(case, dtype, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, (4, 5, 300), dtype)
    whole = loss(x, y, pixel_weight=w)
    p = [loss.partial(x[n : n + 1], y[n : n + 1], pixel_weight=w[n : n + 1]) for n in range(4)]
    halves = [loss.partial(x[n : n + 2], y[n : n + 2], pixel_weight=w[n : n + 2]) for n in (0, 2)]
    sums = [fl.Partial.sum(order) for order in itertools.permutations(p)]
    sums += [p[0] + p[1] + (p[2] + p[3]), p[3] + (p[2] + (p[1] + p[0])), halves[0] + halves[1], sum(p)]
    sums += [loss.partial(x, y, pixel_weight=w), halves[1] + p[1] + p[0]]
    assert {bits(loss.finalize(s)) for s in sums} == {bits(whole)}
    assert all(s == sums[0] for s in sums)


@cases
def test_partials_of_small_samples(case, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, (4, 5, 30))
    whole = loss(x, y, pixel_weight=w)
    p = (loss.partial(x[n : n + 1], y[n : n + 1], pixel_weight=w[n : n + 1]) for n in range(4))
    # Samples below 256 pixels share tiles, so sums of some 600 numbers are added in another order: 600 eps at worst.
    assert loss.finalize(fl.Partial.sum(p)) == pytest.approx(whole, rel=1e-12, nan_ok=True)


LARGE_OR_MANY = [(case, (4, 5, 300)) for case in MERGING_CASES]
LARGE_OR_MANY += [(case, (1030, 5, 2)) for case in MERGING_CASES if case.family == "region"]  # many samples


@pytest.mark.parametrize(("case", "shape"), LARGE_OR_MANY, ids=str)
def test_the_gradient_from_a_partial_is_that_of_the_whole(case, shape, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, shape)
    half = shape[0] // 2
    halves = [(x[:half], y[:half], w[:half]), (x[half:], y[half:], w[half:])]
    total = sum(loss.partial(x, y, pixel_weight=w) for x, y, w in halves)
    _, want = loss.value_and_grad(x, y, pixel_weight=w)
    got = [loss.gradient(x, y, total, pixel_weight=w, scale=-2) for x, y, w in halves]
    np.testing.assert_allclose(np.concatenate(got), -2 * want, rtol=1e-12, atol=1e-12 * np.abs(want).max())
    last_x, last_y, last_w = halves[1]
    out = np.empty_like(last_x)
    assert loss.gradient(last_x, last_y, total, pixel_weight=last_w, out=out) is out
    np.testing.assert_allclose(-2 * out, got[1], rtol=1e-12)


@cases
def test_partials_travel(case, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, (2, 5, 30))
    partial = loss.partial(x, y, pixel_weight=w)
    file = io.BytesIO()
    np.savez(file, **partial.arrays())
    file.seek(0)
    with np.load(file) as arrays:
        assert fl.Partial.from_arrays(arrays) == partial
    again = pickle.loads(pickle.dumps(partial))
    assert again == partial
    assert same_bits(loss.finalize(again), loss(x, y, pixel_weight=w))


def test_partials_of_different_losses_do_not_merge(backend):
    x, y = np.zeros((2, 3, 4)), np.zeros((2, 4), int)
    losses = [c.make(3) for c in MERGING_CASES if c.target == "labels"]
    losses += [fl.DiceLoss(batch=True), fl.DiceLoss(batch=True, smooth=1.0), 0.1 * fl.DiceLoss(), 0.2 * fl.DiceLoss()]
    third = fl.CrossEntropyLoss() * (1 / 3)
    losses += [third, fl.CrossEntropyLoss() * 0.333333]
    partials = [loss.partial(x, y) for loss in losses]
    for (a, p), (b, q) in itertools.combinations(zip(losses, partials, strict=True), 2):
        with pytest.raises(ValueError, match=r"^partials: expected partials of one loss"):
            p + q
        with pytest.raises(ValueError, match=r"^partial: expected a partial of"):
            a.finalize(q)
        with pytest.raises(ValueError, match=r"^partial: expected a partial of"):
            b.finalize(p)
    with pytest.raises(ValueError, match=r"^partials: expected partials of one loss"):
        partials[0] + losses[0].partial(np.zeros((2, 4, 4)), y)
    with pytest.raises(ValueError, match=r"^partials: expected at least one"):
        fl.Partial.sum([])
