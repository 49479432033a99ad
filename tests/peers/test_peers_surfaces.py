"""Tests that the metrics of surfaces have the values of MONAI, MedPy, surface-distance and SimpleITK.

Each test is a row of the table in docs/metrics-surface.md. The masks are random blobs with odd spacings.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

import fastloss as fl

M = fl.metrics
pytestmark = [
    pytest.mark.extended,
    pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning"),  # MONAI's, of MONAI
]
CLOSE = 1e-5  # distances are float32, and MONAI's percentile has a rank in float32


def blob(shape, seed):
    noise = np.random.default_rng(seed).random(shape)
    smooth = scipy.ndimage.gaussian_filter(noise, 1 + seed % 2)
    return smooth > np.quantile(smooth, 0.6)


def pairs():
    """Predictions and targets with a part in common, and spacings."""
    for seed in range(6):
        shape, spacing = [((23, 31), (0.7, 2.1)), ((12, 17, 15), (3.0, 0.9, 0.55))][seed % 2]
        target = blob(shape, seed)
        yield np.roll(target, seed // 2, axis=0) & ~blob(shape, seed + 50), target, spacing


PAIRS = list(pairs())


@pytest.fixture(params=range(len(PAIRS)))
def pair(request):
    return PAIRS[request.param]


def ours(metric, pair, **options):
    prediction, target, spacing = pair
    if "spacing" in metric.__dataclass_fields__:
        options["spacing"] = spacing
    value = metric(classes=[1], **options)(prediction[None].astype(int), target[None].astype(np.uint8), num_classes=2)
    assert np.isfinite(value)
    return value


def close(value, tolerance=CLOSE):
    return pytest.approx(float(value), rel=tolerance)


# ---- MONAI


def monai_s(metric, pair, **options):
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    prediction, target, spacing = (
        torch.from_numpy(m[None, None].astype(np.float32)) if hasattr(m, "shape") else list(m) for m in pair
    )
    return getattr(metrics, metric)(include_background=True, **options)(prediction, target, spacing=spacing)


@pytest.mark.parametrize("percentile", [50, 95, 100])
def test_monai_hausdorff(pair, percentile):
    assert ours(M.HausdorffDistance, pair, percentile=percentile) == close(
        monai_s("HausdorffDistanceMetric", pair, percentile=percentile)
    )


@pytest.mark.parametrize("symmetric", [False, True])
def test_monai_surface_distance(pair, symmetric):
    want = monai_s("SurfaceDistanceMetric", pair, symmetric=symmetric)
    assert ours(M.AverageSurfaceDistance, pair, symmetric=symmetric) == close(want)


@pytest.mark.parametrize(("surface", "subvoxels"), [("border", False), ("area", True)])
@pytest.mark.parametrize("tolerance", [0.0, 0.7, 2.0])
def test_monai_surface_dice(pair, surface, subvoxels, tolerance):
    want = monai_s("SurfaceDiceMetric", pair, class_thresholds=[tolerance], use_subvoxels=subvoxels)
    assert ours(M.SurfaceDice, pair, surface=surface, tolerance=tolerance) == close(want)


@pytest.mark.filterwarnings("ignore:.*(ground truth|prediction) of class:UserWarning")
def test_monai_of_empty_masks(backend):
    """Both empty: nan, which its mean leaves out. One empty: inf, and 0 for the surface Dice."""
    empty, full, spacing = np.zeros((5, 6), bool), np.ones((5, 6), bool), (1.0, 1.0)
    cases = [
        (M.HausdorffDistance, {}, "HausdorffDistanceMetric", {}),
        (M.AverageSurfaceDistance, {}, "SurfaceDistanceMetric", {"symmetric": True}),
        (M.SurfaceDice, {"tolerance": 1.0}, "SurfaceDiceMetric", {"class_thresholds": [1.0]}),
    ]
    for metric, options, name, theirs in cases:
        for a, b in ((empty, empty), (empty, full), (full, empty)):
            got = metric(classes=[1], **options)(a[None].astype(int), b[None].astype(int), num_classes=2)
            np.testing.assert_equal(got, float(monai_s(name, (a, b, spacing), **theirs)))


# ---- MedPy


@pytest.fixture
def medpy():
    return pytest.importorskip("medpy.metric", reason="make test-all installs it: pip install --no-deps MedPy==0.5.2")


def test_medpy_s_distances(pair, medpy):
    for connectivity in range(1, pair[0].ndim + 1):
        theirs = {"voxelspacing": pair[2], "connectivity": connectivity}
        own = {"connectivity": connectivity}
        assert ours(M.HausdorffDistance, pair, **own) == close(medpy.hd(*pair[:2], **theirs))
        pooled = ours(M.HausdorffDistance, pair, percentile=95, pooled=True, **own)
        assert pooled == close(medpy.hd95(*pair[:2], **theirs))
        assert ours(M.AverageSurfaceDistance, pair, **own) == close(medpy.assd(*pair[:2], **theirs))
        one_way = ours(M.AverageSurfaceDistance, pair, symmetric=False, **own)
        assert one_way == close(medpy.asd(*pair[:2], **theirs))


def test_medpy_s_ravd(pair, medpy):
    assert ours(M.VolumeDifference, pair, signed=True) == close(medpy.ravd(*pair[:2]), 1e-12)


# ---- SimpleITK


def test_simpleitk(pair):
    sitk = pytest.importorskip("SimpleITK")
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in pair[:2]]
    for image in images:
        image.SetSpacing(pair[2][::-1])
    hausdorff, overlap = sitk.HausdorffDistanceImageFilter(), sitk.LabelOverlapMeasuresImageFilter()
    hausdorff.Execute(*images)
    overlap.Execute(*images)
    assert ours(M.HausdorffDistance, pair, surface="region") == close(hausdorff.GetHausdorffDistance())
    average = ours(M.AverageSurfaceDistance, pair, surface="region", pooled=False)
    assert average == close(hausdorff.GetAverageHausdorffDistance())
    similarity = ours(M.VolumeDifference, pair, relative_to="mean", signed=True)
    assert similarity == close(overlap.GetVolumeSimilarity(), 1e-12)


# ---- surface-distance


@pytest.fixture
def surface_distance(monkeypatch):
    """The package, with the names that NumPy 2 no longer has."""
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    for name in ("filters", "morphology"):  # scipy moved their functions to scipy.ndimage
        monkeypatch.setattr(scipy.ndimage, name, scipy.ndimage)
    return pytest.importorskip(
        "surface_distance", reason="make test-all installs it: pip install --no-deps surface-distance==0.1"
    )


def test_surface_distance(pair, surface_distance):
    prediction, target, spacing = pair
    found = surface_distance.compute_surface_distances(target, prediction, spacing)
    for percent in (0, 50, 95, 100):
        want = surface_distance.compute_robust_hausdorff(found, percent)
        assert ours(M.HausdorffDistance, pair, surface="area", percentile=percent) == close(want)
    to_prediction, to_target = surface_distance.compute_average_surface_distance(found)
    one_way = ours(M.AverageSurfaceDistance, pair, surface="area", symmetric=False)
    assert one_way == close(to_target)
    both = ours(M.AverageSurfaceDistance, pair, surface="area", pooled=False)
    assert both == close((to_target + to_prediction) / 2)
    for tolerance in (0.0, 0.7, 2.0):
        want = surface_distance.compute_surface_dice_at_tolerance(found, tolerance)
        assert ours(M.SurfaceDice, pair, surface="area", tolerance=tolerance) == close(want)


def two_points(shape, a, b):
    masks = np.zeros((2, *shape), bool)
    masks[0][a], masks[1][b] = True, True
    return masks


def two_squares():
    target, prediction = np.zeros((2, 6, 6), bool)
    target[1:3, 1:3], prediction[1:4, 1:3] = True, True
    return target, prediction


def two_cubes():
    target, prediction = np.zeros((2, 100, 100, 100), bool)
    target[:50], prediction[:51] = True, True
    return target, prediction


D = 0.5 * np.hypot(2, 1)  # the length of a cell's diagonal in the squares
# surface_distance_test.py: masks, spacing; the two average distances, Hausdorff, HD95, and surface Dice within 1 mm.
OWN_TESTS = {
    "2 pixels, 2 mm apart": (two_points((128, 128), (50, 70), (50, 72)), (2, 1), (1.5, 1.5), 2, 2, 0.5),
    "2 voxels, 2 mm apart": (two_points((128,) * 3, (50, 60, 70), (50, 60, 72)), (3, 2, 1), (1.5, 1.5), 2, 2, 0.5),
    "squares": (
        two_squares(),
        (2, 1),
        (1 / (4 * D + 6), 2 * (2 * D + 1) / (4 * D + 10)),
        2,
        2,
        1 - (2 * D + 1) / (8 * D + 16),
    ),
    "cubes": (two_cubes(), (2, 1, 1), (0.322, 0.339), 2, 2, 0.836),
}


@pytest.mark.parametrize("name", OWN_TESTS)
def test_the_values_of_surface_distance_s_own_tests(name):
    (target, prediction), spacing, averages, hausdorff, hd95, dice = OWN_TESTS[name]
    pair = prediction, target, spacing
    assert ours(M.HausdorffDistance, pair, surface="area") == hausdorff
    assert ours(M.HausdorffDistance, pair, surface="area", percentile=95) == hd95
    got = [
        ours(M.AverageSurfaceDistance, pair, surface="area", symmetric=False),
        ours(M.AverageSurfaceDistance, pair, surface="area", pooled=False),
        ours(M.SurfaceDice, pair, surface="area", tolerance=1.0),
    ]
    assert got == pytest.approx([averages[1], sum(averages) / 2, dice], abs=5e-4)  # its tests compare three places
