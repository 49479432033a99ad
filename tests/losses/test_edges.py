"""Tests edge cases of users: half-precision gradients, gradient layouts, float masks, negative zeros, small stacks."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import process
import pytest
from cases import CASES, SINGLE_CASES, images
from layouts import BFLOAT16, LAYOUTS
from scipy import ndimage

import fastloss as fl

# ---- gradients


@pytest.mark.parametrize("half", [np.dtype(np.float16), BFLOAT16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_gradient_of_a_half_input_may_be_float32(case, half, backend):
    loss = case.make(5)
    x, y, w = images(case, loss, (2, 5, 7, 9), half)
    out = np.full(x.shape, np.nan, np.float32)
    value, gradient = loss.value_and_grad(x, y, pixel_weight=w, out=out)
    same, rounded = loss.value_and_grad(x, y, pixel_weight=w)
    assert gradient is out
    assert np.float64(value).tobytes() == np.float64(same).tobytes()
    np.testing.assert_array_equal(gradient.astype(half), rounded)


@pytest.mark.parametrize("layout", [lambda a: a, lambda a: np.asfortranarray(a), lambda a: np.moveaxis(a, 1, -1)])
def test_a_float32_gradient_of_any_layout(layout, backend):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3, 300)).astype(np.float16), rng.integers(0, 3, (2, 300))
    axis = layout(x).shape.index(3)
    out = np.empty_like(layout(x), np.float32)
    fl.CrossEntropyLoss(axis=axis).value_and_grad(layout(x), y, out=out)
    want = fl.CrossEntropyLoss().value_and_grad(x.astype(np.float32), y)[1]
    np.testing.assert_allclose(out, layout(want), rtol=1e-5, atol=1e-9)


def test_the_half_gradient_of_a_mean_survives_in_float32_and_by_a_factor(backend):
    """A mean's gradient is below float16's least number; 1024 x 1024 pixels lose 3 % of it, and a Dice loss more."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1, 2, 1024, 1024)).astype(np.float16), rng.integers(0, 2, (1, 1024, 1024))
    for loss in (fl.CrossEntropyLoss(), fl.DiceLoss()):
        want = loss.value_and_grad(x.astype(np.float32), y)[1]
        size = np.abs(want).sum(dtype=np.float64)
        out = np.empty(x.shape, np.float32)
        loss.value_and_grad(x, y, out=out)
        assert np.abs(out - want).sum(dtype=np.float64) < 1e-5 * size
        scaled = (65536 * loss).value_and_grad(x, y)[1].astype(np.float32) / 65536
        assert np.abs(scaled - want).sum(dtype=np.float64) < 1e-3 * size  # half an eps of float16 is 4.9e-4
        lost = np.abs(loss.value_and_grad(x, y)[1].astype(np.float32) - want).sum(dtype=np.float64)
        assert lost > 0.02 * size  # what the documentation warns of


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_gradient_is_laid_out_as_its_input(case, layout, backend):
    loss = case.make(4)
    x, y, w = images(case, loss, (2, 4, 3, 5), np.float32)
    gradient = loss.value_and_grad(layout(x), y, pixel_weight=w)[1]
    assert type(gradient) is np.ndarray
    assert gradient.strides == np.empty_like(layout(x), np.float32, subok=False).strides
    np.testing.assert_array_equal(gradient, loss.value_and_grad(x, y, pixel_weight=w)[1])


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_channels_last_stays_so(axis, backend):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    view = np.moveaxis(np.moveaxis(x, 1, axis).copy(), axis, 1)  # channels elsewhere in memory, seen on axis 1
    labels = np.zeros((2, 4, 5), int)
    assert fl.CrossEntropyLoss().value_and_grad(view, labels)[1].strides == view.strides
    moved = np.moveaxis(view, 1, axis)
    gradient = fl.CrossEntropyLoss(axis=axis).value_and_grad(moved, labels)[1]
    assert gradient.strides == moved.strides
    assert gradient.flags.c_contiguous
    assert fl.MSELoss().value_and_grad(view, x)[1].strides == view.strides
    for function in (fl.softmax, fl.log_softmax):
        assert function(view, axis=1).strides == view.strides
    for axes in (None, (1, 2)):
        assert fl.softmax(view, axis=axes).strides == view.strides
    assert fl.sigmoid(view).strides == view.strides


def test_a_gradient_of_few_dimensions_or_elements(backend):
    for shape in ((), (1,), (7,), (0,), (3, 0), (0, 4)):
        x = np.zeros(shape, np.float32)
        assert fl.MSELoss().value_and_grad(x, x)[1].shape == shape
    assert fl.CrossEntropyLoss().value_and_grad(np.zeros(3), 1)[1].shape == (3,)
    wide = np.broadcast_to(np.float32(1), (2, 3, 4))
    gradient = fl.CrossEntropyLoss().value_and_grad(wide, np.zeros((2, 4), int))[1]
    gradient[0, 0, 0] = 7
    assert (gradient == 7).sum() == 1  # memory of its own, whatever the input's


# ---- negative zeros


