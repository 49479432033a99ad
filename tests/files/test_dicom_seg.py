"""Tests DICOM SEG against highdicom and against the arrays that were saved."""

from __future__ import annotations

import copy
import re
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from medical import installed, refusal, same_bits, stored, values

pydicom = pytest.importorskip("pydicom")
hd = pytest.importorskip("highdicom")

import dicom_writing  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless  # noqa: E402

SLICES, ROWS, COLUMNS = 6, 10, 13  # 130 pixels: frames of 1 bit start within bytes
SPACING = (2.5, 0.75, 0.5)  # of slices, rows and columns, in mm
DIRECTIONS = np.linalg.qr(np.array([[9.0, -2, 1], [3, 8, -4], [-1, 5, 7]]))[0].T
if np.linalg.det(DIRECTIONS) > 0:
    DIRECTIONS[2] *= -1  # for highdicom, (slices, rows, columns) are right-handed
ORIGIN = np.array([-20.5, 31.25, 7])
SYNTAXES = {"raw": ExplicitVRLittleEndian, "implicit": "1.2.840.10008.1.2", "rle": RLELossless}


def source_images(slices=SLICES, step=SPACING[0]):
    positions = [ORIGIN + at * step * DIRECTIONS[2] for at in range(slices)]
    return dicom_writing.source_images((slices, ROWS, COLUMNS), (step, *SPACING[1:]), DIRECTIONS[:2], positions)


def segmentation(array, kind, segments=1, images=None, syntax="raw", **options):
    images = images or source_images(len(array))
    return dicom_writing.segmentation(images, array, kind, segments, SYNTAXES[syntax], **options)


def save(seg, path):
    seg.save_as(path)
    return path


def labels(segments, seed=3):
    """Label maps whose first and last slice are not empty, but some between are."""
    array = np.random.default_rng(seed).integers(0, segments + 1, (SLICES, ROWS, COLUMNS)).astype(np.uint8)
    array[[1, 3]] = 0
    return array


def expected_affine(first=0):
    """From the positions in the source images: (left, posterior, superior) to (right, anterior, superior)."""
    affine = np.eye(4)
    # A step from slice to slice; from row to row; from column to column.
    affine[:3, :3] = np.stack([DIRECTIONS[2], DIRECTIONS[1], DIRECTIONS[0]], axis=1) * SPACING
    affine[:3, 3] = ORIGIN + first * SPACING[0] * DIRECTIONS[2]
    return np.diag([-1, -1, 1, 1]) @ affine


def check_space(path, first=0):
    with stored(path) as found:
        # mm; the positions are written as decimals of at most 16 characters
        np.testing.assert_allclose(found.affine, expected_affine(first), rtol=0, atol=1e-8)
        return found.axes, found.names, found.probabilities


def by_highdicom(path, **options):
    return hd.seg.segread(path).get_volume(**options).array


@pytest.mark.parametrize("syntax", ["raw", "implicit"])
@pytest.mark.parametrize("omit", [True, False])
def test_one_segment_gives_labels(tmp_path, syntax, omit):
    saved = labels(1)
    path = save(segmentation(saved, "BINARY", syntax=syntax, omit_empty_frames=omit), tmp_path / "a.dcm")
    same_bits(values(path), saved)
    same_bits(values(path), by_highdicom(path, combine_segments=True))
    assert check_space(path) == (("z", "y", "x"), None, False)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("omit", [True, False])
def test_several_segments_give_an_axis_of_segments(tmp_path, overlap, omit):
    saved = (labels(3)[..., None] == [1, 2, 3]).astype(np.uint8)
    if overlap:
        saved[2, ..., 0] |= saved[2, ..., 1]
    path = save(segmentation(saved, "BINARY", 3, omit_empty_frames=omit), tmp_path / "a.dcm")
    same_bits(values(path), np.moveaxis(saved, -1, 0))
    same_bits(values(path), np.moveaxis(by_highdicom(path), -1, 0))
    assert check_space(path) == (("c", "z", "y", "x"), ("organ 1", "organ 2", "organ 3"), False)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("most", [255, 100])
