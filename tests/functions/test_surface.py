"""Tests the surfaces of masks and their distances against definitions, pixel by pixel. The peers are in
tests/peers/test_peers_surfaces.py."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial
from compare import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import strided

import fastloss as fl
from fastloss import _backend, _surface
from fastloss._surface import average, border, element_areas, hausdorff, surface_dice, surfaces

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 0.5), (0.7, 2.3, 1.1)]
SHAPES = [(60,), (17, 23), (1, 30), (6, 7, 8), (1, 1, 9)]
WAYS = [("border", 1), ("border", 2), ("border", 3), ("area", 1), ("region", 1)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
ways = pytest.mark.parametrize("way", WAYS, ids=str)


def blobs(shape, seed, share=0.5):
    noise = np.random.default_rng(seed).random(shape)
    smooth = scipy.ndimage.gaussian_filter(noise, seed % 3 / 2)
    return smooth >= np.quantile(smooth, 1 - share)


def elements(mask, way):
    """The positions of a surface's elements in steps, and their codes or None, one by one."""
    surface, connectivity = way
    if surface == "region":
        return np.argwhere(mask), None
    padded, n = np.pad(mask, 1), mask.ndim
    if surface == "border":
        around = [s for s in itertools.product((-1, 0, 1), repeat=n) if 0 < np.abs(s).sum() <= connectivity]
        found = [at for at in np.argwhere(mask) if not all(padded[tuple(at + 1 + s)] for s in around)]
        return np.array(found).reshape(-1, n), None
    cells = list(itertools.product(*(range(length + 1) for length in mask.shape)))
    bits = 2 ** np.arange(2**n)[::-1]
    codes = [bits @ padded[tuple(slice(i, i + 2) for i in at)].ravel() for at in cells]
    kept = [(at, code) for at, code in zip(cells, codes, strict=True) if code not in (0, bits.sum())]
    return np.array([at for at, _ in kept]).reshape(-1, n), np.array([code for _, code in kept], int)


def defined(a, b, spacing, way):
    """The distances and sizes of both surfaces, in the order of the elements in memory."""
    (at_a, code_a), (at_b, code_b) = elements(a, way), elements(b, way)
    d = scipy.spatial.distance.cdist(at_a * np.array(spacing), at_b * np.array(spacing))
    areas = None if code_a is None else (element_areas(spacing)[code_a], element_areas(spacing)[code_b])
    return (d.min(axis=1, initial=np.inf), d.min(axis=0, initial=np.inf)), areas


@shapes
@ways
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_the_distances_are_their_definition(shape, way, spacing, backend):
    spacing = spacing[: len(shape)]
    for seed in range(4):
        a, b = blobs(shape, seed, 0.4), blobs(shape, seed + 7, 0.1 + seed / 4)
        found = surfaces(a, b, spacing, *way)
        distances, areas = defined(a, b, spacing, way)
        for k in (0, 1):
            assert found.distances[k].dtype == np.float32
            np.testing.assert_allclose(found.distances[k], distances[k], rtol=2e-7)
            if areas is not None:
                assert same_bits(found.areas[k], areas[k])
        assert (found.areas is None) == (areas is None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=3), st.sampled_from(WAYS), st.integers(0, 99), st.data())
def test_any_strides_give_the_same_bits(shape, way, seed, data):
    a, b = np.random.default_rng(seed).random((2, *shape)) < 0.3
    want = surfaces(a, b, SPACINGS[1][: len(shape)], *way)
    got = surfaces(data.draw(strided(a)), data.draw(strided(b)), SPACINGS[1][: len(shape)], *way)
    for k in (0, 1):
        assert same_bits(got.distances[k], want.distances[k])
        assert want.areas is None or same_bits(got.areas[k], want.areas[k])


@ways
def test_the_box_changes_no_distance(way, backend):
    """Masks far from the array's edges have the distances of the same masks without any margin."""
    a, b = blobs((9, 11), 1), blobs((9, 11), 2)
    small = surfaces(a, b, (0.7, 1.3), *way)
    large = surfaces(np.pad(a, [(40, 3), (0, 77)]), np.pad(b, [(40, 3), (0, 77)]), (0.7, 1.3), *way)
    assert all(same_bits(x, y) for x, y in zip(small.distances, large.distances, strict=True))


