"""Turn a loss expression such as `0.5*dice + 0.5*cross_entropy(label_smoothing=0.1)` into a loss, without `eval`.

`parse_metric` does the same for a metric, such as `fbeta(beta=2)`. `parse` walks the syntax tree that Python makes of
the text. It knows only numbers, strings, tuples, lists, None, True, False, `+`, `*`, parentheses, a minus before a
number, and calls of losses with parameters by name. For anything else it raises a `UserError` that points at the place
in the text. `app.py` calls this module, which knows nothing about files.
"""

import ast
import inspect
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TypeVar

from fastloss.losses import LOSSES, AsymmetricUnifiedFocalLoss, DiceCELoss, Loss
from fastloss.metrics import METRICS, Metric

from .errors import UserError, printable
from .suggestions import meant_loss, meant_metric, metric_taken_as, nearest, taken_as

LONGEST = 1000
"""The most characters of an expression. No real expression is nearly as long."""

TAKEN: dict[str, Callable[..., Loss]] = {
    **{name: cls for name, cls in LOSSES.items() if cls.kind == "pixel" or cls.takes_binary},
    "dice_ce_loss": DiceCELoss,
    "asymmetric_unified_focal_loss": AsymmetricUnifiedFocalLoss,
}
"""The losses that an expression may name. Soft margin is missing: it takes targets -1 and 1, and a mask holds no -1."""

T = TypeVar("T")


def parse(text: str, defaults: Mapping[str, object] | None = None, notes: list[str] | None = None) -> Loss:
    """Return the loss that `text` describes.

    `defaults` maps parameters to values. A default applies to each loss that has the parameter and does not set it.
    `notes` gets a line for each name that is taken as a loss although it is the name of a score, or has other meanings.
    """
    reader = _Reader(text, dict(defaults or {}), notes if notes is not None else [])
    node = reader.tree()
    try:
        return reader.loss(node)
    except RecursionError:
        raise reader.error(node, "expected a simpler expression, got one that is nested too deeply") from None


def parse_metric(text: str, defaults: Mapping[str, object] | None = None) -> Metric:
    """Return the metric that `text` describes. `defaults` maps parameters to values, as for `parse`."""
    reader = _MetricReader(text, dict(defaults or {}), [])
    node = reader.tree()
    if isinstance(node, ast.Call) and node.args:
        raise reader.error(node.args[0], "expected parameters by name, for example fbeta(beta=2)")
    func, keywords = (node.func, node.keywords) if isinstance(node, ast.Call) else (node, [])
    return reader.metric(node, func, keywords)


def all_metrics() -> list[str]:
    """Return the names of all metrics that need no parameter."""
    missing = inspect.Parameter.empty
    known = ((name, make) for name, make in METRICS.items() if not make.of_scale)  # the others need probabilities
    return [name for name, make in known if missing not in parameters(make).values()]


def names() -> dict[str, str]:
    """Map each name that an expression may use to the function's name: `dice` and `dice_loss` -> `dice_loss`."""
    short = {name.removesuffix("_loss"): name for name in TAKEN}
    return short | {name: name for name in TAKEN}


def parameters(make: Callable[..., object]) -> dict[str, object]:
    """Return a loss's parameters and their defaults (`inspect.Parameter.empty` if a parameter is required)."""
    return {name: parameter.default for name, parameter in inspect.signature(make).parameters.items()}


