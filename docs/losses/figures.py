"""Draws the figures of these pages with the losses themselves: `make figures`, or python docs/losses/figures.py.

One SVG per family, next to this file: values and gradients as functions of an input, or of where two discs lie. Only
bench/report.py uses its style and `save`. It uses the public functions only. The same versions write the same bytes.
"""

from __future__ import annotations

import io
import pathlib
import re
from collections.abc import Callable, Iterable
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np

import fastloss as fl

HERE = pathlib.Path(__file__).parent
TAG = re.compile(r"<[^>]*>")
LONG = re.compile(r"\d+\.\d{3,}")  # a coordinate; two decimals of 1/72 inch do
STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": plt.cycler(
        color=["#2a6f97", "#d1495b", "#66a182", "#edae49", "#8d6a9f", "#555555"],
        linestyle=["-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), ":"],
    ),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.figsize": (7.5, 2.8),
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "svg.fonttype": "none",
    "svg.hashsalt": "fastloss",
}
Array = np.ndarray[Any, Any]
Curves = dict[str, tuple[Array, Array]]  # name: values, gradients


def save(name: str, figure: Any, folder: pathlib.Path = HERE) -> None:
    """As NAME.svg, without what differs from run to run or, in the last digits, from processor to processor."""
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = TAG.sub(lambda tag: LONG.sub(lambda number: f"{float(number[0]):.2f}", tag[0]), file.getvalue())
    lines = (line.rstrip() for line in text.splitlines())
    (folder / f"{name}.svg").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plt.close(figure)


def pair(left: Any, right: Any, at: Array, curves: Curves, x: str) -> None:
    """Values to the left, gradients to the right, names once."""
    for axes, what in ((left, 0), (right, 1)):
        for name, values in curves.items():
            axes.plot(at, values[what], label=name)
        axes.set(title=("value", "gradient")[what], xlabel=x)


def legend_below(figure: Any, axes: Any, columns: int = 3) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns)


def around(end: float, points: int) -> Array:
    """Inputs from -end to end, and two on either side of 0, where a gradient may jump."""
    return np.sort(np.concatenate([np.linspace(-end, end, points), [-1e-6, 1e-6]]))


def elements(losses: dict[str, fl.Loss], at: Array, target: float) -> Curves:
    """Value and derivative of element-wise losses at each input."""
    y = np.full_like(at, target)
    return {name: loss.value_and_grad(at, y) for name, loss in losses.items()}


def pixels(losses: dict[str, fl.Loss], inputs: Array, which: int = 0) -> Curves:
    """Value of each pixel (rows of `inputs`), labelled 0, and its derivative in the input of one class."""
    found = {}
    for name, loss in losses.items():
        values, gradient = loss.value_and_grad(inputs, np.zeros(len(inputs), int))
        found[name] = values, gradient[:, which]
    return found


def pixel() -> None:
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.1), layout="constrained")
    at = around(5, 51)
    losses = {
        "cross_entropy": fl.CrossEntropyLoss(reduction="none"),
        "label_smoothing=0.1": fl.CrossEntropyLoss(label_smoothing=0.1, reduction="none"),
        "focal_loss, gamma=2": fl.FocalLoss(reduction="none"),
        "js_div": fl.JSDivLoss(activation="softmax", reduction="none"),
        "perceptron_loss": fl.PerceptronLoss(reduction="none"),
    }
    inputs = np.stack([at, np.zeros_like(at), np.zeros_like(at)], axis=1)
    pair(*axes, at, pixels(losses, inputs), "logit of the label; those of two other classes are 0")
    legend_below(figure, axes[0])
    save("pixel", figure)


def binary() -> None:
    figure, axes = plt.subplots(1, 2, layout="constrained")
    at = np.linspace(-5, 5, 51)
    losses: dict[str, fl.Loss] = {
        "binary_cross_entropy_with_logits": fl.BCEWithLogitsLoss(reduction="none"),
        "pos_weight=3": fl.BCEWithLogitsLoss(pos_weight=3.0, reduction="none"),
        "label_smoothing=0.2": fl.BCEWithLogitsLoss(label_smoothing=0.2, reduction="none"),
        "binary_focal_loss, alpha=None": fl.BinaryFocalLoss(alpha=None, reduction="none"),
    }
    pair(*axes, at, elements(losses, at, 1.0), "logit, target 1")
    axes[0].legend()
    save("binary", figure)


