"""
A rare class, and three losses
==============================

A class that covers one pixel in a hundred hardly moves the mean over pixels. This example trains the same small model
with three losses and compares the overlap of each class.
"""

# %%
# Twelve pictures with a disc and a thin bar, and a model of one weight per colour and class.

import matplotlib.pyplot as plt
import numpy as np

import fastloss as fl

rng = np.random.default_rng(0)
colours = np.array([[0.2, 0.3, 0.3], [0.7, 0.4, 0.2], [0.6, 0.6, 0.2]])
rows, columns = np.mgrid[:64, :64]


def picture():
    """Return a noisy picture (4, 64, 64), with a constant as last channel, and its mask (64, 64)."""
    mask = np.zeros((64, 64), np.uint8)
    r, c = rng.integers(14, 50, 2)
    mask[(rows - r) ** 2 + (columns - c) ** 2 < 100] = 1
    r, c = rng.integers(2, 50, 2)
    mask[r : r + 3, c : c + 14] = 2
    noisy = colours[mask] + rng.normal(0, 0.1, (64, 64, 3))
    return np.concatenate([np.moveaxis(noisy, -1, 0), np.ones((1, 64, 64))]).astype(np.float32), mask


pictures, masks = map(np.stack, zip(*(picture() for _ in range(12)), strict=True))
shares = np.bincount(masks.ravel()) / masks.size
print({name: f"{share:.1%}" for name, share in zip(("background", "disc", "bar"), shares, strict=True)})

# %%
# Gradient descent with the exact gradient of each loss.


def train(loss, steps=100, rate=20.0):
    weights = np.zeros((3, 4), np.float32)
    for _ in range(steps):
        _, gradient = loss.value_and_grad(np.einsum("cf,nfhw->nchw", weights, pictures[:8]), masks[:8])
        weights -= rate * np.einsum("nchw,nfhw->cf", gradient, pictures[:8])
    return np.einsum("cf,nfhw->nchw", weights, pictures[8:])


losses = {
    "cross entropy": fl.CrossEntropyLoss(),
    "weighted cross entropy": fl.CrossEntropyLoss(class_weight=np.sqrt(fl.class_weights(masks[:8], 3))),
    "Dice + cross entropy": fl.DiceCELoss(),
}
scores = {}
for name, loss in losses.items():
    report = fl.evaluate({"dice": fl.DiceLoss()}, train(loss), masks[8:])
    scores[name] = 1 - report.per_class["dice"]

# %%
# All three find the background and the disc. The bar needs a loss that gives it weight.

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for k, (name, score) in enumerate(scores.items()):
    ax.bar(np.arange(3) + 0.27 * (k - 1), score, 0.25, label=name)
ax.set(xticks=range(3), xticklabels=["background", "disc", "bar"], ylabel="overlap (1 - Dice loss)", ylim=(0, 1.05))
ax.legend(loc="lower left")
plt.show()
