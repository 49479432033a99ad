"""Finds words that the house style replaces, in prose only: `python tools/house_words.py [FILE ...]`, or `make lint`.

Prose is a comment, a docstring or any other string of Python, a comment or a string of C, and Markdown outside code.
Without arguments, the tool reads every file that git tracks. It prints `file:line: word -> suggestion` for each word
found. If it finds any, it exits with 1.

An exception must state its reason. `house-words: allow (why)` in a comment exempts its line, and `house-words:
allow-file (why)` exempts its file. (house-words: allow-file: this file spells the words out.)
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

UNITS = (
    r"(?:pixel|sample|class|thread|image|element|call|slice|tile|round|axis|group|chunk|label|channel|voxel|picture"
    r"|second|piece|variant|family|case|block|process|core|step|volume|region|epoch|batch)"
)
COUNTED = (
    r"(?:one|two|three|four|five|six|eight|ten|\d+|once|twice|times|most|numbers?|values?|weights?|bytes|[KMG]i?B"
    r"|seconds|microseconds|milliseconds|[mnu]?s|terms?|sums?|means?|losses|records?|channels?|lines?|entry|entries)"
)
WORDS = [
    (rf"{COUNTED}\s+an?\s+{UNITS}", "per"),
    (rf"an?\s+{UNITS}\s+and\s+(?:sample|class|image|term|thread|channel)", "per ... and ..."),
    (r"look(?:s|ed|ing)?\s+(?:for|whether|if|after)", "check for, check whether, search for"),
    (r"beside", "next to, compared with"),
    (r"twins?", "reference"),
    (r"(?<!by )chances?", "probability"),
    (r"(?:is|are|was|were|be|stays?)\s+silent", "contributes nothing, does not count"),
    (r"(?:stands?|stood)\s+(?:above|below|in|here|there|at|first|last|behind|ahead)", "is written, is stored"),
    (r"(?<!docstring )(?<!documentation )(?<!paper )says", "returns, reports, states"),
    (r"(?:is|are|be)\s+said", "is set by, is stated"),
    (r"(?<!who )(?<!whoever )(?<!user )wants", "needs, expects, takes"),
    (r"(?:(?<=,\s)|(?<=,\n))\s*too\s*(?:[.;:)|\"\0]|\n\s*\n|\Z)", "also, before the verb"),
    (r"(?<!not )(?<! it )(?<!leave )(?<!leaves )(?<!left )(?<!let )alone\s*[.,;:]", "only, before the noun"),
    (r"(?:(?<=[.:\"#\0]\s)|(?<=\"))(?-i:What)\s[^.?!:|\0]{,160}\.(?=\s|\"|$)", "a noun at the head of the sentence"),
    (r"(?<!set )(?<!put )(?<!sets )aside\s*[.,;:)]", "except for, apart from"),
]
"""Pairs (pattern between word boundaries, the words to use instead). Every pattern here is rarely wrong."""

RULES = [(re.compile(rf"(?<![\w`-]){word}(?![\w-])", re.IGNORECASE), mend) for word, mend in WORDS]
MARK = re.compile(r"house-words: allow(-file)?\b:?[ (]*([^)\n]*)")
C_PROSE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
PYTHON, C, MARKDOWN = (".py", ".pyi", ".pyx", ".pxd", ".pxi"), (".c", ".h"), (".md",)
HASH = (".toml", ".yml", ".yaml", ".sh", "Makefile", "CMakeLists.txt", ".ci/run")  # comments begin with #


def spans(path: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where the prose of a file lies, as pairs of offsets."""
    if path.endswith(PYTHON):
        starts = [0, *(match.end() for match in re.finditer("\n", text)), len(text)]
        strings = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.COMMENT)}
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in strings:
                yield starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1]
    elif path.endswith(C):
        yield from (match.span() for match in C_PROSE.finditer(text))
    elif path.endswith(MARKDOWN):
        yield 0, len(text)
    elif path.endswith(HASH):
        yield from (match.span() for match in re.finditer(r"(?:(?<=\s)|^)#[^\n]*", text, re.MULTILINE))


def prose(path: str, text: str) -> str:
    """Return the text with its line breaks, and with a NUL for every other character that is not prose.

    A phrase may continue on the next line, so the comment marks at the start of that line become spaces.
    """
    kept = [c if c.isspace() else "\0" for c in text]
    for start, end in spans(path, text):
        kept[start:end] = text[start:end]
    found = "".join(kept)
    if path.endswith(MARKDOWN):
        found = re.sub(r"^( *```).*?^\1", _blank, found, flags=re.DOTALL | re.MULTILINE)
        found = re.sub(r"^> ", "  ", found, flags=re.MULTILINE)
    elif path.endswith(C):
        found = re.sub(r"^( *)\*(?= )|^( *)//", _spaces, found, flags=re.MULTILINE)
    else:
        found = re.sub(r'^ *#+|"(?=\s*\n\s*f?")|(?<=\n) *f?"(?!"")', _spaces, found)
        found = re.sub(r"^ *#+", _spaces, found, flags=re.MULTILINE)
    return re.sub(r"(`+)[^`\n]+\1", _blank, found)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"\S", "\0", match[0])


def _spaces(match: re.Match[str]) -> str:
    return re.sub(r"\S", " ", match[0])


def finds(path: str, text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, word and suggestion for each word found. An exception without a reason also counts as found."""
    exempt = set()
    for match in MARK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if not match[2].strip():
            yield line, match[0].strip(), "give the reason in parentheses"
        elif match[1]:
            return
        exempt.add(line)
    words = prose(path, text)
    for pattern, mend in RULES:
        for match in pattern.finditer(words):
            line = words.count("\n", 0, match.start()) + 1
            if line not in exempt:
                yield line, " ".join(match[0].strip('.,;:|"\0').split())[:40], mend


def tracked() -> list[str]:
    """Return the files that git tracks, without any other files in the working directory."""
    listed = subprocess.run(["git", "ls-files", "-z"], stdout=subprocess.PIPE, check=True, text=True)
    return [name for name in listed.stdout.split("\0") if name]


def main(paths: Iterable[str]) -> int:
    """Print every word found in these files, or in all tracked files. Return 1 if there is any."""
    found = 0
    known = (*PYTHON, *C, *MARKDOWN, *HASH)
    for path in list(paths) or tracked():
        if path.endswith(known) and Path(path).is_file():
            for line, word, mend in sorted(finds(path, Path(path).read_text(encoding="utf-8"))):
                print(f"{path}:{line}: {word} -> {mend}")
                found += 1
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
