"""Tests the loss expressions of `--loss`: their meaning, and the errors, which show the place in the text."""

import inspect

import numpy as np
import pytest

from fastloss import functional
from fastloss.cli.errors import UserError
from fastloss.cli.expression import LONGEST, TAKEN, names, parse
from fastloss.cli.suggestions import ALIASES, NOTES, SCORES, SUGGESTED
from fastloss.losses import (
    LOSSES,
    AsymmetricUnifiedFocalLoss,
    CrossEntropyLoss,
    DiceCELoss,
    DiceLoss,
    FocalLoss,
    LovaszSoftmaxLoss,
    TopKLoss,
    TverskyLoss,
)


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("dice", DiceLoss()),
        ("dice_loss()", DiceLoss()),
        ("  (dice)  ", DiceLoss()),
        ("cross_entropy", CrossEntropyLoss()),
        ("tversky(alpha=0.3, beta=0.7)", TverskyLoss(alpha=0.3, beta=0.7)),
        ("dice(smooth=1, batch=True, class_weight=None)", DiceLoss(smooth=1, batch=True)),
        ("dice(smooth=(0, 1e-5), classes=[1, 2])", DiceLoss(smooth=(0, 1e-5), classes=[1, 2])),
        ("dice(absent='skip')", DiceLoss(absent="skip")),
        ("cross_entropy(ignore_index=-1)", CrossEntropyLoss(ignore_index=-1)),
        ("0.5*dice + 0.5*cross_entropy", 0.5 * DiceLoss() + 0.5 * CrossEntropyLoss()),
        ("0.5*(dice + cross_entropy)", 0.5 * (DiceLoss() + CrossEntropyLoss())),
        ("dice*2 + cross_entropy", 2 * DiceLoss() + CrossEntropyLoss()),
        ("2*3*dice", 6 * DiceLoss()),
        ("(0.25 + 0.25)*dice", 0.5 * DiceLoss()),
        ("dice_ce", DiceCELoss()),
        ("top_k(k=5)", TopKLoss(k=5)),
        ("topk(loss=focal(gamma=1), threshold=0.5)", TopKLoss(FocalLoss(gamma=1), threshold=0.5)),
        ("cross_entropy + 0.5*LovaszSoftmax", CrossEntropyLoss() + 0.5 * LovaszSoftmaxLoss()),
        ("asymmetric_unified_focal(delta=0.7)", AsymmetricUnifiedFocalLoss(delta=0.7)),
        ("0.5*dice_ce_loss(ce=2, ignore_index=1)", 0.5 * DiceCELoss(ce=2, ignore_index=1)),
    ],
)  # fmt: skip
def test_meaning(text, loss):
    assert repr(parse(text)) == repr(loss)


def test_every_loss_is_known_by_both_names():
    for name in TAKEN:
        assert names()[name] == name
        short = name.removesuffix("_loss")
        assert names()[short] == (short if short in TAKEN else name)
    assert set(LOSSES) - set(TAKEN) == {"soft_margin_loss"}


def test_defaults_reach_the_losses_that_have_them_and_did_not_set_them():
    defaults = {"activation": "sigmoid", "ignore_index": 255}
    loss = parse("dice + tversky(activation=None) + cross_entropy", defaults)
    expected = (
        DiceLoss(activation="sigmoid", ignore_index=255)
        + TverskyLoss(activation=None, ignore_index=255)
        + CrossEntropyLoss(ignore_index=255)
    )
    assert loss == expected
    assert parse("top_k", defaults) == TopKLoss(CrossEntropyLoss(ignore_index=255))
    own = FocalLoss(ignore_index=255, activation="sigmoid")
    assert parse("top_k(loss=focal)", defaults) == TopKLoss(own)
    assert parse("cross_entropy(ignore_index=0)", defaults) == CrossEntropyLoss(ignore_index=0)


