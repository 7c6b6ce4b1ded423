"""Carries a page out, from the top: saves its files, runs its commands and its Python."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .page import PYTHON, ROOT, Example, Fence, Page, excerpt
from .shell import LISTS, printed_by

__all__ = ["differs", "outputs_of"]

CARRIED = ("tests",)
"""Folders of the clone that commands may name: they stand in the folder of every page."""


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Let commands run in ``folder``, with the folders of a clone that a page may name.

    Modules are found there too, as Python finds them where it is started; later pages do not see
    them.
    """
    for name in CARRIED:
        (folder / name).symlink_to(ROOT / name)
    here, modules = Path.cwd(), set(sys.modules)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        os.chdir(here)
        sys.path.remove(str(folder))
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


def _python(block: Fence, names: dict[str, object], page: Page) -> str:
    """Run a block of Python with the names of those before it; return the text it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
    return printed.getvalue()


def outputs_of(
    page: Page, folder: Path, *, as_written: bool = False
) -> Iterator[tuple[Example, str]]:
    """Carry ``page`` out in an empty ``folder``; yield each example and its whole output.

    Examples whose output is not to be compared are left out.
    """
    names: dict[str, object] = {"__name__": "__page__"}
    with _inside(folder):
        for each in page.examples():
            if isinstance(each, Fence):
                Path(str(each.title)).write_text(each.text, encoding="utf-8")
                continue
            if each.code.language == PYTHON:
                printed: str | None = _python(each.code, names, page)
            else:
                printed = printed_by(each.code.text, as_written=as_written)
            if printed is not None:
                yield each, printed


def differs(example: Example, printed: str) -> bool:
    """Return whether the page shows another output than ``printed``, or none where there is one.

    A block of commands may be without one.
    """
    code = example.code
    if example.output is None:
        return code.language == PYTHON and printed != ""
    shown = example.output.text
    now, then = excerpt(printed, shown), excerpt(shown, "")
    return LISTS.compared(code.text, now) != LISTS.compared(code.text, then)
