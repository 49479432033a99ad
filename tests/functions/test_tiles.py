"""Tests that the losses of an image in tiles are those of the whole image."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from cases import CASES, images, labels
from compare import assert_reports_close, same_bits

import fastloss as fl

C, SHAPE = 4, (2, 4, 23, 37)
LOSSES = {"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss()}
ADDITIVE = [c for c in CASES if not c.make(C).makes_weights]
MAKERS = [c for c in CASES if c.make(C).makes_weights]


def cuts(length, parts, rng):
    """Cut an axis into parts of random lengths, of which some may be 1."""
    inner = np.sort(rng.choice(np.arange(1, length), parts - 1, replace=False))
    edges = [0, *inner.tolist(), length]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def tiles_of(shape, seed, parts=3):
    rng = np.random.default_rng(seed)
    all_of = list(itertools.product(*(cuts(n, parts, rng) for n in shape[2:])))
    return [all_of[k] for k in rng.permutation(len(all_of))]


def report_of(losses, x, y, tiles, w=None, **options):
    with fl.Tiles(losses, **options) as t:
        for tile in tiles:
            own = (..., *tile)
            t.add(x[own], y[own], pixel_weight=None if w is None else w[own])
    return t.report


@pytest.mark.parametrize("case", ADDITIVE, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_tiles_have_the_values_of_the_whole_image(case, weighted, backend):
    loss = case.make(C)
    x, y, w = images(case, loss, SHAPE)
    w = w if weighted else None
    whole = fl.evaluate({"loss": loss}, x, y, pixel_weight=w)
    for seed in range(2):
        report = report_of({"loss": loss}, x, y, tiles_of(SHAPE, seed), w)
        # Terms of both signs cancel in some losses, which enlarges the rounding of their sums.
        assert_reports_close(report, whole, 1e-12 * case.cancels, 1e-14 * case.cancels)


@pytest.mark.parametrize("shape", [(1, 3, 300), (2, 3, 9, 8, 7), (1, 1, 30, 20)], ids=str)
def test_tiles_have_any_number_of_dimensions(shape):
    loss = fl.DiceLoss(activation="sigmoid")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape), labels(loss, shape, rng)
    assert_reports_close(report_of({"loss": loss}, x, y, tiles_of(shape, 0)), fl.evaluate({"loss": loss}, x, y), 1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_tiles_of_lower_precision(dtype):
    """The kernels add float32 numbers in lanes of at most 16 numbers, and other tiles fill the lanes differently."""
    case = CASES[0]
    x, y, _ = images(case, case.make(C), SHAPE, dtype)
    assert_reports_close(report_of(LOSSES, x, y, tiles_of(SHAPE, 0)), fl.evaluate(LOSSES, x, y), 1e-6)


def test_the_bits_do_not_depend_on_the_order():
    case = CASES[0]
    x, y, _ = images(case, case.make(C), SHAPE)
    tiles = tiles_of(SHAPE, 0, parts=9)  # more than are kept until they are merged
    first, second = report_of(LOSSES, x, y, tiles), report_of(LOSSES, x, y, tiles[::-1])
    for name in LOSSES:
        assert same_bits(first[name], second[name])
        assert same_bits(first.per_image[name], second.per_image[name])
        assert same_bits(first.per_class[name], second.per_class[name])


def test_partials_of_tiles_do_not_give_the_loss_of_the_image():
    """This is why there are tiles."""
    case = CASES[0]
    x, y, _ = images(case, case.make(C), SHAPE)
    tiles = tiles_of(SHAPE, 0)
    loss = fl.DiceLoss()
    merged = loss.finalize(fl.Partial.sum(loss.partial(x[(..., *t)], y[(..., *t)]) for t in tiles))
    assert merged != pytest.approx(loss(x, y), rel=1e-3)
    assert report_of({"dice": loss}, x, y, tiles)["dice"] == pytest.approx(loss(x, y), rel=1e-12)


@pytest.mark.parametrize("case", MAKERS, ids=str)
def test_losses_that_need_whole_images_are_refused(case):
    loss = case.make(C)
    with pytest.raises(ValueError, match=r"losses: expected losses whose sums add up over tiles, got .* for 'name'"):
        fl.Tiles({"dice": fl.DiceLoss(), "name": loss})


def test_ignored_labels_and_names():
    x, y, _ = images(CASES[0], fl.DiceLoss(ignore_index=255), SHAPE)
    names = ["left", "right"]
    report = report_of(LOSSES, x, y, tiles_of(SHAPE, 0), image=names, ignore_index=255)
    assert report.images == ("left", "right")
    whole = fl.evaluate(LOSSES, x, y, ignore_index=255)
    assert report.per_image["dice"] == pytest.approx(whole.per_image["dice"], rel=1e-12)
    assert (y == 255).any()


def test_reports_of_tiles_merge_with_others():
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    left = report_of(LOSSES, x[:1], y[:1], tiles_of(SHAPE, 0), image="scene")
    both = fl.Report.sum([pickle.loads(pickle.dumps(left)), fl.evaluate(LOSSES, x[1:], y[1:])])
    whole = fl.evaluate(LOSSES, x, y)
    assert both.images == ("scene", "1")
    assert both["dice"] == pytest.approx(whole["dice"], rel=1e-12)
    assert both.per_image["ce"] == pytest.approx(whole.per_image["ce"], rel=1e-12)


def test_without_a_with_block():
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    tiles = fl.Tiles(LOSSES)
    tiles.add(x, y)
    assert tiles.close() is tiles.close() is tiles.report
    assert_reports_close(tiles.report, fl.evaluate(LOSSES, x, y), 0)


# ---- errors

X, Y = np.zeros((1, 3, 4)), np.zeros((1, 4), int)


def test_a_tile_must_fit_the_others():
    tiles = fl.Tiles(LOSSES)
    tiles.add(X, Y)
    with pytest.raises(ValueError, match="input: expected as many classes as in the first tile, 3, got 2"):
        tiles.add(X[:, :2], Y)
    with pytest.raises(ValueError, match="input: expected as many images as in the first tile, 1, got 2"):
        tiles.add(np.concatenate([X, X]), np.concatenate([Y, Y]))
    with pytest.raises(fl.LabelError):
        tiles.add(X, Y + 7)
    assert_reports_close(tiles.close(), fl.evaluate(LOSSES, X, Y), 0)  # a refused tile does not count


def test_closed_tiles_take_no_more():
    with fl.Tiles(LOSSES) as tiles:
        tiles.add(X, Y)
    with pytest.raises(ValueError, match="tiles: expected open tiles, got closed ones"):
        tiles.add(X, Y)


def test_without_a_tile_there_is_no_report():
    with pytest.raises(ValueError, match="tiles: expected at least one tile, got none"), fl.Tiles(LOSSES):
        pass


def test_an_error_in_the_block_leaves_no_report():
    def block():
        with tiles:
            tiles.add(X, Y)
            raise KeyError("a tile is missing")

    tiles = fl.Tiles(LOSSES)
    with pytest.raises(KeyError, match="a tile is missing"):
        block()
    for call in (lambda: tiles.report, tiles.close):
        with pytest.raises(ValueError, match="an error ended the `with` block"):
            call()
    with pytest.raises(ValueError, match="expected open tiles"):
        tiles.add(X, Y)
