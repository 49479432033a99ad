"""Tests windows of TIFF files: each layout and codec gives the bits of the array, and broken files are refused."""

import io
import struct
import zlib
from contextlib import ExitStack, suppress

import numpy as np
import pytest
from file_checks import check_rows_need_only_their_memory, check_windows, most_memory, read, refused, samples

from fastloss.files import stored, tiff_segments
from fastloss.files.errors import FileError
from fastloss.files.registry import open_stored

tifffile = pytest.importorskip("tifffile")

SHAPE = (3, 75, 100)
LAYOUTS = {
    "pages": {},
    "pages-in-strips": {"rowsperstrip": 16},
    "pages-in-tiles": {"tile": (32, 48)},
    "planar": {"planarconfig": "separate"},
    "planar-in-strips": {"planarconfig": "separate", "rowsperstrip": 16},
    "planar-in-tiles": {"planarconfig": "separate", "tile": (32, 48)},
    "samples": {"planarconfig": "contig"},
    "samples-in-strips": {"planarconfig": "contig", "rowsperstrip": 16},
    "samples-in-tiles": {"planarconfig": "contig", "tile": (32, 48)},
    "volume": {"volumetric": True, "tile": (16, 32, 48)},
}
CODECS = (None, "zlib", "lzw", "zstd", "packbits", "lzma")


def array_of(layout, dtype):
    """An array in the axes that the layout has."""
    if layout == "volume":
        return samples((20, 75, 100), dtype)
    values = samples(SHAPE, dtype)
    return np.ascontiguousarray(np.moveaxis(values, 0, -1)) if layout.startswith("samples") else values


