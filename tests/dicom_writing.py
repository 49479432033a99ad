"""Writes DICOM SEG with highdicom, for the tests of readers and of archives."""

from __future__ import annotations

import warnings

import pytest

pydicom = pytest.importorskip("pydicom")
hd = pytest.importorskip("highdicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.sr.codedict import codes  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, generate_uid  # noqa: E402


def source_images(shape, spacing, directions, positions):
    """A CT of empty slices, from which highdicom takes the patient and the geometry.

    The shape and the spacing are those of (slices, rows, columns). The directions are those along a row and along a
    column. There is one position for each slice, that of its first pixel (left, posterior, superior).
    """
    common, series = generate_uid(), generate_uid()
    images = []
    for at, position in enumerate(positions):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid()
        image.StudyInstanceUID = image.FrameOfReferenceUID = common
        image.SeriesInstanceUID, image.Modality, image.InstanceNumber = series, "CT", at + 1
        image.PatientID = image.PatientName = image.PatientBirthDate = image.PatientSex = image.AccessionNumber = ""
        image.StudyID = image.StudyDate = image.StudyTime = ""
        image.Rows, image.Columns, image.PixelSpacing = shape[1], shape[2], [float(step) for step in spacing[1:]]
        image.SliceThickness = image.SpacingBetweenSlices = float(spacing[0])
        image.ImageOrientationPatient = [float(f"{x:.12f}") for x in directions.ravel()]
        image.ImagePositionPatient = [float(f"{x:.10f}") for x in position]
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.SamplesPerPixel, image.PixelRepresentation = 15, 1, 0
        image.PhotometricInterpretation = "MONOCHROME2"
        images.append(image)
    return images


def segmentation(images, array, kind, segments, syntax=ExplicitVRLittleEndian, **options):
    """Make a SEG of an array of (slices, rows, columns) or (slices, rows, columns, segments)."""
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=n,
            segment_label=f"organ {n}",
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for n in range(1, segments + 1)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom's, about empty frames
        return hd.seg.Segmentation(
            images,
            array,
            kind,
            descriptions,
            series_instance_uid=generate_uid(),
            series_number=2,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="tests",
            manufacturer_model_name="tests",
            software_versions="1",
            device_serial_number="1",
            transfer_syntax_uid=syntax,
            **options,
        )
