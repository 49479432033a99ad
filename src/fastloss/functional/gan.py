"""The two losses of a GAN as functions."""

from __future__ import annotations

from typing import Any

from ..losses import GANDiscriminatorLoss, GANGeneratorLoss
from ._call import documented


@documented(GANDiscriminatorLoss)
def gan_discriminator_loss(d_real: Any, d_fake: Any, *, activation: str | None = None) -> float:
    """
    >>> import fastloss as fl
    >>> fl.gan_discriminator_loss([0.9, 0.8], [0.3])
    0.52092698
    """
    return GANDiscriminatorLoss(activation=activation)(d_real, d_fake)


@documented(GANGeneratorLoss)
def gan_generator_loss(d_fake: Any, *, saturating: bool = False, activation: str | None = None) -> float:
    """
    >>> import fastloss as fl
    >>> fl.gan_generator_loss([0.3, 0.5])
    0.94855999
    """
    return GANGeneratorLoss(saturating=saturating, activation=activation)(d_fake)
