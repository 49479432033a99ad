"""Tests what is noticed about values: each kind of numbers with each loss, in the library and on the command line."""

import re

import numpy as np
import pytest
from writing import blobs, folders, logits, softmax

import fastloss as fl
from fastloss.cli import expression, main
from fastloss.files.errors import FileError

SHAPE = (12, 17)
LABELS = blobs(SHAPE, 3)
SCORES = logits(LABELS, 3)
PROBABILITIES = softmax(SCORES).astype(np.float32)
SIGMOID = (1 / (1 + np.exp(-SCORES))).astype(np.float32)

VALUES = {
    "logits": SCORES,
    "probabilities": PROBABILITIES,
    "sigmoid": SIGMOID,
    "log-probabilities": np.log(PROBABILITIES),
    "resampled": PROBABILITIES * 1.3 - 0.15,  # as cubic interpolation overshoots
    "one channel": SCORES[:1],
    "one probability": SIGMOID[:1],
    "label map": LABELS[None].astype(np.float32),
}

SEEMS = r"note: {x} seems to hold probabilities, values in \[0, 1\]"
TO_ONE = SEEMS + " that sum to 1"
GIVE = "if they are probabilities, give `activation=None`"
SOFTMAX = f", but {{loss}} applies a softmax; {GIVE}"
SIGMOIDAL = f", but {{loss}} applies a sigmoid; {GIVE}"
SPAN = r"values from -?[\d.e-]+ to -?[\d.e-]+"
LOGITS = rf"error: {{x}}: expected probabilities for {{loss}}, got {SPAN}; if they are logits, "
OUTSIDE = rf"note: {{loss}} takes probabilities, but {{x}} holds {SPAN}"
SUMS = (
    r"note: the channels of {x} sum to between [\d.]+ and [\d.]+, not to 1; {loss} takes them as probabilities of "
    "classes that exclude each other"
)
LOG = rf"error: {{x}}: expected log-probabilities, at most 0, for {{loss}}, got {SPAN}; cross_entropy takes logits, "
WHOLE = r"error: {x}: expected \w+ for {loss}, got whole numbers up to 2 in one channel, .*; give `num_classes=`"
CE = ", but cross_entropy takes logits; for probabilities, use categorical_cross_entropy"
BCE = ", but binary_cross_entropy_with_logits takes logits; for probabilities, use binary_cross_entropy"
ACTIVATION = LOGITS + "give `activation=softmax` or `activation=sigmoid`"

RULES = [
    ("logits", "dice", ""),
    ("logits", "focal", ""),
    ("logits", "cross_entropy", ""),
    ("logits", "lovasz_hinge(per_image=True)", ""),
    ("logits", "asymmetric_unified_focal", ""),
    ("logits", "top_k(per_image=True)", ""),
    ("logits", "dice(activation=None)", ACTIVATION),
    ("logits", "top_k(loss=focal(activation=None), per_image=True)", ACTIVATION),
    ("logits", "generalized_dice(activation=None)", ACTIVATION),
    ("logits", "categorical_cross_entropy", LOGITS + "use cross_entropy"),
    ("logits", "nll", LOG),
    ("probabilities", "dice", TO_ONE + SOFTMAX),
    ("probabilities", "0.5*dice + 0.5*focal", TO_ONE + SOFTMAX),
    ("probabilities", "dice(activation='sigmoid')", TO_ONE + SIGMOIDAL),
    ("probabilities", "cross_entropy", TO_ONE + CE),
    ("probabilities", "dice + cross_entropy", TO_ONE + CE),
    ("probabilities", "top_k(per_image=True)", TO_ONE + CE),
    ("probabilities", "lovasz_softmax(per_image=True)", TO_ONE + SOFTMAX),
    ("probabilities", "lovasz_softmax(activation=None, per_image=True)", ""),
    ("probabilities", "poly", TO_ONE + ", but poly takes logits; for probabilities, use categorical_cross_entropy"),
    ("probabilities", "dice(activation=None)", ""),
    ("probabilities", "focal(activation=None)", ""),
    ("probabilities", "categorical_cross_entropy", ""),
    ("probabilities", "nll", LOG),
    ("sigmoid", "dice(activation='sigmoid')", SEEMS + SIGMOIDAL),
    ("sigmoid", "dice(activation=None)", SUMS),
    ("sigmoid", "categorical_cross_entropy", SUMS),
    ("log-probabilities", "nll", ""),
    ("log-probabilities", "cross_entropy", ""),
    ("log-probabilities", "dice", ""),
    ("log-probabilities", "dice(activation=None)", ACTIVATION),
    ("resampled", "dice(activation=None)", OUTSIDE),
    ("resampled", "categorical_cross_entropy", OUTSIDE),
    ("one channel", "dice(activation='sigmoid')", ""),
    ("one channel", "binary_cross_entropy_with_logits", ""),
    ("one channel", "binary_cross_entropy", LOGITS + "use binary_cross_entropy_with_logits"),
    ("one probability", "binary_cross_entropy", ""),
    ("one probability", "dice(activation=None)", ""),
    ("one probability", "binary_cross_entropy_with_logits", SEEMS + BCE),
    ("one probability", "dice(activation='sigmoid')", SEEMS + SIGMOIDAL),
    ("label map", "dice(activation='sigmoid')", WHOLE),
    ("label map", "dice(activation=None)", WHOLE),
    ("label map", "binary_cross_entropy", WHOLE),
]


