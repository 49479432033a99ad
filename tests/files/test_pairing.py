"""Tests which prediction belongs to which mask: folders, sub-folders, patterns, and names that are hostile or odd."""

import os
import re
import socket
import sys
import unicodedata
from pathlib import Path

import pytest

from fastloss.files import numpy_files, registry
from fastloss.files.errors import FileError
from fastloss.files.layouts import Layout
from fastloss.files.pairing import pair_files
from fastloss.files.stored import Reader

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes as a name")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Writes empty files: `tree("p/a.npy", "t/a.png")`. Pairing opens no regular file."""
    monkeypatch.chdir(tmp_path)

    def write(*names):
        for folder in ("p", "t"):
            Path(folder).mkdir(exist_ok=True)
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()

    return write


def paired(**options):
    found = pair_files(Path("p"), Path("t"), **options)
    return {pair.name: (pair.prediction.as_posix(), pair.target.as_posix()) for pair in found.pairs}, found.notes


def refused(*lines, predictions="p", targets="t", **options):
    with pytest.raises(FileError) as caught:
        pair_files(Path(predictions), Path(targets), **options)
    message = str(caught.value)
    for line in lines:
        assert line in message
    assert message.replace("\n", "").isprintable()
    return message


# ---- without a pattern


def test_two_files(tree):
    tree("p/a.NPY", "t/b.nii.gz")
    found = pair_files(Path("p/a.NPY"), Path("t/b.nii.gz"))
    assert [(pair.name, pair.prediction, pair.target) for pair in found.pairs] == [
        ("a", Path("p/a.NPY"), Path("t/b.nii.gz"))
    ]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("predictions", "targets", "message"),
    [
        (
            "p",
            "t/a.png",
            "predictions and targets: expected two files or two folders, got a folder (p) and a file (t/a",
        ),
        ("p/a.npy", "t", "got a file (p/a.npy) and a folder (t)"),
        ("p/none.npy", "t", "p/none.npy: no such file or folder"),
        ("p/a.npy/b.npy", "t", "p/a.npy/b.npy: no such file or folder"),
        ("p/a.npy", "t/a.txt", "t/a.txt: expected a mask file (.npy"),
        ("p/noext", "t/a.png", "p/noext: expected a prediction file (.npy"),
        ("p/noext", "t/a.png", "got no extension"),
        ("p/\x1b.\x1b", "t/a.png", "got .\\x1b"),
    ],
)
def test_two_paths_that_are_refused(tree, predictions, targets, message):
    tree("p/a.npy", "p/noext", "t/a.png", "t/a.txt")
    if "\x1b" in predictions:
        pytest.importorskip("fcntl", reason="Windows refuses such names")
        tree(predictions)
    refused(message, predictions=predictions, targets=targets)


def test_a_pattern_needs_folders(tree):
    tree("p/a.npy", "t/a.png")
    refused("`match=`: expected two folders", predictions="p/a.npy", targets="t/a.png", match=("{id}.*", "{id}.*"))


def test_a_tree_by_city(tree):
    tree("p/ulm/ulm_01.npy", "t/ulm/ulm_01.png", "p/bonn/x/1.npy", "t/bonn/x/1.png", "p/top.npy", "t/top.png")
    assert paired() == (
        {
            "bonn/x/1": ("p/bonn/x/1.npy", "t/bonn/x/1.png"),
            "top": ("p/top.npy", "t/top.png"),
            "ulm/ulm_01": ("p/ulm/ulm_01.npy", "t/ulm/ulm_01.png"),
        },
        (),
    )


def test_equal_stems_in_different_folders_are_different_images(tree):
    tree("p/a/1.npy", "t/b/1.png")
    refused(
        "p/a/1.npy: expected a partner named a/1.* in t, found none",
        "t/b/1.png: expected a partner named b/1.* in p, found none",
    )


def test_names_that_are_skipped(tree):
    tree("p/.DS_Store", "p/a.npy", "t/a.png", "t/._a.png", "t/.git/config", "p/.b.npy")
    assert paired()[0] == {"a": ("p/a.npy", "t/a.png")}


