"""Formulas as MathML, which browsers show without a script or a font from elsewhere. latex2mathml converts them."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def converted(node: Any, display: str) -> str:
    formula = node.astext()
    text: str = convert(formula, display=display)
    if "\\" in text:  # it passes on what it does not know
        raise ExtensionError(f"{node.source}: latex2mathml cannot convert the formula {formula!r}")
    return text


def visit_inline(self: Any, node: nodes.math) -> None:
    self.body.append(converted(node, "inline"))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    # It scrolls where the screen is narrow, and the keyboard must reach what scrolls.
    self.body.append(f'<div class="math" tabindex="0">{converted(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
