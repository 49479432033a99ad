"""Tests that every call of a loss goes through make_batch, with the quick check of usual arrays or the full check."""

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest

import fastloss as fl
from fastloss import _native
from fastloss._engine.functions import FUNCTIONS, loss_of

LOSSES = {
    "cross_entropy": fl.CrossEntropyLoss(),
    "weighted": fl.CrossEntropyLoss(class_weight=[1, 2, 3, 4], label_smoothing=0.1, ignore_index=3),
    "focal": fl.FocalLoss(gamma=[0.0, 1.0, 2.0, 2.5], reduction="sum"),
    "by_sample": fl.DiceLoss(classes=[1, 2], absent="skip"),
    "batch": fl.TverskyLoss(batch=True, ignore_index=-1),
    "sum": fl.DiceCELoss(ce=0.5) + fl.FocalLoss(),
    "shared_sums": 2 * fl.DiceLoss() + fl.JaccardLoss(reduction="sum"),
}
SHAPES = [(1, 4), (3, 4), (2, 4, 1), (2, 4, 15, 17), (2, 4, 16, 16), (1, 4, 3, 70, 9), (0, 4, 2, 2), (2, 4, 0, 2)]
LAYOUTS = {
    "contiguous": lambda a: a,
    "fortran": np.asfortranarray,
    "every_other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1],
    "read_only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}
REALS = ["f2", "f4", "f8"]
INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]

pytestmark = pytest.mark.skipif(fl.get_backend() != "native", reason="it is the native backend's")


def data(shape, real="f4", label="i8", rng=None):
    rng = rng or np.random.default_rng(5)
    return rng.standard_normal(shape).astype(real), rng.integers(0, 4, shape[:1] + shape[2:]).astype(label)


def quickly(monkeypatch, loss, x, y):
    """The value, from arrays that the quick check takes."""
    with monkeypatch.context() as patch:
        patch.setattr("fastloss._batch.as_input", lambda *a: pytest.fail("the quick check did not take the arrays"))
        return loss(x, y)


def in_full(monkeypatch, loss, x, y):
    """The value, with the full check."""
    with monkeypatch.context() as patch:
        patch.setattr(_native.core, "usual", lambda *a: None)
        return loss(x, y)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_both_checks_give_the_same_bits(name, shape, layout, monkeypatch):
    loss = LOSSES[name]
    x, y = (LAYOUTS[layout](a) for a in data(shape))
    quick, full = quickly(monkeypatch, loss, x, y), in_full(monkeypatch, loss, x, y)
    assert type(quick) is float
    assert quick.hex() == full.hex() == loss.finalize(loss.partial(x, y)).hex()


@pytest.mark.parametrize("label", INTEGERS)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", LOSSES)
def test_every_dtype(name, real, label, monkeypatch):
    x, y = data((2, 4, 20, 20), real, label)
    assert quickly(monkeypatch, LOSSES[name], x, y).hex() == in_full(monkeypatch, LOSSES[name], x, y).hex()


def test_labels_of_bool(monkeypatch):
    x, y = data((2, 4, 20, 20))
    loss = LOSSES["cross_entropy"]
    assert quickly(monkeypatch, loss, x, y > 1).hex() == loss(x, (y > 1).astype("u1")).hex()


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: (x.tolist(), y),
        lambda x, y: (x, y.tolist()),
        lambda x, y: (x.astype(">f4"), y),
        lambda x, y: (x, y.astype(">i8")),
        lambda x, y: (x.view(np.memmap), y),
        lambda x, y: (x[0, :, 0, 0], y[0, 0, 0]),
        lambda x, y: (x, np.eye(4, dtype="f4")[y].transpose(0, 3, 1, 2)),
    ],
    ids=["list", "labels of a list", "swapped", "swapped labels", "subclass", "one pixel", "dense"],
)
@pytest.mark.parametrize("name", LOSSES)
def test_other_arrays_are_checked_in_full(name, change, monkeypatch):
    x, y = data((2, 4, 5, 6))
    a, b = change(x, y)
    loss = LOSSES[name]
    if np.ndim(a) == np.ndim(b) and loss.ignore_index != -100:  # a dense target has nothing to ignore
        loss = dataclasses.replace(loss, ignore_index=-100)
    assert loss(a, b).hex() == in_full(monkeypatch, loss, a, b).hex()


BAD = {
    "label": (lambda x, y: (x, np.where(y == y.flat[7], 4, y)), fl.LabelError),
    "negative label": (lambda x, y: (x, np.where(y == y.flat[7], -5, y)), fl.LabelError),
    "fewer pixels": (lambda x, y: (x, y[:, :-1]), ValueError),
    "more pixels": (lambda x, y: (x, np.repeat(y, 2, axis=2)), ValueError),
    "fewer samples": (lambda x, y: (x, y[:1]), ValueError),
    "an axis less": (lambda x, y: (x, y[0]), ValueError),
    "no labels": (lambda x, y: (x, y.astype("f4")), TypeError),
    "complex": (lambda x, y: (x.astype("c8"), y), TypeError),
    "object": (lambda x, y: (x, y.astype(object)), TypeError),
    "integers": (lambda x, y: (x.astype("i4"), y), TypeError),
    "no dimension": (lambda x, y: (np.array(1.0), np.array(1)), ValueError),
    "no class": (lambda x, y: (x[:, :0], y), ValueError),
    "weights of four": (lambda x, y: (x[:, :3], np.minimum(y, 2)), ValueError),
}


