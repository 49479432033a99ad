"""Tests every error: what raises it, its type and its exact words. Both backends raise it before `out` is touched.

The file is longer than others, because it is a single table in which a reader searches for a message.
"""

from __future__ import annotations

import ast
import pathlib
import pickle
import re
import sys
from types import SimpleNamespace

import ml_dtypes  # noqa: F401 (the table's)
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import fastloss as fl
import fastloss.boost
from fastloss._engine.temperature import TemperatureFit  # noqa: F401 (the table's)
from fastloss._predictions import raise_fault, raise_nan  # noqa: F401 (the table's)

X = np.zeros((2, 3, 4), np.float32)
Y = np.zeros((2, 4), np.int64)
D = np.full((2, 3, 4), 1 / 3)
LAST = np.arange(24).reshape(2, 3, 4) == 23
ONE = X[0, :, 0]  # no sample axis
SINGLE = X[:, :1]
BOX = np.zeros((2, 4, 4), np.float32)
GRAD = fl.CrossEntropyLoss().value_and_grad


class Chosen(fl.CrossEntropyLoss):
    """Its weights are made from the data."""

    def make_weights(self, batch):
        return np.ones(batch.target.shape if self.label_smoothing == 0 else 1)


class Lazy:
    """A lazy array that belongs to no library."""

    def __init__(self, array, shape=None):
        self.array, self.dtype, self.shape = array, array.dtype, array.shape if shape is None else shape
        self.chunks = None

    def __getitem__(self, index):
        return self.array[index]


def rows(*labels, weight=None, group=None):
    """A data set of a boosting library."""
    group = None if group is None else np.array(group)
    return SimpleNamespace(get_label=lambda: np.array(labels), get_weight=lambda: weight, get_group=lambda: group)


class Known:
    """An estimator of scikit-learn that knows two classes."""

    classes_ = (1, 2)


def label(value, dtype=np.int64, shape=(2, 4)):
    """Labels 0 and, last, `value`."""
    y = np.zeros(shape, dtype)
    y.flat[-1] = value
    return y


def float32(shape=X.shape, strides=None):
    """An array as the gradient of X, or one with other strides over little memory."""
    a = np.zeros(64, np.float32)
    return np.zeros(shape, np.float32) if strides is None else as_strided(a, shape, strides)


def read_only():
    a = float32()
    a.flags.writeable = False
    return a


# fmt: off
NAMES = "input: expected float16, bfloat16, float32 or float64, got "
REAL = "expected a real number dtype of at most 64 bits, got "
LABELS = "target: expected labels in [0, 3) or ignore_index, got "
WEIGHT = "pixel_weight: expected 0 or numbers from 1e-30 to 1e+30, got "
AXIS = "axis: expected the class axis of an input with 3 dimensions, not the sample axis, got "
DICE = "<Partial of DiceLoss(): 3 classes, 2 samples, 6 sums>"

EXCLUSIVE = "whose classes exclude each other, got "

