"""Tests fastloss.torch under torch.compile: one graph, the same values and gradients, and torch's own checks."""

from __future__ import annotations

import pytest

import fastloss as fl

torch = pytest.importorskip("torch")

import fastloss.torch as ft  # noqa: E402
from fastloss._derived import key_of  # noqa: E402
from fastloss.torch.ops import gradient_op, loss_op  # noqa: E402

# torch's own code uses what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script.* is deprecated:DeprecationWarning")

Y = torch.tensor([[[0, 1, 2, 4], [3, 3, -100, 0]]] * 2)
W = torch.tensor([0.0, 1.0, 2.0, 0.5])
LOSSES = {
    "a linear loss": fl.CrossEntropyLoss(class_weight=[1, 2, 3, 4, 5]),
    "a region loss": fl.DiceLoss(),
    "of the batch": fl.DiceLoss(batch=True),
    "a sum": 0.5 * fl.GeneralizedDiceLoss() + fl.FocalLoss(),
    "a map": fl.CrossEntropyLoss(reduction="none"),
    "weights from the data": fl.BoundaryLoss(),
    "channels last": fl.CrossEntropyLoss(axis=-1),
}


def data(loss):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 2, 4)
    return (x.movedim(1, -1) if loss.axis == -1 else x).requires_grad_()


def graph(function, backend):
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, backend=backend)


def agree(function, x, backend):
    """The compiled function has the values and gradients of the function."""
    results = []
    for run in (graph(function, backend), function):
        value = run(x)
        results.append((value.detach(), *torch.autograd.grad(value, x)))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("name", LOSSES)
def test_one_graph(name):
    loss = LOSSES[name]
    module = ft.wrap(loss)
    agree(lambda x: (2 * module(2 * x, Y, pixel_weight=W)).sum(), data(loss), "aot_eager")


def test_functions_within_a_graph():
    x = data(fl.DiceLoss())
    agree(lambda x: ft.cross_entropy(x, Y, weight=[1, 2, 3, 4, 5], ignore_index=-100), x, "aot_eager")
    agree(lambda x: ft.dice_ce_loss(x, Y, dice=0.5) + x.square().mean(), x, "aot_eager")


@pytest.mark.extended  # the compiler of C++ takes seconds
def test_inductor():
    module = torch.nn.Sequential(torch.nn.Conv2d(5, 5, 1), torch.nn.ReLU())
    loss = ft.CrossEntropyLoss()
    agree(lambda x: loss(module(x), Y), data(loss.loss), "inductor")


def test_shapes_may_vary():
    compiled = graph(lambda x, y: ft.dice_loss(x, y), "aot_eager")
    for n in (2, 3, 4):
        x = torch.randn(n, 5, 3 + n, requires_grad=True)
        y = torch.zeros(n, 3 + n, dtype=torch.int64)
        value = compiled(x, y)
        torch.testing.assert_close(value, ft.dice_loss(x, y))
        torch.testing.assert_close(torch.autograd.grad(value, x), torch.autograd.grad(ft.dice_loss(x, y), x))


@pytest.mark.parametrize("name", ["a linear loss", "a region loss", "a map"])
def test_operators(name):
    """torch's checks of an operator: schema, autograd, fake tensors, and shapes that vary."""
    loss = LOSSES[name]
    key, x = key_of(loss), data(loss)
    value, state = loss_op(key, x, Y, None, None)
    torch.library.opcheck(loss_op, (key, x, Y, None, None))
    torch.library.opcheck(
        gradient_op, (key, state.detach(), torch.ones_like(value.detach()), x.detach(), Y, None, None)
    )


def test_a_module_from_another_process_registers_its_loss(monkeypatch):
    import copy

    from fastloss import _derived

    module = ft.FocalLoss(gamma=0.125)
    monkeypatch.setattr(_derived, "REGISTERED", {})
    copy.deepcopy(module)
    assert list(_derived.REGISTERED) == ["FocalLoss(gamma=0.125)"]


REFUSED = [
    (lambda x: ft.cross_entropy(x, Y, weight=torch.ones(5)), "weight: expected numbers in a call under torch.compile"),
    (lambda x: ft.dice_loss(x, Y, reduction="none").sum(), "reduction: expected 'mean' or 'sum' for the gradient of a"),
    (ft.wrap(fl.DiceLoss(), group=1).forward, "group: expected None under torch.compile"),
]


@pytest.mark.parametrize(("function", "message"), REFUSED, ids=["weight", "reduction", "group"])
def test_what_a_graph_cannot_have(function, message):
    with pytest.raises(Exception, match=message):
        graph(lambda x: function(x) if message[0] != "g" else function(x, Y), "aot_eager")(data(fl.DiceLoss()))


def test_the_gradient_has_no_derivative():
    key, x = key_of(fl.DiceLoss()), data(fl.DiceLoss())
    (gradient,) = torch.autograd.grad(loss_op(key, x, Y, None, None)[0], x, create_graph=True)
    with pytest.raises(NotImplementedError, match="expected a first derivative"):
        gradient.sum().backward()


def test_two_classes_with_one_repr_have_keys_of_their_own():
    class CrossEntropyLoss(fl.CrossEntropyLoss):
        pass

    assert key_of(CrossEntropyLoss()) != key_of(fl.CrossEntropyLoss())
    assert key_of(CrossEntropyLoss()) == key_of(CrossEntropyLoss())