def write(path, array, layout="pages", **options):
    options = {"photometric": "minisblack", **LAYOUTS[layout], **options}
    if options.get("compression") in (None, "zlib"):
        tifffile.imwrite(path, array, **options)
    else:
        pytest.importorskip("imagecodecs")
        tifffile.imwrite(path, array, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", CODECS)
def test_windows_have_the_bits_of_the_array(tmp_path, layout, codec):
    for dtype in ("f2", "f4", "f8", "u1", "i2", "u4") if codec != "lzma" else ("f2",):  # it is slow
        for order in "<>":
            array = array_of(layout, dtype)
            write(tmp_path / "a.tif", array, layout, compression=codec, byteorder=order, bigtiff=dtype == "f8")
            found = check_windows(tmp_path / "a.tif", array, 8)
            assert found.mapped == (codec is None and ("tiles" not in layout and layout != "volume"))


@pytest.mark.parametrize("layout", ["pages-in-strips", "planar-in-tiles", "samples-in-tiles"])
@pytest.mark.parametrize(("predictor", "dtype"), [(2, "u1"), (2, "i2"), (2, "u4"), (3, "f2"), (3, "f4"), (3, "f8")])
def test_predictors(tmp_path, layout, predictor, dtype):
    pytest.importorskip("imagecodecs")
    for codec in ("zlib", "lzw", "zstd"):
        for order in "<>":
            array = array_of(layout, dtype)
            write(tmp_path / "a.tif", array, layout, compression=codec, byteorder=order, predictor=predictor)
            check_windows(tmp_path / "a.tif", array, 8)


@pytest.mark.parametrize("codec", ["jpeg", "png", "webp", "jpeg2000"])
@pytest.mark.parametrize("layout", ["strips", "tiles"])
def test_pictures_as_segments(tmp_path, codec, layout):
    pytest.importorskip("imagecodecs")
    array = samples((75, 100, 3), "u1")
    options = {"tile": (32, 48)} if layout == "tiles" else {"rowsperstrip": 32}
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", compression=codec, **options)
    whole = tifffile.imread(tmp_path / "a.tif")
    assert check_windows(tmp_path / "a.tif", whole, 10).axes == ("y", "x", "rgb")


def test_a_mask_of_one_bit_per_pixel(tmp_path):
    pytest.importorskip("imagecodecs")
    array = samples((37, 50), "?")
    for codec in (None, "zlib", "packbits"):
        tifffile.imwrite(tmp_path / "a.tif", array, compression=codec, rowsperstrip=10)
        check_windows(tmp_path / "a.tif", array)


@pytest.mark.parametrize("ends", ["no-gap", "gap"])
def test_uncompressed_pages(tmp_path, ends):
    """Pages with a directory between them are still read without a copy of the whole."""
    array = samples(SHAPE, "f4")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in array:
            file.write(page, contiguous=ends == "no-gap", metadata=None if ends == "gap" else {})
    found = check_windows(tmp_path / "a.tif", array)
    assert found.mapped == (ends == "no-gap")


AXES = [
    ({"photometric": "minisblack"}, (3, 20, 30), "f4", (None, "y", "x")),
    ({"photometric": "minisblack", "planarconfig": "separate"}, (3, 20, 30), "f4", ("c", "y", "x")),
    ({"photometric": "minisblack", "planarconfig": "contig"}, (20, 30, 5), "f4", ("y", "x", "c")),
    ({"photometric": "rgb"}, (20, 30, 3), "u1", ("y", "x", "rgb")),
    ({"photometric": "rgb"}, (20, 30, 4), "u1", ("y", "x", None)),
    ({"photometric": "rgb", "planarconfig": "separate"}, (3, 20, 30), "u1", (None, "y", "x")),
    ({"photometric": "rgb"}, (20, 30, 3), "f4", ("y", "x", "c")),
    ({"imagej": True, "metadata": {"axes": "TZCYX"}}, (2, 4, 3, 20, 30), "f4", ("t", "z", "c", "y", "x")),
    ({"ome": True, "metadata": {"axes": "CZYX"}}, (3, 4, 20, 30), "f4", ("c", "z", "y", "x")),
    ({"volumetric": True, "tile": (16, 16, 16), "photometric": "minisblack"}, (20, 20, 30), "f4", ("z", "y", "x")),
    ({"photometric": "minisblack"}, (20, 30), "u1", ("y", "x")),
]


@pytest.mark.parametrize(("options", "shape", "dtype", "axes"), AXES)
def test_axes(tmp_path, options, shape, dtype, axes):
    name = "a.ome.tif" if options.get("ome") else "a.tif"
    array = samples(shape, dtype)
    tifffile.imwrite(tmp_path / name, array, **options)
    assert check_windows(tmp_path / name, array, 5).axes == axes


def test_spacing(tmp_path):
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0}
    unit = {f"PhysicalSize{a}Unit": "mm" for a in "XYZ"}
    imagej = {"axes": "ZYX", "spacing": 3.0, "unit": "mm"}
    volume, plain = np.zeros((4, 20, 30), "f4"), np.zeros((20, 30), "f4")
    cases = [
        (volume, {"ome": True, "metadata": {"axes": "ZYX", **size, **unit}}, (2.0, 0.25, 0.5)),
        (volume, {"ome": True, "metadata": {"axes": "ZYX", **size}}, (2.0, 0.25, 0.5)),
        (volume, {"ome": True, "metadata": {"axes": "ZYX", **size, **unit, "PhysicalSizeZUnit": "m"}}, None),
        (volume, {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.5}}, None),
        (plain, {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}}, (0.25, 0.5)),
        (volume, {"imagej": True, "metadata": imagej, "resolution": (2, 4)}, (3.0, 0.25, 0.5)),
        (volume, {"imagej": True, "metadata": {"axes": "ZYX"}, "resolution": (2, 4)}, None),
        (plain, {"resolution": (300, 300), "resolutionunit": "inch"}, None),
    ]
    for array, options, spacing in cases:
        name = "a.ome.tif" if options.get("ome") else "a.tif"
        tifffile.imwrite(tmp_path / name, array, **options)
        assert read(tmp_path / name)[0].spacing == spacing, options


