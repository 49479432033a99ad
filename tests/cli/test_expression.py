"""Tests the loss expressions of `--loss`: their meaning, and the errors, which show the place in the text."""

import pytest

from fastloss.cli.errors import UserError
from fastloss.cli.expression import LONGEST, TAKEN, names, parse
from fastloss.cli.suggestions import OTHER_NAMES
from fastloss.losses import LOSSES, CrossEntropyLoss, DiceCELoss, DiceLoss, TverskyLoss


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
    assert parse("cross_entropy(ignore_index=0)", defaults) == CrossEntropyLoss(ignore_index=0)


@pytest.mark.parametrize(
    ("text", "message", "marked"),
    [
        ("dicee", 'unknown loss "dicee"; did you mean "dice"?', "dicee"),
        ("0.5*Dice + cross_entropi", 'did you mean "dice"?', "Dice"),
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
        ("bce", "binary_cross_entropy"),
        ("CE", "cross_entropy"),
        ("ce_loss", "cross_entropy"),
        ("cross_entropy_loss", "cross_entropy"),
        ("crossentropy", "cross_entropy"),
        ("xent", "cross_entropy"),
        ("wce", "cross_entropy"),
        ("sparse_categorical_crossentropy", "cross_entropy"),
        ("bce_with_logits", "binary_cross_entropy_with_logits"),
        ("iou", "jaccard"),
        ("IoULoss", "jaccard"),
        ("kl", "kl_div"),
        ("KLDivergence", "kl_div"),
        ("js", "js_div"),
        ("mae", "l1"),
        ("l2", "mse"),
        ("gdice", "generalized_dice"),
        ("gdl", "generalized_dice"),
        ("generalised_dice_loss", "generalized_dice"),
        ("hausdorff", "hausdorff_dt"),
        ("sigmoid_focal_loss", "binary_focal"),
        ("focal_tversk", "focal_tversky"),
        ("DiceCrossEntropy", "dice_ce"),
    ],
)
def test_the_name_that_was_meant(word, name):
    with pytest.raises(UserError, match=f'unknown loss "{word}"; did you mean "{name}"'):
        parse(word)
    assert name in names()


def test_the_name_of_a_class_leads_to_its_function():
    for function, cls in TAKEN.items():
        with pytest.raises(UserError) as caught:
            parse(f"{cls.__name__}()")
        assert f'did you mean "{function.removesuffix("_loss")}"?' in str(caught.value)


@pytest.mark.parametrize("word", ["ace", "lovasz", "combo", "ssim", "hinge", "topk"])
def test_no_name_is_guessed_from_a_few_letters(word):
    with pytest.raises(UserError, match=rf'unknown loss "{word}" \('):
        parse(word)


def test_other_names_are_of_losses_and_of_one_each():
    others = [other for text in OTHER_NAMES.values() for other in text.split()]
    assert len(set(others)) == len(others)
    assert not set(others) & set(names())
    assert set(OTHER_NAMES) <= set(names())


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