def test_fractional_segments_give_probabilities(tmp_path, syntax, segments, most):
    stored_values = np.random.default_rng(3).integers(0, most + 1, (SLICES, ROWS, COLUMNS, segments))
    stored_values[[1, 3]] = 0
    seg = segmentation(
        stored_values / most, "FRACTIONAL", segments, syntax=syntax, max_fractional_value=most, omit_empty_frames=True
    )
    path = save(seg, tmp_path / "a.dcm")
    expected = np.moveaxis(stored_values.astype(np.float32) / np.float32(most), -1, 0)
    same_bits(values(path), expected[0] if segments == 1 else expected)
    same_bits(values(path), np.moveaxis(by_highdicom(path), -1, 0)[0 if segments == 1 else slice(None)])
    axes, names, probabilities = check_space(path)
    assert axes == (*"c" * (segments > 1), "z", "y", "x")
    assert names == (("organ 1", "organ 2", "organ 3") if segments > 1 else None)
    assert probabilities


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("segments", [3, 300])
def test_a_label_map_gives_labels(tmp_path, syntax, segments):
    saved = np.random.default_rng(3).integers(0, segments + 1, (SLICES, ROWS, COLUMNS))
    saved = saved.astype(np.uint8 if segments < 256 else np.uint16)
    saved[[1, 3]] = 0
    path = save(segmentation(saved, "LABELMAP", segments, syntax=syntax, omit_empty_frames=True), tmp_path / "a.dcm")
    same_bits(values(path), saved)
    same_bits(values(path), by_highdicom(path, combine_segments=True))
    assert check_space(path) == (("z", "y", "x"), None, False)


def test_empty_slices_at_the_ends_are_cut_and_the_affine_tells(tmp_path):
    saved = labels(1)
    saved[[0, 5]] = 0
    path = save(segmentation(saved, "BINARY", omit_empty_frames=True), tmp_path / "a.dcm")
    same_bits(values(path), saved[2:5])  # slices 1 and 3 are empty, and only slice 3 is between others
    check_space(path, first=2)


def test_a_segment_without_frames_is_zeros(tmp_path):
    saved = (labels(3)[..., None] == [1, 2, 3]).astype(np.uint8)
    saved[..., 1] = 0
    path = save(segmentation(saved, "BINARY", 3, omit_empty_frames=True), tmp_path / "a.dcm")
    same_bits(values(path), np.moveaxis(saved, -1, 0))


@pytest.mark.parametrize("seed", range(3))
def test_frames_in_any_order_are_put_in_place(tmp_path, seed):
    saved = labels(1)
    seg = segmentation(saved, "BINARY", omit_empty_frames=True)
    order = np.random.default_rng(seed).permutation(int(seg.NumberOfFrames))
    frames = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    frames = frames[: len(order) * ROWS * COLUMNS].reshape(len(order), -1)[order]
    seg.PixelData = np.packbits(frames, bitorder="little").tobytes() + b"\0" * (seg.PixelData.__len__() % 2)
    groups = list(seg.PerFrameFunctionalGroupsSequence)
    seg.PerFrameFunctionalGroupsSequence = [groups[at] for at in order]
    same_bits(values(save(seg, tmp_path / "a.dcm")), saved)


@pytest.mark.parametrize("syntax", ["raw", "rle"])
def test_several_threads_read_one_open_file(tmp_path, syntax):
    saved = labels(3)
    path = save(segmentation(saved, "LABELMAP", 3, syntax=syntax), tmp_path / "a.dcm")
    with stored(path) as found, ThreadPoolExecutor(4) as pool:
        for got in pool.map(found.read, [found.whole] * 12):
            same_bits(got, saved)


REAL = installed("pydicom", "data/test_files/liver_1frame.dcm")


