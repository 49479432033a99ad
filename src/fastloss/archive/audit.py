"""Audit: the two passes of `audit_files` over the images of a work list."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing

import numpy as np

from .._arrays import Array
from ..files.errors import FileError, shown
from ..files.label_maps import IGNORED
from ..files.pairing import Pair
from ..losses import FocalLoss, Loss
from ..report.label_audit import LabelAudit
from .audit_maps import Maps, Writer
from .checks import check_classes
from .collector import listed
from .images import Image
from .label_scores import ClassScores, ImageScores, Rivals, Scored, log_loss, pairs_of, rivals, scored, two_channels
from .look import look
from .parts import Part, Parts, naming, open_checked
from .sources import Sources
from .worker import LOOKED_AT

Progress = Callable[[int, int, int], None]

NAME = "the audit"
"""The name of the loss in notes about values that look doubtful."""


class Audit:
    """Both passes over the images. The first image decides the number of classes and the kind of numbers."""

    def __init__(self, sources: Sources, activation: str | None, threads: int, progress: Progress | None) -> None:
        self.pairs, self.sources = sources.paired.pairs, sources
        self.activation, self.threads, self.progress = activation, threads, progress
        meaning = sources.reading.meaning
        self.ignored = (meaning.ignored if meaning.labels is None else ()) or (IGNORED,)
        self.names = sources.class_names
        self.loss: Loss | None = None
        self.channels, self.given_by = 0, ""
        self.classes: ClassScores | None = None
        self.again: ClassScores | None = None
        self.images = list[ImageScores]()
        self.noted: dict[str, list[str]] = {}
        self.done, self.nbytes = 0, 0

    # ---- the passes

    def first_pass(self) -> None:
        """Find the thresholds, and collect the notes."""
        with closing(self._images()) as images:
            for pair, parts in images:
                left_out = 0
                for k, part in enumerate(parts):
                    image, arrays = part.read()
                    if k == 0:
                        self._note(image, part)
                    left_out += arrays.left_out
                    self.classes = self.classes or ClassScores(max(2, self.channels))
                    self.classes.add(self._scored(part, self._input(part)))
                if left_out:
                    text = "pixels without data in the prediction are left out"
                    self.noted.setdefault(text, []).append(f"{pair.name} ({left_out})")

    def second_pass(self, maps: Maps | None) -> None:
        """Score the images, and write their maps."""
        assert self.classes is not None
        thresholds, count = self.classes.thresholds(), len(self.classes.sums)
        self.again, self.suggestions = ClassScores(count), np.zeros((count, count), np.int64)
        with closing(self._images()) as images:
            for pair, parts in images:
                scores = ImageScores(thresholds)
                with ExitStack() as stack:
                    write: Writer | None = None
                    for part in parts:
                        image, _ = part.read()
                        if maps is not None and write is None:
                            write = stack.enter_context(maps.of_image(pair.name, image.decoder.pixels, part.window))
                        input = self._input(part)
                        window = self._scored(part, input)
                        self.again.add(window)
                        suggested = scores.add(window, self._rivals(input, window))
                        self.suggestions += pairs_of(window, suggested, count)
                        if write is not None:
                            write(part.window, {"quality": window.quality, "suggested": suggested})
                self.images.append(scores)
        if not self.again.same(self.classes):
            raise FileError("expected the same files in both passes, but some have changed; run the audit again")

    def result(self, seconds: float) -> LabelAudit:
        """Return the audit."""
        assert self.classes is not None
        return LabelAudit(
            pairs=self.pairs,
            class_names=self.names or tuple(str(k) for k in range(len(self.classes.sums))),
            quality=np.array([image.quality for image in self.images]),
            pixels=np.array([image.pixels for image in self.images]),
            contradicted=np.array([image.contradicted for image in self.images]),
            class_pixels=self.classes.pixels,
            thresholds=self.classes.thresholds(),
            suggestions=self.suggestions,
            notes=(*self.sources.paired.notes, *(f"{listed(names)}{text}" for text, names in self.noted.items())),
            nbytes=self.nbytes // 2,
            seconds=seconds,
        )

    # ---- the images

    def _images(self) -> Generator[tuple[Pair, Iterator[Part]], None, None]:
        """Yield each pair with its parts, which must all be taken."""
        work = list(enumerate(self.pairs))
        with Parts(work, self._opened, self.threads) as parts:
            for index, pair in work:
                yield pair, parts.of_next_image()
                parts.close(index)
                self.done += 1
                if self.progress is not None:
                    self.progress(self.done, 2 * len(self.pairs), self.nbytes)

    def _opened(self, pair: Pair) -> Image:
        return open_checked(pair, self.sources.reading, self._check, whole=False)

    def _check(self, image: Image) -> None:
        """Check that the files of an image can be audited, and that they are like those of the first image."""
        decoder, file, mask = image.decoder, shown(image.pair.prediction), shown(image.pair.target)
        if decoder.holds_labels:
            raise FileError(f"{file}: expected logits or probabilities, one channel per class, got a label map")
        if decoder.fitted.dense:
            raise FileError(f"{mask}: expected a label map, got one channel per class, shape {decoder.target.shape}")
        if self.loss is None:
            self._decide(image)
        check_classes(file, decoder.classes, self.channels, self.given_by)
        if decoder.prediction.probabilities and self.activation is not None:
            raise FileError(f"{file}: expected logits, as in {self.given_by}, got probabilities; audit them apart")

    def _decide(self, image: Image) -> None:
        decoder, file, activation = image.decoder, shown(image.pair.prediction), self.activation
        if decoder.prediction.probabilities and activation is not None:
            self.noted[f"the predictions hold probabilities; they are taken without a {activation}"] = []
            activation = self.activation = None
        if activation == "softmax" and decoder.classes == 1:
            hint = "give `activation=sigmoid`, or `activation=None` if it holds probabilities"
            raise FileError(f"{file}: expected two or more classes for a softmax, got one channel; {hint}")
        if activation == "sigmoid" and decoder.classes > 1:
            raise FileError(f"{file}: expected one channel for `activation=sigmoid`, got {decoder.classes}")
        self.loss = log_loss(activation)
        self.channels, self.given_by = decoder.classes, file
        found = decoder.target.names if decoder.target.names is not None else decoder.prediction.names
        self.names = self.names or found
        count = max(2, self.channels)
        if self.names is not None and len(self.names) != count:
            raise FileError(f"{file}: expected {len(self.names)} classes, as in `class_names=`, got {count}")

    def _input(self, part: Part) -> Array:
        """Return the scores of a window, with two channels or more."""
        _, arrays = part.read()
        self.nbytes += arrays.nbytes
        return two_channels(arrays.input, self.activation) if self.channels == 1 else arrays.input

    def _scored(self, part: Part, input: Array) -> Scored:
        image, arrays = part.read()
        assert self.loss is not None
        with naming(image, part.window):
            return scored(self.loss, input, arrays.target, arrays.weight, self.ignored)

    def _rivals(self, input: Array, window: Scored) -> Rivals:
        assert self.loss is not None
        return rivals(self.loss, input, window)

    def _note(self, image: Image, part: Part) -> None:
        """Note what was put right about an image, and what looks doubtful about the values of the first images."""
        _, arrays = part.read()
        if image.fitted.note:
            self.noted.setdefault(image.fitted.note, []).append(image.pair.name)
        if self.done < LOOKED_AT:
            values = arrays.input[0]
            if arrays.left_out and arrays.weight is not None:  # pixels without data may hold -9999
                values = np.where(arrays.weight[0] > 0, values, np.nan)
            expected = FocalLoss(activation=self.activation)  # a loss with the option that a note names
            doubts = look(values, True, {NAME: expected}, shown(image.pair.prediction))
            self.noted |= {doubt: [] for doubt in doubts}