ERRORS = {
    "metrics": [
        ("fl.metrics.iou(Y, Y)", ValueError,
         "num_classes: expected the number of classes for a label map as input, got None"),
        ("fl.metrics.iou(Y, Y, num_classes=1)", ValueError, "num_classes: expected a number from 2 to 1048576, got 1"),
        ("fl.evaluate({'iou': fl.metrics.IoU()}, Y, Y, num_classes=0)", ValueError,
         "num_classes: expected a number from 2 to 1048576, got 0"),
        ("fl.metrics.iou(X, Y, num_classes=4)", ValueError,
         "num_classes: expected 3, the length of the input's axis, got 4"),
        ("fl.metrics.iou(X.astype(np.uint8), Y, num_classes=3)", ValueError,
         "input: expected a label map of the target's shape (2, 4), got uint8 of shape (2, 3, 4)"),
        ("fl.metrics.iou(Y, D, num_classes=3)", TypeError, "target: expected an integer or bool dtype, got float64"),
        ("fl.metrics.iou(label(3), Y, num_classes=3)", fl.LabelError,
         "input: expected labels in [0, 3), got 3 at (1, 3)"),
        ("fl.metrics.iou(X, label(3))", fl.LabelError, LABELS + "3 at (1, 3)"),
        ("fl.metrics.iou(np.where(LAST, np.nan, X), Y)", ValueError,
         "input: expected numbers where pixels count, got nan at (1, 2, 3)"),
        ("fl.metrics.iou(np.moveaxis(np.where(LAST, np.nan, X), 1, 2), Y, axis=-1)", ValueError,
         "input: expected numbers where pixels count, got nan at (1, 3, 2)"),
        ("fl.metrics.iou(np.where(LAST[:, 2:], np.nan, SINGLE), Y, activation='sigmoid')", ValueError,
         "input: expected numbers where pixels count, got nan at (1, 0, 3)"),
        ("fl.metrics.iou([0, np.nan], 0)", ValueError, "input: expected numbers where pixels count, got nan at (1,)"),
        ("fl.metrics.iou(X, D)", ValueError,
         "target: expected 0 or 1 in a mask, got 0.3333333333333333 at (0, 0, 0)"),
        ("fl.metrics.iou(X, Y, pixel_weight=label(0.5, float))", ValueError,
         "pixel_weight: expected 0 or 1 for metrics, which count pixels, got 0.5 at (1, 3)"),
        ("fl.metrics.accuracy(X, D > 0)", ValueError,
         f"target: expected labels for Accuracy(), {EXCLUSIVE}a dense target of shape (2, 3, 4); if it is one-hot, "
         "pass target.argmax(axis)"),
        ("fl.metrics.mcc(X, Y, activation='sigmoid')", ValueError,
         f"activation: expected 'softmax' or None for MCC(activation='sigmoid'), {EXCLUSIVE}'sigmoid' for an input of "
         "shape (2, 3, 4)"),
        ("fl.metrics.iou(SINGLE, Y)", ValueError,
         "activation: expected 'sigmoid' or None for one channel, whose softmax is always 1, got 'softmax' in IoU() "
         "for an input of shape (2, 1, 4)"),
        ("raise_fault(fl.metrics.IoU()._checked(X, Y, None, None), 0)", ValueError,
         "input, target or pixel_weight: changed during the call"),
        ("fl.metrics.IoU(absent='keep')", ValueError,
         "absent: expected one of 'nan', 'zero', 'one', 'skip', got 'keep'"),
        ("fl.metrics.IoU(activation='sigmoid', threshold=1)", ValueError,
         "threshold: expected a number between 0 and 1 for a sigmoid, got 1.0"),
        ("fl.metrics.IoU(threshold=1.5)", ValueError, "threshold: expected a number in [0, 1], got 1.5"),
        ("fl.metrics.FBeta(beta=0)", ValueError, "beta: expected a finite number > 0, got 0"),
        ("fl.metrics.iou(X, Y, classes=[3])", ValueError, "classes: expected numbers in [0, 3), got [3]"),
        ("fl.metrics.iou(X, Y, classes=[3], batch=True)", ValueError, "classes: expected numbers in [0, 3), got [3]"),
        ("fl.metrics.IoU().finalize(fl.metrics.DiceScore().partial(X, Y))", ValueError,
         "partial: expected a partial of IoU(), got <Partial of DiceScore(): 3 classes, 2 samples, 6 sums>"),
    ],
    "input": [
        ("fl.cross_entropy(X.astype(np.int64), Y)", TypeError, NAMES + "int64"),
        ("fl.cross_entropy(X.astype(bool), Y)", TypeError, NAMES + "bool"),
        ("fl.cross_entropy(X.astype(np.complex64), Y)", TypeError, "input: " + REAL + "complex64"),
        ("fl.cross_entropy(X.astype(object), Y)", TypeError, "input: " + REAL + "object"),
        ("fl.cross_entropy(X.astype('M8[s]'), Y)", TypeError, "input: " + REAL + "datetime64[s]"),
        ("fl.cross_entropy(None, Y)", TypeError, "input: " + REAL + "object"),
        ("fl.cross_entropy('abc', Y)", TypeError, "input: " + REAL + "<U3"),
        ("fl.cross_entropy([[1.0], [1.0, 2.0]], Y)", ValueError,
         "input: expected an array of numbers, got a ragged sequence"),
        *((call, ValueError, "input: expected an array of numbers, got a ragged sequence")
          for call in ("fl.balanced_binary_cross_entropy([[1.0], [1.0, 2.0]], X)",
                       "fl.evaluate({'b': fl.BCEWithLogitsLoss()}, [[1.0], [1.0, 2.0]], X)")),
        ("fl.cross_entropy(1.0, 0)", ValueError, "input: expected shape (N, C, *S) or (C,), got ()"),
        ("fl.dice_loss(1.0, 0)", ValueError, "input: expected shape (N, C, *S) or (C,), got ()"),
        ("fl.cross_entropy(X[:, :0], Y)", ValueError,
         "input: expected at least one class on axis 1, got shape (2, 0, 4)"),
        ("fl.cross_entropy(X[:, :0], Y, axis=-2)", ValueError,
         "input: expected at least one class on axis -2, got shape (2, 0, 4)"),
        ("fl.logsumexp(X * 1j)", TypeError, "a: " + REAL + "complex64"),
        ("fl.softmax('a')", TypeError, "a: " + REAL + "<U1"),
        ("fl.logsumexp(X, b=1j)", TypeError, "b: " + REAL + "complex128"),
        ("fl.logsumexp(X, b=[1, 2])", ValueError, "b: expected a shape that broadcasts to (2, 3, 4), got (2,)"),
        ("fl.logsumexp(X, keepdims=X)", ValueError, f"keepdims: expected one of True, False, got {X!r}"),
    ],
    "target": [
        ("fl.cross_entropy(X, 0 * Y + 1j)", TypeError, "target: " + REAL + "complex128"),
        ("fl.cross_entropy(X, None)", TypeError, "target: " + REAL + "object"),
        ("(fl.DiceLoss() + fl.CrossEntropyLoss())(X, None)", TypeError,
         "target: " + REAL + "object"),
        ("fl.evaluate({'d': fl.DiceLoss()}, X, None)", TypeError,
         "target: " + REAL + "object"),
        ("fl.binary_cross_entropy_with_logits(X, None)", TypeError, "target: " + REAL + "object"),
        ("fl.cross_entropy(X, Y.astype(float))", TypeError,
         "target: expected labels of an integer or bool dtype for shape (2, 4), got float64"),
        ("fl.cross_entropy(X, X.astype(np.uint8))", TypeError,
         "target: expected a float or bool dtype for a dense target of shape (2, 3, 4), got uint8"),
        ("fl.cross_entropy(X, Y[:, :3])", ValueError,
         "target: expected shape (N, *S) = (2, 4) (labels) or (2, 3, 4) (dense), got (2, 3)"),
        ("fl.dice_loss(X, Y[0])", ValueError,
         "target: expected shape (N, *S) = (2, 4) (labels) or (2, 3, 4) (dense), got (4,)"),
        ("fl.cross_entropy(X, Y.T, axis=2)", ValueError,
         "target: expected shape (N, *S) = (2, 3) (labels) or (2, 3, 4) (dense), got (4, 2)"),
        ("fl.cross_entropy(ONE, [0, 1])", ValueError, "target: expected shape () (labels) or (3,) (dense), got (2,)"),
        ("fl.binary_cross_entropy_with_logits(X, Y)", ValueError,
         "target: expected shape (2, 3, 4) (the input's), got (2, 4)"),
        ("fl.binary_cross_entropy_with_logits(X, D[:, :1])", ValueError,
         "target: expected shape (2, 3, 4) (the input's), got (2, 1, 4)"),
        ("(fl.DiceLoss() + fl.BCEWithLogitsLoss())(X, Y)", ValueError,
         "target: expected a dense target of shape (2, 3, 4) or a single channel with labels {0, 1} for "
         "BCEWithLogitsLoss(), got labels of shape (2, 4)"),
    ],
    "label": [
        ("fl.cross_entropy(X, label(3))", fl.LabelError, LABELS + "3 at (1, 3)"),
        ("fl.dice_loss(X, label(3))", fl.LabelError, LABELS + "3 at (1, 3)"),
        ("(fl.DiceLoss() + fl.CrossEntropyLoss())(X, label(-1))", fl.LabelError, LABELS + "-1 at (1, 3)"),
        ("fl.cross_entropy(X, label(3), reduction='none')", fl.LabelError, LABELS + "3 at (1, 3)"),
        ("fl.cross_entropy(X, label(-100), ignore_index=255)", fl.LabelError, LABELS + "-100 at (1, 3)"),
        ("fl.cross_entropy(X, label(156, np.uint8))", fl.LabelError, LABELS + "156 at (1, 3)"),
        ("fl.cross_entropy(X, label(2**64 - 100, np.uint64))", fl.LabelError,
         LABELS + "18446744073709551516 at (1, 3)"),
        ("fl.cross_entropy(X, label(-1, np.int8), ignore_index=255)", fl.LabelError, LABELS + "-1 at (1, 3)"),
        ("fl.cross_entropy(X, label(3), pixel_weight=[1, 1, 1, 1e-30])", fl.LabelError, LABELS + "3 at (1, 3)"),
        ("fl.cross_entropy(np.moveaxis(X, 1, -1), label(7), axis=-1)", fl.LabelError, LABELS + "7 at (1, 3)"),
        ("fl.cross_entropy(ONE, 5)", fl.LabelError, LABELS + "5 at ()"),
        ("fl.cross_entropy(ONE, [5])", fl.LabelError, LABELS + "5 at (0,)"),
        ("fl.cross_entropy(SINGLE, label(1, bool))", fl.LabelError,
         "target: expected labels in [0, 1) or ignore_index, got 1 at (1, 3)"),
        ("fl.dice_loss(SINGLE, label(2), activation='sigmoid')", fl.LabelError,
         "target: expected labels in [0, 2) or ignore_index, got 2 at (1, 3)"),
        ("fl.dice_loss(SINGLE, label(2, shape=(2, 1, 4)), activation='sigmoid')", fl.LabelError,
         "target: expected labels in [0, 2) or ignore_index, got 2 at (1, 0, 3)"),
        ("fl.cross_entropy(np.ma.masked_array(X), Y)", TypeError,
         "input: expected an array without a mask, got a masked array; pass its data and pixel_weight=~mask"),
        ("fl.cross_entropy(torch.zeros(2, 3, device='meta'), [0, 1])", TypeError,
         "input: expected an array that NumPy can read, got Tensor: can't convert meta device type tensor to numpy. "
         "Use Tensor.cpu() to copy the tensor to host memory first."),
        ("fl.cross_entropy(torch.zeros(2, 3, dtype=torch.bfloat16), torch.tensor([0, 5]))", fl.LabelError,
         LABELS + "5 at (1,)"),
        # What a kernel found is no longer there: another thread has mended it.
        ("fl.CrossEntropyLoss().make_batch(X, Y, None).raise_fault()", ValueError, "target: changed during the call"),
        ("fl.CrossEntropyLoss().make_batch(X, D, D).raise_fault()", ValueError,
         "pixel_weight: changed during the call"),
        ("fl.CrossEntropyLoss().make_batch(X, Y, Y).raise_fault()", ValueError,
         "target or pixel_weight: changed during the call"),
    ],
    "ignore_index": [
        *((f"fl.{call}", ValueError,
           f"ignore_index: expected -100 (the default) without integer labels, got {got}; give integer labels, or give "
           "the pixels that do not count a pixel_weight of 0")
          for call, got in (("cross_entropy(X, D, ignore_index=255)", 255),
                            ("dice_loss(X, D > 0.5, ignore_index=[0, 255])", [0, 255]),
                            ("boundary_loss(X, None, distance_maps=X, ignore_index=0)", 0))),
        ("fl.cross_entropy(X, Y, ignore_index=[])", ValueError,
         "ignore_index: expected an integer or a sequence of at least one integer, got []"),
        ("fl.cross_entropy(X, Y, ignore_index=[0, 1.5])", TypeError, "ignore_index: expected an integer, got 1.5"),
        ("fl.cross_entropy(X, Y, ignore_index='a')", TypeError, "ignore_index: expected an integer, got 'a'"),
        ("fl.one_hot(Y, 3, ignore_index=2**63)", ValueError,
         f"ignore_index: expected an integer of 64 bits, got {2**63}"),
        ("fl.cross_entropy(torch.zeros(2, 3, requires_grad=True), [0, 1])", TypeError,
         "input: expected an array, or a tensor without grad, got a tensor that requires grad; call the loss of "
         "fastloss.torch, which torch differentiates, or pass input.detach()"),
        ("fl.hausdorff_dt_loss(X, label(1), alpha=1e9)", ValueError,
         "alpha: expected an exponent that keeps distances within float32, got 1e+09 for a distance of 3"),
        ("fl.nothing", AttributeError, "module 'fastloss' has no attribute 'nothing'"),
    ],
    "pixel_weight": [
        ("fl.cross_entropy(X.astype(float), Y, pixel_weight=1e308)", ValueError, WEIGHT + "1e+308 at (0, 0)"),
        ("fl.cross_entropy(X, Y, pixel_weight=1e308)", ValueError, WEIGHT + "1e+308 at (0, 0)"),
        ("fl.cross_entropy(X.astype(float), Y, pixel_weight=5e-324)", ValueError, WEIGHT + "5e-324 at (0, 0)"),
        ("fl.dice_loss(X, D, pixel_weight=1e-31 * LAST)", ValueError, WEIGHT + "1e-31 at (1, 2, 3)"),
        ("fl.cross_entropy(X, Y, pixel_weight=1j)", TypeError, "pixel_weight: " + REAL + "complex128"),
        ("fl.cross_entropy(X, Y, pixel_weight='a')", TypeError, "pixel_weight: " + REAL + "<U1"),
        ("fl.cross_entropy(X, Y, pixel_weight=-1)", ValueError, WEIGHT + "-1 at (0, 0)"),
        ("fl.cross_entropy(X, Y, pixel_weight=np.nan)", ValueError, WEIGHT + "nan at (0, 0)"),
        ("fl.dice_loss(X, Y, pixel_weight=[1, 1, 1, np.inf])", ValueError, WEIGHT + "inf at (0, 3)"),
        ("fl.dice_loss(X, Y, pixel_weight=[1, 1, 1, -np.inf])", ValueError, WEIGHT + "-inf at (0, 3)"),
        ("fl.cross_entropy(X, Y, pixel_weight=label(np.nan, '>f8'))", ValueError, WEIGHT + "nan at (1, 3)"),
        ("fl.cross_entropy(X, Y, pixel_weight=label(np.inf, np.float16))", ValueError, WEIGHT + "inf at (1, 3)"),
        ("fl.cross_entropy(X, Y, pixel_weight=label(-2, ml_dtypes.bfloat16))", ValueError, WEIGHT + "-2.0 at (1, 3)"),
        ("fl.cross_entropy(X, Y, pixel_weight=label(-1, '>i2'))", ValueError, WEIGHT + "-1 at (1, 3)"),
        # Negative, though too small for the float32 of the arithmetic.
        ("fl.cross_entropy(X, Y, pixel_weight=np.float32(-1e-44))", ValueError,
         WEIGHT + "-9.80908925027372e-45 at (0, 0)"),
        # An ignored pixel's too, and before a label.
        ("fl.cross_entropy(X, label(-100), pixel_weight=label(-1))", ValueError, WEIGHT + "-1 at (1, 3)"),
        ("fl.cross_entropy(X, label(7), pixel_weight=label(-1))", ValueError, WEIGHT + "-1 at (1, 3)"),
        ("fl.cross_entropy(X, D, pixel_weight=label(-1))", ValueError, WEIGHT + "-1 at (1, 3)"),
        # By class, and in whatever shape the caller has.
        ("fl.cross_entropy(X, D, pixel_weight=-1 * LAST)", ValueError, WEIGHT + "-1 at (1, 2, 3)"),
        ("fl.cross_entropy(np.moveaxis(X, 1, -1), np.moveaxis(D, 1, -1), axis=-1, "
         "pixel_weight=-1 * np.moveaxis(LAST, 1, -1))", ValueError, WEIGHT + "-1 at (1, 3, 2)"),
        ("fl.binary_cross_entropy_with_logits(X, D, pixel_weight=-1 * LAST)", ValueError, WEIGHT + "-1 at (1, 2, 3)"),
        ("fl.binary_cross_entropy_with_logits(0.5, 0.5, pixel_weight=-1)", ValueError, WEIGHT + "-1 at ()"),
        ("fl.cross_entropy(ONE, 1, pixel_weight=-1)", ValueError, WEIGHT + "-1 at ()"),
        ("fl.cross_entropy(X, Y, pixel_weight=np.ones((3, 4)))", ValueError,
         "pixel_weight: expected a shape that broadcasts to (2, 4), got (3, 4)"),
        ("fl.cross_entropy(X, Y, pixel_weight=D)", ValueError,
         "pixel_weight: expected a shape that broadcasts to (2, 4), got (2, 3, 4)"),
        ("fl.dice_loss(X, D, pixel_weight=np.ones((2, 2, 4)))", ValueError,
         "pixel_weight: expected a shape that broadcasts to (2, 3, 4), got (2, 2, 4)"),
        ("fl.binary_cross_entropy_with_logits(X, D, pixel_weight=np.ones((2, 2, 4)))", ValueError,
         "pixel_weight: expected a shape that broadcasts to (2, 3, 4), got (2, 2, 4)"),
    ],
    "class_weight": [
        *((f"fl.{f}(X, Y, class_weight={v})", ValueError, f"class_weight: expected shape (3,), got {shape}")
          for f in ("cross_entropy", "dice_loss") for v, shape in (("[1, 2]", "(2,)"), ("[1]", "(1,)"))),
        ("(fl.DiceLoss(class_weight=[1]) + fl.CrossEntropyLoss())(X, Y)", ValueError,
         "class_weight: expected shape (3,), got (1,)"),
        ("fl.cross_entropy(X, Y, class_weight=2.0)", ValueError, "class_weight: expected shape (C,), got ()"),
        ("fl.cross_entropy(X, Y, class_weight=[])", ValueError, "class_weight: expected shape (C,), got (0,)"),
        ("fl.cross_entropy(X, Y, class_weight=[[1, 1, 1]])", ValueError,
         "class_weight: expected shape (C,), got (1, 3)"),
        ("fl.cross_entropy(X, Y, class_weight=[1, 2, -1])", ValueError,
         "class_weight: expected finite values >= 0, got [1.0, 2.0, -1.0]"),
        ("fl.dice_loss(X, Y, class_weight=[1, 2, np.nan])", ValueError,
         "class_weight: expected finite values >= 0, got [1.0, 2.0, nan]"),
        ("fl.cross_entropy(X, Y, class_weight=[1, 2, np.inf])", ValueError,
         "class_weight: expected finite values >= 0, got [1.0, 2.0, inf]"),
        ("fl.cross_entropy(X, Y, class_weight='abc')", TypeError,
         "class_weight: expected a sequence of numbers, got 'abc'"),
        ("fl.cross_entropy(X, Y, class_weight=[1j, 1, 1])", TypeError,
         "class_weight: expected a sequence of numbers, got [1j, 1, 1]"),
        ("fl.cross_entropy(X, Y, class_weight=[[1, 1], [1]])", TypeError,
         "class_weight: expected a sequence of numbers, got [[1, 1], [1]]"),
        ("fl.cross_entropy(X, Y, class_weight=np.ones(3, complex))", TypeError,
         f"class_weight: expected a sequence of numbers, got {np.ones(3, complex)!r}"),
        ("fl.cross_entropy(X, Y, class_weight=['1', '1', '1'])", TypeError,
         "class_weight: expected a sequence of numbers, got ['1', '1', '1']"),
        ("fl.cross_entropy(X, Y, class_weight=[1, 1, 10**309])", TypeError,
         f"class_weight: expected a sequence of numbers, got [1, 1, {10**309}]"),
        ("fl.binary_cross_entropy_with_logits(X, D, pos_weight=[1, 2])", ValueError,
         "pos_weight: expected shape (3,), got (2,)"),
        ("fl.BCEWithLogitsLoss(pos_weight=-1)", ValueError, "pos_weight: expected a finite number >= 0, got -1"),
        ("fl.BCEWithLogitsLoss(pos_weight=[1, -1])", ValueError,
         "pos_weight: expected finite values >= 0, got [1.0, -1.0]"),
        ("fl.BCEWithLogitsLoss(pos_weight='a')", TypeError, "pos_weight: expected a number, got 'a'"),
        ("fl.BCEWithLogitsLoss(pos_weight=True)", TypeError, "pos_weight: expected a number, got True"),
        ("fl.binary_cross_entropy(D32, D, pos_weight=[1, 2])", ValueError, "pos_weight: expected shape (3,), got (2,)"),
        ("fl.multilabel_soft_margin_loss(X, D, class_weight=[1, 2])", ValueError,
         "class_weight: expected shape (3,), got (2,)"),
        ("fl.focal_loss(X, Y, alpha=[1, 2])", ValueError, "alpha: expected shape (3,), got (2,)"),
        ("fl.focal_loss(X, Y, gamma=[1, 2])", ValueError, "gamma: expected shape (3,), got (2,)"),
        ("fl.FocalLoss(gamma=-1)", ValueError, "gamma: expected a finite number >= 0, got -1"),
        ("fl.FocalLoss(gamma=-(10**309))", ValueError, f"gamma: expected a finite number >= 0, got {-(10**309)}"),
        ("fl.FocalLoss(gamma=10**309)", ValueError, f"gamma: expected a finite number >= 0, got {10**309}"),
        ("fl.FocalLoss(gamma=[[1, 2], [3]])", TypeError,
         "gamma: expected a sequence of numbers, got [[1, 2], [3]]"),
        ("fl.FocalLoss(gamma=[1, -1])", ValueError, "gamma: expected finite values >= 0, got [1.0, -1.0]"),
        ("fl.FocalLoss(gamma=None)", TypeError, "gamma: expected a number or one number per class, got None"),
        ("fl.FocalLoss(activation='tanh')", ValueError,
         "activation: expected one of None, 'sigmoid', 'softmax', got 'tanh'"),
        ("fl.BinaryFocalLoss(activation='softmax')", ValueError,
         "activation: expected one of None, 'sigmoid', got 'softmax'"),
        ("fl.JSDivLoss(binary=True, activation='softmax')", ValueError,
         "activation: expected one of None, 'sigmoid', got 'softmax'"),
        ("fl.BinaryFocalLoss(alpha=1.5)", ValueError, "alpha: expected a number in [0, 1], got 1.5"),
        ("fl.KLDivLoss(reduction='batch')", ValueError,
         "reduction: expected one of 'mean', 'sum', 'batchmean', 'none', got 'batch'"),
        ("fl.KLDivLoss(log_target='yes')", ValueError, "log_target: expected one of True, False, got 'yes'"),
        ("fl.HuberLoss(delta=0)", ValueError, "delta: expected a finite number > 0, got 0"),
        ("fl.PseudoHuberLoss(delta=-1)", ValueError, "delta: expected a finite number >= 0, got -1"),
        ("fl.SmoothL1Loss(beta=-1)", ValueError, "beta: expected a finite number >= 0, got -1"),
        *((f"fl.{loss}({option}={v})", ValueError,
           f"{option}: expected 0 or a magnitude from 1e-30 to 1e+30, got {got}")
          for loss, option, v, got in (
              ("SmoothL1Loss", "beta", "1e-40", "1e-40"), ("SmoothL1Loss", "beta", "1e-320", "1e-320"),
              ("PseudoHuberLoss", "delta", "1e-50", "1e-50"), ("PseudoHuberLoss", "delta", "1e39", "1e+39"),
              ("HuberLoss", "delta", "1e39", "1e+39"), ("FocalLoss", "gamma", "1e39", "1e+39"),
              ("FocalTverskyLoss", "gamma", "[1, 1e39]", "1e+39"), ("DiceLoss", "smooth", "(1e-40, 0)", "1e-40"),
              ("CrossEntropyLoss", "class_weight", "[1e39, 1]", "1e+39"),
              ("BCEWithLogitsLoss", "pos_weight", "1e39", "1e+39"),
              ("BCELoss", "pos_weight", "[0, 1e-40]", "1e-40"))),
        ("1e-40 * fl.DiceLoss()", ValueError, "factor: expected 0 or a magnitude from 1e-30 to 1e+30, got 1e-40"),
        ("fl.boundary_loss(np.zeros((1, 2, 1, 1, 1, 1)), np.zeros((1, 1, 1, 1, 1), int))", ValueError,
         "input: expected at most 3 pixel dimensions, got shape (1, 2, 1, 1, 1, 1)"),
        ("fl.boundary_loss(X, Y, classes=[3])", ValueError, "classes: expected numbers in [0, 3), got [3]"),
        ("fl.boundary_loss(X, Y, spacing=[1, 2])", ValueError,
         "spacing: expected a number or one number per axis (1), got (1.0, 2.0)"),
        ("fl.boundary_loss(X, Y, spacing=0)", ValueError, "spacing: expected finite numbers > 0, got 0"),
        ("fl.BoundaryLoss(spacing=[[1, 2], [3, 4]])", ValueError,
         "spacing: expected a number or one number per axis, got [[1, 2], [3, 4]]"),
        ("fl.BoundaryLoss(spacing=[[1, 2], [3]])", TypeError,
         "spacing: expected a number or one number per axis, got [[1, 2], [3]]"),
        ("fl.distance_transform(Y, 10**309)", TypeError,
         f"spacing: expected a number or one number per axis, got {10**309}"),
        ("fl.boundary_loss(X, None, distance_maps=D[:, :2])", ValueError,
         "distance_maps: expected shape (2, 3, 4) (the input's), got (2, 2, 4)"),
        ("fl.hausdorff_dt_loss(X, None, distance_maps=D)", TypeError, "target: " + REAL + "object"),
        ("fl.HausdorffDTLoss(alpha=-1)", ValueError, "alpha: expected a finite number >= 0, got -1"),
        ("(fl.DiceLoss() + fl.CrossEntropyLoss())(X, Y, distance_maps=D)", ValueError,
         "distance_maps: expected None for DiceLoss() + CrossEntropyLoss(), got ndarray"),
        ("fl.BoundaryLoss() + fl.HausdorffDTLoss()", ValueError,
         "losses: expected at most one loss with weights made from the data in a sum, got BoundaryLoss() + "
         "HausdorffDTLoss()"),
        ("Chosen(label_smoothing=0.5)(X, Y)", ValueError,
         "make_weights: expected shape (2, 4) or (2, 3, 4), got (1,)"),
        ("Chosen() + fl.DiceLoss()", ValueError,
         "losses: expected no loss next to Chosen(), whose weights would count in the mean of all, got Chosen() + "
         "DiceLoss(); add the values of the two instead"),
        ("fl.mse_loss(X, Y)", ValueError, "target: expected shape (2, 3, 4) (the input's), got (2, 4)"),
    ],
    "out": [
        ("GRAD(X, Y, out=[1])", TypeError, "out: expected a NumPy array, got list"),
        ("GRAD(X, Y, out=torch.zeros(2, 3, 4))", TypeError, "out: expected a NumPy array, got Tensor"),
        ("GRAD(X.astype(np.float16), Y, out=np.zeros(X.shape))", TypeError,
         "out: expected dtype float16 (the input's) or float32, got float64"),
        ("GRAD(X, Y, out=np.zeros(X.shape, np.float16))", TypeError,
         "out: expected dtype float32 (the input's), got float16"),
        ("GRAD(X, Y, out=np.zeros(X.shape))", TypeError, "out: expected dtype float32 (the input's), got float64"),
        ("GRAD(X, Y, out=np.zeros(X.shape, '>f4'))", TypeError, "out: expected dtype float32 (the input's), got >f4"),
        ("GRAD(X, Y, out=np.zeros((3, 2, 4), np.float32))", ValueError,
         "out: expected shape (2, 3, 4) (the input's), got (3, 2, 4)"),
        ("GRAD(X, Y, out=read_only())", ValueError, "out: expected a writeable array, got a read-only one"),
        ("GRAD(X, Y, out=np.broadcast_to(np.float32(0), X.shape))", ValueError,
         "out: expected a writeable array, got a read-only one"),
        ("GRAD(X, Y, out=X)", ValueError, "out: expected memory of its own, got an array that overlaps an input"),
        ("GRAD(X, D32, out=D32[:, ::-1])", ValueError,
         "out: expected memory of its own, got an array that overlaps an input"),
        ("fl.BoundaryLoss().value_and_grad(X, Y, distance_maps=D32, out=D32[:, ::-1])", ValueError,
         "out: expected memory of its own, got an array that overlaps an input"),
        ("GRAD(X, D, pixel_weight=D32, out=D32)", ValueError,
         "out: expected memory of its own, got an array that overlaps an input"),
        ("GRAD(X, Y, out=float32(X.shape, (0, 16, 4)))", ValueError,
         "out: expected an array whose elements are distinct, got a broadcast one"),
        ("GRAD(X, Y, out=float32(X.shape, (4, 4, 4)))", ValueError,
         "out: expected an array whose elements are distinct, got a broadcast one"),
    ],
    "hessian": [
        ("GRAD(X, Y, hessian='full')", ValueError,
         "hessian: expected one of None, 'diagonal', 'bound', got 'full'"),
        ("GRAD(X, Y, hessian=True)", ValueError, "hessian: expected one of None, 'diagonal', 'bound', got True"),
        ("(fl.CrossEntropyLoss() + fl.DiceLoss()).value_and_grad(X, Y, hessian='bound')", ValueError,
         "hessian: expected None for DiceLoss(), got 'bound'; losses of pixels and of elements have a Hessian, "
         "such as CrossEntropyLoss, FocalLoss, BCEWithLogitsLoss, BinaryFocalLoss, MSELoss and HuberLoss"),
        ("(fl.FocalLoss() * -1).value_and_grad(X, Y, hessian='bound')", ValueError,
         "hessian: expected 'diagonal' for a sum with a negative factor, got 'bound' for -1.0 * FocalLoss()"),
    ],
    "boost": [
        ("fl.boost.xgboost(fl.DiceLoss)", TypeError, "loss: expected a loss of one input, got type"),
        ("fl.boost.lightgbm(-1 * fl.FocalLoss())", ValueError, "loss: expected factors > 0, got -1.0 * FocalLoss()"),
        ("fl.boost.xgboost(fl.MSELoss(reduction='none'))", ValueError,
         "reduction: expected 'mean' or 'sum', got 'none' in MSELoss(reduction='none')"),
        ("fl.boost.xgboost(fl.BoundaryLoss())", ValueError,
         "loss: expected a loss that needs no distances between pixels, got BoundaryLoss()"),
        ("fl.boost.xgboost(fl.BCELoss())", ValueError,
         "loss: expected a loss of raw scores, got BCELoss(); use one with activation='sigmoid' or 'softmax', "
         "CrossEntropyLoss or BCEWithLogitsLoss"),
        ("fl.boost.sklearn(fl.DiceLoss(activation=None))", ValueError,
         "loss: expected a loss of raw scores, got DiceLoss(activation=None); use one with activation='sigmoid' or "
         "'softmax', CrossEntropyLoss or BCEWithLogitsLoss"),
        ("fl.boost.xgboost(fl.FocalLoss(axis=-1))", ValueError,
         "axis: expected 1 (the default), because rows have no axes, got FocalLoss(axis=-1)"),
        ("fl.boost.catboost(fl.DiceLoss())", ValueError,
         "loss: expected a loss of single rows, since CatBoost hands over blocks, got DiceLoss()"),
        ("fl.boost.xgboost(fl.MSELoss(), targets=np.zeros((1, 2, 3)))", ValueError,
         "targets: expected shape (rows,) or (rows, scores per row), got (1, 2, 3)"),
        ("fl.boost.xgboost(fl.MSELoss(), targets=np.broadcast_to(0.0, 2**24 + 1))", ValueError,
         "targets: expected at most 16777216 rows, the most that float32 numbers, got 16777217"),
        ("fl.boost.xgboost(fl.MSELoss())(Y[0], Y[0])", TypeError,
         "data: expected a data set of xgboost, got ndarray; the objective is for xgboost.train, whose calls pass the "
         "data set"),
        ("fl.boost.xgboost(fl.MSELoss())(D[0, :, 0], rows(1, 2))", ValueError,
         "label: expected one per row, 3, got 2"),
        ("fl.boost.xgboost(fl.MSELoss())(D[0, :2, 0], rows(1, np.nan))", ValueError,
         "label: expected finite numbers, got nan"),
        ("fl.boost.xgboost(fl.MSELoss())(D[0, :2, 0], rows(1, 2, group=[3]))", ValueError,
         "group: expected sizes that add up to 2 rows, got 3"),
        ("fl.boost.xgboost(fl.CrossEntropyLoss())(D[0, :2, 0], rows(0, 1))", ValueError,
         "scores: expected two or more per row for CrossEntropyLoss(reduction='sum'), got one; set the number of "
         "classes, or use BCEWithLogitsLoss or BinaryFocalLoss"),
        ("fl.boost.xgboost(fl.CrossEntropyLoss())(D[0, :2], rows(0, 1.5))", ValueError,
         "label: expected whole numbers for CrossEntropyLoss(reduction='sum'), got 1.5; give soft targets by targets="),
        ("fl.boost.xgboost(fl.CrossEntropyLoss())(D[0, :2], rows(0, 7))", fl.LabelError,
         "target: expected labels in [0, 4) or ignore_index, got 7 at (0, 1)"),
        ("fl.boost.xgboost(fl.BCEWithLogitsLoss())(D[0, :2], rows(0, 1))", ValueError,
         "targets: expected an array of 4 columns for BCEWithLogitsLoss(reduction='sum') of 4 scores, got none"),
        ("fl.boost.xgboost(fl.BCEWithLogitsLoss())(D[0, :2, 0], rows(1, 2))", ValueError,
         "label: expected numbers in [0, 1] for BCEWithLogitsLoss(reduction='sum'), got 2"),
        ("fl.boost.xgboost(fl.SoftMarginLoss())(D[0, :2, 0], rows(0, 1))", ValueError,
         "label: expected -1 or 1 for SoftMarginLoss(reduction='sum'), got 0"),
        ("fl.boost.xgboost(fl.CrossEntropyLoss(), targets=D[0])(D[0, :2, :2], rows(0, 1))", ValueError,
         "targets: expected 2 columns, one per score of a row, got 4"),
        ("fl.boost.xgboost(fl.CrossEntropyLoss(), targets=D[0])(D[0, :2], rows(0, 3))", ValueError,
         "label: expected row numbers of targets, in [0, 3), got 3"),
        ("fl.boost.xgboost(fl.CrossEntropyLoss()).base_score(rows(0, 5), classes=4)", ValueError,
         "label: expected labels in [0, 4), got 5"),
        ("fl.boost.xgboost(fl.CrossEntropyLoss()).base_score(rows(0, 1))", ValueError,
         "scores: expected two or more per row for CrossEntropyLoss(reduction='sum'), got one; set the number of "
         "classes, or use BCEWithLogitsLoss or BinaryFocalLoss"),
        ("fl.boost.sklearn(fl.CrossEntropyLoss())(Known(), None, [1, 3])", ValueError,
         "y: expected classes of the estimator, [1, 2], got 3"),
    ],
    "calibration": [
        *((f"fl.metrics.{name}(np.where(LAST, np.nan, X), Y)", ValueError,
           "input: expected numbers where pixels count, got nan at (1, 2, 3)")
          for name in ("expected_calibration_error", "reliability_curve", "brier_score")),
        ("fl.metrics.expected_calibration_error(np.where(LAST, np.inf, X), Y)", ValueError,
         "input: expected finite logits, got inf at (1, 2, 3)"),
        *((f"fl.metrics.{name}(np.where(LAST, 1.5, X), Y, activation=None)", ValueError,
           "input: expected probabilities in [0, 1] for activation=None, got 1.5 at (1, 2, 3)")
          for name in ("expected_calibration_error", "brier_score")),
        ("fl.metrics.expected_calibration_error(X, D, by_class=True)", ValueError,
         "target: expected 0 or 1 in a mask, got 0.3333333333333333 at (0, 0, 0)"),
        ("fl.metrics.expected_calibration_error(X, D > 0)", ValueError,
         "by_class: expected True for channels that do not exclude each other, got a dense target of shape (2, 3, 4) "
         "for ExpectedCalibrationError(); the largest probability is that of one of several classes, with labels"),
        ("fl.metrics.brier_score(Y, Y)", ValueError,
         "input: expected logits or probabilities for BrierScore(), got a label map of shape (2, 4)"),
        ("fl.evaluate({'b': fl.metrics.BrierScore()}, Y, Y, num_classes=3)", ValueError,
         "input: expected logits or probabilities for BrierScore(), got a label map of shape (2, 4)"),
        ("fl.metrics.brier_score(X, Y, pixel_weight=label(0.5, float))", ValueError,
         "pixel_weight: expected 0 or 1 for metrics, which count pixels, got 0.5 at (1, 3)"),
        ("fl.metrics.brier_score(X, label(3))", fl.LabelError, LABELS + "3 at (1, 3)"),
        ("fl.metrics.ExpectedCalibrationError(bins=0)", ValueError,
         "bins: expected an integer from 1 to 1000, got 0"),
        ("fl.metrics.Sweep(fl.CrossEntropyLoss())", ValueError,
         "threshold, temperature: expected one of the two, got neither"),
        ("fl.metrics.Sweep(fl.metrics.IoU(), threshold=[0.5])", ValueError,
         "threshold: expected activation='sigmoid' or None for channels that are compared with a threshold, got IoU()"),
        ("fl.metrics.Sweep(fl.DiceLoss(), threshold=[0.5])", ValueError,
         "threshold: expected a metric of channels above a threshold, got DiceLoss()"),
        ("fl.metrics.Sweep(fl.metrics.IoU(activation=None), threshold=[0.5])(X, Y)", ValueError,
         "threshold: expected channels that are compared with a threshold, got classes that exclude each other for "
         "Sweep(IoU(activation=None), threshold=(0.5,)); give a dense target, or one channel"),
        ("fl.metrics.Sweep(fl.metrics.IoU(activation='sigmoid'), threshold=[0.5])(np.where(LAST, np.nan, X), D > 0)",
         ValueError, "input: expected numbers where pixels count, got nan at (1, 2, 3)"),
        ("fl.metrics.Sweep(fl.metrics.IoU(activation='sigmoid'), threshold=[1])", ValueError,
         "threshold: expected a number between 0 and 1 for a sigmoid, got 1.0"),
        ("fl.metrics.Sweep(fl.CrossEntropyLoss(), temperature=0.5)", TypeError,
         "temperature: expected a sequence of numbers, got 0.5"),
        ("fl.metrics.Sweep(fl.CrossEntropyLoss(), temperature=[])", ValueError,
         "temperature: expected 1 to 1000 numbers, got 0"),
        ("fl.metrics.Sweep(fl.CrossEntropyLoss(), temperature=[0])", ValueError,
         "temperature: expected a finite number > 0, got 0"),
        ("fl.metrics.Sweep(fl.MSELoss(), temperature=[2])", ValueError,
         "temperature: expected a measure of logits, got MSELoss()"),
        ("fl.metrics.Sweep(fl.metrics.IoU(), temperature=[2])", ValueError,
         "temperature: expected a loss or a calibration metric, got IoU()"),
        ("fl.metrics.Sweep(fl.BoundaryLoss(), temperature=[2])", ValueError,
         "temperature: expected a loss that is a sum over pixels, got BoundaryLoss()"),
        ("fl.metrics.Sweep(3, temperature=[2])", TypeError, "measure: expected a loss or a metric, got 3"),
        ("fl.calibrate(X, Y)", ValueError,
         "logits: expected logits that differ between the classes, got equal ones at every pixel"),
        ("fl.calibrate(-fl.one_hot(Y, 3), Y)", ValueError,
         "logits: expected logits that tell something about the labels, but the cross entropy falls up to a "
         "temperature of 100; check that the channels are in the order of the labels"),
        ("fl.calibrate(X, Y, ignore_index=0)", ValueError, "labels: expected pixels that count, got none"),
        ("fl.calibrate(X, D)", ValueError,
         "labels: expected labels for activation='softmax', got a dense target of shape (2, 3, 4); if it is one-hot, "
         "pass labels.argmax(axis)"),
        ("fl.calibrate(X, Y, activation='sigmoid')", ValueError,
         "labels: expected a dense target for channels that may overlap, got labels with logits of shape (2, 3, 4); "
         "give activation='softmax' if the classes exclude each other"),
        ("fl.calibrate(np.where(LAST, np.nan, X), Y)", ValueError,
         "input: expected numbers where pixels count, got nan at (1, 2, 3)"),
        ("raise_nan(fl.metrics.IoU()._checked(X, Y, None, None), probabilities=False, masks=True)", ValueError,
         "input or target: changed during the call"),
        ("fl.metrics.BrierScore().of_probabilities(one_hot=True)", ValueError,
         "input: expected logits or probabilities for BrierScore(), got label maps, which have neither"),
        ("fl.metrics.Sweep(fl.CrossEntropyLoss(), temperature=[2]).of_probabilities(one_hot=False)", ValueError,
         "input: expected logits for Sweep(CrossEntropyLoss(), temperature=(2.0,)), got probabilities or label maps"),
        ("TemperatureFit().of_probabilities(one_hot=False)", ValueError,
         "logits: expected logits, got probabilities; a temperature divides logits"),
    ],
    "axis": [
        *((f"fl.cross_entropy(X, Y, axis={k})", ValueError, f"{AXIS}{k}") for k in (0, 3, -3, -4)),
        ("fl.dice_loss(X, Y, axis=3)", ValueError, AXIS + "3"),
        ("fl.binary_cross_entropy_with_logits(X, D, axis=5, pos_weight=[1, 2, 3])", ValueError, AXIS + "5"),
        *((f"fl.cross_entropy(X, Y, axis={k})", TypeError, f"axis: expected an integer, got {k}")
          for k in (1.0, None, True)),
        ("fl.logsumexp(X, axis=3)", ValueError, "axis: expected numbers in [-3, 3), got 3"),
        ("fl.softmax(X, axis=(0, -4))", ValueError, "axis: expected numbers in [-3, 3), got (0, -4)"),
        ("fl.log_softmax(X, axis=(0, -3))", ValueError, "axis: expected distinct axes, got (0, -3)"),
    ],
    "options": [
        *((f"fl.{loss}(reduction='avg')", ValueError, "reduction: expected one of 'mean', 'sum', 'none', got 'avg'")
          for loss in ("CrossEntropyLoss", "BCEWithLogitsLoss", "DiceLoss", "JaccardLoss", "TverskyLoss",
                       "FocalTverskyLoss", "SensitivitySpecificityLoss", "GeneralizedDiceLoss")),
        ("fl.CrossEntropyLoss(reduction=None)", ValueError,
         "reduction: expected one of 'mean', 'sum', 'none', got None"),
        ("fl.DiceLoss(activation='relu')", ValueError,
         "activation: expected one of None, 'sigmoid', 'softmax', got 'relu'"),
        ("fl.DiceLoss(activation=np.arange(2))", ValueError,
         "activation: expected one of None, 'sigmoid', 'softmax', got array([0, 1])"),
        ("fl.DiceLoss(absent='drop')", ValueError,
         "absent: expected one of 'keep', 'zero', 'skip', 'nan', got 'drop'"),
        ("fl.DiceLoss(batch='no')", ValueError, "batch: expected one of True, False, got 'no'"),
        ("fl.DiceLoss(squared=2)", ValueError, "squared: expected one of True, False, got 2"),
        ("fl.DiceLoss(smooth=-1)", ValueError, "smooth: expected a finite number >= 0, got -1"),
        ("fl.JaccardLoss(smooth=np.nan)", ValueError, "smooth: expected a finite number >= 0, got nan"),
        ("fl.TverskyLoss(smooth=(1, -2))", ValueError, "smooth: expected a finite number >= 0, got -2"),
        ("fl.DiceLoss(smooth='a')", TypeError, "smooth: expected a number, got 'a'"),
        ("fl.DiceLoss(smooth=(1, 2, 3))", ValueError,
         "smooth: expected a number or (numerator, denominator), got (1, 2, 3)"),
        ("fl.TverskyLoss(alpha=-1)", ValueError, "alpha: expected a finite number >= 0, got -1"),
        ("fl.TverskyLoss(beta=np.inf)", ValueError, "beta: expected a finite number >= 0, got inf"),
        ("fl.TverskyLoss(beta=None)", TypeError, "beta: expected a number, got None"),
        ("fl.FocalTverskyLoss(gamma=-1)", ValueError, "gamma: expected a finite number >= 0, got -1"),
        ("fl.FocalTverskyLoss(gamma=None)", TypeError, "gamma: expected a number, got None"),
        ("fl.FocalTverskyLoss(gamma='a')", TypeError, "gamma: expected a number, got 'a'"),
        ("fl.FocalTverskyLoss(gamma=[1, np.inf])", ValueError,
         "gamma: expected finite values >= 0, got [1.0, inf]"),
        ("fl.FocalTverskyLoss(gamma=np.array(1.0))", ValueError, "gamma: expected shape (C,), got ()"),
        ("fl.focal_tversky_loss(X, Y, gamma=[1, 2])", ValueError, "gamma: expected shape (3,), got (2,)"),
        ("fl.focal_tversky_loss(X, Y, gamma=[1, 2], batch=True)", ValueError, "gamma: expected shape (3,), got (2,)"),
        ("fl.FocalTverskyLoss(class_alpha=2.0)", ValueError, "class_alpha: expected shape (C,), got ()"),
        ("fl.FocalTverskyLoss(class_alpha=[-1])", ValueError, "class_alpha: expected finite values >= 0, got [-1.0]"),
        ("fl.focal_tversky_loss(X, Y, class_alpha=[1])", ValueError, "class_alpha: expected shape (3,), got (1,)"),
        ("fl.SensitivitySpecificityLoss(b=1.5)", ValueError, "b: expected a number in [0, 1], got 1.5"),
        ("fl.SensitivitySpecificityLoss(smooth=-1)", ValueError, "smooth: expected a finite number >= 0, got -1"),
        ("fl.GeneralizedDiceLoss(weighting='cubic')", ValueError,
         "weighting: expected one of 'square', 'simple', 'uniform', got 'cubic'"),
        *((f"fl.GeneralizedDiceLoss(absent='{v}')", ValueError,
           f"absent: expected one of 'keep', 'skip', got '{v}'") for v in ("zero", "nan")),
        *((f"fl.CrossEntropyLoss(label_smoothing={v})", ValueError,
           f"label_smoothing: expected a number in [0, 1], got {v.removeprefix('np.')}")
          for v in ("1.5", "-0.1", "np.nan", "np.inf")),
        ("fl.CrossEntropyLoss(label_smoothing='a')", TypeError, "label_smoothing: expected a number, got 'a'"),
        ("fl.BCEWithLogitsLoss(label_smoothing=True)", TypeError, "label_smoothing: expected a number, got True"),
        ("fl.CrossEntropyLoss(ignore_index=1.0)", TypeError, "ignore_index: expected an integer, got 1.0"),
        ("fl.DiceLoss(ignore_index=None)", TypeError, "ignore_index: expected an integer, got None"),
        ("fl.CrossEntropyLoss(ignore_index=2**63)", ValueError,
         "ignore_index: expected an integer of 64 bits, got 9223372036854775808"),
        ("fl.dice_loss(X, Y, classes=[3])", ValueError, "classes: expected numbers in [0, 3), got [3]"),
        ("fl.dice_loss(X, Y, classes=[-1])", ValueError, "classes: expected numbers in [0, 3), got [-1]"),
        ("fl.DiceLoss(classes=[])", ValueError, "classes: expected one or more distinct class numbers, got []"),
        ("fl.DiceLoss(classes=[1, 1])", ValueError,
         "classes: expected one or more distinct class numbers, got [1, 1]"),
        ("fl.DiceLoss(classes=[1.0])", TypeError, "classes: expected an integer, got 1.0"),
        ("fl.DiceLoss(classes=np.array(3))", TypeError, "classes: expected a sequence of integers, got array(3)"),
        ("fl.DiceLoss(classes=3)", TypeError, "classes: expected a sequence of integers, got 3"),
        ("fl.set_num_threads(0)", ValueError, "n: expected a positive integer, got 0"),
        ("fl.num_threads(1.5).__enter__()", ValueError, "n: expected a positive integer, got 1.5"),
        ("fl.backend(np.arange(2)).__enter__()", ValueError,
         "name: expected one of auto, native, numpy, got array([0, 1])"),
        ("fl.backend('cuda').__enter__()", ValueError, "name: expected one of auto, native, numpy, got 'cuda'"),
    ],
    "distance": [
        ("fl.hausdorff_distance(Y, Y, directed=1)", TypeError, "directed: expected True or False, got 1"),
        ("fl.distance_transform(None)", TypeError, "mask: " + REAL + "object"),
        ("fl.distance_transform(True)", ValueError, "mask: expected 1 to 3 dimensions, got shape ()"),
        ("fl.signed_distance(np.zeros((2, 3, 4, 5), bool))", ValueError,
         "mask: expected 1 to 3 dimensions, got shape (2, 3, 4, 5)"),
        ("fl.hausdorff_distance(Y, 1)", ValueError, "mask_b: expected 1 to 3 dimensions, got shape ()"),
        ("fl.hausdorff_distance(Y, Y.T)", ValueError, "mask_b: expected shape (2, 4) (mask_a's), got (4, 2)"),
        *((f"fl.distance_transform(Y, {v})", ValueError, f"spacing: expected finite numbers > 0, got {shown}")
          for v, shown in (("0", "0"), ("-1.0", "-1.0"), ("np.nan", "nan"), ("(1, np.inf)", "(1, inf)"))),
        *((f"fl.signed_distance(Y, {v})", ValueError,
           f"spacing: expected a number or one number per axis (2), got {v}") for v in ("[1]", "(1, 1, 1)")),
        ("fl.signed_distance(Y, [[1, 1]])", ValueError,
         "spacing: expected a number or one number per axis, got [[1, 1]]"),
        *((f"fl.hausdorff_distance(Y, Y, spacing={v})", TypeError,
           f"spacing: expected a number or one number per axis, got {v}") for v in ("'a'", "1j", "[[1], [1, 2]]")),
        *((f"fl.hausdorff_distance(Y, Y, {v})", ValueError, f"percentile: expected a number in [0, 100], got {shown}")
          for v, shown in (("-1", "-1"), ("100.5", "100.5"), ("np.nan", "nan"))),
        *((f"fl.hausdorff_distance(Y, Y, {v})", TypeError, f"percentile: expected a number, got {v}")
          for v in ("'a'", "None", "True", "[95]")),
    ],
    "metrics of surfaces": [
        *((f"fl.metrics.{name}", ValueError, message) for name, message in (
            ("HausdorffDistance(percentile=101)", "percentile: expected a number in [0, 100], got 101"),
            ("HausdorffDistance(pooled=2)", "pooled: expected one of True, False, got 2"),
            ("AverageSurfaceDistance(symmetric=None)", "symmetric: expected one of True, False, got None"),
            ("HausdorffDistance(surface='edge')",
             "surface: expected one of 'border', 'area', 'region', got 'edge'"),
            ("HausdorffDistance(connectivity=0)", "connectivity: expected 1 to 3, got 0"),
            ("SurfaceDice(tolerance=1, surface='area', connectivity=2)",
             "connectivity: expected 1 for surface='area', got 2"),
            ("HausdorffDistance(absent='one')", "absent: expected one of 'nan', 'zero', 'skip', got 'one'"),
            ("HausdorffDistance(missing=-1)", "missing: expected a finite number >= 0, got -1"),
            ("HausdorffDistance(missing=np.nan)", "missing: expected a finite number >= 0, got nan"),
            ("HausdorffDistance(spacing=0)", "spacing: expected finite numbers > 0, got 0"),
            ("SurfaceDice(tolerance=-1)", "tolerance: expected a finite number >= 0, got -1"),
            ("SurfaceDice(tolerance=[1, -1])", "tolerance: expected finite values >= 0, got [1.0, -1.0]"),
            ("SurfaceDice(tolerance=[1, 2])(X, Y)", "tolerance: expected shape (3,), got (2,)"),
            ("VolumeDifference(relative_to='prediction')",
             "relative_to: expected one of 'target', 'mean', got 'prediction'"),
            ("VolumeDifference(signed=0.5)", "signed: expected one of True, False, got 0.5"),
            ("hausdorff_distance(X, Y, spacing=(1, 2))",
             "spacing: expected a number or one number per axis (1), got (1.0, 2.0)"),
            ("hausdorff_distance(X, Y, connectivity=2)",
             "connectivity: expected at most the number of pixel dimensions, 1, got 2"),
            ("hausdorff_distance(X[..., 0], Y[:, 0])",
             "input: expected 1 to 3 pixel dimensions, got shape (2, 3)"),
            ("surface_dice(np.zeros((1, 2, 1, 1, 1, 1)), np.zeros((1, 1, 1, 1, 1), int), tolerance=1)",
             "input: expected 1 to 3 pixel dimensions, got shape (1, 2, 1, 1, 1, 1)"),
            ("average_surface_distance(X, Y, classes=[3])", "classes: expected numbers in [0, 3), got [3]"),
        )),
        ("fl.metrics.HausdorffDistance(connectivity=1.0)", TypeError, "connectivity: expected an integer, got 1.0"),
        ("fl.metrics.HausdorffDistance(missing='a')", TypeError, "missing: expected a number, got 'a'"),
        ("fl.metrics.SurfaceDice(tolerance=None)", TypeError,
         "tolerance: expected a number or one number per class, got None"),
        ("fl.metrics.hausdorff_distance(X, label(3))", fl.LabelError, LABELS + "3 at (1, 3)"),
    ],
    "labels and gradients": [
        ("fl.one_hot(label(3), 3)", fl.LabelError,
         "labels: expected labels in [0, 3) or ignore_index, got 3 at (1, 3)"),
        ("fl.class_weights(label(-100), 3)", fl.LabelError,
         "labels: expected labels in [0, 3), got -100 at (1, 3)"),
        ("fl.class_weights(label(2**64 - 100, np.uint64), 3, ignore_index=-100)", fl.LabelError,
         "labels: expected labels in [0, 3) or ignore_index, got 18446744073709551516 at (1, 3)"),
        ("fl.one_hot(5, 3)", fl.LabelError, "labels: expected labels in [0, 3) or ignore_index, got 5 at ()"),
        ("fl.one_hot(D, 3)", TypeError, "labels: expected an integer or bool dtype, got float64"),
        ("fl.class_weights([], 3)", TypeError, "labels: expected an integer or bool dtype, got float64"),
        ("fl.one_hot(Y, 0)", ValueError, "num_classes: expected an integer >= 1, got 0"),
        ("fl.class_weights(Y, 3.0)", TypeError, "num_classes: expected an integer, got 3.0"),
        ("fl.one_hot(Y, 3, axis=3)", ValueError, "axis: expected a number in [-3, 3), got 3"),
        ("fl.one_hot(Y, 3, axis=None)", TypeError, "axis: expected an integer, got None"),
        ("fl.one_hot(Y, 3, dtype='U3')", TypeError,
         "dtype: expected a real number dtype of at most 64 bits, got 'U3'"),
        ("fl.one_hot(Y, 3, dtype=1.5)", TypeError, "dtype: expected a real number dtype of at most 64 bits, got 1.5"),
        ("fl.one_hot(Y, 3, ignore_index=0.5)", TypeError, "ignore_index: expected an integer, got 0.5"),
        ("fl.smooth_labels(Y, 0.1)", TypeError, "target: expected a float or bool dtype, got int64"),
        ("fl.smooth_labels(1.0, 0.1)", ValueError, "target: expected an array with a class axis, got shape ()"),
        ("fl.smooth_labels(D, 1.5)", ValueError, "epsilon: expected a number in [0, 1], got 1.5"),
        ("fl.smooth_labels(D, 0.1, [0.5, 0.5])", ValueError, "prior: expected shape (3,), got (2,)"),
        ("fl.smooth_labels(D, 0.1, [1, 2, 3])", ValueError,
         "prior: expected values whose sum is 1, got a sum of 6"),
        ("fl.smooth_labels(D, 0.1, [1, -1, 1])", ValueError,
         "prior: expected finite values >= 0, got [1.0, -1.0, 1.0]"),
        ("fl.class_weights(Y, 3, 'linear')", ValueError,
         "scheme: expected one of 'inverse', 'balanced', 'median', 'effective', got 'linear'"),
        ("fl.class_weights(Y, 3, beta=1)", ValueError, "beta: expected a number in [0, 1), got 1"),
        ("fl.check_grad(fl.cross_entropy, X, Y)", TypeError, "loss: expected a loss of one input, got function"),
        ("fl.check_grad(fl.CrossEntropyLoss(), Y, Y)", TypeError,
         "x: expected float16, bfloat16, float32 or float64, got int64"),
        ("fl.check_grad(fl.CrossEntropyLoss(), X, label(3))", fl.LabelError, LABELS + "3 at (1, 3)"),
    ],
    "joint losses": [
        ("fl.GANGeneratorLoss(activation='softmax')", ValueError,
         "activation: expected one of None, 'sigmoid', got 'softmax'"),
        ("fl.GANGeneratorLoss(saturating=2)", ValueError, "saturating: expected one of True, False, got 2"),
        ("fl.gan_discriminator_loss(X, Y)", TypeError, NAMES.replace("input", "d_fake") + "int64"),
        ("fl.gan_discriminator_loss(None, X)", TypeError, "d_real: " + REAL + "object"),
        ("fl.DetectionLoss(alpha=2)", ValueError, "alpha: expected a number in [0, 1], got 2"),
        ("fl.detection_loss(X, label(3), X, X)", fl.LabelError, LABELS.replace("target", "cls_target") + "3 at (1, 3)"),
        ("fl.detection_loss(X, Y[0], X, X)", ValueError,
         "cls_target: expected shape (N, *S) = (2, 4) (labels) or (2, 3, 4) (dense), got (4,)"),
        ("fl.detection_loss(Y, Y, X, X)", TypeError, NAMES.replace("input", "cls") + "int64"),
        ("fl.DetectionLoss().value_and_grad(X, Y, X, Y)", ValueError,
         "box_target: expected shape (2, 3, 4) (box's), got (2, 4)"),
        ("fl.DetectionLoss().partial(X, Y, Y, X)", TypeError, NAMES.replace("input", "box") + "int64"),
        ("fl.FasterRCNNLoss(lambda_=-1)", ValueError, "lambda_: expected a finite number >= 0, got -1"),
        ("fl.FasterRCNNLoss(n_cls=0)", ValueError, "n_cls: expected a number > 0, got 0"),
        ("fl.MaskRCNNLoss(n_box='a')", TypeError, "n_box: expected a number, got 'a'"),
        ("fl.faster_rcnn_loss(X, Y, X, X)", ValueError,
         "labels: expected shape (2, 3, 4) (cls_logits'), got (2, 4)"),
        ("fl.faster_rcnn_loss(X, X, X, X)", TypeError, "labels: expected an integer or bool dtype, got float32"),
        ("fl.faster_rcnn_loss(X[:, 0], Y, X, X)", ValueError,
         "box_pred: expected shape (2, 4, 4) (that of labels, and 4 numbers per box), got (2, 3, 4)"),
        ("fl.faster_rcnn_loss(X[:, 0], label(2), BOX, BOX)", ValueError,
         "labels: expected 1, 0 or -1 (not sampled), got 2 at (1, 3)"),
        ("fl.faster_rcnn_loss(X[:, 0], Y, BOX, X)", ValueError,
         "box_target: expected shape (2, 4, 4) (box_pred's), got (2, 3, 4)"),
        ("fl.mask_rcnn_mask_loss(X[0, 0], [0, 0], X)", ValueError,
         "mask_logits: expected shape (R, K, *S), got (4,)"),
        ("fl.mask_rcnn_mask_loss(X, [0], X[:, 0])", ValueError,
         "class_ids: expected shape (2,) (one per region), got (1,)"),
        ("fl.mask_rcnn_mask_loss(X, [0.0, 1.0], X[:, 0])", TypeError,
         "class_ids: expected an integer or bool dtype, got float64"),
        ("fl.mask_rcnn_mask_loss(X, [0, 3], X[:, 0])", fl.LabelError,
         "class_ids: expected labels in [0, 3), got 3 at (1,)"),
        ("fl.mask_rcnn_mask_loss(X, [-1, 2], X[:, 0])", fl.LabelError,
         "class_ids: expected labels in [0, 3), got -1 at (0,)"),
        ("fl.mask_rcnn_mask_loss(X, [0, 1], X)", ValueError,
         "mask_target: expected shape (2, 4) (one channel per region), got (2, 3, 4)"),
        ("fl.DetectionLoss().finalize(3)", TypeError, "partial: expected a Partial, got int"),
        ("fl.GANGeneratorLoss().finalize(fl.DiceLoss().partial(X, Y))", ValueError,
         f"partial: expected a partial of GANGeneratorLoss(), got {DICE}"),
        ("fl.LovaszSoftmaxLoss(classes=None)", TypeError,
         "classes: expected 'present', 'all' or a sequence of integers, got None"),
        ("fl.LovaszSoftmaxLoss(classes='some')", ValueError, "classes: expected one of 'present', 'all', got 'some'"),
        ("fl.LovaszSoftmaxLoss(classes=[7])(X, Y)", ValueError, "classes: expected numbers in [0, 3), got [7]"),
        ("fl.LovaszHingeLoss(per_image=1)", ValueError, "per_image: expected one of True, False, got 1"),
        ("fl.LovaszSoftmaxLoss()(X, np.full(X.shape, 0.5))", ValueError,
         "target: expected 0 or 1 in a dense target for LovaszSoftmaxLoss(), got 0.5 at (0, 0, 0) of shape (2, 3, 4)"),
        ("fl.LovaszSoftmaxLoss().partial(X, Y)", ValueError,
         "per_image: expected True for sums that are merged from several images, got False in LovaszSoftmaxLoss(), "
         "which compares the pixels of all images of a call"),
        ("fl.evaluate({'a': 2 * fl.TopKLoss(k=5)}, X, Y)", ValueError,
         "per_image: expected True for sums that are merged from several images, got False in TopKLoss(k=5), which "
         "compares the pixels of all images of a call"),
        ("fl.TopKLoss(fl.DiceLoss())", TypeError,
         "loss: expected a loss with one value per pixel or element, such as CrossEntropyLoss(), got DiceLoss()"),
        ("fl.TopKLoss(k=0)", ValueError, "k: expected an integer >= 1 or a share in (0, 1], got 0"),
        ("fl.TopKLoss(k=0.0)", ValueError, "k: expected an integer >= 1 or a share in (0, 1], got 0.0"),
        ("fl.TopKLoss(k=1.5)", ValueError, "k: expected a number in [0, 1], got 1.5"),
        ("fl.TopKLoss(min_kept=-1)", ValueError, "min_kept: expected an integer >= 0, got -1"),
        ("fl.TopKLoss(k=0.2, threshold=0.7)", ValueError,
         "k: expected the default with threshold=0.7, which replaces it, got 0.2"),
        ("fl.TopKLoss(fl.BCEWithLogitsLoss(), threshold=0.7)", ValueError,
         "threshold: expected None for BCEWithLogitsLoss(); the losses that take one are CrossEntropyLoss, PolyLoss, "
         "CategoricalCrossEntropyLoss, FocalLoss"),
        ("fl.top_k_loss(X, np.full(X.shape, 0.5), threshold=0.7)", ValueError,
         "target: expected labels for threshold=0.7, got a dense target"),
        ("fl.AsymmetricUnifiedFocalLoss(gamma=2)", ValueError, "gamma: expected a number in [0, 1], got 2"),
        ("fl.AsymmetricUnifiedFocalLoss(activation='sigmoid')(X[:, :1], 0 * Y)", ValueError,
         "input: expected two or more channels for AsymmetricUnifiedFocalLoss, the first of which is the background, "
         "got shape (2, 1, 4)"),
        ("fl.DiceCELoss(activation=None)", ValueError, "activation: expected one of 'softmax', 'sigmoid', got None"),
        ("fl.DiceCELoss(dice=np.inf)", ValueError, "dice: expected a finite number, got inf"),
        ("fl.DiceCELoss(ce='a')", TypeError, "ce: expected a number, got 'a'"),
        ("fl.dice_ce_loss(X, Y, reduction='none')", ValueError,
         "reduction: expected 'mean' or 'sum' in a sum of losses, got 'none' in DiceLoss(reduction='none')"),
        ("fl.dice_ce_loss(X, label(3))", fl.LabelError, LABELS + "3 at (1, 3)"),
    ],
    "composition": [
        ("fl.CrossEntropyLoss(ignore_index=255) + fl.DiceLoss()", ValueError,
         "ignore_index: expected the same in all terms of a sum, got [255, -100] in "
         "CrossEntropyLoss(ignore_index=255) + DiceLoss()"),
        ("fl.CrossEntropyLoss(axis=-1) + fl.DiceLoss()", ValueError,
         "axis: expected the same in all terms of a sum, got [-1, 1] in CrossEntropyLoss(axis=-1) + DiceLoss()"),
        ("0.5 * fl.DiceLoss(reduction='none')", ValueError,
         "reduction: expected 'mean' or 'sum' in a sum of losses, got 'none' in DiceLoss(reduction='none')"),
        ("np.nan * fl.DiceLoss()", ValueError, "factor: expected a finite number, got nan"),
        ("10**400 * fl.DiceLoss()", ValueError, f"factor: expected a finite number, got {10**400}"),
        ("10**5000 * fl.DiceLoss()", ValueError, "factor: expected a finite number, got an integer of 16610 bits"),
        ("1e20 * (1e20 * fl.DiceLoss())", ValueError,
         "factor: expected 0 or a magnitude from 1e-30 to 1e+30, got 1e+40"),
        ("fl.dice_loss(SINGLE, Y)", ValueError,
         "activation: expected 'sigmoid' or None for one channel, whose softmax is always 1, got 'softmax' in "
         "DiceLoss() for an input of shape (2, 1, 4)"),
        ("(fl.DiceLoss(activation=None) + fl.CrossEntropyLoss())(SINGLE, 0.0 * SINGLE)", ValueError,
         "input: expected two or more channels for CrossEntropyLoss() in a sum with a loss that takes a single "
         "channel, got shape (2, 1, 4); use BCEWithLogitsLoss() instead, or DiceCELoss(activation='sigmoid')"),
        ("True * fl.DiceLoss()", TypeError, "unsupported operand type(s) for *: 'bool' and 'DiceLoss'"),
        ("fl.DiceLoss() + 1", TypeError, "unsupported operand type(s) for +: 'DiceLoss' and 'int'"),
    ],
    "partial": [
        ("fl.DiceLoss(reduction='none').partial(X, Y)", ValueError,
         "reduction: expected 'mean' or 'sum' for a partial, got 'none'"),
        ("fl.DiceLoss().partial(X, Y) + fl.DiceLoss(smooth=1).partial(X, Y)", ValueError,
         f"partials: expected partials of one loss and number of classes, got {DICE} and "
         "<Partial of DiceLoss(smooth=1.0): 3 classes, 2 samples, 6 sums>"),
        ("fl.DiceLoss().partial(X, Y) + fl.DiceLoss().partial(X[:, :2], Y)", ValueError,
         f"partials: expected partials of one loss and number of classes, got {DICE} and "
         "<Partial of DiceLoss(): 2 classes, 2 samples, 4 sums>"),
        ("fl.DiceLoss().partial(X, Y) + 1", TypeError, "unsupported operand type(s) for +: 'Partial' and 'int'"),
        ("fl.Partial.sum([])", ValueError, "partials: expected at least one, got none"),
        ("fl.Partial.sum([1])", TypeError, "partials: expected Partials, got int"),
        ("fl.JaccardLoss().finalize(fl.DiceLoss().partial(X, Y))", ValueError,
         f"partial: expected a partial of JaccardLoss(), got {DICE}"),
        ("fl.DiceLoss().finalize(3)", TypeError, "partial: expected a Partial, got int"),
        ("fl.DiceLoss().gradient(X, Y, 3)", TypeError, "partial: expected a Partial, got int"),
        ("fl.DiceLoss().gradient(X[:, :2], Y, fl.DiceLoss().partial(X, Y))", ValueError,
         f"partial: expected a partial of 2 classes (the input's), got {DICE}"),
        ("fl.DiceLoss().gradient(X, Y, fl.DiceLoss().partial(X, Y), scale='a')", TypeError,
         "scale: expected a number, got 'a'"),
        ("fl.DiceLoss().gradient(X, Y, fl.DiceLoss().partial(X, Y), out=X[:1])", ValueError,
         "out: expected shape (2, 3, 4) (the input's), got (1, 3, 4)"),
        ("fl.CrossEntropyLoss().gradient(X, Y, fl.DiceLoss().partial(X, Y))", ValueError,
         f"partial: expected a partial of CrossEntropyLoss(), got {DICE}"),
        ("fl.DiceLoss().gradient(Lazy(X), Y, fl.DiceLoss().partial(X, Y))", TypeError,
         "input: expected an array in memory for a gradient, got a lazy test_errors Lazy; pass numpy.asarray(input), "
         "or use dask.array.map_blocks if the loss is a sum over pixels"),
        ("fl.Partial.from_arrays({'loss': 'x'})", ValueError,
         "arrays: expected the arrays of `Partial.arrays()`, got none named counts, numbers"),
        ("fl.Partial.from_arrays({'loss': 'x', 'counts': [1, -2], 'numbers': [[1.0]]})", ValueError,
         "counts: expected two integers >= 0, got int64 of shape (2,)"),
        ("fl.Partial.from_arrays({'loss': 'x', 'counts': [1, 2], 'numbers': [1.0]})", ValueError,
         "numbers: expected float64 of shape (m, k), got float64 of shape (1,)"),
        ("fl.DiceLoss().finalize(fl.Partial.from_arrays({'loss': 'DiceLoss()', 'counts': [3, 2], 'numbers': [[1.0]]}))",
         ValueError, f"partial: expected 6 sums of DiceLoss(), got {DICE.replace('6', '1')}"),
    ],
    "evaluate": [
        ("fl.evaluate({}, X, Y)", ValueError, "losses: expected at least one, got none"),
        ("fl.evaluate({'d': fl.DiceLoss()}, X, Y).to_pandas('images')", ValueError,
         "scope: expected 'image', 'class' or 'all', got 'images'"),
        ("fl.evaluate({'class': fl.DiceLoss()}, X, Y).to_pandas('class')", ValueError,
         "losses: expected no loss with the name of a column, got 'class'"),
        ("fl.evaluate([fl.DiceLoss()], X, Y)", TypeError, "losses: expected a mapping of names to losses, got list"),
        ("fl.evaluate(fl.DiceLoss(), X, Y)", TypeError,
         "losses: expected a mapping of names to losses, got DiceLoss"),
        ("fl.evaluate({'d': 3}, X, Y)", TypeError, "losses: expected a loss or a metric for 'd', got int"),
        ("fl.evaluate({'d': fl.DiceLoss(reduction='none')}, X, Y)", ValueError,
         "losses: expected reduction 'mean' or 'sum' for 'd', got DiceLoss(reduction='none')"),
        ("fl.evaluate({'d': fl.DiceLoss(), 'b': fl.BCEWithLogitsLoss()}, X, Y)", ValueError,
         "target: expected a dense target of shape (2, 3, 4) or a single channel with labels {0, 1} for "
         "BCEWithLogitsLoss(), got labels of shape (2, 4)"),
        ("fl.evaluate({'d': fl.DiceLoss(activation=None), 's': fl.SoftMarginLoss()}, X[:, :1], Y)", ValueError,
         "target: expected a dense target of shape (2, 1, 4) for SoftMarginLoss(), got labels of shape (2, 4)"),
        ("fl.evaluate({'b': fl.BalancedBCELoss()}, X[0, 0], D[0, 0])", ValueError,
         "input: expected two or more dimensions for BalancedBCELoss() in a sum with others, got shape (4,)"),
        ("(fl.KLDivLoss(reduction='batchmean') + fl.MSELoss())(X[0, 0], D[0, 0])", ValueError,
         "input: expected two or more dimensions for KLDivLoss(reduction='batchmean') in a sum with others, "
         "got shape (4,)"),
        ("fl.BoundaryLoss(classes=[3])(X, Y, distance_maps=X)", ValueError,
         "classes: expected numbers in [0, 3), got [3]"),
        ("fl.evaluate({'a': fl.CrossEntropyLoss(), 'b': fl.CrossEntropyLoss(axis=2)}, X, D)", ValueError,
         "axis: expected one number of classes for all losses, got [3, 4] with axes {'a': 1, 'b': 2}"),
        ("fl.evaluate({'b': fl.BCEWithLogitsLoss()}, X, D, ignore_index=0.5)", TypeError,
         "ignore_index: expected an integer, got 0.5"),
        ("fl.evaluate({'b': fl.BCEWithLogitsLoss()}, X[:, :1], np.full((2, 4), 255))", fl.LabelError,
         "target: expected labels in [0, 2) or ignore_index, got 255 at (0, 0)"),
        ("fl.evaluate({'d': fl.DiceLoss(), 'c': fl.CrossEntropyLoss()}, X, label(3))", fl.LabelError,
         LABELS + "3 at (1, 3)"),
        ("fl.Report.sum([])", ValueError, "reports: expected at least one, got none"),
        ("fl.Report.sum([1])", TypeError, "reports: expected Reports, got int"),
        ("fl.evaluate({'d': fl.DiceLoss()}, X, Y) + fl.evaluate({'e': fl.DiceLoss()}, X, Y)", ValueError,
         "reports: expected the same losses and classes in all, got <Report of 2 images, 3 classes: d: 0.833328> and "
         "<Report of 2 images, 3 classes: e: 0.833328>"),
    ],
    "tiles": [
        ("fl.Tiles({})", ValueError, "losses: expected at least one, got none"),
        ("fl.Tiles({'d': fl.DiceLoss()}, 3)", TypeError, "image: expected a name, or one name per image, got 3"),
        ("fl.Tiles({'b': fl.BoundaryLoss()})", ValueError,
         "losses: expected losses whose sums add up over tiles, got BoundaryLoss() for 'b', which makes weights from "
         "the whole image; pass whole images to evaluate, or leave it out"),
        ("fl.Tiles({'d': fl.DiceLoss()}).close()", ValueError, "tiles: expected at least one tile, got none"),
        ("fl.Tiles({'d': fl.DiceLoss()}).report", ValueError,
         "tiles: expected closed tiles, got open ones; end the `with` block or call close() first"),
        ("fl.Tiles({'d': fl.DiceLoss()}, 'a').add(X, Y)", ValueError,
         "input: expected one image per name, got 2 for ['a']"),
        ("fl.Tiles({'d': fl.DiceLoss()}).add(X, label(3))", fl.LabelError, LABELS + "3 at (1, 3)"),
        ("[t := fl.Tiles({'d': fl.DiceLoss()}), t.add(X, Y), t.add(X[:1], Y[:1])]", ValueError,
         "input: expected as many images as in the first tile, 2, got 1"),
        ("[t := fl.Tiles({'d': fl.DiceLoss()}), t.add(X, Y), t.close(), t.add(X, Y)]", ValueError,
         "tiles: expected open tiles, got closed ones; make new Tiles for the next image"),
        ("[t := fl.Tiles({'d': fl.DiceLoss()}), t.add(X, Y), t.__exit__(KeyError, None, None), t.close()]", ValueError,
         "tiles: expected a report of all tiles, but an error ended the `with` block"),
    ],
    "lazy arrays": [
        ("fl.DiceLoss().value_and_grad(X, Lazy(Y))", TypeError,
         "target: expected an array in memory for a gradient, got a lazy test_errors Lazy; pass numpy.asarray(target), "
         "or use dask.array.map_blocks if the loss is a sum over pixels"),
        ("fl.DiceLoss(reduction='none')(Lazy(X), Y)", TypeError,
         "reduction: expected 'mean' or 'sum' for lazy arrays, got 'none', whose result is as large as the input; pass "
         "numpy.asarray(input) and numpy.asarray(target)"),
        ("fl.DiceLoss()(Lazy(X, shape=(np.nan, 3, 4)), Y)", ValueError,
         "input: expected an array of known shape, got (nan, 3, 4); call its compute_chunk_sizes() first"),
        ("fl.DiceLoss()(Lazy(X), label(3))", fl.LabelError, LABELS + "3 at (1, 3)"),
        ("fl.DiceLoss()(Lazy(X), Lazy(Y[:, :3]))", ValueError,
         "target: expected shape (N, *S) = (2, 4) (labels) or (2, 3, 4) (dense), got (2, 3)"),
        ("fl.DiceLoss()(Lazy(Y), Y)", TypeError, NAMES + "int64"),
        ("fl.evaluate({'d': fl.DiceLoss()}, Lazy(X), None)", TypeError, "target: " + REAL + "object"),
    ],
}
# fmt: on
ROWS = [pytest.param(*row, id=row[0]) for rows in ERRORS.values() for row in rows]


