"""The links of pages: whether each leads to a file, a heading, or to an address that can be one."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from .page import ROOT

__all__ = ["all_pages", "anchors", "broken", "links"]

CODE = re.compile(r"^(```+).*?^\1[ \t]*$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
NOT_OURS = {".git", "build", "node_modules", ".venv", ".hypothesis"}


def all_pages() -> list[Path]:
    """Return every file of Markdown of the repository."""
    found = (path for path in ROOT.rglob("*.md") if not path.is_symlink())
    ours = (path for path in found if not NOT_OURS.intersection(path.relative_to(ROOT).parts))
    return sorted(
        path for path in ours if path.parent.name != "kernels" or path.parent.parent == ROOT
    )


def _without_code(text: str, *, inline: bool) -> str:
    def blank(found: re.Match[str]) -> str:
        if found[0].startswith("```"):
            return re.sub(r"[^\n]", " ", found[0])
        return " " * len(found[0]) if inline else found[0]

    return CODE.sub(blank, text)


def links(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the target of each link of a page."""
    text = _without_code(text, inline=False)
    for found in LINK.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, found[1]


def _anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MyST make it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors of the headings of a page; the second of a name ends in -1."""
    seen: dict[str, int] = {}
    made = set()
    for heading in HEADING.findall(_without_code(path.read_text(encoding="utf-8"), inline=False)):
        anchor = _anchor(heading)
        made.add(f"{anchor}-{seen[anchor]}" if anchor in seen else anchor)
        seen[anchor] = seen.get(anchor, 0) + 1
    return frozenset(made)


def broken(path: Path, target: str) -> str | None:
    """Return why a link of the page ``path`` leads nowhere, or None. Nothing is looked up."""
    address = urlsplit(target)
    if address.scheme:
        right = address.scheme == "https" and re.fullmatch(r"[\w-]+(\.[\w-]+)+", address.netloc)
        return None if right else "needed https:// and the name of a host"
    to = (path.parent / address.path).resolve() if address.path else path
    if not to.exists():
        return "there is no such file"
    if ROOT not in to.parents:
        return "leads out of the repository"
    if address.fragment and address.fragment not in anchors(to):
        return f"there is no such heading; there are {', '.join(sorted(anchors(to)))}"
    return None
