"""Times `evaluate_files` over archives of one format each: python -m bench.files [FORMAT ...] [--rounds N].

Each line shows medians of a run in which the jobs take turns: reading the bytes, one thread that reads, two threads,
and the losses of the same arrays in memory. The goals: `.npy` takes at most 1.25 times as long as reading its bytes or
computing, whichever is longer. For compressed formats, two threads that read are 1.7 times as fast as one, unless the
losses take longer than that. The last line shows the peak memory of a large tiled TIFF in a process of its own.
"""

import argparse
import gzip
import pathlib
import subprocess
import sys
import tempfile

import nibabel
import numpy as np
import tifffile

import fastloss as fl
from bench.timing import medians

IMAGES, SHAPE = 12, (8, 768, 768)
LOSSES = {"ce": fl.CrossEntropyLoss(), "dice": fl.DiceLoss()}
LARGE = (8, 4096, 4096)
PROGRAM = """
import sys, fastloss as fl
report = fl.evaluate_files({"ce": fl.CrossEntropyLoss(), "dice": fl.DiceLoss()}, *sys.argv[1:3])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(report.seconds, int(peak.split()[1]) // 1024)
"""


def nii_gz(path, x):
    image = nibabel.Nifti1Image(np.moveaxis(x, 0, -1).astype(np.float32)[:, :, None], np.eye(4))
    path.write_bytes(gzip.compress(image.to_bytes(), 1))


def tiff(path, x, **options):
    tifffile.imwrite(path, x, photometric="minisblack", **options)


FORMATS = {
    ".npy": np.save,
    ".npz": np.savez_compressed,
    ".nii.gz": nii_gz,
    "tiles.tif": lambda path, x: tiff(path, x, tile=(256, 256), compression="zlib"),
    "lzw.tif": lambda path, x: tiff(path, x, rowsperstrip=64, compression="lzw"),
}


def archive(folder, form, shape=SHAPE, images=IMAGES):
    """Write predictions whose low digits are noise, as a network's are, and masks of large regions."""
    rng = np.random.default_rng(0)
    for sub in ("p", "m"):
        (folder / sub).mkdir()
    for k in range(images):
        x = (rng.standard_normal(shape, np.float32) * 2).astype(np.float16)
        FORMATS[form](folder / "p" / f"{k}{form[form.index('.') :]}", x)
        np.save(
            folder / "m" / f"{k}.npy",
            np.repeat(rng.integers(0, shape[0], (*shape[1:-1], shape[-1] // 64), np.uint8), 64, -1),
        )


def read_bytes(folder):
    for path in sorted(folder.rglob("*.*")):
        with open(path, "rb") as handle:
            while handle.read(1 << 20):
                pass


def run(form, rounds):
    more = {"axis": -1, "target_axes": "xy"} if form == ".nii.gz" else {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        archive(folder, form)
        arrays = [
            (np.load(path) if form == ".npy" else np.zeros(SHAPE, np.float16), np.load(folder / "m" / f"{k}.npy"))
            for k, path in enumerate(sorted((folder / "p").iterdir()))
        ]

        def files(threads):
            return fl.evaluate_files(LOSSES, folder / "p", folder / "m", read_threads=threads, **more)

        took = medians(
            {
                "bytes": lambda: read_bytes(folder),
                "one": lambda: files(1),
                "two": lambda: files(2),
                "compute": lambda: [fl.evaluate(LOSSES, x[None], y[None]) for x, y in arrays],
            },
            rounds,
        )
    text = "  ".join(f"{job} {s * 1e3:.0f} ms" for job, s in took.items())
    floor = max(took["bytes"], took["compute"])
    print(
        f"{form:10} {text}   one/two {took['one'] / took['two']:.2f}, two/floor {took['two'] / floor:.2f}", flush=True
    )


def peak():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        archive(folder, "tiles.tif", LARGE, 1)
        command = [sys.executable, "-c", PROGRAM, folder / "p" / "0.tif", folder / "m" / "0.npy"]
        seconds, mib = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    print(f"tiled TIFF {LARGE}, float16: {float(seconds):.2f} s, peak memory of the process {mib} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"one of {', '.join(FORMATS)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for form in options.formats or FORMATS:
        run(form, options.rounds)
    peak()


if __name__ == "__main__":
    main()
