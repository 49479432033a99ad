"""Writes DICOM SEG masks with highdicom, for the tests of archives."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from writing import spacing_of


def save_seg(path, labels, affine):
    """Write a mask (z, y, x) of classes as a label map. The axes must be at right angles."""
    hd = pytest.importorskip("highdicom")
    from pydicom.sr.codedict import codes
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=n,
            segment_label=f"organ {n}",
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for n in range(1, int(labels.max()) + 1)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom's, about empty frames
        seg = hd.seg.Segmentation(
            _source_images(labels.shape, affine, generate_uid, ExplicitVRLittleEndian),
            labels,
            "LABELMAP",
            descriptions,
            series_instance_uid=generate_uid(),
            series_number=2,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="tests",
            manufacturer_model_name="tests",
            software_versions="1",
            device_serial_number="1",
            transfer_syntax_uid=ExplicitVRLittleEndian,
        )
        seg.save_as(path)
    return path


def _source_images(shape, affine, generate_uid, syntax):
    """Return a CT of empty slices, from which highdicom takes the patient and the geometry."""
    from pydicom.dataset import Dataset, FileMetaDataset

    lps = np.diag([-1, -1, 1, 1.0]) @ affine
    steps = np.array(spacing_of(affine))  # of z, y, x
    common, series = generate_uid(), generate_uid()
    images = []
    for at in range(shape[0]):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = syntax
        image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid()
        image.StudyInstanceUID = image.FrameOfReferenceUID = common
        image.SeriesInstanceUID, image.Modality, image.InstanceNumber = series, "CT", at + 1
        image.PatientID = image.PatientName = image.PatientBirthDate = image.PatientSex = image.AccessionNumber = ""
        image.StudyID = image.StudyDate = image.StudyTime = ""
        image.Rows, image.Columns, image.PixelSpacing = shape[1], shape[2], [float(s) for s in steps[1:]]
        image.SliceThickness = image.SpacingBetweenSlices = float(steps[0])
        directions = (lps[:3, :2] / steps[:0:-1]).T  # of x, then of y
        image.ImageOrientationPatient = [float(f"{x:.12f}") for x in directions.ravel()]
        image.ImagePositionPatient = [float(f"{x:.10f}") for x in lps[:3, 3] + at * lps[:3, 2]]
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.SamplesPerPixel, image.PixelRepresentation = 15, 1, 0
        image.PhotometricInterpretation = "MONOCHROME2"
        images.append(image)
    return images
