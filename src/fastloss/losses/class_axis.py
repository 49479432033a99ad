"""Losses with one value a pixel, over a class axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._backend import ACTIVATIONS, Term
from .._batch import Array
from ._checks import choice, freeze, number_or_vector
from ._shared import shared
from .base import ElementLoss, SumLoss, as_param


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelLoss(SumLoss):
    """Base of the losses whose pixels weigh what their label's class does."""

    class_weight: Sequence[float] | Array | None = None
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    exclusive = True

    def term(self, name: str, *params: float) -> tuple[Term, ...]:
        weights = None if self.class_weight is None else tuple(self.class_weight)
        return (Term(name, "pixel", 0, weights, params),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class CrossEntropyLoss(LabelLoss):
    r"""Softmax cross entropy of logits, with the names and the semantics of `torch.nn.CrossEntropyLoss`.

    With labels $y$ a pixel's value is $w_y (\log \sum_c e^{x_c} - x_y)$; with a dense target it is $-\sum_c w_c y_c
    (x_c - \log \sum_j e^{x_j})$. Label smoothing $\varepsilon$ replaces the target by $(1 - \varepsilon) y +
    \varepsilon / C$. The mean is $\sum w l / \sum w$ over $w = w_y \cdot$ `pixel_weight` of the kept pixels for
    labels, and $\sum$ `pixel_weight` $l / \sum$ `pixel_weight` for a dense target (torch's rules). A confident
    pixel's small loss keeps its relative accuracy. Logits may be -inf: a masked class.

    Parameters
    ----------
    class_weight : (C,) array, optional
        Finite, >= 0. Multiplies by the weight of the target class.
    label_smoothing : float
        In [0, 1].
    {class_options}

    {class_call}

    For the source see `torch.nn.functional.cross_entropy`; smoothing: Szegedy et al. 2016, arXiv:1512.00567.

    >>> import fastloss as fl
    >>> fl.CrossEntropyLoss(label_smoothing=0.1)([[2.0, 0.0, -1.0]], [0])
    0.33651269

    See also: `DiceLoss` for overlap, `BCEWithLogitsLoss` for classes that do not exclude one another.
    """

    label_smoothing: float = 0.0

    def terms(self) -> tuple[Term, ...]:
        return self.term("cross_entropy", self.label_smoothing)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class NLLLoss(LabelLoss):
    r"""Negative log-likelihood of log-probabilities, with the semantics of `torch.nn.NLLLoss`.

    With labels $y$ a pixel's value is $-w_y q_y$; with a dense target $-\sum_c w_c y_c q_c$. The mean is that of
    `CrossEntropyLoss`, which is this loss of `log_softmax(logits)`, in one step and more exact.

    Parameters
    ----------
    class_weight : (C,) array, optional
        Finite, >= 0. Multiplies by the weight of the target class.
    {class_options}

    {class_call}

    For the source see `torch.nn.functional.nll_loss`.

    >>> import fastloss as fl
    >>> fl.NLLLoss()(fl.log_softmax([[2.0, 0.0, -1.0]], axis=1), [0])
    0.16984602

    See also: `CategoricalCrossEntropyLoss` for probabilities.
    """

    def terms(self) -> tuple[Term, ...]:
        return self.term("nll")


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class CategoricalCrossEntropyLoss(LabelLoss):
    r"""Cross entropy of probabilities: Keras' categorical (dense) and sparse categorical (labels) cross entropy.

    With labels $y$ a pixel's value is $-w_y \log p_y$; with a dense target $-\sum_c w_c y_c \log p_c$. Logs are at
    least -100, so a probability of 0 is finite; their derivative $1/p$ is at most 1e12. The probabilities are taken as
    they are, not normalised again. Smoothing and mean are those of `CrossEntropyLoss`.

    Parameters
    ----------
    class_weight : (C,) array, optional
        Finite, >= 0. Multiplies by the weight of the target class.
    label_smoothing : float
        In [0, 1].
    {class_options}

    {class_call}

    Source: `keras.losses.CategoricalCrossentropy`, whose probabilities are clipped to [1e-7, 1 - 1e-7] instead.

    >>> import fastloss as fl
    >>> fl.CategoricalCrossEntropyLoss()([[0.7, 0.2, 0.1]], [0])
    0.35667494

    See also: `CrossEntropyLoss`, for logits: more exact and faster than a softmax before this.
    """

    label_smoothing: float = 0.0

    def terms(self) -> tuple[Term, ...]:
        return self.term("categorical", self.label_smoothing)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class FocalLoss(SumLoss):
    r"""Focal loss over a class axis, with gamma and alpha for each class.

    A pixel's value is $-\sum_c \alpha_c (1 - p_c)^{\gamma_c} y_c \log p_c$, with labels the term of the label's
    class alone. $\gamma = 0$ without $\alpha$ is cross entropy. The mean is over `pixel_weight`: $\alpha$ is no
    weight of it.

    Parameters
    ----------
    gamma : float or (C,) array
        >= 0: how much confident pixels are passed over.
    alpha : (C,) array, optional
        >= 0.
    activation : "softmax", "sigmoid" or None
        What turns `input` into probabilities; None: it holds probabilities, whose logs are at least -100.
    {class_options}

    {class_call}

    Source: Lin et al. 2017, arXiv:1708.02002.

    >>> import fastloss as fl
    >>> fl.FocalLoss(gamma=[2.0, 1.0, 0.0])([[2.0, 0.0, -1.0]], [0])
    0.0041442573

    See also: `BinaryFocalLoss`, which also has a term for the negatives.
    """

    gamma: float | Sequence[float] | Array = 2.0
    alpha: Sequence[float] | Array | None = None
    activation: str | None = "softmax"
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    activations = ACTIVATIONS

    def __post_init__(self) -> None:
        freeze(self, gamma=number_or_vector(self.gamma, "gamma"))
        if self.alpha is not None:
            freeze(self, alpha=number_or_vector(self.alpha, "alpha"))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        params = as_param(self.gamma), as_param(self.alpha)
        return (Term("focal", "pixel", ACTIVATIONS.index(self.activation), None, params, ("gamma", "alpha")),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class PerceptronLoss(LabelLoss):
    r"""Perceptron loss: cross entropy without its normaliser.

    With labels $y$ a pixel's value is $w_y (\max_c x_c - x_y)$; with a dense target $\sum_c w_c y_c (\max_j x_j -
    x_c)$. Of equal maxima the first takes the gradient. The mean is that of `CrossEntropyLoss`.

    Parameters
    ----------
    class_weight : (C,) array, optional
        Finite, >= 0. Multiplies by the weight of the target class.
    {class_options}

    {class_call}

    Source: LeCun et al. 2006, A Tutorial on Energy-Based Learning.

    >>> import fastloss as fl
    >>> fl.PerceptronLoss()([[2.0, 0.0, -1.0]], [1])
    2.0

    See also: `CrossEntropyLoss`.
    """

    def terms(self) -> tuple[Term, ...]:
        return self.term("perceptron")


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class KLDivLoss(ElementLoss):
    r"""Kullback-Leibler divergence of log-probabilities, with the semantics of `torch.nn.KLDivLoss`.

    An element's value is $y (\log y - q)$, with `log_target` $e^y (y - q)$; $0 \log 0 = 0$. As in torch the values
    are those of elements: `reduction="batchmean"` or "sum" sums over the classes, too.

    Parameters
    ----------
    log_target : bool
        Whether `target` holds log-probabilities as well.
    reduction : "mean", "sum", "batchmean" or "none"
        "batchmean" is the sum over the number of samples, the divergence as mathematics has it.

    {element_call}

    For the source see `torch.nn.functional.kl_div`.

    >>> import fastloss as fl, numpy as np
    >>> fl.KLDivLoss(reduction="batchmean")(np.log([[0.7, 0.3]]), [[0.5, 0.5]])
    0.08717669

    See also: `JSDivLoss`; `BinaryKLDivLoss` for probabilities of two outcomes.
    """

    log_target: bool = False
    reduction: str = "mean"

    reductions = ("mean", "sum", "batchmean", "none")

    def __post_init__(self) -> None:
        choice(self.log_target, "log_target", (True, False))
        freeze(self, log_target=bool(self.log_target))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (Term("kl_div_log" if self.log_target else "kl_div", "element"),)

    def by_sample(self) -> bool:
        return self.reduction == "batchmean"

    def rows(self, sums: list[Array]) -> Array:
        if self.reduction != "batchmean":
            return super().rows(sums)
        return np.column_stack([sums[0][:, 0], np.ones(len(sums[0]))])

    def class_rows(self, sums: list[Array]) -> Array:
        rows = super().class_rows(sums)
        if self.reduction == "batchmean":
            rows = rows.copy()
            rows[:, rows.shape[1] // 2 :] = 1
        return rows
