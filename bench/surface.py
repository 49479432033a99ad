"""Times the metrics of surfaces next to those of other libraries: python -m bench.surface [--cpu] [--no-peers].

Each line shows the median times over the rounds of all surface metrics of one class, in an image of 160 x 256 x 256
with spacing (3, 0.8, 0.8): Hausdorff distance, HD95, average surface distance, surface Dice at 2 mm and the difference
of volumes. With --cpu, it is the time of the CPU, which other programs disturb less. "ball" fills the image, "organ" a
tenth of it, and "noise" is every pixel by itself. The last line has 83 labels in 7.2 million voxels. The peers compute
the same metrics as far as they have them: MedPy (no surface Dice), MONAI (no volumes), surface-distance (by areas) and
SimpleITK (Hausdorff distances of regions). They run for the ball and the organ only. A peer that is not installed is
left out.
"""

import argparse
import importlib
import time

import numpy as np
import scipy.ndimage

import fastloss as fl
from bench.timing import medians, seconds

SHAPE, SPACING, TOLERANCE = (160, 256, 256), (3.0, 0.8, 0.8), 2.0
M = fl.metrics


def cpu_seconds(job, calls):
    """Return the seconds of CPU per call, of all threads together."""
    start = time.process_time()
    for _ in range(calls):
        job()
    return (time.process_time() - start) / calls


def pairs():
    """Return predictions and targets by name."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij", sparse=True)
    noise = np.random.default_rng(0).random((2, *SHAPE), np.float32)

    def balls(radius):
        return z**2 + y**2 + x**2 < radius**2, (z - 0.05) ** 2 + (y + 0.03) ** 2 + x**2 < (0.97 * radius) ** 2

    return {"ball": balls(0.95), "organ": balls(0.46), "noise": tuple(noise < 0.5)}


def labels():
    """Return two label maps of 83 regions in 7.2 million voxels, which are the nearest to 83 seeds."""
    shape, rng = (181, 217, 181), np.random.default_rng(0)
    seeds = np.zeros(shape, bool)
    seeds.flat[rng.choice(seeds.size, 83, replace=False)] = True
    number = np.cumsum(seeds).reshape(shape).astype(np.uint8) - 1
    nearest = scipy.ndimage.distance_transform_edt(~seeds, return_distances=False, return_indices=True)
    target = number[tuple(nearest)]
    return np.concatenate([target[..., 2:], target[..., -2:]], axis=2), target


def ours(classes):
    chosen = {"classes": classes}
    return {
        "hd": M.HausdorffDistance(**chosen),
        "hd95": M.HausdorffDistance(percentile=95, **chosen),
        "assd": M.AverageSurfaceDistance(**chosen),
        "nsd": M.SurfaceDice(tolerance=TOLERANCE, **chosen),
        "volume": M.VolumeDifference(**chosen),
    }


def medpy(prediction, target):
    m = importlib.import_module("medpy.metric")
    pair = prediction, target, SPACING
    return m.hd(*pair), m.hd95(*pair), m.assd(*pair), m.ravd(prediction, target)


def monai(prediction, target):
    m, torch = importlib.import_module("monai.metrics"), importlib.import_module("torch")
    pair = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (prediction, target)]
    options = {"include_background": True, "spacing": SPACING}
    return (
        m.compute_hausdorff_distance(*pair, **options),
        m.compute_hausdorff_distance(*pair, percentile=95, **options),
        m.compute_average_surface_distance(*pair, symmetric=True, **options),
        m.compute_surface_dice(*pair, class_thresholds=[TOLERANCE], **options),
    )


def surface_distance(prediction, target):
    np.Inf = np.inf  # noqa: NPY201 (the package is older than NumPy 2)
    scipy.ndimage.filters = scipy.ndimage.morphology = scipy.ndimage
    m = importlib.import_module("surface_distance")
    found = m.compute_surface_distances(target, prediction, SPACING)
    return (
        m.compute_robust_hausdorff(found, 100),
        m.compute_robust_hausdorff(found, 95),
        m.compute_average_surface_distance(found),
        m.compute_surface_dice_at_tolerance(found, TOLERANCE),
    )


def simpleitk(prediction, target):
    sitk = importlib.import_module("SimpleITK")
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (prediction, target)]
    for image in images:
        image.SetSpacing(SPACING[::-1])
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(*images)
    return hausdorff.GetHausdorffDistance(), hausdorff.GetAverageHausdorffDistance()


def jobs(prediction, target, classes, peers):
    metrics = ours([1] if classes == 2 else None)
    arrays = [mask[None].astype(np.uint8) for mask in (prediction, target)]
    found = {}
    for threads in (1, 2):

        def job(threads=threads):
            with fl.num_threads(threads):
                return fl.evaluate(metrics, *arrays, spacing=SPACING, num_classes=classes)

        found[f"{threads} thread(s)"] = job
    for peer in peers:
        found[peer.__name__] = lambda peer=peer: peer(prediction, target)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the median is taken (default: 5)")
    parser.add_argument("--no-peers", action="store_true", help="leave out the other libraries, which take minutes")
    parser.add_argument("--cpu", action="store_true", help="measure the time of the CPU, of all threads together")
    options = parser.parse_args()
    clock = cpu_seconds if options.cpu else seconds
    for name, pair in (pairs() | {"83 labels": labels()}).items():
        classes = 83 if name == "83 labels" else 2
        alone = options.no_peers or name not in ("ball", "organ")
        peers = [] if alone else [medpy, monai, surface_distance, simpleitk]
        took = medians(
            jobs(*pair, classes, peers), options.rounds, clock, failed=lambda peer, error: print(peer, error)
        )
        print(f"{name:10}" + "  ".join(f"{job} {s * 1e3:8.1f} ms" for job, s in took.items()), flush=True)


if __name__ == "__main__":
    main()
