"""Values and gradients against torch.nn.functional and autograd, and torch tensors as input.

ELEMENTS and CLASSES are tables of functions: ours, theirs, the inputs and the options that both take, each over all
shapes, dtypes and reductions, with and without weights. torch computes in float64, whatever our dtype.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from cases import DTYPES, assert_close

import fastloss as fl
from fastloss._arrays import as_array

torch = pytest.importorskip("torch")
F = torch.nn.functional

INF = np.inf
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
WEIGHT = [1.0, 0.5, 0.0, 2.0, 3.0]


def tensor(a):
    return torch.tensor(np.asarray(a, np.float64))


def gradient_of(function, x):
    """A torch function's value and the gradient of its sum, as arrays of float64."""
    t = tensor(x).requires_grad_()
    value = function(t)
    value.sum().backward()
    return value.detach().numpy(), t.grad.numpy()


def agree(ours, theirs, x, dtype, cancels=1):
    """`ours()`, (value, gradient), is that of the torch function of a tensor."""
    value, gradient = ours()
    want, want_gradient = gradient_of(theirs, x)
    assert_close(np.asarray(value, None if np.ndim(value) else np.float64), want, dtype, cancels=cancels)
    if dtype == np.float64:  # in which torch's p - y has an eps of 1
        gradient, want_gradient = np.append(gradient, 1.0), np.append(want_gradient, 1.0)
    assert_close(gradient, want_gradient, dtype, cancels=cancels)


# ---- losses of elements

ELEMENT_SHAPES = [(), (1,), (7,), (3, 4), (2, 5, 6), (2, 3, 4, 5), (2, 3, 1, 4, 5), (1, 1), (0, 3), (2, 600)]


def logits(rng, shape):
    return 4 * rng.standard_normal(shape), rng.random(shape) * rng.integers(0, 2, shape)


def hard(rng, shape):
    return 30 * rng.standard_normal(shape), rng.integers(0, 2, shape)


def chances(rng, shape):
    return 0.02 + 0.96 * rng.random(shape), rng.random(shape)


def log_chances(rng, shape):
    return np.log(chances(rng, shape)[0]), rng.random(shape) * rng.integers(0, 2, shape)


def two_log_chances(rng, shape):
    return np.log(chances(rng, shape)[0]), np.log(chances(rng, shape)[0])


def signs(rng, shape):
    return 4 * rng.standard_normal(shape), 2 * rng.integers(0, 2, shape) - 1


def distances(rng, shape):
    """Every third on a multiple of 1/4, so that some lie on the kinks, 0 and the thresholds below."""
    x, y = 2 * rng.standard_normal((2, *shape))
    grid = rng.random(shape) < 1 / 3
    return np.where(grid, np.round(4 * x) / 4, x), np.where(grid, np.round(4 * y) / 4, y)


# name: (ours, theirs, inputs, options of ours and theirs)
ELEMENTS = {
    "bce_with_logits": (fl.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, logits, [{}]),
    "bce_with_logits, hard": (fl.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, hard, [{}]),
    "bce": (fl.binary_cross_entropy, F.binary_cross_entropy, chances, [{}]),
    "kl_div": (fl.kl_div, F.kl_div, log_chances, [{}]),
    "kl_div, log_target": (fl.kl_div, F.kl_div, two_log_chances, [{"log_target": True}]),
    "soft_margin": (fl.soft_margin_loss, F.soft_margin_loss, signs, [{}]),
    "mse": (fl.mse_loss, F.mse_loss, distances, [{}]),
    "l1": (fl.l1_loss, F.l1_loss, distances, [{}]),
    "huber": (fl.huber_loss, F.huber_loss, distances, [{"delta": d} for d in (1.0, 0.25, 5.0)]),
    "smooth_l1": (fl.smooth_l1_loss, F.smooth_l1_loss, distances, [{"beta": b} for b in (1.0, 0.25, 5.0, 0.0)]),
}
ROWS = [(name, options) for name, row in ELEMENTS.items() for options in row[3]]


