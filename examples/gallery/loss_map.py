"""
Where a prediction loses
========================

A loss with ``reduction="none"`` returns one value per pixel. The map shows where a model is wrong, and how sure it is
of its mistake.
"""

# %%
# A picture of two classes: a disc and a bar in front of a background. The logits come from an imaginary model that
# draws the disc too far to the right, and that is less sure near its edges.

import matplotlib.pyplot as plt
import numpy as np

import fastloss as fl

rows, columns = np.mgrid[:96, :96]


def scene(shift):
    """Return how far inside the disc and the bar each pixel is; negative outside."""
    disc = 22 - np.hypot(rows - 40, columns - 40 - shift)
    bar = np.minimum(4 - np.abs(rows - 80), 30 - np.abs(columns - 48))
    return disc, bar


disc, bar = scene(0)
labels = np.where(disc > 0, 1, np.where(bar > 0, 2, 0))

disc, bar = scene(6)
logits = np.stack([np.zeros_like(disc), disc / 2, bar.astype(float)]).astype(np.float32)
print(f"logits {logits.shape}, labels {labels.shape}")

# %%
# The loss takes a batch, so the arrays get a first axis of length 1. Cross entropy has one value per pixel. Its
# gradient, with respect to the logits, is negative where a class should become more probable.

loss = fl.CrossEntropyLoss(reduction="none")
loss_map, gradient = loss.value_and_grad(logits[None], labels[None])

fig, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
pictures = {
    "labels": (labels, "viridis"),
    "prediction": (logits.argmax(axis=0), "viridis"),
    "cross entropy": (loss_map[0], "magma"),
    "gradient, class disc": (gradient[0, 1], "RdBu_r"),
}
for ax, (title, (picture, colours)) in zip(axes, pictures.items(), strict=True):
    limit = {"vmin": -1, "vmax": 1} if colours == "RdBu_r" else {}
    shown = ax.imshow(picture, cmap=colours, interpolation="nearest", **limit)
    ax.set(title=title, xticks=[], yticks=[])
    if colours != "viridis":
        fig.colorbar(shown, ax=ax, shrink=0.7)
plt.show()

# %%
# The mean over the pixels is the value that training uses.

print(f"mean of the map {loss_map.mean():.6f}, cross entropy {fl.cross_entropy(logits[None], labels[None]):.6f}")
