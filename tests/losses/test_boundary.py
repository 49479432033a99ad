"""Tests losses of distances against MONAI and written-out sums, with the caller's maps, and added to other losses."""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

import fastloss as fl

torch = pytest.importorskip("torch")


@pytest.fixture
def monais():
    """MONAI's HausdorffDTLoss."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("monai.losses").HausdorffDTLoss


def disc(shape, centre, radius):
    grid = np.indices(shape)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2


def data(seed, shape=(2, 3, 20, 17), C=3):
    """Logits, and labels with blobs."""
    rng = np.random.default_rng(seed)
    y = np.zeros((shape[0], *shape[2:]), np.int64)
    for n in range(shape[0]):
        for c in range(1, C):
            y[n][disc(shape[2:], [rng.integers(0, s) for s in shape[2:]], rng.integers(2, 8))] = c
    return 2 * rng.standard_normal(shape) + 3 * np.moveaxis(np.eye(C)[y], -1, 1), y


def one_hot(y, C):
    return np.moveaxis(np.eye(C)[y], -1, 1)


@pytest.mark.extended
@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_hausdorff_is_monais(seed, dims, activation, monais, backend):
    shape = (2, 3, 20, 17) if dims == 2 else (1, 3, 7, 8, 9)
    x, y = data(seed, shape)
    if seed == 0:
        y[...] = 0  # classes that are nowhere and everywhere
    if activation is None:
        x = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    alpha, background = (1.0, 2.0, 0.5)[seed % 3], bool(seed % 2)
    peer = monais(
        alpha=alpha, softmax=activation == "softmax", sigmoid=activation == "sigmoid", include_background=background
    )
    tensor = torch.tensor(x, requires_grad=True)
    want = peer(tensor, torch.tensor(one_hot(y, 3)))
    want.backward()
    loss = fl.HausdorffDTLoss(alpha=alpha, activation=activation, classes=None if background else [1, 2])
    value, gradient = loss.value_and_grad(x, y)
    # MONAI's distances and ours are float32, and so are their powers.
    assert value == pytest.approx(want.item(), rel=1e-6)
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.extended
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("background", [True, False])
def test_hausdorff_reductions_are_monais(monais, seed, background, backend):
    """MONAI has one value per sample and class, a mean over pixels; ours has one per pixel, a mean over classes."""
    x, y = data(seed)
    pixels = y[0].size
    classes = [0, 1, 2] if background else [1, 2]
    options = {"softmax": True, "include_background": background}
    tensor, target = torch.tensor(x, requires_grad=True), torch.tensor(one_hot(y, 3))
    want = monais(reduction="sum", **options)(tensor, target)
    want.backward()
    loss = len(classes) / pixels * fl.HausdorffDTLoss(classes=classes, reduction="sum")
    value, gradient = loss.value_and_grad(x, y)
    # The tolerances of the test above.
    assert value == pytest.approx(want.item(), rel=1e-6)
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-5, atol=1e-6 * np.abs(gradient).max())
    each = monais(reduction="none", **options)(tensor, target).detach().numpy()[..., 0, 0]
    for k, c in enumerate(classes):
        ours = fl.hausdorff_dt_loss(x, y, classes=[c], reduction="none").mean(axis=(1, 2))
        np.testing.assert_allclose(ours, each[:, k], rtol=1e-6)


@pytest.mark.parametrize("spacing", [None, 0.5, (1.0, 2.5)])
@pytest.mark.parametrize("dense", [False, True])
def test_boundary_is_the_sum_written_out(spacing, dense, backend):
    x, y = data(5)
    w = np.random.default_rng(0).random(y.shape)
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    sampling = (1, 1) if spacing is None else np.broadcast_to(spacing, 2)
    phi = np.zeros_like(p)
    for n in range(2):
        for c in range(3):
            mask = y[n] == c
            phi[n, c] = distance_transform_edt(~mask, sampling) - distance_transform_edt(mask, sampling)
    want = (w * (p * phi).mean(axis=1)).sum() / w.sum()
    loss = fl.BoundaryLoss(spacing=spacing)
    target = one_hot(y, 3) if dense else y
    assert loss(x, target, pixel_weight=w) == pytest.approx(want, rel=1e-6)
    u = phi / 3 * w[:, None] / w.sum()
    np.testing.assert_allclose(
        loss.value_and_grad(x, target, pixel_weight=w)[1],
        p * (u - (p * u).sum(axis=1, keepdims=True)),
        rtol=1e-5,
        atol=1e-9,
    )


def test_the_target_itself_has_the_least_boundary_loss(backend):
    y = disc((40, 40), (20, 20), 9).astype(np.int64)[None]
    best = fl.boundary_loss(one_hot(y, 2), y, activation=None)
    values = [fl.boundary_loss(one_hot(np.roll(y, s, axis=1), 2), y, activation=None) for s in range(1, 12)]
    assert best < values[0]
    assert (np.diff(values) > 0).all()  # and it grows with the distance


@pytest.mark.parametrize("loss", [fl.BoundaryLoss(), fl.HausdorffDTLoss(activation="sigmoid")], ids=repr)
@pytest.mark.parametrize("axis", [1, -1])
def test_ready_made_maps(loss, axis, backend):
    import dataclasses

    loss = dataclasses.replace(loss, axis=axis)
    x, y = data(3)
    x = np.moveaxis(x, 1, axis)
    batch = loss.make_batch(x, y, None)
    maps = np.ascontiguousarray(np.moveaxis(batch.maps, 1, axis))
    assert loss(x, y, distance_maps=maps) == loss(x, y)
    assert loss(x, y, distance_maps=maps.astype(np.float64)) == loss(x, y)
    assert loss.partial(x, y, distance_maps=maps) == loss.partial(x, y)
    np.testing.assert_array_equal(
        loss.value_and_grad(x, y, distance_maps=maps)[1], loss.value_and_grad(x, y)[1], strict=True
    )
    if loss.target_optional:
        assert loss(x, None, distance_maps=maps) == pytest.approx(loss(x, y), rel=1e-12)  # softmax without labels
    else:
        with pytest.raises(TypeError, match=r"^target: expected"):
            loss(x, None, distance_maps=maps)


@pytest.mark.parametrize("loss", [fl.BoundaryLoss(classes=[2, 0]), fl.HausdorffDTLoss(classes=[1])], ids=repr)
def test_ready_made_maps_of_classes_that_do_not_count(loss, backend):
    import dataclasses

    x, y = data(3)
    maps = dataclasses.replace(loss, classes=None).make_batch(x, y, None).maps
    maps[:, [c for c in range(x.shape[1]) if c not in loss.classes]] = np.nan
    for some in (loss, loss + fl.DiceLoss()):
        value, gradient = some.value_and_grad(x, y)
        assert some(x, y, distance_maps=maps) == value
        np.testing.assert_array_equal(some.value_and_grad(x, y, distance_maps=maps)[1], gradient)


def test_weights_by_class_beside_ready_made_maps(backend):
    x, y = data(4)
    loss, rng = fl.BoundaryLoss(), np.random.default_rng(0)
    maps, weight = loss.make_batch(x, y, None).maps, rng.random(x.shape)
    want = loss(x, one_hot(y, x.shape[1]), pixel_weight=weight)
    assert loss(x, None, distance_maps=maps, pixel_weight=weight) == pytest.approx(want, rel=1e-12)


def test_in_a_sum(backend):
    x, y = data(7)
    boundary, dice = fl.BoundaryLoss(classes=[1, 2]), fl.GeneralizedDiceLoss()
    both = dice + 0.01 * boundary
    value, gradient = both.value_and_grad(x, y)
    parts = [dice.value_and_grad(x, y), boundary.value_and_grad(x, y)]
    assert value == pytest.approx(parts[0][0] + 0.01 * parts[1][0], rel=1e-12)
    np.testing.assert_allclose(gradient, parts[0][1] + 0.01 * parts[1][1], rtol=1e-9, atol=1e-15)
    maps = boundary.make_batch(x, y, None).maps
    assert both(x, y, distance_maps=maps) == value
    report = fl.evaluate({"both": both, "hausdorff": fl.HausdorffDTLoss(), "boundary": boundary}, x, y)
    assert report["both"] == pytest.approx(value, rel=1e-12)
    assert report["hausdorff"] == fl.hausdorff_dt_loss(x, y)
    assert report["boundary"] == boundary(x, y)


def test_one_channel_takes_binary_labels(backend):
    x, y = data(1, (2, 2, 15, 15), 2)
    x = x[:, :1]
    two = fl.boundary_loss(x, y, activation="sigmoid")
    assert two == fl.boundary_loss(x, (y[:, None] > 0).astype(float), activation="sigmoid")
    assert two == fl.boundary_loss(x, y[:, None], activation="sigmoid")


def test_what_does_not_count_is_no_prediction(backend):
    """An ignored pixel's input does not reach its neighbours through the distances of the predicted mask."""
    x, y = data(2)
    y[0, 5:9, 5:9] = 255
    loss = fl.HausdorffDTLoss(ignore_index=255)
    want = loss.value_and_grad(x, y)
    x[0, :, 5:9, 5:9] = np.nan
    value, gradient = loss.value_and_grad(x, y)
    assert value == want[0]
    np.testing.assert_array_equal(gradient, want[1])
    assert np.isfinite(value)