@pytest.mark.parametrize("name", ["Thumbs.db", "a.txt", "sub/notes", "a.npy.part"])
def test_an_unknown_kind_is_refused_with_the_way_out(tree, name):
    tree("p/a.npy", "t/a.png", f"p/{name}")
    refused(f"p/{name}: expected a prediction file (.npy", "; leave files out with `match=`")


def test_suffixes_in_either_case(tree):
    tree("p/a.NPY", "t/a.PNG", "p/b.Nii.Gz", "t/b.NII.GZ")
    assert set(paired()[0]) == {"a", "b"}


def test_names_that_differ_in_case_are_not_paired(tree):
    tree("p/Case_1.npy", "t/case_1.png")
    refused("named Case_1.* in t, found t/case_1.png, which differs in upper and lower case")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_both_unicode_forms_of_a_name(tree, forms):
    left, right = (unicodedata.normalize(form, "cr\xeape/\xe9t\xe9") for form in forms)
    tree(f"p/{left}.npy", f"t/{right}.png")
    assert list(paired()[0]) == ["cr\xeape/\xe9t\xe9"]


def test_two_files_of_one_stem(tree):
    tree("p/case_01.npz", "p/case_01.nii.gz", "t/case_01.nii.gz")
    refused("expected one file per stem, got p/case_01.nii.gz as well", '`layout="nnunet"`', "`match=`")


def test_a_file_without_a_partner(tree):
    tree(*(f"p/{i:02}.npy" for i in range(13)), "t/00.png", "t/x.png")
    message = refused("p/01.npy: expected a partner named 01.* in t, found none", "and 3 more files without a partner")
    assert len(message.splitlines()) == 11


def test_empty_folders(tree):
    tree()
    refused("p: expected at least one file to evaluate, got an empty folder")
    refused(
        "p: expected at least one prediction named {id}.npy, got none among 0 files", match=("{id}.npy", "{id}.png")
    )
    tree("t/a.png")
    refused("t/a.png: expected a partner named a.* in p, found none")


# ---- stores and companions


@pytest.fixture
def more_readers(monkeypatch):
    """Adds a format whose files are folders, and a format with companions."""

    def unused(source):
        raise AssertionError("pairing opens no file")

    added = (
        Reader(suffixes=(".store",), open=unused, folders=True),
        Reader(suffixes=(".mhdx",), open=unused, companions=(".rawx", ".zrawx")),
        Reader(suffixes=(".imgx", ".hdrx"), open=unused, companions=(".hdrx",)),
    )
    monkeypatch.setattr(registry, "BUILT_IN", (*numpy_files.READERS, *added))
    registry.readers.cache_clear()
    yield
    monkeypatch.undo()
    registry.readers.cache_clear()


@pytest.mark.usefixtures("more_readers")
def test_a_store_is_one_file(tree):
    tree("p/x/a.store/0.0", "p/x/a.store/b/c.npy", "t/x/a.npy")
    assert paired()[0] == {"x/a": ("p/x/a.store", "t/x/a.npy")}
    found = pair_files(Path("p/x/a.store"), Path("t/x/a.npy"))
    assert [pair.name for pair in found.pairs] == ["a"]
    assert paired(match=("{id}.store", "{id}.*"))[0] == {"a": ("p/x/a.store", "t/x/a.npy")}


@pytest.mark.usefixtures("more_readers")
def test_companions_are_skipped_if_their_file_is_there(tree):
    tree("p/a.mhdx", "p/a.rawx", "p/b.MHDX", "p/b.ZRAWX", "p/c.imgx", "p/c.hdrx")
    tree("t/a.npy", "t/b.npy", "t/c.npy")
    assert paired()[0] == {
        "a": ("p/a.mhdx", "t/a.npy"),
        "b": ("p/b.MHDX", "t/b.npy"),
        "c": ("p/c.imgx", "t/c.npy"),
    }
    tree("p/d.hdrx", "t/d.npy")  # a main file, since there is no other
    assert paired()[0]["d"] == ("p/d.hdrx", "t/d.npy")
    tree("p/sub/a.rawx")  # in another folder
    refused("p/sub/a.rawx: expected a prediction file")


# ---- links and special files


