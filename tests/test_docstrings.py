"""Checks that docstrings of losses and of metrics agree: those of a class and its function, and entries that many
share."""

import dataclasses
import inspect
import re

import pytest

from fastloss import losses, metrics
from fastloss._engine.functions import FUNCTIONS
from fastloss.metrics import METRICS

# The number of wordings that the losses have for an option or an argument. Two families have two wordings.
WORDINGS = {
    "absent": 2,  # GeneralizedDiceLoss offers two other choices
    "axis": 2,  # the axis of the classes, or the axis of vectors with one number per class
    "batch": 1,
    "classes": 2,  # the Lovasz-softmax loss also takes words
    "distance_maps": 1,
    "ignore_index": 1,
    "n_box": 1,
    "n_cls": 1,
    "pixel_weight": 2,  # weights of pixels, or of elements
    "reduction": 8,  # pixel, element and region losses, and five groups of losses with other reductions
    "spacing": 1,
}
METRIC_WORDINGS = {
    "absent": 2,  # distances have no 1
    "connectivity": 1,
    "missing": 1,
    "pooled": 2,  # of a percentile, or of an average
    "spacing": 1,
    "surface": 1,
    "activation": 3,  # of channels that may overlap, of classes that exclude each other, and of probabilities
    "axis": 1,
    "batch": 1,
    "classes": 1,
    "ignore_index": 1,
    "input": 2,  # with label maps, and without
    "num_classes": 1,
    "pixel_weight": 1,
    "target": 4,  # and of the calibration error, and of the Brier score
    "threshold": 1,
}


def function(name):
    return getattr(metrics if name in METRICS else losses, name)


def sections(documented):
    """Return the sections of a numpydoc docstring by heading. The heading of the text before the first section is
    ""."""
    parts = re.split(r"(?m)^(\w[\w ]+)\n-{3,}\n", inspect.getdoc(documented))
    rest = zip(parts[1::2], parts[2::2], strict=True)
    return {"": parts[0].strip()} | {name: text.strip("\n") for name, text in rest}


def parameters(documented):
    """Return the entries of Parameters as name -> (type, text)."""
    entries = re.findall(r"(?m)^(\w+) : (.*)\n((?:    .*\n?)+)", sections(documented).get("Parameters", "") + "\n")
    return {name: (kind, text.rstrip("\n")) for name, kind, text in entries}


pairs = pytest.mark.parametrize(("name", "cls"), FUNCTIONS.items(), ids=list(FUNCTIONS))


@pairs
def test_class_and_function_say_the_same(name, cls):
    own, other = sections(cls), sections(function(name))
    same_loss = r"`(\w+)`"  # the docstrings of MaskRCNNLoss name its summands: as classes or as functions
    assert re.sub(same_loss, "", own[""]) == re.sub(same_loss, "", other[""])
    assert own.get("References") == other.get("References")
    options = parameters(function(name))
    assert {k: options[k] for k in parameters(cls)} == parameters(cls)


@pairs
def test_every_argument_is_documented_in_its_order_with_its_default(name, cls):
    signature = inspect.signature(function(name)).parameters
    documented = parameters(function(name))
    assert list(documented) == list(signature)
    for option, (kind, _) in documented.items():
        default = signature[option].default
        stated = re.search(r", default (.*)$", kind)
        assert (stated is None) == (default is inspect.Parameter.empty), option
        if stated:
            assert stated[1].replace('"', "'") == repr(default), option


@pairs
def test_the_class_documents_its_options(name, cls):
    assert list(parameters(cls)) == [f.name for f in dataclasses.fields(cls) if f.init]


@pairs
def test_all_sections_are_there(name, cls):
    assert {"See Also", "Examples"} <= sections(cls).keys()
    assert {"Parameters", "Returns", "Raises", "See Also", "Examples"} <= sections(function(name)).keys()
    assert cls.__name__ in sections(function(name))["See Also"]
    assert name in sections(cls)["See Also"]


@pytest.mark.parametrize("option", WORDINGS)
def test_options_that_many_losses_share_have_one_wording(option):
    wordings = {parameters(function(name)).get(option) for name in FUNCTIONS.keys() - METRICS.keys()} - {None}
    assert len(wordings) == WORDINGS[option], wordings


@pytest.mark.parametrize("option", METRIC_WORDINGS)
def test_options_that_many_metrics_share_have_one_wording(option):
    wordings = {parameters(function(name)).get(option) for name in METRICS} - {None}
    assert len(wordings) == METRIC_WORDINGS[option], wordings
