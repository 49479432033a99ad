"""Tests that an image read by windows has the value of the whole array, and that errors name the place in the file."""

import inspect
import re
import time

import numpy as np
import pytest
from formats import FLAT, VOLUMES
from writing import AFFINE, blobs, folders, logits, save_nii, softmax

import fastloss as fl
from fastloss import _windows
from fastloss.archive.images import Reading, open_image
from fastloss.archive.look import expects
from fastloss.archive.meaning import Meaning
from fastloss.cli.expression import TAKEN
from fastloss.files.errors import FileError
from fastloss.files.pairing import pair_files

tifffile = pytest.importorskip("tifffile")

SHAPE, CLASSES = (83, 100), 3
TOLERANCE = {np.float32: 1e-7, np.float64: 1e-12}
"""The kernels add some pixels of float32 in float32 before they add in float64, and windows cut these groups."""

SMALL = 6000  # bytes: a window of a few tiles


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    monkeypatch.setattr(_windows, "WINDOW_BYTES", SMALL)


def windows(prediction, mask, **meaning):
    """Return the number of windows in which a pair is read."""
    (pair,) = pair_files(prediction, mask).pairs
    image = open_image(pair, Reading(meaning=Meaning(**meaning)), whole=False)
    image.stack.close()
    return len(image.windows)


def near(report, expected, rtol=1e-7, by_class=True):
    """Compare two reports. With labels, element-wise losses have values per class, and with a dense target none."""
    for name in expected:
        pairs = [(report[name], expected[name]), (report.per_image[name], expected.per_image[name])]
        pairs += [(report.per_class[name], expected.per_class[name])] if by_class else []
        for found, wanted in pairs:
            np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol / 100, err_msg=name)


def variants(one_channel):
    """Return every loss that the command line takes, also pooled and as sums."""
    found = {}
    for name, make in TAKEN.items():
        loss = make()
        options = inspect.signature(make).parameters
        if one_channel and not getattr(loss, "takes_binary", True):
            continue
        if not one_channel and any(leaf.kind == "element" for _, leaf in loss.summands()):
            continue
        own = {"activation": "sigmoid"} if one_channel and "activation" in options else {}
        own |= {"per_image": True} if "per_image" in options else {}
        found[name] = own
        found |= {
            f"{name}, {k}={v}": own | {k: v} for k, v in {"batch": True, "reduction": "sum"}.items() if k in options
        }
    return {name: TAKEN[name.partition(",")[0]](**options) for name, options in found.items()}


def by_windows(losses):
    return {name: loss for name, loss in losses.items() if loss.weight_maker() is None}


def kinds(losses):
    """Group losses by what they expect: logits, probabilities or log-probabilities."""
    groups = {}
    for name, loss in losses.items():
        ((_, leaf), *_) = loss.summands()
        groups.setdefault(expects(leaf), {})[name] = loss
    return groups


def save_pair(folder, form, scores, labels):
    form.prediction(folder / f"x{form.suffix}", scores, AFFINE)
    form.mask(folder / f"y{form.suffix}", labels, AFFINE)
    return folder / f"x{form.suffix}", folder / f"y{form.suffix}"


