"""The table of all losses, with the same names as in kernels/table.h. driver.py finds a term's kernel here.

To add a loss, write its functions in the file of its family, under their names in C. An element loss needs no entry
here, because its entry is derived. tests/test_reference_names.py compares the names, and tests/losses/test_losses.py
compares the numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from .._arrays import Array
from . import bins, pixels, regions, transforms
from . import elements as e
from . import probabilities as p
from .loss import MAPS_AS_TARGET, MAPS_AS_WEIGHT, Kernel

Function = Callable[..., Array]


def _itself(x: Array) -> Any:
    return x


OF_INPUT = (_itself,)
OF_LOGIT = (_itself, _itself)
OF_GIVEN = (p.prob_given,)
OF_PROB = (p.prob_given, p.prob_of_logit)
OF_CLASS_PROB = (p.prob_given, p.prob_of_logit, p.prob_of_softmax)


def _summed(value: Function, slope: Function, curve: Function, inputs: Any, maps: int = 0) -> Kernel:
    """A pixel loss that sums the value of an element over the classes."""
    return Kernel(value, slope, curve, inputs, pixels.sum_forward, pixels.sum_backward, maps)


OTHERS = {
    # pixels
    "cross_entropy": Kernel(
        slope=p.categorical_slope,
        curve=p.categorical_curve,
        inputs=OF_CLASS_PROB,
        forward=pixels.cross_entropy_forward,
        backward=pixels.cross_entropy_backward,
        softmax=True,
    ),
    "nll": _summed(e.nll, e.nll_slope, e.nll_curve, OF_INPUT),
    "categorical": _summed(p.categorical, p.categorical_slope, p.categorical_curve, OF_GIVEN),
    "focal": _summed(p.focal, p.focal_slope, p.focal_curve, OF_CLASS_PROB),
    "poly": _summed(p.poly, p.poly_slope, p.poly_curve, OF_CLASS_PROB),
    "perceptron": Kernel(
        curve=e.l1_curve, inputs=OF_INPUT, forward=pixels.perceptron_forward, backward=pixels.perceptron_backward
    ),
    "js": _summed(p.js, p.js_slope, p.js_curve, OF_CLASS_PROB),
    "multilabel": _summed(p.multilabel, p.multilabel_slope, p.multilabel_curve, OF_PROB),
    "boundary": _summed(p.product, p.product_slope, p.product_curve, OF_CLASS_PROB, MAPS_AS_TARGET),
    "hausdorff": _summed(p.squared_error, p.squared_error_slope, p.squared_error_curve, OF_CLASS_PROB, MAPS_AS_WEIGHT),
    "brier": _summed(p.brier, p.brier_slope, p.brier_curve, OF_CLASS_PROB),
    "fit_first": Kernel(forward=pixels.fit_first_forward),
    "fit_second": Kernel(forward=pixels.fit_second_forward),
    # elements without a derivative
    "binary_fit_first": Kernel(e.binary_fit_first, inputs=OF_LOGIT),
    "binary_fit_second": Kernel(e.binary_fit_second, inputs=OF_LOGIT),
    # bins
    "reliability": Kernel(forward=bins.reliability_finish),
    "class_reliability": Kernel(forward=bins.class_reliability_forward),
    "interval_counts": Kernel(forward=bins.interval_counts_forward),
    # regions
    "region": Kernel(forward=regions.region_forward, backward=regions.region_backward),
    "weighted_region": Kernel(forward=regions.region_forward, backward=regions.region_backward, maps=MAPS_AS_WEIGHT),
    # transforms
    "logsumexp": Kernel(forward=transforms.logsumexp_finish),
    "softmax": Kernel(backward=transforms.softmax_rows),
    "log_softmax": Kernel(backward=transforms.log_softmax_rows),
    "sigmoid": Kernel(transforms.sigmoid, inputs=OF_INPUT),
    "log_sigmoid": Kernel(transforms.log_sigmoid, inputs=OF_INPUT),
    "softplus": Kernel(transforms.softplus, inputs=OF_INPUT),
    "logit": Kernel(transforms.logit, inputs=OF_INPUT),
    "entropy": Kernel(transforms.entropy, inputs=OF_INPUT),
}


def _elements() -> Iterator[tuple[str, Kernel]]:
    """Yield the losses of one element: NAME(x, y, k), or NAME(v, y, k) for a Prob v, with NAME_slope and NAME_curve."""
    functions = vars(e) | vars(p)
    summed = {kernel.value for kernel in OTHERS.values()}
    for name, value in functions.items():
        slope = functions.get(f"{name}_slope")
        if slope and value not in summed:
            first, *rest = inspect.signature(value).parameters
            if rest == ["y", "k"]:
                curve = functions.get(f"{name}_curve")
                yield name.removeprefix("own_"), Kernel(value, slope, curve, OF_PROB if first == "v" else OF_INPUT)


KERNELS: dict[str, Kernel] = dict(_elements()) | OTHERS
