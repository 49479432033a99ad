"""Tests fastloss.torch: every loss and layout, compared with the loss of arrays, with torch's, and by gradcheck."""

from __future__ import annotations

import copy
import inspect
import pickle

import ml_dtypes
import numpy as np
import pytest
from cases import BY_NAME, CASES, SINGLE_CASES, SUM_CASES, images

import fastloss as fl

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

import fastloss.torch as ft  # noqa: E402
from fastloss._derived import NAMES  # noqa: E402
from fastloss._engine.functions import FUNCTIONS  # noqa: E402

cases = pytest.mark.parametrize("case", CASES, ids=str)
DTYPES = {torch.float16: np.float16, torch.bfloat16: ml_dtypes.bfloat16, torch.float32: np.float32}
DTYPES |= {torch.float64: np.float64}


def tensors(case, loss, shape=(2, 5, 6, 7), dtype=np.float64):
    """Return (input, target, pixel_weight) as tensors, and the same as arrays."""
    x, y, w = images(case, loss, shape, dtype)
    t = torch.from_numpy(x.view(np.uint16)).view(torch.bfloat16) if dtype == ml_dtypes.bfloat16 else torch.from_numpy(x)
    return (t, torch.from_numpy(y), torch.from_numpy(w)), (x, y, w)


@cases
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_value_and_gradient_are_those_of_the_arrays(case, dtype, backend):
    loss = case.make(5)
    (t, target, weight), (x, y, w) = tensors(case, loss, dtype=DTYPES[dtype])
    t.requires_grad_()
    value = ft.wrap(loss)(t, target, pixel_weight=weight)
    want, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    assert value.shape == ()
    assert value.dtype == (dtype if dtype == torch.float64 else torch.float32)
    assert value.item() == pytest.approx(want, rel=1e-7, nan_ok=True)  # float32 holds the value to 6e-8
    (2 * value).backward()
    assert t.grad.dtype == dtype
    gradient = gradient.astype(np.float64)
    rtol = 4 * float(ml_dtypes.finfo(DTYPES[dtype]).eps)  # the factor 2 changes the rounding
    atol = rtol * np.abs(gradient).max() + 2 * float(ml_dtypes.finfo(DTYPES[dtype]).smallest_subnormal)
    np.testing.assert_allclose(t.grad.double().numpy(), 2 * gradient, rtol=rtol, atol=atol)


@pytest.mark.parametrize("case", SUM_CASES, ids=str)
def test_a_map_takes_a_gradient_per_pixel(case, backend):
    """The incoming gradients are of both signs. A pixel that does not count has the gradient 0, even for inf."""
    loss = case.make(5, reduction="none")
    (t, target, weight), (x, y, w) = tensors(case, loss)
    t.requires_grad_()
    values = ft.wrap(loss)(t, target, pixel_weight=weight)
    want, gradient = loss.value_and_grad(x, y, pixel_weight=w)
    np.testing.assert_array_equal(values.detach().numpy(), want)
    incoming = torch.from_numpy(np.random.default_rng(1).standard_normal(want.shape))
    axis = [] if loss.kind == "element" else [1]
    expected = np.expand_dims(incoming.numpy(), axis) * gradient
    got = torch.autograd.grad(values, t, incoming, retain_graph=True)[0]
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-15)
    incoming[(weight == 0) if weight.shape == incoming.shape else torch.zeros_like(incoming, dtype=bool)] = torch.inf
    got = torch.autograd.grad(values, t, incoming)[0]
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-15)


CHECKED = ["ce-weight-smooth-255", "dice-sigmoid", "focal-classes", "generalized-dice", "dice+ce", "boundary", "kl"]
CHECKED = [(name, "mean") for name in CHECKED] + [(n, "none") for n in CHECKED if BY_NAME[n] in SUM_CASES]


@pytest.mark.parametrize(("name", "reduction"), CHECKED)
def test_gradcheck(name, reduction, backend):
    case = BY_NAME[name]
    module = ft.wrap(case.make(3, reduction=reduction))
    (t, target, weight), _ = tensors(case, module.loss, (2, 3, 4, 2))
    assert torch.autograd.gradcheck(lambda x: module(x, target, pixel_weight=weight), t.requires_grad_())


def test_gradients_add_up_and_the_graph_may_be_kept():
    t, y = torch.randn(2, 3, 4, requires_grad=True), torch.tensor([[0, 1, 2, 0]] * 2)
    value = ft.dice_loss(t, y) + ft.cross_entropy(t, y)
    first = torch.autograd.grad(value, t, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(value, t, retain_graph=True)[0], first)
    value.backward()
    assert torch.equal(t.grad, first)
    want = fl.DiceCELoss().value_and_grad(t.detach(), y)[1]
    np.testing.assert_allclose(first.numpy(), want, atol=1e-7)


