"""Reads a page as a browser without JavaScript does: its tables, its texts, and what it refers to."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img"}


@dataclass
class Table:
    """A table, with the heading above it."""

    heading: str
    rows: list[list[str]] = field(default_factory=list)


class Page(HTMLParser):
    """The parts of a page. An element that is not closed in order is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tables: list[Table] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.heading = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append(Table(self.heading))
        elif tag == "tr":
            self.tables[-1].rows.append([])
        elif tag in ("td", "th"):
            self.tables[-1].rows[-1].append("")
        elif tag in ("h1", "h2", "h3"):
            self.heading = ""

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open:
            return
        self.texts.setdefault(self.open[-1], []).append(data)
        if {"td", "th"} & set(self.open) and "title" not in self.open:
            self.tables[-1].rows[-1][-1] += data.strip()
        if self.open[-1] in ("h1", "h2", "h3"):
            self.heading += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def table(self, heading: str) -> list[list[str]]:
        """Return the rows of the first table below a heading."""
        return next(table.rows for table in self.tables if table.heading == heading)

    def text(self, *tags: str) -> str:
        return " ".join(piece for tag in tags for piece in self.texts.get(tag, []))
