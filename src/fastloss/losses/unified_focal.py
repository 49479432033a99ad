"""Asymmetric unified focal loss: a focal loss and a focal Tversky loss that treat the background apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._arrays import Array
from .._batch import Batch
from .._engine.functions import function_of, loss_of
from .._engine.loss import Composed, Loss
from .._options import choice, freeze, integer, labels_option, number
from .._terms import ACTIVATIONS, Background, Term
from .focal import FocalLoss
from .focal_tversky import FocalTverskyLoss

__all__ = ["AsymmetricUnifiedFocalLoss", "asymmetric_unified_focal_loss"]


SMOOTH = 1e-7
"""The smoothing of the Tversky score, as in MONAI and in the authors' code, which use the machine's epsilon."""


def _check_channels(loss: Loss, batch: Batch) -> None:
    if batch.classes == 1:
        raise ValueError(
            "input: expected two or more channels for AsymmetricUnifiedFocalLoss, the first of which is the "
            f"background, got shape {batch.shape}"
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class _AsymmetricFocal(FocalLoss):
    """The focal part: the mean over classes, with `gamma` for class 0 and an exponent of 0 for all others."""

    delta: float

    exclusive = True
    check_channels = _check_channels

    def terms(self) -> tuple[Term, ...]:
        assert isinstance(self.gamma, float)
        params = Background(self.gamma, 0.0), Background(1 - self.delta, self.delta, mean=True)
        return (Term("focal", "pixel", ACTIVATIONS.index(self.activation), None, params),)


@dataclass(frozen=True, kw_only=True, repr=False)
class _AsymmetricFocalTversky(FocalTverskyLoss):
    """The region part: the exponent is `gamma` for each class of the foreground, and 1 for class 0."""

    check_channels = _check_channels

    def _exponents(self, classes: int) -> Array:
        return np.array([1.0] + [float(self.gamma)] * (classes - 1))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True, repr=False)
class AsymmetricUnifiedFocalLoss(Composed):
    r"""Asymmetric unified focal loss: a focal loss and a focal Tversky loss in which class 0 is the background.

    The value is $\lambda F + (1 - \lambda) T$. The focal part $F$ is the mean over pixels and classes of $-(1 - \delta)
    (1 - p_0)^\gamma y_0 \log p_0$ for the background, and of $-\delta y_c \log p_c$ for any other class $c$. The region
    part $T$ is the mean over samples and classes of $1 - T_0$ for the background, and of $(1 - T_c)^{1 - \gamma}$ for
    any other class, where $T_c = TP / (TP + \delta FN + (1 - \delta) FP)$ is a Tversky score. So the loss of sure
    background pixels is reduced, while that of a rare foreground is not.

    Parameters
    ----------
    weight : float, default 0.5
        $\lambda$, the weight of the focal part, in [0, 1].
    gamma : float, default 0.5
        $\gamma$, in [0, 1]. A larger $\gamma$ reduces the loss of the background further, and strengthens the gradient
        of a foreground that is almost right.
    delta : float, default 0.6
        $\delta$, in [0, 1]: the weight of false negatives, and of the foreground's cross entropy. That of false
        positives and of the background is $1 - \delta$.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum"}, default "mean"
        The reduction of both losses. There is no "none", because a sum of the two has no map.
    axis : int, default 1
        The class axis of `input`.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    asymmetric_unified_focal_loss : The same loss as a function; its docstring describes the arrays.
    FocalLoss, FocalTverskyLoss

    Notes
    -----
    The paper divides the focal part by the number of pixels only, and the authors' code exchanges the weights of the
    two parts; MONAI's rule is kept here. There are at least two channels, the first of which is the background.

    References
    ----------
    Yeung et al. 2022, arXiv:2102.04525; `monai.losses.AsymmetricUnifiedFocalLoss`, which has two classes and clamps
    probabilities to [1e-7, 1 - 1e-7].

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.AsymmetricUnifiedFocalLoss(activation=None)([[[0.8, 0.3], [0.2, 0.7]]], [[0, 1]])
    0.21953668
    """

    weight: float = 0.5
    gamma: float = 0.5
    delta: float = 0.6
    activation: str | None = "softmax"
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    parts: tuple[tuple[float, Loss], ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        choice(self.activation, "activation", ACTIVATIONS)
        choice(self.reduction, "reduction", ("mean", "sum"))
        freeze(
            self,
            weight=number(self.weight, "weight", 0, 1),
            gamma=number(self.gamma, "gamma", 0, 1),
            delta=number(self.delta, "delta", 0, 1),
            ignore_index=labels_option(self.ignore_index),
            axis=integer(self.axis, "axis"),
        )
        given = {name: getattr(self, name) for name in ("activation", "ignore_index", "reduction", "axis")}
        focal = _AsymmetricFocal(gamma=self.gamma, delta=self.delta, **given)
        tversky = _AsymmetricFocalTversky(
            gamma=1 - self.gamma, alpha=1 - self.delta, beta=self.delta, smooth=SMOOTH, **given
        )
        freeze(self, parts=((self.weight, focal), (1 - self.weight, tversky)))
        super().__post_init__()

    __repr__ = Loss.__repr__
    ignoring = Loss.ignoring


@function_of(AsymmetricUnifiedFocalLoss)
def asymmetric_unified_focal_loss(
    input: Any,
    target: Any,
    /,
    *,
    weight: float = 0.5,
    gamma: float = 0.5,
    delta: float = 0.6,
    activation: str | None = "softmax",
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Asymmetric unified focal loss: a focal loss and a focal Tversky loss in which class 0 is the background.

    The value is $\lambda F + (1 - \lambda) T$. The focal part $F$ is the mean over pixels and classes of $-(1 - \delta)
    (1 - p_0)^\gamma y_0 \log p_0$ for the background, and of $-\delta y_c \log p_c$ for any other class $c$. The region
    part $T$ is the mean over samples and classes of $1 - T_0$ for the background, and of $(1 - T_c)^{1 - \gamma}$ for
    any other class, where $T_c = TP / (TP + \delta FN + (1 - \delta) FP)$ is a Tversky score. So the loss of sure
    background pixels is reduced, while that of a rare foreground is not.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape.
    weight : float, default 0.5
        $\lambda$, the weight of the focal part, in [0, 1].
    gamma : float, default 0.5
        $\gamma$, in [0, 1]. A larger $\gamma$ reduces the loss of the background further, and strengthens the gradient
        of a foreground that is almost right.
    delta : float, default 0.6
        $\delta$, in [0, 1]: the weight of false negatives, and of the foreground's cross entropy. That of false
        positives and of the background is $1 - \delta$.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum"}, default "mean"
        The reduction of both losses. There is no "none", because a sum of the two has no map.
    axis : int, default 1
        The class axis of `input`.
    pixel_weight : array, default None
        The weights of the pixels: each is 0 or from 1e-30 to 1e30. The shape broadcasts to (N, *S); with a dense
        target, it may also broadcast to (N, C, *S). A pixel with weight 0 does not count.

    Returns
    -------
    float, or array if `reduction` is "none"
        The loss. An array has the dtype of the arithmetic: float64 for a float64 input, otherwise float32.

    Raises
    ------
    LabelError
        If a label is neither a class nor ignored.
    ValueError
        If a shape, a weight or an option is wrong.
    TypeError
        If a dtype or the type of an option is wrong.

    See Also
    --------
    AsymmetricUnifiedFocalLoss : The same loss as an object, with gradients and partials.
    FocalLoss, FocalTverskyLoss

    Notes
    -----
    The paper divides the focal part by the number of pixels only, and the authors' code exchanges the weights of the
    two parts; MONAI's rule is kept here. There are at least two channels, the first of which is the background.

    References
    ----------
    Yeung et al. 2022, arXiv:2102.04525; `monai.losses.AsymmetricUnifiedFocalLoss`, which has two classes and clamps
    probabilities to [1e-7, 1 - 1e-7].

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.asymmetric_unified_focal_loss([[[2.0, 1.0, -3.0], [-2.0, -1.0, 3.0]]], [[0, 0, 1]])
    0.070179831
    """
    loss = loss_of(AsymmetricUnifiedFocalLoss, weight, gamma, delta, activation, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)
