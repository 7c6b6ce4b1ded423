"""A page of Markdown as its blocks: the commands it shows, and the output it promises of each."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Example", "Fence", "Page", "excerpt", "pages"]

ROOT = Path(__file__).resolve().parent.parent.parent

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
TITLE = re.compile(r'title="([^"]+)"')
LEFT_OUT = "..."
"""A line of an output that stands for all lines that are left out there."""

SHELL, PYTHON, TEXT = "sh", "python", "text"


@dataclass(frozen=True)
class Fence:
    """A fenced block: its language, the file that it is to be saved as, its text and its place."""

    language: str
    title: str | None
    text: str
    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Example:
    """A block of commands or of Python, and the block of its output, if the page shows one."""

    code: Fence
    output: Fence | None


class Page:
    """One file of Markdown."""

    def __init__(self, path: Path) -> None:
        """Read the page."""
        self.path = path
        self.text = path.read_text(encoding="utf-8")

    def __str__(self) -> str:
        """Return the path, from the root of the clone where it lies there."""
        inside = ROOT in self.path.parents
        return (self.path.relative_to(ROOT) if inside else self.path).as_posix()

    @property
    def fences(self) -> list[Fence]:
        """All fenced blocks, from the top."""
        return [self._fence(found) for found in FENCE.finditer(self.text)]

    def _fence(self, found: re.Match[str]) -> Fence:
        info = found["info"].strip()
        title = TITLE.search(info)
        return Fence(
            info.split(" ")[0],
            title[1] if title else None,
            found["text"],
            found.start("text"),
            found.end("text"),
            self.text.count("\n", 0, found.start()) + 1,
        )

    def examples(self) -> Iterator[Example | Fence]:
        """Yield from the top the files that the page shows, and its commands with their outputs.

        The first ``text`` block after a block of commands is its output. Raises AssertionError
        for a ``text`` block that is the output of nothing.
        """
        code: Fence | None = None
        for fence in self.fences:
            if code is not None:
                is_output = fence.language == TEXT and fence.title is None
                yield Example(code, fence if is_output else None)
                code = None
                if is_output:
                    continue
            if fence.title is not None:
                yield fence
            elif fence.language in (SHELL, PYTHON):
                code = fence
            else:
                assert fence.language != TEXT, f"{self}:{fence.line}: the output of no command"
        if code is not None:
            yield Example(code, None)

    def rewritten(self, outputs: dict[int, str]) -> str:
        """Return the text with new ``outputs``, by the places at which the old ones start."""
        text = self.text
        for fence in reversed(self.fences):
            if fence.start in outputs:
                text = text[: fence.start] + outputs[fence.start] + text[fence.end :]
        return text


def pages(where: Callable[[Path], bool] = lambda path: True) -> list[Page]:
    """Return the pages for users and contributors; not those of data, of benchmarks, of decisions.

    The references of file formats lie with the packages that read them.
    """
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found += [ROOT / "emul" / room / "README.md" for room in ("links", "stacks", "topology")]
    decisions = ROOT / "docs" / "decisions"
    return [Page(path) for path in found if decisions not in path.parents and where(path)]


def _tail_of(lines: list[str], shown: list[str]) -> int:
    """Return where the tail of ``lines`` begins whose first word is that of the tail ``shown``."""
    word = shown[0].split()[:1] if shown else []
    for number in range(len(lines) - 1, -1, -1):
        if word and lines[number].split()[:1] == word:
            return number
    return len(lines) - len(shown)


def excerpt(printed: str, shown: str) -> str:
    """Return the lines of ``printed`` that a page shows, whose block is now ``shown``.

    All of them; with a line ``...`` in ``shown``, as many as stand before it from the head, and
    the tail from the last line that begins with the word behind it.
    """
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    wanted = shown.splitlines()
    if LEFT_OUT in wanted:
        head = wanted.index(LEFT_OUT)
        tail = _tail_of(lines, wanted[head + 1 :])
        if head < tail:
            lines = [*lines[:head], LEFT_OUT, *lines[tail:]]
    return "".join(f"{line}\n" for line in lines)
