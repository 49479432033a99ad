"""Losses for regression, of the difference d = input - target."""

from __future__ import annotations

from dataclasses import dataclass

from .._backend import Term
from ._checks import freeze, number, positive
from ._shared import shared
from .base import ElementLoss


@dataclass(frozen=True, kw_only=True, repr=False)
class DifferenceLoss(ElementLoss):
    """Base of them all."""

    reduction: str = "mean"


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class MSELoss(DifferenceLoss):
    r"""Mean squared error.

    An element's value is $d^2$.

    Parameters
    ----------
    {element_reduction}

    {element_call}

    For the source see `torch.nn.functional.mse_loss`.

    >>> import fastloss as fl
    >>> fl.MSELoss()([1.0, 2.0], [1.5, 5.0])
    4.625

    See also: `HuberLoss`, which outliers move less.
    """

    def terms(self) -> tuple[Term, ...]:
        return (Term("mse", "element"),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class L1Loss(DifferenceLoss):
    r"""Mean absolute error.

    An element's value is $|d|$; its gradient at $d = 0$ is 0.

    Parameters
    ----------
    {element_reduction}

    {element_call}

    For the source see `torch.nn.functional.l1_loss`.

    >>> import fastloss as fl
    >>> fl.L1Loss()([1.0, 2.0], [1.5, 5.0])
    1.75

    See also: `SmoothL1Loss`, `LogCoshLoss`, which are smooth at 0.
    """

    def terms(self) -> tuple[Term, ...]:
        return (Term("l1", "element"),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class HuberLoss(DifferenceLoss):
    r"""Huber loss: squared error near 0, absolute error beyond.

    An element's value is $d^2 / 2$ where $|d| \le \delta$, else $\delta (|d| - \delta / 2)$.

    Parameters
    ----------
    delta : float
        $\delta$, from 1e-30 to 1e30: from where on the loss is linear.
    {element_reduction}

    {element_call}

    For the source see `torch.nn.functional.huber_loss`. Huber 1964, doi:10.1214/aoms/1177703732.

    >>> import fastloss as fl
    >>> fl.HuberLoss(delta=2.0)([1.0, 2.0], [1.5, 5.0])
    2.0625

    See also: `SmoothL1Loss`, this over delta.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        freeze(self, delta=positive(self.delta, "delta"))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (Term("huber", "element", 0, None, (self.delta, 1.0, self.delta)),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class SmoothL1Loss(DifferenceLoss):
    r"""Smooth L1 loss: absolute error, rounded off near 0.

    An element's value is $d^2 / (2 \beta)$ where $|d| < \beta$, else $|d| - \beta / 2$; $\beta = 0$ is L1.

    Parameters
    ----------
    beta : float
        $\beta$, 0 or from 1e-30 to 1e30.
    {element_reduction}

    {element_call}

    For the source see `torch.nn.functional.smooth_l1_loss`. Girshick 2015, arXiv:1504.08083.

    >>> import fastloss as fl
    >>> fl.SmoothL1Loss(beta=2.0)([1.0, 2.0], [1.5, 5.0])
    1.03125

    See also: `HuberLoss`, this times beta.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        freeze(self, beta=number(self.beta, "beta", 0))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        if self.beta == 0:
            return (Term("l1", "element"),)
        return (Term("huber", "element", 0, None, (self.beta, 1 / self.beta, 1.0)),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class LogCoshLoss(DifferenceLoss):
    r"""Logarithm of the hyperbolic cosine: a smooth absolute error.

    An element's value is $\log \cosh d = |d| + \log(1 + e^{-2|d|}) - \log 2$. There is no overflow for any finite $d$
    and no cancellation for a small one.

    Parameters
    ----------
    {element_reduction}

    {element_call}

    Source: Chen et al. 2019, arXiv:1811.03537; `keras.losses.LogCosh`.

    >>> import fastloss as fl
    >>> fl.LogCoshLoss()([1.0, 2.0], [1.5, 5.0])
    1.2147215

    See also: `PseudoHuberLoss`, with a scale.
    """

    def terms(self) -> tuple[Term, ...]:
        return (Term("log_cosh", "element"),)


@shared
@dataclass(frozen=True, kw_only=True, repr=False)
class PseudoHuberLoss(DifferenceLoss):
    r"""Pseudo-Huber loss: a smooth absolute error with a scale.

    An element's value is $\delta^2 (\sqrt{1 + (d / \delta)^2} - 1)$, that of `scipy.special.pseudo_huber`. It is
    smooth, and finite for any finite $d$.

    Parameters
    ----------
    delta : float
        $\delta$, from 1e-30 to 1e30.
    {element_reduction}

    {element_call}

    Source: Charbonnier et al. 1997, doi:10.1109/83.551699.

    >>> import fastloss as fl
    >>> fl.PseudoHuberLoss(delta=2.0)([1.0, 2.0], [1.5, 5.0])
    1.6671041

    See also: `HuberLoss`.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        freeze(self, delta=positive(self.delta, "delta"))
        super().__post_init__()

    def terms(self) -> tuple[Term, ...]:
        return (Term("pseudo_huber", "element", 0, None, (self.delta,)),)
