"""Tests the named layouts: folders as the tools and data sets write them give these pairs and these options."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fastloss.files.errors import FileError
from fastloss.files.layouts import find_layout
from fastloss.files.nnunet import LARGEST, Dataset, read_dataset
from fastloss.files.pairing import pair_files

P, T = Path("p"), Path("t")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Writes empty files: `tree("p/a.npy", "t/a.png")`."""
    monkeypatch.chdir(tmp_path)

    def write(*names):
        for name in ("p/", "t/", *names):
            (Path(name) if name.endswith("/") else Path(name).parent).mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                Path(name).touch()

    write()
    return write


def evaluated(name):
    """Return the layout, the pairs and the notes."""
    layout = find_layout(name, P, T)
    found = pair_files(P, T, layout=layout)
    return (
        layout,
        {pair.name: (pair.prediction.as_posix(), pair.target.as_posix()) for pair in found.pairs},
        found.notes,
    )


def refused(name, *parts):
    with pytest.raises(FileError) as caught:
        evaluated(name)
    for part in parts:
        assert part in str(caught.value)
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("name", ["nnUNet", "", "\x1b", 3])
def test_an_unknown_layout(name):
    shown = {"\x1b": "\\x1b"}.get(name, name)
    expected = f"`layout=`: expected one of nnunet, cityscapes, ade20k, voc, brats, monai, got {shown}"
    with pytest.raises(FileError, match=f"^{re.escape(expected)}$"):
        find_layout(name, P, T)


# ---- nnU-Net

PLAIN = {"labels": {"background": 0, "liver": 1, "tumour": 2}, "file_ending": ".nii.gz"}
REGIONS = {
    "labels": {"background": 0, "whole tumor": [1, 2, 3], "a=b,c+d": [2, 3], "et": 3, "ignore": 4},
    "regions_class_order": [1, 2, 3],
    "file_ending": ".nii.gz",
}
VERSION_1 = {"labels": {"0": "background", "2": "tumour", "1": "liver"}, "training": [], "modality": {"0": "CT"}}


