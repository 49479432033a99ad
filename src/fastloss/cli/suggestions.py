"""Suggests the loss that a wrong name may mean: `ce` is short for cross entropy, `dicee` is a typing error.

The suggestions appear only in error messages, because an expression accepts a loss only by its own name.
`expression.py` calls this module.
"""

import difflib
from collections.abc import Iterable

OTHER_NAMES = {
    "cross_entropy": "ce wce xe xent xentropy softmax_ce softmax_cross_entropy sparse_categorical_cross_entropy",
    "nll": "negative_log_likelihood",
    "categorical_cross_entropy": "cce",
    "focal": "fl softmax_focal multiclass_focal categorical_focal",
    "kl_div": "kl kld kl_divergence kullback_leibler",
    "binary_cross_entropy": "bce",
    "binary_cross_entropy_with_logits": "bce_with_logits bce_logits sigmoid_ce sigmoid_bce sigmoid_cross_entropy",
    "balanced_binary_cross_entropy": "balanced_bce bbce weighted_bce wbce",
    "binary_focal": "bfl sigmoid_focal focal_bce binary_focal_cross_entropy",
    "binary_kl_div": "binary_kl bkl binary_kl_divergence",
    "js_div": "js jsd js_divergence jensen_shannon jensen_shannon_divergence",
    "multilabel_soft_margin": "multilabel multilabel_margin",
    "mse": "l2 squared_error mean_squared_error",
    "l1": "mae absolute_error mean_absolute_error",
    "pseudo_huber": "charbonnier",
    "dice": "dsc soft_dice dice_coefficient dice_score f1 f1_score sorensen_dice",
    "jaccard": "iou miou soft_iou intersection_over_union jac",
    "tversky": "tversky_index",
    "focal_tversky": "ft ftl",
    "sensitivity_specificity": "ss sens_spec sensitivity specificity",
    "generalized_dice": "gd gdl gdice gen_dice generalised_dice",
    "boundary": "bd surface",
    "hausdorff_dt": "hd hausdorff hausdorff_distance",
    "dice_ce": "ce_dice dice_cross_entropy dice_xent",
}
"""Maps a loss's short name here to its names in papers and other libraries. Capitals, `_` and a trailing `_loss` do not
matter: `BCELoss` is `bce`."""

_OWNERS = {other: name for name, others in OTHER_NAMES.items() for other in others.split()}


def meant_loss(word: str, known: Iterable[str]) -> str:
    """Return the hint for an unknown loss: `; did you mean "cross_entropy"?`, or nothing if no name is similar."""
    known = list(known)
    by_key = {_key(name): name for name in reversed(known)} | {_key(name): _OWNERS[name] for name in _OWNERS}
    return _hint(by_key.get(_key(word))) or nearest(word, known)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint for a word that differs from one of `known` by a letter or two."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)  # at 0.5, "ace" matched "dice"
    return _hint(by_lower[near[0]] if near else None)


def _hint(name: str | None) -> str:
    return f'; did you mean "{name}"?' if name else ""


def _key(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("loss")