@pytest.mark.parametrize(("call", "error", "message"), ROWS)
def test_error(call, error, message, backend):
    before = fl.get_num_threads()
    names = globals() | {"D32": D.astype(np.float32)}
    if "torch" in call:
        names["torch"] = pytest.importorskip("torch")
    with pytest.raises(Exception) as caught:  # noqa: PT011 (its type and words are compared below)
        eval(call, names)
    assert (type(caught.value), str(caught.value)) == (error, message)
    assert fl.get_num_threads() == before


def test_bfloat16_tensors_need_ml_dtypes(monkeypatch, backend, torch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(TypeError, match=r"^input: .*: NumPy has bfloat16 only with the package ml_dtypes; run"):
        fl.cross_entropy(torch.zeros(2, 3, dtype=torch.bfloat16), [0, 1])


# ---- labels of every dtype and byte order

INTEGERS = [np.dtype(order + c) for order in "<>" for c in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.str)
@pytest.mark.parametrize("loss", [fl.CrossEntropyLoss(), fl.DiceLoss(batch=True)], ids=repr)
def test_a_bad_label_is_named_whatever_its_dtype(dtype, loss, backend):
    limits = np.iinfo(dtype)
    for value in {3, limits.max, limits.max - 99, limits.min, limits.min // 2} - {
        0
    }:  # max - 99 is -100, were it signed
        y = np.zeros((2, 300), dtype)
        y[1, 257] = value
        with pytest.raises(fl.LabelError) as caught:
            loss(np.zeros((2, 3, 300), np.float32), y)
        assert (caught.value.label, caught.value.position, caught.value.classes) == (value, (1, 257), 3)


@pytest.mark.parametrize("ignored", [-(2**63), -1, 2**63 - 1])
@pytest.mark.parametrize("order", "<>")
def test_no_unsigned_label_is_ignored_for_another(order, ignored, backend):
    for value in {2**63, 2**64 - 1, 2**63 - 1} - {ignored}:
        with pytest.raises(fl.LabelError, match=f"got {value} at"):
            fl.cross_entropy(X, label(value, f"{order}u8"), ignore_index=ignored)


def test_a_label_error_is_an_index_error_and_a_value_error_and_pickles():
    error = pickle.loads(pickle.dumps(fl.LabelError(7, (1, 2), 3)))
    assert isinstance(error, IndexError)
    assert isinstance(error, ValueError)
    assert str(error) == LABELS + "7 at (1, 2)"
    assert (error.label, error.position, error.classes) == (7, (1, 2), 3)


# ---- `out` is untouched by a call that fails

BIG = (2, 3, 300, 301)
LOSSES = {
    "ce": fl.CrossEntropyLoss(),
    "ce-sum": fl.CrossEntropyLoss(reduction="sum"),
    "ce-none": fl.CrossEntropyLoss(reduction="none"),
    "dice": fl.DiceLoss(),
    "dice-batch": fl.DiceLoss(batch=True),
    "generalized-dice": fl.GeneralizedDiceLoss(),
    "dice+ce": fl.DiceLoss() + fl.CrossEntropyLoss(),
}
FAULTS = {
    "label": lambda: {"target": label(3, np.uint8, (2, 300, 301))},
    "dense shape": lambda: {"target": np.zeros((2, 3, 301, 300))},
    "float labels": lambda: {"target": np.zeros((2, 300, 301))},
    "nan": lambda: {"pixel_weight": label(np.nan, float, (2, 300, 301))},
    "negative": lambda: {"pixel_weight": label(-1, np.int8, (2, 300, 301))},
    "weight shape": lambda: {"pixel_weight": np.ones(300)},
    "dense nan": lambda: {"target": np.zeros(BIG, bool), "pixel_weight": label(np.nan, float, (2, 300, 301))},
    "dense nan by class": lambda: {"target": np.zeros(BIG, bool), "pixel_weight": label(np.nan, np.float32, BIG)},
}


def refuses(loss, x, target, **arguments):
    """Whether the call raises, and leaves an `out` of noise as it was, down to the bits."""
    out = np.frombuffer(np.random.default_rng(0).bytes(x.nbytes), x.dtype).reshape(x.shape).copy()
    before = out.tobytes()
    with pytest.raises((TypeError, ValueError), match=r"^(target|\w+_weight|gamma|class_alpha|classes): "):
        loss.value_and_grad(x, target, out=out, **arguments)
    return out.tobytes() == before


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_out_is_untouched_when_the_last_pixel_is_bad(loss, fault, backend):
    arguments = {"target": np.zeros((2, 300, 301), np.uint8)} | FAULTS[fault]()
    assert refuses(LOSSES[loss], np.zeros(BIG, np.float32), **arguments)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_out_is_untouched_by_an_element_loss(dtype, backend):
    x = np.zeros((3, 100_001), dtype)
    assert refuses(fl.BCEWithLogitsLoss(), x, x, pixel_weight=label(np.inf, float, x.shape))
    assert refuses(fl.BCEWithLogitsLoss(pos_weight=[1, 2]), x, x)


@pytest.mark.parametrize(
    "loss",
    [
        fl.CrossEntropyLoss(class_weight=[1, 2]),
        fl.DiceLoss(class_weight=[1, 2]),
        fl.DiceLoss(classes=[0, 3]),
        fl.DiceLoss(classes=[0, 3], batch=True),
        fl.FocalTverskyLoss(gamma=[1, 2]),
        fl.FocalTverskyLoss(class_alpha=[1, 2], batch=True),
        fl.GeneralizedDiceLoss(class_weight=[1, 2]),
        fl.DiceLoss() + fl.CrossEntropyLoss(class_weight=[1, 2]),
    ],
    ids=repr,
)
def test_out_is_untouched_by_a_configuration_that_does_not_fit(loss, backend):
    assert refuses(loss, X, Y)


# ---- the table is complete

# These are the environment's, those of an install without the extension or pandas, and one above.
ELSEWHERE = (
    "FASTLOSS_",
    "fastloss: ",
    "the compiled extension",
    "NumPy has bfloat16",
    "name: expected 'auto'",
    ".* is not installed",
    "input: expected fewer than .* pixels",  # tests/losses/test_lovasz.py
)


# Tests of these folders and modules have tables of their own, such as those of tests/files and tests/frameworks.
ELSEWHERE_TESTED = ("cli", "examples", "files", "archive", "report", "torch", "jax", "_records", "_derived")


def templates():
    """Every message about arrays and options as a pattern."""
    package = pathlib.Path(fl.__file__).parent
    for file in [f for f in package.rglob("*.py") if not {f.parent.name, f.stem} & set(ELSEWHERE_TESTED)]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call) or not node.exc.args:
                continue
            if node.exc.func.id == "AssertionError":
                continue
            text = node.exc.args[0]
            pieces = text.values if isinstance(text, ast.JoinedStr) else [text]
            if all(isinstance(p, (ast.Constant, ast.FormattedValue)) for p in pieces):
                yield "".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".*" for p in pieces)


def test_every_message_of_the_package_is_in_the_table():
    messages = [row.values[2] for row in ROWS]
    missing = [t for t in templates() if not any(re.fullmatch(t, m) for m in messages)]
    assert [t for t in missing if not t.replace("\\", "").startswith(ELSEWHERE)] == []
