"""Tests GeoTIFF and COG: windows, nodata, georeferencing, and that nothing next to the file changes the values."""

import struct
import warnings
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from file_checks import check_windows, most_memory, read, refused, samples

from fastloss.files import geo, stored
from fastloss.files.registry import open_stored

rasterio = pytest.importorskip("rasterio")
tifffile = pytest.importorskip("tifffile")

PLACE = rasterio.Affine(10, 0, 500000, 0, -20, 4600000)
FORMS = {
    "strips": {},
    "tiles": {"tiled": True, "blockxsize": 32, "blockysize": 16},
    "deflate": {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate"},
    "deflate-predictor": {"compress": "deflate", "predictor": 2},
    "lzw": {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "lzw"},
    "zstd": {"compress": "zstd"},
    "bigtiff": {"BIGTIFF": "YES", "compress": "deflate"},
    "big-endian": {"ENDIANNESS": "BIG"},
    "cog": {"driver": "COG", "blocksize": 128, "compress": "deflate"},
}


def write(path, array, crs="EPSG:32633", transform=PLACE, **options):
    """Write an array with rasterio. The last axes are rows and columns."""
    bands = array.reshape(-1, *array.shape[-2:])
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": array.dtype.name}
    scales = options.pop("scales", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an image without a place
        with rasterio.open(path, "w", **profile | {"crs": crs, "transform": transform} | options) as file:
            file.write(bands)
            if scales:
                file.scales, file.offsets = scales
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("interleave", ["band", "pixel"])
def test_windows_have_the_bits_of_the_array(tmp_path, form, interleave):
    for dtype in ("u1", "i2", "u4", "f4", "f8"):
        for shape in ((75, 100), (5, 75, 100)):
            if form == "deflate-predictor" and dtype[0] == "f":
                continue
            array = samples(shape, dtype)
            path = write(tmp_path / "a.tif", array, interleave=interleave, **FORMS[form])
            found = check_windows(path, array, 6)
            assert found.axes == ("c", "y", "x")[-len(shape) :]
            assert found.spacing == (20, 10)
            if "tiled" in FORMS[form]:
                bands = [5 if interleave == "pixel" else 1] if len(shape) == 3 else []
                assert found.chunks == (*bands, 16, 32)


def test_place(tmp_path):
    """The affine maps (row, column) to the centre of the pixel, as rasterio does."""
    array = samples((75, 100), "u1")
    turned = rasterio.Affine(8, 3, 100, -2, -9, 700)
    for transform, spacing in ((PLACE, (20, 10)), (turned, None)):
        found = read(write(tmp_path / "a.tif", array, transform=transform))[0]
        assert found.spacing == spacing
        for row, column in ((0, 0), (3, 7), (74, 99)):
            x, y = rasterio.transform.xy(transform, row, column)
            np.testing.assert_allclose(found.affine @ [row, column, 0, 1], [x, y, 0, 1], rtol=1e-12)
    found = read(write(tmp_path / "a.tif", array, crs=None, transform=None, nodata=3))[0]
    assert (found.affine, found.spacing, found.nodata) == (None, None, 3)


def test_nodata(tmp_path):
    array = samples((3, 75, 100), "f4")
    for value in (-9999.0, 0.0, np.nan, -np.inf, None):
        found = read(write(tmp_path / "a.tif", array, nodata=value))[0]
        np.testing.assert_equal(found.nodata, value)
    for text in ("abc", "1 2", "0x10", "--"):
        path = write(tmp_path / "a.tif", array, nodata=-9999.0)
        data = path.read_bytes()
        assert data.count(b"-9999\0") == 1
        path.write_bytes(data.replace(b"-9999\0", text.encode().ljust(6, b"\0")))
        refused(path, "nodata")


def test_values_that_mean_others(tmp_path):
    array = samples((2, 75, 100), "i2")
    refused(write(tmp_path / "a.tif", array, scales=((1, 0.5), (0, 0))), "scale 0.5", "band 2")
    refused(write(tmp_path / "a.tif", array, scales=((1, 1), (3, 0))), "offset 3", "band 1")
    check_windows(write(tmp_path / "a.tif", array, scales=((1, 1), (0, 0))), array, 3)


def test_colours_are_no_classes(tmp_path):
    for count, dtype, first in ((3, "u1", "rgb"), (4, "u1", None), (3, "u2", "c"), (5, "u1", "c")):
        array = samples((count, 20, 30), dtype)
        options = {"photometric": "RGB"} if count < 5 else {}
        assert check_windows(write(tmp_path / "a.tif", array, **options), array, 3).axes == (first, "y", "x")


def test_a_palette_keeps_its_numbers(tmp_path):
    array = samples((20, 30), "u1")
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        count=1,
        height=20,
        width=30,
        dtype="uint8",
        transform=PLACE,
        crs="EPSG:4326",
    ) as file:
        file.write(array, 1)
        file.write_colormap(1, {k: (255 - k, k, 0, 255) for k in range(256)})
    check_windows(tmp_path / "a.tif", array, 3)


def test_overviews_and_masks_in_the_file(tmp_path):
    array = samples((3, 75, 100), "f4")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write(tmp_path / "a.tif", array)
        with rasterio.open(path, "r+") as file:
            file.write_mask(np.zeros((75, 100), bool))
            file.build_overviews([2, 4])
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) > 1
    check_windows(path, array, 3)


