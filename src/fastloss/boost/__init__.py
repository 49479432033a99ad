"""Losses as objectives of XGBoost, LightGBM and CatBoost, and as scorers of scikit-learn.

Each function returns an object with the derivatives that the library asks for, in its own layout and scaling, and with
the loss as a metric. No library is imported: the objects work with what a library passes. docs/boosting.md has a recipe
for each.
"""

from __future__ import annotations

from typing import Any

from .._engine.loss import Loss
from .libraries import CatBoost, LightGBM, XGBoost
from .scorer import Scorer

__all__ = ["catboost", "lightgbm", "sklearn", "xgboost"]


def xgboost(loss: Loss, *, targets: Any = None) -> XGBoost:
    r"""A loss as the objective of `xgboost.train`.

    The gradient and the Hessian are those of the sum over the rows. Cross entropy has XGBoost's own Hessian, $2 p (1 -
    p)$, so it trains the same trees as `multi:softprob`. A region loss such as Dice is a mean over groups times the
    number of rows. A group is the rows of one `qid` of the DMatrix; without `qid`, all rows are one group.
    docs/boosting.md has the rules for the Hessians of losses that are not convex.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores, with an activation of its own. Its reduction matters for the metric only.
    targets : array (T,) or (T, K), default None
        A table of targets, such as probabilities. The label of a row is then its row number in the table.

    Returns
    -------
    XGBoost
        The objective, a callable for `obj=`. Its `metric` is for `custom_metric=`, and `base_score(data)` is for
        `params["base_score"]`.

    Raises
    ------
    ValueError, TypeError
        If the loss cannot be an objective. A call raises the errors of wrong labels.

    Examples
    --------
    >>> import fastloss as fl, fastloss.boost
    >>> objective = fl.boost.xgboost(fl.FocalLoss(gamma=2.0))
    >>> objective
    fastloss.boost.xgboost(FocalLoss())
    >>> objective.name
    'FocalLoss'
    """
    return XGBoost(loss, targets)


def lightgbm(loss: Loss, *, targets: Any = None) -> LightGBM:
    r"""A loss as the objective of `lightgbm.train`.

    The gradient and the Hessian are those of the sum over the rows. Cross entropy has LightGBM's own Hessian, $p (1 -
    p) K / (K - 1)$, so it trains the same trees as `multiclass` without `boost_from_average`. A region loss such as
    Dice is a mean over groups times the number of rows. The groups are those of the Dataset; without them, all rows are
    one group. docs/boosting.md has the rules for the Hessians of losses that are not convex.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores, with an activation of its own. Its reduction matters for the metric only.
    targets : array (T,) or (T, K), default None
        A table of targets, such as probabilities. The label of a row is then its row number in the table.

    Returns
    -------
    LightGBM
        The objective, a callable for `params["objective"]`. Its `metric` is for `feval=`, and `base_score(data)` is for
        the Dataset's `init_score`.

    Raises
    ------
    ValueError, TypeError
        If the loss cannot be an objective. A call raises the errors of wrong labels.

    Examples
    --------
    >>> import fastloss as fl, fastloss.boost
    >>> fl.boost.lightgbm(0.5 * fl.DiceLoss(activation="sigmoid") + fl.BCEWithLogitsLoss()).name
    'DiceLoss+BCEWithLogitsLoss'
    """
    return LightGBM(loss, targets)


def catboost(loss: Loss, *, targets: Any = None) -> CatBoost:
    """A loss as the objective of CatBoost's models.

    CatBoost hands over its rows in blocks, and one by one if they have several scores. So the loss must be one of
    single rows, which excludes Dice. With several scores per row, each row is a call from C++ to Python, which is slow.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores, with an activation of its own. Its reduction matters for the metric only.
    targets : array (T,) or (T, K), default None
        A table of targets, such as probabilities. The label of a row is then its row number in the table.

    Returns
    -------
    CatBoost
        The objective, for `loss_function=`. Its `metric` is for `eval_metric=`, and `base_score(pool)` is for the
        Pool's `baseline`.

    Raises
    ------
    ValueError, TypeError
        If the loss cannot be an objective. A call raises the errors of wrong labels.

    Examples
    --------
    >>> import fastloss as fl, fastloss.boost
    >>> fl.boost.catboost(fl.BinaryFocalLoss()).calc_ders_range([0.0], [1.0], None)
    array([[ 0.0745717 , -0.09978585]])
    """
    return CatBoost(loss, targets)


def sklearn(loss: Loss) -> Scorer:
    """A loss as a scorer of scikit-learn, for `scoring=`.

    scikit-learn has no public way to train with a loss of one's own. A scorer chooses models and options by the loss,
    or stops `HistGradientBoostingClassifier` early.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores, with an activation of its own. A classifier's scores are the logs of its `predict_proba`,
        or their difference for a loss of one score per row. A loss of differences takes `predict`.

    Returns
    -------
    Scorer
        A callable (estimator, X, y, sample_weight=None) that returns minus the loss.

    Raises
    ------
    ValueError, TypeError
        If the loss cannot take scores. A call raises the errors of wrong labels.

    Examples
    --------
    >>> import fastloss as fl, fastloss.boost
    >>> fl.boost.sklearn(fl.CrossEntropyLoss())
    fastloss.boost.sklearn(CrossEntropyLoss())
    """
    return Scorer(loss)
