"""The table of all losses: csrc/table.h, with the same names. driver.py looks a term's kernel up here.

To add a loss, write its functions in the file of its family, under the names that they have in C, and an entry here.
tests/test_reference_names.py compares the names, tests/losses/test_losses.py the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._arrays import Array
from . import elements as e
from . import pixels, regions, transforms
from .loss import MAPS_AS_TARGET, MAPS_AS_WEIGHT, Kernel

Function = Callable[..., Array]


def _itself(x: Array) -> Any:
    return x


OF_INPUT = (_itself,)
OF_GIVEN = (e.prob_given,)
OF_PROB = (e.prob_given, e.prob_of_logit)
OF_CLASS_PROB = (e.prob_given, e.prob_of_logit, e.prob_of_softmax)


def _summed(value: Function, slope: Function, inputs: Any, maps: int = 0) -> Kernel:
    """A pixel loss: the sum over the classes of the value of an element."""
    return Kernel(value, slope, inputs, pixels.sum_forward, pixels.sum_backward, maps)


KERNELS: dict[str, Kernel] = {
    # pixels
    "cross_entropy": Kernel(forward=pixels.cross_entropy_forward, backward=pixels.cross_entropy_backward),
    "nll": _summed(e.nll, e.nll_slope, OF_INPUT),
    "categorical": _summed(e.categorical, e.categorical_slope, OF_GIVEN),
    "focal": _summed(e.focal, e.focal_slope, OF_CLASS_PROB),
    "perceptron": Kernel(forward=pixels.perceptron_forward, backward=pixels.perceptron_backward),
    "js": _summed(e.js, e.js_slope, OF_CLASS_PROB),
    "multilabel": _summed(e.multilabel, e.multilabel_slope, OF_PROB),
    "boundary": _summed(e.product, e.product_slope, OF_CLASS_PROB, MAPS_AS_TARGET),
    "hausdorff": _summed(e.squared_error, e.squared_error_slope, OF_CLASS_PROB, MAPS_AS_WEIGHT),
    # elements
    "bce": Kernel(e.bce, e.bce_slope, OF_PROB),
    "binary_focal": Kernel(e.binary_focal, e.binary_focal_slope, OF_PROB),
    "binary_kl": Kernel(e.binary_kl, e.binary_kl_slope, OF_PROB),
    "binary_js": Kernel(e.binary_js, e.binary_js_slope, OF_PROB),
    "kl_div": Kernel(e.kl_div, e.kl_div_slope, OF_INPUT),
    "kl_div_log": Kernel(e.kl_div_log, e.kl_div_log_slope, OF_INPUT),
    "soft_margin": Kernel(e.soft_margin, e.soft_margin_slope, OF_INPUT),
    "target": Kernel(e.own_target, e.own_target_slope, OF_INPUT),
    "mse": Kernel(e.mse, e.mse_slope, OF_INPUT),
    "l1": Kernel(e.l1, e.l1_slope, OF_INPUT),
    "huber": Kernel(e.huber, e.huber_slope, OF_INPUT),
    "log_cosh": Kernel(e.log_cosh, e.log_cosh_slope, OF_INPUT),
    "pseudo_huber": Kernel(e.pseudo_huber, e.pseudo_huber_slope, OF_INPUT),
    # regions
    "region": Kernel(forward=regions.region_forward, backward=regions.region_backward),
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
