"""Texts that are safe to show: on a terminal, and as small tables of HTML, which objects show in a notebook."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """Return the text as a terminal may print it. A control character, which would act, is written as `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _escaped(text: str) -> str:
    from html import escape  # on use: it would add a hundredth to the time of the import

    return escape(printable(text))


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts. The first cell of a row is its heading."""
    head = "".join(f'<th scope="col" style="text-align:left">{_escaped(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{_escaped(first)}</th>'
        f"{''.join(f'<td>{_escaped(one)}</td>' for one in rest)}</tr>"
        for first, *rest in rows
    )
    caption = f'<caption style="text-align:left;font-weight:bold">{_escaped(caption)}</caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 image, 2 images."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def cell(value: float) -> str:
    """Return a value with six digits."""
    return f"{value:.6g}"


class ShowsOptions:
    """The base of dataclasses that a notebook shows as a table of their options."""

    def _repr_html_(self) -> str:
        given = [(f.name, getattr(self, f.name), f.default) for f in dataclasses.fields(self) if f.init]  # type: ignore[arg-type]
        rows = [[name, repr(value), "" if value == usual else "set"] for name, value, usual in given]
        return table(type(self).__name__, ["option", "value", ""], rows)
