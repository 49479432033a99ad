"""Geometry: which axes of two files belong together, from their names, their affines, or their shapes.

The formats have conventions of their own: nibabel has (x, y, z), SimpleITK and TIFF have (z, y, x), and an `.npy` file
does not name its axes. Where more than one order fits and nothing decides, the pair is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import FileError, shown
from .stored import SPATIAL, Array, Stored

ROUNDING = 0.05
"""The largest distance, in voxels, of a corner of one image from that of the other that counts as rounding. Headers
hold float32 numbers, quaternions or decimal text; a wrong origin or orientation is off by far more."""

Axes = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Match:
    """The axes of the second file, in the order of the first file's axes, and which of them are flipped."""

    order: Axes
    flipped: tuple[bool, ...]
    note: str = ""


def match_axes(first: Stored, a: Axes, second: Stored, b: Axes, ignore_geometry: bool) -> Match:
    """Match the pixel axes `a` of one file with the pixel axes `b` of another, which are as many."""
    same = Match(order=b, flipped=(False,) * len(b))
    frames = frame_of(first, a), frame_of(second, b)
    if first.space != second.space and None not in (first.space, second.space) and not ignore_geometry:
        raise _other_space(first, second, f"coordinates in {first.space}, expected {second.space}")
    if frames[0] is not None and frames[1] is not None and not ignore_geometry:
        return _by_affine(first, a, frames[0], second, b, frames[1])
    for here, there in ((first, second), (second, first)):
        if not here.ordered and there.affine is None and not ignore_geometry:
            raise FileError(
                f"{shown(there.path)}: the order of its slices is not known: those of {shown(here.path)} have places "
                "in space, and this file has no affine; save it in a format with an affine, or compare by index with "
                "`ignore_geometry=True`"
            )
    names = _names(first, a), _names(second, b)
    if names[0] is not None and names[1] is not None and set(names[0]) == set(names[1]):
        order = tuple(b[names[1].index(name)] for name in names[0])
        return _checked(first, a, second, Match(order=order, flipped=same.flipped))
    return _by_shape(first, a, second, b, same)


def _checked(first: Stored, a: Axes, second: Stored, match: Match) -> Match:
    if _shape(first, a) != _shape(second, match.order):
        raise _other_shape(first, a, second, match.order)
    return match


def _by_shape(first: Stored, a: Axes, second: Stored, b: Axes, same: Match) -> Match:
    """Match in the order of the files, or in reverse order if only that fits and a format's convention explains it."""
    fits, reverse = _shape(first, a) == _shape(second, b), b[::-1]
    reversed_fits = sum(n > 1 for n in _shape(first, a)) > 1 and _shape(first, a) == _shape(second, reverse)
    medical = next((s for s, axes in ((second, b), (first, a)) if _is_medical(s, axes)), None)
    if medical is None or not reversed_fits:
        return _checked(first, a, second, same)
    other = first if medical is second else second
    if fits:
        raise FileError(_ambiguous(medical, other, b if medical is second else a, other is first))
    note = "the axes of prediction and mask are in reverse order, as their shapes show; they are put right"
    return Match(order=reverse, flipped=same.flipped, note=note)


def _ambiguous(medical: Stored, other: Stored, axes: Axes, is_prediction: bool) -> str:
    names = "".join(str(n) for n in _names(medical, axes) or ())
    prefix = "c" if is_prediction else ""
    option = "axes" if is_prediction else "target_axes"
    return (
        f"{shown(other.path)}: the order of its axes is not known: both that of {shown(medical.path)} ({names}) and "
        f"the reverse order fit the shape {other.shape}; give `{option}={prefix}{names}` or "
        f"`{option}={prefix}{names[::-1]}`"
    )


def _is_medical(stored: Stored, axes: Axes) -> bool:
    """Whether libraries disagree about the order of such a file's axes. An array made from it may have either order."""
    names = _names(stored, axes)
    return names is not None and (names[0] == "x" or (len(names) == 3 and stored.affine is not None))


def _names(stored: Stored, axes: Axes) -> tuple[str, ...] | None:
    """Return the names of these axes, or None unless all are spatial."""
    if stored.axes is None:
        return None
    names = tuple(stored.axes[axis] for axis in axes)
    return tuple(str(n) for n in names) if all(n in SPATIAL for n in names) else None


def _shape(stored: Stored, axes: Axes) -> tuple[int, ...]:
    return tuple(stored.shape[axis] for axis in axes)