@pytest.mark.parametrize(
    ("text", "message", "marked"),
    [
        ("dicee", 'unknown loss "dicee"; did you mean "dice"?', "dicee"),
        ("0.5*Dice + cross_entropi", 'did you mean "cross_entropy"?', "cross_entropi"),
        ("0.5*ce + hausdorff_distance", 'did you mean "hausdorff_dt"?', "hausdorff_distance"),
        ("CE(smoth=1)", 'cross_entropy has no parameter "smoth"', "smoth=1"),
        ("Dice(smoth=1)", '--loss: dice has no parameter "smoth"', "smoth=1"),
        ("1e39*iou", "factor: ", "1e39*iou"),
        ("0.5*dice + cross_entropi", 'did you mean "cross_entropy"?', "cross_entropi"),
        ("qqqq", 'unknown loss "qqqq" (', "qqqq"),
        ("dice(smoth=1)", 'dice has no parameter "smoth"; did you mean "smooth"?', "smoth=1"),
        ("dice(smooth=1, smooth=2)", 'got "smooth" twice', "smooth=2"),
        ("dice(1)", "expected parameters by name", "1"),
        ("dice(**x)", "expected parameters by name, got **", "x"),
        ("dice(*x)", "expected parameters by name", "*x"),
        ("dice(axis=2)", "--axis", "axis=2"),
        ("dice(reduction='none')", 'reduction "mean" or "sum"', "reduction='none'"),
        ("dice(smooth=open)", "expected a number, a string", "open"),
        ("dice(smooth=1+1)", "expected a number, a string", "1+1"),
        ("dice(smooth=b'x')", "expected a loss or a number", "b'x'"),
        ("dice(activation='soft')", "activation", "dice(activation='soft')"),
        ("0.5", "expected a loss, got a number", "0.5"),
        ("top_k(loss=0.5)", "expected a loss, got a number", "0.5"),
        ("top_k(loss=dice)", "loss: expected a loss with one value per pixel or element", "top_k(loss=dice)"),
        ("1 + dice", "expected two losses around +", "1 + dice"),
        ("dice*dice", "expected a number and a loss around *", "dice*dice"),
        ("dice - dice", "expected + or *", "dice - dice"),
        ("dice / 2", "expected + or *", "dice / 2"),
        ("2**dice", "expected + or *", "2**dice"),
        ("-dice", "expected a minus only before a number", "-dice"),
        ("True*dice", "expected a loss or a number", "True"),
        ("1j*dice", "expected a loss or a number", "1j"),
        ("1e999*dice", "expected a finite number", "1e999"),
        ("1e400*dice", "expected a finite number of at most 1.8e+308 in magnitude", "1e400"),
        ("dice*-1e400", "expected a finite number", "1e400"),
        (f"1{'0' * 400}*dice", "expected a finite number", f"1{'0' * 400}"),
        (f"dice + -1{'0' * 400}*dice", "expected a finite number", f"1{'0' * 400}"),
        (f"dice(smooth=1{'0' * 400})", "expected a finite number", f"1{'0' * 400}"),
        (f"1{'0' * 200}*1{'0' * 200}*dice", "expected a finite number", f"1{'0' * 200}*1{'0' * 200}"),
        (f"(1e308 + 1{'0' * 308})*dice", "expected a finite number", f"1e308 + 1{'0' * 308}"),
        ("10**400*dice", "expected + or *", "10**400"),
        ("1e39*dice", "factor: ", "1e39*dice"),
        ("'dice'", "expected a loss or a number", "'dice'"),
        ("f'{dice}'", "expected a loss, a number, + or *", "f'{dice}'"),
        ("dice if 1 else dice", "expected a loss, a number, + or *", "dice if 1 else dice"),
        ("[dice]", "expected a loss, a number, + or *", "[dice]"),
        ("lambda: dice", "expected a loss, a number, + or *", "lambda: dice"),
        ("dice.__class__", "expected a loss, a number, + or *", "dice.__class__"),
        ("dice.__init__()", "expected the name of a loss", "dice.__init__"),
        ("__import__('os').system('true')", "expected parameters by name", "'true'"),
        ("0.5*dice +", "not an expression", None),
        ("dice(", "not an expression", "("),
        ("x = dice", "not an expression", None),
        ("'é' + dicee", "expected a loss or a number", "'é'"),
        ("dicee(absent='é') + dicee", "unknown loss", "dicee"),
        ("dice(absent='é') + dice", "absent", "dice(absent='é')"),
    ],
)
def test_refused_where_it_stands(text, message, marked):
    with pytest.raises(UserError) as caught:
        parse(text)
    first, shown, marks = str(caught.value).split("\n")
    assert first.startswith("--loss: ")
    assert message in first
    assert shown == "    " + text
    if marked is not None:
        assert shown[marks.index("^") : len(marks)] == marked


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("ce", "cross_entropy"),
        ("CE", "cross_entropy"),
        ("ce_loss", "cross_entropy"),
        ("cross_entropy_loss", "cross_entropy"),
        ("crossentropy", "cross_entropy"),
        ("xent", "cross_entropy"),
        ("Dice", "dice"),
        ("diceloss", "dice"),
        ("soft_dice_loss", "dice"),
        ("NLL", "nll"),
        ("FocalLoss", "focal"),
        ("CategoricalCrossentropy", "categorical_cross_entropy"),
        ("bce_with_logits", "binary_cross_entropy_with_logits"),
        ("js", "js_div"),
        ("mae", "l1"),
        ("smoothl1", "smooth_l1"),
        ("gdice", "generalized_dice"),
        ("gdl", "generalized_dice"),
        ("generalised_dice_loss", "generalized_dice"),
        ("sigmoid_focal_loss", "binary_focal"),
        ("DiceCrossEntropy", "dice_ce"),
    ],
)
def test_another_name_of_a_loss_is_taken(word, name):
    notes = []
    assert repr(parse(word, notes=notes)) == repr(parse(name))
    assert notes == []
    assert parse(f"0.5*{word}(reduction='sum')") == parse(f"0.5*{name}(reduction='sum')")


