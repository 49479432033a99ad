"""Tests the top-k loss against formulas of nnU-Net 2.8.1 and mmsegmentation 1.2.2, which the suite does not install.

Each test is a row of docs/peers-more.md.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from situations import compare, data, ignoring, situations, torch

import fastloss as fl

pytestmark = pytest.mark.extended
cross_entropy = torch.nn.functional.cross_entropy


def nnunet(k, **options):
    """`TopKLoss` of nnunetv2/training/loss/robust_ce_loss.py, but of the pixels that count; k is in percent."""

    def peer(x, y):
        values = cross_entropy(x, y, reduction="none", ignore_index=255, **options)[y != 255]
        kept, _ = torch.topk(values.view(-1), int(values.numel() * k / 100), sorted=False)
        return kept.mean()

    return peer


def ohem(threshold, min_kept):
    """The sum of the losses that `OHEMPixelSampler` of mmseg/structures/sampler keeps."""

    def peer(x, y):
        with torch.no_grad():
            valid = y != 255
            weight = torch.zeros(y.shape, dtype=x.dtype)
            own = torch.where(valid, y, 0)
            prob = x.softmax(1).gather(1, own[:, None])[:, 0][valid]
            kept = weight[valid]
            if threshold is not None:
                ascending = prob.sort()[0]
                least = ascending[min(min_kept * len(y), prob.numel() - 1)]
                kept[prob < max(least.item(), threshold)] = 1.0
            else:
                values = cross_entropy(x, y, reduction="none", ignore_index=255)
                order = values[valid].sort(descending=True)[1]
                kept[order[: min_kept * len(y)]] = 1.0
            weight[valid] = kept
        return (weight * cross_entropy(x, y, reduction="none", ignore_index=255)).sum()

    return peer


@situations
def test_nnunet_top_k(situation, backend):
    x, given = data(situation)
    for k, y in itertools.product([10, 29, 50, 100], [given, ignoring(given)]):
        if int((y != 255).sum() * k / 100) == 0:
            continue  # theirs is the mean of nothing; ours keeps one pixel
        for e in (0.0, 0.125):
            ce = fl.CrossEntropyLoss(ignore_index=255, label_smoothing=e)
            compare(fl.TopKLoss(ce, k=k / 100), nnunet(k, label_smoothing=e), x, y, y)


@situations
def test_mmsegmentation_ohem(situation, backend):
    x, given = data(situation)
    ce = fl.CrossEntropyLoss(ignore_index=255, reduction="sum")
    for threshold, min_kept, y in itertools.product([0.1, 0.5, 0.9], [0, 1, 9], [given, ignoring(given)]):
        if min_kept * len(y) >= (y != 255).sum():
            continue  # theirs then leaves out the surest pixel
        loss = fl.TopKLoss(ce, threshold=threshold, min_kept=min_kept * len(y))
        compare(loss, ohem(threshold, min_kept), x, y, y)


@situations
def test_mmsegmentation_ohem_without_a_threshold(situation, backend):
    x, y = data(situation)
    y = ignoring(y)
    ce = fl.CrossEntropyLoss(ignore_index=255, reduction="sum")
    for min_kept in (1, 9):
        compare(fl.TopKLoss(ce, k=min_kept * len(y)), ohem(None, min_kept), x, y, y)


def test_nnunet_counts_ignored_pixels(backend):
    """Ten pixels, of which five are ignored: a share of 0.4 is four of ten, or two of five."""
    x, y = np.random.default_rng(0).standard_normal((1, 3, 10)), np.array([[0, 1, 2, 0, 1] + [255] * 5])
    each = np.sort(fl.cross_entropy(x, y, ignore_index=255, reduction="none").ravel())[::-1]
    assert fl.top_k_loss(x, y, loss=fl.CrossEntropyLoss(ignore_index=255), k=0.4) == pytest.approx(each[:2].mean())
    values = cross_entropy(torch.tensor(x), torch.tensor(y), reduction="none", ignore_index=255)
    assert torch.topk(values.view(-1), 4)[0].mean().item() == pytest.approx(each[:4].mean())