@pytest.mark.parametrize("case", SINGLE_CASES, ids=str)
def test_no_map_holds_a_negative_zero(case, backend):
    loss = case.make(3, reduction="none")
    x, y, w = images(case, loss, (2, 3, 40))
    for values in (x, np.zeros_like(x), -np.zeros_like(x), np.ones_like(x)):
        for weight in (None, w, 0 * w):
            result = np.asarray(loss(values, y, pixel_weight=weight))
            assert not np.signbit(result[result == 0]).any()


def test_no_report_holds_a_negative_zero(backend):
    report = fl.evaluate(
        {"nll": fl.NLLLoss(), "sum": fl.NLLLoss(reduction="sum")}, np.zeros((2, 2, 3)), np.zeros((2, 3), int)
    )
    assert not np.signbit([*report.per_image["nll"], *report.per_image["sum"], report["nll"], report["sum"]]).any()


def test_options_that_are_equal_make_partials_that_merge(backend):
    x, y = np.zeros((1, 2, 4)), np.array([[0, 1, 0, 1]])
    for plus, minus in (
        (fl.DiceLoss(smooth=0.0), fl.DiceLoss(smooth=-0.0)),
        (fl.DiceLoss(smooth=(0, 1)), fl.DiceLoss(smooth=(-0.0, np.float32(1)))),
        (fl.CrossEntropyLoss(class_weight=[0.0, 1]), fl.CrossEntropyLoss(class_weight=np.array([-0.0, 1]))),
        (fl.FocalLoss(gamma=0, ignore_index=[7, 3]), fl.FocalLoss(gamma=-0.0, ignore_index=(3, 7, 7))),
        (0.0 * fl.DiceLoss(), -0.0 * fl.DiceLoss()),
    ):
        assert plus == minus
        assert repr(plus) == repr(minus)
        assert plus.finalize(minus.partial(x, y) + plus.partial(x, y)) == plus(x, y)


# ---- masks


MASKS = {
    "float64": lambda m: np.where(m, 0.25, 0.0),
    "float32 and -0.0": lambda m: np.where(m, -3.0, -0.0).astype(np.float32),
    "float16": lambda m: m.astype(np.float16),
    "bfloat16": lambda m: m.astype(ml_dtypes.bfloat16),
    "nan": lambda m: np.where(m, np.nan, 0.0),
    "swapped": lambda m: m.astype(">f8"),
    "list": lambda m: m.astype(float).tolist(),
    "uint8": lambda m: m.astype(np.uint8) * 255,
}


@pytest.mark.parametrize("kind", MASKS)
def test_what_is_not_0_is_foreground_as_in_scipy(kind, backend):
    mask = np.random.default_rng(0).random((9, 11)) > 0.3
    given = MASKS[kind](mask)
    np.testing.assert_allclose(
        fl.distance_transform(given), ndimage.distance_transform_edt(np.asarray(given, float)), rtol=1e-7
    )
    np.testing.assert_array_equal(fl.signed_distance(given), fl.signed_distance(mask))
    other = np.roll(mask, 2, axis=1)
    assert fl.hausdorff_distance(given, MASKS[kind](other)) == fl.hausdorff_distance(mask, other)


def test_directed_hausdorff_distances(backend):
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 12, 13)) > 0.8
    points = [np.argwhere(m & ~ndimage.binary_erosion(m)) for m in (a, b)]
    apart = np.sqrt(((points[0][:, None] - points[1][None]) ** 2).sum(-1))
    for percentile in (100, 95):
        ways = np.percentile(apart.min(1), percentile), np.percentile(apart.min(0), percentile)
        got = [fl.hausdorff_distance(*pair, percentile=percentile, directed=True) for pair in ((a, b), (b, a))]
        np.testing.assert_allclose(got, ways, rtol=1e-7)
        assert fl.hausdorff_distance(a, b, percentile=percentile) == max(got)
    assert (
        fl.hausdorff_distance(a & False, b, directed=True)
        == np.inf
        == fl.hausdorff_distance(b, a & False, directed=True)
    )
    assert fl.hausdorff_distance(a & False, b & False, directed=True) == 0


def test_a_large_alpha_is_refused_without_a_warning(backend):
    x, y = np.zeros((1, 2, 40)), np.arange(40)[None] // 20
    for alpha in (1e9, 30.0):
        with pytest.raises(ValueError, match=r"^alpha: expected an exponent that keeps distances within float32, got"):
            fl.hausdorff_dt_loss(x, y, alpha=alpha)
    assert np.isfinite(fl.hausdorff_dt_loss(x, y, alpha=1e9, spacing=0.01))  # all powers are 0


# ---- the weight of positives