@pytest.mark.skipif(not REAL, reason="pydicom brings no SEG")
def test_a_real_segmentation_of_dcmqi(tmp_path):
    seg = pydicom.dcmread(REAL[0])
    assert "the positions of 1 frames, got 3" in refusal(REAL[0])  # its other frames were cut off
    seg.PerFrameFunctionalGroupsSequence = seg.PerFrameFunctionalGroupsSequence[:1]
    seg.NumberOfFrames = 1
    seg.save_as(tmp_path / "a.dcm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        volume = hd.seg.segread(tmp_path / "a.dcm").get_volume(combine_segments=True)
    same_bits(values(tmp_path / "a.dcm"), volume.array)
    assert volume.array.sum() > 1000
    with stored(tmp_path / "a.dcm") as found:
        np.testing.assert_allclose(found.affine, np.diag([-1, -1, 1, 1]) @ volume.affine, rtol=0, atol=1e-9)


# ---- hostile files


def changed(change, kind="BINARY", segments=1, syntax="raw"):
    def write(path):
        array = labels(segments) if kind != "FRACTIONAL" else labels(segments) / segments
        array = (labels(segments)[..., None] == range(1, segments + 1)) if segments > 1 and kind == "BINARY" else array
        options = {"max_fractional_value": 100} if kind == "FRACTIONAL" else {}
        seg = segmentation(
            array.astype(np.uint8) if kind != "FRACTIONAL" else array, kind, segments, syntax=syntax, **options
        )
        seg = pydicom.dataset.FileDataset(path, seg, file_meta=seg.file_meta, preamble=b"\0" * 128)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, about values that DICOM does not allow
            change(seg)
            pydicom.dcmwrite(path, seg, enforce_file_format=False)

    return write


def put(**elements):
    def change(seg):
        for name, value in elements.items():
            setattr(seg, name, value)

    return change


def without(name):
    return lambda seg: delattr(seg, name)


def position(at, value):
    def change(seg):
        seg.PerFrameFunctionalGroupsSequence[at].PlanePositionSequence[0].ImagePositionPatient = value

    return change


def no_spacing(seg):
    del seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices


def wrong_segment(seg):
    seg.SharedFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 7


def same_place(seg):
    groups = seg.PerFrameFunctionalGroupsSequence
    groups[1].PlanePositionSequence = copy.deepcopy(groups[0].PlanePositionSequence)


def same_number(seg):
    seg.SegmentSequence[1].SegmentNumber = 1


def deflated(seg):
    seg.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def encapsulated(uid):
    def change(seg):
        seg.file_meta.TransferSyntaxUID = uid
        seg.PixelData = encapsulate([seg.PixelData])
        seg["PixelData"].is_undefined_length = True

    return change


def far(seg):
    step = float(seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices)
    position(-1, [float(f"{x:.3f}") for x in ORIGIN + 50_000 * step * DIRECTIONS[2]])(seg)
    seg.Rows = seg.Columns = 1000
    seg.PixelData = bytes(4 * 1000 * 1000 // 8)


HOSTILE = {  # how the file is written, and what the words of the message
    "other.dcm": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000)), "expected a DICOM file"),
    "ct.dcm": (changed(put(SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT")), "expected a DICOM SEG.*got CT"),
    "escape.dcm": (changed(put(SOPClassUID="1.2.3", Modality="C\x1b[31mT")), "expected a DICOM SEG"),
    "no-class.dcm": (changed(without("SOPClassUID")), "expected a DICOM SEG"),
    "deflated.dcm": (changed(deflated), "deflated"),
    "jpeg.dcm": (changed(encapsulated("1.2.840.10008.1.2.4.90")), "uncompressed or RLE.*JPEG 2000"),
    "unknown-syntax.dcm": (changed(encapsulated("1.2.3.4")), "uncompressed or RLE"),
    "type.dcm": (changed(put(SegmentationType="OTHER")), "got OTHER of 1 bits"),
    "no-type.dcm": (changed(without("SegmentationType")), "expected SegmentationType"),
    "bits.dcm": (changed(put(BitsAllocated=32)), "got BINARY of 32 bits"),
    "samples.dcm": (changed(put(SamplesPerPixel=3)), "expected a segmentation"),
    "no-rows.dcm": (changed(without("Rows")), "expected Rows"),
    "no-rows-at-all.dcm": (changed(put(Rows=0)), "at least one frame"),
    "rows.dcm": (changed(put(Rows=65535, Columns=65535)), "truncated"),
    "frames.dcm": (changed(put(NumberOfFrames=10**9)), "truncated"),
    "frames-few-pixels.dcm": (changed(put(NumberOfFrames=4000, Rows=1, Columns=1)), "positions of 4000 frames, got 4"),
    "negative.dcm": (changed(put(NumberOfFrames=-4)), "at least one frame"),
    "pixels.dcm": (changed(put(PixelData=b"\0\0")), "truncated"),
    "no-pixels.dcm": (changed(without("PixelData")), "expected PixelData"),
    "no-segments.dcm": (changed(put(SegmentSequence=[])), "expected segments"),
    "same-number.dcm": (changed(same_number, segments=2), "a number twice"),
    "wrong-segment.dcm": (changed(wrong_segment), "another segment"),
    "same-place.dcm": (changed(same_place), "one frame per segment and position"),
    "no-groups.dcm": (changed(without("PerFrameFunctionalGroupsSequence")), "positions of 4 frames, got 0"),
    "no-shared.dcm": (changed(without("SharedFunctionalGroupsSequence")), "or of none"),
    "no-spacing.dcm": (changed(no_spacing), "no SpacingBetweenSlices"),
    "irregular.dcm": (changed(position(1, [0, 0, 0])), "parallel frames at regular distances"),
    "nan.dcm": (changed(position(1, ["nan", 0, 0])), "finite numbers"),
    "infinity.dcm": (changed(position(1, ["1e300", "-1e300", "1e300"])), ""),
    "far.dcm": (changed(far), "archive bomb"),
    "farther.dcm": (changed(position(-1, [1e12, 1e12, 1e12])), "regular distances"),
    "most.dcm": (changed(put(MaximumFractionalValue=50), kind="FRACTIONAL"), "up to MaximumFractionalValue"),
    "no-most.dcm": (changed(put(MaximumFractionalValue=0), kind="FRACTIONAL"), "MaximumFractionalValue from 1 to 255"),
    "padding.dcm": (changed(put(PixelPaddingValue=1), kind="LABELMAP"), "background 0"),
    "tiles.dcm": (changed(put(TotalPixelMatrixRows=100)), "tiles"),
    "rle-frames.dcm": (changed(put(Rows=9000, Columns=9000), kind="FRACTIONAL", syntax="rle"), ""),
    "rle-of-bits.dcm": (changed(encapsulated(RLELossless)), "expected uncompressed data of 1 bit"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(tmp_path, capfd, name):
    write, expected = HOSTILE[name]
    write(tmp_path / name)
    message = refusal(tmp_path / name)
    assert re.search(expected, message), message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("syntax", ["raw", "implicit", "rle"])
def test_truncated_files_are_refused_wherever_they_end(tmp_path, capfd, kind, syntax):
    if kind == "BINARY" and syntax == "rle":
        kind = "FRACTIONAL"
    array = labels(1).astype(float) if kind == "FRACTIONAL" else labels(1)
    whole = save(segmentation(array, kind, syntax=syntax), tmp_path / "whole.dcm").read_bytes()
    for keep in [0, 1, 128, 132, 140, *range(200, len(whole) - 4, 411), len(whole) - 20]:
        (tmp_path / "a.dcm").write_bytes(whole[:keep])
        refusal(tmp_path / "a.dcm")
    assert capfd.readouterr() == ("", "")


def test_lengths_that_an_element_claims_are_not_allocated(tmp_path):
    saved = labels(1)
    whole = save(segmentation(saved, "BINARY"), tmp_path / "a.dcm").read_bytes()
    at = whole.index(b"\xe0\x7f\x10\x00O") + 8  # the length of PixelData
    (tmp_path / "a.dcm").write_bytes(whole[:at] + b"\xfe\xff\xff\xff" + whole[at + 4 :])
    tracemalloc.start()
    same_bits(values(tmp_path / "a.dcm"), saved)  # the data are complete
    assert tracemalloc.get_traced_memory()[1] < 2**27
    tracemalloc.stop()