def _other_shape(first: Stored, a: Axes, second: Stored, b: Axes) -> FileError:
    return FileError(
        f"{shown(first.path)}: expected shape {_shape(second, b)} (that of the mask {shown(second.path)}), got "
        f"{_shape(first, a)} (of {first.shape})"
    )


# Affines


def _spatial(stored: Stored) -> list[int]:
    return [axis for axis, name in enumerate(stored.axes or ()) if name in SPATIAL]


def frame_of(stored: Stored, axes: Axes) -> Array | None:
    """Return the affine whose columns belong to these axes and the origin, of shape (3, n + 1), if it is known."""
    spatial = _spatial(stored)
    if stored.affine is None or not set(axes) <= set(spatial):
        return None
    affine = np.asarray(stored.affine, float)
    columns = [spatial.index(axis) for axis in axes]
    frame: Array = affine[:3][:, [*columns, 3]]
    return frame if np.isfinite(frame).all() else None


def spacing_of(stored: Stored, axes: Axes) -> tuple[float, ...] | None:
    """Return the distance between neighbouring pixels along these axes, if the file has it."""
    spatial = _spatial(stored)
    if not set(axes) <= set(spatial):
        return None
    if stored.spacing is not None:
        steps = [float(stored.spacing[spatial.index(axis)]) for axis in axes]
    else:
        frame = frame_of(stored, axes)
        if frame is None:
            return None
        steps = np.linalg.norm(frame[:, :-1], axis=0).tolist()
    return tuple(steps) if all(np.isfinite(s) and s > 0 for s in steps) else None


def _by_affine(first: Stored, a: Axes, fa: Array, second: Stored, b: Axes, fb: Array) -> Match:
    """Match the axes that point in the same or in the opposite direction in space, and check the corners."""
    turned = np.linalg.pinv(fa[:, :-1]) @ fb[:, :-1]  # the directions of b, in steps of a
    nearest = np.argmax(np.abs(turned), axis=1)  # for each axis of a, the one of b
    if sorted(nearest.tolist()) != list(range(len(a))):
        raise _other_space(first, second, "their axes point in different directions")
    order = tuple(b[k] for k in nearest)
    if _shape(first, a) != _shape(second, order):
        raise _other_shape(first, a, second, order)
    flipped = tuple(bool(turned[k, n] < 0) for k, n in enumerate(nearest))
    put_right = _flipped_frame(fb[:, [*nearest, -1]], _shape(first, a), flipped)
    off = _corners_apart(fa, put_right, _shape(first, a))
    if not off <= ROUNDING:
        raise _other_space(first, second, f"their corners are up to {off:.3g} voxels apart")
    return Match(order=order, flipped=flipped, note=_turn_note(first, a, second, order, flipped))


def _flipped_frame(frame: Array, shape: Sequence[int], flipped: Sequence[bool]) -> Array:
    """Return the affine of the array after its flips."""
    frame = frame.copy()
    for k, (n, flip) in enumerate(zip(shape, flipped, strict=True)):
        if flip:
            frame[:, -1] += (n - 1) * frame[:, k]
            frame[:, k] *= -1
    return frame


def _corners_apart(fa: Array, fb: Array, shape: Sequence[int]) -> float:
    """Return the largest distance of equal corners, in steps of the smallest spacing."""
    corners = np.stack(np.meshgrid(*[[0, n - 1] for n in shape], indexing="ij"), -1).reshape(-1, len(shape))
    apart = corners @ (fa[:, :-1] - fb[:, :-1]).T + (fa[:, -1] - fb[:, -1])
    step = float(np.linalg.norm(fa[:, :-1], axis=0).min())
    distance = float(np.linalg.norm(apart, axis=1).max())
    return distance / step if step > 0 else np.inf


def _turn_note(first: Stored, a: Axes, second: Stored, order: Axes, flipped: Sequence[bool]) -> str:
    """Say what was put right. An order that both formats' conventions explain needs no note."""
    parts = ["flipped"] if any(flipped) else []
    parts += ["permuted"] if _names(first, a) != _names(second, order) else []
    what = " and ".join(parts)
    return (
        f"the mask's axes are {what} against the prediction's, as their affines say; they are put right" if what else ""
    )


def _other_space(first: Stored, second: Stored, how: str) -> FileError:
    return FileError(
        f"{shown(first.path)}: expected the affine of {shown(second.path)}, got another: {how}; resample one of them, "
        "or compare voxel by voxel with `ignore_geometry=True`"
    )
