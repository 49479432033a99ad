"""Tests the meaning of label maps as predictions next to `labels=`, and of pixels of a prediction without data."""

import numpy as np
import pytest

import fastloss as fl

RNG = np.random.default_rng(0)
DICE = {"dice": fl.DiceLoss(activation=None)}
LABELS = RNG.integers(0, 3, (20, 24)).astype(np.uint8)


def saved(path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    ("prediction_labels", "of_class"),
    [("classes", [0, 1, 2]), ('{"7": 0, "8": 1, "9": 2}', [7, 8, 9])],
)
def test_label_maps_as_predictions_next_to_labels(tmp_path, prediction_labels, of_class):
    """The masks hold 10, 11 and 12. The predictions hold classes or labels of their own; the classes are the same."""
    (tmp_path / "masks.json").write_text('{"10": 0, "11": 1, "12": 2}', encoding="utf-8")
    if prediction_labels != "classes":
        (tmp_path / "own.json").write_text(prediction_labels, encoding="utf-8")
        prediction_labels = tmp_path / "own.json"
    guess = RNG.integers(0, 3, LABELS.shape)
    prediction = saved(tmp_path / "p.npy", np.array(of_class, np.uint8)[guess])
    mask = saved(tmp_path / "m.npy", LABELS + np.uint8(10))
    report = fl.evaluate_files(
        DICE, prediction, mask, labels=tmp_path / "masks.json", prediction_labels=prediction_labels
    )
    assert report["dice"] == fl.evaluate(DICE, fl.one_hot(guess[None], 3).astype(np.float32), LABELS[None])["dice"]
    with pytest.raises(fl.FileError, match="give `prediction_labels=classes`"):
        fl.evaluate_files(DICE, prediction, mask, labels=tmp_path / "masks.json")


def test_a_loss_cannot_ignore_labels_next_to_a_label_map(tmp_path):
    (tmp_path / "labels.json").write_text('{"0": 0, "1": 1, "2": 2, "255": null}', encoding="utf-8")
    scores = saved(tmp_path / "p.npy", RNG.standard_normal((3, 20, 24)))
    mask = saved(tmp_path / "m.npy", np.where(LABELS == 0, 255, LABELS))
    own, plain = {"ce": fl.CrossEntropyLoss(ignore_index=255)}, {"ce": fl.CrossEntropyLoss()}
    with pytest.raises(fl.FileError, match="expected no ignore_index in cross_entropy, got 255"):
        fl.evaluate_files(own, scores, mask, labels=tmp_path / "labels.json")
    mapped = fl.evaluate_files(plain, scores, mask, labels=tmp_path / "labels.json")
    assert mapped["ce"] == fl.evaluate_files(own, scores, mask)["ce"]


@pytest.mark.parametrize("nodata", [-9999.0, np.nan])
def test_pixels_of_a_prediction_without_data_do_not_count(tmp_path, nodata):
    """Also the look at the values, which refuses -9999 as a probability, leaves them out."""
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("tifffile")
    probabilities = fl.softmax(RNG.standard_normal((3, 20, 24)).astype(np.float32), axis=0)
    probabilities[:, :5] = nodata
    place = rasterio.Affine(10, 0, 5000, 0, -10, 6000)
    sizes = {"driver": "GTiff", "count": 3, "height": 20, "width": 24, "dtype": "float32"}
    with rasterio.open(tmp_path / "p.tif", "w", **sizes, transform=place, nodata=nodata) as file:
        file.write(probabilities)
    report = fl.evaluate_files(DICE, tmp_path / "p.tif", saved(tmp_path / "m.npy", LABELS))
    assert report["dice"] == fl.evaluate(DICE, probabilities[None, :, 5:], LABELS[None, 5:])["dice"]
    (note,) = report.notes
    assert note == "p (120): pixels without data in the prediction are left out"
