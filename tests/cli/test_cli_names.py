"""Tests how `fastloss evaluate` writes the names of files and classes. They must do no harm on a terminal or in a
spreadsheet, and the report files must have them exactly."""

from __future__ import annotations

import csv
import json
import os
import zipfile

import numpy as np
import pytest
from commandline import refused, run, save_pair

NAMES = [
    "\x07bell",
    "\x1b[31mred",
    "two\nlines",
    "a\tb",
    'quo"te',
    "back\\slash",
    "é",
    "\u202eright to left",
    "\x9b31m",
]
FORMULAS = ["=cmd|' -C calc'!A1", "+1", "-1+2", "@SUM(A1)", "\tx", "\rx", "＝1", "'quoted", "-0.5", "a=b", "x\ry"]


def report(capsys, folder, *more):
    """The two report files of a run that must succeed, and what it printed."""
    arguments = ("p", "m", "--loss=-1*dice", "--output=r.json", "--output=r.csv", *more)
    code, out, err = run(capsys, "evaluate", *arguments)
    assert code == 0, err
    harmless(out + err)
    found = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    json.dumps(found, ensure_ascii=False).encode()  # no surrogates
    with open(folder / "r.csv", encoding="utf-8", newline="") as handle:
        return found, list(csv.reader(handle, strict=True))[1:], out


def harmless(text):
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.fixture(autouse=True)
def back(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="file names of POSIX")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_report_has_the_names_that_open_the_files(tmp_path, capsys, name):
    save_pair(tmp_path, name)
    found, rows, _ = report(capsys, tmp_path)
    (image,) = found["per_image"]
    assert image["image"] == name
    assert not [key for key in image if key.endswith("_bytes")]
    np.load(image["prediction"])
    np.load(image["target"])
    assert [row[1] for row in rows if row[0] == "image"] == [name]
    code, out, err = run(capsys, "evaluate", *save_pair(tmp_path, name), "--loss=dice")  # two files
    assert code == 0
    harmless(out + err)


@pytest.mark.skipif(os.name == "nt", reason="file names of POSIX")
def test_a_name_that_is_not_utf8(tmp_path, capsys):
    raw = b"\xff\x1b"
    try:
        save_pair(tmp_path, os.fsdecode(raw))
    except OSError:
        pytest.skip("the file system has no such names")
    np.save(tmp_path / "p" / (os.fsdecode(raw) + ".npy"), np.full((3, 4, 5), np.nan, np.float32))
    found, rows, out = report(capsys, tmp_path)
    (image,) = found["per_image"]
    text = "\\xff\x1b"  # what is UTF-8 stays as it is
    assert (image["image"], bytes.fromhex(image["image_bytes"])) == (text, raw)
    assert image["prediction"] == f"p/{text}.npy"
    for key in ("prediction", "target"):
        np.load(os.fsdecode(bytes.fromhex(image[f"{key}_bytes"])))
    assert found["nan_images"] == [text]
    assert [row[1] for row in rows if row[0] == "image"] == [text]
    assert "\\xff\\x1b" in out


@pytest.mark.skipif(os.name == "nt", reason="file names of POSIX")
def test_names_in_notes_and_errors(tmp_path, capsys):
    prediction, mask = save_pair(tmp_path, "\x1b]0;title\x07")
    np.save(prediction, np.full((3, 4, 5), np.nan, np.float32))
    code, out, err = run(capsys, "evaluate", prediction, mask, "--loss=dice")
    assert code == 0
    assert "note: a loss is nan for \\x1b]0;title\\x07: " in err
    harmless(out + err)
    for arguments in (
        (prediction, mask, prediction),
        (prediction, mask, "--\x1b"),
        (prediction, mask, "--activation=\x1b"),
        (prediction, mask, "--threads=\x1b"),
        (prediction, mask, "--class-names", prediction),
        (prediction, tmp_path / "m" / "\x1b"),
        (prediction, mask, "--output=\x1b"),
        (prediction, mask, "--loss=\x1b"),
        (prediction, mask, "--loss=dice(absent='\x9b')"),
    ):
        harmless(refused(capsys, "evaluate", "--loss=dice", *arguments))


def test_names_inside_an_archive(tmp_path, capsys):
    _, mask = save_pair(tmp_path)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("\x1b[31m.npy", b"")
        archive.writestr("\nerror: b.npy", b"")
    err = refused(capsys, "evaluate", tmp_path / "x.npz", mask, "--loss=dice")
    harmless(err)
    assert "\\x1b[31m, \\nerror: b" in err


def test_an_expression_with_control_characters_is_pointed_at(capsys):
    err = refused(capsys, "evaluate", "p", "m", "--loss=dice\t+\tdicee")
    assert "    dice\\t+\\tdicee\n" + " " * 13 + "^^^^^\n" in err


def test_class_names_on_a_terminal_and_in_the_report(tmp_path, capsys):
    save_pair(tmp_path)
    names = ["\x1b[31m", "\x07", "a"]
    (tmp_path / "names").write_text("\n".join(names))
    found, _, out = report(capsys, tmp_path, "--class-names=names")
    assert found["classes"] == names
    assert "\\x1b[31m" in out
    (tmp_path / "names").write_text("\x1b[31m\na\n\x1b[31m")
    err = refused(capsys, "evaluate", "p", "m", "--loss=dice", "--class-names=names")
    assert "names: expected different names, got \\x1b[31m twice" in err


@pytest.mark.skipif(os.name == "nt", reason="file names of POSIX")
@pytest.mark.parametrize("name", FORMULAS, ids=ascii)
def test_no_name_is_a_formula_in_a_spreadsheet(tmp_path, capsys, name):
    label = name.strip().replace("\r", "")
    save_pair(tmp_path, name)
    (tmp_path / "names").write_text(f"{label}\nb\nc\n")
    _, rows, _ = report(capsys, tmp_path, "--class-names=names")
    assert [row[0] for row in rows] == ["all", "class", "class", "class", "image"]
    for _, cell, loss, value in rows:
        assert not cell.startswith(tuple("=+-@\t\r＝"))
        assert loss == "'-1*dice"
        assert float(value) < 0  # a number as it is
    names = [row[1].removeprefix("'") for row in rows]
    assert names == ["", label, "b", "c", name]
