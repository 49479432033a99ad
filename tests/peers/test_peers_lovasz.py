"""Tests the Lovasz losses against smp 0.6.0 and kornia 0.9.0. Each test is a row of docs/peers-more.md."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from situations import ONE_CHANNEL, compare, data, ignoring, one_channel, situations, smp, torch

import fastloss as fl

kornia = pytest.importorskip(
    "kornia.losses", reason="make test-all installs it: pip install --no-deps kornia==0.9.0 kornia_rs==0.2.0"
)
pytestmark = pytest.mark.extended
_lovasz_softmax = smp.lovasz._lovasz_softmax  # LovaszLoss always takes the classes that are present
OPTIONS = list(itertools.product([False, True], [None, 255]))  # per_image, and the ignored label


def as_float32(peer):
    """smp computes its weights in float32, and refuses to multiply them by errors in float64. Of nothing, it is 0."""
    return lambda x, y: 0 * x.sum() + peer(x.float(), y)


def image(situation):
    """Data with two pixel axes: smp takes an input with one for probabilities of a foreground."""
    x, y = data(situation)
    return x.reshape(*x.shape[:2], -1, 1), y.reshape(len(y), -1, 1)


@situations
@pytest.mark.parametrize("classes", ["present", "all", [0, 2]], ids=str)
def test_smp_lovasz_softmax(situation, classes, backend):
    x, given = image(situation)
    for per_image, ignore in OPTIONS:
        y, index = (given, -100) if ignore is None else (ignoring(given), ignore)
        loss = fl.LovaszSoftmaxLoss(classes=classes, per_image=per_image, ignore_index=index)
        peers = [lambda t, y, own=(classes, per_image, ignore): _lovasz_softmax(t.softmax(1), y, *own)]
        if classes == "present":
            peers.append(smp.LovaszLoss("multiclass", per_image, ignore))
        for peer in peers:
            compare(loss, as_float32(peer), x, y, y, tolerance=1e-5)


@pytest.mark.parametrize("situation", ONE_CHANNEL)
def test_smp_lovasz_hinge(situation, backend):
    for (per_image, ignore), seed in itertools.product(OPTIONS, range(2)):
        x, y = one_channel(situation, seed=seed)
        y, index = (y, -100) if ignore is None else (ignoring(y), ignore)
        loss = fl.LovaszHingeLoss(per_image=per_image, ignore_index=index)
        compare(loss, as_float32(smp.LovaszLoss("binary", per_image, ignore)), x, y, y, tolerance=1e-5)


def test_smp_sorts_all_labels_of_an_image_together(backend):
    """In smp's multilabel mode, the channels are one long image. Ours are a foreground each."""
    x, y = np.array([[[2.0, -1.0], [0.5, 3.0]]]), np.array([[[1.0, 0.0], [1.0, 1.0]]])
    theirs = smp.LovaszLoss("multilabel")(torch.tensor(x).float(), torch.tensor(y)).item()
    flat = fl.lovasz_hinge_loss(x.reshape(1, 1, 4), y.reshape(1, 1, 4))
    assert theirs == pytest.approx(flat, rel=1e-6)
    each = [fl.lovasz_hinge_loss(x[:, c : c + 1], y[:, c : c + 1]) for c in range(2)]
    assert fl.lovasz_hinge_loss(x, y) == pytest.approx(np.mean(each), rel=1e-12)
    assert fl.lovasz_hinge_loss(x, y) != pytest.approx(flat, rel=1e-3)


@situations
def test_kornia_lovasz_softmax(situation, backend):
    """In float64, so to its last digits."""
    x, y = image(situation)
    for seed in range(4):
        x = np.random.default_rng(seed).permutation(x, axis=2)
        compare(fl.LovaszSoftmaxLoss(classes="all", per_image=True), kornia.LovaszSoftmaxLoss(), x, y, y)


@pytest.mark.parametrize("situation", ONE_CHANNEL)
def test_kornia_lovasz_hinge(situation, backend):
    for seed in range(6):
        x, y = one_channel(situation, seed=seed)
        x, y = x[..., None], y[..., None]
        compare(fl.LovaszHingeLoss(per_image=True), kornia.LovaszHingeLoss(), x, y, y)
