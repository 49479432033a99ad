"""Tests what `fastloss evaluate` refuses. Each message names the file or option."""

import numpy as np
import pytest
from commandline import CLASSES, HEIGHT, WIDTH, evaluated, expected_values, refused, run, save_palette, values
from PIL import Image

import fastloss as fl


def test_partners(scene, capsys):
    arguments = ("evaluate", scene / "p", scene / "m", "--loss", "dice")
    (scene / "p" / "a.npy").rename(scene / "p" / "d.npy")
    err = refused(capsys, *arguments)
    assert "d.npy: expected a partner" in err
    assert "a.png: expected a partner" in err
    for i in range(20):
        np.save(scene / "p" / f"more{i}.npy", np.zeros(3))
    assert "and 12 more files" in refused(capsys, *arguments)


def test_hidden_files_are_left_alone(scene, capsys):
    (scene / "p" / ".DS_Store").write_text("x")
    evaluated(capsys, scene / "p", scene / "m")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p, m: (p / "readme.md").write_text("x"), "readme.md: expected a prediction file (.npy, .npz"),
        (lambda p, m: (m / "names").write_text("x"), "names: expected a mask file (.npy, .npz, .png"),
        (lambda p, m: (p / "a.npz").write_text("x"), "expected one file per stem"),
        (lambda p, m: [f.unlink() for d in (p, m) for f in d.iterdir()], "expected at least one file to evaluate"),
        (lambda p, m: (p / "b.npy").write_bytes(b""), "b.npy: cannot be read"),
        (lambda p, m: (p / "b.npy").write_bytes((p / "b.npy").read_bytes()[:-1]), "b.npy: cannot be read: truncated"),
        (lambda p, m: (p / "b.npy").write_bytes((p / "b.npy").read_bytes()[:50]), "b.npy: cannot be read"),
        (lambda p, m: (p / "b.npy").write_bytes(b"hello world, this is no array"), "b.npy: cannot be read"),
        (lambda p, m: (m / "b.png").write_bytes((m / "b.png").read_bytes()[:-60]), "b.png: cannot be read"),
        (lambda p, m: (m / "b.png").write_bytes(b""), "b.png: cannot be read"),
        (lambda p, m: (m / "b.png").write_text("GIF89a"), "b.png: cannot be read"),
        (lambda p, m: Image.new("RGB", (WIDTH, HEIGHT)).save(m / "b.png"), "b.png: expected labels, got RGB colours"),
        (lambda p, m: np.save(p / "b.npy", np.zeros((CLASSES, 4, 5), np.float32)), "the mask"),
        (lambda p, m: np.save(p / "b.npy", np.zeros((4, HEIGHT, WIDTH), np.float32)), "got 4"),
        (lambda p, m: np.save(p / "b.npy", np.zeros((3, HEIGHT, WIDTH), complex)), "b.npy: expected float16"),
        (lambda p, m: np.save(p / "b.npy", np.array([{}], object)), "cannot be read: expected numbers, got pickled"),
        (lambda p, m: np.save(p / "b.npy", np.zeros(3, "f4,i4")), "b.npy"),
        (lambda p, m: np.save(p / "b.npy", np.float32(1)), "got () (of ())"),
    ],
)  # fmt: skip
def test_bad_files(scene, capsys, spoil, message):
    spoil(scene / "p", scene / "m")
    output = scene / "report.json"
    assert message in refused(capsys, "evaluate", scene / "p", scene / "m", "--loss", "dice", "--output", output)
    assert not output.exists()


