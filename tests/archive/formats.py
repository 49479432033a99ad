"""The table of formats for the tests of archives: how each writes a prediction and a mask.

Volumes are (z, y, x) and flat images (y, x). `axes` names those of a prediction where the file does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
from dicom_seg import save_seg
from writing import AFFINE, save_nii, save_sitk

Write = Callable[..., Any]


@dataclass(frozen=True)
class Format:
    """How a format writes an array; None: it cannot hold one."""

    suffix: str
    prediction: Write | None
    mask: Write | None
    options: tuple[tuple[str, Any], ...] = ()  # for predictions
    axes: str = "zyx"  # the order of the axes in the array that is read
    whole: bool = True  # no windows of it are read
    affine: np.ndarray = field(default_factory=lambda: AFFINE)


def _npy(path, array, affine):
    np.save(path, array)


def _npz(path, array, affine):
    np.savez_compressed(path, only=array)


def _png(path, array, affine):
    pytest.importorskip("PIL.Image").fromarray(array).save(path)


def _tif(path, array, affine, **options):
    if options.get("compression"):
        pytest.importorskip("imagecodecs")
    pytest.importorskip("tifffile").imwrite(path, array, photometric="minisblack", **options)


def _geotiff(path, array, affine, **options):
    rasterio = pytest.importorskip("rasterio")
    bands = array if array.ndim == 3 else array[None]
    options |= {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    transform = rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6)
    with rasterio.open(path, "w", driver="GTiff", transform=transform, crs="EPSG:32632", **options) as file:
        file.write(bands)


def _nii(path, array, affine, kind="Nifti1Image"):
    save_nii(path, array, affine, kind)


def _sitk(path, array, affine):
    save_sitk(path, array, affine)


def _names(array):
    return {2: "yx", 3: "zyx", 4: "czyx"}[array.ndim]


def _thirds(array):
    """Return chunks of a third of each axis, of which the last are smaller."""
    return tuple(-(-n // 3) for n in array.shape)


def _zarr(path, array, affine, version):
    zarr = pytest.importorskip("zarr")
    names = {"dimension_names": tuple(_names(array))} if version == 3 else {}
    made = zarr.create_array(
        path, shape=array.shape, dtype=array.dtype, chunks=_thirds(array), zarr_format=version,
        config={"write_empty_chunks": True}, overwrite=True, **names
    )  # fmt: skip
    made[...] = array


def _ome_zarr(path, array, affine, version):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(path, mode="w", zarr_format=version)
    made = group.create_array(
        "0", shape=array.shape, dtype=array.dtype, chunks=_thirds(array), config={"write_empty_chunks": True}
    )
    made[...] = array
    axes = [{"name": n, "type": "channel"} if n == "c" else {"name": n, "type": "space"} for n in _names(array)]
    steps = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
    scale = [1.0] * (array.ndim - 3) + steps.tolist()
    image = {
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
    }
    group.attrs.update(
        {"multiscales": [image | {"version": "0.4"}]}
        if version == 2
        else {"ome": {"version": "0.5", "multiscales": [image]}}
    )


def _h5(path, array, affine, **options):
    with pytest.importorskip("h5py").File(path, "w") as file:
        file.create_dataset("only", data=array, **options)


LAST = (("axes", "xyzc"),)
FIRST = (("axes", "czyx"),)

FLAT = {
    "npy": Format(".npy", _npy, _npy, axes="yx"),
    "npz": Format(".npz", _npz, _npz, axes="yx"),
    "png": Format(".png", None, _png, axes="yx"),
    "tif": Format(".tif", _tif, _tif, axes="yx"),
    "tif-lzw": Format(
        ".tif",
        partial(_tif, compression="lzw", rowsperstrip=8),
        partial(_tif, compression="lzw", rowsperstrip=5),
        axes="yx",
        whole=False,
    ),
    "tif-tiles": Format(
        ".tiff", partial(_tif, tile=(16, 32), compression="zlib"), partial(_tif, tile=(32, 16)), axes="yx", whole=False
    ),
    "tif-zstd": Format(
        ".tif",
        partial(_tif, compression="zstd", rowsperstrip=4),
        partial(_tif, compression="zstd", predictor=2),
        axes="yx",
        whole=False,
    ),
    "geotiff": Format(".tif", _geotiff, _geotiff, axes="yx", whole=False),
    "geotiff-tiles": Format(
        ".tif",
        partial(_geotiff, tiled=True, blockxsize=16, blockysize=32, compress="deflate", interleave="pixel"),
        partial(_geotiff, tiled=True, blockxsize=16, blockysize=16, compress="lzw"),
        axes="yx",
        whole=False,
    ),
    "zarr2": Format(".zarr", partial(_zarr, version=2), partial(_zarr, version=2), axes="yx", whole=False),
    "h5": Format(".h5", _h5, partial(_h5, compression="gzip"), axes="yx", whole=False),
}
VOLUMES = {
    "npy": Format(".npy", _npy, _npy, FIRST),
    "npz": Format(".npz", _npz, _npz, FIRST),
    "tif": Format(".tif", partial(_tif, metadata={"axes": "CZYX"}), partial(_tif, metadata={"axes": "ZYX"})),
    "tif-tiles": Format(
        ".tif",
        partial(_tif, metadata={"axes": "CZYX"}, tile=(16, 16), compression="zlib"),
        partial(_tif, volumetric=True, tile=(4, 16, 16), metadata={"axes": "ZYX"}, compression="lzw"),
        whole=False,
    ),
    "ome-tif": Format(".ome.tif", partial(_tif, metadata={"axes": "CZYX"}), partial(_tif, metadata={"axes": "ZYX"})),
    "nii": Format(".nii", _nii, _nii, LAST, "xyz"),
    "nii.gz": Format(".nii.gz", _nii, _nii, LAST, "xyz"),
    "mgz": Format(".mgz", partial(_nii, kind="MGHImage"), partial(_nii, kind="MGHImage"), LAST, "xyz"),
    "img": Format(".img", partial(_nii, kind="Nifti1Pair"), partial(_nii, kind="Nifti1Pair"), LAST, "xyz"),
    "hdr": Format(".hdr", partial(_nii, kind="Nifti1Pair"), partial(_nii, kind="Nifti1Pair"), LAST, "xyz"),
    "nrrd": Format(".nrrd", _sitk, _sitk),
    "mha": Format(".mha", _sitk, _sitk),
    "mhd": Format(".mhd", _sitk, _sitk),
    "zarr2": Format(".zarr", partial(_zarr, version=2), partial(_zarr, version=2), FIRST, whole=False),
    "zarr3": Format(".zarr", partial(_zarr, version=3), partial(_zarr, version=3), whole=False),
    "ome-zarr2": Format(".ome.zarr", partial(_ome_zarr, version=2), partial(_ome_zarr, version=2), whole=False),
    "ome-zarr3": Format(".ome.zarr", partial(_ome_zarr, version=3), partial(_ome_zarr, version=3), whole=False),
    "h5": Format(".h5", _h5, _h5, FIRST),
    "h5-gzip": Format(
        ".hdf5", partial(_h5, compression="gzip", shuffle=True), partial(_h5, compression="lzf"), FIRST, whole=False
    ),
    "dcm": Format(".dcm", None, save_seg, affine=AFFINE @ np.diag([1, 1, -1, 1.0])),  # as highdicom orders slices
}