@pytest.mark.filterwarnings(
    "ignore:reduction. 'mean' divides"
)  # kl_div's: "batchmean" is what mathematics calls a mean
@every_dtype
@reductions
@pytest.mark.parametrize(("name", "options"), ROWS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_elements(name, options, weighted, reduction, dtype, backend):
    ours, theirs, inputs, _ = ELEMENTS[name]
    loss = LOSSES[ours](reduction=reduction, **options)
    for k, shape in enumerate(ELEMENT_SHAPES):
        rng = np.random.default_rng(k)
        x, y = inputs(rng, shape)
        x = np.asarray(x).astype(dtype)
        w = np.array(rng.integers(0, 3, shape) / 2 if weighted else np.ones(shape))
        w.reshape(-1)[:1] = 1  # nothing kept: in test_hard.py

        def function(t, y=y, w=w):
            values = tensor(w) * theirs(t, tensor(y), reduction="none", **options)
            return {"none": values, "sum": values.sum(), "mean": values.sum() / w.sum()}[reduction]

        cancels = 16 if ours is fl.kl_div or reduction != "none" else 1  # terms of both signs
        weight = {"pixel_weight": w} if weighted else {}
        agree(lambda x=x, y=y, k=weight: loss.value_and_grad(x, y, **k), function, x, dtype, cancels)
        if not weighted and x.size:  # torch's own reduction
            want = theirs(tensor(x), tensor(y), reduction=reduction, **options).numpy()
            assert_close(ours(x, y, reduction=reduction, **options), want, dtype, cancels=cancels)


LOSSES = {
    fl.binary_cross_entropy_with_logits: fl.BCEWithLogitsLoss,
    fl.binary_cross_entropy: fl.BCELoss,
    fl.kl_div: fl.KLDivLoss,
    fl.soft_margin_loss: fl.SoftMarginLoss,
    fl.mse_loss: fl.MSELoss,
    fl.l1_loss: fl.L1Loss,
    fl.huber_loss: fl.HuberLoss,
    fl.smooth_l1_loss: fl.SmoothL1Loss,
}


@every_dtype
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("shape", [s for s in ELEMENT_SHAPES if s and s[0]], ids=str)
def test_kl_div_batchmean(shape, log_target, dtype, backend):
    x, y = (two_log_chances if log_target else log_chances)(np.random.default_rng(0), shape)
    x = x.astype(dtype)
    options = {"log_target": log_target, "reduction": "batchmean"}
    loss = fl.KLDivLoss(**options)
    agree(lambda: loss.value_and_grad(x, y), lambda t: F.kl_div(t, tensor(y), **options), x, dtype, 16)


@every_dtype
@reductions
@pytest.mark.parametrize("shape", [(4, 5), (2, 5, 300), (2, 5, 17, 19), (1, 5, 5, 6, 7), (1, 5), (0, 5, 3)], ids=str)
@pytest.mark.parametrize("pos_weight", [2.5, WEIGHT])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_pos_weight(shape, pos_weight, smoothing, reduction, dtype, backend):
    x, y = logits(np.random.default_rng(0), shape)
    x = x.astype(dtype)
    b = tensor(pos_weight).reshape(-1, *[1] * (len(shape) - 2)) if isinstance(pos_weight, list) else tensor(pos_weight)
    loss = fl.BCEWithLogitsLoss(pos_weight=pos_weight, label_smoothing=smoothing, reduction=reduction)
    target = tensor((1 - smoothing) * y + smoothing / 2)  # torch smooths no binary target
    function = lambda t: F.binary_cross_entropy_with_logits(t, target, pos_weight=b, reduction=reduction)  # noqa: E731
    agree(lambda: loss.value_and_grad(x, y), function, x, dtype)


# ---- the ends: kinks, infinities, probabilities of 0 and 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("loss", "function"),
    [
        (fl.L1Loss(reduction="sum"), F.l1_loss),
        (fl.SmoothL1Loss(reduction="sum"), F.smooth_l1_loss),
        (fl.SmoothL1Loss(beta=0, reduction="sum"), lambda *a, **k: F.smooth_l1_loss(*a, beta=0.0, **k)),
        (fl.SmoothL1Loss(beta=0.1, reduction="sum"), lambda *a, **k: F.smooth_l1_loss(*a, beta=0.1, **k)),
        (fl.HuberLoss(reduction="sum"), F.huber_loss),
        (fl.HuberLoss(delta=0.1, reduction="sum"), lambda *a, **k: F.huber_loss(*a, delta=0.1, **k)),
    ],
    ids=lambda v: repr(v) if isinstance(v, fl.Loss) else "torch",  # a lambda's repr has its address
)
def test_subgradients_at_kinks(loss, function, dtype, backend):
    x = np.array([0.0, -0.0, 1.0, -1.0, 0.1, -0.1, 0.5, 7.0, 1e30, -1e30, INF, -INF], dtype)
    _, want = gradient_of(lambda t: function(t, 0 * t.detach().nan_to_num(0, 0, 0), reduction="sum"), x)
    # 0.1 in float32 is not that in float64: an eps of it.
    np.testing.assert_allclose(loss.value_and_grad(x, np.zeros_like(x))[1], want, rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_perceptron_is_a_maximum(dtype, backend):
    """Of equal maxima, torch's `max` over an axis gives the gradient to the first, too."""
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (5, 3), (2, 5, 300), (2, 4, 5, 6), (1, 600, 3)]:
        x = rng.integers(-2, 3, shape).astype(dtype)  # many ties
        y = rng.integers(0, shape[1], shape[:1] + shape[2:])
        function = lambda t, y=y: (t.max(1).values - t.gather(1, torch.tensor(y)[:, None])[:, 0]).mean()  # noqa: E731
        agree(lambda x=x, y=y: fl.PerceptronLoss().value_and_grad(x, y), function, x, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinite_logits(dtype, backend):
    x = np.array([[0, -INF, 1.5], [-INF, 2, -INF], [1e4, -1e4, -INF], [-1e4, 1e4, 0]], dtype)
    y = np.array([0, 1, 1, 0])
    function = lambda t: F.cross_entropy(t, torch.tensor(y), reduction="none")  # noqa: E731
    agree(lambda: fl.CrossEntropyLoss(reduction="none").value_and_grad(x, y), function, x, dtype)
    b = np.array([0.0, 1e4, -1e4, INF, -INF, INF, -INF], dtype)
    z = np.array([0.5, 0, 1, 0, 1, 0.5, 0.5])
    values, gradient = fl.BCEWithLogitsLoss(reduction="none").value_and_grad(b, z)
    want, want_gradient = gradient_of(lambda t: F.binary_cross_entropy_with_logits(t, tensor(z), reduction="none"), b)
    np.testing.assert_allclose(values[:4], want[:4], rtol=1e-6)
    np.testing.assert_allclose(gradient, [0, 1, -1, 1, -1, 0.5, -0.5], rtol=1e-6)
    np.testing.assert_allclose(gradient[:4], want_gradient[:4], rtol=1e-6)
    # Ours is inf where torch's is nan, inf - inf or 0 inf; and 0 where nothing is lost.
    assert (values[4:] == INF).all()
    assert np.isnan(want[4:]).any()
    assert fl.BCEWithLogitsLoss()(b[3:5], [1.0, 0.0]) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_of_0_and_1(dtype, backend):
    """Values are torch's. So are the gradients, but where prediction and target agree: the slope of -log p at 1 is -1,
    torch's p - y over p (1 - p) is 0."""
    p, y = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], dtype), np.array([1, 0, 0.5, 0.5, 0, 1])
    values, gradient = fl.BCELoss(reduction="none").value_and_grad(p, y)
    want, want_gradient = gradient_of(lambda t: F.binary_cross_entropy(t, tensor(y), reduction="none"), p)
    np.testing.assert_array_equal(values, want)
    np.testing.assert_allclose(gradient[:4], want_gradient[:4], rtol=1e-6)
    np.testing.assert_array_equal(gradient[4:], [1, -1])
    np.testing.assert_array_equal(want_gradient[4:], [0, 0])


