"""Tests a user's loss whose weights are made from the data: the page with an example, and what holds for all."""

import pathlib
import re
from dataclasses import dataclass

import numpy as np
import pytest

import fastloss as fl

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "custom-loss.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)


def page():
    """Run the page's code, and return the names that it defines."""
    names = {"__name__": "custom_loss_page"}
    exec("\n".join(BLOCKS), names)
    return names


def test_the_page_runs():
    names = page()
    values = fl.cross_entropy(names["logits"], names["labels"], reduction="none").reshape(2, -1)
    hardest = np.sort(values, axis=1)[:, -1024:]
    assert names["value"] == pytest.approx(hardest.mean(), rel=1e-6)


def test_the_loss_is_short():
    """The example has at most thirty lines from the class to the call, including comments."""
    assert 1 < len(BLOCKS[0].splitlines()) <= 30


def test_its_gradient_is_that_of_the_weighted_loss(backend):
    names = page()
    loss, x, y = names["loss"], names["logits"], names["labels"]
    weight = loss.make_weights(fl.CrossEntropyLoss().make_batch(x, y, None))
    value, gradient = fl.CrossEntropyLoss().value_and_grad(x, y, pixel_weight=weight)
    own = loss.value_and_grad(x, y)
    assert own[0] == value
    assert np.array_equal(own[1], gradient)
    assert fl.check_grad(loss, x[:1, :, :3, :4].astype(np.float64), y[:1, :3, :4]) < 1e-6


def test_pixel_weight_and_ignore_index_apply_as_well(backend):
    names = page()
    x, y = names["logits"], names["labels"].copy()
    y[0, :32] = 255
    w = np.random.default_rng(1).random(y.shape)
    loss = names["TopKCrossEntropyLoss"](share=0.25, ignore_index=255)
    weight = loss.make_weights(fl.CrossEntropyLoss(ignore_index=255).make_batch(x, y, w))
    expected = fl.cross_entropy(x, y, ignore_index=255, pixel_weight=w * weight)
    assert loss(x, y, pixel_weight=w) == pytest.approx(expected, rel=1e-12)


@dataclass(frozen=True, kw_only=True, repr=False)
class Weighted(fl.CrossEntropyLoss):
    """Its weights are whatever the test gives."""

    made: object = None

    def make_weights(self, batch):
        return self.made


X, Y = np.zeros((2, 3, 4), np.float32), np.zeros((2, 4), np.int64)


@pytest.mark.parametrize(
    ("made", "given", "message"),
    [
        (np.full((2, 4), np.nan), None, "make_weights: expected 0 or numbers from 1e-30 to 1e+30, got nan at (0, 0)"),
        (-np.eye(2, 4), np.ones((2, 4)), "make_weights: expected 0 or numbers from 1e-30 to 1e+30, got -1.0 at (0, 0)"),
        (
            np.zeros((2, 4)),
            -np.eye(2, 4),
            "pixel_weight: expected 0 or numbers from 1e-30 to 1e+30, got -1.0 at (0, 0)",
        ),
        (
            np.full((2, 4), 1e-20),
            np.full((2, 4), 1e-20),
            "pixel_weight times make_weights: expected 0 or numbers from 1e-30 to 1e+30, got 1e-40 at (0, 0)",
        ),
        (np.ones((4, 2)), None, "make_weights: expected shape (2, 4) or (2, 3, 4), got (4, 2)"),
    ],
    ids=["nan", "negative", "given", "product", "shape"],
)
def test_wrong_weights_are_named(made, given, message, backend):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as raised:
        Weighted(made=made)(X, Y, pixel_weight=given)
    assert raised.value.__context__ is None


def test_evaluate_gives_it_a_pass_of_its_own(backend):
    names = page()
    loss, x, y = names["loss"], names["logits"], names["labels"]
    report = fl.evaluate({"hard": loss, "dice": fl.DiceLoss(), "twice": 2 * loss}, x, y)
    assert report["hard"] == loss(x, y)
    assert report["twice"] == 2 * loss(x, y)
    assert report["dice"] == fl.dice_loss(x, y)


def test_a_sum_with_another_loss_is_refused():
    with pytest.raises(ValueError, match=r"^losses: expected no loss next to TopKCrossEntropyLoss\(share=0\.25\)"):
        page()["loss"] + fl.DiceLoss()