def write_json(path, held):
    Path(path).write_text(held if isinstance(held, str) else json.dumps(held), encoding="utf-8")


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (
            PLAIN,
            Dataset(
                names=("background", "liver", "tumour"), regions=None, class_order=None, ignored=None, ending=".nii.gz"
            ),
        ),
        (
            VERSION_1,
            Dataset(
                names=("background", "liver", "tumour"), regions=None, class_order=None, ignored=None, ending=".nii.gz"
            ),
        ),
        (
            {"labels": {"0": "air", "1": "bone"}},
            Dataset(names=("background", "bone"), regions=None, class_order=None, ignored=None, ending=".nii.gz"),
        ),
        (
            # The order of the labels is theirs, not that of the file. A list of one label is no region.
            {"labels": {"b": [2], "a": 1, "background": 0, "ignore": 3}, "file_ending": ".png"},
            Dataset(names=("background", "a", "b"), regions=None, class_order=None, ignored=3, ending=".png"),
        ),
        (
            REGIONS,
            Dataset(
                names=("whole tumor", "a=b,c+d", "et"),
                regions=((1, 2, 3), (2, 3), (3,)),
                class_order=(1, 2, 3),
                ignored=4,
                ending=".nii.gz",
            ),
        ),
    ],
)
def test_dataset_json(tree, held, expected):
    write_json("dataset.json", held)
    assert read_dataset(Path("dataset.json")) == expected


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("", "cannot be read: Expecting value"),
        ("[" * 10**5, "cannot be read: "),
        ('{"labels": {"background": 0, "a": 1, "a": 2}}', "expected every key once per object, got 'a' again"),
        ("\xff", "cannot be read"),
        (" " * (LARGEST + 1), f"expected at most {LARGEST} bytes"),
        ("[]", 'expected an object with "labels"'),
        ("{}", 'expected an object with "labels"'),
        ({"labels": {}}, 'expected an object with "labels"'),
        ({"labels": {"a": 0}}, 'expected "background" as label 0, got None'),
        ({"labels": {"background": [0]}}, 'expected "background" as label 0'),
        ({"labels": {"background": 1}}, 'expected "background" as label 0'),
        ({"labels": {"background": False, "a": 1}}, "a whole number from 0 to 65535 for 'background', got False"),
        ({"labels": {"background": 0, "a": 1.0}}, "a whole number from 0 to 65535 for 'a', got 1.0"),
        ({"labels": {"background": 0, "a": -1}}, "a whole number"),
        ({"labels": {"background": 0, "a": 2**16}}, "a whole number"),
        ({"labels": {"background": 0, "a": None}}, "a whole number"),
        ({"labels": {"background": 0, "a": {"b": 1}}}, "a whole number"),
        ({"labels": {"background": 0, "a": []}}, "different labels for 'a', got []"),
        ({"labels": {"background": 0, "a": [1, 1]}}, "different labels for 'a'"),
        ({"labels": {"background": 0, "a": 2}}, "the labels 0 to 1 for 2 names, got [0, 2]"),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "the labels 0 to 2 for 3 names, got [0, 1, 1]"),
        ({"labels": {"background": 0, "a": 1, "ignore": 7}}, '"ignore" as the highest label, 2, got 7'),
        ({"labels": {"background": 0, "a": 1, "ignore": [2]}}, "a whole number from 0 to 65535 for 'ignore'"),
        ({"labels": {"background": 0, "\x1b": 1}}, "names of printable characters, got '\\x1b'"),
        ({"labels": {"background": 0, "": 1}}, "names of printable characters"),
        ({"labels": {"0": "background", "x": "a"}}, "whole numbers as keys or as values, got 'x': 'a'"),
        ({"labels": {"0": "background", "1": "a", "2": "a"}}, "every name once, got 'a' again"),
        ({"labels": {"0": "background", "9" * 5000: "a"}}, "whole numbers as keys"),
        ({"labels": {"0": "x", "1": "background"}}, 'expected "background" as label 0, got 1'),
        ({"labels": {"background": 0, "a": [1, 2]}}, '"regions_class_order" with one label per region (1), got None'),
        ({"labels": {"background": 0, "a": [1, 2]}, "regions_class_order": [1, 2]}, "one label per region (1)"),
        ({"labels": {"background": 0, "a": [1, 2]}, "regions_class_order": ["1"]}, "a whole number"),
        (PLAIN | {"file_ending": ".xyz"}, '"file_ending": expected a known suffix'),
        (PLAIN | {"file_ending": 3}, '"file_ending": expected a known suffix'),
        (PLAIN | {"file_ending": "*.png"}, '"file_ending": expected a known suffix'),
    ],
)
def test_dataset_json_that_is_refused(tree, held, message):
    if held == "\xff":
        Path("dataset.json").write_bytes(b"\xff")
    else:
        write_json("dataset.json", held)
    with pytest.raises(FileError, match=re.escape(message)) as caught:
        read_dataset(Path("dataset.json"))
    assert str(caught.value).startswith("dataset.json: ")
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("place", ["p", ".", "t"])
def test_nnunet_with_probabilities(tree, place):
    write_json(f"{place}/dataset.json", PLAIN)
    for case in ("liver_01", "liver_02"):
        tree(*(f"p/{case}{end}" for end in (".npz", ".pkl", ".nii.gz")), f"t/{case}.nii.gz")
    tree("p/plans.json", "p/predict_from_raw_data_args.json")
    layout, pairs, notes = evaluated("nnunet")
    assert pairs == {case: (f"p/{case}.npz", f"t/{case}.nii.gz") for case in ("liver_01", "liver_02")}
    assert (layout.class_names, layout.regions, layout.ignore_index) == (("background", "liver", "tumour"), None, ())
    assert (layout.probabilities, layout.axes) == (True, "czyx")
    assert "match no pattern and are left out: " in notes[0]
    assert "liver_01.pkl, liver_02.pkl" in notes[0]
    assert notes[1] == (
        "2 files in p belong to images with another prediction file and are left out: liver_01.nii.gz, liver_02.nii.gz"
    )