def test_probabilities_outside_0_to_1_are_not_looked_for(backend):
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(tensor([3.0]), tensor([1.0]))
    assert fl.binary_cross_entropy(np.array([3.0]), np.array([1.0])) == pytest.approx(-np.log(3))


def test_soft_margin_where_torch_overflows(backend):
    """log(1 + exp(1e4)) = 1e4; torch's exp is inf."""
    assert fl.soft_margin_loss([1e4], [-1.0]) == 1e4
    assert torch.isinf(F.soft_margin_loss(tensor([1e4]), tensor([-1.0])))


def test_dense_targets_of_0_silence_a_masked_class(backend):
    """0 times -inf: nan in torch."""
    x, y = [[0.0, 0.0, -INF]], [[0.5, 0.5, 0.0]]
    assert fl.cross_entropy(x, y) == pytest.approx(np.log(2))
    assert torch.isnan(F.cross_entropy(tensor(x), tensor(y)))


# ---- losses over a class axis

CLASS_SHAPES = [(4, 5), (1, 5), (2, 5, 300), (2, 5, 17, 19), (1, 5, 5, 6, 7), (3, 5, 1), (0, 5, 4), (2, 5, 0)]
every_shape = pytest.mark.parametrize("shape", CLASS_SHAPES, ids=str)


def class_data(shape, dtype, of_logs=False):
    """Input, labels, soft target and pixel weights. Some labels are 255, but not the first."""
    rng = np.random.default_rng(0)
    x = 3 * rng.standard_normal(shape)
    x = fl.log_softmax(x, axis=1) if of_logs else x
    y = rng.integers(0, shape[1], shape[:1] + shape[2:])
    y[rng.random(y.shape) < 0.2] = 255
    y.reshape(-1)[:1] = 0
    soft = rng.random(shape)
    return x.astype(dtype), y, soft / soft.sum(axis=1, keepdims=True), rng.integers(0, 3, y.shape) / 2


