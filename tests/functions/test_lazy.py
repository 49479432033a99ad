"""Tests that lazy arrays have the values of the same arrays in memory, and that they are read window by window."""

from __future__ import annotations

import importlib
import sys
import threading

import numpy as np
import pytest
from cases import CASES, MERGING_CASES, images
from compare import assert_reports_close, same_bits
from process import output

import fastloss as fl
from fastloss import _lazy_arrays, _windows

C, SHAPE = 4, (3, 4, 20, 31)
LOSSES = {"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss(), "pooled": fl.JaccardLoss(batch=True)}
CHUNKINGS = [(3, 4, 20, 31), (1, 4, 20, 31), (2, 4, 7, 31), (1, 3, 6, 5), (1, 1, 20, 31)]


@pytest.fixture
def small_windows(monkeypatch):
    """Windows of about a seventh of the data, so that images consist of several."""
    monkeypatch.setattr(_windows, "WINDOW_BYTES", 8_000)
    monkeypatch.setattr(_lazy_arrays, "WINDOW_BYTES", 100)
    monkeypatch.setattr(_lazy_arrays, "LARGE_BYTES", 12_000)


# ---- the libraries


def pixels(chunks, ndim):
    """The chunks of an array with or without the class axis."""
    return chunks if ndim == len(chunks) else (chunks[0], *chunks[2:])


def fitted(chunks, shape):
    return tuple(max(1, min(c, n)) for c, n in zip(pixels(chunks, len(shape)), shape, strict=True))


def of_dask(a, chunks, folder):
    return importlib.import_module("dask.array").from_array(a, chunks=fitted(chunks, a.shape))


def of_uneven_dask(a, chunks, folder):
    sizes = tuple((1, n - 3, 2) if n > 3 else n for n in a.shape)
    return importlib.import_module("dask.array").from_array(a, chunks=sizes)


def of_zarr(a, chunks, folder):
    return importlib.import_module("zarr").create_array(folder, data=a, chunks=fitted(chunks, a.shape))


def of_zarr_shards(a, chunks, folder):
    own = fitted(chunks, a.shape)
    shards = tuple(-(-n // c) * c for n, c in zip(a.shape, own, strict=True))
    return importlib.import_module("zarr").create_array(folder, data=a, chunks=own, shards=shards)


def of_hdf5(a, chunks, folder):
    file = importlib.import_module("h5py").File(folder.with_suffix(".h5"), "w")
    return file.create_dataset("a", data=a, chunks=fitted(chunks, a.shape))


def of_hdf5_without_chunks(a, chunks, folder):
    return importlib.import_module("h5py").File(folder.with_suffix(".h5"), "w").create_dataset("a", data=a)


def of_xarray(a, chunks, folder):
    return importlib.import_module("xarray").DataArray(of_dask(a, chunks, folder))


def of_xarray_file(a, chunks, folder):
    """An array that xarray reads from a file on access, without dask."""
    xarray = importlib.import_module("xarray")
    importlib.import_module("zarr")
    dims = [f"d{k}" for k in range(a.ndim)]
    data = xarray.Dataset({"a": (dims, a, {}, {"chunks": fitted(chunks, a.shape)})})
    data.to_zarr(folder, zarr_format=2, consolidated=True)
    array = xarray.open_zarr(folder, chunks=None).a
    assert not array.variable._in_memory
    return array


LIBRARIES = {
    "dask": of_dask,
    "uneven dask": of_uneven_dask,
    "zarr": of_zarr,
    "zarr shards": of_zarr_shards,
    "hdf5": of_hdf5,
    "hdf5 without chunks": of_hdf5_without_chunks,
    "xarray": of_xarray,
    "xarray file": of_xarray_file,
}


@pytest.fixture
def lazily(tmp_path):
    """Make lazy arrays of a library, each in a folder of its own."""
    made = []

    def make(library, array, chunks):
        for name in {"hdf5": "h5py", "uneven": "dask"}.get(library.split()[0], library.split()[0]).split():
            pytest.importorskip(name)
        made.append(LIBRARIES[library](array, chunks, tmp_path / str(len(made))))
        return made[-1]

    yield make
    for array in made:
        if type(array).__module__.startswith("h5py"):
            array.file.close()


def assert_close(report, whole, rtol=1e-12, atol=1e-14):
    assert_reports_close(report, whole, rtol, atol)


# ---- values


class Recorded:
    """A lazy array that records the size of what is read, and the threads that read."""

    def __init__(self, array, chunks):
        self.array, self.chunks, self.dtype, self.shape = array, chunks, array.dtype, array.shape
        self.sizes, self.threads = [], set()

    def __getitem__(self, index):
        part = self.array[index]
        self.sizes.append(part.nbytes)
        self.threads.add(threading.current_thread())
        return part


@pytest.mark.parametrize("case", MERGING_CASES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_loss(case, weighted, small_windows, backend):
    loss = case.make(C)
    x, y, w = images(case, loss, SHAPE)
    w = w if weighted else None
    lazy_x, lazy_y = Recorded(x, (2, 3, 6, 9)), Recorded(y, pixels((1, 4, 11, 31), y.ndim))
    lazy_w = None if w is None else Recorded(w, pixels((3, 4, 5, 31), w.ndim))
    expected, scale = loss(x, y, pixel_weight=w), case.cancels
    got = loss(lazy_x, lazy_y, pixel_weight=lazy_w)
    assert got == pytest.approx(expected, rel=1e-12 * scale, abs=1e-14 * scale, nan_ok=True)
    assert loss.finalize(loss.partial(lazy_x, lazy_y, pixel_weight=lazy_w)) == pytest.approx(got, rel=0, nan_ok=True)
    report = fl.evaluate({"loss": loss}, lazy_x, lazy_y, pixel_weight=lazy_w)
    assert_close(report, fl.evaluate({"loss": loss}, x, y, pixel_weight=w), 1e-12 * scale, 1e-14 * scale)


@pytest.mark.parametrize("chunks", CHUNKINGS, ids=str)
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_and_chunking(library, chunks, lazily, small_windows):
    x, y, w = images(CASES[0], CASES[0].make(C), SHAPE)
    whole = fl.evaluate(LOSSES, x, y, pixel_weight=w)
    lazy_x, lazy_y, lazy_w = (lazily(library, a, chunks) for a in (x, y, w))
    other_y = lazily(library, y, (2, 4, 9, 8))
    for input, target, weight in (
        (lazy_x, lazy_y, lazy_w),
        (lazy_x, other_y, w),
        (x, lazy_y, w),
        (x, other_y, lazy_w),
        (x, y, lazy_w),
    ):
        assert_close(fl.evaluate(LOSSES, input, target, pixel_weight=weight), whole)
    assert fl.DiceLoss()(lazy_x, lazy_y, pixel_weight=lazy_w) == pytest.approx(whole["dice"], rel=1e-12)


@pytest.mark.parametrize("shape", [(7, 4), (2, 4, 300), (4,), (2, 4, 5, 6, 7), (3, 4, 0, 5), (0, 4, 3)], ids=str)
def test_any_number_of_dimensions(shape, lazily, small_windows):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape), rng.integers(0, 4, () if len(shape) == 1 else shape[:1] + shape[2:])
    lazy_x = lazily("dask", x, tuple(1 + n // 3 for n in shape))
    for loss in (fl.DiceLoss(), fl.CrossEntropyLoss(), fl.DiceCELoss(), fl.BoundaryLoss() if len(shape) > 2 else None):
        if loss is not None:
            assert loss(lazy_x, y) == pytest.approx(loss(x, y), rel=1e-12, nan_ok=True)
    dense = rng.random(shape)
    assert fl.MSELoss()(lazy_x, dense) == pytest.approx(fl.MSELoss()(x, dense), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_any_class_axis(axis, lazily, small_windows):
    x, y, w = images(CASES[0], CASES[0].make(C), SHAPE)
    moved = lazily("zarr", np.moveaxis(x, 1, axis), (1, 5, 3, 4))
    losses = {"dice": fl.DiceLoss(axis=axis), "ce": fl.CrossEntropyLoss(axis=axis)}
    whole = fl.evaluate({"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss()}, x, y, pixel_weight=w)
    assert_close(fl.evaluate(losses, moved, y, pixel_weight=w), whole)


@pytest.mark.parametrize("shape", [(31,), (20, 1), (1, 20, 31), (3, 1, 1)], ids=str)
def test_weights_that_are_broadcast(shape, lazily, small_windows):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    w = np.random.default_rng(1).choice([0.0, 0.5, 2.0], shape)
    whole = fl.evaluate(LOSSES, x, y, pixel_weight=w)
    lazy_x = lazily("dask", x, (1, 3, 6, 5))
    for weight in (w, lazily("dask", w, (1,) * len(shape)) if len(shape) != 3 else w):
        assert_close(fl.evaluate(LOSSES, lazy_x, y, pixel_weight=weight), whole)
    assert_close(fl.evaluate(LOSSES, lazy_x[:1], y[:1]), fl.evaluate(LOSSES, x[:1], y[:1]))


def test_distance_maps(lazily, small_windows):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    phi = np.random.default_rng(0).standard_normal(SHAPE)
    lazy_x, lazy_phi = lazily("dask", x, (1, 4, 6, 9)), lazily("zarr", phi, (1, 2, 5, 31))
    for loss in (fl.BoundaryLoss(), fl.DiceLoss() + 0.1 * fl.BoundaryLoss(classes=[1, 2])):
        expected = loss(x, y, distance_maps=phi)
        assert loss(lazy_x, y, distance_maps=lazy_phi) == pytest.approx(expected, rel=1e-12)
        assert loss.finalize(loss.partial(x, y, distance_maps=lazy_phi)) == pytest.approx(expected, rel=1e-12)
    assert fl.BoundaryLoss()(lazy_x, None, distance_maps=lazy_phi) == pytest.approx(
        fl.BoundaryLoss()(x, None, distance_maps=phi), rel=1e-12
    )
    with pytest.raises(ValueError, match="distance_maps: expected shape"):
        fl.BoundaryLoss()(lazy_x, y, distance_maps=lazy_phi[:, :, :3])
    with pytest.raises(TypeError, match="target: expected a real number dtype"):
        fl.BoundaryLoss()(lazy_x, None)


def test_spacing_and_ignored_labels(lazily, small_windows):
    x, y, _ = images(CASES[0], fl.DiceLoss(ignore_index=255), SHAPE)
    losses = {"boundary": fl.BoundaryLoss(), "dice": fl.DiceLoss()}
    lazy_x, lazy_y = lazily("dask", x, (2, 1, 6, 9)), lazily("dask", y, (3, 4, 5, 31))
    options = {"spacing": (2.0, 0.5), "ignore_index": 255}
    assert_close(fl.evaluate(losses, lazy_x, lazy_y, **options), fl.evaluate(losses, x, y, **options))


def test_tiles_may_be_lazy(lazily, small_windows):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    lazy_x = lazily("dask", x, (1, 3, 6, 9))
    with fl.Tiles(LOSSES) as tiles:
        tiles.add(lazy_x[..., :17], y[..., :17])
        tiles.add(lazy_x[..., 17:], y[..., 17:])
    assert_close(tiles.report, fl.evaluate(LOSSES, x, y))


def test_bits_do_not_depend_on_threads(lazily, small_windows, monkeypatch):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    lazy_x, lazy_y = lazily("zarr", x, (1, 2, 6, 9)), lazily("zarr", y, (2, 4, 7, 8))
    reports, partials = [], []
    for kernel_threads, read_threads in ((1, 1), (2, 1), (3, 2), (2, 5)):
        monkeypatch.setattr(_lazy_arrays, "READ_THREADS", read_threads)
        with fl.num_threads(kernel_threads):
            reports.append(fl.evaluate(LOSSES, lazy_x, lazy_y))
            partials.append(fl.DiceLoss().partial(lazy_x, lazy_y))
    for report in reports:
        assert all(same_bits(report[name], reports[0][name]) for name in LOSSES)
        assert all(same_bits(report.per_image[name], reports[0].per_image[name]) for name in LOSSES)
    assert all(p == partials[0] for p in partials)


def test_partials_merge_exactly(lazily, small_windows):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    lazy_x = lazily("dask", x, (1, 4, 6, 9))
    loss = fl.DiceLoss()
    single = [loss.partial(lazy_x[n : n + 1], y[n : n + 1]) for n in range(3)]
    assert fl.Partial.sum(single) == fl.Partial.sum(single[::-1]) == loss.partial(lazy_x, y)


# ---- windows


@pytest.mark.parametrize("chunks", CHUNKINGS[1:4], ids=str)
def test_everything_is_read_once_and_never_whole(chunks, small_windows):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    for call in (fl.DiceLoss(), lambda a, b: fl.evaluate(LOSSES, a, b)):
        lazy_x, lazy_y = Recorded(x, chunks), Recorded(y, pixels(chunks, 3))
        call(lazy_x, lazy_y)
        assert sum(lazy_x.sizes) == x.nbytes
        assert sum(lazy_y.sizes) == y.nbytes
        assert max(lazy_x.sizes) <= max(12_000, 8 * np.prod(chunks) * -(-C // chunks[1]))
        assert threading.current_thread() not in lazy_x.threads


def test_a_window_is_cut_inside_of_chunks_of_single_classes(small_windows):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    lazy_x = Recorded(x, (1, 1, 20, 31))
    assert fl.DiceLoss()(lazy_x, y) == pytest.approx(fl.DiceLoss()(x, y), rel=1e-12)
    assert sum(lazy_x.sizes) == x.nbytes
    assert max(lazy_x.sizes) <= 12_000 // C


def test_images_are_whole_for_losses_of_distances(small_windows):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    lazy_x, lazy_y = Recorded(x, (2, 4, 7, 9)), Recorded(y, (3, 7, 9))
    assert fl.BoundaryLoss()(lazy_x, lazy_y) == pytest.approx(fl.BoundaryLoss()(x, y), rel=1e-12)
    assert lazy_x.sizes == [x[0].nbytes] * 3


def test_small_targets_are_read_at_once():
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    lazy_y = Recorded(y, (1, 5, 5))
    fl.DiceLoss()(Recorded(x, (1, 4, 5, 31)), lazy_y)
    assert lazy_y.sizes == [y.nbytes]


def test_positions_of_errors_are_those_in_the_whole_arrays(small_windows):
    x, y, w = images(CASES[0], CASES[0].make(C), SHAPE)
    y[2, 13, 17] = 9
    for call in (fl.DiceLoss(), lambda a, b: fl.evaluate(LOSSES, a, b)):
        with pytest.raises(fl.LabelError, match=r"got 9 at \(2, 13, 17\)") as caught:
            call(Recorded(x, (1, 4, 3, 8)), Recorded(y, (1, 5, 5)))
        assert caught.value.position == (2, 13, 17)
    w[:] = 1
    w[2, 13, 17] = -1
    with pytest.raises(ValueError, match="pixel_weight: expected 0 or numbers") as weights:
        fl.DiceLoss()(Recorded(x, (1, 4, 3, 8)), y % 4, pixel_weight=w)
    assert weights.value.__notes__ == ["The positions are those in input[2:3, 0:4, 12:18, 0:31]."]


class Failing(Recorded):
    def __getitem__(self, index):
        if len(self.sizes) > 2:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def test_an_error_of_the_array_ends_the_call(small_windows):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    with pytest.raises(OSError, match="the disk is gone"):
        fl.DiceLoss()(Failing(x, (1, 4, 3, 8)), y)
    assert not [t for t in threading.enumerate() if t.name.startswith("fastloss-read")]


# ---- gradients


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_gradient_of_a_lazy_array_is_refused(library, lazily):
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    lazy_x, lazy_y = lazily(library, x, SHAPE), lazily(library, y, SHAPE)
    for loss in (fl.DiceLoss(), fl.DiceLoss() + fl.BoundaryLoss()):
        with pytest.raises(TypeError, match=r"input: expected an array in memory for a gradient, got a lazy .*asarray"):
            loss.value_and_grad(lazy_x, y)
        with pytest.raises(TypeError, match=r"target: .*map_blocks"):
            loss.value_and_grad(x, lazy_y)


def test_arrays_in_memory_are_not_lazy():
    xarray = pytest.importorskip("xarray")
    x, y, _ = images(CASES[0], CASES[0].make(C), SHAPE)
    value, gradient = fl.DiceLoss().value_and_grad(xarray.DataArray(x), xarray.DataArray(y))
    assert same_bits(value, fl.DiceLoss()(x, y))
    assert gradient.shape == x.shape


# ---- memory

PEAK = """
import sys
import numpy as np, zarr
import fastloss as fl

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

losses = {"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss()}
small = zarr.create_array({}, data=np.zeros((1, 24, 8, 8, 8), np.float32))
fl.evaluate(losses, small, np.zeros((1, 8, 8, 8), np.uint8))
before = peak()
x, y = (zarr.open_array(sys.argv[1] + name, mode="r") for name in ("/x", "/y"))
report = fl.evaluate(losses, x, y)
print(peak() - before, report["dice"].hex(), report["ce"].hex())
"""
LARGE = (1, 24, 128, 128, 128)  # 201 MB of float32
OF_LARGE = [
    (1, 24, 32, 32, 32),
    (1, 1, 64, 64, 64),
    (1, 1, 128, 128, 128),
    (1, 24, 128, 128, 4),
    (1, 5, 50, 128, 30),
]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    "chunks", [OF_LARGE[0], *(pytest.param(c, marks=pytest.mark.extended) for c in OF_LARGE[1:])], ids=str
)
def test_memory_is_bounded(chunks, tmp_path):
    zarr = pytest.importorskip("zarr")
    rng = np.random.default_rng(0)
    x = zarr.create_array(tmp_path / "x", shape=LARGE, chunks=chunks, dtype=np.float32)
    y = rng.integers(0, 24, LARGE[:1] + LARGE[2:], np.uint8)
    zarr.create_array(tmp_path / "y", data=y, chunks=(1, 70, 30, 128))
    images = rng.integers(-3, 3, (24, 128, 128, 128), np.int8)
    x[0] = images.astype(np.float32)
    del x
    more, *values = output(PEAK.replace("sys.argv[1]", repr(str(tmp_path)))).split()
    assert float(more) < 120
    in_memory = fl.evaluate({"dice": fl.DiceLoss(), "ce": fl.CrossEntropyLoss()}, images[None].astype(np.float32), y)
    assert [float.fromhex(v) for v in values] == pytest.approx(list(in_memory.values()), rel=1e-6)