@pytest.mark.parametrize("loss", [fl.BoundaryLoss, fl.HausdorffDTLoss])
@pytest.mark.parametrize("ignored", [0, 2])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_an_ignored_class_has_no_mask(loss, ignored, dtype, backend):
    x, y = data(4)
    y = y.astype(dtype)
    value, gradient = loss(ignore_index=ignored).value_and_grad(x, y)
    elsewhere = np.where(y == ignored, 255, y)
    dense = fl.one_hot(y, 3, ignore_index=ignored)
    for same in (
        loss(ignore_index=255).value_and_grad(x, elsewhere),
        loss().value_and_grad(x, dense, pixel_weight=y != ignored),
    ):
        assert value == pytest.approx(same[0], rel=1e-14)
        np.testing.assert_allclose(gradient, same[1], rtol=1e-12, atol=1e-18)


def test_an_ignored_label_of_one_channel_has_no_mask(backend):
    x, y = data(1, (2, 2, 15, 15), 2)
    loss = fl.BoundaryLoss(activation="sigmoid", ignore_index=1)
    assert loss(x[:, :1], y) == 0
    assert loss(x[:, :1], y > 0) == 0


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_what_does_not_count_warns_of_nothing(activation, backend):
    x, y = data(2)
    x = x.astype(ml_dtypes.bfloat16)
    x[0, :, 5, 5] = np.nan
    y = one_hot(y, 3).astype(x.dtype)
    w = np.ones((2, 20, 17))
    w[0, 5, 5] = 0
    y[0, :, 5, 5] = np.nan
    for loss in (fl.BoundaryLoss(activation=activation), fl.HausdorffDTLoss(activation=activation)):
        assert np.isfinite(loss(x, y, pixel_weight=w))  # a warning is an error