@pytest.mark.parametrize("name", ["tif-tiles", "tif-lzw", "geotiff-tiles", "zarr2", "h5"])
@pytest.mark.parametrize("one_channel", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_loss(tmp_path, name, one_channel, dtype):
    """All losses that need no whole image are computed from windows, the others from the whole array."""
    form = FLAT["npy"] if name == "h5" else FLAT[name]
    labels = blobs(SHAPE, 2 if one_channel else CLASSES)
    scores = logits(labels, CLASSES, dtype=dtype)[: 1 if one_channel else CLASSES]
    every = variants(one_channel)
    probabilities = (1 / (1 + np.exp(-scores)) if one_channel else softmax(scores)).astype(dtype)
    values_of = {"probabilities": probabilities, "log-probabilities": np.log(probabilities)}
    for kind, losses in kinds(every).items():
        values = values_of.get(kind, scores)
        if name == "h5":
            h5py = pytest.importorskip("h5py")
            files = tmp_path / "x.h5", tmp_path / "y.npy"
            with h5py.File(files[0], "w") as file:
                file.create_dataset("only", data=values, chunks=(1, 16, 32), compression="gzip")
            np.save(files[1], labels)
        else:
            files = save_pair(tmp_path, form, values, labels)
        assert windows(*files) > 5
        target = labels[None]
        for part in (by_windows(losses), losses):
            if part:
                report = fl.evaluate_files(part, *files)
                elements = {k: v for k, v in part.items() if v.kind == "element"}
                pixels = {k: v for k, v in part.items() if v.kind != "element"}
                if elements:
                    dense = target[:, None].astype(values.dtype)
                    near(report, fl.evaluate(elements, values[None], dense), TOLERANCE[dtype], by_class=False)
                if pixels:
                    spacing = report.spacings[0]
                    near(report, fl.evaluate(pixels, values[None], target, spacing=spacing), TOLERANCE[dtype])


LOSSES = {
    "dice": fl.DiceLoss(),
    "pooled": fl.DiceLoss(batch=True),
    "generalized": fl.GeneralizedDiceLoss(),
    "ce": fl.CrossEntropyLoss(class_weight=[1.0, 2.0, 0.5]),
    "focal": fl.FocalLoss(),
}


@pytest.mark.parametrize("form", [FLAT["tif-tiles"], FLAT["geotiff-tiles"], FLAT["zarr2"]], ids=["tif", "geo", "zarr"])
@pytest.mark.parametrize("ignored", [255, (255, 7)])
def test_ignored_labels(tmp_path, form, ignored):
    labels = blobs(SHAPE, CLASSES)
    scores = logits(labels, CLASSES, dtype=np.float64)
    rng = np.random.default_rng(0)
    labels[rng.random(SHAPE) < 0.2] = 255
    labels[30:50, 40:90] = 255  # some windows have no pixel that counts
    if ignored != 255:
        labels[rng.random(SHAPE) < 0.1] = 7
    files = save_pair(tmp_path, form, scores, labels)
    report = fl.evaluate_files(LOSSES, *files, ignore_index=ignored)
    near(report, fl.evaluate(LOSSES, scores[None], labels[None], ignore_index=ignored), 1e-12)
    assert report.notes == ()


@pytest.mark.parametrize("nodata", [-9999.0, np.nan])
def test_pixels_without_data_do_not_count(tmp_path, nodata):
    """In the mask and in the prediction of a GeoTIFF, where all channels hold the value."""
    rasterio = pytest.importorskip("rasterio")
    labels = blobs(SHAPE, CLASSES)
    scores = logits(labels, CLASSES, dtype=np.float64)
    rng = np.random.default_rng(0)
    empty, hidden = rng.random(SHAPE) < 0.1, rng.random(SHAPE) < 0.2
    empty[:20, :40] = True
    scores[:, empty] = nodata
    stored = np.where(hidden, 200, labels).astype(np.uint8)
    options = {
        "driver": "GTiff",
        "height": SHAPE[0],
        "width": SHAPE[1],
        "tiled": True,
        "blockxsize": 16,
        "blockysize": 16,
        "transform": rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6),
    }
    with rasterio.open(tmp_path / "x.tif", "w", count=3, dtype="float64", nodata=nodata, **options) as file:
        file.write(scores)
    with rasterio.open(tmp_path / "y.tif", "w", count=1, dtype="uint8", nodata=200, **options) as file:
        file.write(stored[None])
    report = fl.evaluate_files(LOSSES, tmp_path / "x.tif", tmp_path / "y.tif")
    target = np.where(empty | hidden, -100, labels.astype(np.int16))
    near(report, fl.evaluate(LOSSES, np.where(empty, 0, scores)[None], target[None]), 1e-12)
    assert sorted(report.notes) == [
        "label 200 means no data in the mask's header; its pixels are left out",
        f"x ({empty.sum()}): pixels without data in the prediction are left out",
    ]


def test_a_class_that_the_header_calls_no_data(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    labels = blobs(SHAPE, CLASSES)
    scores = logits(labels, CLASSES)
    np.save(tmp_path / "x.npy", scores)
    options = {"driver": "GTiff", "height": SHAPE[0], "width": SHAPE[1], "count": 1, "dtype": "uint8"}
    options["transform"] = rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6)
    with rasterio.open(tmp_path / "y.tif", "w", nodata=0, **options) as file:
        file.write(labels[None])
    files = tmp_path / "x.npy", tmp_path / "y.tif"
    with pytest.raises(FileError, match="give `nodata=ignore` to leave these pixels out, or `nodata=label` to count"):
        fl.evaluate_files(LOSSES, *files)
    arrays = scores[None], labels[None]
    near(fl.evaluate_files(LOSSES, *files, nodata="label"), fl.evaluate(LOSSES, *arrays))
    near(fl.evaluate_files(LOSSES, *files, nodata="ignore"), fl.evaluate(LOSSES, *arrays, ignore_index=0))


