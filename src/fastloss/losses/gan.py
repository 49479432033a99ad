"""The two sides of a GAN, as losses to minimise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import as_input
from .._engine.functions import function_of, loss_of
from .._engine.multi_input import MultiInputLoss, Part
from .._engine.sums import SumLoss
from .._options import choice, freeze
from .._terms import BINARY_ACTIVATIONS
from .binary import BCELoss, BCEWithLogitsLoss

__all__ = ["GANDiscriminatorLoss", "GANGeneratorLoss", "gan_discriminator_loss", "gan_generator_loss"]


def _loss(activation: str | None) -> SumLoss:
    return BCEWithLogitsLoss() if activation else BCELoss()


def _part(name: str, d: Any, target: float) -> Part:
    """-log D or -log(1 - D), as BCE with the target 1 or 0. The target is a broadcast view of one number."""
    array = as_input(d, name)
    return Part(names=(name, name), input=array, target=np.broadcast_to(np.float32(target), array.shape))


@dataclass(frozen=True, kw_only=True, repr=False)
class GANDiscriminatorLoss(MultiInputLoss):
    r"""The loss of the discriminator of a minimax GAN, which learns to tell real samples from generated ones.

    The loss is $-\mathrm{mean} \log D(x) - \mathrm{mean} \log(1 - D(G(z)))$.

    Parameters
    ----------
    activation : {None, "sigmoid"}, default None
        None: the arrays hold probabilities $D$, whose logs are clamped to at least -100. "sigmoid": they hold logits.

    Raises
    ------
    ValueError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    gan_discriminator_loss : The same loss as a function; its docstring describes the arrays.
    GANGeneratorLoss : The loss of the generator.

    Notes
    -----
    `value_and_grad(d_real, d_fake)` returns the gradients as a tuple: that of `d_real`, then that of `d_fake`.

    References
    ----------
    Goodfellow et al. 2014, arXiv:1406.2661.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.GANDiscriminatorLoss(activation="sigmoid")([2.0, 1.0], [-1.0])
    0.53335646
    """

    activation: str | None = None

    def __post_init__(self) -> None:
        choice(self.activation, "activation", BINARY_ACTIVATIONS)

    def terms(self) -> tuple[tuple[float, SumLoss], ...]:
        return (1.0, _loss(self.activation)), (1.0, _loss(self.activation))

    def parts(self, d_real: Any, d_fake: Any) -> list[Part]:
        return [_part("d_real", d_real, 1), _part("d_fake", d_fake, 0)]


@function_of(GANDiscriminatorLoss)
def gan_discriminator_loss(d_real: Any, d_fake: Any, *, activation: str | None = None) -> float:
    r"""The loss of the discriminator of a minimax GAN, which learns to tell real samples from generated ones.

    The loss is $-\mathrm{mean} \log D(x) - \mathrm{mean} \log(1 - D(G(z)))$.

    Parameters
    ----------
    d_real : array, any shape
        The discriminator's output for real samples, of dtype float16, bfloat16, float32 or float64.
    d_fake : array, any shape
        The discriminator's output for generated samples, of any of these dtypes.
    activation : {None, "sigmoid"}, default None
        None: the arrays hold probabilities $D$, whose logs are clamped to at least -100. "sigmoid": they hold logits.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    ValueError
        If `activation` is wrong.
    TypeError
        If a dtype is wrong.

    See Also
    --------
    GANDiscriminatorLoss : The same loss as an object, with gradients and partials.
    gan_generator_loss : The loss of the generator.

    References
    ----------
    Goodfellow et al. 2014, arXiv:1406.2661.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.gan_discriminator_loss([0.9, 0.8], [0.3])
    0.52092698
    """
    return loss_of(GANDiscriminatorLoss, activation)(d_real, d_fake)


@dataclass(frozen=True, kw_only=True, repr=False)
class GANGeneratorLoss(MultiInputLoss):
    r"""The loss of the generator of a GAN, which learns to make samples that the discriminator takes for real.

    The loss is $-\mathrm{mean} \log D(G(z))$. If `saturating`, it is $\mathrm{mean} \log(1 - D(G(z)))$.

    Parameters
    ----------
    saturating : bool, default False
        Whether to use the second form, which the minimax game has. Its gradient vanishes where the discriminator is
        sure that a sample is generated.
    activation : {None, "sigmoid"}, default None
        None: the array holds probabilities $D$, whose logs are clamped to at least -100. "sigmoid": it holds logits.

    Raises
    ------
    ValueError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    gan_generator_loss : The same loss as a function; its docstring describes the array.
    GANDiscriminatorLoss : The loss of the discriminator.

    Notes
    -----
    `value_and_grad(d_fake)` returns the gradient in a tuple with one entry.

    References
    ----------
    Goodfellow et al. 2014, arXiv:1406.2661.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.GANGeneratorLoss(activation="sigmoid")([-1.0, 0.5])
    0.89366934
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


@function_of(GANGeneratorLoss)
def gan_generator_loss(d_fake: Any, *, saturating: bool = False, activation: str | None = None) -> float:
    r"""The loss of the generator of a GAN, which learns to make samples that the discriminator takes for real.

    The loss is $-\mathrm{mean} \log D(G(z))$. If `saturating`, it is $\mathrm{mean} \log(1 - D(G(z)))$.

    Parameters
    ----------
    d_fake : array, any shape
        The discriminator's output for generated samples, of dtype float16, bfloat16, float32 or float64.
    saturating : bool, default False
        Whether to use the second form, which the minimax game has. Its gradient vanishes where the discriminator is
        sure that a sample is generated.
    activation : {None, "sigmoid"}, default None
        None: the array holds probabilities $D$, whose logs are clamped to at least -100. "sigmoid": it holds logits.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    ValueError
        If an option is wrong.
    TypeError
        If a dtype is wrong.

    See Also
    --------
    GANGeneratorLoss : The same loss as an object, with gradients and partials.
    gan_discriminator_loss : The loss of the discriminator.

    References
    ----------
    Goodfellow et al. 2014, arXiv:1406.2661.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.gan_generator_loss([0.3, 0.5])
    0.94855999
    """
    return loss_of(GANGeneratorLoss, saturating, activation)(d_fake)
