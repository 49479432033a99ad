"""Tests losses over several inputs, and DiceCELoss, against torch, MONAI, finite differences and merged partials."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compare import assert_close, bits, real, same_bits
from layouts import DTYPES, LAYOUTS

import fastloss as fl
from fastloss.losses import MULTI_INPUT_LOSSES

torch = pytest.importorskip("torch")
F = torch.nn.functional


@dataclasses.dataclass(frozen=True)
class Joint:
    """A joint loss, what torch makes of the same arguments, and which arguments are predictions."""

    name: str
    loss: Any
    torch: Callable[..., torch.Tensor]
    data: Callable[..., tuple[Any, ...]]
    predicted: tuple[int, ...]
    empty: float = np.nan  # its value without a sample

    def __str__(self) -> str:
        return self.name


# ---- what torch makes of them


def discriminator(real_, fake):
    return F.binary_cross_entropy(real_, torch.ones_like(real_)) + F.binary_cross_entropy(fake, torch.zeros_like(fake))


def discriminator_logits(real_, fake):
    return -F.logsigmoid(real_).mean() - F.logsigmoid(-fake).mean()


def saturating(fake):
    return -F.binary_cross_entropy(fake, torch.zeros_like(fake))


def detection(cls, cls_target, box, box_target):
    return 0.3 * F.cross_entropy(cls, cls_target) + 0.7 * F.smooth_l1_loss(box, box_target)


def faster_rcnn(x, labels, t, target, lambda_=10.0, n_cls=None, n_box=None):
    sampled, positive = labels != -1, labels == 1
    cls = F.binary_cross_entropy_with_logits(x[sampled], positive[sampled].to(x.dtype), reduction="sum")
    box = F.smooth_l1_loss(t[positive], target[positive], reduction="sum")
    return cls / (n_cls or sampled.sum()) + lambda_ * box / (n_box or labels.numel())


def mask(x, ids, target):
    """torchvision.models.detection.roi_heads.maskrcnn_loss, without the resampling of its targets."""
    if target.numel() == 0:
        return x.sum() * 0
    return F.binary_cross_entropy_with_logits(x[torch.arange(len(ids)), ids], target)


def mask_rcnn(x, labels, t, target, *masks, **options):
    return faster_rcnn(x, labels, t, target, **options) + mask(*masks)


# ---- data


def scores(rng, dtype, n=5, probability=False):
    """Of real and of generated samples."""
    x = [3 * rng.standard_normal((n, *s)) for s in ((1, 6, 7), (4,))]
    return tuple((0.1 + 0.8 / (1 + np.exp(-a)) if probability else a).astype(dtype) for a in x)


def boxes(rng, dtype, n=6):
    t = 2 * rng.standard_normal((2, n, 4))
    return (
        (3 * rng.standard_normal((n, 5))).astype(dtype),
        rng.integers(0, 5, n),
        t[0].astype(dtype),
        t[1].astype(dtype),
    )


def anchors(rng, dtype, n=3):
    shape = (n, 4, 5)
    labels = rng.integers(-1, 2, shape)
    t = 2 * rng.standard_normal((2, *shape, 4))
    return (3 * rng.standard_normal(shape)).astype(dtype), labels, t[0].astype(dtype), t[1].astype(dtype)


def regions(rng, dtype, n=4):
    x = 3 * rng.standard_normal((n, 3, 7, 6))
    return x.astype(dtype), rng.integers(0, 3, n), rng.integers(0, 2, (n, 7, 6)).astype(dtype)


def both(rng, dtype, n=3):
    return *anchors(rng, dtype, n), *regions(rng, dtype, n)


def probabilities(rng, dtype, n=5):
    return scores(rng, dtype, n, probability=True)


def one(of):
    """The first of the two arrays."""
    return lambda *a, **k: of(*a, **k)[:1]


NORM = {"lambda_": 2.0, "n_cls": 256, "n_box": 2400}
LOGIT = {"activation": "sigmoid"}
CASES = [
    Joint("gan-d", fl.GANDiscriminatorLoss(), discriminator, probabilities, (0, 1)),
    Joint("gan-d-logits", fl.GANDiscriminatorLoss(**LOGIT), discriminator_logits, scores, (0, 1)),
    Joint("gan-g", fl.GANGeneratorLoss(), lambda t: -t.log().mean(), one(probabilities), (0,)),
    Joint("gan-g-saturating", fl.GANGeneratorLoss(saturating=True), saturating, one(probabilities), (0,)),
    Joint("gan-g-logits", fl.GANGeneratorLoss(**LOGIT), lambda t: -F.logsigmoid(t).mean(), one(scores), (0,)),
    Joint(
        "gan-g-saturating-logits",
        fl.GANGeneratorLoss(saturating=True, **LOGIT),
        lambda t: F.logsigmoid(-t).mean(),
        one(scores),
        (0,),
    ),
    Joint("detection", fl.DetectionLoss(alpha=0.3), detection, boxes, (0, 2)),
    Joint("faster-rcnn", fl.FasterRCNNLoss(), faster_rcnn, anchors, (0, 2)),
    Joint("faster-rcnn-norm", fl.FasterRCNNLoss(**NORM), lambda *a: faster_rcnn(*a, **NORM), anchors, (0, 2), 0.0),
    Joint("mask-rcnn-mask", fl.MaskRCNNMaskLoss(), mask, regions, (0,), 0.0),
    Joint("mask-rcnn", fl.MaskRCNNLoss(), mask_rcnn, both, (0, 2, 4)),
    Joint("mask-rcnn-norm", fl.MaskRCNNLoss(**NORM), lambda *a: mask_rcnn(*a, **NORM), both, (0, 2, 4), 0.0),
]
cases = pytest.mark.parametrize("case", CASES, ids=str)


def data(case, dtype=np.float64, seed=0, **size):
    return case.data(np.random.default_rng(seed), dtype, **size)


def by_torch(case, arguments):
    """Value and gradients in float64."""
    tensors = [torch.tensor(a.astype(np.float64) if a.dtype.kind not in "iub" else a) for a in arguments]
    for k in case.predicted:
        tensors[k].requires_grad_()
    value = case.torch(*tensors)
    value.backward()
    return value.item(), [tensors[k].grad.numpy() for k in case.predicted]


# ---- right values


@cases
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_value_and_gradients_are_torchs(case, dtype, backend):
    arguments = data(case, dtype)
    want, want_gradients = by_torch(case, arguments)
    value, gradients = case.loss.value_and_grad(*arguments)
    assert type(value) is float
    assert type(gradients) is tuple
    assert_close(value, want, real(dtype))
    for k, gradient, want_gradient in zip(case.predicted, gradients, want_gradients, strict=True):
        assert gradient.dtype == dtype
        assert gradient.shape == arguments[k].shape
        assert_close(gradient, want_gradient, dtype)
    assert case.loss(*arguments) == value


@cases
def test_gradients_are_those_of_differences(case, backend):
    arguments = list(data(case))
    step = 1e-4
    gradients = case.loss.value_and_grad(*arguments)[1]
    for k, gradient in zip(case.predicted, gradients, strict=True):
        given = arguments[k]
        for at in [np.unravel_index(i, given.shape) for i in range(0, given.size, max(1, given.size // 20))]:
            moved = []
            for steps in (1, -1, 2, -2):
                arguments[k] = given.copy()
                arguments[k][at] += steps * step
                moved.append(case.loss(*arguments))
            arguments[k] = given
            difference = (8 * (moved[0] - moved[1]) - (moved[2] - moved[3])) / (12 * step)
            # The method's error is h^4/30 times the fifth derivative, at most the log's 24/0.1^5; rounding's 1e-16 / h,
            # of values of about 10.
            np.testing.assert_allclose(gradient[at], difference, rtol=1e-8, atol=1e-10)


@cases
def test_partials_of_batches_merge_to_the_whole(case, backend):
    loss, arguments = case.loss, data(case, n=5)
    parts = [loss.partial(*(a[s] for a in arguments)) for s in (slice(0, 1), slice(1, 2), slice(2, 5))]
    want = loss(*arguments)
    for order in (parts, parts[::-1], [pickle.loads(pickle.dumps(p)) for p in parts]):
        # Their exact sums are finalized; only a large sample's own sums depend on the batch it lies in.
        assert loss.finalize(fl.Partial.sum(order)) == pytest.approx(want, rel=1e-13)
    assert same_bits(fl.Partial.sum(parts).numbers, fl.Partial.sum(parts[::-1]).numbers)
    assert loss.finalize(fl.Partial.from_arrays(fl.Partial.sum(parts).arrays())) == pytest.approx(want, rel=1e-13)
    assert fl.Partial.sum(parts).samples == 5
    other = dataclasses.replace(CASES[0].loss, activation="sigmoid") if case is CASES[0] else CASES[0].loss
    with pytest.raises(ValueError, match=r"^partials: expected partials of one loss"):
        parts[0] + other.partial(*data(CASES[0]))
    with pytest.raises(ValueError, match=r"^partial: expected a partial of "):
        loss.finalize(other.partial(*data(CASES[0])))


@cases
def test_arguments_of_any_layout_are_read_and_left_alone(case):
    arguments = data(case, np.float32)
    want, want_gradients = case.loss.value_and_grad(*arguments)
    for layout in LAYOUTS:
        laid_out = [layout(a) for a in arguments]
        before = [bits(a) for a in laid_out]
        value, gradients = case.loss.value_and_grad(*laid_out)
        assert same_bits(value, want)
        assert all(same_bits(g, w) for g, w in zip(gradients, want_gradients, strict=True))
        assert [bits(a) for a in laid_out] == before


@cases
def test_tensors_and_mixed_dtypes(case, backend):
    arguments = list(data(case, np.float32))
    want, want_gradients = case.loss.value_and_grad(*arguments)
    assert same_bits(case.loss(*map(torch.tensor, arguments)), want)
    last = case.predicted[-1]
    arguments[last] = arguments[last].astype(np.float64)
    value, gradients = case.loss.value_and_grad(*arguments)
    assert value == pytest.approx(want, rel=1e-6)
    assert [g.dtype for g in gradients] == [*[np.float32] * (len(gradients) - 1), np.float64]
    assert all(same_bits(g, w) for g, w in zip(gradients[:-1], want_gradients[:-1], strict=True))


# ---- what does not count


@cases
def test_empty(case, backend):
    arguments = data(case, n=0)
    value, gradients = case.loss.value_and_grad(*arguments)
    np.testing.assert_equal(value, case.empty)
    assert [g.shape for g in gradients] == [arguments[k].shape for k in case.predicted]


def test_no_region_adds_nothing(backend):
    rng = np.random.default_rng(0)
    anchor, region = anchors(rng, np.float32), regions(rng, np.float32, 0)
    value, gradients = fl.MaskRCNNLoss().value_and_grad(*anchor, *region)
    assert value == fl.faster_rcnn_loss(*anchor)
    assert gradients[2].shape == (0, 3, 7, 6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("loss", [fl.FasterRCNNLoss(), fl.FasterRCNNLoss(n_cls=7, n_box=9)], ids=repr)
def test_anchors_that_do_not_count_are_silent(loss, bad, backend):
    x, labels, t, target = anchors(np.random.default_rng(0), np.float32)
    want, want_gradients = loss.value_and_grad(x, labels, t, target)
    x = np.where(labels == -1, np.float32(bad), x)
    t = np.where((labels == 1)[..., None], t, np.float32(bad))
    value, gradients = loss.value_and_grad(x, labels, t, target)
    assert same_bits(value, want)
    assert all(same_bits(g, w) for g, w in zip(gradients, want_gradients, strict=True))
    assert (labels == -1).any()
    assert (gradients[0][labels == -1] == 0).all()
    assert (gradients[1][labels != 1] == 0).all()


def test_only_a_regions_own_channel_has_a_gradient(backend):
    x, ids, target = regions(np.random.default_rng(0), np.float32)
    gradient = fl.MaskRCNNMaskLoss().value_and_grad(x, ids, target)[1][0]
    own = np.arange(3) == ids[:, None]
    assert gradient[own].all()
    assert not gradient[~own].any()


@pytest.mark.parametrize("labels", [[True, False, True], np.uint8([1, 0, 1]), np.int8([1, 0, 1]), 1])
def test_labels_of_anchors_of_every_dtype(labels, backend):
    shape = np.shape(labels)
    loss, t = fl.FasterRCNNLoss(), np.ones((*shape, 4))
    want = loss(np.full(shape, 0.5), np.asarray(labels, np.int64), t, 0 * t)
    assert loss(np.full(shape, 0.5), labels, t, 0 * t) == want
    assert np.isfinite(want)


def test_a_sure_discriminator_is_finite(backend):
    loss = fl.GANDiscriminatorLoss()
    assert loss([0.0], [1.0]) == 200  # log is clamped at -100, as torch's
    assert loss([1.0], [0.0]) == 0
    assert fl.gan_discriminator_loss([1e4], [-1e4], activation="sigmoid") == 0
    assert fl.gan_generator_loss([1e4], saturating=True, activation="sigmoid") == -1e4


# ---- objects and functions


@pytest.mark.parametrize("name", MULTI_INPUT_LOSSES)
def test_functions_have_the_arguments_and_fields_of_their_objects(name):
    parameters = inspect.signature(getattr(fl, name)).parameters.values()
    arrays = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    keywords = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    cls = MULTI_INPUT_LOSSES[name]
    assert arrays == list(inspect.signature(cls.parts).parameters)[1:]
    assert keywords == {f.name: f.default for f in dataclasses.fields(cls)}
    assert cls.__name__ in getattr(fl, name).__doc__


@cases
def test_functions_equal_their_objects(case, backend):
    function = next(getattr(fl, name) for name, cls in MULTI_INPUT_LOSSES.items() if cls is type(case.loss))
    arguments = data(case)
    names = list(inspect.signature(case.loss.parts).parameters)
    want = case.loss(*arguments)
    assert function(*arguments, **dataclasses.asdict(case.loss)) == want
    assert case.loss(**dict(zip(names, arguments, strict=True))) == want


@cases
def test_repr_and_pickle_make_the_loss_again(case):
    loss = case.loss
    assert eval(repr(loss), vars(fl).copy()) == loss
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert hash(pickle.loads(pickle.dumps(loss))) == hash(loss)
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        loss.activation = "softmax"


def test_every_joint_loss_is_in_the_table():
    assert {type(c.loss) for c in CASES} == set(MULTI_INPUT_LOSSES.values())


# ---- DiceCELoss

LOGITS = 2 * np.random.default_rng(0).standard_normal((2, 4, 9, 8))
LABELS = np.random.default_rng(1).integers(0, 4, (2, 9, 8))


@pytest.mark.extended
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"squared": True, "batch": True}, {"squared_pred": True, "batch": True}),
        ({"dice": 0.3, "ce": 2.0, "smooth": (0.5, 0.25)},
         {"lambda_dice": 0.3, "lambda_ce": 2.0, "smooth_nr": 0.5, "smooth_dr": 0.25}),
        ({"classes": [1, 2, 3], "label_smoothing": 0.1}, {"include_background": False, "label_smoothing": 0.1}),
        ({"activation": "sigmoid"}, {"softmax": False, "sigmoid": True}),
        ({"reduction": "sum"}, {"reduction": "sum"}),
    ],
)  # fmt: skip
def test_dice_ce_is_monais(ours, theirs, backend):
    monai = pytest.importorskip("monai.losses", exc_type=ImportError)
    function = monai.DiceCELoss(to_onehot_y=True, **{"softmax": True} | theirs)
    t = torch.tensor(LOGITS, requires_grad=True)
    want = function(t, torch.tensor(LABELS[:, None]))
    want.backward()
    value, gradient = fl.DiceCELoss(**ours).value_and_grad(LOGITS, LABELS)
    # MONAI's one-hot target and the weights of its terms are float32.
    assert value == pytest.approx(want.item(), rel=1e-7)
    np.testing.assert_allclose(gradient, t.grad.numpy(), rtol=1e-6, atol=1e-9)


def test_dice_ce_is_the_sum_of_its_terms(backend):
    y, w = LABELS.copy(), np.random.default_rng(2).random(LABELS.shape)
    y[0, 0] = 255
    shared = {"class_weight": [1.0, 2.0, 0.5, 0.0], "ignore_index": 255, "reduction": "sum"}
    loss = fl.DiceCELoss(dice=0.25, ce=0.5, absent="skip", squared=True, label_smoothing=0.1, **shared)
    terms = fl.DiceLoss(absent="skip", squared=True, **shared), fl.CrossEntropyLoss(label_smoothing=0.1, **shared)
    assert loss.summands() == (0.25 * terms[0] + 0.5 * terms[1]).summands()
    assert len(loss.terms()) == 2
    want = 0.25 * terms[0](LOGITS, y, pixel_weight=w) + 0.5 * terms[1](LOGITS, y, pixel_weight=w)
    assert loss(LOGITS, y, pixel_weight=w) == pytest.approx(want, rel=1e-14)
    channels_last = np.moveaxis(LOGITS, 1, -1)
    options = {"dice": 0.25, "ce": 0.5, "absent": "skip", "squared": True, "label_smoothing": 0.1, **shared}
    got = fl.dice_ce_loss(channels_last, y, axis=-1, pixel_weight=w, **options)
    assert got == pytest.approx(want, rel=1e-14)
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert eval(repr(loss), vars(fl).copy()) == loss


def test_dice_ce_function_has_the_options_of_its_object():
    function, loss = (inspect.signature(f).parameters for f in (fl.dice_ce_loss, fl.DiceCELoss))
    assert list(function) == ["input", "target", *loss, "pixel_weight"]
    assert all(function[name].default == loss[name].default for name in loss)
