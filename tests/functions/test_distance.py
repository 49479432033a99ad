"""Tests the distance transform against scipy and brute force. Other distances are tested against definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial
from compare import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LABEL_DTYPES, LAYOUTS, strided

import fastloss as fl
from fastloss.distance import distance_to, signed_distance_to

# Lengths around those of a block (16 lines), of the nearby search (40 rows), and of 1.
SHAPES = [(1,), (2,), (1000,), (1, 1), (1, 37), (41, 1), (33, 17), (130, 95), (2, 300), (300, 3)]
SHAPES += [(1, 1, 1), (1, 5, 1), (7, 1, 9), (5, 6, 7), (19, 33, 50), (50, 1, 60), (90, 4, 47)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 0.7), (3.0, 1.0, 0.5), (1e-3, 1e3, 0.3)]


def masks(shape, seed=0):
    """Noise of several densities, and smooth blobs, all with some background."""
    rng = np.random.default_rng(seed)
    noise = rng.random(shape)
    found = [noise < p for p in (0.0, 0.1, 0.5, 0.9, 0.99)]
    found.append(scipy.ndimage.gaussian_filter(noise - 0.5, 3) > 0)
    for at in (0, noise.size // 2, noise.size - 1):
        corner = np.ones(shape, bool)
        corner.flat[at] = False
        found.append(corner)
    points = np.ones(shape, bool)  # far beyond what is searched nearby
    points.flat[rng.integers(0, noise.size, 3)] = False
    edges = np.all([index > 0 for index in np.indices(shape)], axis=0)  # far along one axis, nearer along another
    return [m for m in (*found, points, edges) if not m.all()]


def ulps(got, want):
    """The largest distance to the float64 `want`, in units of the last place of its float32."""
    assert got.dtype == np.float32
    assert got.shape == want.shape
    return (np.abs(got - want) / np.spacing(want.astype(np.float32))).max(initial=0)


def brute(mask, spacing):
    """Every foreground element against every background element."""
    at = np.indices(mask.shape).reshape(mask.ndim, -1).T * np.array(spacing[: mask.ndim])
    d = scipy.spatial.distance.cdist(at, at[~mask.ravel()]).min(axis=1, initial=np.inf)
    return d.reshape(mask.shape)


@shapes
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_against_scipy(shape, spacing, backend):
    spacing = spacing[: len(shape)]
    for mask in masks(shape):
        want = scipy.ndimage.distance_transform_edt(mask, sampling=spacing)
        got = fl.distance_transform(mask, spacing)
        # With equal spacings half an ulp, of the rounding to float32 (and what scipy's own rounding adds to it).
        assert ulps(got, want) <= (0.5 + 1e-6 if len(set(spacing)) == 1 else 1)
        if set(spacing) == {1.0}:
            assert same_bits(got, want.astype(np.float32))
            assert same_bits(fl.distance_transform(mask), got)


@shapes
def test_the_backends_are_equal(shape):
    for mask, spacing in itertools.product(masks(shape), SPACINGS):
        results = []
        for name in ("native", "numpy"):
            with fl.backend(name):
                results.append(fl.distance_transform(mask, spacing[: len(shape)]))
        if len(set(spacing)) == 1:
            assert same_bits(*results)
        else:
            assert ulps(results[0], results[1].astype(np.float64)) <= 1


@shapes
def test_no_background_is_inf(shape, backend):
    assert (fl.distance_transform(np.ones(shape, bool)) == np.inf).all()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3), (0, 0, 0)], ids=str)
def test_nothing(shape, backend):
    empty = np.zeros(shape, np.uint8)
    for function in (fl.distance_transform, fl.signed_distance):
        got = function(empty)
        assert (got.shape, got.dtype) == (shape, np.float32)
    assert fl.hausdorff_distance(empty, empty) == 0


def test_squares_are_exact_to_the_end_of_float32(backend):
    mask = np.ones((4095, 3), bool)  # 4094^2 + 2^2 < 2^24
    mask[0, 0] = False
    want = np.add.outer(np.arange(4095.0) ** 2, np.arange(3.0) ** 2)
    assert same_bits(fl.distance_transform(mask), np.sqrt(want).astype(np.float32))


@pytest.mark.extended
def test_long_distances_are_within_an_ulp(backend):
    """Squares past 2^24 are rounded between the second and the third axis."""
    mask = np.ones((3, 9001, 2), bool)
    mask[0, 0, 0] = False
    want = np.sqrt(sum(i.astype(float) ** 2 for i in np.indices(mask.shape)))
    assert ulps(fl.distance_transform(mask), want) <= 1


@pytest.mark.parametrize("spacing", [1e-30, 1e30, 1e-44, 1e60])
def test_extreme_spacings(spacing, backend):
    mask = masks((30, 20))[3]
    want = fl.distance_transform(mask).astype(np.float64) * spacing
    with np.errstate(over="ignore"):
        want = want.astype(np.float32)
    np.testing.assert_allclose(fl.distance_transform(mask, spacing), want, rtol=2e-7, atol=1.5e-45)


@pytest.mark.parametrize("spacing", [(1, 1e-300), (1e-300, 1), (1e-200, 1e30)], ids=str)
def test_spacings_that_have_nothing_in_common(spacing, backend):
    """The lesser vanishes next to the greater, and its square is 0; along its own axis it is still a distance."""
    mask = np.ones((7, 60), bool)
    mask[3, 50] = False
    steps = [np.abs(i - at) for i, at in zip(np.indices(mask.shape), (3, 50), strict=True)]
    with np.errstate(over="ignore"):
        want = np.maximum(*(s * float(k) for s, k in zip(steps, spacing, strict=True))).astype(np.float32)
    np.testing.assert_array_equal(fl.distance_transform(mask, spacing), want)


# ---- dtypes, layouts, threads


@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(500,), (70, 45), (18, 20, 47)], ids=str)
def test_dtypes_and_layouts(dtype, layout, shape, backend):
    mask = masks(shape)[2]
    values = mask.astype(dtype)
    if dtype.kind in "iu":
        values[mask] = np.iinfo(dtype).max  # its low bytes, and its sign, must not decide
        values[values.shape[0] // 2 :][mask[values.shape[0] // 2 :]] = np.array(256 % np.iinfo(dtype).max or 1, dtype)
    spacing = SPACINGS[2][: len(shape)]
    assert same_bits(fl.distance_transform(layout(values), spacing), fl.distance_transform(mask, spacing))


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))), ids=str)
def test_any_order_of_axes_in_memory(axes, backend):
    mask = masks((21, 34, 43))[3]
    view = mask.transpose(axes).copy().transpose(np.argsort(axes))
    assert same_bits(fl.distance_transform(view), fl.distance_transform(mask))


@pytest.mark.parametrize("shape", [(3_000_000,), (900, 700), (70, 120, 90), (2, 300_000), (300_000, 2)], ids=str)
def test_any_number_of_threads_gives_the_same_bits(shape):
    mask = np.random.default_rng(0).random(shape) < 0.95
    mask[shape[0] // 2 :] = True  # also long distances
    results = []
    for n in (1, 2, 3, 8):
        with fl.num_threads(n):
            results.append(fl.distance_transform(mask, SPACINGS[3][: len(shape)]))
    assert all(same_bits(r, results[0]) for r in results)


def test_a_broadcast_mask(backend):
    row = masks((50,))[2]
    assert same_bits(
        fl.distance_transform(np.broadcast_to(row, (30, 50))), np.tile(fl.distance_transform(row), (30, 1))
    )


def test_true_is_any_byte_but_zero(backend):
    mask = masks((30, 41))[2]
    odd = (mask * np.uint8(2)).view(bool)
    assert same_bits(fl.distance_transform(odd), fl.distance_transform(mask))
    assert same_bits(distance_to(odd, 1, False, (1.0, 1.0)), fl.distance_transform(mask))


def test_lists_and_tensors(backend):
    torch = pytest.importorskip("torch")
    want = np.array([[0, 1, 2]], np.float32)
    assert same_bits(fl.distance_transform([[0, 1, 5]]), want)
    assert same_bits(fl.distance_transform(torch.tensor([[0, 1, 5]])), want)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=3),
    st.sampled_from(LABEL_DTYPES),
    st.sampled_from([0.1, 0.5, 0.9, 0.98]),
    st.lists(st.floats(0.01, 100), min_size=3, max_size=3),
    st.integers(0, 99),
    st.data(),
)
def test_against_brute_force(shape, dtype, density, spacing, seed, data):
    mask = np.random.default_rng(seed).random(shape) < density
    values = data.draw(strided(mask.astype(dtype)))
    want = brute(mask, spacing)
    for name in ("native", "numpy"):
        with fl.backend(name):
            got = fl.distance_transform(values, spacing[: len(shape)])
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
        assert ulps(np.where(np.isinf(got), 0, got), np.where(np.isinf(want), 0, want)) <= 1


# ---- classes of labels


@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=str)
@pytest.mark.parametrize("inverted", [False, True])
def test_a_class_of_labels(dtype, inverted, backend):
    labels = np.random.default_rng(0).integers(0, 2 if dtype.kind == "b" else 4, (40, 53)).astype(dtype)
    limits = (-1, 2) if dtype.kind == "b" else (np.iinfo(dtype).min - 1, np.iinfo(dtype).max + 1)
    for k in (0, 1, 3, *limits, *(n + s for n, s in zip(limits, (1, -1), strict=True))):
        mask = (labels == k) ^ inverted
        out = np.full(labels.shape, np.nan, np.float32)
        got = distance_to(labels, k, inverted, (2.0, 1.0), out)
        assert got is out
        assert same_bits(got, fl.distance_transform(mask, (2.0, 1.0)))
        assert same_bits(
            distance_to(labels[::-1, ::2], k, inverted, (2.0, 1.0))[::-1],
            fl.distance_transform(mask[:, ::2], (2.0, 1.0)),
        )
        assert same_bits(signed_distance_to(labels, k, inverted, (2.0, 1.0), out), fl.signed_distance(mask, (2.0, 1.0)))


# ---- the signed distance


@shapes
def test_signed_distance(shape, backend):
    spacing = SPACINGS[2][: len(shape)]
    for mask in masks(shape):
        got = fl.signed_distance(mask, spacing)
        if mask.any():
            want = fl.distance_transform(~mask, spacing) - fl.distance_transform(mask, spacing)
            assert same_bits(got, want)
            assert same_bits(fl.signed_distance(~mask, spacing), -want)
            assert ((got < 0) == mask).all()
            assert (got != 0).all()
        else:
            assert same_bits(got, np.zeros(shape, np.float32))
    assert same_bits(fl.signed_distance(np.ones(shape, int)), np.zeros(shape, np.float32))


# ---- the Hausdorff distance


def boundary(mask, spacing):
    """Positions of foreground pixels with a face neighbour that is background or outside, one by one."""
    padded = np.pad(mask, 1)
    found = []
    for at in np.argwhere(mask):
        around = [at + 1 + s * np.eye(mask.ndim, dtype=int)[k] for k in range(mask.ndim) for s in (-1, 1)]
        if not all(padded[tuple(n)] for n in around):
            found.append(at * np.array(spacing))
    return np.array(found)


def pairs(shape):
    some = [m for m in masks(shape) + masks(shape, 1) if m.any()][::2]
    return list(itertools.product(some, some))


@pytest.mark.extended
@pytest.mark.parametrize("shape", [(60,), (17, 23), (1, 30), (6, 7, 8)], ids=str)
@pytest.mark.parametrize("percentile", [0, 50, 95, 100])
def test_hausdorff_distance_is_its_definition(shape, percentile, backend):
    spacing = SPACINGS[2][: len(shape)]
    for a, b in pairs(shape):
        d = scipy.spatial.distance.cdist(boundary(a, spacing), boundary(b, spacing))
        want = max(np.percentile(d.min(axis=1), percentile), np.percentile(d.min(axis=0), percentile))
        got = fl.hausdorff_distance(a, b, percentile, spacing)
        assert isinstance(got, float)
        assert got == pytest.approx(want, rel=2e-7)  # the distances are float32
        if percentile == 100:
            points = boundary(a, spacing), boundary(b, spacing)
            directed = scipy.spatial.distance.directed_hausdorff
            assert got == pytest.approx(max(directed(*points)[0], directed(*points[::-1])[0]), rel=2e-7)


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's, of MONAI
@pytest.mark.parametrize("percentile", [95, 100])
@pytest.mark.parametrize("shape", [(40, 30), (12, 20, 16)], ids=str)
def test_hausdorff_distance_is_monai_s(shape, percentile, backend):
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    spacing = [3.0, 1.0, 0.5][: len(shape)]
    for a, b in pairs(shape):
        want = metrics.compute_hausdorff_distance(
            *(torch.from_numpy(m[None, None].astype(np.float32)) for m in (a, b)),
            include_background=True,
            percentile=percentile,
            spacing=spacing,
        )
        # MONAI interpolates between float32 distances, at a rank that is also a float32.
        assert fl.hausdorff_distance(a, b, percentile, spacing) == pytest.approx(float(want), rel=1e-5)


@pytest.mark.extended
@pytest.mark.parametrize("shape", [(17, 23), (6, 7, 8)], ids=str)
def test_hausdorff_distance_is_medpy_s(shape, backend):
    """The maximum is the same. Of HD95, MedPy takes the percentile over both directions' distances together."""
    medpy = pytest.importorskip("medpy.metric", reason="make test-all installs it: pip install --no-deps MedPy==0.5.2")
    spacing = [3.0, 1.0, 0.5][: len(shape)]
    for a, b in pairs(shape):
        # Our distances are float32.
        assert fl.hausdorff_distance(a, b, spacing=spacing) == pytest.approx(medpy.hd(a, b, spacing), rel=2e-7)
        d = scipy.spatial.distance.cdist(boundary(a, spacing), boundary(b, spacing))
        pooled = np.percentile(np.concatenate([d.min(axis=1), d.min(axis=0)]), 95)
        assert medpy.hd95(a, b, spacing) == pytest.approx(pooled, rel=1e-12)


