"""Tests torch's tensors as input."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from by_torch import data

import fastloss as fl
from fastloss._arrays import as_array

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_tensors_are_taken_as_they_are(dtype, backend):
    x, y, _ = data((2, 5, 17, 19), np.float64)
    t = torch.tensor(x).to(dtype)
    loss = 0.5 * fl.DiceLoss(ignore_index=255) + 0.5 * fl.CrossEntropyLoss(ignore_index=255)
    numpy_dtype = ml_dtypes.bfloat16 if dtype == torch.bfloat16 else np.dtype(str(dtype).removeprefix("torch."))
    array = t.detach().double().numpy().astype(numpy_dtype)
    value, gradient = loss.value_and_grad(t, torch.tensor(y))
    want, want_gradient = loss.value_and_grad(array, y)
    assert value == want
    assert gradient.dtype == want_gradient.dtype
    assert (gradient == want_gradient).all()
    last = t.detach().permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert loss(last, torch.tensor(y)) == pytest.approx(want, rel=1e-6)  # NumPy's sums follow the strides


def test_options_may_be_tensors_of_gradients(backend):
    weight = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert fl.CrossEntropyLoss(class_weight=weight).class_weight == (1.0, 2.0, 3.0)
    assert fl.BCEWithLogitsLoss(pos_weight=weight[1]).pos_weight == 2
    assert fl.FocalLoss(gamma=weight).gamma == (1.0, 2.0, 3.0)


def test_a_negated_view_is_read_as_its_values(backend):
    t = torch.arange(6.0).reshape(2, 3)
    assert fl.mse_loss(torch._neg_view(t), -t) == 0


class Exchanged:
    """Offers DLPack and nothing else."""

    def __init__(self, a):
        self.a = a

    def __dlpack__(self, **options):
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()


def test_dlpack_alone_is_enough():
    t = torch.rand(2, 3)
    assert (as_array(Exchanged(t), "input") == t.numpy()).all()
    assert as_array(Exchanged(t), "input").ctypes.data == t.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.uint8], ids=str)
def test_tensors_are_not_copied(dtype):
    t = torch.ones((2, 3, 4), dtype=dtype)
    assert as_array(t, "input").ctypes.data == t.data_ptr()
    assert as_array(t[:, 1:], "input").ctypes.data == t[:, 1:].data_ptr()
