"""Compares the distance transform with scipy's and edt's, in turn: python -m bench.distance [--rounds N].

Each line shows the median times over the rounds, and how many times as fast fastloss is. Without the package edt (pip
install edt), only scipy is measured. The masks are noise (half and 99 % foreground), blobs as in a segmentation, and a
ball. The last mask has a single background element, in its corner, so all distances are long.
"""

import argparse

import numpy as np
import scipy.ndimage

import fastloss as fl
from bench.timing import medians

try:
    import edt
except ImportError:
    edt = None
    print("edt is left out: it is not installed")

SHAPES = [(2048, 2048), (256, 256, 256)]


def masks(shape):
    rng = np.random.default_rng(0)
    noise = rng.random(shape)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij", sparse=True)
    coarse = rng.standard_normal([n // 32 for n in shape])
    blobs = scipy.ndimage.zoom(coarse, 32, order=1) > 0
    corner = np.ones(shape, bool)
    corner.flat[0] = False
    return {
        "noise 0.5": noise < 0.5,
        "noise 0.99": noise < 0.99,
        "blobs": blobs,
        "ball": sum(g * g for g in grid) < 0.6,
        "corner": corner,
    }


def jobs(mask, threads, spacing):
    fl.set_num_threads(threads)
    found = {"fastloss": lambda: fl.distance_transform(mask, spacing)}
    if edt:
        found["edt"] = lambda: edt.edt(mask, anisotropy=spacing, parallel=threads)
    if threads == 1:
        found["scipy"] = lambda: scipy.ndimage.distance_transform_edt(mask, sampling=spacing)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the median is taken (default: 5)")
    parser.add_argument("--no-scipy", action="store_true", help="leave out scipy, which takes most of the time")
    options = parser.parse_args()
    for shape in SHAPES:
        for name, mask in masks(shape).items():
            for spacing in (None, (2.0, 1.0, 0.7)[: len(shape)]):
                for threads in (1, 2):
                    found = jobs(mask, threads, spacing)
                    if options.no_scipy:
                        found.pop("scipy", None)
                    took = medians(found, options.rounds)
                    text = "  ".join(f"{peer} {s * 1e3:7.1f} ms" for peer, s in took.items())
                    ratios = "  ".join(f"{took[p] / took['fastloss']:5.1f}x {p}" for p in took if p != "fastloss")
                    shown = "" if spacing is None else " anisotropic"
                    print(f"{shape} {name + shown:24} {threads} thread(s): {text}   {ratios}", flush=True)


if __name__ == "__main__":
    main()
