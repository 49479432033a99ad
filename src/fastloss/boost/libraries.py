"""The objects that `xgboost`, `lightgbm` and `catboost` return: objective, metric and base score of one library each.

They read the library's data set by its own methods, so no library is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arrays import Array
from .._engine.loss import Loss
from .._options import integer
from .derivatives import base_score, check_loss, check_range, derivatives, value
from .rows import Rows, check_targets


class Objective:
    """What the libraries share: a checked loss, and the table of soft targets if there is one.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores.
    targets : array or None
        The table of targets.
    """

    library: str

    def __init__(self, loss: Loss, targets: Any) -> None:
        self.parts = check_loss(loss)
        self.loss, self.targets = loss, check_targets(targets)

    def __repr__(self) -> str:
        return f"fastloss.boost.{self.library}({self.loss!r})"

    @property
    def name(self) -> str:
        """The name of the metric: the class of the loss, without characters at which a library splits its log.

        Returns
        -------
        str
            The name, such as "DiceLoss+BCEWithLogitsLoss".
        """
        return "+".join(dict.fromkeys(type(part).__name__ for _, part in self.parts))

    def base_score(self, data: Any, *, classes: int = 1) -> float | list[float]:
        """The best constant prediction of cross entropy, or of squared error for a loss of regression.

        Parameters
        ----------
        data : data set of the library
            The labels and weights of the rows that are trained on.
        classes : int, default 1
            The number of scores per row.

        Returns
        -------
        float, or list of float
            The mean target for regression. Otherwise the log-odds of the mean target, or for a softmax the logs of the
            shares of the classes.
        """
        self._check(data)
        shape = len(data.get_label()), integer(classes, "classes")
        result: float | list[float] = base_score(self.parts, self._rows(np.broadcast_to(0.0, shape), data))
        return result

    def _rows(self, scores: Any, data: Any) -> Rows:
        """The rows of a data set of the library. A Pool of CatBoost has no sizes of groups."""
        self._check(data)
        sizes = data.get_group() if hasattr(data, "get_group") else None
        return self._of(scores, data.get_label(), data.get_weight(), sizes)

    def _of(self, scores: Any, labels: Any, weight: Any, sizes: Any = None) -> Rows:
        return check_range(self.parts, Rows.of(scores, labels, _some(weight), _some(sizes), self.targets))

    def _check(self, data: Any) -> None:
        if not hasattr(data, "get_label"):
            raise TypeError(
                f"data: expected a data set of {self.library}, got {type(data).__name__}; the objective is for "
                f"{self.library}.train, whose calls pass the data set"
            )


def _some(values: Any) -> Array | None:
    """An array, or None if the library has none or an empty one."""
    return None if values is None or len(values) == 0 else np.asarray(values)


class XGBoost(Objective):
    """The objective of `xgboost.train`: `obj=objective, custom_metric=objective.metric`.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores.
    targets : array or None
        The table of targets.
    """

    library = "xgboost"

    def __call__(self, scores: Array, data: Any) -> tuple[Array, Array]:
        """The gradient and the Hessian, of the shape of `scores`."""
        gradient, hessian = derivatives(self.parts, self._rows(scores, data), None)
        return gradient.reshape(scores.shape), hessian.reshape(scores.shape)

    def metric(self, scores: Array, data: Any) -> tuple[str, float]:
        """The loss as a metric. Lower is better.

        Parameters
        ----------
        scores : array
            The raw scores.
        data : DMatrix
            The rows.

        Returns
        -------
        (str, float)
            The name and the value.
        """
        return self.name, value(self.loss, self._rows(scores, data))


class LightGBM(Objective):
    """The objective of `lightgbm.train`: `params["objective"] = objective, feval=objective.metric`.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores.
    targets : array or None
        The table of targets.
    """

    library = "lightgbm"

    def __call__(self, scores: Array, data: Any) -> tuple[Array, Array]:
        """The gradient and the Hessian, of the shape of `scores`."""
        rows = self._rows(scores, data)
        K = rows.scores.shape[1]
        gradient, hessian = derivatives(self.parts, rows, K / (K - 1) if K > 1 else None)
        return gradient.reshape(scores.shape), hessian.reshape(scores.shape)

    def metric(self, scores: Array, data: Any) -> tuple[str, float, bool]:
        """The loss as a metric. Lower is better.

        Parameters
        ----------
        scores : array
            The raw scores.
        data : Dataset
            The rows.

        Returns
        -------
        (str, float, bool)
            The name, the value, and False, because a higher value is not better.
        """
        return self.name, value(self.loss, self._rows(scores, data)), False


class CatBoost(Objective):
    """The objective of CatBoost: `loss_function=objective, eval_metric=objective.metric`.

    CatBoost maximises, so it gets the derivatives with the opposite sign.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores and of single rows.
    targets : array or None
        The table of targets.
    """

    library = "catboost"

    def __init__(self, loss: Loss, targets: Any) -> None:
        super().__init__(loss, targets)
        for _, part in self.parts:
            if part.by_sample() or not part.is_linear():
                raise ValueError(
                    f"loss: expected a loss of single rows, since CatBoost hands over blocks, got {part!r}"
                )
        self.metric = CatBoostMetric(self)

    def calc_ders_range(self, scores: Any, labels: Any, weights: Any) -> Array:
        """The derivatives of a block of rows with one score each.

        Parameters
        ----------
        scores, labels : sequence of float
            The raw score and the label of each row.
        weights : sequence of float, or None
            The weight of each row.

        Returns
        -------
        array (rows, 2)
            Minus the gradient, and minus the Hessian.
        """
        rows = self._of(np.asarray(scores, np.float64), labels, weights)
        return -np.concatenate(derivatives(self.parts, rows, None), axis=1)

    def calc_ders_multi(self, scores: Any, label: float, weight: float) -> tuple[list[float], list[list[float]]]:
        """The derivatives of one row with several scores.

        Parameters
        ----------
        scores : sequence of float
            The raw scores.
        label, weight : float
            The label and the weight of the row.

        Returns
        -------
        (list of float, list of list of float)
            Minus the gradient, and minus the matrix of the Hessian, which is diagonal.
        """
        rows = self._of(np.array([scores], np.float64), [label], [weight])
        gradient, hessian = derivatives(self.parts, rows, None)
        return (-gradient[0]).tolist(), np.diag(-hessian[0]).tolist()


class CatBoostMetric:
    """The loss as CatBoost's `eval_metric`.

    Parameters
    ----------
    objective : CatBoost
        The objective.
    """

    def __init__(self, objective: CatBoost) -> None:
        self.objective = objective

    def is_max_optimal(self) -> bool:
        """Whether a higher value is better.

        Returns
        -------
        bool
            False.
        """
        return False

    def evaluate(self, scores: Sequence[Any], labels: Any, weights: Any) -> tuple[float, float]:
        """The value of the loss, weighted as CatBoost expects it.

        Parameters
        ----------
        scores : sequence of sequences of float
            For each class, the raw scores of the rows.
        labels : sequence of float
            The label of each row.
        weights : sequence of float, or None
            The weight of each row.

        Returns
        -------
        (float, float)
            The loss times the weight of all rows, and this weight.
        """
        rows = self.objective._of(np.stack(scores, axis=1), labels, weights)
        return value(self.objective.loss, rows) * rows.total_weight, rows.total_weight

    def get_final_error(self, error: float, weight: float) -> float:
        """The quotient of what `evaluate` returned.

        Parameters
        ----------
        error, weight : float
            The two numbers.

        Returns
        -------
        float
            The loss.
        """
        return error / weight if weight else float("nan")