def test_shapes_that_differ_name_both(scene, capsys):
    arguments = ("evaluate", scene / "p" / "a.npy", scene / "m" / "c.png", "--loss", "dice")
    err = refused(capsys, *arguments)
    assert all(part in err for part in ("a.npy", "c.png", f"{(CLASSES, HEIGHT, WIDTH)}", f"{(HEIGHT + 3, WIDTH)}"))
    np.save(scene / "p" / "a.npy", np.zeros((HEIGHT, WIDTH, CLASSES), np.float32))
    err = refused(capsys, "evaluate", scene / "p" / "a.npy", scene / "m" / "a.png", "--loss", "dice")
    assert "--axis 2 would fit" in err
    err = refused(capsys, "evaluate", scene / "p" / "a.npy", scene / "m" / "a.png", "--loss", "dice", "--axis", "3")
    assert "expected an array with axis 3" in err


def test_label_out_of_range(one, capsys):
    logits, labels, folder = one
    labels[4, 7] = 255
    np.save(folder / "x.npy", logits)
    save_palette(folder / "y.png", labels)
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.png", "--loss", "dice")
    assert "y.png: expected labels in 0..2, got 255 at (4, 7)" in err
    assert "--ignore-index 255" in err


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_mask_of_whole_numbers(one, capsys, dtype):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits)
    np.save(folder / "y.npy", labels.astype(dtype))
    assert values(evaluated(capsys, folder / "x.npy", folder / "y.npy")) == expected_values(
        logits, labels, dice=fl.DiceLoss(), cross_entropy=fl.CrossEntropyLoss()
    )


@pytest.mark.parametrize("value", [0.5, -1.5, np.nan, np.inf, -np.inf, 1e300])
def test_float_mask_of_other_numbers(one, capsys, value):
    logits, labels, folder = one
    np.save(folder / "x.npy", logits)
    mask = labels.astype(np.float64)
    mask[3, 4] = value
    np.save(folder / "y.npy", mask)
    err = refused(capsys, "evaluate", folder / "x.npy", folder / "y.npy", "--loss", "dice")
    assert "y.npy: expected integer labels" in err
    assert f"got {value} at (3, 4) (float64)" in err


def test_two_files_or_two_folders(scene, capsys):
    err = refused(capsys, "evaluate", scene / "p", scene / "m" / "a.png", "--loss", "dice")
    assert "two files or two folders" in err
    err = refused(capsys, "evaluate", scene / "p", scene / "nowhere", "--loss", "dice")
    assert "nowhere: no such file or folder" in err
    err = refused(capsys, "evaluate", scene / "m" / "a.png", scene / "m" / "a.png", "--loss", "dice")
    assert "a.png: expected the number of classes for a label map as prediction, got none; give --num-classes" in err


def test_bad_expression_comes_before_any_work(scene, capsys):
    err = refused(capsys, "evaluate", scene / "nowhere", scene / "m", "--loss", "0.5*dicee")
    assert 'did you mean "dice"?' in err
    assert "    0.5*dicee\n        ^^^^^" in err


def test_options(scene, capsys):
    arguments = ("evaluate", scene / "p", scene / "m")
    assert "--loss" in refused(capsys, *arguments)
    assert "--activation" in refused(capsys, *arguments, "--loss", "dice", "--activation", "relu")
    assert "--threads" in refused(capsys, *arguments, "--loss", "dice", "--threads", "0")
    assert "--worst" in refused(capsys, *arguments, "--loss", "dice", "--worst", "-1")
    code, out, _ = run(capsys, *arguments, "--loss", "dice", "--worst", "0")
    assert code == 0
    assert "Worst" not in out


def test_threads(scene, capsys):
    before = fl.get_num_threads()
    try:
        assert run(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", "--threads=1")[0] == 0
        assert fl.get_num_threads() == 1
    finally:
        fl.set_num_threads(before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\n", "expected 2 classes on axis 0, as in --class-names, got 3"),
        ("a\n\nc\n", "got none in line 2"),
        ("a\nb\na\n", "got a twice"),
        ("", "got an empty file"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_class_names(scene, capsys, text, message):
    path = scene / "names.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in refused(capsys, "evaluate", scene / "p", scene / "m", "--loss=dice", "--class-names", path)