def test_the_dataset_json_of_the_predictions_is_taken(tree):
    tree("p/a.nii.gz", "t/a.nii.gz")
    write_json("dataset.json", PLAIN)
    write_json("p/dataset.json", REGIONS)
    assert find_layout("nnunet", P, T).ignore_index == (4,)


def test_nnunet_with_label_maps(tree):
    write_json("p/dataset.json", PLAIN | {"file_ending": ".png"})
    tree("p/a.png", "t/a.png")
    layout, pairs, _ = evaluated("nnunet")
    assert pairs == {"a": ("p/a.png", "t/a.png")}
    assert layout.axes is None
    layout = find_layout("nnunet", P / "a.png", T / "a.png")
    assert pair_files(P / "a.png", T / "a.png", layout=layout).pairs[0].name == "a"


def test_nnunet_with_regions(tree):
    write_json("p/dataset.json", REGIONS)
    layout = find_layout("nnunet", P, T)
    assert layout.regions == "whole tumor=1+2+3,a_b_c_d=2+3,et=3"
    assert layout.class_names == ("whole tumor", "a=b,c+d", "et")
    assert layout.class_order == (1, 2, 3)
    labels = {"background": 0, "a+b": [1, 2], "a=b": [1, 2]}
    write_json("p/dataset.json", {"labels": labels, "regions_class_order": [1, 2]})
    refused("nnunet", "expected different names of regions, got a_b, a_b")


def test_nnunet_mixed(tree):
    write_json("p/dataset.json", PLAIN)
    tree("p/a.npz", "p/a.nii.gz", "p/b.nii.gz", "t/a.nii.gz", "t/b.nii.gz")
    refused("nnunet", "1 named {id}.npz (a) and only 1 named {id}.nii.gz (b)", "('{id}.nii.gz', '{id}.nii.gz')")


def test_nnunet_without_dataset_json(tree):
    tree("p/a.npz", "t/a.nii.gz")
    refused("nnunet", "p: expected nnU-Net's dataset.json in this folder, next to it, or in or next to t, found none")


# ---- data sets of natural images

IDS = [f"{city}_{i:06}_000019" for city in ("aachen", "bochum", "ulm") for i in range(2)]


def city_of(image):
    return image.partition("_")[0]


@pytest.mark.parametrize(
    "predicted", ["{city}/{id}_leftImg8bit.npy", "{id}_leftImg8bit_pred.npz", "{id}.png", "{city}/{id}.npy"]
)
@pytest.mark.parametrize(
    ("ends", "kept", "labels", "ignored"),
    [
        (("labelIds.png", "color.png", "instanceIds.png", "polygons.json"), "labelIds.png", "cityscapes", ()),
        (("labelIds.png", "labelTrainIds.png"), "labelIds.png", "cityscapes", ()),
        (("labelTrainIds.png", "color.png"), "labelTrainIds.png", None, (255,)),
    ],
)
def test_cityscapes(tree, predicted, ends, kept, labels, ignored):
    expected = {}
    for image in IDS:
        prediction = "p/" + predicted.format(city=city_of(image), id=image)
        masks = [f"t/{city_of(image)}/{image}_gtFine_{end}" for end in ends]
        tree(prediction, *masks)
        expected[image] = (prediction, f"t/{city_of(image)}/{image}_gtFine_{kept}")
    layout, pairs, notes = evaluated("cityscapes")
    assert pairs == expected
    assert (layout.labels, layout.ignore_index) == (labels, ignored)
    assert len(notes) == 1
    assert notes[0].startswith(f"{6 * (len(ends) - 1)} files in t match no pattern and are left out: ")