@posix
def test_links_to_folders_are_followed_once(tree):
    tree("data/a.npy", "t/x/a.png")
    Path("p/x").symlink_to("../data")
    assert paired()[0] == {"x/a": ("p/x/a.npy", "t/x/a.png")}
    Path("p/y").symlink_to("../data")
    refused("expected every folder once, got a link to p/", "remove the link")


@posix
@pytest.mark.parametrize("to", [".", "..", "../../p", "../a"])
def test_loops_are_refused(tree, to):
    tree("p/a/b.npy", "t/a/b.png")
    Path("p/a/loop").symlink_to(to)
    refused("p/a/loop: expected every folder once, got a link to p", "which is already in the tree; remove the link")


@posix
def test_links_that_branch_do_not_multiply(tree):
    """Twenty folders with two links each to the next: a million paths to one file."""
    tree("t/a.png", *(f"chain/{i}/{i}.npy" for i in range(20)))
    for i in range(19):
        for name in ("l", "r"):
            Path(f"chain/{i}/{name}").symlink_to(f"../{i + 1}")
    Path("p/start").symlink_to("../chain/0")
    refused("expected every folder once")


@posix
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("pipe", "expected a regular file, got a pipe"),
        ("socket", "expected a regular file, got a socket"),
        ("dangling", "No such file or directory"),
        ("itself", "Too many levels of symbolic links"),
    ],
)
def test_special_files(tree, kind, message):
    """They are refused at once if anything needs them. Files that no pattern names do not disturb."""
    tree("p/a.npy", "t/a.png", "t/odd.png")
    if kind == "pipe":
        os.mkfifo("p/odd.npy")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("p/odd.npy")
    else:
        Path("p/odd.npy").symlink_to("nowhere" if kind == "dangling" else "odd.npy")
    refused(f"p/odd.npy: cannot be read: {message}")
    refused(f"p/odd.npy: cannot be read: {message}", match=("{id}.npy", "{id}.png"))
    tree("p/x_a.npy", "t/x_a.png")
    assert paired(match=("x_{id}.npy", "x_{id}.png"))[0] == {"a": ("p/x_a.npy", "t/x_a.png")}


@posix
def test_a_folder_without_permission(tree):
    tree("p/a/b.npy", "t/a/b.png")
    Path("p/a").chmod(0)
    try:
        if os.access("p/a", os.R_OK):
            pytest.skip("this user may read everything")
        refused("p/a: cannot be read: Permission denied")
    finally:
        Path("p/a").chmod(0o700)


# ---- hostile names


@posix
def test_control_characters_never_reach_a_message(tree):
    tree("p/\x1b[2J\n.npy", "p/\u202e.npy", "t/a.png")
    refused("p/\\x1b[2J\\n.npy: expected a partner named \\x1b[2J\\n.* in t", "p/\\u202e.npy")
    refused("\\x1b[2J\\n", match=("{id}.npy", "{id}.png"))
    tree("p/x_a.npy", "t/x_a.png")
    _, notes = paired(match=("x_{id}.npy", "x_{id}.png"))
    assert notes[0] == "2 files in p match no pattern and are left out: \\x1b[2J\\n.npy, \\u202e.npy"


@linux
def test_names_that_are_not_utf8(tree):
    tree()
    for folder, end in ((b"p", b".npy"), (b"t", b".png")):
        Path(os.fsdecode(folder + b"/\xff\xfe" + end)).touch()
    found, _ = paired()
    assert list(found) == ["\udcff\udcfe"]
    assert Path(found["\udcff\udcfe"][0]).exists()
    assert paired(match=("{id}.npy", "{id}.*"))[0] == found
    tree("p/a.npy")
    Path(os.fsdecode(b"p/\xe9.npy")).touch()
    refused("p/\\xe9.npy: expected a partner named \\xe9.* in t, found none")


# ---- patterns


CITYSCAPES = ("{id}_leftImg8bit*.npy", "{id}_gtFine_labelIds.png")


