"""Losses for binary and multi-label targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _backend
from .._backend import ACTIVATIONS, Mode, Term
from .._batch import Array, Batch, as_input, element_batch, real_dtype
from ._checks import choice, freeze, number, number_or_vector
from ._shared import shared
from .base import ElementLoss, SumLoss, as_param

BINARY_ACTIVATIONS = (None, "sigmoid")


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class BCELoss(ElementLoss):
    r"""Binary cross entropy of probabilities, with the semantics of `torch.nn.BCELoss`.

    An element's value is $-[b\,y \log p + (1 - y) \log(1 - p)]$. Logs are at least -100, so probabilities of 0 and 1
    are finite; their derivatives are at most 1e12.

    Parameters
    ----------
    pos_weight : float or (C,) array, optional
        $b$, the weight of positive elements, >= 0: the weighted BCE. A vector is one a class, on `axis`.
    {element_reduction}
    axis : int
        The class axis, where `pos_weight` is a vector.

    {element_call}

    For the source see `torch.nn.functional.binary_cross_entropy`.

    >>> import fastloss as fl
    >>> fl.BCELoss()([0.8, 0.4], [1.0, 0.0])
    0.36698458

    See also: `BCEWithLogitsLoss`, for logits: more exact; `BalancedBCELoss`, which chooses the weights itself.
    """

    pos_weight: float | Sequence[float] | Array | None = None
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        check_pos_weight(self)
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (bce_term(None, self.pos_weight),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class BCEWithLogitsLoss(ElementLoss):
    r"""Binary cross entropy of logits, with the names and the semantics of `torch.nn.BCEWithLogitsLoss`.

    An element's value is $-[b\,y \log \sigma(x) + (1 - y) \log(1 - \sigma(x))]$, computed stably: for $b = 1$,
    $\max(x, 0) - x y + \log(1 + e^{-|x|})$. Label smoothing replaces $y$ by $(1 - \varepsilon) y + \varepsilon / 2$.

    Parameters
    ----------
    pos_weight : float or (C,) array, optional
        $b$, the weight of positive elements, >= 0; a vector is one a class, on `axis`.
    label_smoothing : float
        In [0, 1].
    {element_reduction}
    axis : int
        The class axis, where `pos_weight` is a vector.

    {element_call}

    Infinite logits are allowed. In a sum with a region loss, a single channel takes its labels {0, 1} too.

    >>> import fastloss as fl
    >>> fl.BCEWithLogitsLoss(pos_weight=2.0)([0.5, -1.0], [1.0, 0.0])
    0.63070783

    See also: `CrossEntropyLoss` for classes that exclude one another.
    """

    pos_weight: float | Sequence[float] | Array | None = None
    label_smoothing: float = 0.0
    reduction: str = "mean"
    axis: int = 1

    def __post_init__(self) -> None:
        check_pos_weight(self)
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (bce_term("sigmoid", self.pos_weight, 1.0, self.label_smoothing),)


def check_pos_weight(loss: Any) -> None:
    if loss.pos_weight is not None:
        freeze(loss, pos_weight=number_or_vector(loss.pos_weight, "pos_weight"))


def bce_term(activation: str | None, pos: Any, neg: float = 1.0, eps: float = 0.0) -> Term:
    """-(pos t log p + neg (1 - t) log(1 - p)), t = (1 - eps) y + eps / 2."""
    params = as_param(pos), neg, eps
    return Term("bce", "element", ACTIVATIONS.index(activation), None, params, ("pos_weight", "", ""))


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class BalancedBCELoss(ElementLoss):
    r"""Binary cross entropy that weighs each sample's positives by its share of negatives, and the other way round.

    An element's value is $-[b\,y \log p + (1 - b)(1 - y) \log(1 - p)]$, where $b = 1 - \sum w y / \sum w$ over the
    sample, with `pixel_weight` $w$: a thin edge weighs as much as all that is no edge. $b$ is data, not
    differentiated: it does not depend on the input. An input with one dimension is one sample.

    Parameters
    ----------
    activation : "sigmoid" or None
        None: `input` holds probabilities, whose logs are at least -100.
    {element_reduction}

    {element_call}

    Source: Xie and Tu 2015, arXiv:1504.06375 (holistically-nested edge detection).

    >>> import fastloss as fl
    >>> fl.BalancedBCELoss()([[2.0, -1.0, -2.0, 0.5]], [[1.0, 0.0, 0.0, 0.0]])
    0.11219067

    See also: `BCEWithLogitsLoss` with a `pos_weight` of your own.
    """

    activation: str | None = "sigmoid"
    reduction: str = "mean"

    activations = BINARY_ACTIVATIONS

    def terms(self) -> tuple[Term, ...]:
        """The positives' sum, the negatives', and that of the targets."""
        return (bce_term(self.activation, 1.0, 0.0), bce_term(self.activation, 0.0), Term("target", "element"))

    def by_sample(self) -> bool:
        return True

    def is_linear(self) -> bool:
        return False

    def make_batch(self, input: Any, target: Any, pixel_weight: Any) -> Batch:
        x = as_input(input)
        return element_batch(x, target, pixel_weight, axis=None, by_sample=x.ndim > 1)

    @staticmethod
    def _share(sums: list[Array]) -> Array:
        """b, (groups, 1)."""
        targets, weights = sums[2][:, :1], sums[2][:, 1:2]
        share: Array = 1 - np.divide(targets, weights, out=np.zeros_like(targets), where=weights > 0)
        return share

    @staticmethod
    def _blend(b: Array, positive: Array, negative: Array) -> Array:
        """b positive + (1 - b) negative; a factor 0 silences inf."""
        first = np.multiply(b, positive, out=np.zeros_like(positive), where=b != 0)
        second = np.multiply(1 - b, negative, out=np.zeros_like(negative), where=b != 1)
        first += second
        return first

    def rows(self, sums: list[Array]) -> Array:
        return np.hstack([self._blend(self._share(sums), sums[0][:, :1], sums[1][:, :1]), sums[0][:, 1:2]])

    def slopes(self, sums: list[Array], numbers: Array, classes: int) -> list[Array]:
        b, slope = self._share(sums), self._slope(numbers)
        return [b * slope, (1 - b) * slope, np.zeros_like(b)]

    def class_rows(self, sums: list[Array]) -> Array:
        b, classes = self._share(sums), (sums[0].shape[1] - 2) // 2
        values = [s[:, 2 : 2 + classes] for s in sums]
        return np.hstack([self._blend(b, *values[:2]), sums[0][:, 2 + classes :]])

    def value_map(self, batch: Batch) -> Array:
        b = self._share(self.sums(batch)).astype(real_dtype(batch.input.dtype))
        maps = [np.empty(batch.shape, b.dtype) for _ in range(2)]
        for term, out in zip(self.terms(), maps, strict=False):
            _backend.run(batch, (term,), Mode.MAP, output=batch.kernel_view(out))
        b = b.reshape(-1, *[1] * (len(batch.shape) - 1)) if batch.split else b[0, 0]
        return self._blend(b, *maps)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class BinaryFocalLoss(ElementLoss):
    r"""Focal loss of elements; for hard targets that of `torchvision.ops.sigmoid_focal_loss`.

    An element's value is $-\alpha b (1 - p)^\gamma y \log p - (1 - \alpha) p^\gamma (1 - y) \log(1 - p)$.

    Parameters
    ----------
    gamma : float
        >= 0: how much confident elements are passed over; 0 is (weighted) binary cross entropy.
    alpha : float, optional
        In [0, 1], the weight of positives, and 1 - alpha that of negatives; None: no weights.
    pos_weight : float or (C,) array, optional
        $b$, a further weight of positive elements, >= 0; a vector is one per class, on `axis`.
    activation : "sigmoid" or None
        None: `input` holds probabilities, whose logs are at least -100.
    {element_reduction}
    axis : int
        The class axis, where `pos_weight` is a vector.

    {element_call}

    Source: Lin et al. 2017, arXiv:1708.02002; `pos_weight` is that of kornia's `binary_focal_loss_with_logits`.

    >>> import fastloss as fl
    >>> fl.BinaryFocalLoss()([2.0, -1.0], [1.0, 0.0])
    0.0087222169

    See also: `FocalLoss` for classes that exclude one another.
    """

    gamma: float = 2.0
    alpha: float | None = 0.25
    pos_weight: float | Sequence[float] | Array | None = None
    activation: str | None = "sigmoid"
    reduction: str = "mean"
    axis: int = 1

    activations = BINARY_ACTIVATIONS

    def __post_init__(self) -> None:
        freeze(self, gamma=number(self.gamma, "gamma", 0))
        if self.alpha is not None:
            freeze(self, alpha=number(self.alpha, "alpha", 0, 1))
        check_pos_weight(self)
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        positive, negative = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        b = as_param(self.pos_weight)
        pos = tuple(positive * w for w in b) if isinstance(b, tuple) else positive * b
        params, names = (self.gamma, pos, negative), ("", "pos_weight", "")
        return (Term("binary_focal", "element", ACTIVATIONS.index(self.activation), None, params, names),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class BinaryKLDivLoss(ElementLoss):
    r"""Kullback-Leibler divergence of Bernoulli distributions, and its alpha form.

    An element's value is $y \log \frac y m + (1 - y) \log \frac{1 - y}{1 - m}$ with $m = \alpha p + (1 - \alpha) y$;
    $0 \log 0 = 0$. With $\alpha = 1$ it is KL(y‖p), binary cross entropy less the entropy of the target.

    Parameters
    ----------
    alpha : float
        In [0, 1]: how much of $p$ is in $m$; below 1 the value is bounded where $p$ misses.
    activation : "sigmoid" or None
        None: `input` holds probabilities, whose logs are at least -100.
    {element_reduction}

    {element_call}

    Source: Kullback and Leibler 1951, doi:10.1214/aoms/1177729694; the alpha form: Lee 1999 (skew divergence).

    >>> import fastloss as fl
    >>> fl.BinaryKLDivLoss()([0.5, 0.9], [0.5, 0.5])
    0.25541282

    See also: `KLDivLoss`, `JSDivLoss`.
    """

    alpha: float = 1.0
    activation: str | None = None
    reduction: str = "mean"

    activations = BINARY_ACTIVATIONS

    def __post_init__(self) -> None:
        freeze(self, alpha=number(self.alpha, "alpha", 0, 1))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (Term("binary_kl", "element", ACTIVATIONS.index(self.activation), None, (self.alpha,)),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class JSDivLoss(SumLoss):
    r"""Jensen-Shannon divergence of probabilities, and its alpha form.

    $[KL(y \| m(p)) + KL(p \| m(y))] / 2$ with $m(p) = \alpha p + (1 - \alpha) y$ and $m(y) = \alpha y + (1 - \alpha)
    p$, where $KL(u \| v) = \sum_c u_c \log(u_c / v_c)$ over the class axis: one value a pixel. With `binary` an element
    is the chance of a Bernoulli distribution: one value an element. $\alpha = 1/2$ is the Jensen-Shannon divergence,
    $\alpha = 1$ half of Jeffreys' (KL made symmetric). In natural units, at most log 2 for $\alpha = 1/2$.

    Parameters
    ----------
    alpha : float
        In [0, 1].
    axis : int
        The class axis of `input`.
    binary : bool
        Whether elements are Bernoulli distributions; then `input` has any shape.
    activation : "softmax", "sigmoid" or None
        What turns `input` into probabilities; None: it holds probabilities. `binary` takes no softmax.
    ignore_index : int or sequence of int
        A label, or several, whose pixels do not count. A dense target has none: use `pixel_weight` there.
    reduction : "mean", "sum" or "none"
        Over `pixel_weight`; "none" gives `(N, *S)`, or with `binary` the input's shape.

    The call takes `input` of shape `(N, C, *S)`, float16, bfloat16, float32 or float64; and `target`, a dense float
    array of its shape or labels `(N, *S)`; with `binary` only the former. It raises as `CrossEntropyLoss` does.

    Source: Lin 1991, doi:10.1109/18.61115.

    >>> import fastloss as fl
    >>> fl.JSDivLoss()([[0.5, 0.5]], [[1.0, 0.0]])
    0.21576157

    See also: `KLDivLoss`.
    """

    alpha: float = 0.5
    axis: int = 1
    binary: bool = False
    activation: str | None = None
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"

    activations = ACTIVATIONS

    def __post_init__(self) -> None:
        freeze(self, alpha=number(self.alpha, "alpha", 0, 1))
        choice(self.binary, "binary", (True, False))
        freeze(self, binary=bool(self.binary))
        if self.binary:
            freeze(self, kind="element", takes_binary=True, activations=BINARY_ACTIVATIONS)
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        activation = ACTIVATIONS.index(self.activation)
        name, kind = ("binary_js", "element") if self.binary else ("js", "pixel")
        return (Term(name, kind, activation, None, (self.alpha,)),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class SoftMarginLoss(ElementLoss):
    r"""Soft margin loss: binary cross entropy of logits for targets -1 and 1.

    An element's value is $\log(1 + e^{-y x})$ with $y \in \{-1, 1\}$; stable where torch's overflows.

    Parameters
    ----------
    {element_reduction}

    {element_call}

    For the source see `torch.nn.functional.soft_margin_loss`.

    >>> import fastloss as fl
    >>> fl.SoftMarginLoss()([2.0, -1.0], [1.0, -1.0])
    0.22009485

    See also: `BCEWithLogitsLoss`, the same for targets in {0, 1}.
    """

    reduction: str = "mean"

    takes_binary = False  # its targets are -1 and 1

    def terms(self) -> tuple[Term, ...]:
        return (Term("soft_margin", "element"),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class MultiLabelSoftMarginLoss(SumLoss):
    r"""Binary cross entropy of logits, its mean over the classes: one value a pixel.

    It is $-\frac 1 C \sum_c w_c [y_c \log \sigma(x_c) + (1 - y_c) \log(1 - \sigma(x_c))]$.

    Parameters
    ----------
    class_weight : (C,) array, optional
        Finite, >= 0; no weight of the mean, as in torch.
    axis : int
        The class axis of `input`; torch's is the last.
    reduction : "mean", "sum" or "none"
        "none" gives the map of shape `(N, *S)`.

    {class_call}

    For the source see `torch.nn.functional.multilabel_soft_margin_loss`.

    >>> import fastloss as fl
    >>> fl.MultiLabelSoftMarginLoss()([[2.0, -1.0]], [[1.0, 0.0]])
    0.22009485

    See also: `BCEWithLogitsLoss`.
    """

    class_weight: Sequence[float] | Array | None = None
    axis: int = 1
    reduction: str = "mean"

    def terms(self) -> tuple[Term, ...]:
        weight = as_param(self.class_weight)
        return (Term("multilabel", "pixel", ACTIVATIONS.index("sigmoid"), None, (weight,), ("class_weight",)),)
