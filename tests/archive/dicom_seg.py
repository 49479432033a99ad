"""Writes DICOM SEG masks at an affine, for the tests of archives."""

from __future__ import annotations

import warnings

import numpy as np
from writing import spacing_of


def save_seg(path, labels, affine):
    """Write a mask (z, y, x) of classes as a label map. The axes must be at right angles."""
    from dicom_writing import segmentation, source_images

    lps = np.diag([-1, -1, 1, 1.0]) @ affine
    steps = np.array(spacing_of(affine))  # of z, y, x
    directions = (lps[:3, :2] / steps[:0:-1]).T  # of x, then of y
    positions = [lps[:3, 3] + at * lps[:3, 2] for at in range(len(labels))]
    images = source_images(labels.shape, steps, directions, positions)
    seg = segmentation(images, labels, "LABELMAP", int(labels.max()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seg.save_as(path)
    return path