def test_three_cities_by_pattern(tree):
    ids = [f"{city}_{i:06}_000019" for city in ("aachen", "bonn", "ulm") for i in range(2)]
    for image in ids:
        city = image.partition("_")[0]
        tree(f"p/{city}/{image}_leftImg8bit.npy")
        tree(*(f"t/{city}/{image}_gtFine_{end}" for end in ("labelIds.png", "color.png", "polygons.json")))
    tree("p/Thumbs.db")
    expected = {
        image: (
            f"p/{image.partition('_')[0]}/{image}_leftImg8bit.npy",
            f"t/{image.partition('_')[0]}/{image}_gtFine_labelIds.png",
        )
        for image in ids
    }
    found, notes = paired(match=CITYSCAPES)
    assert found == expected
    assert list(found) == ids
    assert notes == (
        "1 file in p matches no pattern and is left out: Thumbs.db",
        "12 files in t match no pattern and are left out: aachen/aachen_000000_000019_gtFine_color.png, "
        "aachen/aachen_000000_000019_gtFine_polygons.json, aachen/aachen_000001_000019_gtFine_color.png, "
        "aachen/aachen_000001_000019_gtFine_polygons.json, bonn/bonn_000000_000019_gtFine_color.png and 7 more",
    )


def test_one_folder_with_both(tree):
    tree("p/1_x.npy", "p/1_y.npy", "p/notes.txt")
    found = pair_files(Path("p"), Path("p"), match=("{id}_x.npy", "{id}_y.npy"))
    assert [(pair.name, pair.prediction, pair.target) for pair in found.pairs] == [
        ("1", Path("p/1_x.npy"), Path("p/1_y.npy"))
    ]
    assert set(found.notes) == {"1 file in p matches no pattern and is left out: notes.txt"}


def test_one_id_twice_is_refused(tree):
    tree("p/a/1.npy", "p/b/1.npy", "t/1.png")
    refused(
        "p/b/1.npy: expected one prediction file per image, got p/a/1.npy as well, and {id}.npy gives both the id 1",
        match=("{id}.npy", "{id}.png"),
    )


def test_partners_by_pattern(tree):
    tree("p/1.npy", "p/2.npy", "t/1_m.png", "t/3_m.png")
    message = refused(match=("{id}.npy", "{id}_m.png"))
    assert message.splitlines() == [
        "p/2.npy: expected a partner named 2_m.png in t, found none",
        "t/3_m.png: expected a partner named 3.npy in p, found none",
    ]


def test_no_file_matches(tree):
    tree("p/1.npy", "t/1.png")
    refused(
        "t: expected at least one mask named {id}_m.png, got none among 1 files: 1.png",
        match=("{id}.npy", "{id}_m.png"),
    )


@pytest.mark.parametrize("match", ["{id}.npy", ("{id}.npy",), ("{id}.npy", 3), ("{id}.npy", "{id}.png", "{id}.png")])
def test_two_patterns_are_needed(tree, match):
    tree("p/1.npy", "t/1.png")
    refused("`match=`: expected two patterns", match=match)


def layout(*predictions):
    return Layout(name="test", patterns=(predictions, ("{id}.png",)))


def test_the_earlier_pattern_of_a_layout_wins(tree):
    tree("p/1.npz", "p/1.npy", "p/1.pkl", "p/2.npz", "t/1.png", "t/2.png")
    found, notes = paired(layout=layout("{id}.npz", "{id}.npy"))
    assert found == {"1": ("p/1.npz", "t/1.png"), "2": ("p/2.npz", "t/2.png")}
    assert notes == (
        "1 file in p matches no pattern and is left out: 1.pkl",
        "1 file in p belongs to an image with another prediction file and is left out: 1.npy",
    )
    assert paired(layout=layout("{id}.npz"), match=("*{id}.npz", "{id}.png"))[0] == found  # the option wins


def test_files_of_two_kinds_are_not_mixed(tree):
    tree("p/1.npz", "p/1.npy", "p/2.npy", "p/3.npy", "t/1.png", "t/2.png", "t/3.png")
    message = refused(layout=layout("{id}.npz", "{id}.npy"))
    assert message == (
        "p: expected the prediction files of all images to be named alike, got 1 named {id}.npz (1) and only 2 named "
        "{id}.npy (2, 3); choose with `match=`, such as `match=('{id}.npy', '{id}.png')`"
    )
    way_out = re.search(r"\('(.*)', '(.*)'\)", message).groups()
    assert set(paired(match=way_out)[0]) == {"1", "2", "3"}
