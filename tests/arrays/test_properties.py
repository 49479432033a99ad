"""Tests by Hypothesis that the kernels equal the NumPy reference: any shapes, strides, dtypes, labels, weights."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cases import CASES, images, labels
from compare import assert_close, real
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from layouts import DTYPES, LABEL_DTYPES, misaligned, strided

import fastloss as fl


@st.composite
def calls(draw):
    case = draw(st.sampled_from([c for c in CASES if not c.image_weights]))  # those depend on the order of values
    several = [2, 3, 5, 17] if case.cancels > 1 else [2, 3, 5, 17, 130, 300, 513]  # of many, all may cancel in a pixel
    C = draw(st.sampled_from([1, *several] if case.takes_one_channel else several))
    loss = case.make(C)
    pixels = tuple(draw(st.lists(st.integers(0, 7 if C > 100 else 20), max_size=3)))
    shape = (draw(st.integers(0, 3)), C, *pixels)
    dtype = draw(st.sampled_from(DTYPES))
    x, y, w = images(case, loss, shape, dtype, seed=draw(st.integers(0, 9)))
    if case.target == "labels":
        y = labels(
            loss, shape, np.random.default_rng(0), draw(st.sampled_from(LABEL_DTYPES[1:] if C > 2 else LABEL_DTYPES))
        )
        if C > 127:
            y = y.astype(np.int64) % C
    w = draw(st.sampled_from([None, w, w.astype(np.float32), (w > 0), (2 * w).astype(np.uint8)]))
    return case, loss, draw(strided(x)), draw(strided(y)), None if w is None else draw(strided(w))


@settings(max_examples=400, deadline=None)
@given(calls())
def test_native_is_numpy(call):
    case, loss, x, y, w = call
    results = []
    for name in ("numpy", "native"):
        with fl.backend(name):
            results.append((*loss.value_and_grad(x, y, pixel_weight=w), loss.partial(x, y, pixel_weight=w)))
    (want, want_gradient, p), (value, gradient, q) = results
    # Each may be off by as much as assert_close grants one.
    assert_close(value, want, real(x.dtype), factor=32, cancels=case.cancels)
    assert_close(gradient, want_gradient.astype(np.float64), x.dtype, factor=200, cancels=case.cancels, rounded=True)
    assert (p.loss, p.classes, p.samples) == (q.loss, q.classes, q.samples)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([c for c in CASES if c.target == "labels"]),
    st.sampled_from(LABEL_DTYPES[1:]),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 300)),
    st.data(),
)
def test_a_label_out_of_range_raises(case, dtype, shape, data):
    assume(case.takes_one_channel or shape[1] > 1)
    loss = case.make(shape[1])
    x, _, _ = images(case, loss, shape)
    y = labels(loss, shape, np.random.default_rng(0), dtype)
    limits = np.iinfo(dtype)
    classes = 2 if shape[1] == 1 and loss.takes_binary else shape[1]
    wrong = st.integers(int(limits.min), int(limits.max)).filter(
        lambda c: not 0 <= c < classes and c != loss.ignore_index
    )
    at = data.draw(st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[2] - 1)))
    y[at] = data.draw(wrong)
    messages = set()
    for name in ("numpy", "native"):
        with fl.backend(name), pytest.raises(fl.LabelError) as caught:
            loss(x, data.draw(strided(y)))
        messages.add(str(caught.value))
    assert messages == {f"target: expected labels in [0, {classes}) or ignore_index, got {y[at]} at {at}"}


anything = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.floats(),
    st.lists(st.integers(-3, 3), max_size=4),
    st.lists(st.floats(), max_size=4),
    st.lists(st.lists(st.floats(width=32), min_size=2, max_size=2), max_size=3),
    st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), max_size=3),
    st.text(max_size=3),
)


# Every message begins with the argument. That NumPy's turn comes first keeps a missing check from being a crash.
NAMED = re.compile(
    r"\w+: (input|target|pixel_weight|axis|class_weight|pos_weight|gamma|class_alpha|classes|ignore_index|activation): "
    r"expected .* got ",
    re.DOTALL,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CASES), anything, anything, anything)
def test_whatever_comes_is_computed_or_refused_alike(case, x, y, w):
    loss = case.make(2)
    outcomes = []
    for name in ("numpy", "native"):
        with fl.backend(name):
            try:
                loss(x, y, pixel_weight=w)
                outcomes.append("computed")
            except (TypeError, ValueError) as error:
                outcomes.append(f"{type(error).__name__}: {error}")
        assert outcomes[-1] == "computed" or NAMED.match(outcomes[-1])
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("C", [3, 4, 5, 16, 19, 130, 257, 515, 1000])
def test_channels_last_is_channels_first(dtype, C):
    """To the bit, with gaps between the pixels and without, whatever does not fill a transposed block."""
    loss = fl.CrossEntropyLoss() + fl.DiceLoss()
    for P in (1, 3, 4, 5, 63, 65, 300):
        rng = np.random.default_rng(P)
        x, y = rng.standard_normal((2, C, P)).astype(dtype), rng.integers(0, C, (2, P))
        for gap in (0, 3):
            last, out_last = (np.moveaxis(np.zeros((2, P, C + gap), dtype)[..., :C], -1, 1) for _ in range(2))
            last[...] = x
            expected, gradient = loss.value_and_grad(x, y)
            value, _ = loss.value_and_grad(last, y, out=out_last)
            assert value == expected
            np.testing.assert_array_equal(out_last, gradient)
            assert fl.cross_entropy(last, np.abs(last)) == fl.cross_entropy(x, np.abs(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("P", [64, 2048, 2112, 5000])
@pytest.mark.parametrize(
    "loss",
    [fl.MSELoss(), fl.BCEWithLogitsLoss(), fl.DiceLoss(activation="sigmoid"), fl.DiceLoss(activation=None)],
    ids=["mse", "bce", "dice", "dice of probabilities"],
)
def test_a_row_that_is_read_where_it_lies(loss, P, dtype):
    """One class, contiguous: the tiles are no copies. Off by a byte they are, with the same bits."""
    rng = np.random.default_rng(P)
    x, y = rng.random((1, 1, P)).astype(dtype), rng.integers(0, 2, (1, 1, P)).astype(dtype)
    x.flags.writeable = y.flags.writeable = False
    value, gradient = loss.value_and_grad(x, y)
    for a, b in ((misaligned(x), y), (x, misaligned(y)), (misaligned(x), misaligned(y))):
        other, also = loss.value_and_grad(a, b)
        assert other == value
        np.testing.assert_array_equal(also, gradient)
