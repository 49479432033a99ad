"""Finds the loss that another name means: `ce` is short for cross entropy, `dicee` is a typing error.

Three tables hold the other names. Names of a loss are taken. Names of a score whose loss is exactly 1 - score are taken
with a note. Names of another quantity, and names that mean several losses, are only suggested in the error. Capitals,
`_` and a trailing `_loss` do not matter: `BCELoss` is `bce`. `expression.py` calls this module.
"""

import difflib
from collections.abc import Iterable, Mapping

ALIASES = {
    "cross_entropy": "ce xe xent xentropy softmax_ce softmax_cross_entropy",
    "nll": "negative_log_likelihood",
    "categorical_cross_entropy": "cce",
    "focal": "fl softmax_focal multiclass_focal categorical_focal",
    "kl_div": "kl kld kl_divergence kullback_leibler kullback_leibler_divergence",
    "binary_cross_entropy": "bce",
    "binary_cross_entropy_with_logits": "bce_with_logits bce_logits sigmoid_ce sigmoid_bce sigmoid_cross_entropy",
    "balanced_binary_cross_entropy": "balanced_bce bbce",
    "binary_focal": "bfl sigmoid_focal",
    "binary_kl_div": "binary_kl bkl binary_kl_divergence",
    "js_div": "js jsd js_divergence jensen_shannon_divergence",
    "mse": "l2 squared_error mean_squared_error",
    "l1": "mae absolute_error mean_absolute_error",
    "dice": "soft_dice",
    "jaccard": "soft_jaccard",
    "focal_tversky": "ftl",
    "sensitivity_specificity": "sens_spec",
    "generalized_dice": "gdl gdice gen_dice generalised_dice",
    "dice_ce": "ce_dice dice_cross_entropy dice_xent",
    "poly": "poly1 poly_ce",
}
"""Maps a loss's short name here to its names in papers and other libraries. These are taken."""

SCORES = {
    "dice": (
        "Dice",
        "dsc dice_coefficient dice_score dice_similarity dice_similarity_coefficient sorensen_dice f1 f1_score",
    ),
    "jaccard": (
        "IoU",
        "iou soft_iou intersection_over_union iou_score jac jaccard_index jaccard_score jaccard_coefficient",
    ),
    "tversky": ("Tversky index", "tversky_index"),
}
"""Maps a loss to its score and the names of that score. The loss is exactly 1 - score. These are taken with a note."""

NOTES = {
    "bce": "from probabilities; bce_with_logits is the loss of logits",
    "kl": "from log-probabilities, as in torch",
    "kld": "from log-probabilities, as in torch",
    "kl_divergence": "from log-probabilities, as in torch",
    "l2": "the mean of the squares, not half of it or its root",
}
"""Names whose meaning differs between libraries, and the meaning that is taken here, for the note."""

SUGGESTED = {
    "cross_entropy": "wce weighted_ce weighted_cross_entropy sparse_categorical_cross_entropy",
    "balanced_binary_cross_entropy": "wbce weighted_bce",
    "binary_focal": "focal_bce binary_focal_cross_entropy",
    "focal": "categorical_focal_cross_entropy",
    "js_div": "jensen_shannon jensen_shannon_distance js_distance",
    "multilabel_soft_margin": "multilabel multilabel_margin",
    "pseudo_huber": "charbonnier",
    "jaccard": "miou mean_iou",
    "focal_tversky": "ft",
    "sensitivity_specificity": "ss sensitivity specificity recall",
    "generalized_dice": "gd generalized_dice_score",
    "boundary": "bd surface surface_distance",
    "hausdorff_dt": "hd hd95 hausdorff hausdorff_distance",
    "lovasz_softmax": "lovasz",
    "top_k": "ohem hard_mining",
    "asymmetric_unified_focal": "unified_focal",
}
"""Maps a loss to names that are only suggested. Some mean another quantity: `hausdorff_distance` is in pixels, and
`miou` counts over a data set. Others mean several losses: Keras' `SparseCategoricalCrossentropy` takes probabilities by
default, and `weighted_ce` needs weights."""