@pytest.mark.parametrize(
    ("word", "note"),
    [
        ("iou", "iou is taken as jaccard, the loss 1 - IoU"),
        ("IoULoss", "IoULoss is taken as jaccard, the loss 1 - IoU"),
        ("jaccard_index", "jaccard_index is taken as jaccard, the loss 1 - IoU"),
        ("dsc", "dsc is taken as dice, the loss 1 - Dice"),
        ("f1", "f1 is taken as dice, the loss 1 - Dice"),
        ("dice_score", "dice_score is taken as dice, the loss 1 - Dice"),
        ("tversky_index", "tversky_index is taken as tversky, the loss 1 - Tversky index"),
        ("bce", "bce is taken as binary_cross_entropy, from probabilities; bce_with_logits is the loss of logits"),
        (
            "BCELoss",
            "BCELoss is taken as binary_cross_entropy, from probabilities; bce_with_logits is the loss of logits",
        ),
        ("kl", "kl is taken as kl_div, from log-probabilities, as in torch"),
        ("KLDivergence", "KLDivergence is taken as kl_div, from log-probabilities, as in torch"),
        ("l2", "l2 is taken as mse, the mean of the squares, not half of it or its root"),
    ],
)
def test_a_name_that_has_other_meanings_is_taken_with_a_note(word, note):
    notes = []
    name = note.split(" is taken as ")[1].split(",")[0]
    assert repr(parse(f"{word} + ce + 2*{word}", notes=notes)) == repr(parse(f"{name} + cross_entropy + 2*{name}"))
    assert notes == [note]
    assert parse(word) == parse(name)


