"""
One image in tiles
==================

An image that does not fit into memory comes in tiles. Their sums add up, so the Dice loss of the image is exact. The
mean of the tiles' own Dice losses is another number.
"""

# %%
# A large blob and the logits of a model that is unsure of it.

import matplotlib.pyplot as plt
import numpy as np

import fastloss as fl

rng = np.random.default_rng(0)
rows, columns = np.mgrid[:256, :256]
depth = 60 - np.hypot(rows - 90, columns - 120)
labels = (depth > 0).astype(np.uint8)
logits = np.stack([np.zeros_like(depth), depth / 8 + rng.normal(0, 2, depth.shape)]).astype(np.float32)
losses = {"dice": fl.DiceLoss()}

# %%
# The sums of the tiles are kept open until the image is complete.

parts = [(slice(r, r + 64), slice(c, c + 64)) for r in range(0, 256, 64) for c in range(0, 256, 64)]
of_tiles = np.empty((4, 4))
with fl.Tiles(losses, image="blob") as tiles:
    for k, part in enumerate(parts):
        x, y = logits[(None, slice(None), *part)], labels[(None, *part)]
        tiles.add(x, y)
        of_tiles[k // 4, k % 4] = fl.dice_loss(x, y)
in_tiles = tiles.report["dice"]
whole = fl.evaluate(losses, logits[None], labels[None])["dice"]
print(f"in tiles {in_tiles:.12f}, whole {whole:.12f}, mean of the tiles' own losses {of_tiles.mean():.3f}")

# %%
# A tile without the blob has a large Dice loss although almost all of its pixels are right.

fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
axes[0].imshow(logits[1] - logits[0], cmap="RdBu_r", vmin=-8, vmax=8)
axes[0].set(title="logit of the blob", xticks=[], yticks=[])
shown = axes[1].imshow(of_tiles, cmap="magma", vmin=0, vmax=1)
axes[1].set(title="Dice loss of each tile", xticks=[], yticks=[])
for (r, c), value in np.ndenumerate(of_tiles):
    axes[1].text(c, r, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else "black")
fig.colorbar(shown, ax=axes[1], shrink=0.8)
plt.show()