@every_shape
@every_dtype
@reductions
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_labels(name, shape, dtype, reduction, weight, backend):
    x, y, _, w = class_data(shape, dtype, name == "nll_loss")
    torch_weight = None if weight is None else tensor(weight)
    options = {"reduction": reduction, "ignore_index": 255}
    function = lambda t, **k: getattr(F, name)(t, torch.tensor(y), weight=torch_weight, **options | k)  # noqa: E731
    loss = {"cross_entropy": fl.CrossEntropyLoss, "nll_loss": fl.NLLLoss}[name](class_weight=weight, **options)
    for smoothing in (0.0, 0.1, 1.0) if name == "cross_entropy" else (None,):
        smooth = {} if smoothing is None else {"label_smoothing": smoothing}
        loss = type(loss)(class_weight=weight, **options, **smooth)
        agree(lambda loss=loss: loss.value_and_grad(x, y), lambda t, k=smooth: function(t, **k), x, dtype)

        def weighted(t, k=smooth):
            values = tensor(w) * function(t, reduction="none", **k)
            kept = np.where(y == 255, 0, w * np.append(weight or [1.0] * 5, 0)[np.minimum(y, 5)])
            return {"none": values, "sum": values.sum(), "mean": values.sum() / kept.sum()}[reduction]

        if y.size > 1:
            agree(lambda loss=loss: loss.value_and_grad(x, y, pixel_weight=w), weighted, x, dtype)
    ignored = np.full_like(y, 255)
    value, gradient = loss.value_and_grad(x, ignored)
    want, want_gradient = gradient_of(lambda t: getattr(F, name)(t, torch.tensor(ignored), **options), x)
    np.testing.assert_array_equal(value, want)
    np.testing.assert_array_equal(gradient, want_gradient * 0 if reduction == "mean" else want_gradient)


@every_shape
@every_dtype
@reductions
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_dense_targets(shape, dtype, reduction, weight, smoothing, backend):
    x, _, soft, _ = class_data(shape, dtype)
    options = {"label_smoothing": smoothing, "reduction": reduction}
    torch_weight = None if weight is None else tensor(weight)
    loss = fl.CrossEntropyLoss(class_weight=weight, **options)
    function = lambda t, y: F.cross_entropy(t, tensor(y), weight=torch_weight, **options)  # noqa: E731
    for y in (soft, soft == soft.max(axis=1, keepdims=True)):
        agree(lambda y=y: loss.value_and_grad(x, y), lambda t, y=y: function(t, y), x, dtype)