@ways
def test_empty_masks(way, backend):
    empty, full = np.zeros((4, 5), bool), np.ones((4, 5), bool)
    assert surfaces(empty, empty, (1.0, 1.0), *way).found == (False, False)
    for found in (surfaces(empty, full, (1.0, 1.0), *way), surfaces(full, empty, (1.0, 1.0), *way)):
        assert sorted(found.found) == [False, True]
        assert hausdorff(found, 95) == hausdorff(found, 95, directed=True) == np.inf
        assert average(found) == average(found, pooled=False) == np.inf
        assert surface_dice(found, 3.0) == 0
    equal = surfaces(full, full, (1.0, 1.0), *way)
    assert (hausdorff(equal, 100), average(equal), surface_dice(equal, 0.0)) == (0, 0, 1)


# Rows of one block of the search (8 x 8 rows), of several, and elements of several tasks (16384 elements).
NEAREST = [(1,), (300,), (1, 1, 9), (33, 17), (1, 20, 40), (70, 2, 90), (26, 31, 47)]


def searched(of, to, spacing):
    core = pytest.importorskip("fastloss._core")
    found = np.empty(np.count_nonzero(of), np.float32)
    core.nearest(of, to, spacing, found, fl.get_num_threads())
    return found


@pytest.mark.parametrize("shape", NEAREST, ids=str)
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_the_search_finds_the_distance_of_the_transform(shape, spacing):
    """From dense masks to single points, near and far. Whole squares have the same bits."""
    rng = np.random.default_rng(0)
    points = np.zeros((3, *shape), bool)
    for k, at in enumerate((0, -1, rng.integers(points[0].size))):
        points[k].flat[at] = True
    masks = [*(rng.random(shape) < share for share in (0.01, 0.5, 1.0)), *points]
    for to, of in itertools.product(masks, masks):
        if to.any():
            want = fl.distance_transform(~to, spacing[: len(shape)])[of]
            got = searched(of, to, spacing[: len(shape)])
            np.testing.assert_array_max_ulp(got, want, 0 if len(set(spacing)) == 1 else 1)


@pytest.mark.parametrize("spacing", [(1e7, 1e-7, 1.0), (1e-200, 1e-200, 1e-200)], ids=str)
def test_extreme_spacings(spacing):
    to, of = np.random.default_rng(0).random((2, 9, 10, 11)) < 0.02
    with np.errstate(all="ignore"):
        want = fl.distance_transform(~to, spacing)[of]
    np.testing.assert_array_max_ulp(searched(of, to, spacing), want, 1)


@pytest.mark.parametrize("share", [0.001, 0.5])
def test_few_elements_and_many(share, backend):
    """Few elements are searched, and many are read from a distance transform."""
    to, of = np.random.default_rng(0).random((2, 30, 31, 32)) < share
    want = fl.distance_transform(~to, (0.7, 2.3, 1.1))[of]
    for layout in (np.asfortranarray, np.ascontiguousarray):
        np.testing.assert_array_max_ulp(_backend.nearest(layout(of), layout(to), (0.7, 2.3, 1.1)), want, 1)


def test_any_number_of_threads_finds_the_same_bits():
    to, of = np.random.default_rng(0).random((2, 60, 70, 80)) < 0.001
    found = []
    for threads in (1, 2, 3):
        with fl.num_threads(threads):
            found.append(searched(of, to, (0.7, 2.3, 1.1)))
    assert same_bits(found[0], found[1])
    assert same_bits(found[0], found[2])


@pytest.mark.parametrize(("of", "to"), [((3, 4), (4, 3, 2)), ((3, 4), (3, 5)), ((0,), (0,))], ids=str)
def test_the_bridge_checks_its_arrays(of, to):
    core = pytest.importorskip("fastloss._core")
    masks = np.ones(of, bool), np.ones(to, bool)
    for found in (np.zeros(masks[0].size, np.float32), np.zeros(3, np.float32), np.zeros(12, np.float64)):
        with pytest.raises(ValueError, match="changed during the call"):
            core.nearest(*masks, (1.0,) * len(to), found, 1)


