"""All that commands print goes through here, and no text of a file or of the command line is obeyed
by the terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from emul.reading.printable import printable, shortened

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = [
    "columns",
    "complain",
    "console",
    "open_streams",
    "print_wide",
    "say",
    "say_each",
    "silence",
]

WIDTH_WITHOUT_TERMINAL = 250

LEAST_WIDTH = 80
"""Columns that every table fits."""

MOST_LINES = 12
"""Of notes of one kind; more are counted."""


def open_streams() -> None:
    """Let the standard streams take every character; one that was closed leads nowhere."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed: the next file that is opened would be in its place
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(*lines: str) -> None:
    """Print each of ``lines``."""
    for line in lines:
        click.echo(printable(line))


def say_each(kind: str, notes: Iterable[str]) -> None:
    """Print each note once, behind ``kind``; of very many the first, and how many are left."""
    different = list(dict.fromkeys(notes))
    say(*(f"{kind}{shortened(note)}" for note in different[:MOST_LINES]))
    if len(different) > MOST_LINES:
        say(f"{kind}... and {len(different) - MOST_LINES} more")


def complain(message: str) -> None:
    """Print ``message`` as one line on standard error, if there still is one."""
    line = " ".join(part.strip() for part in message.split("\n"))
    with suppress(OSError):
        click.echo(printable(shortened(line.strip())), err=True)


def silence() -> None:
    """Discard all further output: nobody reads it any more."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def columns() -> int:
    """Return the columns of the terminal, 80 where there is none; the variable COLUMNS rules."""
    return max(LEAST_WIDTH, get_terminal_size().columns)


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console that takes text for text: no markup, no emoji, no colours of numbers."""
    from rich.console import Console

    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def print_wide(table: RenderableType) -> None:
    """Print a rich table, as wide as it needs where there is no terminal to fit in."""
    wide = console()
    if not wide.is_terminal:
        wide = console(width=WIDTH_WITHOUT_TERMINAL)
    wide.print(table)
