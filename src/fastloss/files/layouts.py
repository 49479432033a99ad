"""Layouts: how well-known tools and data sets name their files, and what the numbers in them mean.

`find_layout` may read `dataset.json` and list folders. It opens no image.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import FileError, printable, shown
from .folders import files_in
from .nnunet import find_dataset
from .opening import opened, reading


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How files are named, and what their numbers mean. An option of the user has precedence over each field.

    Attributes
    ----------
    name : str
        One of `LAYOUTS`.
    patterns : pair of tuples of str
        The patterns of predictions and those of masks, as in `patterns.py`. The first pattern that matches a file
        applies. If an image has several files, that of the earlier pattern is taken. All images must have their file by
        the same pattern.
    labels : str, default None
        The name of the built-in label map: "cityscapes", "ade20k" or "voc".
    regions : str, default None
        The regions as a user types them, such as "wt=1+2+3,tc=2+3,et=3". They are in the order of the channels.
    class_names : tuple of str, default None
        The names of the classes or regions, in the order of the channels.
    ignore_index : tuple of int, default ()
        The labels of pixels that are not evaluated.
    probabilities : bool, default False
        Whether predictions of a float dtype are probabilities, not logits.
    axes : str, default None
        The axes of a prediction that has one axis more than the mask, such as "czyx". None: as the reader reports.
    class_order : tuple of int, default None
        The label that each region writes into nnU-Net's label maps, one region after the other.
    """

    name: str
    patterns: tuple[tuple[str, ...], tuple[str, ...]]
    labels: str | None = None
    regions: str | None = None
    class_names: tuple[str, ...] | None = None
    ignore_index: tuple[int, ...] = ()
    probabilities: bool = False
    axes: str | None = None
    class_order: tuple[int, ...] | None = None


def find_layout(name: str, predictions: Path, targets: Path) -> Layout:
    """Return the layout of this name, as far as the two folders decide what it is.

    Parameters
    ----------
    name : str
        One of `LAYOUTS`.
    predictions, targets : Path
        The folders of predictions and masks.

    Returns
    -------
    Layout
        The layout, for `pair_files`.

    Raises
    ------
    FileError
        If there is no such layout, or the folders do not have it.
    """
    if name not in FINDERS:
        raise FileError(f"`layout=`: expected one of {', '.join(LAYOUTS)}, got {printable(str(name))}")
    return FINDERS[name](predictions, targets)


def _nnunet(predictions: Path, targets: Path) -> Layout:
    """`case.npz` of `--save_probabilities`, else the label maps.

    `export_prediction_from_logits` of nnunetv2 2.6.2 (nnunetv2/inference/export_prediction.py) writes `case.npz` with
    the axes (c, z, y, x), `case.pkl`, and the label map `case` + `file_ending`. The probabilities are softmax, or
    sigmoid if the data set has regions. The `.npz` of version 1 holds the same as float16.
    """
    dataset = find_dataset(predictions, targets)
    probabilities = any(name.endswith(".npz") for name in _names(predictions))
    label_map = "{id}" + dataset.ending
    regions = None
    if dataset.regions is not None:
        texts = [_as_typed(name) for name in dataset.names]
        if len(set(texts)) < len(texts):
            raise FileError(f"dataset.json: expected different names of regions, got {printable(', '.join(texts))}")
        sums = ["+".join(map(str, labels)) for labels in dataset.regions]
        regions = ",".join(f"{text}={labels}" for text, labels in zip(texts, sums, strict=True))
    return Layout(
        name="nnunet",
        patterns=(("{id}.npz", label_map), (label_map,)),
        regions=regions,
        class_names=dataset.names,
        ignore_index=() if dataset.ignored is None else (dataset.ignored,),
        probabilities=True,
        axes="czyx" if probabilities else None,
        class_order=dataset.class_order,
    )


def _as_typed(name: str) -> str:
    """Return the region's name without the characters that separate regions and labels in the option."""
    return re.sub("[,=+]", "_", name)


def _cityscapes(predictions: Path, targets: Path) -> Layout:
    """`aachen_000000_000019_gtFine_labelIds.png` in a folder per city.

    The masks are named as in cityscapesscripts/preparation (2.2.4). The same folder has `_color.png`,
    `_instanceIds.png` and `_polygons.json`. `labelIds` are 0 to 33. `labelTrainIds`, of createTrainIdLabelImgs.py, are
    0 to 18, with 255 for pixels that are not evaluated.
    """
    predicted = ("{id}_leftImg8bit*.*", "{id}_gtFine*.*", "{id}_pred*.*", "{id}.*")
    names = _names(targets)
    for kind in ("gtFine", "gtCoarse"):
        for end in ("labelIds", "labelTrainIds"):
            if any(name.endswith(f"_{kind}_{end}.png".lower()) for name in names):
                patterns = (predicted, ("{id}_" + f"{kind}_{end}.png",))
                if end == "labelIds":
                    return Layout(name="cityscapes", patterns=patterns, labels="cityscapes")
                return Layout(name="cityscapes", patterns=patterns, ignore_index=(255,))
    raise _not_found("cityscapes", targets, "*_gtFine_labelIds.png or *_gtFine_labelTrainIds.png")