@pytest.mark.parametrize("options", [{}, {"planarconfig": "separate"}], ids=["pages", "planar"])
def test_rows_of_tiles_need_only_their_memory(tmp_path, options):
    """The array has 64 MiB. One row of tiles has 8 MiB, which is returned; a tile is decoded at a time."""
    pytest.importorskip("imagecodecs")
    array = samples((8, 2048, 256), "f2").repeat(8, axis=2)
    tifffile.imwrite(
        tmp_path / "a.tif",
        array,
        photometric="minisblack",
        tile=(256, 256),
        compression="zlib",
        compressionargs={"level": 1},
        **options,
    )
    check_rows_need_only_their_memory(tmp_path / "a.tif", array)


def changed(change=None, array=None, **options):
    """The bytes of a TIFF in which `change(data, tags, page)` has altered something."""
    handle = io.BytesIO()
    array = samples((60, 80), "f4") if array is None else array
    usual = {"photometric": "minisblack", "compression": "zlib", "rowsperstrip": 16}
    tifffile.imwrite(handle, array, **usual | options)
    data = bytearray(handle.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        tags = {t.name: t for t in page.tags}
        if change is not None:
            change(data, tags, page)
    return bytes(data)


def put(name, *values, at=0, form="I"):
    """Write values of a tag, from its value number `at` on."""

    def change(data, tags, page):
        size = struct.calcsize("<" + form)
        struct.pack_into(f"<{len(values)}{form}", data, tags[name].valueoffset + at * size, *values)

    return change


def segment(number, packed):
    """Put other bytes in the place of a strip or tile."""

    def change(data, tags, page):
        at = len(data)
        data += packed
        for name, value in (("StripOffsets", at), ("StripByteCounts", len(packed))):
            values = list(tags[name].value)
            values[number] = value
            struct.pack_into("<HII", data, tags[name].offset + 2, 4, len(values), len(data))
            data += struct.pack(f"<{len(values)}I", *values)

    return change


def long_segment(codec):
    """Sixteen rows of 80 floats are promised; 64 MiB of zeros come."""
    imagecodecs = pytest.importorskip("imagecodecs")
    if codec == "packbits":
        return b"\x81\0" * 2**19  # 128 zeros each
    return getattr(imagecodecs, f"{codec}_encode")(bytes(2**26))


@pytest.mark.parametrize("codec", ["zlib", "zstd", "packbits", "lzw", "lzma"])
def test_a_segment_that_unpacks_to_more_than_promised_takes_no_memory(tmp_path, codec):
    bomb = long_segment(codec)
    (tmp_path / "a.tif").write_bytes(changed(segment(1, bomb), compression=codec))
    with most_memory() as most:
        if codec in ("lzw", "lzma"):  # these decoders stop at the promised size, without an error
            assert not read(tmp_path / "a.tif")[1][16:32].any()
        else:
            refused(tmp_path / "a.tif")
    assert most() < 2**22 + len(bomb)


@pytest.mark.parametrize("codec", ["zlib", "zstd", "packbits", "lzw", "lzma"])
def test_a_segment_that_unpacks_to_less_than_promised(tmp_path, codec):
    imagecodecs = pytest.importorskip("imagecodecs")
    short = getattr(imagecodecs, f"{codec}_encode")(bytes(16 * 80 * 4 - 80))
    (tmp_path / "a.tif").write_bytes(changed(segment(1, short), compression=codec))
    refused(tmp_path / "a.tif")


@pytest.mark.parametrize("codec", ["jpeg", "png", "webp", "jpeg2000"])
def test_a_picture_that_is_larger_than_its_segment(tmp_path, codec):
    imagecodecs = pytest.importorskip("imagecodecs")
    name = {"jpeg2000": "jpeg2k"}.get(codec, codec)
    large = getattr(imagecodecs, f"{name}_encode")(np.zeros((3000, 4000, 3), "u1"))
    small = samples((60, 80, 3), "u1")
    for bad, part in ((large, "3000 x 4000"), (b"\0" * 100, "picture"), (large[:10], "without a size")):
        data = changed(segment(1, bad), small, photometric="rgb", compression=codec)
        (tmp_path / "a.tif").write_bytes(data)
        refused(tmp_path / "a.tif", part)


def test_bomb_of_one_segment(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "BOMB_BYTES", 2**20)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((1000, 1000), "f4"), compression="zlib", rowsperstrip=1000)
    with ExitStack() as stack:
        found = open_stored(tmp_path / "a.tif", None, stack)
        with pytest.raises(ValueError, match=r"a\.tif.*archive bomb"):
            found.read((slice(0, 1), slice(0, 1)))