@pytest.mark.extended
def test_hd95_and_medpy_s_by_hand(backend):
    """A square of 20 x 20 with a line of 12 pixels attached: the 76 boundary pixels of the plain square are within 1 of
    the other boundary, whose 87 are within 0, 1, ..., 12 of the square's. The 95th percentile is 7.7 of those 87, and
    3.9 of all 163."""
    medpy = pytest.importorskip("medpy.metric")
    a = np.zeros((64, 64), bool)
    a[20:40, 20:40] = True
    b = a.copy()
    b[30, 40:52] = True
    assert fl.hausdorff_distance(a, b) == medpy.hd(a, b) == 12
    assert fl.hausdorff_distance(a, b, 95) == pytest.approx(7.7, rel=1e-12)
    assert medpy.hd95(a, b) == pytest.approx(3.9, rel=1e-12)


@pytest.mark.extended
def test_medpy_refuses_empty_masks():
    medpy = pytest.importorskip("medpy.metric")
    empty, full = np.zeros((4, 5), bool), np.ones((4, 5), bool)
    for a, b in [(empty, empty), (empty, full), (full, empty)]:
        with pytest.raises(RuntimeError, match="does not contain any binary object"):
            medpy.hd95(a, b)


def test_hausdorff_distance_of_empty_masks(backend):
    empty, full = np.zeros((4, 5), bool), np.ones((4, 5), np.int16)
    assert fl.hausdorff_distance(empty, empty) == 0
    assert fl.hausdorff_distance(empty, full) == np.inf
    assert fl.hausdorff_distance(full, empty, 95) == np.inf
    assert fl.hausdorff_distance(full, full) == 0


def test_hausdorff_distance_is_a_metric_and_grows_with_the_percentile(backend):
    found = [m for m in masks((40, 50)) + masks((40, 50), 1) if m.any()]
    h = np.array([[fl.hausdorff_distance(a, b) for b in found] for a in found])
    assert (h == h.T).all()
    assert (h.diagonal() == 0).all()
    assert (h[:, None, :] <= h[:, :, None] + h[None] + 1e-5).all()  # float32 distances
    for a, b in itertools.pairwise(found):
        by_percentile = [fl.hausdorff_distance(a, b, p) for p in (0, 50, 95, 100)]
        assert by_percentile == sorted(by_percentile)


def test_hausdorff_distance_of_shifted_squares_by_hand(backend):
    a, b = np.zeros((2, 20, 20), np.uint8)
    a[3:8, 3:8] = 1
    b[6:11, 7:12] = 1
    assert fl.hausdorff_distance(a, b) == 5
    assert fl.hausdorff_distance(a, b, spacing=0.5) == 2.5
    assert fl.hausdorff_distance(a, b, spacing=(4, 3)) == pytest.approx(np.hypot(4 * 3, 3 * 4), rel=1e-7)