def divergence() -> None:
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.1), layout="constrained")
    at = np.linspace(0.01, 0.99, 50)
    losses: dict[str, fl.Loss] = {
        "binary_cross_entropy": fl.BCELoss(reduction="none"),
        "binary_kl_div": fl.BinaryKLDivLoss(reduction="none"),
        "binary_kl_div, alpha=0.5": fl.BinaryKLDivLoss(alpha=0.5, reduction="none"),
        "js_div, binary": fl.JSDivLoss(binary=True, reduction="none"),
        "js_div, binary, alpha=1": fl.JSDivLoss(binary=True, alpha=1.0, reduction="none"),
    }
    pair(*axes, at, elements(losses, at, 0.3), "probability, target 0.3")
    axes[0].set_ylim(0, 2)
    axes[1].set_ylim(-6, 6)
    legend_below(figure, axes[0])
    save("divergence", figure)


def regression() -> None:
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.2), layout="constrained")
    at = around(3, 61)
    losses = {
        "mse_loss": fl.MSELoss(reduction="none"),
        "l1_loss": fl.L1Loss(reduction="none"),
        "huber_loss, delta=1": fl.HuberLoss(reduction="none"),
        "smooth_l1_loss, beta=0.5": fl.SmoothL1Loss(beta=0.5, reduction="none"),
        "log_cosh_loss": fl.LogCoshLoss(reduction="none"),
        "pseudo_huber_loss, delta=1": fl.PseudoHuberLoss(reduction="none"),
    }
    pair(*axes, at, elements(losses, at, 0.0), "d = input - target")
    axes[0].set_ylim(0, 4)
    axes[1].set_ylim(-2.5, 2.5)
    legend_below(figure, axes[0])
    save("regression", figure)


SIZE = 128
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]


def disc(radius: float, shift: float = 0) -> Array:
    """A mask, its centre moved to the right of the image's."""
    mask: Array = (ROWS - SIZE / 2) ** 2 + (COLUMNS - SIZE / 2 - shift) ** 2 <= radius**2
    return mask


def against(loss: Callable[..., Any], predicted: Iterable[Array], target: Array, **options: Any) -> list[float]:
    """The loss of each predicted mask (or probabilities) of the one foreground channel."""
    y = target[None].astype(int)
    return [loss(p[None, None].astype(np.float32), y, activation=None, **options) for p in predicted]


REGION = {
    "dice_loss": (fl.dice_loss, {}),
    "dice_loss, squared": (fl.dice_loss, {"squared": True}),
    "jaccard_loss": (fl.jaccard_loss, {}),
    "tversky_loss(0.3, 0.7)": (fl.tversky_loss, {"alpha": 0.3, "beta": 0.7}),
    "focal_tversky_loss, gamma=2": (fl.focal_tversky_loss, {"gamma": 2.0}),
    "sensitivity_specificity_loss": (fl.sensitivity_specificity_loss, {}),
}


def region() -> None:
    figure, axes = plt.subplots(2, 2, figsize=(7.5, 5.6), layout="constrained")
    target = disc(20)
    strengths, shifts, radii = np.linspace(0, 1, 41), np.arange(0, 51, 2), np.arange(0, 42)
    objects: dict[str, Any] = {
        "dice_loss": fl.DiceLoss(activation=None),
        "dice_loss, squared": fl.DiceLoss(activation=None, squared=True),
        "jaccard_loss": fl.JaccardLoss(activation=None),
        "tversky_loss(0.3, 0.7)": fl.TverskyLoss(activation=None, alpha=0.3, beta=0.7),
        "focal_tversky_loss, gamma=2": fl.FocalTverskyLoss(activation=None, gamma=2.0),
        "sensitivity_specificity_loss": fl.SensitivitySpecificityLoss(activation=None),
    }
    curves: Curves = {}
    for name, loss in objects.items():
        both = [loss.value_and_grad((p * target)[None, None], target[None].astype(int)) for p in strengths]
        curves[name] = np.array([v for v, _ in both]), np.array([g[0, 0][target].sum() for _, g in both])
    pair(*axes[0], strengths, curves, "probability p all over the target, 0 elsewhere")
    axes[0, 1].set_title("gradient, d(value)/dp")
    for name, (loss, options) in REGION.items():
        axes[1, 0].plot(shifts, against(loss, (disc(20, s) for s in shifts), target, **options), label=name)
        axes[1, 1].plot(radii, against(loss, (disc(r) for r in radii), target, **options), label=name)
    axes[1, 0].set(title="two discs of radius 20, one shifted", xlabel="shift in pixels")
    axes[1, 1].set(title="a disc too small or too large", xlabel="predicted radius; the target's is 20")
    legend_below(figure, axes[1, 0])
    save("region", figure)


