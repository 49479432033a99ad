"""Meaning: turns the values of files into the arrays that the losses and metrics take.

A prediction becomes floating-point scores of shape (C, *S): as it is, from scaled integers, or one-hot from a label
map. For metrics, a label map stays one. A mask becomes labels of shape (*S), or a dense target of shape (C, *S).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..files.errors import FileError, shown
from ..files.fitting import Fitted
from ..files.label_maps import IGNORED, LabelMap, whole_labels
from ..files.regions import Regions
from ..files.stored import Array, Stored, Window


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """The meaning of the values of the files, as the user or a layout states it."""

    bfloat16: bool = False
    scale: float | None = None
    labels: LabelMap | None = None
    prediction_labels: LabelMap | None = None
    own_classes: bool = False  # label maps as predictions hold classes, whatever the masks hold
    regions: Regions | None = None
    ignored: tuple[int, ...] = ()
    round_labels: float | None = None
    num_classes: int | None = None
    named_classes: int | None = None  # the number of names of classes
    nodata: str | None = None
    one_hot: bool = True  # label maps as predictions become one-hot scores, which losses take and metrics do not need

    def takes_label_maps(self) -> bool:
        """Whether a prediction of integers is a label map."""
        return self.scale is None and not self.bfloat16

    def outputs(self) -> int | None:
        """The number of classes or regions, if it is known without the files."""
        return len(self.regions.names) if self.regions is not None else self.num_classes or self.named_classes


@dataclass(frozen=True)
class Arrays:
    """A window of an image, as `evaluate` takes it, with a sample axis of length 1."""

    input: Array
    target: Array
    weight: Array | None
    left_out: int = 0  # the number of pixels without data in the prediction

    @property
    def nbytes(self) -> int:
        """The size of the input and the target."""
        return self.input.nbytes + self.target.nbytes


class Decoder:
    """Decodes the windows of one pair of files."""

    def __init__(self, fitted: Fitted, meaning: Meaning) -> None:
        self.fitted, self.meaning = fitted, meaning
        self.prediction, self.target = fitted.prediction.stored, fitted.target.stored
        floats = self.prediction.dtype.kind == "f"
        known = meaning.num_classes is not None and not fitted.channels
        self.holds_labels = meaning.takes_label_maps() and not fitted.channels and (known or not floats)
        self.classes = self._classes()
        self.stays_label_map = (
            self.holds_labels and not meaning.one_hot and meaning.regions is None and self.classes > 1
        )
        self.ignored = meaning.ignored
        self.nodata = self._nodata_label(self.target)
        self.own_nodata = self._nodata_label(self.prediction) if self.holds_labels else None
        self._check()

    @property
    def pixels(self) -> tuple[int, ...]:
        """The shape of the image."""
        own = self.fitted.prediction.shape
        start = int(self.fitted.channels)
        return own[start : len(own) - int(self.fitted.coloured[0])]

    def _classes(self) -> int:
        meaning = self.meaning
        if not self.holds_labels:
            return self.fitted.prediction.shape[0] if self.fitted.channels else 1
        known = meaning.outputs()
        if known is None and meaning.labels is not None:
            known = meaning.labels.classes
        if known is None:
            raise FileError(
                f"{shown(self.prediction.path)}: expected the number of classes for a label map as prediction, got "
                f"none; give `num_classes=`, with the background"
            )
        return known

    def _check(self) -> None:
        """Check the types of both files, before anything is read."""
        self.prediction.check_bomb()
        self.target.check_bomb()
        if self.target.dtype.kind not in "buif":
            raise FileError(f"{shown(self.target.path)}: expected integer labels, got {self.target.dtype}")
        meaning = self.meaning
        if self.fitted.coloured[1] and (meaning.labels is None or not meaning.labels.colours):
            raise FileError(
                f"{shown(self.target.path)}: expected labels, got RGB colours; give `labels=`, a file that maps "
                "colours to classes, or save the mask with a palette or one grey channel"
            )
        if self.holds_labels:
            self._check_label_map()
        else:
            check_real(self.prediction, meaning)
        if self.fitted.dense and (meaning.labels is not None or meaning.regions is not None):
            option = "labels" if meaning.labels is not None else "regions"
            raise FileError(
                f"{shown(self.target.path)}: expected a label map for `{option}=`, got one channel per class, shape "
                f"{self.target.shape}"
            )
        found = self.fitted.target.shape[0] if self.fitted.dense else self.classes
        if found != self.classes:
            raise FileError(
                f"{shown(self.target.path)}: expected {self.classes} channels, as in {shown(self.prediction.path)}, "
                f"got {found}"
            )
        if meaning.regions is not None and self.classes != len(meaning.regions.names):
            raise FileError(
                f"{shown(self.prediction.path)}: expected {len(meaning.regions.names)} channels, one for each of "
                f"`regions=`, got {self.classes}"
            )

    def _check_label_map(self) -> None:
        meaning = self.meaning
        if meaning.labels is not None and meaning.prediction_labels is None and not meaning.own_classes:
            raise FileError(
                f"{shown(self.prediction.path)}: whether this label map holds classes or the labels of the masks is "
                "not known; give `prediction_labels=classes`, or the label map of the predictions, which may be that "
                "of `labels=`"
            )
        if self.fitted.dense:
            raise FileError(
                f"{shown(self.target.path)}: expected a label map, as {shown(self.prediction.path)} is one, got one "
                f"channel per class, shape {self.target.shape}"
            )

    def _nodata_label(self, stored: Stored) -> int | None:
        """Return the label that a header calls nodata, if its pixels are to be left out."""
        value, meaning = stored.nodata, self.meaning
        if value is None or meaning.nodata == "label" or not float(value).is_integer() or self.fitted.dense:
            return None
        is_class = meaning.labels is None and 0 <= value < max(2, self.classes)
        if is_class and meaning.nodata is None and value not in meaning.ignored:
            raise FileError(
                f"{shown(stored.path)}: its header calls label {value:g} nodata, but {value:g} is also "
                "a class; give `nodata=ignore` to leave these pixels out, or `nodata=label` to count them"
            )
        return int(value)

    # ---- windows

    def read(self, window: Window) -> Arrays:
        """Read a window of the pixels."""
        target, weight = self._target(window)
        if self.stays_label_map:
            return self._label_maps(window, target)
        if self.holds_labels:
            values, missing = self._labels_as_scores(window, target)
        else:
            values = self._scores(window)
            missing = self._missing(values)
        left_out = 0 if missing is None else int(np.count_nonzero(missing))
        if missing is not None and left_out:
            weight = (~missing).astype(np.float32)[None] * (1 if weight is None else weight)
        if weight is not None and target.ndim < values.ndim:
            weight = weight[0]  # labels have no class axis
        return Arrays(values[None], target[None], None if weight is None else weight[None], left_out)

    def _scores(self, window: Window) -> Array:
        view = self.fitted.prediction
        whole = (slice(0, view.shape[0]),) if self.fitted.channels else ()
        values = _as_real(view.read((*whole, *window)), self.meaning)
        return values if self.fitted.channels else values[None]

    def _missing(self, values: Array) -> Array | None:
        """Return where a prediction has no data: there, all channels hold the value that the header calls nodata."""
        nodata = self.prediction.nodata
        if nodata is None:
            return None
        absent = np.isnan(values) if np.isnan(nodata) else values == values.dtype.type(nodata)
        missing: Array = np.all(absent, axis=0)
        return missing

    def _target(self, window: Window) -> tuple[Array, Array | None]:
        """Return the labels or the dense target, and the weights of its pixels if it cannot hold ignored labels."""
        view, regions = self.fitted.target, self.meaning.regions
        if self.fitted.dense:
            whole = (slice(0, view.shape[0]),)
            return self._dense(view.read((*whole, *window), self._checked_dense))
        colours = (slice(0, 3),) if self.fitted.coloured[1] else ()
        if regions is None:
            return view.read((*window, *colours), self._mask_labels), None

        def members(values: Array, start: tuple[int, ...]) -> Array:
            labels = self._mask_labels(values, start)
            ignored = self.ignored if self.ignored and self.meaning.labels is None else (*self.ignored, IGNORED)
            inside = regions.apply(labels, ignored, self.target.path, start)
            return np.concatenate([inside, ~np.isin(labels, ignored)[None]])

        found = view.read((*window, *colours), members)
        kept = found[-1:]
        return found[:-1], None if kept.all() else kept.astype(np.float32)

    def _mask_labels(self, values: Array, start: tuple[int, ...]) -> Array:
        """Return the mask as integers, in the file's order."""
        labels, path = self.meaning.labels, self.target.path
        if self.fitted.coloured[1]:
            assert labels is not None
            return labels.apply_colours(values, path, start)
        if values.dtype.kind == "f":
            values = whole_labels(values, self.meaning.round_labels, path, start)
        if labels is not None:
            given = self.ignored if self.nodata is None else (*self.ignored, self.nodata)
            values = labels.ignoring(given).apply(values, path, start)
        elif self.nodata is not None:
            skip = self.ignored[0] if self.ignored else IGNORED
            values = _replaced(values, self.nodata, skip)
        return values

    def _checked_dense(self, values: Array, start: tuple[int, ...]) -> Array:
        """Check that a mask of integers with one channel per class holds 0, 1 and ignored labels only."""
        if values.dtype.kind in "ui":
            wrong = ~np.isin(values, (0, 1, *self.ignored))
        elif values.dtype.kind == "f":
            wrong = ~((values >= 0) & (values <= 1) | np.isin(values, self.ignored))
        else:
            return values
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0].tolist())
            place = tuple(a + s for a, s in zip(at, start, strict=True))
            raise FileError(
                f"{shown(self.target.path)}: expected 0 and 1 in a mask with one channel per class, got {values[at]} "
                f"at {place}"
            )
        return values

    def _dense(self, values: Array) -> tuple[Array, Array | None]:
        ignored = np.isin(values, self.ignored) if self.ignored else np.zeros(1, bool)
        weight = (~ignored).astype(np.float32) if ignored.any() else None
        if values.dtype.kind in "ui":
            return values == 1, weight
        return np.where(ignored, 0, values) if weight is not None else values, weight

    # ---- label maps as predictions

    def _label_maps(self, window: Window, target: Array) -> Arrays:
        """Return the label map itself. The kernels refuse labels that are no classes."""
        colours = (slice(0, 3),) if self.fitted.coloured[0] else ()
        labels = self.fitted.prediction.read((*window, *colours), self._own_labels)
        kept = labels != IGNORED if self._has_gaps else np.array(True)
        if kept.all():
            return Arrays(labels[None], target[None], None)
        return Arrays(labels[None], target[None], kept[None], int(np.count_nonzero(~kept)))

    def _labels_as_scores(self, window: Window, target: Array) -> tuple[Array, Array | None]:
        """Return a label map as probabilities of 0 and 1, and where it has no data."""
        colours = (slice(0, 3),) if self.fitted.coloured[0] else ()
        view, regions = self.fitted.prediction, self.meaning.regions
        if regions is not None:

            def members(values: Array, start: tuple[int, ...]) -> Array:
                labels = self._own_labels(values, start)
                known = (IGNORED,) if self._has_gaps else ()
                inside = regions.apply(labels, known, self.prediction.path, start)
                return np.concatenate([inside, (labels == IGNORED)[None]])

            found = view.read((*window, *colours), members)
            return found[:-1].astype(np.float32), found[-1]
        labels = view.read((*window, *colours), self._own_labels)
        self._check_classes(labels, window, target)
        numbers = np.arange(self.classes).reshape(-1, *[1] * labels.ndim)
        scores: Array = (labels[None] == numbers).astype(np.float32)
        return scores, labels == IGNORED if self._has_gaps else None

    def _own_labels(self, values: Array, start: tuple[int, ...]) -> Array:
        labels, path = self.meaning.prediction_labels, self.prediction.path
        if self.fitted.coloured[0]:
            if labels is None:
                raise FileError(f"{shown(path)}: expected labels, got RGB colours; give `prediction_labels=`")
            return labels.apply_colours(values, path, start)
        if values.dtype.kind == "f":
            values = whole_labels(values, self.meaning.round_labels, path, start)
        if labels is not None:
            return (labels if self.own_nodata is None else labels.ignoring([self.own_nodata])).apply(
                values, path, start
            )
        return values if self.own_nodata is None else _replaced(values, self.own_nodata, IGNORED)

    @property
    def _has_gaps(self) -> bool:
        """Whether IGNORED in a predicted label map comes from a label map or the header, and not from the file."""
        return self.meaning.prediction_labels is not None or self.own_nodata is not None

    def _check_classes(self, labels: Array, window: Window, target: Array) -> None:
        """Refuse a predicted label that is no class, unless its pixel is left out."""
        wrong = (labels < 0) | (labels >= self.classes)
        if self._has_gaps:
            wrong &= labels != IGNORED
        if wrong.any():
            wrong &= ~np.isin(target, (*self.ignored, IGNORED))
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0].tolist())
            place = self.fitted.prediction.place(at, window)
            raise FileError(bad_prediction(shown(self.prediction.path), self.classes, labels[at], place))