def test_cityscapes_with_coarse_masks(tree):
    tree("p/ulm_1_1.npy", "t/ulm/ulm_1_1_gtCoarse_labelIds.png")
    assert evaluated("cityscapes")[1] == {"ulm_1_1": ("p/ulm_1_1.npy", "t/ulm/ulm_1_1_gtCoarse_labelIds.png")}


def test_cityscapes_without_masks(tree):
    tree("p/a.npy", "t/a_gtFine_color.png")
    refused("cityscapes", "t: expected masks named *_gtFine_labelIds.png", '`layout="cityscapes"`, found none')


def test_ade20k(tree):
    tree("p/ADE_val_00000001.npy", "t/ADE_val_00000001.png", "p/Thumbs.db", "t/objectInfo150.txt")
    layout, pairs, notes = evaluated("ade20k")
    assert pairs == {"ADE_val_00000001": ("p/ADE_val_00000001.npy", "t/ADE_val_00000001.png")}
    assert layout.labels == "ade20k"
    assert [note.rpartition(": ")[2] for note in notes] == ["Thumbs.db", "objectInfo150.txt"]


@pytest.mark.parametrize("root", ["t", "t/VOCdevkit/VOC2012"])
def test_voc(tree, root):
    tree(f"{root}/SegmentationClass/2007_000032.png", f"{root}/SegmentationObject/2007_000032.png")
    tree(f"{root}/JPEGImages/2007_000032.jpg", f"{root}/ImageSets/Segmentation/val.txt", "p/2007_000032.npy")
    layout = find_layout("voc", P, Path(root))
    found = pair_files(P, Path(root), layout=layout)
    assert [pair.target for pair in found.pairs] == [Path(root, "SegmentationClass/2007_000032.png")]
    assert (layout.labels, layout.class_names) == ("voc", None)
    layout = find_layout("voc", P, Path(root, "SegmentationClass"))
    assert len(pair_files(P, Path(root, "SegmentationClass"), layout=layout).pairs) == 1


@pytest.mark.parametrize(
    ("png", "npy"), [("SegmentationClassPNG", "SegmentationClass"), ("SegmentationClass", "SegmentationClassNpy")]
)
def test_the_export_of_labelme(tree, png, npy):
    """Both sets of folders that versions of labelme2voc.py write. The visualisations must not be taken for masks."""
    tree(f"t/{png}/2011_000003.png", f"t/{npy}/2011_000003.npy", "t/JPEGImages/2011_000003.jpg")
    tree("t/SegmentationClassVisualization/2011_000003.jpg", "p/2011_000003.npy")
    Path("t/class_names.txt").write_text("_background_\nperson\nbottle\n", encoding="utf-8")
    layout, pairs, _ = evaluated("voc")
    assert pairs == {"2011_000003": ("p/2011_000003.npy", f"t/{png}/2011_000003.png")}
    assert (layout.labels, layout.class_names) == (None, ("_background_", "person", "bottle"))
    assert layout.ignore_index == (-1, 255)
    layout = find_layout("voc", P, T / npy)
    assert pair_files(P, T / npy, layout=layout).pairs[0].target == T / npy / "2011_000003.npy"
    assert layout.class_names == ("_background_", "person", "bottle")


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"", "one name per line"), (b"a\x1b\n", "printable"), (b"\xff", "cannot be read"), (b"a\n" * 2**16, "at most")],
)
def test_class_names_that_are_refused(tree, text, message):
    Path("t/class_names.txt").write_bytes(text)
    refused("voc", "t/class_names.txt: ", message)


# ---- medical images

OLD, NEW = ("BraTS20_Training_001", "BraTS2021_00000"), ("BraTS-GLI-00000-000", "BraTS-MET-00002-000")