HOSTILE = {
    "empty": (b"", ""),
    "magic": (b"II*\0", ""),
    "directory-beyond": (b"II*\0" + struct.pack("<I", 10**9), ""),
    "count": (lambda: changed(put("StripByteCounts", 65535, form="H")), "truncated"),
    "offset": (lambda: changed(put("StripOffsets", 2**32 - 1, at=2)), "truncated"),
    "offset-0": (lambda: changed(put("StripOffsets", 0, at=2)), "missing"),
    "count-0": (lambda: changed(put("StripByteCounts", 0, at=2, form="H")), "missing"),
    "rows-0": (lambda: changed(put("RowsPerStrip", 0, form="H")), ""),
    "tall": (lambda: changed(put("ImageLength", 2**30, form="I")), ""),
    "compression": (lambda: changed(put("Compression", 50002, form="H")), "known compression"),
    "garbage": (lambda: changed(segment(1, b"garbage" * 20)), ""),
    "cut-stream": (lambda: changed(segment(1, zlib.compress(bytes(16 * 80 * 4))[:-6])), ""),
    "mixed": (lambda: changed(put("BitsPerSample", 13, form="H")), ""),
}


def test_a_frame_in_another_place(tmp_path):
    """Later pages have only offsets. tifffile takes the sizes of their strips from the first page."""
    array = samples(SHAPE, "f4")
    data = bytearray(changed(None, array, compression=None))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[2].tags["StripOffsets"]
        offsets = list(tag.value)
    first = bytes(data[offsets[0] : offsets[1]])
    offsets[0] = len(data)
    data += first
    struct.pack_into(f"<{len(offsets)}I", data, tag.valueoffset, *offsets)
    (tmp_path / "a.tif").write_bytes(data)
    assert not check_windows(tmp_path / "a.tif", array, 5).mapped


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(tmp_path, name):
    data, part = HOSTILE[name]
    (tmp_path / "a.tif").write_bytes(data if isinstance(data, bytes) else data())
    refused(tmp_path / "a.tif", part)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", [None, "zlib", "lzw"])
def test_truncated_anywhere(tmp_path, layout, codec):
    """A shorter file is refused, or has the same values: tifffile may write bytes at the end that nobody needs."""
    array = array_of(layout, "f4")
    write(tmp_path / "whole.tif", array, layout, compression=codec)
    data = (tmp_path / "whole.tif").read_bytes()
    for keep in (0, 7, 100, 0.1, 0.3, 0.5, 0.7, 0.9, len(data) - 1):
        size = int(keep * len(data)) if isinstance(keep, float) else keep
        (tmp_path / "a.tif").write_bytes(data[:size])
        if keep == len(data) - 1:
            with suppress(FileError):
                np.testing.assert_array_equal(read(tmp_path / "a.tif")[1], array)
        else:
            refused(tmp_path / "a.tif")


def test_missing_imagecodecs(tmp_path, monkeypatch):
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), "f4"), compression="lzw")
    tifffile.imwrite(tmp_path / "plain.tif", np.ones((20, 30), "f4"))
    monkeypatch.setattr(tiff_segments, "find_spec", lambda name: None)
    message = refused(tmp_path / "a.tif", 'pip install "fastloss[images]"')
    assert "\n" not in message
    assert read(tmp_path / "plain.tif")[1].all()


def test_several_arrays_and_pages_of_two_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((20, 30), "f4"), metadata=None)
        file.write(np.zeros((20, 31), "f4"), metadata=None)
    refused(tmp_path / "a.tif", "got 2")