@pytest.mark.parametrize(("kind", "loss", "words"), RULES)
def test_each_rule(tmp_path, capsys, kind, loss, words):
    values = VALUES[kind]
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "y.npy", np.minimum(LABELS, 1) if len(values) == 1 else LABELS)
    files = tmp_path / "x.npy", tmp_path / "y.npy"
    losses = {loss: expression.parse(loss)}
    if words.startswith("error"):
        with pytest.raises(FileError) as caught:
            fl.evaluate_files(losses, *files)
        found = [f"error: {caught.value}"]
    else:
        report = fl.evaluate_files(losses, *files)
        found = [f"note: {note}" for note in report.notes]
        binary = np.minimum(LABELS, 1)
        element = "binary_cross" in loss
        target = binary[None].astype(values.dtype) if element else binary if len(values) == 1 else LABELS
        expected = fl.evaluate(losses, values[None], target[None])
        assert report[loss] == pytest.approx(expected[loss], rel=1e-6, nan_ok=True)
    pattern = words.format(x=re.escape(str(files[0])), loss=re.escape(loss))
    doubts = [line for line in found if not line.startswith("note: a loss is nan for x: ")]
    assert len(doubts) == bool(words)
    assert all(re.match(pattern, line) for line in doubts), doubts
    code = main(["evaluate", *map(str, files), "--loss", loss])
    printed = capsys.readouterr().err
    assert code == (2 if words.startswith("error") else 0)
    lines = [line for line in printed.splitlines() if line.startswith(("note: ", "error: "))]
    told = re.sub(r"`([a-z_]+)=(\w*)`", lambda m: f"--{m[1].replace('_', '-')} {m[2]}".rstrip(), "\n".join(found))
    assert "\n".join(lines) == told.replace("--activation None", "--activation none")
    assert "`" not in printed


QUIET = {
    "logits": (SCORES, {}, ["dice", "cross_entropy", "focal", "dice_ce"]),
    "large logits": (100 * SCORES, {}, ["dice", "cross_entropy"]),
    "positive logits": (np.abs(3 * SCORES) + 1, {}, ["dice", "cross_entropy"]),
    "zeros": (np.zeros_like(SCORES), {}, ["dice", "cross_entropy"]),
    "probabilities": (PROBABILITIES, {}, ["dice(activation=None)", "categorical_cross_entropy"]),
    "uint8": (np.rint(255 * PROBABILITIES).astype(np.uint8), {"scale": 255}, ["dice(activation=None)"]),
    "one-hot": (np.eye(3, dtype=np.float32)[LABELS].transpose(2, 0, 1), {}, ["dice(activation=None)"]),
}


@pytest.mark.parametrize("case", QUIET)
def test_proper_data_have_no_note(tmp_path, capsys, case):
    values, options, texts = QUIET[case]
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "y.npy", LABELS)
    losses = {text: expression.parse(text) for text in texts}
    report = fl.evaluate_files(losses, tmp_path / "x.npy", tmp_path / "y.npy", **options)
    assert report.notes == ()
    scaled = values / np.float32(255) if options else values
    assert dict(report) == dict(fl.evaluate(losses, scaled[None], LABELS[None]))
    command = ["evaluate", str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), *(f"--loss={text}" for text in texts)]
    assert main([*command, *(f"--{name}={value}" for name, value in options.items())]) == 0
    assert "note:" not in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rounded_probabilities_of_many_classes_have_no_note(tmp_path, dtype):
    """The sums of 19 numbers of float16, and the overshoot of rounding, are within the tolerance."""
    labels = blobs((40, 60), 19)
    values = softmax(logits(labels, 19)).astype(dtype)
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "y.npy", labels)
    losses = {"dice": fl.DiceLoss(activation=None), "ce": fl.CategoricalCrossEntropyLoss()}
    report = fl.evaluate_files(losses, tmp_path / "x.npy", tmp_path / "y.npy")
    assert report.notes == ()
    picked = np.take_along_axis(values.astype(np.float64), labels[None].astype(int), 0)
    assert report["ce"] == pytest.approx(-np.log(picked).mean(), rel=1e-5)


def test_overlapping_masks_need_no_sum_of_one(tmp_path):
    np.save(tmp_path / "x.npy", SIGMOID)
    np.save(tmp_path / "y.npy", LABELS[None] >= np.arange(3).reshape(-1, 1, 1))
    losses = {"dice": fl.DiceLoss(activation=None), "bce": fl.BCELoss()}
    assert fl.evaluate_files(losses, tmp_path / "x.npy", tmp_path / "y.npy", axis=0).notes == ()


