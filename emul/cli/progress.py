"""The progress of long work, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from emul.cli.terminal import console

__all__ = ["progress"]


@contextmanager
def progress(task: str) -> Iterator[Callable[[str], None]]:
    """Show the progress on a terminal, in a line that goes away."""
    if not sys.stderr.isatty():
        yield lambda doing: None
        return
    from rich.live import Live

    # Refreshed by hand: a refreshing thread would take time from what is measured.
    shown = console(stderr=True)
    with Live(task, console=shown, auto_refresh=False, transient=True) as live:
        yield lambda doing: live.update(f"{task}: {doing}", refresh=True)
