"""A loss as a scorer of scikit-learn. scikit-learn is not imported here: a scorer is a function."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.loss import Loss
from .derivatives import check_loss, check_range, is_exclusive, is_regression, value
from .rows import Rows


class Scorer:
    """A loss with the signature of scikit-learn's scorers. Higher is better, so a score is minus the loss."""

    def __init__(self, loss: Loss) -> None:
        self.parts, self.loss = check_loss(loss), loss

    def __repr__(self) -> str:
        return f"fastloss.boost.sklearn({self.loss!r})"

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Minus the loss of the estimator's predictions for `X`."""
        weight = None if sample_weight is None else np.asarray(sample_weight)
        if is_regression(self.parts):
            scores, labels = np.asarray(estimator.predict(X), np.float64), np.asarray(y)
        else:
            scores, labels = self._of_classes(estimator, X, np.asarray(y))
        return -value(self.loss, check_range(self.parts, Rows.of(scores, labels, weight, None, None)))

    def _of_classes(self, estimator: Any, X: Any, y: Array) -> tuple[Array, Array]:
        """Scores whose softmax or sigmoid is the predicted probability, and the numbers of the classes."""
        known = np.asarray(estimator.classes_)
        labels = np.searchsorted(known, y).clip(0, len(known) - 1)
        wrong = known[labels] != y
        if wrong.any():
            raise ValueError(f"y: expected classes of the estimator, {known.tolist()}, got {y[wrong][0]}")
        with np.errstate(divide="ignore"):  # a probability of 0 is a score of -inf
            scores = np.log(np.asarray(estimator.predict_proba(X), np.float64))
        if is_exclusive(self.parts) or len(known) > 2:
            return scores, labels
        return scores[:, 1] - scores[:, 0], labels