@pytest.mark.parametrize("layout", ["C", "F"])
def test_a_large_image_is_looked_at_in_every_part(tmp_path, layout):
    """The sample of a large image also has the pixels of a border that alone tells what the numbers are."""
    values = np.broadcast_to(np.float32([[[0.25]], [[0.75]]]), (2, 600, 700)).copy(order=layout)
    values[:, :60] = [[[3.0]], [[-2.0]]]
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "y.npy", np.zeros((600, 700), np.uint8))
    with pytest.raises(FileError, match="expected probabilities for dice, got values from -2 to 3"):
        fl.evaluate_files({"dice": fl.DiceLoss(activation=None)}, tmp_path / "x.npy", tmp_path / "y.npy")


def test_the_first_doubtful_image_is_noted_once(tmp_path):
    predictions, masks = folders(tmp_path, "p", "m")
    for at, values in enumerate([SCORES, PROBABILITIES, PROBABILITIES, SCORES]):
        np.save(predictions / f"{at}.npy", values)
        np.save(masks / f"{at}.npy", LABELS)
    report = fl.evaluate_files({"dice": fl.DiceLoss()}, predictions, masks)
    (note,) = report.notes
    assert note.startswith(f"{predictions / '1.npy'} seems to hold probabilities")


# ---- files that are known to hold probabilities

KNOWN = [
    ("cross_entropy", "cross_entropy takes logits; use categorical_cross_entropy in cross_entropy"),
    ("0.5*dice + 0.5*cross_entropy", "use categorical_cross_entropy in 0.5*dice + 0.5*cross_entropy"),
    ("dice_ce", "cross_entropy takes logits; use categorical_cross_entropy in dice_ce"),
    ("top_k(per_image=True)", "cross_entropy takes logits; use categorical_cross_entropy in top_k"),
    ("multilabel_soft_margin", "multilabel_soft_margin takes logits; use binary_cross_entropy"),
]


@pytest.mark.parametrize(("loss", "words"), KNOWN)
def test_known_probabilities_are_not_for_losses_of_logits(tmp_path, capsys, loss, words):
    volume = np.stack([PROBABILITIES] * 2, axis=1)
    np.savez(tmp_path / "x.npz", probabilities=volume)
    np.save(tmp_path / "y.npy", np.stack([LABELS] * 2))
    files = tmp_path / "x.npz", tmp_path / "y.npy"
    with pytest.raises(FileError, match="holds probabilities or labels, but ") as caught:
        fl.evaluate_files({loss: expression.parse(loss)}, *files)
    assert words in str(caught.value)
    assert main(["evaluate", *map(str, files), "--loss", loss]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("loss", ["asymmetric_unified_focal", "top_k(loss=focal, k=3, per_image=True)", "2*mcc + dice"])
def test_known_probabilities_have_no_activation(tmp_path, loss):
    volume = np.stack([PROBABILITIES] * 2, axis=1)
    np.savez(tmp_path / "x.npz", probabilities=volume)
    np.save(tmp_path / "y.npy", np.stack([LABELS] * 2))
    report = fl.evaluate_files({"a": expression.parse(loss)}, tmp_path / "x.npz", tmp_path / "y.npy")
    own = expression.parse(loss, {"activation": None})
    assert report.losses == {"a": own}
    assert report["a"] == pytest.approx(own(volume[None], np.stack([LABELS] * 2)[None]), rel=1e-6)
    report.save(tmp_path / "report")
    assert fl.Report.load(tmp_path / "report").losses == {"a": own}


def test_known_probabilities_and_scores_do_not_share_a_report(tmp_path):
    predictions, masks = folders(tmp_path, "p", "m")
    volume = np.stack([PROBABILITIES] * 2, axis=1)
    np.savez(predictions / "a.npz", probabilities=volume)
    np.savez(predictions / "b.npz", scores=volume)
    for name in "ab":
        np.save(masks / f"{name}.npy", np.stack([LABELS] * 2))
    with pytest.raises(FileError, match=r"b\.npz .*expected probabilities or a label map .*got scores of unknown kind"):
        fl.evaluate_files({"dice": fl.DiceLoss()}, predictions, masks)


def test_a_nan_is_named_and_not_hidden(tmp_path):
    predictions, masks = folders(tmp_path, "p", "m")
    for name in "abc":
        values = SCORES.copy()
        if name == "b":
            values[1, 3, 4] = np.nan
        np.save(predictions / f"{name}.npy", values)
        np.save(masks / f"{name}.npy", LABELS)
    report = fl.evaluate_files({"dice": fl.DiceLoss()}, predictions, masks)
    assert np.isnan(report.per_image["dice"]).tolist() == [False, True, False]
    assert report.nan_images == ("b",)
    (note,) = report.notes
    assert note.startswith("a loss is nan for b: ")