def boundary() -> None:
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.3), layout="constrained")
    target, radius = disc(12), 12
    shifts = np.arange(0, 49, 2)
    moved = [disc(radius, s) for s in shifts]
    both = [np.stack([1 - m, m])[None].astype(np.float32) for m in (m.astype(int) for m in moved)]
    options: dict[str, Any] = {"activation": None, "classes": [1]}
    curves = {
        "dice_loss": [fl.dice_loss(p, target[None].astype(int), **options) for p in both],
        "boundary_loss": [fl.boundary_loss(p, target[None].astype(int), **options) for p in both],
        "hausdorff_dt_loss": [fl.hausdorff_dt_loss(p, target[None].astype(int), **options) for p in both],
        "hausdorff_dt_loss, alpha=1": [
            fl.hausdorff_dt_loss(p, target[None].astype(int), alpha=1.0, **options) for p in both
        ],
        "hausdorff_distance": [fl.hausdorff_distance(m, target) for m in moved],
    }
    for name, values in curves.items():
        values = np.array(values) - values[0]
        axes[0].plot(shifts, values / values[-1], label=name)
    axes[0].set(title="value, from 0 to 1 over the range", xlabel="shift in pixels of a disc of radius 12")
    legend_below(figure, axes[0])
    at = SIZE // 2
    p = both[len(shifts) // 2]
    for name, loss in {
        "dice_loss": fl.DiceLoss(**options),
        "boundary_loss": fl.BoundaryLoss(**options),
        "hausdorff_dt_loss": fl.HausdorffDTLoss(**options),
    }.items():
        gradient = loss.value_and_grad(p, target[None].astype(int))[1][0, 1, at]
        axes[1].plot(np.arange(SIZE) - at, gradient / np.abs(gradient).max(), label=name)
    axes[1].set(title="gradient along the line of the centres, shift 24", xlabel="pixels from the target's centre")
    save("boundary", figure)


def composition() -> None:
    figure, axes = plt.subplots(2, 2, figsize=(7.5, 5.4), layout="constrained")
    target = disc(4)
    at = np.linspace(-12, 4, 41)
    dice, bce = fl.DiceLoss(activation="sigmoid"), fl.BCEWithLogitsLoss()
    losses: dict[str, fl.Loss] = {
        "DiceLoss": dice,
        "BCEWithLogitsLoss": bce,
        "DiceLoss + BCEWithLogitsLoss": dice + bce,
    }
    curves: Curves = {}
    for name, loss in losses.items():
        inputs = [np.where(target, x, -9.0)[None, None] for x in at]
        both = [loss.value_and_grad(x, target[None, None]) for x in inputs]
        curves[name] = np.array([v for v, _ in both]), np.array([g[0, 0][target].sum() for _, g in both])
    pair(
        *axes[0],
        at,
        {n: (v, -g) for n, (v, g) in curves.items()},
        f"logit of the foreground, {target.mean():.1%} of pixels",
    )
    axes[0, 1].set(title="minus the gradient, summed over the foreground", yscale="log")
    axes[0, 1].minorticks_off()
    axes[0, 0].legend(loc="center left")
    at = np.linspace(-6, 6, 41)
    curves = {
        "gan_discriminator_loss": of_last(fl.GANDiscriminatorLoss(activation="sigmoid"), at, [0.0]),
        "gan_generator_loss": of_last(fl.GANGeneratorLoss(activation="sigmoid"), at),
        "gan_generator_loss, saturating": of_last(fl.GANGeneratorLoss(activation="sigmoid", saturating=True), at),
    }
    pair(*axes[1], at, curves, "the discriminator's logit of a generated sample")
    axes[1, 0].legend()
    save("composition", figure)


def of_last(loss: Any, at: Array, *before: Any) -> tuple[Array, Array]:
    """Value and gradient of a loss of several inputs at each value of the last."""
    both = [loss.value_and_grad(*before, np.array([x])) for x in at]
    return np.array([v for v, _ in both]), np.array([gradients[-1][0] for _, gradients in both])


def numerics() -> None:
    figure, axes = plt.subplots(1, 2, layout="constrained")
    at = np.linspace(-5, 5, 41)
    axes[0].plot(at, fl.softplus(at), label="softplus")
    axes[0].plot(at, fl.sigmoid(at), label="sigmoid")
    axes[0].plot(at, fl.log_sigmoid(at), label="log_sigmoid")
    axes[0].set(title="functions of one number", xlabel="x")
    axes[0].legend()
    margins = np.arange(1, 41, dtype=np.float32)
    logits = np.stack([margins, np.zeros_like(margins)], axis=1)
    ours = fl.cross_entropy(logits, np.zeros(len(margins), int), reduction="none")
    naive = np.log(np.exp(logits - margins[:, None]).sum(axis=1))
    axes[1].semilogy(margins, ours, label="cross_entropy")
    axes[1].semilogy(margins, np.where(naive > 0, naive, np.nan), label="log(sum(exp(x - max))), 0 from 17 on")
    axes[1].set(title="the loss of a confident pixel, float32", xlabel="margin of the label's logit over the other's")
    axes[1].legend()
    save("numerics", figure)


def main() -> None:
    with plt.rc_context(STYLE):
        for draw in (pixel, binary, divergence, regression, region, boundary, composition, numerics):
            draw()


if __name__ == "__main__":
    main()
