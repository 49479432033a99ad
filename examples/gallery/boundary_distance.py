"""
Distances to a boundary
=======================

The boundary loss weighs the probability of a class by the signed distance to its boundary. The distance takes the
spacing of the voxels, which is rarely the same along all axes of a scan.
"""

# %%
# The mask of a slice whose rows are three times as far apart as its columns.

import matplotlib.pyplot as plt
import numpy as np

import fastloss as fl

spacing = (3.0, 1.0)
rows, columns = np.mgrid[:40, :120]
mask = (3 * (rows - 20)) ** 2 + (columns - 60) ** 2 < 35**2

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, given in zip(axes, (None, spacing), strict=True):
    distance = fl.signed_distance(mask, spacing=given)
    shown = ax.imshow(distance, cmap="RdBu", vmin=-35, vmax=35, aspect=3)
    ax.contour(mask, levels=[0.5], colors="black")
    ax.set(title=f"spacing={given}", xticks=[], yticks=[])
fig.colorbar(shown, ax=axes, shrink=0.8, label="signed distance")
plt.show()

# %%
# Two masks, their Hausdorff distance and its 95th percentile: the largest distance reacts to two stray pixels,
# the percentile hardly does.

other = np.roll(mask, 2, axis=1)
other[20, 108:110] = True
largest = fl.hausdorff_distance(mask, other, spacing=spacing)
robust = fl.hausdorff_distance(mask, other, percentile=95, spacing=spacing)
print(f"Hausdorff distance {largest:.1f}, 95th percentile {robust:.1f}")