@every_dtype
@reductions
@pytest.mark.parametrize("shape", [(4, 5), (1, 5), (3, 7, 5), (2, 3, 4, 5), (2, 600), (1, 1), (0, 5)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_multilabel_soft_margin(shape, weighted, reduction, dtype, backend):
    """Its classes are torch's last axis."""
    rng = np.random.default_rng(0)
    x, y = (8 * rng.standard_normal(shape)).astype(dtype), rng.integers(0, 2, shape)
    w = rng.integers(0, 3, shape[-1]) / 2 if weighted else None
    loss = fl.MultiLabelSoftMarginLoss(class_weight=w, axis=-1, reduction=reduction)
    function = lambda t: F.multilabel_soft_margin_loss(  # noqa: E731
        t, tensor(y), weight=None if w is None else tensor(w), reduction=reduction
    )
    agree(lambda: loss.value_and_grad(x, y.astype(float)), function, x, dtype)


# ---- functions

AWKWARD = [0.0, -0.0, 1e-30, 20.0, 20.5, -20.5, 87.0, -87.0, 105.0, 700.0, 1e4, -1e4, 3e38, -3e38, INF, -INF]
FUNCTIONS = {
    "softplus": (
        fl.softplus,
        lambda t: torch.where(t > 20, -F.logsigmoid(-t), F.softplus(t)),
    ),  # its own is t from 20 on
    "log_sigmoid": (fl.log_sigmoid, F.logsigmoid),
    "sigmoid": (fl.sigmoid, torch.sigmoid),
}


@every_dtype
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", ELEMENT_SHAPES, ids=str)
def test_functions_of_elements(name, shape, dtype, backend):
    ours, theirs = FUNCTIONS[name]
    x = np.asarray(8 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    assert_close(ours(x), theirs(tensor(x)).numpy(), dtype)
    with np.errstate(over="ignore"):  # 3e38 is inf in float16
        x = np.array(AWKWARD).astype(dtype)
    for a in x:  # each by itself: all digits of small values count
        assert_close(ours(a), theirs(tensor(a)).numpy(), dtype)


@every_dtype
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize(
    "shape", [(1,), (7,), (3, 4), (2, 5, 6), (2, 3, 4, 5), (2, 3, 1, 4, 5), (1, 1), (2, 600)], ids=str
)
def test_functions_of_an_axis(name, shape, dtype, backend):
    x = (8 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    function = {"softmax": F.softmax, "log_softmax": F.log_softmax, "logsumexp": torch.logsumexp}[name]
    for axis in range(-len(shape), len(shape)):
        assert_close(getattr(fl, name)(x, axis), function(tensor(x), axis).numpy(), dtype)
        masked = x.copy()
        masked[(0,) * len(shape)] = -INF
        if x.shape[axis] > 1:
            assert_close(getattr(fl, name)(masked, axis), function(tensor(masked), axis).numpy(), dtype)


# ---- region losses, by formula

SHAPES = [(4, 5), (2, 5, 300), (2, 5, 17, 19), (1, 5, 5, 6, 7)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# Both compute in the dtype, and torch subtracts logits from their log-sum-exp: some eps of the largest logit (about 10)
# absolutely, and its sums run over a thousand numbers.
TOLERANCE = {np.float32: {"rtol": 1e-5, "atol": 2e-6}, np.float64: {"rtol": 1e-12, "atol": 1e-14}}


def data(shape, dtype):
    rng = np.random.default_rng(0)
    x = 3 * rng.standard_normal(shape)
    y = rng.integers(0, shape[1], shape[:1] + shape[2:])
    y[rng.random(y.shape) < 0.2] = 255
    y.flat[0] = 0
    soft = rng.random(shape)
    return x.astype(dtype), y, (soft / soft.sum(axis=1, keepdims=True)).astype(dtype)


def compare(loss, function, x, y, dtype, **weights):
    """Value (or map) and gradient of `loss`, against those of the torch function of a tensor."""
    t = torch.tensor(x, requires_grad=True)
    want = function(t)
    want.sum().backward()
    value, gradient = loss.value_and_grad(x, y, **weights)
    np.testing.assert_allclose(value, want.detach().numpy(), **TOLERANCE[dtype])
    np.testing.assert_allclose(gradient, t.grad.numpy(), **TOLERANCE[dtype])


def formula(t, y, kind, batch, squared=False, alpha=0.3, beta=0.7):
    """Dice, Jaccard and Tversky of probabilities, as their papers write them."""
    t, y = (a.reshape(*a.shape[:2], -1) for a in (t, y))
    axes = (0, 2) if batch else (2,)
    tp, fp, fn = (t * y).sum(axes), (t * (1 - y)).sum(axes), ((1 - t) * y).sum(axes)
    if kind == "dice":
        below = (t**2 + y**2).sum(axes) if squared else (t + y).sum(axes)
        return (1 - (2 * tp + 0.1) / (below + 0.1)).mean()
    a, b = (1, 1) if kind == "jaccard" else (alpha, beta)
    return (1 - (tp + 0.1) / (tp + a * fp + b * fn + 0.1)).mean()


@shapes
@dtypes
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
@pytest.mark.parametrize("kind", ["dice", "squared", "jaccard", "tversky"])
@pytest.mark.parametrize("dense", [False, True])
def test_region_losses(shape, dtype, batch, activation, kind, dense, backend):
    x, y, soft = data(shape, dtype)
    y[y == 255] = 0
    if activation is None:
        x = (1 / (1 + np.exp(-x))).astype(dtype)
    loss = {
        "dice": lambda **k: fl.DiceLoss(**k),
        "squared": lambda **k: fl.DiceLoss(squared=True, **k),
        "jaccard": lambda **k: fl.JaccardLoss(**k),
        "tversky": lambda **k: fl.TverskyLoss(alpha=0.3, beta=0.7, **k),
    }[kind](activation=activation, batch=batch, smooth=0.1)
    activate = {"softmax": lambda t: t.softmax(1), "sigmoid": torch.sigmoid, None: lambda t: t}[activation]
    target = torch.tensor(soft) if dense else F.one_hot(torch.tensor(y), 5).movedim(-1, 1).to(torch.tensor(x).dtype)
    name = "dice" if kind == "squared" else kind
    function = lambda t: formula(activate(t), target, name, batch, kind == "squared")  # noqa: E731
    compare(loss, function, x, soft if dense else y, dtype)


# ---- tensors as input


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