@pytest.mark.parametrize("predicted", ["{id}.nii.gz", "{id}.npz", "{id}/{id}.nii.gz", "{id}/{id}{mark}seg.nii.gz"])
@pytest.mark.parametrize(
    ("ids", "mark", "regions"),
    [(OLD, "_", "wt=1+2+4,tc=1+4,et=4"), (NEW, "-", "wt=1+2+3,tc=1+3,et=3")],
)
@pytest.mark.parametrize("end", [".nii.gz", ".nii"])
def test_brats(tree, predicted, ids, mark, regions, end):
    for image in ids:
        tree("p/" + predicted.format(id=image, mark=mark))
        tree(*(f"t/{image}/{image}{mark}{kind}{end}" for kind in ("seg", "t1", "t1ce", "t2", "flair")))
    layout, pairs, notes = evaluated("brats")
    assert pairs == {
        image: ("p/" + predicted.format(id=image, mark=mark), f"t/{image}/{image}{mark}seg{end}") for image in ids
    }
    assert layout.regions == regions
    assert layout.class_names == ("wt", "tc", "et")
    assert notes[0].startswith("8 files in t match no pattern")


def test_brats_of_both_conventions(tree):
    tree("t/a/a_seg.nii.gz", "t/b/b-seg.nii.gz", "p/a.nii.gz", "p/b.nii.gz")
    refused("brats", "t: expected masks of one BraTS convention, got both, such as a/a_seg.nii.gz (labels 1, 2, 4) and")


def test_brats_without_masks(tree):
    tree("t/a/a_t1.nii.gz", "p/a.nii.gz")
    refused("brats", "t: expected masks named *_seg.nii.gz or *-seg.nii.gz")


@pytest.mark.parametrize("postfix", ["_trans", "_seg", "_pred", ""])
@pytest.mark.parametrize("folder", ["{id}/", ""])
def test_monai(tree, postfix, folder):
    for image in ("spleen_10", "spleen_2"):
        tree(f"p/{folder.format(id=image)}{image}{postfix}.nii.gz", f"t/{image}.nii.gz")
    layout, pairs, notes = evaluated("monai")
    assert set(pairs) == {"spleen_10", "spleen_2"}
    assert notes == ()
    assert layout.axes == "xyzc"


def test_monai_without_volumes(tree):
    tree("p/a/a_seg.png", "t/a.png")
    layout, pairs, _ = evaluated("monai")
    assert pairs == {"a": ("p/a/a_seg.png", "t/a.png")}
    assert layout.axes is None


@pytest.mark.extended
def test_monai_writes_these_names_and_axes(tree):
    """The axes have four different lengths, so that no other order fits."""
    monai, torch = pytest.importorskip("monai.transforms"), pytest.importorskip("torch")
    nibabel = pytest.importorskip("nibabel")
    tensors = pytest.importorskip("monai.data")
    image = tensors.MetaTensor(torch.zeros(2, 3, 4, 5), meta={"filename_or_obj": "images/case_1.nii.gz"})
    monai.SaveImage(output_dir="p", print_log=False)(image)
    tree("t/case_1.nii.gz")
    layout, pairs, _ = evaluated("monai")
    assert pairs == {"case_1": ("p/case_1/case_1_trans.nii.gz", "t/case_1.nii.gz")}
    shape = nibabel.load(pairs["case_1"][0]).shape
    assert dict(zip(layout.axes, shape, strict=True)) == {"c": 2, "x": 3, "y": 4, "z": 5}


def test_an_npz_of_nnunet_has_these_axes(tree):
    """The reader and the layout agree on the axes."""
    from contextlib import ExitStack

    from fastloss.files.registry import open_stored

    np.savez_compressed("p/a.npz", probabilities=np.zeros((2, 3, 4, 5), np.float16))
    write_json("p/dataset.json", PLAIN)
    with ExitStack() as stack:
        stored = open_stored(Path("p/a.npz"), None, stack)
    assert "".join(stored.axes) == find_layout("nnunet", P, T).axes