@pytest.mark.parametrize("activation", ["sigmoid", None])
@pytest.mark.parametrize("weight", [3.0, [2.0, 0.0, 0.5]], ids=str)
def test_the_focal_loss_weighs_positives(activation, weight, backend):
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 3, 20)), rng.random((2, 3, 20))
    p = 1 / (1 + np.exp(-x)) if activation else x
    b = np.reshape(weight, (-1, 1)) if np.ndim(weight) else weight
    want = -0.3 * b * (1 - p) ** 1.5 * y * np.log(p) - 0.7 * p**1.5 * (1 - y) * np.log(1 - p)
    loss = fl.BinaryFocalLoss(gamma=1.5, alpha=0.3, pos_weight=weight, activation=activation)
    assert loss(x, y) == pytest.approx(want.mean(), rel=1e-12)
    assert fl.check_grad(loss, x, y) < 1e-4  # logs of probabilities of 0.02 bend within a difference's step
    last = fl.binary_focal_loss(np.moveaxis(x, 1, -1), np.moveaxis(y, 1, -1), gamma=1.5, alpha=0.3, pos_weight=weight,
                                activation=activation, axis=-1)  # fmt: skip
    assert last == pytest.approx(want.mean(), rel=1e-12)


def test_the_axis_of_an_element_loss_binds_no_sum_unless_it_matters(backend):
    x, y = np.random.default_rng(0).standard_normal((2, 4, 3)), np.zeros((2, 4, 3))
    loss = fl.DiceLoss(axis=-1, activation="sigmoid") + fl.BinaryFocalLoss() + fl.BCEWithLogitsLoss()
    assert np.isfinite(loss(x, y))
    with pytest.raises(ValueError, match=r"^axis: expected the same in all terms"):
        fl.DiceLoss(axis=-1) + fl.BinaryFocalLoss(pos_weight=[1, 2, 3])


# ---- weights


@pytest.mark.parametrize("weight", [1e-30, 1e-12, 1e30])
@pytest.mark.parametrize("case", [c for c in CASES if c.target != "element"][:30], ids=str)
def test_weights_of_any_allowed_size_give_finite_numbers(case, weight, backend):
    loss = case.make(3)
    x, y, _ = images(case, loss, (2, 3, 300), np.float32)
    one, gradient = loss.value_and_grad(x, y, pixel_weight=1.0)
    value, scaled = loss.value_and_grad(x, y, pixel_weight=weight)
    assert np.isfinite(value) or not np.isfinite(one)
    assert np.isfinite(scaled).all()
    if isinstance(loss, fl._engine.sums.SumLoss):  # a mean of weights that are all alike
        assert value == pytest.approx(one, rel=1e-5, nan_ok=True)
        np.testing.assert_allclose(scaled, gradient, rtol=1e-4, atol=1e-6 * np.abs(gradient).max())


# ---- processes

STACK = """
import numpy as np, fastloss as fl
fl.set_num_threads(4)
rng = np.random.default_rng(0)
for dtype in ("f2", "f4", "f8", ">f4"):
    for C in (1, 19, 700):
        x = rng.standard_normal((2, C, 1_000_000 // C)).astype(dtype)
        y = rng.integers(0, max(C, 2), (2, x.shape[2])).astype(">i8")
        losses = [fl.DiceLoss() + fl.CrossEntropyLoss(), fl.DiceLoss(squared=True)] if C > 1 else [
            fl.DiceLoss(activation="sigmoid")]
        for view in (x, np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1), x[..., ::-1]):
            for loss in losses:
                loss.value_and_grad(view, y)
fl.distance_transform(rng.random((300, 400, 20)) > 0.5)
print("well")
"""


@pytest.mark.extended
@pytest.mark.skipif(not fl.config()["openmp"], reason="no workers")
@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_a_worker_needs_a_stack_of_16_kib(level):
    environment = {"OMP_STACKSIZE": "16k", "FASTLOSS_ISA": level, "PATH": ""}
    done = subprocess.run([sys.executable, "-c", STACK], env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


def test_importing_does_not_look_up_the_version():
    code = "import sys, fastloss; print('importlib.metadata' in sys.modules); print(fastloss.__version__)"
    done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path = {sys.path!r}; {code}"],
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.stdout.splitlines() == ["False", fl.__version__], done.stderr


def test_a_tensor_that_requires_grad(torch):
    x, y = torch.zeros(2, 3, 4, requires_grad=True), torch.zeros(2, 4, dtype=torch.int64)
    for call in (fl.cross_entropy, fl.CrossEntropyLoss().value_and_grad, fl.CrossEntropyLoss().partial):
        with pytest.raises(TypeError, match=r"^input: expected .* without grad, .* pass input.detach\(\)"):
            call(x, y)
    with torch.no_grad():  # nothing is lost
        assert fl.cross_entropy(x, y) == fl.cross_entropy(x.detach(), y)
    with pytest.raises(TypeError, match=r"^pixel_weight: expected .* without grad"):
        fl.cross_entropy(x.detach(), y, pixel_weight=torch.ones(2, 4, requires_grad=True))


def test_what_only_looks_like_a_tensor_that_requires_grad():
    """The flag of another library's array means nothing here, and torch need not have been imported."""
    printed = process.output("""
        class Foreign:
            requires_grad = True
            def __array__(self, dtype=None, copy=None):
                return np.zeros((2, 3))
        import fastloss as fl
        assert "torch" not in sys.modules
        print(fl.cross_entropy(Foreign(), [0, 1]))
    """)
    assert printed == str(fl.cross_entropy(np.zeros((2, 3)), [0, 1]))
