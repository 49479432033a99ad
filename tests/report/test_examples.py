"""Tests the pictures of the worst images: they hold the loss, the classes and the picture of the very pixels."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

import fastloss as fl
from fastloss.archive import examples
from fastloss.archive.blocks import Blocks
from fastloss.archive.pictures import find_pictures
from fastloss.files.errors import FileError
from fastloss.report.examples import NO_CLASS, NOT_COUNTED

RNG = np.random.default_rng(20)
CE = {"ce": fl.CrossEntropyLoss()}


def save(folder, name, prediction, target):
    for sub, array in (("p", prediction), ("m", target)):
        (folder / sub).mkdir(exist_ok=True)
        np.save(folder / sub / f"{name}.npy", array)


def shown(folder, losses, **options):
    report = fl.evaluate_files(losses, folder / "p", folder / "m", **{"examples": 5} | options)
    return report, report.examples


def labels(classes, *shape):
    return RNG.integers(0, classes, shape)


@pytest.mark.parametrize("shape", [(7,), (5, 8), (4, 5, 6)])
@pytest.mark.parametrize("step", [1, 2, 3, 9])
def test_blocks_are_those_of_the_whole_array_whatever_the_windows(shape, step):
    values = RNG.standard_normal(shape)
    blocks = Blocks(shape, step)
    largest, sums, middles = (np.full(blocks.shape, start) for start in (-np.inf, 0.0, np.nan))
    cuts = [[slice(0, 1), slice(1, n - 1), slice(n - 1, n)] for n in shape]
    for window in itertools.product(*cuts):
        blocks.combine(largest, values[window], window, np.maximum)
        blocks.combine(sums, values[window], window, np.add)
        blocks.take(middles, values[window], window)
    for place in np.ndindex(*blocks.shape):
        block = tuple(slice(k * step, (k + 1) * step) for k in place)
        middle = tuple(min(k * step + step // 2, n - 1) for k, n in zip(place, shape, strict=True))
        assert largest[place] == values[block].max()
        assert sums[place] == pytest.approx(values[block].sum(), rel=1e-12, abs=1e-12)
        assert middles[place] == values[middle]


@pytest.mark.parametrize("dense", [False, True])
def test_the_maps_are_those_of_the_loss(tmp_path, backend, dense):
    x, y = RNG.standard_normal((4, 9, 11)).astype(np.float32), labels(4, 9, 11)
    if not dense:
        y[0, :3] = 255
    target = fl.one_hot(y, 4, axis=0) if dense else y
    save(tmp_path, "a", x, target)
    options = {"axis": 0} if dense else {"ignore_index": 255}
    _, (example,) = shown(tmp_path, CE, **options)
    (plane,) = example.planes
    if dense:
        np.testing.assert_array_equal(plane.loss, fl.cross_entropy(x[None], target[None], reduction="none")[0])
        return
    expected = fl.cross_entropy(x[None], y[None], ignore_index=255, reduction="none")[0]
    counted = y != 255
    np.testing.assert_array_equal(plane.loss, np.where(counted, expected, np.nan))
    np.testing.assert_array_equal(plane.target, np.where(counted, y, NOT_COUNTED))
    np.testing.assert_array_equal(plane.prediction, x.argmax(0))
    assert (plane.step, plane.title, plane.aspect, plane.picture) == (1, "", 1.0, None)
    assert example.loss == "CrossEntropyLoss(ignore_index=255)"


def test_a_large_image_keeps_the_largest_loss_and_the_class_in_the_middle(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "SIDES", (4, 4))
    x, y = RNG.standard_normal((3, 10, 6)), labels(3, 10, 6)
    save(tmp_path, "a", x, y)
    plane = shown(tmp_path, CE)[1][0].planes[0]
    full = fl.cross_entropy(x[None], y[None], reduction="none")[0]
    assert plane.step == 3
    assert plane.loss.shape == (4, 2)
    assert plane.loss[1, 1] == np.float32(full[3:6, 3:6].max())
    assert plane.target[1, 1] == y[4, 4]
    assert plane.prediction[3, 0] == x[:, 9, 1].argmax()


def test_a_volume_has_the_slices_with_the_largest_loss(tmp_path):
    x, y = np.zeros((2, 5, 6, 7)), np.zeros((5, 6, 7), int)
    x[0] = 3
    y[2, 4, 1] = 1
    save(tmp_path, "a", x, y)
    planes = shown(tmp_path, CE)[1][0].planes
    assert [plane.title for plane in planes] == ["axis 0 = 2", "axis 1 = 4", "axis 2 = 1"]
    assert [plane.loss.shape for plane in planes] == [(6, 7), (5, 7), (5, 6)]
    assert [np.argwhere(plane.target == 1).tolist() for plane in planes] == [[[4, 1]], [[2, 1]], [[2, 4]]]
    full = fl.cross_entropy(x[None], y[None], reduction="none")[0]
    np.testing.assert_array_equal(planes[1].loss, full[:, 4].astype(np.float32))


def test_a_volume_in_the_space_of_a_patient_is_upright(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    y = np.zeros((4, 5, 6), np.uint8)
    y[1, 3, 5] = 1  # z = 5 is the head
    x = np.stack([np.ones_like(y), np.zeros_like(y)], axis=-1)
    for sub, array in (("p", x), ("m", y)):
        (tmp_path / sub).mkdir()
        image = nibabel.Nifti1Image(array.astype(np.float32), np.diag([1.0, 2.0, 3.0, 1.0]))
        nibabel.save(image, tmp_path / sub / "a.nii.gz")
    report, (example,) = shown(tmp_path, {"dice": fl.DiceLoss(activation=None)}, axis=-1)
    assert report.spacings[0] == (1.0, 2.0, 3.0)
    x_plane, y_plane, z_plane = example.planes
    assert [plane.axes for plane in example.planes] == [("z", "y"), ("z", "x"), ("y", "x")]
    assert [plane.aspect for plane in example.planes] == [3 / 2, 3.0, 2.0]
    assert all(plane.flipped for plane in example.planes)
    assert np.argwhere(y_plane.target == 1).tolist() == [[0, 1]]  # the head at the top, x to the right
    assert np.argwhere(z_plane.target == 1).tolist() == [[1, 1]]  # y = 3 of 5, counted from the top
    assert np.argwhere(x_plane.target == 1).tolist() == [[0, 3]]


def test_one_channel_and_regions_show_the_class_or_none(tmp_path):
    x, y = RNG.standard_normal((1, 6, 7)), labels(2, 6, 7)
    save(tmp_path, "a", x, y)
    plane = shown(tmp_path, {"bce": fl.BCEWithLogitsLoss()})[1][0].planes[0]
    np.testing.assert_array_equal(plane.target, np.where(y == 1, 0, NO_CLASS))
    np.testing.assert_array_equal(plane.prediction, np.where(x[0] > 0, 0, NO_CLASS))
    np.testing.assert_allclose(
        plane.loss, fl.binary_cross_entropy_with_logits(x, y[None] * 1.0, reduction="none")[0], rtol=1e-6
    )
    p = RNG.random((2, 6, 7))
    save(tmp_path, "a", p, labels(3, 6, 7))
    loss = {"bce": fl.BCELoss()}
    plane = shown(tmp_path, loss, regions="whole=1+2,core=2")[1][0].planes[0]
    y = np.load(tmp_path / "m" / "a.npy")
    np.testing.assert_array_equal(plane.target, np.where(y == 2, 1, np.where(y == 1, 0, NO_CLASS)))
    inner = np.where(p[1] > 0.5, 1, np.where(p[0] > 0.5, 0, NO_CLASS))
    np.testing.assert_array_equal(plane.prediction, inner)
    masks = np.stack([y > 0, y == 2]).astype(float)
    np.testing.assert_allclose(plane.loss, fl.binary_cross_entropy(p, masks, reduction="none").mean(0), rtol=1e-6)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_without_a_loss_per_pixel_the_map_shows_the_error_of_the_probabilities(tmp_path, activation):
    x, y = RNG.random((3, 5, 6)), labels(3, 5, 6)
    save(tmp_path, "a", x, y)
    example = shown(tmp_path, {"dice": fl.DiceLoss(activation=activation)})[1][0]
    p = fl.softmax(x, axis=0) if activation else x
    expected = 1 - np.take_along_axis(p, y[None], axis=0)[0]
    np.testing.assert_allclose(example.planes[0].loss, expected, rtol=1e-6)
    assert example.loss == "absolute error of the probabilities"


def test_label_maps_as_predictions(tmp_path):
    x, y = labels(3, 5, 6), labels(3, 5, 6)
    save(tmp_path, "a", x, y)
    plane = shown(tmp_path, {"dice": fl.DiceLoss()}, num_classes=3)[1][0].planes[0]
    np.testing.assert_array_equal(plane.prediction, x)
    np.testing.assert_array_equal(plane.loss, (x != y).astype(np.float32))


def test_the_worst_come_first_and_a_loss_without_a_number_is_infinite(tmp_path):
    y = labels(2, 4, 5)
    for k, factor in enumerate((3.0, 1.0, 2.0)):
        save(tmp_path, f"{k}", factor * fl.one_hot(1 - y, 2, axis=0), y)
    x = np.load(tmp_path / "p" / "1.npy")
    x[:, 2, 2] = np.nan
    np.save(tmp_path / "p" / "1.npy", x)
    report, found = shown(tmp_path, CE, examples=2)
    assert [one.index for one in found] == [1, 0] == report.worst(2)
    loss = found[0].planes[0].loss
    assert np.isinf(loss[2, 2])
    assert np.isfinite(loss).sum() == 19


def test_an_image_that_cannot_be_shown_states_the_reason(tmp_path):
    save(tmp_path, "a", RNG.standard_normal((2, 6)), labels(2, 6))
    example = shown(tmp_path, CE)[1][0]
    assert example.planes == ()
    assert "two or three axes" in example.note


def pictures_of(folder, shape, names=("a",)):
    image = pytest.importorskip("PIL.Image")
    (folder / "i").mkdir(exist_ok=True)
    picture = RNG.integers(0, 256, shape, np.uint8)
    for name in names:
        image.fromarray(picture).save(folder / "i" / name)
    return picture


def test_pictures_are_found_by_name_or_pattern(tmp_path):
    pictures_of(tmp_path, (4, 5), ["a.png", "b_0000.png", "c_rgb.jpg", "d_rgb.jpeg"])
    folder = tmp_path / "i"
    names = ["a", "b", "c", "d"]
    assert find_pictures(folder, names) == {"a": folder / "a.png", "b": folder / "b_0000.png"}
    assert find_pictures(folder / "{id}_rgb.jpg", names) == {"c": folder / "c_rgb.jpg"}
    assert find_pictures(f"{folder}/{{id}}_rgb.*", names) == {"c": folder / "c_rgb.jpg", "d": folder / "d_rgb.jpeg"}
    with pytest.raises(FileError, match=r"^`images=`: expected pictures named .* found none of any image"):
        find_pictures(folder, ["e"])
    with pytest.raises(FileError, match=r"^`images=`: expected a folder of pictures, got "):
        find_pictures(tmp_path / "nowhere" / "{id}.png", names)


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 3)])
def test_a_picture_is_that_of_the_file(tmp_path, shape):
    picture = pictures_of(tmp_path, shape, ["a.png"])
    save(tmp_path, "a", RNG.standard_normal((2, 6, 7)), labels(2, 6, 7))
    plane = shown(tmp_path, CE, images=tmp_path / "i")[1][0].planes[0]
    np.testing.assert_array_equal(plane.picture, picture)


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA"])
def test_a_picture_of_a_palette_or_with_transparency_is_shown_in_colours(tmp_path, mode):
    image = pytest.importorskip("PIL.Image")
    save(tmp_path, "a", RNG.standard_normal((2, 6, 7)), labels(2, 6, 7))
    (tmp_path / "i").mkdir()
    picture = image.fromarray(RNG.integers(0, 256, (6, 7, 3), np.uint8)).convert(mode)
    picture.save(tmp_path / "i" / "a.png")
    plane = shown(tmp_path, CE, images=tmp_path / "i")[1][0].planes[0]
    np.testing.assert_array_equal(plane.picture, np.asarray(picture.convert("RGB")))


def test_other_values_than_bytes_are_stretched(tmp_path):
    save(tmp_path, "a", RNG.standard_normal((2, 6, 7)), labels(2, 6, 7))
    (tmp_path / "i").mkdir()
    np.save(tmp_path / "i" / "a.npy", np.linspace(-1000, 3000, 42).reshape(6, 7))
    picture = shown(tmp_path, CE, images=tmp_path / "i")[1][0].planes[0].picture
    assert (picture.min(), picture.max(), picture.dtype) == (0, 255, np.uint8)
    assert (np.diff(picture.ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize("shape", [(5, 7), (6, 7, 2, 2)])
def test_a_picture_that_does_not_fit_is_left_out_with_the_reason(tmp_path, shape):
    save(tmp_path, "a", RNG.standard_normal((2, 6, 7)), labels(2, 6, 7))
    (tmp_path / "i").mkdir()
    np.save(tmp_path / "i" / "a.npy", np.zeros(shape))
    example = shown(tmp_path, CE, images=tmp_path / "i")[1][0]
    assert example.planes[0].picture is None
    assert "a.npy: expected" in example.note


@pytest.mark.parametrize("left", [4, 60])
def test_a_damaged_picture_is_left_out_with_the_reason(tmp_path, left):
    """One that cannot be opened, and one whose pixels cannot be read."""
    pictures_of(tmp_path, (60, 70), ["a.png"])
    save(tmp_path, "a", RNG.standard_normal((2, 60, 70)), labels(2, 60, 70))
    path = tmp_path / "i" / "a.png"
    path.write_bytes(path.read_bytes()[:left])
    example = shown(tmp_path, CE, images=tmp_path / "i")[1][0]
    assert example.planes[0].picture is None
    assert example.planes[0].loss.shape == (60, 70)
    assert "a.png: " in example.note


@pytest.mark.extended
def test_an_array_that_is_mapped_is_read_by_windows(tmp_path):
    y = np.zeros((3000, 3000), np.uint8)
    y[1000:, 2000:] = 1
    save(tmp_path, "a", np.zeros((2, 3000, 3000), np.float32), y)
    fl.evaluate_files(CE, tmp_path / "p", tmp_path / "m")
    tracemalloc.start()
    try:
        (plane,) = shown(tmp_path, CE, examples=1)[1][0].planes
        assert tracemalloc.get_traced_memory()[1] < 60 * 2**20  # the maps alone would take 108 MB
    finally:
        tracemalloc.stop()
    assert plane.step == 6
    assert (plane.loss == np.float32(np.log(2))).all()
    np.testing.assert_array_equal(plane.target, y[3::6, 3::6])


def test_options_that_do_not_fit_are_refused(tmp_path):
    save(tmp_path, "a", RNG.standard_normal((2, 6, 7)), labels(2, 6, 7))
    with pytest.raises(FileError, match=r"^`images=`: expected `examples=` with it"):
        shown(tmp_path, CE, images=tmp_path, examples=0)
    with pytest.raises(FileError, match=r"^`examples=`: expected at least 0, got -1"):
        shown(tmp_path, CE, examples=-1)
    with pytest.raises(FileError, match=r"^`images=`: expected a folder of pictures, got "):
        shown(tmp_path, CE, images=tmp_path / "nowhere")