METRIC_ALIASES = {
    "dice_score": "dice dsc dice_coefficient dice_similarity dice_similarity_coefficient sorensen_dice f1 f1_score",
    "iou": "jaccard jac jaccard_index jaccard_score jaccard_coefficient intersection_over_union iou_score",
    "precision": "ppv positive_predictive_value precision_score",
    "recall": "sensitivity tpr true_positive_rate recall_score",
    "specificity": "tnr true_negative_rate",
    "fbeta": "f_beta fbeta_score",
    "accuracy": "acc pixel_accuracy accuracy_score",
    "balanced_accuracy": "bacc balanced_acc balanced_accuracy_score",
    "cohen_kappa": "kappa cohen_kappa_score",
    "mcc": "matthews matthews_corrcoef matthews_correlation_coefficient",
    "confusion_matrix": "confusion",
}
"""Maps a metric to its names in papers and other libraries. These are taken."""

METRIC_SUGGESTED = {"iou(batch=True)": "miou mean_iou", "balanced_accuracy": "macc mean_accuracy macro_recall"}
"""Maps a metric to names that are only suggested, because they count over a data set, or differ between libraries."""


def _key(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("loss")


def _owners(table: Mapping[str, str]) -> dict[str, str]:
    return {_key(other): name for name, others in table.items() for other in others.split()}


_ALIASES = _owners(ALIASES)
_SCORES = _owners({name: others for name, (_, others) in SCORES.items()})
_SUGGESTED = _owners(SUGGESTED)
_METRIC_ALIASES = _owners(METRIC_ALIASES)
_METRIC_SUGGESTED = _owners(METRIC_SUGGESTED)
_NOTES = {_key(name): note for name, note in NOTES.items()}


def taken_as(word: str, known: Iterable[str]) -> tuple[str, str | None] | None:
    """Return the loss that the name means, and the note that the user should read. None: no such name is taken.

    Parameters
    ----------
    word : str
        The name, which is not one of `known`.
    known : iterable of str
        The names of losses, short names first.

    Returns
    -------
    (str, str or None) or None
        The name in `known`, and the note, such as `iou is taken as jaccard, the loss 1 - IoU`.
    """
    key = _key(word)
    own = {_key(name): name for name in reversed(list(known))}
    if key in own:
        return own[key], None
    if key in _SCORES:
        name = _SCORES[key]
        return name, f"{word} is taken as {name}, the loss 1 - {SCORES[name][0]}"
    if key in _ALIASES:
        name = _ALIASES[key]
        return name, f"{word} is taken as {name}, {_NOTES[key]}" if key in _NOTES else None
    return None


def meant_loss(word: str, known: Iterable[str]) -> str:
    """Return the hint for a name that is not taken: `; did you mean "hausdorff_dt"?`, or nothing if none is similar."""
    return _hint(_SUGGESTED.get(_key(word))) or nearest(word, known)


def metric_taken_as(word: str, known: Iterable[str]) -> str | None:
    """Return the metric that the name means, or None."""
    own = {_key(name): name for name in known}
    return own.get(_key(word)) or _METRIC_ALIASES.get(_key(word))


def meant_metric(word: str, known: Iterable[str]) -> str:
    """Return the hint for a name of a metric that is not taken."""
    names = [*known, *(alias for aliases in METRIC_ALIASES.values() for alias in aliases.split())]
    return _hint(_METRIC_SUGGESTED.get(_key(word))) or nearest(word, names)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint for a word that differs from one of `known` by a letter or two."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)  # at 0.5, "ace" matched "dice"
    return _hint(by_lower[near[0]] if near else None)


def _hint(name: str | None) -> str:
    return f'; did you mean "{name}"?' if name else ""