@pytest.mark.parametrize("name", ["zarr3", "ome-zarr3", "tif-tiles", "h5-gzip"])
def test_volumes_with_masks_in_another_order(tmp_path, name):
    form = VOLUMES[name]
    labels = blobs((12, 17, 40), CLASSES)
    scores = logits(labels, CLASSES, dtype=np.float64)
    form.prediction(tmp_path / f"x{form.suffix}", scores, AFFINE)
    save_nii(tmp_path / "y.nii.gz", labels, AFFINE)
    files = tmp_path / f"x{form.suffix}", tmp_path / "y.nii.gz"
    report = fl.evaluate_files(LOSSES, *files, **dict(form.options))
    near(report, fl.evaluate(LOSSES, scores[None], labels[None]), 1e-12)


# ---- threads


@pytest.mark.parametrize("form", [FLAT["tif-tiles"], FLAT["geotiff-tiles"], FLAT["zarr2"]], ids=["tif", "geo", "zarr"])
def test_the_number_of_threads_does_not_change_a_bit(tmp_path, form):
    predictions, masks = folders(tmp_path, "p", "m")
    for at in range(4):
        labels = blobs((40 + at, 70), CLASSES, at)
        form.prediction(predictions / f"{at}{form.suffix}", logits(labels, CLASSES, at), AFFINE)
        form.mask(masks / f"{at}{form.suffix}", labels, AFFINE)
    reports = [fl.evaluate_files(LOSSES, predictions, masks, read_threads=n) for n in (1, 2, 5)]
    for report in reports[1:]:
        for name in LOSSES:
            assert report[name] == reports[0][name]
            np.testing.assert_array_equal(report.per_image[name], reports[0].per_image[name])
            np.testing.assert_array_equal(report.per_class[name], reports[0].per_class[name])


# ---- label maps as predictions


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".nii.gz"])
def test_label_maps_of_many_classes(tmp_path, suffix):
    """One-hot arrays are made window by window: the whole would have 200 channels."""
    classes, shape = 200, (60, 50, 4) if suffix == ".nii.gz" else (60, 50)
    rng = np.random.default_rng(3)
    labels = rng.integers(0, classes, shape).astype(np.uint8)
    predicted = np.where(rng.random(shape) < 0.7, labels, rng.integers(0, classes, shape)).astype(np.uint8)
    for name, array in (("x", predicted), ("y", labels)):
        if suffix == ".npy":
            np.save(tmp_path / f"{name}.npy", array)
        elif suffix == ".tif":
            tifffile.imwrite(tmp_path / f"{name}.tif", array, tile=(16, 16))
        else:
            save_nii(tmp_path / f"{name}.nii.gz", array, AFFINE)
    files = tmp_path / f"x{suffix}", tmp_path / f"y{suffix}"
    assert windows(*files, num_classes=classes) > 10
    losses = {"dice": fl.DiceLoss(), "pooled": fl.DiceLoss(batch=True)}
    report = fl.evaluate_files(losses, *files, num_classes=classes)
    both = np.bincount(labels[labels == predicted], minlength=classes)
    sizes = np.bincount(labels.ravel(), minlength=classes) + np.bincount(predicted.ravel(), minlength=classes)
    np.testing.assert_allclose(report.per_class["dice"], 1 - 2 * both / sizes, atol=1e-6)
    one_hot = (predicted[None] == np.arange(classes).reshape(-1, *[1] * predicted.ndim)).astype(np.float32)
    plain = {name: type(loss)(activation=None, batch=loss.batch) for name, loss in losses.items()}
    near(report, fl.evaluate(plain, one_hot[None], labels[None]))


# ---- errors


@pytest.mark.parametrize("form", [FLAT["tif-tiles"], FLAT["geotiff-tiles"], FLAT["zarr2"], FLAT["npy"]],
                         ids=["tif", "geo", "zarr", "npy"])  # fmt: skip
@pytest.mark.parametrize("place", [(0, 0), (82, 99), (41, 66)])
def test_a_wrong_label_in_a_later_window(tmp_path, form, place):
    labels = blobs(SHAPE, CLASSES)
    scores = logits(labels, CLASSES)
    labels[place] = 9
    files = save_pair(tmp_path, form, scores, labels)
    with pytest.raises(FileError) as caught:
        fl.evaluate_files(LOSSES, *files)
    assert f"{files[1]}: expected labels in 0..2, got 9 at {place}; " in str(caught.value)