@pytest.mark.parametrize("what", BAD)
def test_errors_are_those_of_the_full_check(what, monkeypatch):
    change, error = BAD[what]
    loss = LOSSES["weighted"]
    x, y = change(*data((2, 4, 5, 6)))
    with pytest.raises(error) as full:
        in_full(monkeypatch, loss, x, y)
    with pytest.raises(error) as quick:
        loss(x, y)
    assert str(quick.value) == str(full.value)
    assert quick.value.__context__ is None


def test_a_sum_with_an_elementwise_loss_takes_no_labels():
    x, y = data((2, 4, 5, 6))
    with pytest.raises(ValueError, match="expected a dense target"):
        (fl.CrossEntropyLoss() + fl.BCEWithLogitsLoss())(x, y)


def test_a_sum_is_pickled_as_its_parts():
    loss = LOSSES["sum"]
    x, y = data((2, 4, 5, 6))
    again = pickle.loads(pickle.dumps(loss))
    assert (again, repr(again), again(x, y)) == (loss, repr(loss), loss(x, y))
    assert copy.deepcopy(loss) == loss


@pytest.mark.parametrize("function", ["cross_entropy", "dice_loss", "mse_loss"])
def test_a_call_without_options_is_one_with_the_defaults(function):
    x, y = data((2, 4, 5, 6))
    y = y if function != "mse_loss" else x + 1
    f = getattr(fl, function)
    assert f(x, y) == f(x, y, reduction="mean") == f(x, y, pixel_weight=None)
    for arguments, options in [((x,), {}), ((x, y, y), {}), ((x, y), {"no": 1}), ((), {"input": x, "target": y})]:
        with pytest.raises(TypeError, match=rf"^{function}\(\)"):
            f(*arguments, **options)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class OnlyClassOne(fl.CrossEntropyLoss):
    """The shape of a top-k loss: weights made from the data, in an overridden make_batch."""

    def make_batch(self, input, target, pixel_weight):
        batch = super().make_batch(input, target, pixel_weight)
        return batch.weighted((batch.target == 1).astype(np.float32))


def test_a_subclass_that_overrides_the_door_is_heard_by_every_call():
    x, y = data((2, 4, 15, 17))
    loss, expected = OnlyClassOne(), fl.cross_entropy(x, y, pixel_weight=y == 1)
    assert expected != fl.cross_entropy(x, y)
    assert loss(x, y) == loss.value_and_grad(x, y)[0] == loss.finalize(loss.partial(x, y)) == expected


def test_an_input_that_another_thread_reshapes_after_the_check_is_an_error(backend):
    x, y = data((2, 4, 8, 8))
    batch = LOSSES["by_sample"].make_batch(x, y, None)
    x.shape = 2, 8, 4, 8
    with pytest.raises(ValueError, match=r"^(input|target): changed during the call$"):
        LOSSES["by_sample"].value(batch)


def test_labels_that_another_thread_reshapes_after_the_check_are_read_as_checked_or_an_error(backend):
    x, y = data((2, 4, 8, 8))
    loss = LOSSES["by_sample"]
    expected = loss(x, y)
    batch = loss.make_batch(x, y, None)
    y.shape = 2, 4, 16
    if backend == "native":  # it holds the buffers that were checked
        assert loss.value(batch) == expected
    else:
        with pytest.raises(ValueError, match=r"^target: changed during the call$"):
            loss.value(batch)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_its_options_in_the_order_of_the_fields(name):
    """Its body gives them to loss_of by position."""
    where = fl.metrics if name in fl.metrics.METRICS else fl
    taken = [p.name for p in inspect.signature(getattr(where, name)).parameters.values() if p.kind == p.KEYWORD_ONLY]
    fields = [f.name for f in dataclasses.fields(FUNCTIONS[name]) if f.init]
    assert [n for n in taken if n not in ("pixel_weight", "distance_maps", "num_classes")] == fields


def test_the_same_options_give_the_same_loss():
    assert loss_of(fl.MSELoss, "sum") is loss_of(fl.MSELoss, "sum")
    assert loss_of(fl.MSELoss, "sum") == fl.MSELoss(reduction="sum")
    assert loss_of(fl.HuberLoss, 1, "mean") == loss_of(fl.HuberLoss, 1.0, "mean")


@pytest.mark.parametrize("make", [list, np.array, "torch"], ids=["list", "array", "tensor"])
def test_an_option_that_changes_in_place_is_read_again(make):
    weight = pytest.importorskip("torch").ones(4) if make == "torch" else make([1.0] * 4)
    x, y = data((2, 4, 5, 6))
    before = fl.cross_entropy(x, y, class_weight=weight)
    weight[1] = 5.0  # a tensor is hashable, by its identity
    assert fl.cross_entropy(x, y, class_weight=weight) == fl.cross_entropy(x, y, class_weight=(1, 5, 1, 1)) != before


def test_an_error_of_an_option_comes_alone():
    x, y = data((2, 4, 5, 6))
    with pytest.raises(TypeError, match="label_smoothing: expected a number") as raised:
        fl.cross_entropy(x, y, label_smoothing=[0.1])
    assert raised.value.__context__ is None