class _Reader:
    """Reads one expression. It keeps the text for messages, the losses' defaults, and the notes on their names."""

    option, what = "--loss", "loss"

    def __init__(self, text: str, defaults: dict[str, object], notes: list[str]) -> None:
        self.text = text
        self.defaults = defaults
        self.notes = notes

    def error(self, node: ast.AST, message: str) -> UserError:
        """Return the error, with the place in the expression underlined."""
        line = self.text.encode()  # ast counts columns in UTF-8 bytes
        start = len(line[: getattr(node, "col_offset", 0)].decode(errors="ignore"))
        end = len(line[: getattr(node, "end_col_offset", None) or 0].decode(errors="ignore"))
        return self._pointed(message, start, end - start)

    def _pointed(self, message: str, start: int, length: int) -> UserError:
        before, marked = (len(printable(part)) for part in (self.text[:start], self.text[start : start + length]))
        return UserError(
            f"{self.option}: {message}\n    {printable(self.text)}\n    {' ' * before}{'^' * max(marked, 1)}"
        )

    def tree(self) -> ast.expr:
        if len(self.text) > LONGEST:
            raise UserError(
                f"{self.option}: expected an expression of at most {LONGEST} characters, got {len(self.text)}"
            )
        if "\n" in self.text or "\r" in self.text or not self.text.strip():
            raise UserError(f"{self.option}: expected an expression on one line, got {self.text!r}")
        indent = len(self.text) - len(self.text.lstrip())
        self.text = self.text[indent:]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python warns about a doubtful escape in a string
                return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise self._pointed(
                f"not an expression: {error.msg}", (error.offset or len(self.text) + 1) - 1, 1
            ) from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise self._pointed(f"not an expression: {error}", 0, len(self.text)) from None

    def loss(self, node: ast.expr) -> Loss:
        """Return the loss that an expression, or the parameter of a loss, describes."""
        value = self.term(node)
        if not isinstance(value, Loss):
            raise self.error(node, "expected a loss, got a number")
        return value

    def term(self, node: ast.expr) -> Loss | float:
        """Return a loss, or a number that is the weight of a loss."""
        if isinstance(node, ast.BinOp):
            return self._operation(node)
        if isinstance(node, ast.Name):
            return self._made(node, node, [])
        if isinstance(node, ast.Call):
            if node.args:
                raise self.error(node.args[0], "expected parameters by name, for example dice(smooth=1)")
            return self._made(node, node.func, node.keywords)
        if isinstance(node, ast.Constant | ast.UnaryOp):
            return float(self._number(node))
        raise self.error(node, "expected a loss, a number, + or *")

    def _operation(self, node: ast.BinOp) -> Loss | float:
        if not isinstance(node.op, ast.Add | ast.Mult):
            raise self.error(node, "expected + or *, which combine losses, got another operator")
        left, right = self.term(node.left), self.term(node.right)
        if isinstance(node.op, ast.Add):
            return self._sum(node, left, right)
        return self._product(node, left, right)

    def _sum(self, node: ast.BinOp, left: Loss | float, right: Loss | float) -> Loss | float:
        if isinstance(left, Loss) and isinstance(right, Loss):
            first, second = left, right
            return self._checked(node, lambda: first + second)
        if isinstance(left, Loss) or isinstance(right, Loss):
            raise self.error(node, "expected two losses around +, got a number and a loss; a number can only multiply")
        return self._finite(node, left + right)

    def _product(self, node: ast.BinOp, left: Loss | float, right: Loss | float) -> Loss | float:
        if isinstance(left, Loss):
            left, right = right, left  # put the number first
        if isinstance(left, Loss):
            raise self.error(node, "expected a number and a loss around *, got two losses")
        if isinstance(right, Loss):
            weight, loss = left, right
            return self._checked(node, lambda: weight * loss)
        return self._finite(node, left * right)

    def _number(self, node: ast.expr) -> float:
        if isinstance(node, ast.UnaryOp):
            if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
                return -self._number(node.operand)
            raise self.error(node, "expected a minus only before a number; write -1*dice for the negative of dice")
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(node, f"expected a loss or a number, got {value!r}")
        return self._finite(node, value)

    def _finite(self, node: ast.AST, value: float) -> float:
        """Return the number if it fits float64. 1e400 becomes infinity, and an integer of 400 digits cannot convert."""
        try:
            finite = math.isfinite(value)
        except OverflowError:
            finite = False
        if not finite:
            raise self.error(node, f"expected a finite number of at most {sys.float_info.max:.2g} in magnitude")
        return value

    def _made(self, node: ast.expr, func: ast.expr, keywords: list[ast.keyword]) -> Loss:
        """Return the loss that the call names, with the call's parameters and the defaults for the others."""
        if not isinstance(func, ast.Name):
            raise self.error(func, "expected the name of a loss")
        name = self._name(func)
        return self._call(node, name, TAKEN[names()[name]], keywords)

    def _call(self, node: ast.expr, name: str, make: Callable[..., T], keywords: list[ast.keyword]) -> T:
        own = self._parameters(name, parameters(make), keywords)
        for option, usual in parameters(make).items():
            if isinstance(usual, Loss) and option not in own:  # the loss of a top-k loss gets the defaults
                own[option] = type(usual)(**self._defaults_of(type(usual)))
        return self._checked(node, lambda: make(**(self._defaults_of(make) | own)))

    def _defaults_of(self, make: Callable[..., object]) -> dict[str, object]:
        return {name: value for name, value in self.defaults.items() if name in parameters(make)}

    def _name(self, func: ast.Name) -> str:
        """Return the loss's own name for the name in the expression, which may be another name of the loss."""
        known = names()
        if func.id in known:
            return func.id
        if func.id.lower().replace("_", "") in ("softmargin", "softmarginloss"):
            same = "binary_cross_entropy_with_logits computes the same from labels 0 and 1"
            raise self.error(func, f"{func.id} takes targets -1 and 1, but a mask holds no -1; {same}")
        taken = taken_as(func.id, known)
        if taken is None:
            raise self.error(func, f'unknown loss "{func.id}"{meant_loss(func.id, known)} (fastloss losses lists them)')
        name, note = taken
        if note is not None and note not in self.notes:
            self.notes.append(note)
        return name

    def _parameters(self, loss: str, known: Mapping[str, object], keywords: list[ast.keyword]) -> dict[str, object]:
        found: dict[str, object] = {}
        for keyword in keywords:
            name = keyword.arg
            if name is None:
                raise self.error(keyword.value, "expected parameters by name, got **")
            if name not in known:
                hint = f"{nearest(name, known)} (its parameters: {', '.join(known)})"
                raise self.error(keyword, f'{loss} has no parameter "{name}"{hint}')
            if name in found:
                raise self.error(keyword, f'expected each parameter once, got "{name}" twice')
            if name == "axis":
                raise self.error(keyword, f"expected no axis here; --axis sets the class axis of every {self.what}")
            takes_loss = isinstance(known[name], Loss)
            found[name] = self.loss(keyword.value) if takes_loss else self._value(keyword.value)
            if name == "reduction" and found[name] == "none":
                raise self.error(keyword, 'expected reduction "mean" or "sum", one number per loss, got "none"')
        return found

    def _value(self, node: ast.expr) -> object:
        """Return the value of a parameter, which must be a literal."""
        if isinstance(node, ast.Tuple | ast.List):
            values = [self._value(item) for item in node.elts]
            return tuple(values) if isinstance(node, ast.Tuple) else values
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool | str)):
            return node.value
        if isinstance(node, ast.Constant | ast.UnaryOp):
            return self._number(node)
        raise self.error(node, "expected a number, a string, None, True, False, or a tuple or list of these")

    def _checked(self, node: ast.AST, make: Callable[[], T]) -> T:
        """Call `make`. If a loss refuses its options, the error points at that loss in the expression."""
        try:
            return make()
        except (ValueError, TypeError, OverflowError) as error:
            raise self.error(node, str(error)) from None


class _MetricReader(_Reader):
    """Reads the name of a metric, or a call."""

    option, what = "--metric", "metric"

    def metric(self, node: ast.expr, func: ast.expr, keywords: list[ast.keyword]) -> Metric:
        if not isinstance(func, ast.Name):
            raise self.error(node, "expected the name of a metric, maybe with parameters, for example fbeta(beta=2)")
        name = func.id if func.id in METRICS else metric_taken_as(func.id, METRICS)
        if name is None:
            hint = meant_metric(func.id, METRICS)
            raise self.error(func, f'unknown metric "{func.id}"{hint} (fastloss metrics lists them)')
        return self._call(node, name, METRICS[name], keywords)
