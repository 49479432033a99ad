"""Renders a template as a page that is one file: style and script are inside, and it may load nothing.

jinja2 escapes every text. The policy in the head of the page allows only its own script, by its hash, and no network.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from .._backend import config

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; "
    "base-uri 'none'; form-action 'none'"
)


def missing_library() -> str:
    """Return the reason why no page can be made, or nothing."""
    missing = [name for module, name in (("jinja2", "jinja2"), ("PIL", "pillow")) if find_spec(module) is None]
    if not missing:
        return ""
    return f'needs {" and ".join(missing)}, which is not installed; run: pip install "fastloss[report]"'


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """Return the page that a template makes from its context.

    Raises
    ------
    ImportError
        If the libraries of the extra are missing.
    """
    if missing := missing_library():
        raise ImportError(f"an HTML page {missing}")
    from markupsafe import Markup

    script, style = _text("page.js"), _text("style.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page: str = (
        _environment()
        .get_template(template)
        .render(
            policy=POLICY.format(hash=digest),
            style=Markup(style),
            script=Markup(script),
            version=config()["version"],
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            **context,
        )
    )
    return page


def _text(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
