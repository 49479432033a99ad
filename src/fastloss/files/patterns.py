"""Patterns of file names: `"{id}_leftImg8bit*.npy"`.

====================  ============================================================================================
`{id}`                One or more characters other than "/": the image's id. All occurrences must be equal.
`*`                   Any characters other than "/", or none.
`?`                   One character other than "/".
`**/`                 Any folders, or none.
`.*` at the end       The suffix of any known format. `.nii.gz` is one suffix, so `{id}` of `a.b.nii.gz` is `a.b`.
anything else         Itself. Only the suffix may differ in upper and lower case.
====================  ============================================================================================

A pattern with a "/" describes the whole path below the folder. A pattern without a "/" describes the file's name, in
any sub-folder, as in a `.gitignore`. If several ids would fit, the shortest is taken, and among these the leftmost.

The time to match is linear in the length of the name, whatever the pattern. (Python's `re` may take exponential
time.) With several `{id}`, each different id that could fit is tried; a file's name has at most 255 bytes on most
systems.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import FileError, shown
from .folders import Found, composed
from .registry import readers, suffix

ID, STAR, ANY, FOLDERS = "{id}", "*", "?", "**/"
TOKEN = re.compile(r"\{id\}|\*\*/|[*?{]|[^*?{]+")

Span = tuple[int, int]
"""The length and the start of an id, ordered by preference."""
States = dict[int, Span]
"""For each position that the pattern may have reached, the preferred id so far."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A pattern that was checked, and taken apart by `compiled`.

    Attributes
    ----------
    text : str
        The pattern as the user typed it.
    suffix : str or None
        The suffix that the names must have. None: the suffix of any known format.
    tokens : tuple of str
        The pattern without its suffix.
    """

    text: str
    suffix: str | None
    tokens: tuple[str, ...]

    def id_of(self, file: Found) -> str | None:
        """Return the id of the file, or None if the pattern does not match."""
        end = file.suffix if self.suffix is None else self.suffix
        if not file.suffix or not file.name.lower().endswith(end):
            return None
        name = file.name[: len(file.name) - len(end)]
        if "/" not in self.text:
            name = name.rpartition("/")[2]
        match = _run(self.tokens, name, {0: (0, 0)}).get(len(name))
        if match is None:
            return None
        if self.tokens.count(ID) > 1:
            return self._repeated(name)
        return name[match[1] : match[1] + match[0]]

    def _repeated(self, name: str) -> str | None:
        """Return the shortest id that fits at each of several places."""
        at = self.tokens.index(ID)
        ends: dict[str, States] = {}
        for start in sorted(_run(self.tokens[:at], name, {0: (0, 0)})):
            for end in range(start + 1, len(name) + 1):
                if name[end - 1] == "/":
                    break
                ends.setdefault(name[start:end], {})[end] = (0, 0)
        for text in sorted(ends, key=len):
            enough = name.count(text) >= self.tokens.count(ID)
            if enough and len(name) in _run(self.tokens[at + 1 :], name, ends[text], text):
                return text
        return None

    def named(self, name: str) -> str:
        """Return the pattern with the id filled in, for messages."""
        return self.text.replace(ID, name)


def compiled(text: str, option: str) -> Pattern:
    """Check a pattern, and take it apart. The option's name is for messages."""

    def refused(expected: str) -> FileError:
        return FileError(f"{option}: expected {expected}, got {shown(text)}")

    parts = text.split("/")
    if ID not in text:
        raise refused("a pattern with {id} for the image's id, such as {id}_mask.png")
    if any(part in ("", ".", "..") for part in parts):
        raise refused("a path below the folder")
    if any("**" in part and part != "**" for part in parts):
        raise refused("** as the whole name of a folder, as in **/{id}.npy")
    end = suffix(Path(text))
    if end != ".*" and end not in readers():
        raise refused(f"a pattern that ends with .* or with the suffix of a known format ({', '.join(readers())})")
    tokens = TOKEN.findall(composed(text[: len(text) - len(end)]))
    return Pattern(text=text, suffix=None if end == ".*" else end, tokens=tuple(tokens))


def _run(tokens: tuple[str, ...], text: str, states: States, known: str = "") -> States:
    """Return the positions that the tokens may reach from these positions. A known id is matched as it is."""
    for token in tokens:
        if not states:
            break
        if token == ID and known:
            states = _literal(known, text, states)
        else:
            states = STEPS.get(token, _literal)(token, text, states)
    return states


def _literal(token: str, text: str, states: States) -> States:
    return {at + len(token): span for at, span in states.items() if text.startswith(token, at)}


def _any(token: str, text: str, states: States) -> States:
    return {at + 1: span for at, span in states.items() if text[at : at + 1] not in ("", "/")}


def _star(token: str, text: str, states: States) -> States:
    reached: States = {}
    best: Span | None = None
    for at in range(min(states), len(text) + 1):
        best = _preferred(best, states.get(at))
        if best is not None:
            reached[at] = best
        if text[at : at + 1] == "/":
            best = None
    return reached


def _folders(token: str, text: str, states: States) -> States:
    reached: States = {}
    best: Span | None = None
    for at in range(min(states), len(text) + 1):
        best = _preferred(best, states.get(at))
        if best is not None and (at == 0 or text[at - 1] == "/"):
            reached[at] = best
    return reached


def _id(token: str, text: str, states: States) -> States:
    """Start the id as late as possible for each end. So it is the shortest that ends there."""
    reached: States = {}
    start: int | None = None
    for at in range(min(states), len(text) + 1):
        if start is not None:
            reached[at] = (at - start, start)
        if at in states:
            start = at
        if text[at : at + 1] == "/":
            start = None
    return reached


def _preferred(first: Span | None, second: Span | None) -> Span | None:
    spans = [span for span in (first, second) if span is not None]
    return min(spans, default=None)


STEPS = {ID: _id, STAR: _star, ANY: _any, FOLDERS: _folders}
