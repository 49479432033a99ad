"""Tests the errors of fastloss.torch: their types and exact words."""

from __future__ import annotations

import re

import numpy as np
import pytest

import fastloss as fl

torch = pytest.importorskip("torch")

from torch.autograd import forward_ad  # noqa: E402

import fastloss.torch as ft  # noqa: E402

T = torch.zeros(2, 3, 4)
X = torch.zeros(2, 3, 4, requires_grad=True)
Y = torch.zeros(2, 4, dtype=torch.int64)
D = torch.full((2, 3, 4), 1 / 3)
META = torch.zeros(2, 3, 4, device="meta")
ON_META = "expected a tensor on the CPU, got one on meta; pass input.cpu(), or use a loss of torch"
WITH_GRAD = (
    "expected a tensor that does not require grad, got one that does; the gradient is that of the input only, so "
)
REGION_NONE = (
    "reduction: expected 'mean' or 'sum' for the gradient of a region loss, and under torch.compile, got 'none' "
)
SECOND = "fastloss.torch: expected a first derivative, got the derivative of a gradient"
FORWARD = "fastloss.torch: expected a gradient by backward(), got a forward-mode derivative of CrossEntropyLoss()"


def second_derivative(loss):
    (gradient,) = torch.autograd.grad(loss(X, Y), X, create_graph=True)
    gradient.sum().backward()


def forward_mode(loss):
    with forward_ad.dual_level():
        loss(forward_ad.make_dual(T, T), Y)


# fmt: off
ERRORS = [
    ("ft.cross_entropy(np.zeros((2, 3)), Y)", TypeError, "input: expected a tensor, got ndarray"),
    ("ft.cross_entropy(X, [0, 1])", TypeError, "target: expected a tensor, got list"),
    ("ft.cross_entropy(META, Y)", TypeError, "input: " + ON_META),
    ("ft.CrossEntropyLoss()(META, Y)", TypeError, "input: " + ON_META),
    ("ft.cross_entropy(X, META)", TypeError, "target: " + ON_META.replace("input", "target")),
    ("ft.cross_entropy(T, X)", TypeError, "target: " + WITH_GRAD + "pass target.detach()"),
    ("ft.dice_loss(T, D, pixel_weight=X)", TypeError, "pixel_weight: " + WITH_GRAD + "pass pixel_weight.detach()"),
    ("ft.cross_entropy(X, None)", TypeError, "target: expected a real number dtype of at most 64 bits, got object"),
    ("ft.cross_entropy(X.long(), Y)", TypeError, "input: expected float16, bfloat16, float32 or float64, got int64"),
    ("ft.cross_entropy(X, Y + 3)", fl.LabelError,
     "target: expected labels in [0, 3) or ignore_index, got 3 at (0, 0)"),
    ("ft.cross_entropy(X, Y[:1])", ValueError,
     "target: expected shape (N, *S) = (2, 4) (labels) or (2, 3, 4) (dense), got (1, 4)"),
    ("ft.cross_entropy(X, Y, gamma=2)", TypeError, "cross_entropy() got an unexpected keyword argument 'gamma'"),
    ("ft.DiceLoss(gamma=2)", TypeError, "dice_loss() got an unexpected keyword argument 'gamma'"),
    ("ft.DiceLoss(weight=[1, 2, 3])", TypeError, "dice_loss() got an unexpected keyword argument 'weight'"),
    ("ft.BCEWithLogitsLoss(weight=D)", TypeError,
     "binary_cross_entropy_with_logits() got an unexpected keyword argument 'weight'"),
    ("ft.NLLLoss(weight=[1, 2], class_weight=[1, 2])", TypeError,
     "weight: expected None next to class_weight, which is the same option, got both"),
    ("ft.CrossEntropyLoss(weight=[1, 2])(X, Y)", ValueError, "class_weight: expected shape (3,), got (2,)"),
    ("ft.dice_loss(X, Y, reduction='none')", ValueError, REGION_NONE + "in DiceLoss(reduction='none')"),
    ("ft.CrossEntropyLoss()(X, Y, distance_maps=T)", ValueError,
     "distance_maps: expected None for CrossEntropyLoss(), got Tensor"),
    ("ft.wrap(fl.dice_loss)", TypeError, "loss: expected a loss with one input, got function"),
    ("ft.wrap(fl.GANDiscriminatorLoss())", TypeError, "loss: expected a loss with one input, got GANDiscriminatorLoss"),
    ("ft.wrap(fl.L1Loss(reduction='none'), group=1)", ValueError,
     "reduction: expected 'mean' or 'sum' with a group, got 'none'"),
    ("ft.all_reduce(1.0)", TypeError, "partial: expected a Partial, got float"),
    ("second_derivative(ft.CrossEntropyLoss())", NotImplementedError, SECOND),
    ("second_derivative(ft.wrap(fl.DiceLoss() + fl.FocalLoss()))", NotImplementedError, SECOND),
    ("second_derivative(lambda x, y: ft.cross_entropy(x, y, reduction='none').sum())", NotImplementedError, SECOND),
    ("forward_mode(ft.CrossEntropyLoss())", NotImplementedError, FORWARD),
    ("torch.func.vmap(lambda x, y: ft.cross_entropy(x[None], y[None]))(T, Y)", NotImplementedError,
     "fastloss.torch: expected a batch within the tensors, got torch.func.vmap"),
    ("torch.func.jvp(lambda x: ft.cross_entropy(x, Y), (T,), (T,))", NotImplementedError, FORWARD),
]
# fmt: on


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own forward mode uses it
@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=[call for call, *_ in ERRORS])
def test_error(call, kind, message, backend):
    with pytest.raises(kind, match="^" + re.escape(message)) as caught:
        eval(call, globals() | {"np": np})
    assert type(caught.value) is kind
    assert X.grad is None


def test_an_input_that_changes_before_the_backward_pass_is_noticed():
    x = torch.zeros(2, 3, 4, requires_grad=True) + 0
    value = ft.cross_entropy(x, Y)
    x += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_without_torch_the_error_names_the_extra(monkeypatch):
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [m for m in sys.modules if m.startswith("fastloss.torch")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=re.escape('run pip install "fastloss[torch]"')):
        importlib.import_module("fastloss.torch")
