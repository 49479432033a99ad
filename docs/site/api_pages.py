"""Writes the index of the API reference, api/index.rst, from the `__all__` of the public modules.

autosummary then makes a page for each name. No list is kept: a new name in an `__all__` has its page.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import GenericAlias, ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

import fastloss
from fastloss._engine.functions import FUNCTIONS
from fastloss._engine.multi_input import MultiInputLoss
from fastloss.losses import Loss

NO_API = {"fastloss.cli"}  # the command line has a page of its own
OBJECTS, AS_FUNCTIONS, ERRORS, OTHERS = "Losses", "Losses as functions", "Errors", "Other classes and functions"
TITLE = "API reference"
INTRODUCTION = """
A loss is a class and a function with the same options. The pages on :doc:`losses </losses/README>` compare the losses
and help to choose one.
"""

PLAIN = re.compile(r"`[^`]*`|^ *(?:>>>|\.\.\. ).*$|\$(?P<formula>[^$]+)\$|(?P<markup>\*(?=[A-Za-z])|\|)", re.MULTILINE)
"""Code, which stays as it is, formulas, and characters that are markup in reStructuredText."""

log = logging.getLogger(__name__)


def modules(package: ModuleType = fastloss) -> Iterator[ModuleType]:
    """Yield the public modules that have an `__all__`. A module whose library is not installed is left out."""
    yield package
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if found.name.rpartition(".")[2].startswith("_") or found.name in NO_API:
            continue
        try:
            module = importlib.import_module(found.name)
        except ImportError as error:
            log.info("api: %s is left out, because of an import error: %s", found.name, error)
            continue
        if found.ispkg:
            yield from modules(module)
        elif hasattr(module, "__all__"):
            yield module


def public_names() -> dict[str, Any]:
    """Return the public objects by full name, `fastloss.name` where the package itself has them."""
    found: dict[str, Any] = {}
    seen = set[int]()
    for module in modules():
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if id(thing) not in seen and not isinstance(thing, GenericAlias):  # an alias of a type has no page
                seen.add(id(thing))
                found[f"{module.__name__}.{name}"] = thing
    return found


def groups() -> dict[str, list[str]]:
    """Return the full names by the title of their group: losses, the rest of the package by kind, and each module."""
    found: dict[str, list[str]] = {title: [] for title in (OBJECTS, AS_FUNCTIONS, ERRORS, OTHERS)}
    for name, thing in public_names().items():
        module, _, own = name.rpartition(".")
        found.setdefault(module if module != "fastloss" else _kind(own, thing), []).append(name)
    return {title: sorted(names) for title, names in found.items()}


def _kind(name: str, thing: Any) -> str:
    if name in FUNCTIONS:
        return AS_FUNCTIONS
    if not inspect.isclass(thing):
        return OTHERS
    return OBJECTS if issubclass(thing, (Loss, MultiInputLoss)) else ERRORS if issubclass(thing, Exception) else OTHERS


def summary(thing: Any) -> str:
    """Return the first sentence of a docstring."""
    text = (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ").replace("`", "")
    return text.partition(". ")[0].rstrip(".")


def translate(app: Sphinx, what: str, name: str, thing: Any, options: dict[str, bool], lines: list[str]) -> None:
    """Translate our docstrings to reStructuredText: `$` begins a formula, and the `*S` of shapes is no emphasis."""
    lines[:] = PLAIN.sub(_translated, "\n".join(lines)).split("\n")


def _translated(found: re.Match[str]) -> str:
    if found["formula"]:
        return f":math:`{' '.join(found['formula'].split())}`"
    return f"\\{found['markup']}" if found["markup"] else found[0]


def write_index(app: Sphinx, config: Config) -> None:
    """Write the index before Sphinx lists its sources."""
    folder = Path(app.srcdir, "api")
    folder.mkdir(exist_ok=True)
    lines = [TITLE, "=" * len(TITLE), INTRODUCTION]
    for title, names in groups().items():
        own = title.startswith("fastloss.")
        about = f"{summary(importlib.import_module(title))}." if own else ""
        module = title if own else "fastloss"
        lines += [title, "-" * len(title), "", about, "", f".. currentmodule:: {module}", ""]
        lines += [".. autosummary::", "   :toctree: .", "   :nosignatures:", ""]
        lines += [f"   {name.removeprefix(f'{module}.')}" for name in names]
        lines.append("")
    (folder / "index.rst").write_text("\n".join(lines), encoding="utf-8")


def find_in_package(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """Resolve a name that the package exports, from the docstring of any module."""
    if node.get("refdomain") != "py":
        return None
    python, target = env.get_domain("py"), f"fastloss.{node['reftarget']}"
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", write_index)
    app.connect("autodoc-process-docstring", translate, priority=400)  # before numpydoc
    app.connect("missing-reference", find_in_package)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