def test_files_next_to_it_change_nothing(tmp_path):
    array = samples((75, 100), "i2")
    path = write(tmp_path / "a.tif", array)
    before = read(path)[0]
    band = '<PAMRasterBand band="1"><NoDataValue>7</NoDataValue><Scale>3</Scale><Offset>1</Offset></PAMRasterBand>'
    turned = "<GeoTransform>1,2,3,4,5,6</GeoTransform>"
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{turned}{band}</PAMDataset>")
    path.with_suffix(".tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    for suffix in (".ovr", ".msk"):
        write(Path(f"{path}{suffix}"), np.zeros((75, 100), "u1"))
    with rasterio.open(path) as file:
        assert file.nodata == 7  # GDAL would use it
    after = check_windows(path, array, 5)
    assert (after.nodata, after.spacing) == (before.nodata, before.spacing) == (None, (20, 10))
    np.testing.assert_array_equal(after.affine, before.affine)


def test_names_that_gdal_would_interpret(tmp_path, monkeypatch):
    array = samples((20, 30), "u1")
    for name in ("a!b.tif", "a?b=1.tif", "a b%20.tif", "zip:a.tif", "é.tif", "GTIFF_DIR:2:a.tif", "s3:/b/a.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        write(tmp_path / "plain.tif", array).rename(tmp_path / name)
        check_windows(tmp_path / name, array, 3)
        monkeypatch.chdir(tmp_path)
        check_windows(Path(name), array, 3)


def test_only_geotiff_is_opened(tmp_path):
    """Another format of GDAL in a file of this name is refused, and so is one that takes its place."""
    array = samples((20, 30), "u1")
    write(tmp_path / "a.tif", array)
    vrt = f"<VRTDataset rasterXSize='30' rasterYSize='20'><SRS/><!-- {tmp_path}/a.tif --></VRTDataset>"
    (tmp_path / "b.tif").write_text(vrt)
    refused(tmp_path / "b.tif")
    with ExitStack() as stack:
        found = open_stored(tmp_path / "a.tif", None, stack)
        found.read(found.whole)
        write(tmp_path / "c.tif", array).replace(tmp_path / "a.tif")
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match=r"a\.tif.*same file"):
            pool.submit(found.read, found.whole).result()


def test_missing_blocks(tmp_path):
    """They are pixels without data if the file has a value for these, and refused otherwise."""
    options = {"SPARSE_OK": "TRUE", **FORMS["tiles"], "compress": "deflate"}
    array = np.zeros((64, 64), "u1")
    path = write(tmp_path / "a.tif", array, **options)
    refused(path, "missing")
    path = write(tmp_path / "a.tif", array + 7, nodata=7, **options)
    with tifffile.TiffFile(path) as file:
        assert 0 in file.pages[0].databytecounts
    check_windows(path, array + np.uint8(7), 3)


@pytest.mark.parametrize("form", FORMS)
def test_truncated(tmp_path, form):
    data = write(tmp_path / "whole.tif", samples((3, 175, 200), "f4"), **FORMS[form] | {"predictor": 1}).read_bytes()
    for keep in (0, 8, 100, 0.2, 0.5, 0.7, 0.95):
        (tmp_path / "a.tif").write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
        refused(tmp_path / "a.tif")


def changed(path, name, value):
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags[name].valueoffset
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, at, value)
    path.write_bytes(data)
    return path


def test_hostile(tmp_path, monkeypatch):
    array = np.zeros((1000, 1000), "f4")
    deflate = {"compress": "deflate", "blockysize": 1000}
    refused(changed(write(tmp_path / "a.tif", array, **deflate), "StripOffsets", 2**31), "truncated")
    refused(changed(write(tmp_path / "a.tif", array, **deflate), "StripByteCounts", 2**31), "truncated")
    path = write(tmp_path / "a.tif", array, **deflate)
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[at + 5 : at + 50] = b"garbage" * 6
    path.write_bytes(data)
    refused(path)
    monkeypatch.setattr(stored, "BOMB_BYTES", 2**20)
    refused(write(tmp_path / "a.tif", array, **deflate), "archive bomb")


def test_memory(tmp_path):
    """The array has 64 MiB, and a row of tiles 8 MiB; GDAL's own cache is limited as well."""
    array = samples((8, 2048, 256), "i2").repeat(8, axis=2)
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "zlevel": 1}
    path = write(tmp_path / "a.tif", array, **tiles)
    with ExitStack() as stack:
        found = open_stored(path, None, stack)
        with most_memory() as most:
            for row in range(0, 2048, 256):
                values = found.read((slice(0, 8), slice(row, row + 256), slice(0, 2048)))
                assert (values == array[:, row : row + 256]).all()
                del values
    assert most() < 4 * 8 * 2**20


def test_missing_rasterio(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", samples((20, 30), "u1"))
    monkeypatch.setattr(geo, "find_spec", lambda name: None)
    assert "\n" not in refused(path, 'pip install "fastloss[geo]"')