PEERS = {
    "cross_entropy": [
        {},
        {"weight": [1.0, 2.0, 0.5]},
        {"label_smoothing": 0.1, "ignore_index": 1},
        {"reduction": "sum"},
        {"reduction": "none", "weight": [1.0, 2.0, 0.5]},
    ],
    "nll_loss": [{}, {"weight": [1.0, 2.0, 0.5]}, {"reduction": "none", "ignore_index": 0}],
    "binary_cross_entropy_with_logits": [{}, {"pos_weight": 2.0}, {"reduction": "none"}],
    "kl_div": [{"reduction": "sum"}, {"log_target": True, "reduction": "batchmean"}],
    "mse_loss": [{}, {"reduction": "none"}],
    "l1_loss": [{}],
    "huber_loss": [{"delta": 0.5}],
    "smooth_l1_loss": [{"beta": 0.5}],
    "soft_margin_loss": [{}],
    "multilabel_soft_margin_loss": [{}, {"weight": [1.0, 2.0, 0.5]}],
}
PAIRS = [(name, options) for name, several in PEERS.items() for options in several]


@pytest.mark.parametrize(("name", "options"), PAIRS, ids=str)
def test_torch_has_the_same(name, options):
    """The module and the function have torch's names, values and gradients."""
    torch.manual_seed(0)
    flat = name == "multilabel_soft_margin_loss"  # torch's classes are last
    t = torch.randn(4, 3, *([] if flat else [5, 2]), dtype=torch.float64)
    t = (t.log_softmax(1) if name in ("nll_loss", "kl_div") else t).requires_grad_()
    target = torch.randint(0, 3, (4, 5, 2)) if name in ("cross_entropy", "nll_loss") else torch.rand_like(t)
    peers = {k: torch.tensor(v, dtype=torch.float64) if "weight" in k else v for k, v in options.items()}
    want = getattr(F, name)(t, target, **peers)
    factor = torch.randn_like(want)
    gradient = torch.autograd.grad(want, t, factor)[0]
    for given in (options, peers):
        for value in (getattr(ft, name)(t, target, **given), getattr(ft, FUNCTIONS[name].__name__)(**given)(t, target)):
            torch.testing.assert_close(value, want, rtol=1e-12, atol=1e-15)
            torch.testing.assert_close(torch.autograd.grad(value, t, factor)[0], gradient, rtol=1e-12, atol=1e-15)


LABELS = [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64, torch.uint64]


@pytest.mark.parametrize("dtype", [*LABELS, torch.bool], ids=str)
def test_labels_have_any_integer_dtype(dtype):
    t, y = torch.randn(2, 3, 4, requires_grad=True), torch.tensor([[0, 1, 0, 1]] * 2)
    torch.testing.assert_close(ft.cross_entropy(t, y.to(dtype)), F.cross_entropy(t, y))


