"""Makes mutants of a C or Python file by rules. Each mutant changes one operator, number or statement."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Mutant(NamedTuple):
    file: pathlib.Path  # relative to the repository
    function: str  # or macro, or ""
    start: int  # what is between these two characters of the file's text
    end: int
    new: str  # is replaced by this

    def line(self, text: str) -> str:
        """The line of `text`, this mutant's file or what became of it, in which the change begins."""
        first = text.rfind("\n", 0, self.start) + 1
        return text[first : text.find("\n", self.start)].strip()

    def applied(self, text: str) -> str:
        return text[: self.start] + self.new + text[self.end :]


def mutants(root: pathlib.Path, file: pathlib.Path) -> list[Mutant]:
    """All of a file, in the order of its text."""
    text = (root / file).read_text(encoding="utf-8")
    changes = of_python(text) if file.suffix == ".py" else of_c(text)
    found = {Mutant(file, *change): None for change in changes}
    return sorted(found, key=lambda m: (m.start, m.new))


Change = tuple[str, int, int, str]  # function, start, end, new

# ---- C, whose operators clang-format puts between spaces

SWAPPED = [("<", "<="), (">", ">="), ("==", "!="), ("&&", "||"), ("+", "-"), ("*", "/"), ("<<", ">>"), ("&", "|")]
SWAPPED += [("+=", "-="), ("*=", "/="), ("|=", "&=")]
OTHER = dict(SWAPPED) | {b: a for a, b in SWAPPED} | {"%": "/", "^": "|"}
LVALUE = r"\*?\w+(?:(?:->|\.)\w+|\[[^\]]*\])*"


def one_more(found: re.Match[str]) -> str:
    digits, suffix = re.fullmatch(r"(.*?)([uU]?[lL]*)", found[0]).groups()
    more = int(digits, 0) + 1
    return f"{more:#x}{suffix}" if digits.startswith("0x") else f"{more}{suffix}"


def exchange(one: str, other: str) -> Callable[[re.Match[str]], str]:
    return lambda found: other if found[0] == one else one


RULES: list[tuple[str, Callable[[re.Match[str]], str]]] = [
    (r"(?<= )(?:[<>=!]=|[<>]|&&|\|\||<<|>>|[-+*/%&|^]|[-+*/|&]=)(?= )", lambda found: OTHER[found[0]]),
    (r"(?<![\w.])(?:0x[\da-fA-F]+|[1-9]\d*|0)[uU]?[lL]*(?![\w.])", one_more),
    (r"(?<![\w.])(?:\d+\.\d*(?:e[-+]?\d+)?|\d+e-?\d+|0x1p[-+]?\d+)f?(?![\w.])", lambda found: f"(1.5f * {found[0]})"),
    (r"(?<![\w)\]])!(?=[\w(])", lambda found: ""),
    (r"\b(?:least|most)(?=\()", exchange("least", "most")),
    (r"\bf(?:min|max)(?=f?\()", exchange("fmin", "fmax")),
    (r"(?<=\breturn )[^;]+(?=;)", lambda found: "0"),
    (rf"(?:^\s+|(?<=\) )){LVALUE} [-+*/|&]?= [^;{{}}]+(?=;$)", lambda found: ""),
    (r"(?:^\s+|(?<=\) ))(?!return\b|sizeof\b)\w+\([^;{}]*\)(?=;$)", lambda found: ""),
    (r"\b(?:continue|break)(?=;)", lambda found: ""),
]


def code_of(text: str) -> str:
    """`text` with spaces for its comments, strings and directives, but not for what a #define stands for."""

    def blank(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", found[0])

    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.DOTALL)
    text = re.sub(r"^[ \t]*#[ \t]*define[ \t]+\w+(?:\([^)\n]*\))?", blank, text, flags=re.MULTILINE)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.MULTILINE)


def functions_of(text: str, code: str) -> list[tuple[int, int, str]]:
    """(start, end, name) of every function and #define."""
    found, depth, start, name = [], 0, 0, ""
    for at, char in enumerate(code):
        if char in "};" and depth == (char == "}"):
            found.append((start, at + 1, name))
            start, name = at + 1, ""
        elif char == "{" and depth == 0:
            heads = re.findall(r"(\w+)(?=\s*[(\[=])", code[start:at])
            name = next((h for h in heads if h not in ("__attribute__", "defined")), "")
        depth += (char == "{") - (char == "}")
    for define in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(?:[^\n]*\\\n)*[^\n]*", text, re.MULTILINE):
        found.insert(0, (define.start(), define.end(), define[1]))
    return found


def of_c(text: str) -> Iterator[Change]:
    code = code_of(text)
    functions = functions_of(text, code)

    def function(at: int) -> str:
        return next((name for start, end, name in functions if start <= at < end), "")

    for pattern, change in RULES:
        for found in re.finditer(pattern, code, re.MULTILINE):
            new = change(found)
            if new != found[0].strip():
                indent = len(found[0]) - len(found[0].lstrip())
                yield function(found.start()), found.start() + indent, found.end(), new
    for found in re.finditer(r"\bif \(", code):  # the opposite condition
        end, depth = found.end(), 1
        while depth:
            depth += (code[end] == "(") - (code[end] == ")")
            end += 1
        inner = text[found.end() : end - 1]
        yield function(found.start()), found.end(), end - 1, f"!({inner})"


# ---- Python

OPPOSITE: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip


def changed(node: ast.AST) -> Iterator[str]:
    """The nodes that may replace a node of Python."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPPOSITE:
        ops = [OPPOSITE[type(node.ops[0])](), *node.ops[1:]]
        yield f"({ast.unparse(ast.Compare(node.left, ops, node.comparators))})"  # type: ignore[arg-type]
    elif isinstance(node, ast.BoolOp):
        yield f"({ast.unparse(ast.BoolOp(OPPOSITE[type(node.op)](), node.values))})"  # type: ignore[arg-type]
    elif isinstance(node, ast.BinOp) and type(node.op) in OPPOSITE:
        yield f"({ast.unparse(ast.BinOp(node.left, OPPOSITE[type(node.op)](), node.right))})"  # type: ignore[arg-type]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield repr(node.value + 1)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "return None"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "pass"


def of_python(text: str) -> Iterator[Change]:
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    ahead = [0]
    for line in lines:
        ahead.append(ahead[-1] + len(line.decode()))

    def place(line: int, column: int) -> int:  # a column counts bytes
        return ahead[line - 1] + len(lines[line - 1][:column].decode())

    def visit(node: ast.AST, function: str) -> Iterator[Change]:
        if isinstance(node, ast.FunctionDef):
            function = node.name
        for new in changed(node) if hasattr(node, "lineno") else ():
            yield function, place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset), new
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns", "decorator_list"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        yield from visit(child, function)

    yield from visit(ast.parse(text), "")
