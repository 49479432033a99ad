"""The sum of Dice loss and cross entropy, the most common pair, as a loss with a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from .._arrays import Array
from .._engine.functions import function_of, loss_of
from .._engine.loss import Composed, Loss
from .._engine.sums import bce_term
from .._options import choice, freeze, number
from .._terms import Term
from .categorical import CrossEntropyLoss
from .dice import DiceLoss

__all__ = ["DiceCELoss", "dice_ce_loss"]


class ChannelCrossEntropy(CrossEntropyLoss):
    """The cross entropy of `DiceCELoss`. For one channel, it is BCE with logits, as the Dice loss is then binary."""

    takes_binary = True
    exclusive = False

    def terms(self) -> tuple[Term, ...]:
        (many,) = super().terms()
        return (many._replace(single=bce_term("sigmoid", self.class_weight, 1.0, self.label_smoothing)),)


@dataclass(frozen=True, kw_only=True, repr=False)
class DiceCELoss(Composed):
    r"""Dice loss and cross entropy of logits, weighted and added: `dice * DiceLoss(...) + ce * CrossEntropyLoss(...)`.

    Both are computed in one pass, with one softmax. The defaults are those of MONAI's `DiceCELoss` with `softmax=True,
    to_onehot_y=True`.

    Parameters
    ----------
    dice : float, default 1.0
        The weight of the Dice loss.
    ce : float, default 1.0
        The weight of the cross entropy.
    activation : {"softmax", "sigmoid"}, default "softmax"
        The function that turns the logits into probabilities for the Dice loss. The cross entropy always uses a
        softmax, with one exception: a single channel with "sigmoid" gets `BCEWithLogitsLoss`, as in MONAI. A single
        channel with "softmax" is an error.
    smooth : float or (float, float), default 1e-05
        $s$ of the Dice loss, >= 0. A pair is (numerator, denominator).
    squared : bool, default False
        Whether the denominator of the Dice loss is $\sum p^2 + \sum y^2$, as in V-Net.
    class_weight : array, shape (C,), default None
        One weight per class, for both losses. The Dice loss weights its mean over classes with it, and the cross
        entropy weights the pixels of the class. For a single channel, it is the `pos_weight` of the cross entropy.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    batch : bool, default False
        Whether each sum runs over the pixels of the whole batch instead of one sample. The sums of merged partials then
        run over the whole data set.
    absent : {"keep", "zero", "skip", "nan"}, default "keep"
        The value of a class without a target pixel. "keep" takes the value of the formula, "zero" takes 0, and "nan"
        takes nan; "skip" leaves the class out of the mean.
    label_smoothing : float, default 0.0
        The label smoothing of the cross entropy, in [0, 1].
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
    dice_ce_loss : The same loss as a function; its docstring describes the arrays.
    DiceLoss, CrossEntropyLoss

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.DiceCELoss(ce=0.5)([[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]])
    0.30521259
    >>> fl.DiceCELoss(activation="sigmoid")([[[2.0, -1.0]]], [[1, 0]])
    0.40064822
    """

    dice: float = 1.0
    ce: float = 1.0
    activation: str = "softmax"
    smooth: float | tuple[float, float] = 1e-5
    squared: bool = False
    class_weight: Sequence[float] | Array | None = None
    classes: Sequence[int] | None = None
    batch: bool = False
    absent: str = "keep"
    label_smoothing: float = 0.0
    ignore_index: int | Sequence[int] = -100
    reduction: str = "mean"
    axis: int = 1

    parts: tuple[tuple[float, Loss], ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        choice(self.activation, "activation", ("softmax", "sigmoid"))
        freeze(self, dice=number(self.dice, "dice"), ce=number(self.ce, "ce"))
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        region = DiceLoss(**{f.name: given[f.name] for f in fields(DiceLoss)})
        cross = CrossEntropyLoss if self.activation == "softmax" else ChannelCrossEntropy
        pixel = cross(**{f.name: given[f.name] for f in fields(CrossEntropyLoss)})
        checked = {f.name: getattr(loss, f.name) for loss in (region, pixel) for f in fields(loss)}
        freeze(self, **checked, parts=((self.dice, region), (self.ce, pixel)))
        super().__post_init__()

    __repr__ = Loss.__repr__
    ignoring = Loss.ignoring


@function_of(DiceCELoss)
def dice_ce_loss(
    input: Any,
    target: Any,
    /,
    *,
    dice: float = 1.0,
    ce: float = 1.0,
    activation: str = "softmax",
    smooth: float | tuple[float, float] = 1e-5,
    squared: bool = False,
    class_weight: Sequence[float] | Array | None = None,
    classes: Sequence[int] | None = None,
    batch: bool = False,
    absent: str = "keep",
    label_smoothing: float = 0.0,
    ignore_index: int | Sequence[int] = -100,
    reduction: str = "mean",
    axis: int = 1,
    pixel_weight: Any = None,
) -> float | Any:
    r"""Dice loss and cross entropy of logits, weighted and added: `dice * DiceLoss(...) + ce * CrossEntropyLoss(...)`.

    Both are computed in one pass, with one softmax. The defaults are those of MONAI's `DiceCELoss` with `softmax=True,
    to_onehot_y=True`.

    Parameters
    ----------
    input : array, shape (N, C, *S)
        Logits, of dtype float16, bfloat16, float32 or float64. The classes are on `axis`.
    target : array, shape (N, *S) or (N, C, *S)
        Labels of any integer or bool dtype, or a dense target: a float or bool array of the input's shape.
    dice : float, default 1.0
        The weight of the Dice loss.
    ce : float, default 1.0
        The weight of the cross entropy.
    activation : {"softmax", "sigmoid"}, default "softmax"
        The function that turns the logits into probabilities for the Dice loss. The cross entropy always uses a
        softmax, with one exception: a single channel with "sigmoid" gets `BCEWithLogitsLoss`, as in MONAI. A single
        channel with "softmax" is an error.
    smooth : float or (float, float), default 1e-05
        $s$ of the Dice loss, >= 0. A pair is (numerator, denominator).
    squared : bool, default False
        Whether the denominator of the Dice loss is $\sum p^2 + \sum y^2$, as in V-Net.
    class_weight : array, shape (C,), default None
        One weight per class, for both losses. The Dice loss weights its mean over classes with it, and the cross
        entropy weights the pixels of the class. For a single channel, it is the `pos_weight` of the cross entropy.
    classes : sequence of int, default None
        The classes that enter the loss; None: all. `range(1, C)` is MONAI's `include_background=False`.
    batch : bool, default False
        Whether each sum runs over the pixels of the whole batch instead of one sample. The sums of merged partials then
        run over the whole data set.
    absent : {"keep", "zero", "skip", "nan"}, default "keep"
        The value of a class without a target pixel. "keep" takes the value of the formula, "zero" takes 0, and "nan"
        takes nan; "skip" leaves the class out of the mean.
    label_smoothing : float, default 0.0
        The label smoothing of the cross entropy, in [0, 1].
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
    float
        The loss.

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
    DiceCELoss : The same loss as an object, with gradients and partials.
    DiceLoss, CrossEntropyLoss

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.dice_ce_loss([[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]])
    0.41526002
    """
    loss = loss_of(
        DiceCELoss,
        dice,
        ce,
        activation,
        smooth,
        squared,
        class_weight,
        classes,
        batch,
        absent,
        label_smoothing,
        ignore_index,
        reduction,
        axis,
    )
    return loss(input, target, pixel_weight=pixel_weight)
