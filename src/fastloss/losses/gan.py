"""The two sides of a GAN, as losses to minimise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._batch import as_input
from ._checks import choice, freeze
from .base import SumLoss
from .binary import BINARY_ACTIVATIONS, BCELoss, BCEWithLogitsLoss
from .joint import JointLoss, Part


def _loss(activation: str | None) -> SumLoss:
    return BCEWithLogitsLoss() if activation else BCELoss()


def _part(name: str, d: Any, target: float) -> Part:
    """-log of D, or of 1 - D: BCE with the target 1, or 0, of which one number in memory is enough."""
    array = as_input(d, name)
    return Part(names=(name, name), input=array, target=np.broadcast_to(np.float32(target), array.shape))


@dataclass(frozen=True, kw_only=True, repr=False)
class GANDiscriminatorLoss(JointLoss):
    r"""The discriminator's side of a minimax GAN: to tell real from generated.

    It is $-\mathrm{mean} \log D(x) - \mathrm{mean} \log(1 - D(G(z)))$.

    Parameters
    ----------
    activation : None or "sigmoid"
        None: the arrays hold probabilities $D$, whose logs are clamped at -100; "sigmoid": logits, computed stably.

    The call takes `d_real` and `d_fake`, what the discriminator says of real and of generated samples, float16,
    bfloat16, float32 or float64 of any two shapes. `value_and_grad` returns the gradients `(of d_real, of d_fake)`. It
    raises TypeError for another dtype. Source: Goodfellow et al. 2014, arXiv:1406.2661.

    >>> import fastloss as fl
    >>> fl.GANDiscriminatorLoss(activation="sigmoid")([2.0, 1.0], [-1.0])
    0.53335646

    See also: `GANGeneratorLoss`.
    """

    activation: str | None = None

    def __post_init__(self) -> None:
        choice(self.activation, "activation", BINARY_ACTIVATIONS)

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        return (1.0, _loss(self.activation)), (1.0, _loss(self.activation))

    def parts(self, d_real: Any, d_fake: Any) -> list[Part]:
        return [_part("d_real", d_real, 1), _part("d_fake", d_fake, 0)]


@dataclass(frozen=True, kw_only=True, repr=False)
class GANGeneratorLoss(JointLoss):
    r"""The generator's side of a GAN: to be taken for real.

    It is $-\mathrm{mean} \log D(G(z))$, or `saturating` $\mathrm{mean} \log(1 - D(G(z)))$.

    Parameters
    ----------
    saturating : bool
        True: the second, the minimax game as it stands, whose gradient vanishes where the discriminator is sure.
    activation : None or "sigmoid"
        None: the array holds probabilities $D$, whose logs are clamped at -100; "sigmoid": logits, computed stably.

    The call takes `d_fake`, what the discriminator says of generated samples, float16, bfloat16, float32 or float64 of
    any shape. `value_and_grad` returns the gradients as a tuple, of one. It raises TypeError for another dtype. Source:
    Goodfellow et al. 2014, arXiv:1406.2661.

    >>> import fastloss as fl
    >>> fl.GANGeneratorLoss(activation="sigmoid")([-1.0, 0.5])
    0.89366934

    See also: `GANDiscriminatorLoss`.
    """

    saturating: bool = False
    activation: str | None = None

    def __post_init__(self) -> None:
        choice(self.saturating, "saturating", (True, False))
        freeze(self, saturating=bool(self.saturating))
        choice(self.activation, "activation", BINARY_ACTIVATIONS)

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        return ((-1.0 if self.saturating else 1.0, _loss(self.activation)),)

    def parts(self, d_fake: Any) -> list[Part]:
        return [_part("d_fake", d_fake, 0 if self.saturating else 1)]