LAYOUTS = {
    "channels last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "channels last 3d": lambda: torch.randn(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d),
    "transposed": lambda: torch.randn(5, 4, 3, 2).permute(3, 2, 1, 0),
    "sliced": lambda: torch.randn(2, 5, 9, 4)[:, 1:4, ::2],
    "expanded": lambda: torch.randn(1, 3, 1, 5).expand(2, 3, 4, 5),
    "negated": lambda: torch._neg_view(torch.randn(2, 3, 4)),
    "one sample": lambda: torch.randn(3),
    "no sample": lambda: torch.randn(0, 3, 4),
    "no pixel": lambda: torch.randn(2, 3, 0, 4),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout, dtype, backend):
    t = LAYOUTS[layout]().to(dtype)
    y = torch.randint(0, 3, (t.shape[:1] + t.shape[2:]) if t.ndim > 1 else ())
    leaf = t.detach().requires_grad_()
    value = ft.cross_entropy(leaf, y)
    value.backward()
    want, gradient = fl.CrossEntropyLoss().value_and_grad(t.float().contiguous(), y)
    assert value.item() == pytest.approx(want, rel=1e-6, nan_ok=True)
    assert leaf.grad.stride() == torch.empty_like(leaf).stride()
    np.testing.assert_allclose(leaf.grad.float().numpy(), gradient, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast(dtype):
    """Half logits are taken as they are. The loss is float32, and a scaled gradient keeps its digits."""
    t, y = torch.randn(2, 3, 64, 64), torch.randint(0, 3, (2, 64, 64))
    conv = torch.nn.Conv2d(3, 3, 1)
    with torch.autocast("cpu", dtype=dtype):
        logits = conv(t)
        value = ft.cross_entropy(logits, y)
    assert (logits.dtype, value.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(value, F.cross_entropy(logits.float(), y))
    scaled = torch.autograd.grad(value * 65536, logits)[0]
    want = torch.autograd.grad(F.cross_entropy(logits.float(), y) * 65536, logits)[0]
    torch.testing.assert_close(scaled, want, rtol=float(torch.finfo(dtype).eps), atol=0)


def test_an_input_without_grad_gives_a_value_alone():
    t, y = torch.randn(2, 3, 4), torch.tensor([[0, 1, 2, 0]] * 2)
    assert not ft.cross_entropy(t, y).requires_grad
    with torch.no_grad():
        assert not ft.cross_entropy(t.requires_grad_(), y).requires_grad
        assert ft.dice_loss(t, y, reduction="none").shape == (2, 3)


def test_maps_may_be_given():
    t, y = torch.randn(1, 2, 5, requires_grad=True), torch.tensor([[0, 0, 1, 1, 0]])
    maps = torch.from_numpy(np.stack([fl.signed_distance(y[0].numpy() == c) for c in (0, 1)])[None])
    values = [ft.boundary_loss(t, y), ft.boundary_loss(t, None, distance_maps=maps)]
    gradients = [torch.autograd.grad(v, t)[0] for v in values]
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_functional_transforms():
    t, y = torch.randn(2, 3, 4), torch.tensor([[0, 1, 2, 0]] * 2)
    gradient = torch.func.grad(lambda x: ft.dice_loss(x, y))(t)
    np.testing.assert_array_equal(gradient.numpy(), fl.DiceLoss().value_and_grad(t, y)[1])


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_has_a_module_and_a_function(name):
    cls = FUNCTIONS[name].__name__
    made, function = getattr(ft, cls)(), getattr(ft, name)
    assert {name, cls} <= set(ft.__all__)
    assert made.loss == FUNCTIONS[name]()
    assert f"ft.{made!r}".startswith(f"ft.{cls}(")
    assert not made.state_dict()
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert type(again) is type(made)
        assert again.loss == made.loss
    for ours, theirs in ((function, getattr(fl, name)), (type(made), FUNCTIONS[name])):
        names = [p for p in inspect.signature(ours).parameters if p != "weight"]
        assert names == [p for p in inspect.signature(theirs).parameters if p != "weight"]  # of unified focal
        assert ours.__doc__.splitlines()[0] == inspect.getdoc(theirs).splitlines()[0]


def test_single_cases_are_all_there():
    assert {type(case.make(3)).__name__ for case in SINGLE_CASES} <= set(ft.__all__)


@pytest.mark.parametrize("loss", [fl.CrossEntropyLoss(), fl.DiceLoss()], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_memory_of_a_gradient_is_used_again_only_if_nothing_refers_to_it(dtype, loss):
    t, y = torch.randn(1, 9, 512, 512).to(dtype).requires_grad_(), torch.zeros(1, 512, 512, dtype=torch.int64)

    def gradient():
        return torch.autograd.grad(ft.wrap(loss)(t, y), t)[0]

    first = gradient()
    place, want = first.data_ptr(), first.clone()
    view = first[0, 1:2] if dtype == torch.bfloat16 else torch.from_numpy(first.numpy()[0, 1:2])
    del first
    second = gradient()
    assert second.data_ptr() != place
    second.zero_()
    assert torch.equal(view, want[0, 1:2])
    place = second.data_ptr()
    del second
    third = gradient()
    assert third.data_ptr() == place
    assert torch.equal(third, want)


def test_a_gradient_that_came_with_the_value_is_given_away_once():
    t, y = torch.randn(2, 3, 4, requires_grad=True), torch.tensor([[0, 1, 2, 0]] * 2)
    value = ft.cross_entropy(t, y)
    first = torch.autograd.grad(3 * value, t, retain_graph=True)[0]
    want = first.clone()
    first.zero_()
    torch.testing.assert_close(torch.autograd.grad(value, t)[0] * 3, want)


@pytest.mark.parametrize("name", ["ce", "dice", "focal", "dice+ce", "bce"])
@pytest.mark.parametrize("grad", [float("inf"), float("nan"), 0.0])
def test_a_pixel_that_does_not_count_has_the_gradient_0_whatever_comes_in(name, grad, backend):
    loss = BY_NAME[name].make(5)
    (t, target, weight), _ = tensors(BY_NAME[name], loss)
    value = ft.wrap(loss)(t.requires_grad_(), target, pixel_weight=weight)
    gradient = torch.autograd.grad(value, t, torch.full_like(value, grad))[0]
    nothing = weight == 0 if weight.ndim == t.ndim else (weight == 0)[:, None].expand(t.shape)
    assert (gradient[nothing] == 0).all()
    assert bool(gradient[~nothing].isfinite().all()) == (grad == 0)
