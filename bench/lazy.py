"""Times `evaluate` of lazy arrays: python -m bench.lazy [--gigabytes N] [--folder DIR].

A zarr v3 array of probabilities, one image of 113 classes in float32 (2.1 GB unless told otherwise), is written in five
chunkings. Each is evaluated from zarr and from dask, in a process of its own. A line shows the seconds, their ratio to
reading all chunks once without computing, the peak memory of the process (VmHWM in /proc/self/status), and how much of
it the process needs for a tiny array. The goals: a peak under 300 MB for zarr, and values that differ by less than
1e-7 of their size, since the kernels add float32 in lanes.
"""

import argparse
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import zarr

CLASSES, PIXELS = 113, (168, 168, 168)
CHUNKS = {  # of classes and pixels
    "cubes of all classes": (CLASSES, 28, 28, 28),
    "slices of all classes": (CLASSES, 1, 168, 168),
    "cubes of one class": (1, 56, 56, 56),
    "cubes of some classes": (10, 50, 40, 30),
    "volumes of one class": (1, 168, 168, 168),
}
PROGRAM = """
import sys, time
import numpy as np, zarr
import fastloss as fl

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

def lazy(array):
    if sys.argv[2] == "zarr":
        return array
    import dask.array
    return dask.array.from_zarr(array)

losses = {"dice": fl.DiceLoss(activation=None), "nll": fl.CategoricalCrossEntropyLoss()}
tiny = zarr.create_array({}, data=np.ones((1, 3, 8, 8, 8), np.float32) / 3)
fl.evaluate(losses, lazy(tiny), np.zeros((1, 8, 8, 8), np.uint8))
before = peak()
x, y = (zarr.open_array(f"{sys.argv[1]}/{name}", mode="r") for name in "xy")
start = time.perf_counter()
report = fl.evaluate(losses, lazy(x), lazy(y))
seconds = time.perf_counter() - start
most = peak()
start = time.perf_counter()
grid = [range(0, n, c) for n, c in zip(x.shape, x.chunks)]
for k in np.ndindex(*(len(g) for g in grid)):
    x[tuple(slice(g[i], g[i] + c) for g, i, c in zip(grid, k, x.chunks))]
print(seconds, seconds / (time.perf_counter() - start), most, before, report["dice"].hex(), report["nll"].hex())
"""


def write(folder, chunks, pixels):
    """Write smooth probabilities, and labels, chunk by chunk of the first two axes."""
    chunks = tuple(min(c, n) for c, n in zip(chunks, (CLASSES, *pixels), strict=True))
    shape = (1, CLASSES, *pixels)
    x = zarr.create_array(folder / "x", shape=shape, chunks=(1, *chunks), dtype=np.float32, overwrite=True)
    for start in range(0, CLASSES, chunks[0]):
        stop = min(start + chunks[0], CLASSES)
        for at in range(0, pixels[0], chunks[1]):
            rows = slice(at, min(at + chunks[1], pixels[0]))
            x[0, start:stop, rows] = [probabilities(c, rows, pixels) for c in range(start, stop)]
    i, j, k = np.ogrid[tuple(slice(n) for n in pixels)]
    y = ((i // 8 + j // 8 + k // 8) % CLASSES).astype(np.uint8)[None]
    zarr.create_array(folder / "y", data=y, chunks=(1, 64, 64, 64), overwrite=True)


def probabilities(c, rows, pixels):
    i, j, k = np.ogrid[rows, : pixels[1], : pixels[2]]
    waves = np.sin(0.37 * i + c) + np.sin(0.23 * j - c) + np.sin(0.11 * k)
    return ((3.2 + waves) / (3.2 * CLASSES)).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.1, help="the size of the array")
    parser.add_argument("--folder", type=pathlib.Path, help="where to write it (default: a temporary folder)")
    args = parser.parse_args()
    planes = max(8, round(args.gigabytes * 1e9 / (4 * CLASSES * math.prod(PIXELS[1:]))))
    pixels = (planes, *PIXELS[1:])
    print(f"{CLASSES} classes, {pixels} pixels, {4e-6 * CLASSES * math.prod(pixels):.0f} MB of float32")
    found = []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for name, chunks in CHUNKS.items():
            write(pathlib.Path(folder), chunks, pixels)
            for library in ("zarr", "dask"):
                command = [sys.executable, "-c", PROGRAM, folder, library]
                done = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                seconds, ratio, most, before = map(float, done[:4])
                found.append([float.fromhex(v) for v in done[4:]])
                print(
                    f"{name:22} {library}  {seconds:6.2f} s  {ratio:5.2f} x reading  peak {most:4.0f} MB "
                    f"({before:.0f} MB for a tiny array)",
                    flush=True,
                )
    spread = np.ptp(found, axis=0) / np.abs(found[0])
    print("values differ by", " and ".join(f"{s:.1e}" for s in spread), "of their size")


if __name__ == "__main__":
    main()