def _ade20k(predictions: Path, targets: Path) -> Layout:
    """`ADE_val_00000001.png`, as in ADEChallengeData2016/annotations: 0 is not evaluated, and 1 to 150 are classes."""
    return Layout(name="ade20k", patterns=(("{id}.*",), ("{id}.png",)), labels="ade20k")


def _voc(predictions: Path, targets: Path) -> Layout:
    """`SegmentationClass/2007_000032.png` with a palette: classes 0 to 20, and 255 for the border of an object.

    The example labelme2voc.py of labelme writes the same folders for the user's classes, and their names into
    class_names.txt. Its `.png` has 255 for pixels that are not evaluated, and its `.npy` has -1. Older versions write
    the `.png` into SegmentationClassPNG and the `.npy` into SegmentationClass. Newer versions write the `.png` into
    SegmentationClass and the `.npy` into SegmentationClassNpy.
    """
    with reading(targets):
        inner = [name for name in ("SegmentationClassPNG", "SegmentationClass") if (targets / name).is_dir()]
    below = f"{inner[0]}/" if inner else ""
    patterns = (("{id}.*",), (below + "{id}.png", below + "{id}.npy"))
    names = _labelme_names(targets)
    if names is None:
        return Layout(name="voc", patterns=patterns, labels="voc")
    return Layout(name="voc", patterns=patterns, class_names=names, ignore_index=(-1, 255))


def _labelme_names(targets: Path) -> tuple[str, ...] | None:
    for place in (targets, targets.resolve().parent):
        path = place / "class_names.txt"
        with reading(path):
            if not path.exists():
                continue
        with opened(path) as handle, reading(path):
            text = handle.read(2**16 + 1)
            if len(text) > 2**16:
                raise ValueError(f"expected at most {2**16} bytes, got more")
            names = [name.strip() for name in text.decode("utf-8-sig").splitlines() if name.strip()]
            wrong = [name for name in names if not name.isprintable()]
            if wrong or not names:
                raise ValueError("expected one name per line, of printable characters")
        return tuple(name for name in names if name != "__ignore__")
    return None


def _brats(predictions: Path, targets: Path) -> Layout:
    """`BraTS2021_00000/BraTS2021_00000_seg.nii.gz`, or since 2023 `BraTS-GLI-00000-000/BraTS-GLI-00000-000-seg.nii.gz`.

    The labels are 1 (necrotic core), 2 (oedema) and 4 (enhancing tumour) up to BraTS 2021 (arXiv:2107.02314), and 1, 2
    and 3 since BraTS 2023 (arXiv:2305.17033). The regions are those of both papers: whole tumour, tumour core and
    enhancing tumour.
    """
    names = [name for name in _names(targets) if name.endswith((".nii.gz", ".nii"))]
    ends = {mark: [name for name in names if re.search(rf"{mark}seg\.nii(\.gz)?$", name)] for mark in "_-"}
    if ends["_"] and ends["-"]:
        raise FileError(
            f"{shown(targets)}: expected masks of one BraTS convention, got both, such as {shown(ends['_'][0])} "
            f"(labels 1, 2, 4) and {shown(ends['-'][0])} (labels 1, 2, 3); evaluate each in a folder of its own"
        )
    if not ends["_"] and not ends["-"]:
        raise _not_found("brats", targets, "*_seg.nii.gz or *-seg.nii.gz")
    old = bool(ends["_"])
    seg = "{id}_seg" if old else "{id}-seg"
    predicted = ("{id}.npz", seg + ".nii.gz", seg + ".nii", "{id}.nii.gz", "{id}.nii")
    return Layout(
        name="brats",
        patterns=(predicted, (seg + ".nii.gz", seg + ".nii")),
        regions="wt=1+2+4,tc=1+4,et=4" if old else "wt=1+2+3,tc=1+3,et=3",
        class_names=("wt", "tc", "et"),
    )


def _monai(predictions: Path, targets: Path) -> Layout:
    """`case/case_trans.nii.gz`, as MONAI's `SaveImage` names the output for `case.nii.gz`.

    The postfix is "trans" by default, and "seg" or "pred" in most bundles. `SaveImage` moves the channels to the last
    axis, and writes (x, y, z, c) (monai/data/image_writer.py in MONAI 1.6.1).
    """
    predicted = ("{id}_trans.*", "{id}_seg.*", "{id}_pred.*", "{id}.*")
    volumes = any(name.endswith((".nii.gz", ".nii")) for name in _names(predictions))
    return Layout(name="monai", patterns=(predicted, ("{id}.*",)), axes="xyzc" if volumes else None)


def _names(path: Path) -> list[str]:
    """Return the names in the folder and its sub-folders, in lower case, or the name of the file."""
    with reading(path):
        is_folder = path.is_dir()
    return [file.name.lower() for file in files_in(path)] if is_folder else [path.name.lower()]


def _not_found(layout: str, folder: Path, names: str) -> FileError:
    return FileError(f'{shown(folder)}: expected masks named {names} for `layout="{layout}"`, found none')


FINDERS = {
    "nnunet": _nnunet,
    "cityscapes": _cityscapes,
    "ade20k": _ade20k,
    "voc": _voc,
    "brats": _brats,
    "monai": _monai,
}
LAYOUTS = tuple(FINDERS)
"""The names that `find_layout` takes."""
