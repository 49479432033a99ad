"""Tests windows of HDF5 datasets, and that files which refer to others, lie or unpack to too much are refused."""

import struct
import zlib
from contextlib import ExitStack

import numpy as np
import pytest
from file_checks import check_rows_need_only_their_memory, check_windows, most_memory, read, refused, samples

from fastloss.files import hdf5, stored
from fastloss.files.registry import open_stored

h5py = pytest.importorskip("h5py")

SHAPE, CHUNKS = (3, 45, 50), (2, 16, 20)
FORMS = {
    "contiguous": {},
    "chunks": {"chunks": CHUNKS},
    "gzip": {"chunks": CHUNKS, "compression": "gzip"},
    "gzip-shuffle": {"chunks": CHUNKS, "compression": "gzip", "shuffle": True},
    "shuffle": {"chunks": CHUNKS, "shuffle": True},
    "lzf": {"chunks": CHUNKS, "compression": "lzf"},
    "fletcher32": {"chunks": CHUNKS, "fletcher32": True},
    "all": {"chunks": CHUNKS, "compression": "gzip", "shuffle": True, "fletcher32": True},
}


def create(path, array, name="a", userblock=0, **options):
    with h5py.File(path, "w", userblock_size=userblock) as file:
        file.create_dataset(name, data=array, **options)
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("userblock", [0, 512])
def test_windows_have_the_bits_of_the_array(tmp_path, form, userblock):
    for dtype in ("f2", "f4", "f8", "?", "u1", "i2", "u8"):
        for order in "<>":
            array = samples(SHAPE, np.dtype(dtype).newbyteorder(order))
            path = create(tmp_path / "a.h5", array, userblock=userblock, **FORMS[form])
            found = check_windows(path, array, 8)
            assert found.mapped == (form == "contiguous" and dtype != "?")
            assert found.chunks == FORMS[form].get("chunks")


def test_a_small_dataset_in_the_header(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((4, 5))
        made = h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, space, layout)
        array = samples((4, 5), "f4")
        h5py.Dataset(made)[...] = array
    check_windows(tmp_path / "a.h5", array)


def test_checksums_of_all_sums(tmp_path):
    """A sum of 65535 and a sum of 0 are the same, and HDF5 stores either."""
    for array in (np.full(4096, 255, "u1"), np.zeros(101, "u1"), samples(100001, "u1"), samples(7, "u1")):
        path = create(tmp_path / "a.h5", array, chunks=array.shape, fletcher32=True)
        check_windows(path, array, 2)


def test_groups_and_keys(tmp_path):
    a, b = samples((4, 5), "f4", 1), samples((4, 5), "u1", 2)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["a"] = a
        file["deep/b"] = b
        file["deep/again"] = file["/"]
    check_windows(tmp_path / "a.hdf5", a, 3, key="a")
    check_windows(tmp_path / "a.hdf5", b, 3, key="/deep/b")
    refused(tmp_path / "a.hdf5", "a, deep/b", "`key=`")
    for key in ("c", "deep", "a/b", "../a", "deep//b", "\0"):
        refused(tmp_path / "a.hdf5", "a, deep/b", "`key=`", key=key)


def test_missing_chunks(tmp_path):
    """They are the fill value of a mask, and refused in an array of floats."""
    for dtype in ("u1", "?", "f4"):
        array = np.full(SHAPE, 1, dtype)
        with h5py.File(tmp_path / "a.h5", "w") as file:
            made = file.create_dataset("a", SHAPE, dtype, chunks=CHUNKS, fillvalue=1, compression="gzip")
            made[:2, :16, :20] = array[:2, :16, :20] = samples((2, 16, 20), dtype)
        if dtype == "f4":
            refused(tmp_path / "a.h5", "of 18 missing")
        else:
            check_windows(tmp_path / "a.h5", array, 8)


def test_rows_of_chunks_need_only_their_memory(tmp_path):
    """The array has 64 MiB, and a row of chunks 8 MiB."""
    array = samples((8, 2048, 256), "f2").repeat(8, axis=2)
    path = create(tmp_path / "a.h5", array, chunks=(1, 256, 256), compression="gzip", compression_opts=1)
    check_rows_need_only_their_memory(path, array)


def test_references_to_other_files(tmp_path):
    other = create(tmp_path / "b.h5", samples(SHAPE, "f4"))
    (tmp_path / "raw").write_bytes(bytes(80))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink(str(other), "a")
        file["soft"] = h5py.SoftLink("/link")
        layout = h5py.VirtualLayout(SHAPE, "f4")
        layout[...] = h5py.VirtualSource(str(other), "a", SHAPE)
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", (4, 5), "f4", external=[(str(tmp_path / "raw"), 0, 80)])
    refused(tmp_path / "a.h5", "link", key="link")
    refused(tmp_path / "a.h5", "link", key="soft")
    refused(tmp_path / "a.h5", "other files", key="virtual")
    refused(tmp_path / "a.h5", "other files", key="external")