def test_a_border_by_hand():
    mask = np.ones((5, 5), int)
    mask[1, 1] = 0
    rows = ["".join(".#"[p] for p in row) for row in border(mask.astype(bool)).astype(int)]
    assert rows == ["#####", "#.#.#", "##..#", "#...#", "#####"]
    rows = ["".join(".#"[p] for p in row) for row in border(mask.astype(bool), 2).astype(int)]
    assert rows == ["#####", "#.#.#", "###.#", "#...#", "#####"]


@pytest.mark.parametrize("spacing", [(2.0,), (2.0, 0.5), (1.0, 1.0, 1.0)], ids=str)
def test_areas_of_boxes_by_hand(spacing):
    """In the middle of a face, a cell holds the area of one face of a pixel. Opposite cells have equal areas."""
    n, areas = len(spacing), element_areas(spacing)
    assert areas.shape == (2**2**n,)
    assert not areas.flags.writeable
    assert areas[0] == areas[-1] == 0
    assert (areas[1:-1] > 0).all()
    assert same_bits(areas, areas[::-1])
    for axis in range(n):
        half = np.zeros((2,) * n, int)
        np.moveaxis(half, axis, 0)[0] = 1
        code = int("".join(map(str, half.ravel())), 2)
        assert areas[code] == pytest.approx(np.prod(spacing) / spacing[axis], rel=1e-15)


def test_the_cells_are_all_of_those_that_differ():
    """Every code follows from one of the table by turning, mirroring and inverting; the table has no code twice."""
    for n, (_, normals) in _surface.NORMALS.items():
        bits = 2 ** np.arange(2**n)[::-1].reshape((2,) * n)
        seen = []
        for code in normals:
            cell = code & bits != 0
            turned = {
                bits[np.flip(cell.transpose(axes), flips) ^ inverted].sum()
                for axes in itertools.permutations(range(n))
                for k in range(n + 1)
                for flips in itertools.combinations(range(n), k)
                for inverted in (False, True)
            }
            seen += turned
        assert sorted(seen) == list(range(1, 2**2**n - 1))


def test_a_percentile_by_area_by_hand():
    """Half of the area is within 1, three quarters within 2, and all within 5."""
    found = _surface.Surfaces(
        (np.array([5, 1, 2], np.float32), np.zeros(1, np.float32)), (np.array([1.0, 2.0, 1.0]), np.ones(1))
    )
    percentiles = (0, 49, 50, 51, 75, 76, 100)
    assert [hausdorff(found, p, directed=True) for p in percentiles] == [1, 1, 1, 2, 2, 5, 5]
    assert average(found, directed=True) == (5 + 2 * 1 + 2) / 4
    assert average(found, pooled=False) == (5 + 2 * 1 + 2) / 8
    assert average(found) == (5 + 2 * 1 + 2) / 5
    assert surface_dice(found, 1.5) == (2 + 1) / 5


def test_a_distance_equal_to_the_tolerance_is_within(backend):
    """In float64, 3 steps of 0.1 are more than 0.3."""
    a, b = np.zeros((2, 12), bool)
    a[2], b[5] = True, True
    assert surface_dice(surfaces(a, b, (0.1,)), 0.3) == 1
    assert surface_dice(surfaces(a, b, (0.1,)), 0.29999) == 0


def test_the_backends_are_equal():
    for way, shape in itertools.product(WAYS, [(40, 50), (12, 20, 16)]):
        with fl.backend("native"):
            native = surfaces(blobs(shape, 1), blobs(shape, 2), (0.7,) * len(shape), *way)
        with fl.backend("numpy"):
            numpy = surfaces(blobs(shape, 1), blobs(shape, 2), (0.7,) * len(shape), *way)
        for k in (0, 1):
            np.testing.assert_array_max_ulp(native.distances[k], numpy.distances[k], 1)