PLACES = [(3, 4, 5), (11, 0, 39), (0, 16, 20)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("regions", [None, "a=1,b=1+2,c=2"])
def test_a_wrong_label_of_a_permuted_mask(tmp_path, place, regions):
    """The place is that in the file, whatever its order of axes is."""
    labels = blobs((12, 17, 40), CLASSES)
    scores = logits(labels, CLASSES)
    VOLUMES["zarr3"].prediction(tmp_path / "x.zarr", scores, AFFINE)
    labels[place] = 9
    save_nii(tmp_path / "y.nii", labels, AFFINE)
    with pytest.raises(FileError) as caught:
        fl.evaluate_files({"dice": fl.DiceLoss()}, tmp_path / "x.zarr", tmp_path / "y.nii", regions=regions)
    assert f"got 9 at {place[::-1]}; " in str(caught.value)


@pytest.mark.parametrize("form", [".nii.gz", ".tif"])
@pytest.mark.parametrize("kind", ["classes", "regions", "floats"])
def test_a_wrong_label_of_a_flipped_mask(tmp_path, form, kind):
    if form == ".tif":
        rasterio = pytest.importorskip("rasterio")
        labels, place = blobs(SHAPE, CLASSES), (70, 33)
        FLAT["geotiff-tiles"].prediction(tmp_path / "x.tif", logits(labels, CLASSES), None)
        values = labels.astype(np.float32 if kind == "floats" else np.uint8)[::-1].copy()
        values[place] = 0.75 if kind == "floats" else 9
        with rasterio.open(
            tmp_path / "y.tif", "w", driver="GTiff", count=1, height=83, width=100, dtype=values.dtype, tiled=True,
            blockxsize=16, blockysize=16, crs="EPSG:32632", transform=rasterio.Affine(0.5, 0, 4e5, 0, 0.5, 5e6 - 41.5),
        ) as file:  # fmt: skip
            file.write(values[None])
        files = tmp_path / "x.tif", tmp_path / "y.tif"
        options = {}
    else:
        labels, place = blobs((12, 17, 40), CLASSES), (30, 2, 7)  # (x, y, z) in the file
        save_nii(tmp_path / "x.nii", logits(labels, CLASSES), AFFINE)
        values = labels[:, ::-1].astype(np.float32 if kind == "floats" else np.uint8)
        values[place[::-1]] = 0.75 if kind == "floats" else 9
        affine = AFFINE @ np.diag([1, -1, 1, 1.0])
        affine[:3, 3] += 16 * AFFINE[:3, 1]
        save_nii(tmp_path / "y.nii.gz", values, affine)
        files = tmp_path / "x.nii", tmp_path / "y.nii.gz"
        options = {"axis": -1}
    regions = "a=1,b=1+2,c=2" if kind == "regions" else None
    with pytest.raises(FileError) as caught:
        fl.evaluate_files({"dice": fl.DiceLoss()}, *files, regions=regions, **options)
    assert re.search(rf"y{re.escape(form)}: .*got (9|0\.75) at {re.escape(str(place))}", str(caught.value))


def test_a_wrong_predicted_label_in_a_later_window(tmp_path):
    labels = blobs(SHAPE, CLASSES)
    predicted = labels.copy()
    predicted[55, 44] = 3
    tifffile.imwrite(tmp_path / "x.tif", predicted, tile=(16, 16))
    np.save(tmp_path / "y.npy", labels)
    files = tmp_path / "x.tif", tmp_path / "y.npy"
    with pytest.raises(FileError, match=r"x\.tif: expected predicted labels in 0\.\.2, got 3 at \(55, 44\)"):
        fl.evaluate_files({"dice": fl.DiceLoss()}, *files, num_classes=CLASSES)
    labels[55, 44] = 255  # a pixel that does not count may have any prediction
    np.save(tmp_path / "y.npy", labels)
    report = fl.evaluate_files({"dice": fl.DiceLoss()}, *files, num_classes=CLASSES, ignore_index=255)
    assert report["dice"] == pytest.approx(0, abs=1e-6)


def test_pixels_without_data_are_counted_in_all_threads(tmp_path, monkeypatch):
    rasterio = pytest.importorskip("rasterio")
    count = np.count_nonzero

    def slow(values):  # the other threads count meanwhile
        time.sleep(0.002)
        return count(values)

    monkeypatch.setattr(np, "count_nonzero", slow)
    scores = np.full((2, 128, 128), -1.0, np.float32)
    scores[:, ::2] = 0.5
    options = {"driver": "GTiff", "height": 128, "width": 128, "tiled": True, "blockxsize": 16, "blockysize": 16}
    options["transform"] = rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6)
    with rasterio.open(tmp_path / "x.tif", "w", count=2, dtype="float32", nodata=-1, **options) as file:
        file.write(scores)
    np.save(tmp_path / "y.npy", np.zeros((128, 128), np.uint8))
    dice = {"dice": fl.DiceLoss()}
    report = fl.evaluate_files(dice, tmp_path / "x.tif", tmp_path / "y.npy", read_threads=5)
    assert [note for note in report.notes if "without data" in note] == [
        f"x ({scores[0].size // 2}): pixels without data in the prediction are left out"
    ]
