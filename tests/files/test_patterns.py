"""Tests the patterns of file names: which names match, which id they give, and that hostile names take no time."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastloss.files.errors import FileError
from fastloss.files.folders import Found, composed
from fastloss.files.patterns import compiled
from fastloss.files.registry import readers, suffix


def id_of(pattern, name):
    end = suffix(Path(name))
    found = Found(name=composed(name), path=Path(name), suffix=end if end in readers() else "", regular=True)
    return compiled(pattern, "`match=`").id_of(found)


MATCHES = [
    # pattern, name, id
    ("{id}_leftImg8bit*.npy", "ulm_01_leftImg8bit.npy", "ulm_01"),
    ("{id}_leftImg8bit*.npy", "ulm_01_leftImg8bit_pred.npy", "ulm_01"),
    ("{id}_gtFine_labelIds.png", "ulm_01_gtFine_color.png", None),
    # A pattern without a folder matches in any folder. One with a folder describes the whole path.
    ("{id}_x.npy", "a/b/c_x.npy", "c"),
    ("a/{id}_x.npy", "a/c_x.npy", "c"),
    ("a/{id}_x.npy", "b/a/c_x.npy", None),
    ("a/{id}_x.npy", "a/b/c_x.npy", None),
    ("**/{id}_x.npy", "c_x.npy", "c"),
    ("**/{id}_x.npy", "a/b/c_x.npy", "c"),
    ("**/a/**/{id}.npy", "a/c.npy", "c"),
    ("**/a/**/{id}.npy", "x/a/y/a/c.npy", "c"),
    ("**/a/**/{id}.npy", "xa/c.npy", None),
    ("*/{id}.npy", "a/c.npy", "c"),
    ("*/{id}.npy", "c.npy", None),
    ("*/{id}.npy", "a/b/c.npy", None),
    ("{id}/mask.png", "case_1/mask.png", "case_1"),
    ("{id}/*.png", "case_1/seg.png", "case_1"),
    ("{id}.npy", "a/.npy", None),
    ("?{id}.npy", "ab.npy", "b"),
    ("?{id}.npy", "b.npy", None),
    ("a?{id}.npy", "a/b.npy", None),
    # Repeated ids are equal.
    ("{id}/{id}_seg.nii.gz", "BraTS20_001/BraTS20_001_seg.nii.gz", "BraTS20_001"),
    ("{id}/{id}_seg.nii.gz", "BraTS20_001/BraTS20_002_seg.nii.gz", None),
    ("**/{id}/{id}_seg.nii.gz", "a/b/b_seg.nii.gz", "b"),
    ("**/{id}/{id}_seg.nii.gz", "ab/b_seg.nii.gz", None),
    ("{id}{id}.npy", "abcabc.npy", "abc"),
    ("{id}*{id}.npy", "abxab.npy", "ab"),
    ("{id}*{id}.npy", "abxcd.npy", None),
    ("{id}*{id}.npy", "abxaba.npy", "a"),
    ("{id}-{id}-{id}.npy", "ab-ab-ab.npy", "ab"),
    ("*{id}-{id}*.npy", "ab-ab+c-c+d-d.npy", "c"),
    ("{id}/{id}*.npy", "*/*_x.npy", "*"),
    ("{id}/{id}*.npy", "?/ab.npy", None),
    # The shortest id is taken, and among these the leftmost.
    ("{id}*.npy", "abc.npy", "a"),
    ("*{id}.npy", "abc.npy", "c"),
    ("*{id}*.npy", "abc.npy", "a"),
    ("{id}_*.npy", "a_b_c.npy", "a"),
    ("*_{id}_*.npy", "x_long_y_s_z.npy", "y"),
    # The suffix: of any known format with `.*`, in upper or lower case.
    ("{id}.*", "a.b.nii.gz", "a.b"),
    ("{id}.*", "a.b.npy", "a.b"),
    ("{id}.*", "Thumbs.db", None),
    ("{id}.*", "noextension", None),
    ("{id}_leftImg8bit*.*", "a_leftImg8bit.x.npy", "a"),
    ("{id}.PNG", "a.png", "a"),
    ("{id}.png", "A.PNG", "A"),
    ("{id}_Mask.png", "a_mask.png", None),
    ("{id}.tif", "a.ome.tif", "a.ome"),
    ("{id}.npy", "a.npz", None),
    # Other characters are themselves.
    ("{id}(1)+[a-z]$^|.npy", "x(1)+[a-z]$^|.npy", "x"),
    ("[ab]{id}.npy", "ax.npy", None),
    ("{id}.x.npy", "a_x.npy", None),
    ("{x}{id}.npy", "{x}1.npy", "1"),
    ("{{id}}.npy", "{a}.npy", "a"),
    ("\\{id}.npy", "\\a.npy", "a"),
    ("e\u0301_{id}.npy", "\xe9_1.npy", "1"),
    ("\xe9_{id}.npy", "e\u0301_1.npy", "1"),
    ("{id}.npy", "line\nbreak.npy", "line\nbreak"),
    ("{id}.npy", "\udcff.npy", "\udcff"),
]


@pytest.mark.parametrize(("pattern", "name", "expected"), MATCHES)
def test_matches(pattern, name, expected):
    assert id_of(pattern, name) == expected


def by_regex(pattern, name):
    """Python's `re` with a lazy id. It gives the leftmost id, not the shortest, so only whether there is one counts."""
    text = re.escape(pattern.removesuffix(".npy"))
    text = text.replace(r"\*\*/", "(?:[^/]*/)*").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    text = text.replace(r"\{id\}", "(?P<id>[^/]+?)", 1).replace(r"\{id\}", "(?P=id)")
    return re.fullmatch(text + r"\.npy", name if "/" in pattern else name.rpartition("/")[2], re.DOTALL)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "*", "?", "{id}", "/", "**/"]), max_size=7),
    st.lists(st.sampled_from("aab/"), min_size=1, max_size=9),
)
def test_against_regular_expressions(tokens, letters):
    pattern, name = "".join(tokens) + "{id}.npy", "".join(letters).strip("/") + ".npy"
    if name == ".npy" or "//" in name or "**" in re.sub(r"(^|/)(\*\*/)+", "/", pattern):
        return
    try:
        compiled(pattern, "")
    except FileError:
        return
    match = by_regex(pattern, name)
    got = id_of(pattern, name)
    assert (got is None) == (match is None)
    if match is not None:
        assert len(got) <= len(match["id"])
        assert by_regex(pattern.replace("{id}", got), name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{id}" + "*a" * 20 + "b.npy", "a" * 4000 + ".npy"),
        ("*" * 1 + "{id}*a*a*a*a*a*a*c.npy", "a" * 4000 + ".npy"),
        ("**/" * 10 + "{id}/b.npy", "a/" * 2000 + "a.npy"),
        ("*{id}*{id}*{id}x*{id}.npy", "ab" * 127 + "x.npy"),
        ("**/{id}/{id}_seg.npy", "/".join(["a" * 250] * 15) + "_no.npy"),
        ("*{id}x{id}*.npy", ("abcdefg" * 36)[:120] + "x" + ("hijklmn" * 36)[:120] + ".npy"),
    ],
)
def test_hostile_names_take_no_time(pattern, name):
    """Python's `re` needs minutes to years for some of these. The bound allows for a busy machine."""
    start = time.process_time()
    assert id_of(pattern, name) is None
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a.npy", "expected a pattern with {id} for the image's id, such as {id}_mask.png, got a.npy"),
        ("{ID}.npy", "expected a pattern with {id}"),
        ("", "expected a pattern with {id}"),
        ("{id}", "ends with .* or with the suffix of a known format (.npy"),
        ("{id}*", "ends with .*"),
        ("{id}.db", "ends with .*"),
        ("{id}.np?", "ends with .*"),
        ("/{id}.npy", "a path below the folder"),
        ("../{id}.npy", "a path below the folder"),
        ("a//{id}.npy", "a path below the folder"),
        ("a**/{id}.npy", "** as the whole name of a folder"),
        ("{id}**.npy", "** as the whole name of a folder"),
        ("\x1b[31m", "got \\x1b[31m"),
    ],
)
def test_patterns_that_are_refused(pattern, message):
    with pytest.raises(FileError, match=re.escape(message)) as caught:
        compiled(pattern, "`match=`")
    assert str(caught.value).startswith("`match=`: expected ")
    assert "\x1b" not in str(caught.value)


def test_an_id_is_filled_into_messages():
    assert compiled("{id}/{id}_seg.*", "").named("a") == "a/a_seg.*"