@pytest.mark.parametrize(
    "made",
    [
        lambda file: file.create_dataset("a", data=["text"]),
        lambda file: file.create_dataset("a", data=np.zeros(3, "S4")),
        lambda file: file.create_dataset("a", data=np.zeros(3, [("x", "f4"), ("y", "f4")])),
        lambda file: file.create_dataset("a", data=np.zeros(3, "c8")),
        lambda file: file.create_dataset("a", (3,), h5py.vlen_dtype(np.float32)),
        lambda file: file.create_dataset("a", (3,), h5py.ref_dtype),
        lambda file: file.create_dataset("a", data=h5py.Empty("f4")),
        lambda file: file.create_dataset("a", (64,), "i4", chunks=(16,), scaleoffset=2),
        lambda file: file.create_dataset("a", (3,), "f4"),  # never written
        lambda file: file.create_group("a"),
        lambda file: h5py.h5d.create(file.id, b"a", twelve_bits(), h5py.h5s.create_simple((3,))),
    ],
)
def test_values_that_are_no_plain_numbers(tmp_path, made):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made(file)
    refused(tmp_path / "a.h5", "expected")


def twelve_bits():
    kind = h5py.h5t.STD_I16LE.copy()
    kind.set_precision(12)
    return kind


def raw_chunk(path, packed, shape=SHAPE, chunks=CHUNKS, mask=0, **options):
    """Write these bytes as every chunk."""
    with h5py.File(path, "w") as file:
        made = file.create_dataset("a", shape, "f4", chunks=chunks, **options)
        for index in np.ndindex(*[-(-n // of) for n, of in zip(shape, chunks, strict=True)]):
            made.id.write_direct_chunk(tuple(int(k * n) for k, n in zip(index, chunks, strict=True)), packed, mask)
    return path


def test_chunks_that_lie(tmp_path):
    size = 4 * 2 * 16 * 20
    whole = zlib.compress(bytes(size))
    gzip = {"compression": "gzip"}
    assert not read(raw_chunk(tmp_path / "a.h5", whole, **gzip))[1].any()
    for bad in (zlib.compress(bytes(2**26)), zlib.compress(bytes(size - 1)), whole[:-1], b"\0", b"garbage" * 9):
        path = raw_chunk(tmp_path / "a.h5", bad, **gzip)
        with most_memory() as most:
            refused(path)
        assert most() < 2**21
    for bad in (bytes(size - 1), bytes(size + 1)):
        refused(raw_chunk(tmp_path / "a.h5", bad, shuffle=True))
        refused(raw_chunk(tmp_path / "a.h5", bad, fletcher32=True))
    refused(raw_chunk(tmp_path / "a.h5", bytes(size) + struct.pack("<I", 1), fletcher32=True), "fletcher32")
    unpacked = raw_chunk(tmp_path / "a.h5", np.ones(size // 4, "f4").tobytes(), mask=1, **gzip)  # the filter is skipped
    assert read(unpacked)[1].all()


def test_repeated_values_in_lzf(tmp_path):
    """References that reach into the bytes that they make, short and long ones."""
    for period in (1, 2, 3, 7, 250, 300, 5000, 9000):
        array = np.resize(samples(period, "u1"), 40000)
        path = create(tmp_path / "a.h5", array, chunks=(20000,), compression="lzf")
        check_windows(path, array, 3)


def test_sizes_that_contradict_each_other(tmp_path):
    """The index of chunks has another size than the chunks without a filter have. HDF5 2.0 would end the process."""
    path = create(tmp_path / "a.h5", samples(SHAPE, "f4"), chunks=CHUNKS)
    data = bytearray(path.read_bytes())
    size = struct.pack("<I", 4 * 2 * 16 * 20)
    at = data.index(size + struct.pack("<I3Q", 0, 0, 16, 20))  # the size, the mask and the indices of a chunk
    data[at : at + 4] = struct.pack("<I", 2798)
    path.write_bytes(data)
    refused(path, "expected a chunk of 2560 bytes, got 2798")


def test_bombs(tmp_path, monkeypatch):
    path = create(tmp_path / "a.h5", np.zeros((1000, 1000), "f4"), chunks=(1000, 1000), compression="gzip")
    monkeypatch.setattr(stored, "BOMB_BYTES", 2**20)
    refused(path, "archive bomb")
    with ExitStack() as stack, pytest.raises(ValueError, match=r"a\.h5.*archive bomb"):
        open_stored(path, None, stack).read((slice(0, 1), slice(0, 1)))


def test_too_many(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (10**9, 10**9), "f4", chunks=(1, 1))
    refused(tmp_path / "a.h5", "chunks")
    monkeypatch.setattr(hdf5, "MOST_NODES", 20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for k in range(30):
            file[f"{k}"] = 1.0
    refused(tmp_path / "a.h5", "at most 20")


@pytest.mark.parametrize("form", FORMS)
def test_truncated(tmp_path, form):
    data = create(tmp_path / "whole.h5", samples(SHAPE, "f4"), **FORMS[form]).read_bytes()
    for keep in (0, 8, 100, 0.2, 0.4, 0.6, 0.8, 0.9):
        (tmp_path / "a.h5").write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
        refused(tmp_path / "a.h5")


@pytest.mark.parametrize("form", FORMS)
def test_damaged_anywhere(tmp_path, form):
    """A changed byte is refused, or it is among the values, or it is in a field that nobody needs."""
    array = samples(SHAPE, "f4")
    data = create(tmp_path / "whole.h5", array, **FORMS[form]).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        wrong = bytearray(data)
        at = int(rng.integers(0, min(len(data), 4096)))
        wrong[at] ^= int(rng.integers(1, 256))
        (tmp_path / "a.h5").write_bytes(wrong)
        try:
            values = read(tmp_path / "a.h5")[1]
        except ValueError as error:
            message = str(error)
        else:
            message = "a.h5"
            assert values.ndim == 3
        assert "a.h5" in message
