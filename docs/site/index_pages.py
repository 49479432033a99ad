"""Makes pages that GitHub shows serve as pages of the site.

- An index, README.md, lists the pages of its folder with links. The site's navigation is derived from these links, so
  a page enters it by its line in the index.
- A link to a file that is no page, such as a source file, leads to the repository.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

BLOB = "https://github.com/fastloss/fastloss/blob/main/"
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
PICTURES = {".svg", ".png"}


def navigation(text: str) -> str:
    """Return the hidden tables of contents of an index: one per section, in the order of its links."""
    parts = HEADING.split(text)
    sections = [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    listed = set[str]()
    found = []
    for title, body in sections:
        links = [target.partition("#")[0] for target in LINK.findall(body)]
        pages = [p for p in dict.fromkeys(links) if p.endswith(".md") and not p.startswith("..") and "://" not in p]
        # An index of another folder has its own entry in index.md.
        pages = [p for p in pages if not p.endswith("README.md") and p not in listed]
        listed |= set(pages)
        if pages:
            caption = f":caption: {title}\n" if title else ""
            found.append(f"```{{toctree}}\n:hidden:\n{caption}\n" + "\n".join(pages) + "\n```\n")
    return "\n".join(found)


def repository_links(text: str, folder: Path, docs: Path) -> str:
    """Return the text with links to the repository in place of links to files that are no pages."""

    def changed(match: re.Match[str]) -> str:
        path, _, anchor = match[1].partition("#")
        file = (folder / path).resolve()
        inside = file.is_relative_to(docs) and file.suffix in {".md", *PICTURES}
        if not path or "://" in path or inside or not file.is_file():
            return match[0]
        target = BLOB + file.relative_to(docs.parent).as_posix()
        return f"]({target}{'#' * bool(anchor)}{anchor})"

    return LINK.sub(changed, text)


def on_source_read(app: Sphinx, docname: str, source: list[str]) -> None:
    file = Path(app.env.doc2path(docname))
    if file.suffix != ".md":
        return
    text = source[0]
    if file.name == "README.md":
        text += "\n" + navigation(text)
    source[0] = repository_links(text, file.parent, Path(app.srcdir))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", on_source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
