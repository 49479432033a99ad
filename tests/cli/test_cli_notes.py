"""Tests the notes of `fastloss evaluate`, and the losses that do not accept a single channel."""

import json
import re

import nibabel
import numpy as np
import pytest
from commandline import evaluated, refused, run, values

import fastloss as fl
from fastloss.archive.checks import loss_name


def test_an_affine_that_differs_is_refused(one, capsys):
    logits, labels, folder = one
    for name, affine in [("same", np.diag([2, 2, 3, 1])), ("other", np.diag([-2, 2, 3, 1]))]:
        nibabel.Nifti1Image(np.moveaxis(logits, 0, -1), np.diag([2, 2, 3, 1])).to_filename(folder / "x.nii")
        nibabel.Nifti1Image(labels, affine).to_filename(folder / "y.nii.gz")
        arguments = ("evaluate", folder / "x.nii", folder / "y.nii.gz", "--axis=-1", "--loss=dice")
        assert run(capsys, *arguments, "--ignore-geometry")[0] == 0
        if name == "same":
            assert run(capsys, *arguments)[0] == 0
        else:
            err = refused(capsys, *arguments)
            assert "x.nii: expected the affine of " in err
            assert "voxels apart" in err
            assert "--ignore-geometry" in err


def test_an_image_that_is_nan_is_named(scene, capsys):
    names = sorted(path.stem for path in (scene / "p").iterdir())
    spoiled = np.load(scene / "p" / f"{names[1]}.npy")
    spoiled[0, 0, 0] = np.nan
    np.save(scene / "p" / f"{names[1]}.npy", spoiled)
    output = scene / "report.json"
    code, out, err = run(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", "--worst=1", "--output", output)
    assert code == 0
    assert f"note: a loss is nan for {names[1]}: " in err
    assert re.search(r"^dice +nan ", out, re.M)
    assert re.search(rf"^{names[1]} +nan$", out, re.M)
    assert "no value for this class" not in out
    assert json.loads(output.read_text())["nan_images"] == [names[1]]


def test_nan_that_was_asked_for_is_no_note(one, capsys):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits)
    np.save(folder / "y.npy", np.minimum(labels, 1))
    loss = "dice(absent='nan')"
    code, out, err = run(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", loss)
    assert (code, "note" in err, "no value for this class" in out) == (0, False, True)
    assert evaluated(capsys, folder / "x.npy", folder / "y.npy", losses=[loss])["nan_images"] == []


def test_losses_of_logits_say_so(one, capsys):
    logits, labels, folder = one
    np.save(folder / "x.npy", np.abs(logits))
    np.save(folder / "y.npy", labels)
    note = "cross_entropy takes logits, whatever the options; for probabilities, use categorical_cross_entropy"
    for loss in ("cross_entropy", "dice + cross_entropy"):
        arguments = ("evaluate", folder / "x.npy", folder / "y.npy", "--loss", loss)
        assert f"note: {note}" in run(capsys, *arguments, "--activation=none")[2]
        assert "note" not in run(capsys, *arguments)[2]


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("dice", "expected two or more classes for the softmax of dice, got one; give --activation sigmoid"),
        ("boundary", "expected two or more classes for the softmax of boundary, got one"),
        ("cross_entropy", "expected two or more classes for cross_entropy, got one channel"),
        ("js_div", "expected two or more classes for js_div, got one channel"),
        ("dice_ce", "expected two or more classes for the softmax of dice, got one"),
        ("soft_margin", "soft_margin takes targets -1 and 1, but a mask holds no -1"),
    ],
)
def test_what_one_channel_is_not_for(one, capsys, loss, words):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits[:1])
    np.save(folder / "y.npy", np.minimum(labels, 1))
    assert words in refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", loss)


def test_a_derived_loss_is_called_as_the_public_one():
    class OfOneChannel(fl.CrossEntropyLoss):
        pass

    assert loss_name(OfOneChannel()) == "cross_entropy"
    assert all(loss_name(cls()) == name.removesuffix("_loss") for name, cls in fl.losses.LOSSES.items())


def test_a_binary_mask_of_255(one, capsys):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits[:1])
    np.save(folder / "y.npy", np.where(labels > 0, 255, 0))
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss=dice", "--activation=sigmoid")
    assert "if it marks pixels to leave out, give --ignore-index 255; if it is the foreground, save it as 1" in err


def test_element_losses_leave_out_what_the_option_says_not_what_others_do(one, capsys):
    logits, labels, folder = one
    labels = np.minimum(labels, 1)
    np.save(folder / "x.npy", logits[:1])
    np.save(folder / "y.npy", labels)
    name = "binary_cross_entropy_with_logits"
    alone = values(evaluated(capsys, folder / "x.npy", folder / "y.npy", losses=[name]))
    dice = "dice(activation='sigmoid', ignore_index=0)"
    for losses in ([dice, name], [name, dice, "dice(activation='sigmoid')"]):
        assert values(evaluated(capsys, folder / "x.npy", folder / "y.npy", losses=losses))[name] == alone[name]


def test_what_the_library_refuses_names_the_files(one, capsys):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits)
    np.save(folder / "y.npy", labels)
    weight = "dice(class_weight=[1, 2])"  # three classes
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", weight)
    assert "x.npy with" in err
    assert "class_weight" in err
