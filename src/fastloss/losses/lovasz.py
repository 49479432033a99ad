"""The Lovasz losses: the Jaccard index of classes, extended to probabilities and to margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._batch import Batch
from .._engine.functions import function_of, loss_of
from .._engine.lovasz import LovaszLoss, LovaszSums
from .._options import choice, chosen_classes, class_numbers, freeze
from .._terms import ACTIVATIONS
from ..numerics import sigmoid, softmax

__all__ = ["LovaszHingeLoss", "LovaszSoftmaxLoss", "lovasz_hinge_loss", "lovasz_softmax_loss"]


@dataclass(frozen=True, kw_only=True, repr=False)
class LovaszSoftmaxLoss(LovaszLoss):
    r"""Lovasz-softmax loss: the Jaccard index of each class, extended to probabilities.

    The error of a pixel in class $c$ is $|y_c - p_c|$. The loss of the class is the Lovasz extension of $1 - J$, where
    $J$ is the Jaccard index: the errors are sorted from the largest to the smallest, and each is weighted by the amount
    by which its pixel lowers $J$, if all pixels before it are wrong. The value is the mean over the classes. A pixel
    with weight 2 counts as two pixels.

    Parameters
    ----------
    classes : {"present", "all"} or sequence of int, default "present"
        The classes that enter the mean: those with a target pixel in the image (in the batch, without `per_image`), all
        classes, or the given ones.
    per_image : bool, default False
        Whether each image has a loss of its own, and the value is their mean. Otherwise, the pixels of the whole batch
        are sorted together; such a loss has no partials.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        The reduction over images. "none" returns one value per image, shape (N,), or () without `per_image`.
    axis : int, default 1
        The class axis of `input`.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    lovasz_softmax_loss : The same loss as a function; its docstring describes the arrays.
    LovaszHingeLoss : The same for margins instead of probabilities.
    JaccardLoss : Replaces the pixel counts by sums of probabilities.

    Notes
    -----
    No gradient goes through the order of the errors, which is constant around almost every input. A dense target holds
    only 0 and 1. A single channel takes labels {0, 1}.

    References
    ----------
    Berman et al. 2018, arXiv:1705.08790; their code and `segmentation_models_pytorch.losses.LovaszLoss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> loss = fl.LovaszSoftmaxLoss(activation=None)
    >>> loss([[[0.8, 0.6, 0.1, 0.0], [0.2, 0.4, 0.9, 1.0]]], [[0, 0, 1, 1]])
    0.24583333
    """

    classes: str | Sequence[int] = "present"
    per_image: bool = False
    activation: str | None = "softmax"
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    activations = ACTIVATIONS

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.classes, str):
            choice(self.classes, "classes", ("present", "all"))
        elif self.classes is None:
            raise TypeError("classes: expected 'present', 'all' or a sequence of integers, got None")
        else:
            freeze(self, classes=class_numbers(self.classes))

    def wanted(self, classes: int) -> list[int]:
        return chosen_classes(None if isinstance(self.classes, str) else self.classes, classes)

    def enters(self, s: LovaszSums) -> Array:
        if self.classes == "present":
            return s.targets > 0
        enters = np.zeros(s.targets.shape, np.bool_)
        enters[:, self.wanted(s.targets.shape[1])] = True
        return enters

    def errors(self, x: Array, batch: Batch, images: slice) -> Array:
        if self.activation == "sigmoid":
            for c in self.wanted(batch.classes):  # 1 - p of a logit is p of its negative, without cancellation
                x[:, c] = np.where(self.target(batch, images, c), -x[:, c], x[:, c])
            errors: Array = np.asarray(sigmoid(x))
            return errors
        p: Array = x if self.activation is None else softmax(x, axis=1)
        if batch.labels and self.activation == "softmax":  # 1 - p is the sum of the others
            assert batch.target is not None
            own = np.clip(batch.target[images].astype(np.intp), 0, batch.classes - 1)[:, None]
            np.put_along_axis(p, own, 0, axis=1)
            np.put_along_axis(p, own, p.sum(axis=1, keepdims=True), axis=1)
            return p
        for c in self.wanted(batch.classes):
            p[:, c] = np.where(self.target(batch, images, c), 1 - p[:, c], p[:, c])
        return p

    def class_losses(self, s: LovaszSums) -> Array:
        losses: Array = (s.A - s.I) + (s.B - s.I)
        return losses


@function_of(LovaszSoftmaxLoss)
def lovasz_softmax_loss(
    input: Any,
    target: Any,
    /,
    *,
    classes: str | Sequence[int] = "present",
    per_image: bool = False,
    activation: str | None = "softmax",
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Lovasz-softmax loss: the Jaccard index of each class, extended to probabilities.

    The error of a pixel in class $c$ is $|y_c - p_c|$. The loss of the class is the Lovasz extension of $1 - J$, where
    $J$ is the Jaccard index: the errors are sorted from the largest to the smallest, and each is weighted by the amount
    by which its pixel lowers $J$, if all pixels before it are wrong. The value is the mean over the classes. A pixel
    with weight 2 counts as two pixels.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        The values that `activation` is applied to, or probabilities. The dtype is float16, bfloat16, float32 or
        float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target of 0 and 1: a float or bool array of the input's shape. A
        single channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S).
    classes : {"present", "all"} or sequence of int, default "present"
        The classes that enter the mean: those with a target pixel in the image (in the batch, without `per_image`), all
        classes, or the given ones.
    per_image : bool, default False
        Whether each image has a loss of its own, and the value is their mean. Otherwise, the pixels of the whole batch
        are sorted together; such a loss has no partials.
    activation : {"softmax", "sigmoid", None}, default "softmax"
        The function that turns `input` into probabilities. None: `input` already holds probabilities.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        The reduction over images. "none" returns one value per image, shape (N,), or () without `per_image`.
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
    LovaszSoftmaxLoss : The same loss as an object, with gradients and partials.
    LovaszHingeLoss : The same for margins instead of probabilities.
    JaccardLoss : Replaces the pixel counts by sums of probabilities.

    Notes
    -----
    No gradient goes through the order of the errors, which is constant around almost every input. A dense target holds
    only 0 and 1. A single channel takes labels {0, 1}.

    References
    ----------
    Berman et al. 2018, arXiv:1705.08790; their code and `segmentation_models_pytorch.losses.LovaszLoss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.lovasz_softmax_loss([[[2.0, 1.0, -3.0], [-2.0, -1.0, 3.0]]], [[0, 0, 1]])
    0.066008968
    """
    loss = loss_of(LovaszSoftmaxLoss, classes, per_image, activation, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)


@dataclass(frozen=True, kw_only=True, repr=False)
class LovaszHingeLoss(LovaszLoss):
    r"""Lovasz hinge loss: the Jaccard index of the foreground, extended to margins.

    The error of a pixel is $1 - x s$ for the logit $x$, where $s$ is 1 in the foreground and -1 elsewhere. The loss is
    the Lovasz extension of $1 - J$, where $J$ is the Jaccard index: the errors are sorted from the largest to the
    smallest, and each positive error is weighted by the amount by which its pixel lowers $J$, if all pixels before it
    are wrong. With several channels, each is a foreground of its own, and the value is the mean over them. A pixel with
    weight 2 counts as two pixels.

    Parameters
    ----------
    per_image : bool, default False
        Whether each image has a loss of its own, and the value is their mean. Otherwise, the pixels of the whole batch
        are sorted together; such a loss has no partials.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        The reduction over images. "none" returns one value per image, shape (N,), or () without `per_image`.
    axis : int, default 1
        The class axis of `input`.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong. A call raises the same errors as the function.

    See Also
    --------
    lovasz_hinge_loss : The same loss as a function; its docstring describes the arrays.
    LovaszSoftmaxLoss : The same for probabilities of classes.
    BCEWithLogitsLoss : Counts pixels alike.

    Notes
    -----
    No gradient goes through the order of the errors, which is constant around almost every input. A dense target holds
    only 0 and 1. A single channel takes labels {0, 1}. With two or more channels, labels are classes, and each class is
    compared with the rest.

    References
    ----------
    Berman et al. 2018, arXiv:1705.08790; their code, and `kornia.losses.LovaszHingeLoss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.LovaszHingeLoss()([[[2.0, 0.5, -3.0]]], [[1, 1, 0]])
    0.25
    """

    per_image: bool = False
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    activation = None

    def enters(self, s: LovaszSums) -> Array:
        return np.ones(s.targets.shape, np.bool_)

    def errors(self, x: Array, batch: Batch, images: slice) -> Array:
        for c in range(batch.classes):
            x[:, c] = np.where(self.target(batch, images, c), -x[:, c], x[:, c])
        x += 1
        return x

    def class_losses(self, s: LovaszSums) -> Array:
        return np.where(np.isinf(s.A), np.inf, s.W + s.A - 2 * s.I)  # a margin of -inf; I may then be nan


@function_of(LovaszHingeLoss)
def lovasz_hinge_loss(
    input: Any,
    target: Any,
    /,
    *,
    per_image: bool = False,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Lovasz hinge loss: the Jaccard index of the foreground, extended to margins.

    The error of a pixel is $1 - x s$ for the logit $x$, where $s$ is 1 in the foreground and -1 elsewhere. The loss is
    the Lovasz extension of $1 - J$, where $J$ is the Jaccard index: the errors are sorted from the largest to the
    smallest, and each positive error is weighted by the amount by which its pixel lowers $J$, if all pixels before it
    are wrong. With several channels, each is a foreground of its own, and the value is the mean over them. A pixel with
    weight 2 counts as two pixels.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Logits, of dtype float16, bfloat16, float32 or float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target of 0 and 1: a float or bool array of the input's shape. A
        single channel takes labels {0, 1}, of shape (N, *S) or (N, 1, *S).
    per_image : bool, default False
        Whether each image has a loss of its own, and the value is their mean. Otherwise, the pixels of the whole batch
        are sorted together; such a loss has no partials.
    ignore_index : int or sequence of int, default -100
        The label, or labels, whose pixels do not count. A dense target has no labels; use `pixel_weight` there.
    reduction : {"mean", "sum", "none"}, default "mean"
        The reduction over images. "none" returns one value per image, shape (N,), or () without `per_image`.
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
    LovaszHingeLoss : The same loss as an object, with gradients and partials.
    LovaszSoftmaxLoss : The same for probabilities of classes.
    BCEWithLogitsLoss : Counts pixels alike.

    Notes
    -----
    No gradient goes through the order of the errors, which is constant around almost every input. A dense target holds
    only 0 and 1. A single channel takes labels {0, 1}. With two or more channels, labels are classes, and each class is
    compared with the rest.

    References
    ----------
    Berman et al. 2018, arXiv:1705.08790; their code, and `kornia.losses.LovaszHingeLoss`.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.lovasz_hinge_loss([[[2.0, 0.5, 0.5]]], [[1, 1, 0]])
    0.66666667
    """
    loss = loss_of(LovaszHingeLoss, per_image, ignore_index, reduction, axis)
    return loss(input, target, pixel_weight=pixel_weight)