def bad_prediction(file: str, classes: int, label: int, place: tuple[int, ...]) -> str:
    """Return the message about a predicted label that is no class."""
    return (
        f"{file}: expected predicted labels in 0..{classes - 1}, got {label} at {place}; `num_classes=` counts all "
        "classes"
    )


def _replaced(values: Array, label: int, by: int) -> Array:
    return np.where(values == label, by, values.astype(np.int64))


def check_real(stored: Stored, meaning: Meaning) -> None:
    """Check that the numbers of a prediction can be read as scores."""
    name, dtype = shown(stored.path), stored.dtype
    if meaning.bfloat16:
        if dtype.itemsize != 2 or dtype.kind not in "Vu":
            raise FileError(f"{name}: expected raw 2-byte numbers (|V2 or uint16) for `dtype=bfloat16`, got {dtype}")
    elif dtype == np.dtype("V2"):
        raise FileError(f"{name}: expected a float dtype, got |V2; if it is bfloat16, give `dtype=bfloat16`")
    elif meaning.scale is not None:
        if dtype.kind not in "bui":
            raise FileError(f"{name}: expected probabilities stored as integers for `scale=`, got {dtype}")
    elif dtype.kind in "bui":
        raise FileError(
            f"{name}: expected a float dtype, got {dtype}; if these are probabilities times 255, "
            "give `scale=255` and `activation=None`"
        )
    elif dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        raise FileError(f"{name}: expected float16, float32 or float64, got {dtype}")


def _as_real(raw: Array, meaning: Meaning) -> Array:
    if meaning.bfloat16:
        return _bfloat16(raw)
    if meaning.scale is not None:
        return np.divide(raw, np.float32(meaning.scale), dtype=np.float32)
    return raw


def _bfloat16(raw: Array) -> Array:
    """Return the 16-bit numbers as bfloat16, or as equal float32 numbers if ml_dtypes is not installed."""
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        wide = raw.view(np.uint16).astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    return raw.view(ml_dtypes.bfloat16)
