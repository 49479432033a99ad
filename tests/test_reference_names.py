"""Checks that a kernel and its reference have the same name, in files of the same name. So one search finds both.

The files are csrc/kernels/X.h and src/fastloss/_reference/X.py, for the families of losses. The test reads both as
text, so it needs the sources but no compiler.
"""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

from fastloss._reference import KERNELS

HERE = pathlib.Path(__file__).parent
CSRC = HERE.parent / "csrc" / "kernels"
FAMILIES = {  # and their files in C
    "elements": ("elements",),
    "probabilities": ("probabilities",),
    "pixels": ("pixels", "pixel_losses"),
    "regions": ("regions",),
    "bins": ("bins",),
    "transforms": ("transforms",),
}

pytestmark = pytest.mark.skipif(not CSRC.exists(), reason="needs the sources, csrc/")

# Macros of elements.h, probabilities.h and transforms.h, each with the name of a loss. They define a value, its slope
# and its curve, or a value.
LOSS = re.compile(r"^(?:ELEMENT_LOSS|PROB_LOSS|CLASS_PROB_LOSS|PROB_ROWS|FUNCTION)\((\w+)", re.MULTILINE)
FUNCTION = re.compile(r"^(?:static|FL_INLINE)\s[\w\s*]*?\b(\w+)\(", re.MULTILINE)
ENTRY = re.compile(r'\{\.name = "(\w+)"(.*?)\},', re.DOTALL)

# Shortcuts of sum_forward and sum_backward for labels. sum_forward and sum_backward are also their reference.
SUMS = {f"{loss}_{part}" for loss in ("picked", "focal", "poly") for part in ("forward", "backward")}


def text_in_c(family: str) -> str:
    return "".join((CSRC / f"{file}.h").read_text() for file in FAMILIES[family])


def functions_in_c(family: str) -> set[str]:
    """Return the functions that a family defines, and those that its macros define from a name."""
    text = text_in_c(family)
    return set(FUNCTION.findall(text)) | set(LOSS.findall(text))


def functions_in_python(family: str) -> set[str]:
    """Return the module's public functions."""
    tree = ast.parse((HERE.parent / "src" / "fastloss" / "_reference" / f"{family}.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}


def losses_in_c(family: str) -> set[str]:
    """Return the family's functions in the table, named directly or by a macro: values, slopes, forward, backward."""
    text = text_in_c(family)
    defined = functions_in_c(family)
    named = {name for loss in LOSS.findall(text) for name in (loss, f"{loss}_slope", f"{loss}_curve")}
    for name, entry in ENTRY.findall((CSRC / "table.h").read_text()):
        expanded = entry.replace("SUMMED", "OWN(sum)").replace("PICKED", "OWN(picked)")
        own = re.findall(r"\bOWN\((\w+)\)", expanded)
        named |= {f"{loss}_{part}" for loss in own for part in ("forward", "backward")}
        parts = dict(re.findall(r"\.(forward|finish|backward) = (\w+)", entry))
        if "forward" in parts:  # the reference has one function for both, because it takes all classes at once
            parts.pop("finish", None)
        named |= set(parts.values())
        if "&regions" in entry:
            named |= {f"{name}_forward", f"{name}_backward"}
    return (named & defined) - SUMS


def entries_in_c() -> list[str]:
    return [name for name, _ in ENTRY.findall((CSRC / "table.h").read_text())]


def test_the_tables_have_the_same_losses():
    assert sorted(entries_in_c()) == sorted(KERNELS)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_loss_function_has_a_reference(family):
    wanted = losses_in_c(family)
    assert wanted
    assert wanted <= functions_in_python(family)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_reference_has_a_function_in_c(family):
    assert functions_in_python(family) <= functions_in_c(family)


def test_the_losses_of_all_macros_are_found():
    """The regular expressions match what they should: they find every value and slope of the table as a function."""
    found = functions_in_c("elements") | functions_in_c("probabilities") | functions_in_c("transforms")
    table = (CSRC / "table.h").read_text()
    of_value = re.findall(r"\bOF_(?:INPUT|GIVEN|LOGIT|PROB|CLASS_PROB)\((\w+)\)", table.split("loss_table")[1])
    assert len(of_value) >= 20
    for name in of_value:
        assert {name, f"{name}_slope", f"{name}_curve"} <= found
