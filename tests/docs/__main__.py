"""Holds the pages against the program: ``python -m tests.docs [--write] [PAGE ...]``.

Without ``--write``, the blocks that differ are named and the exit status is 1. With it, the outputs
are written into the pages anew; where only figures of this machine differ, the old one stays.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from .page import ROOT, Page, excerpt, pages
from .reference import written_pages
from .session import differs, outputs_of


def _updated(page: Page, *, as_written: bool) -> tuple[str, list[int]]:
    """Return the text of ``page`` with the outputs of today, and the lines of those that differ."""
    outputs, differ = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for example, printed in outputs_of(page, Path(folder), as_written=as_written):
            if differs(example, printed):
                shown = example.output
                differ.append((shown or example.code).line)
                if shown:
                    outputs[shown.start] = excerpt(printed, shown.text)
    return page.rewritten(outputs), differ


def main() -> int:
    """Check or write the pages; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the outputs of today")
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="only these pages")
    asked = parser.parse_args()
    wanted = {path.resolve() for path in asked.pages}
    if asked.write:
        for path, text in written_pages().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    different, failed = 0, False
    for page in pages(lambda path: not wanted or path in wanted):
        try:
            text, lines = _updated(page, as_written=asked.write)
        except Exception as error:
            print(f"{page.path.relative_to(ROOT)}: {type(error).__name__}: {error}")
            failed = True
            continue
        different += len(lines)
        for line in lines:
            print(f"{page.path.relative_to(ROOT)}:{line}: the output is another")
        if asked.write and lines:
            page.path.write_text(text, encoding="utf-8")
    return 1 if failed or (different and not asked.write) else 0


if __name__ == "__main__":
    sys.exit(main())