@pytest.mark.parametrize(("word", "loss"), [("iou", "jaccard"), ("dsc", "dice"), ("tversky_index", "tversky")])
def test_the_loss_of_a_score_is_one_minus_the_score(word, loss):
    p = np.array([[0.75, 0.25, 0.5, 0.0]], np.float32)[:, None]
    y = np.array([[1, 0, 1, 0]])[:, None]
    both, ours, theirs = (p * y).sum(), p.sum(), y.sum()
    score = {
        "jaccard": both / (ours + theirs - both),
        "dice": 2 * both / (ours + theirs),
        "tversky": both / (both + 0.5 * (ours - both) + 0.5 * (theirs - both)),
    }
    assert loss in score
    value, _ = parse(f"{word}(activation=None, smooth=0)").value_and_grad(p, y)
    assert value == pytest.approx(1 - score[loss], abs=1e-6)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("hausdorff", "hausdorff_dt"),
        ("HausdorffLoss", "hausdorff_dt"),
        ("hd95", "hausdorff_dt"),
        ("surface", "boundary"),
        ("sensitivity", "sensitivity_specificity"),
        ("specificity", "sensitivity_specificity"),
        ("miou", "jaccard"),
        ("wce", "cross_entropy"),
        ("SparseCategoricalCrossentropy", "cross_entropy"),
        ("BinaryFocalCrossentropy", "binary_focal"),
        ("jensen_shannon", "js_div"),
        ("MultiLabelMarginLoss", "multilabel_soft_margin"),
        ("charbonnier", "pseudo_huber"),
        ("focal_tversk", "focal_tversky"),
        ("lovasz", "lovasz_softmax"),
        ("OHEM", "top_k"),
        ("unified_focal", "asymmetric_unified_focal"),
    ],
)
def test_another_quantity_is_suggested_but_never_taken(word, name):
    with pytest.raises(UserError, match=f'unknown loss "{word}"; did you mean "{name}"'):
        parse(word)
    assert name in names()


def test_the_name_of_a_class_is_taken():
    for function, cls in TAKEN.items():
        required = "(weight=1)" if "weight" in inspect.signature(cls).parameters else ""
        assert type(parse(f"{cls.__name__}{required}")) is type(parse(f"{function}{required}")), function


@pytest.mark.parametrize("word", ["SoftMarginLoss", "soft_margin", "softmargin"])
def test_soft_margin_is_refused_by_each_of_its_names(word):
    with pytest.raises(UserError, match=f"{word} takes targets -1 and 1"):
        parse(word)


@pytest.mark.parametrize("word", ["ace", "combo", "ssim", "hinge"])
def test_no_name_is_guessed_from_a_few_letters(word):
    with pytest.raises(UserError, match=rf'unknown loss "{word}" \('):
        parse(word)


def test_other_names_are_of_losses_and_of_one_each():
    tables = (ALIASES, SUGGESTED, {name: others for name, (_, others) in SCORES.items()})
    keys = [
        other.replace("_", "").removesuffix("loss") for t in tables for text in t.values() for other in text.split()
    ]
    own = {name.replace("_", "").removesuffix("loss") for name in names()}
    assert len(set(keys)) == len(keys)
    assert not set(keys) & own
    assert all(set(table) <= set(names()) for table in tables)
    assert {name for text in ALIASES.values() for name in text.split()} >= set(NOTES)


def test_no_name_means_a_loss_that_an_expression_cannot_name():
    functions = {name.replace("_", "").removesuffix("loss") for name in functional.__all__}
    own = {name.replace("_", "").removesuffix("loss") for name in names()}
    others = {
        o.replace("_", "")
        for t in (ALIASES, {n: o for n, (_, o) in SCORES.items()})
        for x in t.values()
        for o in x.split()
    }
    assert not (functions - own) & others


@pytest.mark.parametrize(
    "text",
    ["", "  ", "dice\n+ dice", "dice;" * 3, "(" * 500 + "dice" + ")" * 499, "0" * LONGEST + "1", "-" * 900 + "1"],
)
def test_refused(text):
    with pytest.raises(UserError, match="--loss: "):
        parse(text)


def test_deep_nesting_is_refused_not_fatal():
    with pytest.raises(UserError, match=r"nested too deeply|expected a loss, got a number"):
        parse("1+" * 499 + "1")


def test_nothing_is_evaluated(monkeypatch):
    def forbidden(*_args, **_kwargs):
        raise AssertionError("evaluated")

    monkeypatch.setattr("builtins.eval", forbidden)
    monkeypatch.setattr("builtins.exec", forbidden)
    parse("0.5*dice(smooth=1)")
    for text in ("eval('1')*dice", "dice(smooth=eval('1'))", "exec('1')"):
        with pytest.raises(UserError):
            parse(text)
