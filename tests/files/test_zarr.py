"""Tests windows of Zarr arrays and OME-Zarr images, and that hostile stores are refused."""

import copy
import json
import os
import shutil
import warnings
import zipfile
from contextlib import ExitStack

import numpy as np
import pytest
from file_checks import check_rows_need_only_their_memory, check_windows, most_memory, read, refused, samples

from fastloss.files import stored, zarr_files
from fastloss.files.registry import open_stored

zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")

SHAPE, CHUNKS, SHARDS = (3, 45, 50), (2, 16, 20), (4, 32, 40)
FULL = {"write_empty_chunks": True}
V3 = zarr.codecs
FORMS = {
    "2": {"zarr_format": 2},
    "2-none": {"zarr_format": 2, "compressors": None},
    "2-blosc": {"zarr_format": 2, "compressors": numcodecs.Blosc("lz4")},
    "2-blosc-bits": {"zarr_format": 2, "compressors": numcodecs.Blosc("zstd", shuffle=2)},
    "2-zlib": {"zarr_format": 2, "compressors": numcodecs.Zlib()},
    "2-gzip": {"zarr_format": 2, "compressors": numcodecs.GZip()},
    "2-bz2": {"zarr_format": 2, "compressors": numcodecs.BZ2()},
    "2-lzma": {"zarr_format": 2, "compressors": numcodecs.LZMA()},
    "2-lz4": {"zarr_format": 2, "compressors": numcodecs.LZ4()},
    "2-fortran": {"zarr_format": 2, "order": "F"},
    "2-slash": {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "3": {},
    "3-none": {"compressors": None},
    "3-blosc": {"compressors": V3.BloscCodec(cname="lz4")},
    "3-gzip": {"compressors": V3.GzipCodec()},
    "3-zstd-checksum": {"compressors": V3.ZstdCodec(checksum=True)},
    "3-crc32c": {"compressors": V3.Crc32cCodec()},
    "3-big": {"serializer": V3.BytesCodec(endian="big")},
    "3-transpose": {"filters": V3.TransposeCodec(order=(2, 0, 1))},
    "3-two-transposes": {"filters": [V3.TransposeCodec(order=(2, 0, 1)), V3.TransposeCodec(order=(1, 2, 0))]},
    "3-dot": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    "3-v2-keys": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
    "3-shards": {"shards": SHARDS},
    "3-shards-gzip": {"shards": SHARDS, "compressors": V3.GzipCodec()},
    "3-shards-transpose": {"shards": SHARDS, "filters": V3.TransposeCodec(order=(2, 1, 0))},
}


def create(path, array, *, full=True, chunks=CHUNKS, **options):
    """Write an array with zarr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of codecs that its specification lacks
        config = FULL if full else {}
        order = options.pop("order", None)
        config = config | ({"order": order} if order else {})
        made = zarr.create_array(
            path, shape=array.shape, chunks=chunks, dtype=array.dtype, config=config, overwrite=True, **options
        )
        made[...] = array
    return path


def metadata(path, change):
    """Change the metadata of an array of version 2 or 3."""
    file = path / "zarr.json"
    file = file if file.exists() else path / ".zarray"
    meta = json.loads(file.read_text())
    change(meta)
    file.write_text(json.dumps(meta))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_windows_have_the_bits_of_the_array(tmp_path, form):
    for dtype in ("f2", "f4", "f8", "?", "u1", "i2", "u8"):
        for order in "<>" if form.startswith("2") else "<":
            array = samples(SHAPE, np.dtype(dtype).newbyteorder(order))
            create(tmp_path / "a.zarr", array, **FORMS[form])
            found = check_windows(tmp_path / "a.zarr", array, 8)
            assert found.chunks == CHUNKS
            assert found.axes is None


@pytest.mark.parametrize("form", ["2", "3", "3-shards"])
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("prefix", ["", "inner.zarr/"])
def test_zip(tmp_path, form, packing, prefix):
    array = samples(SHAPE, "f4")
    folder = create(tmp_path / "a.zarr", array, **FORMS[form])
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w", packing) as archive:
        for file in folder.rglob("*"):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    check_windows(tmp_path / "a.zarr.zip", array, 8)


@pytest.mark.parametrize("form", [2, 3])
def test_groups_and_keys(tmp_path, form):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=form)
    a, b = samples((10, 10), "f4", 1), samples((10, 10), "u1", 2)
    for name, array in (("a", a), ("deep/b", b)):
        group.create_array(name, shape=array.shape, chunks=(5, 5), dtype=array.dtype, config=FULL)[...] = array
    check_windows(tmp_path / "a.zarr", a, 3, key="a")
    check_windows(tmp_path / "a.zarr", b, 3, key="deep/b")
    check_windows(tmp_path / "a.zarr", b, 3, key="deep")
    refused(tmp_path / "a.zarr", "a, deep/b", "`key=`")
    refused(tmp_path / "a.zarr", "a, deep/b", "`key=`", key="c")
    for key in ("../a.zarr/a", "a/../a", "/", "a//b", "c:\\x", "a\0"):
        refused(tmp_path / "a.zarr", "key=", key=key)
    shutil.rmtree(tmp_path / "a.zarr" / "deep")
    check_windows(tmp_path / "a.zarr", a, 3)


def ome(path, version, axes, scale, overall=None, unit="micrometer"):
    """Write an OME-Zarr image of two resolutions, and labels."""
    form = 2 if version == "0.4" else 3
    group = zarr.create_group(path, zarr_format=form, overwrite=True)
    array = samples((2, 3, 8, 20, 30)[-len(axes) :], "f4")
    for name, part in (("0", array), ("1", array[..., ::2, ::2]), ("labels/seg", array[0])):
        group.create_array(name, shape=part.shape, chunks=(4,) * part.ndim, dtype="f4", config=FULL)[...] = part
    kinds = {"t": "time", "c": "channel"}
    image = {
        "axes": [
            {"name": a, "type": kinds[a]} if a in kinds else {"name": a, "type": "space", "unit": unit} for a in axes
        ],
        "datasets": [
            {"path": name, "coordinateTransformations": [{"type": "scale", "scale": [s * f for s in scale]}]}
            for name, f in (("0", 1), ("1", 2))
        ],
    }
    if overall:
        image["coordinateTransformations"] = [{"type": "scale", "scale": overall}]
    images = {"multiscales": [image | ({"version": "0.4"} if version == "0.4" else {})]}
    group.attrs.update(images if version == "0.4" else {"ome": images | {"version": "0.5"}})
    return array


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome(tmp_path, version):
    path = tmp_path / "a.ome.zarr"
    array = ome(path, version, "tczyx", [1, 1, 2, 0.5, 0.25])
    found = check_windows(path, array, 3)
    assert (found.axes, found.spacing) == (("t", "c", "z", "y", "x"), (2, 0.5, 0.25))
    low = check_windows(path, array[..., ::2, ::2], 3, key="1")
    assert (low.axes, low.spacing) == (("t", "c", "z", "y", "x"), (4, 1, 0.5))
    assert check_windows(path, array[0], 3, key="labels/seg").spacing is None
    ome(path, version, "zyx", [2, 0.5, 0.25], overall=[10, 10, 10])
    assert read(path)[0].spacing == (20, 5, 2.5)
    ome(path, version, "zyx", [2, 0, 0.25])
    assert read(path)[0].spacing is None


def test_names_of_axes(tmp_path):
    array = samples(SHAPE, "f4")
    create(tmp_path / "a.zarr", array, dimension_names=["channel", "Y", "lon"])
    assert read(tmp_path / "a.zarr")[0].axes == ("c", "y", None)
    create(tmp_path / "a.zarr", array, zarr_format=2, attributes={"_ARRAY_DIMENSIONS": ["z", "y", "x"]})
    assert read(tmp_path / "a.zarr")[0].axes == ("z", "y", "x")


@pytest.mark.parametrize("form", ["2", "3", "3-shards"])
def test_missing_chunks(tmp_path, form):
    """They are the fill value of a mask, and refused in an array of floats."""
    mask, logits = np.zeros(SHAPE, "u1"), np.zeros(SHAPE, "f4")
    mask[0, :16, :20] = logits[0, :16, :20] = 1
    create(tmp_path / "a.zarr", mask, full=False, **FORMS[form])
    check_windows(tmp_path / "a.zarr", mask, 8)
    create(tmp_path / "a.zarr", logits, full=False, **FORMS[form])
    refused(tmp_path / "a.zarr", "expected every chunk")
    create(tmp_path / "a.zarr", mask, full=False, fill_value=7, **FORMS[form])
    check_windows(tmp_path / "a.zarr", mask, 8)


@pytest.mark.parametrize("shards", [None, (8, 512, 2048)])
def test_rows_of_chunks_need_only_their_memory(tmp_path, shards):
    """The array has 64 MiB, and a row of chunks 8 MiB."""
    array = samples((8, 2048, 256), "f2").repeat(8, axis=2)
    create(tmp_path / "a.zarr", array, chunks=(1, 256, 256), shards=shards)
    check_rows_need_only_their_memory(tmp_path / "a.zarr", array)


LIES = {
    "pickle": ("2", lambda m: m.update(compressor={"id": "pickle"}), "never run"),
    "filter": ("2", lambda m: m.update(filters=[{"id": "pickle"}]), "never run"),
    "json2": ("2", lambda m: m.update(filters=[{"id": "json2"}]), "never run"),
    "objects": ("2", lambda m: m.update(dtype="|O"), "numbers"),
    "structure": ("2", lambda m: m.update(dtype=[["a", "<f4"]]), "numbers"),
    "text": ("2", lambda m: m.update(dtype="<U4"), "numbers"),
    "long-double": ("2", lambda m: m.update(dtype="<f16"), "numbers"),
    "several": ("2", lambda m: m.update(dtype="<f4,<f4"), "numbers"),
    "shape": ("2", lambda m: m.update(shape=[-1, 45, 50]), "lengths"),
    "shape-text": ("2", lambda m: m.update(shape="abc"), "lengths"),
    "shape-bool": ("2", lambda m: m.update(shape=[True, 45, 50]), "lengths"),
    "chunks-0": ("2", lambda m: m.update(chunks=[0, 16, 20]), "lengths"),
    "chunks-2d": ("2", lambda m: m.update(chunks=[16, 20]), "axes"),
    "many-chunks": ("2", lambda m: m.update(shape=[10**9, 10**9, 10**9]), "chunks"),
    "huge-chunks": ("2", lambda m: m.update(shape=[10**6] * 3, chunks=[10**6] * 3), "expected"),
    "separator": ("2", lambda m: m.update(dimension_separator="/../"), "between the parts"),
    "version": ("2", lambda m: m.update(zarr_format=1), "version 2 or 3"),
    "endian": ("3", lambda m: m["codecs"][0].update(configuration={"endian": "odd"}), ""),
    "vlen": ("3", lambda m: m["codecs"].insert(0, {"name": "vlen-utf8"}), "never run"),
    "no-bytes": ("3", lambda m: m.update(codecs=[]), "order"),
    "two-bytes": ("3", lambda m: m["codecs"].append(m["codecs"][0]), "order"),
    "bombs-in-bombs": ("3", lambda m: m["codecs"].append({"name": "gzip"}), "at most one compressor"),
    "type": ("3", lambda m: m.update(data_type="string"), "numbers"),
    "type-dict": ("3", lambda m: m.update(data_type={"name": "struct"}), "numbers"),
    "transformers": ("3", lambda m: m.update(storage_transformers=[{"name": "x"}]), "transformers"),
    "turn": ("3-transpose", lambda m: m["codecs"][0]["configuration"].update(order=[0, 0, 1]), "orders"),
    "parts": ("3-shards", lambda m: m["codecs"][0]["configuration"].update(chunk_shape=[3, 16, 20]), "whole chunks"),
    "parts-2d": ("3-shards", lambda m: m["codecs"][0]["configuration"].update(chunk_shape=[16, 20]), ""),
    "nested": (
        "3-shards",
        lambda m: m["codecs"][0]["configuration"].update(codecs=copy.deepcopy(m["codecs"])),
        "shards without",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_metadata_that_lie(tmp_path, name):
    form, change, part = LIES[name]
    path = create(tmp_path / "a.zarr", samples(SHAPE, "f4"), **FORMS[form])
    metadata(path, change)
    refused(path, part)


def test_metadata_that_are_none(tmp_path):
    path = create(tmp_path / "a.zarr", samples(SHAPE, "f4"))
    for text in ("", "[]", "1", "{}", "[" * 100000, '{"zarr_format": 3, "node_type": "array"}', "x" * 2**23):
        (path / "zarr.json").write_text(text)
        refused(path)
    (path / "zarr.json").unlink()
    refused(path, "no array")


def test_an_image_outside(tmp_path):
    create(tmp_path / "b.zarr", samples(SHAPE, "f4"))
    ome(tmp_path / "a.ome.zarr", "0.5", "zyx", [1, 1, 1])
    meta = json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())
    meta["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = "../b.zarr"
    (tmp_path / "a.ome.zarr" / "zarr.json").write_text(json.dumps(meta))
    refused(tmp_path / "a.ome.zarr", "../b.zarr")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
@pytest.mark.parametrize("what", ["c/0/0/0", "c/0/0", "c", "zarr.json"])
def test_links_in_the_store(tmp_path, what):
    path = create(tmp_path / "a.zarr", samples(SHAPE, "f4"))
    (path / what).rename(tmp_path / "elsewhere")
    (path / what).symlink_to(tmp_path / "elsewhere")
    refused(path, "link")
    (tmp_path / "b.zarr").symlink_to(create(tmp_path / "c.zarr", samples(SHAPE, "f4")))
    read(tmp_path / "b.zarr")  # the user's own link


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_as_a_chunk(tmp_path):
    path = create(tmp_path / "a.zarr", samples(SHAPE, "f4"))
    (path / "c/0/0/0").unlink()
    os.mkfifo(path / "c/0/0/0")
    refused(path, "pipe")


COMPRESSED = [form for form in FORMS if "none" not in form and "crc32c" not in form]


@pytest.mark.parametrize("form", COMPRESSED)
def test_a_chunk_of_another_size(tmp_path, form):
    """Chunks of a larger array in the place of those of a smaller one take no memory."""
    large = create(
        tmp_path / "b.zarr",
        np.zeros((2, 2048, 2048), "f4"),
        chunks=(2, 2048, 2048),
        **FORMS[form] | ({"shards": None} if "shards" in FORMS[form] else {}),
    )
    small = create(tmp_path / "a.zarr", np.zeros(SHAPE, "f4"), **FORMS[form])
    first = sorted(f for f in large.rglob("*") if f.is_file() and f.name not in ("zarr.json", ".zarray", ".zattrs"))[0]
    for file in small.rglob("*"):
        if file.is_file() and file.name not in ("zarr.json", ".zarray", ".zattrs"):
            file.write_bytes(first.read_bytes())
    with most_memory() as most:
        refused(small)
    assert most() < (2**24 if form == "2-lzma" else 2**21)  # LZMA has a dictionary of 8 MiB


@pytest.mark.parametrize("form", FORMS)
def test_damaged_chunks(tmp_path, form):
    array = samples(SHAPE, "f4")
    path = create(tmp_path / "a.zarr", array, **FORMS[form])
    chunk = max((f for f in path.rglob("*") if f.is_file() and "json" not in f.name), key=lambda f: f.stat().st_size)
    data = chunk.read_bytes()
    for size in (0, 1, 4, 10, 16, len(data) // 2, len(data) - 1):
        chunk.write_bytes(data[:size])
        refused(path)
    chunk.write_bytes(b"\xff" * len(data))
    if "none" not in form:
        refused(path)


def test_a_zstd_chunk_of_unknown_size(tmp_path):
    """A stream does not have its size in its header. It is read if it cannot unpack to much."""
    imagecodecs = pytest.importorskip("imagecodecs")
    del imagecodecs
    array = np.zeros((64, 64), "f4")
    path = create(tmp_path / "a.zarr", array, chunks=(64, 64))
    blocks = b"\x28\xb5\x2f\xfd\x00\x58" + (16384 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    (path / "c/0/0").write_bytes(blocks)
    check_windows(path, array, 3)
    many = (2**17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    bomb = b"\x28\xb5\x2f\xfd\x00\x58" + many * 8000 + (1 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    (path / "c/0/0").write_bytes(bomb)
    refused(path, "bomb")


def test_bombs(tmp_path, monkeypatch):
    path = create(tmp_path / "a.zarr", np.zeros((1000, 1000), "f4"), chunks=(1000, 1000))
    monkeypatch.setattr(stored, "BOMB_BYTES", 2**20)
    refused(path, "archive bomb")
    with ExitStack() as stack, pytest.raises(ValueError, match=r"a\.zarr.*archive bomb"):
        open_stored(path, None, stack).read((slice(0, 1), slice(0, 1)))


def test_many_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_files, "MOST_NODES", 20)
    zarr.create_group(tmp_path / "a.zarr")
    for k in range(30):
        (tmp_path / "a.zarr" / f"{k}").mkdir()
    refused(tmp_path / "a.zarr", "at most 20")


def test_a_file_instead_of_a_folder(tmp_path):
    (tmp_path / "a.zarr").write_bytes(b"x")
    refused(tmp_path / "a.zarr", "expected a folder")
    (tmp_path / "a.zarr.zip").write_bytes(b"PK\x03\x04")
    refused(tmp_path / "a.zarr.zip")
